//! What is published: clips that ffmpeg makes once, and the programs that send them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::harness::{NOWCAST, Server, clips, signal, until};

/// The usual encoder: fast, a key frame a second at 30 fps.
pub(crate) const H264: &str =
    "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 30 -bf 0";
/// The usual sound.
pub(crate) const AAC: &str = "-c:a aac -b:a 96k";

/// A clip, made once: `size=640x360:rate=30` or none for no picture, a sine unless `audio` is empty, and
/// further options of ffmpeg.
pub(crate) fn clip(name: &str, video: &str, audio: &str, seconds: u32, options: &str) -> PathBuf {
    let picture = format!("-f lavfi -i testsrc2={video}");
    let tone = format!("-f lavfi -i sine=frequency=440:{audio}");
    let inputs = match (video, audio) {
        ("", _) => tone,
        (_, "") => picture,
        _ => format!("{picture} {tone}"),
    };
    made(name, &format!("{inputs} -t {seconds} {options}"))
}

/// A clip from any arguments of ffmpeg up to the output.
pub(crate) fn made(name: &str, arguments: &str) -> PathBuf {
    let file = clips().join(format!("server-{name}.ts"));
    let lock = File::create(clips().join(format!("server-{name}.lock"))).unwrap();
    // Tests run side by side, in threads or in processes: the first makes the clip, the others wait.
    lock.lock().unwrap();
    if !file.exists() {
        let unfinished = clips().join(format!("server-{name}.unfinished"));
        let status = Command::new("ffmpeg")
            .args(["-y", "-nostdin", "-loglevel", "error"])
            .args(arguments.split_whitespace())
            .args(["-f", "mpegts"])
            .arg(&unfinished)
            .status()
            .expect("ffmpeg is installed: ./x setup");
        assert!(status.success(), "ffmpeg {arguments}");
        std::fs::rename(&unfinished, &file).unwrap();
    }
    file
}

/// 60 s of 640x360 at 30 fps with stereo sound: what most streams are.
pub(crate) fn usual() -> PathBuf {
    clip("usual", "size=640x360:rate=30", "sample_rate=48000", 60, &format!("{H264} {AAC} -ac 2"))
}

/// A program that sends; it ends with the value.
pub(crate) struct Sender(Child);

impl Sender {
    fn spawn(mut command: Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().expect("the sender is installed: ./x setup"))
    }

    /// ffmpeg's libsrt, at the pace of the clip; it muxes anew.
    pub(crate) fn ffmpeg(server: &Server, streamid: &str, clip: &Path) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-loglevel", "error", "-re", "-i"]).arg(clip);
        command.args(["-map", "0", "-c", "copy", "-f", "mpegts", &server.publish_url(streamid)]);
        Self::spawn(command)
    }

    /// `nowcast publish`: the clip's bytes as they are, at the pace of its PCR, over and over.
    pub(crate) fn bytes(server: &Server, streamid: &str, clip: &Path) -> Self {
        let mut command = Command::new(NOWCAST);
        command.args(["publish", "--loop", &server.publish_url(streamid)]).arg(clip);
        Self::spawn(command)
    }

    /// Waits until it gives up, as it must.
    pub(crate) fn assert_refused(mut self) {
        let gone = until("the sender gives up", 20, || self.0.try_wait().unwrap());
        assert!(!gone.success(), "the sender was let in");
    }

    /// Stops it in its tracks, or lets it go on.
    pub(crate) fn stand_still(&self, still: bool) {
        signal(self.0.id(), if still { "STOP" } else { "CONT" });
    }

    /// Stops it at once, as a machine that fails.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

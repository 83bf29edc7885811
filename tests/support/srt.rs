//! The ingest on a port of its own, and programs that send to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use nowcast::admission::Admission;
use nowcast::config::{Config, Http, Limits, Ops, Srt, StreamConfig};
use nowcast::flow::{Publisher, StreamName};
use nowcast::ingest::Listener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) fn stream(name: &str) -> StreamConfig {
    StreamConfig::standard(StreamName::new(name).unwrap())
}

pub(crate) fn config(streams: Vec<StreamConfig>) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        srt: Srt { listen: any, latency: Duration::from_millis(120), idle: Duration::from_secs(2) },
        http: Http {
            listen: any,
            public_url: None,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            webhook_networks: Vec::new(),
            tls: None,
        },
        ops: Ops { listen: any, token: None },
        state_dir: PathBuf::new(),
        limits: Limits::of_this_machine(),
        streams,
        template: None,
        issuers: Vec::new(),
    }
}

/// A running ingest.
pub(crate) struct Ingest {
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<ArcSwap<Config>>,
    publishers: mpsc::UnboundedReceiver<Publisher>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Ingest {
    pub(crate) fn start(config: Config) -> Self {
        let config = Arc::new(ArcSwap::from_pointee(config));
        let admission = Admission::new(Arc::clone(&config), Arc::default());
        let listener = Listener::bind(Arc::clone(&config), Arc::new(admission)).unwrap();
        let address = listener.local_addr();
        let (sender, publishers) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        // The test may be over before the last publisher.
        let task = tokio::spawn(listener.run(move |it| drop(sender.send(it)), stopped));
        Self { address, config, publishers, stop, task }
    }

    pub(crate) fn url_host(&self) -> String {
        self.address.to_string()
    }

    /// The next publisher that is let in.
    pub(crate) async fn publisher(&mut self) -> Publisher {
        let next = timeout(Duration::from_secs(20), self.publishers.recv()).await;
        next.expect("a publisher is let in").expect("the ingest runs")
    }

    pub(crate) fn assert_nobody(&self) {
        assert!(self.publishers.is_empty(), "somebody was let in");
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.send_replace(true);
        (&mut self.task).await.unwrap();
    }
}

/// A program that sends, ended with the test.
#[derive(Debug)]
pub(crate) struct Sender(Command);

/// One that runs.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Sender {
    fn new(program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command)
    }

    /// ffmpeg, in real time.
    pub(crate) fn ffmpeg(url: &str) -> Self {
        let file = source();
        let url = format!("{url}&pkt_size=1316");
        let input = ["-loglevel", "error", "-re", "-stream_loop", "-1", "-i", &file];
        Self::new("ffmpeg", &[&input[..], &["-c", "copy", "-f", "mpegts", &url]].concat())
    }

    /// ffmpeg, as fast as it can.
    pub(crate) fn ffmpeg_at_full_speed(url: &str) -> Self {
        let file = source();
        let url = format!("{url}&pkt_size=1316");
        let input = ["-loglevel", "error", "-readrate", "8", "-stream_loop", "-1", "-i", &file];
        Self::new("ffmpeg", &[&input[..], &["-c", "copy", "-f", "mpegts", &url]].concat())
    }

    /// ffmpeg with another container.
    pub(crate) fn matroska(url: &str) -> Self {
        let file = source();
        let url = format!("{url}&pkt_size=1316");
        let input = ["-loglevel", "error", "-re", "-stream_loop", "-1", "-i", &file];
        Self::new("ffmpeg", &[&input[..], &["-an", "-c", "copy", "-f", "matroska", &url]].concat())
    }

    /// srt-live-transmit, fed over UDP as it has no clock of its own.
    pub(crate) fn srt_live_transmit(url: &str) -> Self {
        let file = source();
        let script = "port=$((21050 + $$ % 50)); \
             srt-live-transmit udp://127.0.0.1:$port \"$1\" & child=$!; trap 'kill $child' EXIT; \
             ffmpeg -loglevel error -re -stream_loop -1 -i \"$2\" -c copy -f mpegts \
             udp://127.0.0.1:$port?pkt_size=1316";
        Self::new("bash", &["-c", script, "bash", url, &file])
    }

    /// GStreamer's srtsink.
    pub(crate) fn gstreamer(host: &str, stream_id: &str, passphrase: Option<&str>) -> Self {
        let location = format!("location={}", source());
        let uri = format!("uri=srt://{host}?mode=caller");
        let stream_id = format!("streamid={stream_id}");
        let passphrase = passphrase.map(|passphrase| format!("passphrase={passphrase}"));
        let mut args = vec!["-q", "filesrc", &location, "!", "tsparse", "set-timestamps=true"];
        args.extend(["alignment=7", "!", "srtsink", &uri, &stream_id]);
        args.extend(passphrase.as_deref());
        Self::new("gst-launch-1.0", &args)
    }

    pub(crate) fn start(mut self) -> Running {
        Running(self.0.spawn().expect("the sender is installed: ./x setup"))
    }
}

impl Running {
    /// Waits for it to end by itself.
    pub(crate) fn succeeded(mut self) -> bool {
        self.0.wait().unwrap().success()
    }

    /// Stops it in its tracks, as a machine that has failed.
    pub(crate) fn stand_still(&self) {
        self.signal("-STOP");
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM lets the shell end its children; one that stands still needs SIGKILL.
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal("-TERM");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Six seconds of H.264 and AAC in MPEG-TS, made once, also where tests are threads of one process.
fn source() -> String {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ingest-source.ts");
    if !file.exists() {
        let unfinished = file.with_extension(format!("{}.ts", std::process::id()));
        let status = Command::new("ffmpeg")
            .args(["-y", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "6"])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"])
            .args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mpegts"])
            .arg(&unfinished)
            .status()
            .expect("ffmpeg is installed: ./x setup");
        assert!(status.success(), "ffmpeg cannot make the test's source");
        std::fs::rename(&unfinished, &file).unwrap();
    }
    file.display().to_string()
}

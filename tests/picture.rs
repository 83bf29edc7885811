//! The test picture, read back by ffmpeg.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nowcast::picture::{self, PictureOptions};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

/// The time a picture of `WIDTH` × `HEIGHT` shows, if its blocks make sense: an independent reading of the documentation.
fn clock(luma: &[u8]) -> Option<u32> {
    let row = HEIGHT / 24 * WIDTH;
    let bit = |block: usize| u64::from(luma[row + (2 * block + 1) * WIDTH / 80] > 125);
    let code = (0..40).fold(0, |code, block| code << 1 | bit(block));
    let (sync, time, check) = (code >> 36, (code >> 4 & 0xffff_ffff) as u32, (code & 0xf) as u32);
    let sum = (0..8).fold(0, |sum, nibble| sum ^ (time >> (4 * nibble) & 0xf));
    (sync == 0b1010 && check == sum).then_some(time)
}

fn ffmpeg(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-i", "pipe:0"])
        .args(arguments)
        .arg("pipe:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = ffmpeg.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn now_ms() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    u32::try_from(since & 0xffff_ffff).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_read_after_360p_at_600_kbit_and_leaves_the_source_within_60_ms() {
    let mut chunks = picture::start(PictureOptions::default()).unwrap();
    let (mut stream, mut starts, mut datagrams) = (Vec::new(), Vec::new(), 0);
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while let Ok(Some(chunk)) = tokio::time::timeout_at(end, chunks.recv()).await {
        assert!(chunk.len() <= 1316 && chunk.len() % 188 == 0);
        datagrams += 1;
        // A PES of video begins: stream id e0 right behind the start code. PID 0 is the PAT.
        for packet in chunk.chunks(188) {
            assert_eq!(packet[0], 0x47);
            let (pusi, pid) =
                (packet[1] & 0x40 != 0, u16::from_be_bytes([packet[1] & 0x1f, packet[2]]));
            if pusi && pid != 0 && packet.windows(4).any(|bytes| bytes == [0, 0, 1, 0xe0]) {
                starts.push(now_ms());
            }
        }
        stream.extend_from_slice(&chunk);
    }
    drop(chunks);
    // Datagrams that are not full cost both ends as much as those that are.
    assert!(
        stream.len() > datagrams * 1316 / 2,
        "{datagrams} datagrams for {} bytes",
        stream.len()
    );

    let small = ffmpeg(
        &[
            "-map",
            "0:v",
            "-s",
            "640x360",
            "-c:v",
            "libx264",
            "-preset",
            "superfast",
            "-b:v",
            "600k",
            "-maxrate",
            "600k",
            "-bufsize",
            "180k",
            "-fps_mode",
            "passthrough",
            "-f",
            "mpegts",
        ],
        &stream,
    );
    let raw =
        ffmpeg(&["-f", "rawvideo", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough"], &small);
    let times: Vec<_> = raw.chunks_exact(WIDTH * HEIGHT * 3 / 2).map(clock).collect();
    assert!(times.len() >= 120, "{} pictures", times.len());
    assert!(times.iter().all(Option::is_some), "a clock cannot be read: {times:?}");

    let mut delays: Vec<_> =
        starts.iter().zip(&times).map(|(start, time)| start.wrapping_sub(time.unwrap())).collect();
    delays.sort();
    println!(
        "from the clock to the first packet: median {} ms, worst {} ms",
        delays[delays.len() / 2],
        delays.last().unwrap()
    );
    assert!(delays[delays.len() / 2] < 60, "{delays:?}");

    let sound = ffmpeg(&["-map", "0:a", "-f", "s16le", "-ac", "1", "-ar", "48000"], &stream);
    let loud = sound
        .chunks_exact(2)
        .filter(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs() > 3000)
        .count();
    let seconds = sound.len() as f64 / 96_000.0;
    let share = loud as f64 / 48_000.0 / seconds;
    assert!(
        seconds > 3.0 && (0.04..0.11).contains(&share),
        "{seconds} s of sound, {share} of it loud"
    );
}

//! What a stream costs, from TS packets to parts that are listed: processor, memory, delay.
//!
//! `cargo bench --bench stream` runs one ladder, then 40 passed-through streams. Sockets are left out: TS
//! chunks go straight to the demultiplexer, paced by their clock, and nobody plays.

#![allow(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, stops at once, and counts nothing large"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nowcast::config::{Mode, StreamConfig};
use nowcast::flow::{Control, IngestHealth, Publisher, SOURCE_QUEUE, Stream, StreamName};
use nowcast::push::{self, Source};
use nowcast::{encode, pipelines, publish};
use nowcast_mpegts::Demuxer;
use tokio::sync::{mpsc, oneshot, watch};

/// Streams that are passed through at a time.
const STREAMS: usize = 40;
/// What is measured: after the streams have filled their window once.
const MEASURED: Duration = Duration::from_secs(20);

fn main() {
    let clip = clip();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(publish::Store::open(state.path()).unwrap());
        ladder(&clip, &store).await;
        passthrough(&clip, &store).await;
    });
    runtime.shutdown_background();
}

/// 30 s of 720p30 at 4 Mbit/s with AAC, made once.
fn clip() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-720p30.ts");
    if !path.exists() {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30,noise=alls=12:allf=t"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "30"])
            .args("-c:v libx264 -preset superfast -tune zerolatency -b:v 4M -maxrate 4M -bufsize 2M -g 60 -pix_fmt yuv420p -c:a aac -ac 2 -f mpegts".split(' '))
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success(), "ffmpeg makes the clip: apt-get install ffmpeg");
    }
    path
}

async fn passthrough(clip: &Path, store: &Arc<publish::Store>) {
    let before = memory();
    let mut streams = Vec::new();
    for at in 0..STREAMS {
        streams.push(start(&format!("s{at}"), Mode::Passthrough, clip, store).await);
        // Spread over a part, as real ones are.
        tokio::time::sleep(Duration::from_millis(334) / 40).await;
    }
    tokio::time::sleep(Duration::from_secs(75)).await;
    let cpu = measure(std::process::id()).await;
    println!("passthrough, {STREAMS} streams of 720p30 at 4 Mbit/s, 334 ms parts, 60 s window");
    println!("  processor   {:.3} % of a core a stream", cpu * 100.0 / STREAMS as f64);
    println!("  memory      {:.1} MB a stream", (memory() - before) / STREAMS as f64 / 1e6);
    tell_delays(&streams[0]);
}

async fn ladder(clip: &Path, store: &Arc<publish::Store>) {
    let stream = start("ladder", Mode::Transcode, clip, store).await;
    tokio::time::sleep(Duration::from_secs(65)).await;
    let worker = stream.status.borrow().encoder.as_ref().and_then(|encoder| encoder.pid).unwrap();
    let cpu = measure(worker).await;
    println!("ladder h264-720p, 720p30 into 720p, 480p and 360p, 200 ms parts");
    println!("  processor   {cpu:.2} cores in the worker");
    println!("  memory      {:.0} MB in the worker", resident(worker) / 1e6);
    tell_delays(&stream);
    // The next figures are to be their own.
    let (answer, kicked) = oneshot::channel();
    stream.control.send(Control::Kick(answer)).await.unwrap();
    assert!(kicked.await.unwrap());
}

fn tell_delays(stream: &Stream) {
    for rendition in stream.status.borrow().renditions.iter().filter(|one| one.height > 0) {
        println!(
            "  part delay  {:6} median {:.2} ms, p99 {:.2} ms",
            rendition.name, rendition.part_delay_ms, rendition.part_delay_p99_ms
        );
    }
}

async fn start(name: &str, mode: Mode, clip: &Path, store: &Arc<publish::Store>) -> Arc<Stream> {
    let name = StreamName::new(name).unwrap();
    let mut config = StreamConfig { mode, ..StreamConfig::standard(name.clone()) };
    if mode == Mode::Transcode {
        config.part = Duration::from_millis(200);
    }
    let options = || encode::Options {
        worker: PathBuf::from(env!("CARGO_BIN_EXE_nowcast")),
        arguments: vec!["encode-worker".to_owned()],
        pipelines: pipelines::Pipelines::from_env(),
    };
    let setting = publish::Setting {
        start_encoder: Arc::new(move |job| encode::spawn(job, options())),
        start_counter: 1,
        store: Arc::clone(store),
    };
    let stream = publish::spawn(config, setting);
    let (events, received) = mpsc::channel(SOURCE_QUEUE);
    let (_, health) = watch::channel(IngestHealth::default());
    let (kick, _) = oneshot::channel();
    let peer = ([127, 0, 0, 1], 0).into();
    let publisher = Publisher { stream: name, peer, events: received, health, kick };
    stream.control.send(Control::Publish(publisher)).await.unwrap();
    let source = Source::File { path: clip.to_owned(), repeat: true, drift_ppm: 0.0 };
    let mut chunks = push::start(source).unwrap();
    tokio::spawn(async move {
        let (mut demuxer, began) = (Demuxer::new(), Instant::now());
        while let Some(chunk) = chunks.recv().await {
            demuxer.push(&chunk, began.elapsed());
            while let Some(event) = demuxer.poll_event() {
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    });
    stream
}

/// Cores that a process used over the measured time.
async fn measure(pid: u32) -> f64 {
    let (before, began) = (cpu(pid), Instant::now());
    tokio::time::sleep(MEASURED).await;
    (cpu(pid) - before) / began.elapsed().as_secs_f64()
}

/// Processor seconds a process has used: fields 14 and 15 of its stat, in ticks of 10 ms.
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn memory() -> f64 {
    resident(std::process::id())
}

/// Bytes of memory a process holds.
fn resident(pid: u32) -> f64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

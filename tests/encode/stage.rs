//! Sources, encoders and readers for the scenarios.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nowcast::encode::{self, Options};
use nowcast::flow::{EncodeJob, EncodedFrame, Encoder, Feed, StreamName};
use nowcast::ladder::Ladder;
use nowcast::pipelines::Pipelines;
use nowcast_media::{AccessUnit, FrameRate, Grid, MediaTime, VideoCodec, VideoFormat, nal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The standard ladder for an H.264 source.
pub(super) fn job(width: u32, height: u32, rate: (u32, u32)) -> EncodeJob {
    let format = VideoFormat {
        codec: VideoCodec::H264,
        width,
        height,
        sample_aspect: (1, 1),
        frame_rate: None,
        bit_depth: 8,
        chroma_bit_depth: 8,
        chroma_format: 1,
        interlaced: false,
        range: nowcast_media::VideoRange::Sdr,
        reorder_depth: None,
        codec_string: String::new(),
    };
    let rate = FrameRate::new(rate.0, rate.1).unwrap();
    EncodeJob {
        stream: StreamName::new("live").unwrap(),
        grid: Grid::new(rate, MediaTime::from_millis(334), MediaTime::from_millis(2000)),
        first_index: 0,
        rungs: Ladder::load("h264-720p").unwrap().resolve(&format),
        source: Some(VideoCodec::H264),
        slate: None,
    }
}

/// What ffmpeg encodes: access units with the times its encoder gave them, from pts 0 on.
pub(super) fn clip(inputs: &[&str], options: &[&str]) -> Vec<AccessUnit> {
    let dir = tempfile::tempdir().unwrap();
    let hevc = options.contains(&"libx265");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-y"]).current_dir(&dir);
    for input in inputs {
        ffmpeg.args(["-f", "lavfi", "-i", input]);
    }
    ffmpeg.args([
        "-c:v",
        "libx264",
        "-preset",
        "superfast",
        "-fps_mode",
        "passthrough",
        "-x265-params",
        "log-level=error",
    ]);
    ffmpeg.args(options);
    let stream = if hevc { "hevc" } else { "h264" };
    ffmpeg.args(["-map", "0", "-f", "tee", &format!("[f={stream}]stream|[f=framecrc]times")]);
    assert!(ffmpeg.status().unwrap().success());
    let stream = Bytes::from(std::fs::read(dir.path().join("stream")).unwrap());
    let times = std::fs::read_to_string(dir.path().join("times")).unwrap();
    let scale =
        times.lines().find_map(|line| line.strip_prefix("#tb 0: ")?.split_once('/')).unwrap();
    let number = |text: &str| text.trim().parse::<i64>().unwrap();
    let ticks = |value: &str| number(value) * number(scale.0) * 90_000 / number(scale.1);
    let codec = if hevc { VideoCodec::Hevc } else { VideoCodec::H264 };
    let mut at = 0;
    let lines = times.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            let data = stream.slice(at..at + fields[4].trim().parse::<usize>().unwrap());
            at += data.len();
            AccessUnit {
                pts: MediaTime::from_ticks(ticks(fields[2])),
                dts: MediaTime::from_ticks(ticks(fields[1])),
                random_access: nal::has_random_access(codec, &data),
                damaged: false,
                data,
            }
        })
        .collect()
}

/// The same units at other times.
pub(super) fn shifted(units: &[AccessUnit], ticks: i64) -> Vec<AccessUnit> {
    let by = MediaTime::from_ticks(ticks);
    units
        .iter()
        .cloned()
        .map(|unit| AccessUnit { pts: unit.pts + by, dts: unit.dts + by, ..unit })
        .collect()
}

fn options() -> Options {
    let worker = PathBuf::from(env!("CARGO_BIN_EXE_nowcast"));
    Options { worker, arguments: vec!["encode-worker".into()], pipelines: Pipelines::default() }
}

pub(super) fn spawn(job: &EncodeJob) -> Encoder {
    encode::spawn(job.clone(), options())
}

pub(super) fn spawn_with(job: &EncodeJob, pipelines: &Path) -> Encoder {
    encode::spawn(job.clone(), Options { pipelines: Pipelines::in_folder(pipelines), ..options() })
}

/// Stands between supervisor and worker, passes everything on, and dies as if the decoder had at the first unit that says POISON.
const TASTER: &str = r#"
import os, socket, struct, subprocess, sys, threading
parent = socket.socket(fileno=0)
ours, theirs = socket.socketpair()
worker = subprocess.Popen([sys.argv[1], "encode-worker"], stdin=theirs)
theirs.close()
def back():
    while data := ours.recv(65536):
        parent.sendall(data)
echo = threading.Thread(target=back)
echo.start()
received = parent.makefile("rb")
while head := received.read(4):
    body = received.read(struct.unpack(">I", head)[0])
    if body.endswith(b"POISON"):
        ours.shutdown(socket.SHUT_WR)
        echo.join()
        parent.sendall(struct.pack(">IB", 9, 1) + body[1:9])
        os._exit(139)
    ours.sendall(head + body)
ours.shutdown(socket.SHUT_WR)
worker.wait()
"#;

pub(super) fn spawn_behind_a_taster(job: &EncodeJob) -> Encoder {
    let arguments = ["-c", TASTER, env!("CARGO_BIN_EXE_nowcast")].map(str::to_owned).to_vec();
    encode::spawn(job.clone(), Options { worker: "python3".into(), arguments, ..options() })
}

/// Feeds units as fast as they are taken and returns everything that comes out.
pub(super) async fn pump(mut encoder: Encoder, units: Vec<AccessUnit>) -> Vec<EncodedFrame> {
    let input = encoder.input;
    let feeding = tokio::spawn(async move {
        for unit in units {
            input.send(Feed::Unit(unit)).await.unwrap();
        }
    });
    let mut frames = Vec::new();
    while let Some(frame) = encoder.output.recv().await {
        frames.push(frame);
    }
    feeding.await.unwrap();
    let status = encoder.status.borrow();
    assert_eq!(status.restarts, 0, "{:?}", status.last_error);
    frames
}

/// Feeds units at their decoding times, `speed` times as fast.
pub(super) fn paced(
    input: mpsc::Sender<Feed>,
    units: Vec<AccessUnit>,
    speed: f64,
) -> JoinHandle<()> {
    let start = tokio::time::Instant::now();
    let first = units[0].dts;
    tokio::spawn(async move {
        for unit in units {
            let due = (unit.dts - first).ticks() as f64 / 90_000.0 / speed;
            tokio::time::sleep_until(start + Duration::from_secs_f64(due)).await;
            input.send(Feed::Unit(unit)).await.unwrap();
        }
    })
}

/// The frame numbers of a rung, as they came.
pub(super) fn indexes(frames: &[EncodedFrame], rung: usize) -> Vec<i64> {
    frames.iter().filter(|frame| frame.rung == rung).map(|frame| frame.index).collect()
}

/// Key frames are where the grid has them, with one set of parameter sets; and ffmpeg decodes every frame at the rung's size without a word.
pub(super) fn assert_whole(job: &EncodeJob, frames: &[EncodedFrame], rung: usize, origin: i64) {
    let mine: Vec<_> = frames.iter().filter(|frame| frame.rung == rung).collect();
    let mut sets = Vec::new();
    for frame in &mine {
        let offset = (frame.index - origin).rem_euclid(i64::from(job.grid.segment_frames));
        let on_grid = job.grid.key_frame_at(u32::try_from(offset).unwrap());
        assert_eq!(frame.key, on_grid, "rung {rung}, frame {}", frame.index);
        assert_eq!(nal::has_random_access(VideoCodec::H264, &frame.data), on_grid);
        let own: Vec<_> =
            nal::units(&frame.data).filter(|unit| matches!(unit[0] & 0x1f, 7 | 8)).collect();
        assert_eq!(
            own.len(),
            if on_grid { 2 } else { 0 },
            "parameter sets of frame {}",
            frame.index
        );
        if on_grid {
            sets.push(own);
        }
    }
    assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "parameter sets changed");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rung.h264");
    std::fs::write(
        &path,
        mine.iter().flat_map(|frame| frame.data.iter().copied()).collect::<Vec<u8>>(),
    )
    .unwrap();
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "warning",
            "-count_frames",
            "-show_entries",
            "stream=width,height,nb_read_frames,pix_fmt,has_b_frames,sample_aspect_ratio",
        ])
        .args(["-of", "csv=p=0", "-f", "h264"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&probe.stderr), "");
    let expected = format!(
        "{},{},0,1:1,yuv420p,{}",
        job.rungs[rung].width,
        job.rungs[rung].height,
        mine.len()
    );
    assert_eq!(String::from_utf8_lossy(&probe.stdout).trim(), expected);
}

pub(super) fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

pub(super) fn stop(pid: u32) {
    signal(pid, rustix::process::Signal::STOP);
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Neither running nor a zombie of another parent's.
pub(super) async fn assert_gone_within(pid: u32, limit: Duration) {
    let start = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        assert!(start.elapsed() < limit, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A worker under a parent that is not this process: the pids of both.
pub(super) async fn worker_of_another_process() -> (u32, u32) {
    let script = "import socket, subprocess, sys, time\n\
                  a, b = socket.socketpair()\n\
                  print(subprocess.Popen([sys.argv[1], 'encode-worker'], stdin=b).pid, flush=True)\n\
                  b.close()\n\
                  time.sleep(60)\n";
    let mut parent = tokio::process::Command::new("python3")
        .args(["-c", script, env!("CARGO_BIN_EXE_nowcast")])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(false)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = tokio::io::BufReader::new(parent.stdout.take().unwrap());
    tokio::io::AsyncBufReadExt::read_line(&mut output, &mut line).await.unwrap();
    let pid = parent.id().unwrap();
    tokio::spawn(async move { parent.wait().await });
    (pid, line.trim().parse().unwrap())
}

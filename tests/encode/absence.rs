//! Frames that no picture comes for: the last one again, the slate, and what comes back.

use std::process::Command;
use std::time::Duration;

use nowcast::flow::{EncodeJob, EncodedFrame, Encoder, Feed};
use nowcast_media::{AccessUnit, VideoCodec, nal};
use tokio::time::timeout;

use super::stage::{self, clip, indexes, job, kill, shifted, spawn};

/// An encoder, and the frames it has made.
struct Made {
    encoder: Encoder,
    frames: Vec<EncodedFrame>,
    rungs: usize,
}

impl Made {
    fn by(job: &EncodeJob) -> Self {
        Self { encoder: spawn(job), frames: Vec::new(), rungs: job.rungs.len() }
    }

    async fn give(&self, units: Vec<AccessUnit>) {
        for unit in units {
            self.encoder.input.send(Feed::Unit(unit)).await.unwrap();
        }
    }

    async fn fill(&self, until: i64, slate: bool) {
        self.encoder.input.send(Feed::Fill { until, slate }).await.unwrap();
    }

    /// Waits until every rung has the frames before `until`.
    async fn reach(&mut self, until: i64) {
        while (0..self.rungs).any(|rung| indexes(&self.frames, rung).last() != Some(&(until - 1))) {
            let next = timeout(Duration::from_secs(10), self.encoder.output.recv()).await;
            self.frames.push(next.unwrap().unwrap());
        }
    }

    /// Mean brightness of each frame of a rung.
    fn brightness(&self, rung: usize) -> Vec<f64> {
        self.pictures(rung)
            .iter()
            .map(|it| it.iter().map(|&y| f64::from(y)).sum::<f64>() / it.len() as f64)
            .collect()
    }

    /// The luma of each frame of a rung, 320x180, as ffmpeg decodes them.
    fn pictures(&self, rung: usize) -> Vec<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let mine = self.frames.iter().filter(|frame| frame.rung == rung);
        let bytes: Vec<u8> = mine.flat_map(|frame| frame.data.iter().copied()).collect();
        std::fs::write(dir.path().join("rung.h264"), bytes).unwrap();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.current_dir(&dir).args(["-v", "error", "-f", "h264", "-i", "rung.h264"]);
        ffmpeg.args(["-fps_mode", "passthrough", "-vf", "scale=320:180", "-pix_fmt", "gray"]);
        let output = ffmpeg.args(["-f", "rawvideo", "-"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        output.stdout.chunks(320 * 180).map(<[u8]>::to_vec).collect()
    }

    /// The parameter sets of every key frame of a rung.
    fn sets(&self, rung: usize) -> Vec<Vec<bytes::Bytes>> {
        let keys = self.frames.iter().filter(|frame| frame.rung == rung && frame.key);
        keys.map(|frame| {
            nal::units(&frame.data).filter(|unit| matches!(unit[0] & 0x1f, 7 | 8)).collect()
        })
        .collect()
    }

    fn assert_seamless(&self, frames: i64) {
        for rung in 0..self.rungs {
            assert_eq!(indexes(&self.frames, rung), (0..frames).collect::<Vec<_>>(), "rung {rung}");
            let sets = self.sets(rung);
            assert!(
                sets.windows(2).all(|pair| pair[0] == pair[1]),
                "parameter sets of rung {rung}"
            );
        }
    }
}

/// How far apart two pictures are, in the mean.
fn apart(one: &[u8], other: &[u8]) -> f64 {
    let sum: f64 = one.iter().zip(other).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / one.len() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_stop_are_repeated_then_a_slate_comes_and_another_source_goes_on_from_it() {
    let job = job(640, 360, (30, 1));
    let mut made = Made::by(&job);
    made.give(clip(&["testsrc2=size=640x360:rate=30"], &["-t", "1", "-bf", "0"])).await;
    made.reach(30).await;
    made.fill(45, false).await;
    made.reach(45).await;
    made.fill(68, true).await;
    made.reach(68).await;
    // Another codec and size, at a tenth and a half of a frame behind the slate.
    let other = ["-t", "2", "-bf", "0", "-c:v", "libx265", "-pix_fmt", "yuv420p10le"];
    let other = clip(&["testsrc2=size=426x240:rate=30"], &other);
    made.encoder.input.send(Feed::Source(VideoCodec::Hevc)).await.unwrap();
    made.give(shifted(&other, 72 * 3000 + 1500)).await;
    made.reach(132).await;
    made.assert_seamless(132);
    let keys: Vec<_> = made.frames.iter().filter(|it| it.rung == 0 && it.key).collect();
    let keys: Vec<_> = keys.iter().map(|frame| frame.index).collect();
    assert_eq!(keys, [0, 30, 60, 80, 90, 120], "the source is back where a part begins: frame 80");

    let (pictures, brightness) = (made.pictures(0), made.brightness(0));
    for index in 31..45 {
        assert!(apart(&pictures[index], &pictures[29]) < 4.0, "frame {index} repeats the last");
    }
    let dark = brightness[29] * 0.6;
    for index in [46, 67, 72, 79] {
        assert!(
            brightness[index] < dark,
            "frame {index}: {} after {}",
            brightness[index],
            brightness[29]
        );
        assert!(apart(&pictures[index], &pictures[50]) < 4.0, "the slate stands still");
    }
    // It is not black: the last picture shines through, and there is a text.
    assert!(pictures[60][90 * 320..91 * 320].iter().any(|&y| y > 180), "a text");
    assert!(brightness[60] > 24.0, "{}", brightness[60]);
    assert!(brightness[80] > dark && apart(&pictures[80], &pictures[79]) > 20.0, "it is back");
    assert_eq!(made.encoder.status.borrow().restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_any_source_is_a_text_on_black_until_one_comes() {
    let job = EncodeJob { source: None, ..job(640, 360, (25, 1)) };
    let mut made = Made::by(&job);
    made.fill(30, true).await;
    made.reach(30).await;
    made.encoder.input.send(Feed::Source(VideoCodec::H264)).await.unwrap();
    let units = clip(&["testsrc2=size=640x360:rate=25"], &["-t", "1", "-bf", "2"]);
    made.give(shifted(&units, 31 * 3600 - units[0].pts.ticks())).await;
    drop(std::mem::replace(&mut made.encoder.input, tokio::sync::mpsc::channel(1).0));
    made.reach(56).await;
    made.assert_seamless(56);
    let pictures = made.pictures(0);
    assert!(pictures[10][0] < 3, "black: {}", pictures[10][0]);
    assert!(pictures[10].iter().any(|&y| y > 180), "a text");
    assert!(apart(&pictures[32], &pictures[31]) > 20.0, "a picture from frame 32 on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_image_is_the_slate_and_one_that_cannot_be_shown_leaves_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let image = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "color=c=white:s=300x300", "-frames:v", "1"])
        .args([dir.path().join("white.png")])
        .status();
    assert!(image.unwrap().success());
    let white = std::fs::read(dir.path().join("white.png")).unwrap();
    let spoilt = [&white[..60], &[7; 60]].concat();
    for (image, readable) in [(white, true), (spoilt, false)] {
        let job = EncodeJob { slate: Some(image.into()), ..job(640, 360, (30, 1)) };
        let mut made = Made::by(&job);
        made.give(clip(&["testsrc2=size=640x360:rate=30"], &["-t", "1", "-bf", "0"])).await;
        made.fill(45, true).await;
        made.reach(45).await;
        let slate = &made.pictures(0)[40];
        // A square of the picture's height, in its middle.
        let (middle, side) = (slate[90 * 320 + 160 - 40], slate[90 * 320 + 10]);
        let problem = made.encoder.status.borrow().problem.clone();
        if readable {
            assert!(middle > 220 && side < 150, "{middle}, {side}");
            assert_eq!(problem, None);
        } else {
            assert!(slate[90 * 320..91 * 320].iter().any(|&y| y > 180), "a text");
            assert!(problem.unwrap().contains("a text takes its place"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_behind_the_slate_is_replaced_and_the_slate_goes_on() {
    let job = job(640, 360, (30, 1));
    let mut made = Made::by(&job);
    made.give(clip(&["testsrc2=size=640x360:rate=30"], &["-t", "2", "-bf", "2"])).await;
    made.fill(80, true).await;
    made.reach(80).await;
    kill(made.encoder.status.borrow().pid.unwrap());
    made.fill(120, true).await;
    made.reach(120).await;
    made.assert_seamless(120);
    let brightness = made.brightness(0);
    assert!(brightness[119] < brightness[50] * 0.6, "{} {}", brightness[119], brightness[50]);
    // A worker that hangs there is found out, too.
    stage::stop(made.encoder.status.borrow().pid.unwrap());
    made.fill(140, true).await;
    made.reach(140).await;
    made.assert_seamless(140);
    assert_eq!(made.encoder.status.borrow().restarts, 2);
}

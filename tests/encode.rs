//! The encoder with real worker processes, fed by what ffmpeg encodes and read by ffmpeg.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "encode/absence.rs"]
mod absence;
#[path = "encode/stage.rs"]
mod stage;

use std::time::{Duration, Instant};

use nowcast::flow::{EncodeJob, EncodedFrame, Feed};
use stage::{assert_whole, clip, indexes, job, paced, pump, spawn};

const SIZE_720: &str = "testsrc2=size=1280x720:rate=30";

#[tokio::test(flavor = "multi_thread")]
async fn every_rung_has_every_frame_once_in_order_with_key_frames_on_the_grid() {
    let units = clip(&[SIZE_720], &["-t", "5", "-bf", "0", "-g", "37"]);
    let job = EncodeJob { first_index: 17, ..job(1280, 720, (30, 1)) };
    let frames = pump(spawn(&job), stage::shifted(&units, 17 * 3000)).await;
    for rung in 0..3 {
        assert_eq!(indexes(&frames, rung), (17..167).collect::<Vec<_>>(), "rung {rung}");
        assert_whole(&job, &frames, rung, 17);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ntsc_rates_and_b_frames_keep_every_index() {
    let units =
        clip(&["testsrc2=size=640x360:rate=60000/1001"], &["-t", "4", "-bf", "2", "-g", "60"]);
    let first = units[0].pts.ticks();
    let job = job(640, 360, (60_000, 1001));
    let frames = pump(spawn(&job), stage::shifted(&units, -first)).await;
    assert_eq!(indexes(&frames, 0), (0..240).collect::<Vec<_>>());
    assert_whole(&job, &frames, 0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hevc_ten_bit_422_and_odd_sizes_become_plain_h264() {
    for (codec, size, pixels) in [
        ("libx265", "638x360", "yuv420p10le"),
        ("libx264", "638x360", "yuv422p10le"),
        ("libx264", "641x361", "yuv444p"),
    ] {
        let units = clip(
            &[&format!("testsrc2=size={size}:rate=25")],
            &["-t", "1", "-c:v", codec, "-bf", "0", "-pix_fmt", pixels],
        );
        let (width, height) = size.split_once('x').unwrap();
        let mut job = job(width.parse().unwrap(), height.parse().unwrap(), (25, 1));
        if codec == "libx265" {
            job.source = Some(nowcast_media::VideoCodec::Hevc);
        }
        let frames = pump(spawn(&job), stage::shifted(&units, -units[0].pts.ticks())).await;
        assert_eq!(indexes(&frames, 0), (0..25).collect::<Vec<_>>(), "{codec} {size} {pixels}");
        assert_whole(&job, &frames, 0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_frames_a_second_and_variable_rates_become_constant() {
    let slow = clip(&["testsrc2=size=640x360:rate=5"], &["-t", "4", "-bf", "0"]);
    let job = job(640, 360, (30, 1));
    let frames = pump(spawn(&job), slow).await;
    assert_eq!(
        indexes(&frames, 0),
        (0..115).collect::<Vec<_>>(),
        "19 pictures of 6 frames, and the last"
    );
    assert_whole(&job, &frames, 0, 0);

    let variable = clip(
        &["testsrc2=size=640x360:rate=60,select='not(mod(floor(n/7)\\,3))'"],
        &["-t", "4", "-bf", "0"],
    );
    let last = job.grid.rate.nearest_frame(variable.last().unwrap().pts);
    let frames = indexes(&pump(spawn(&job), variable).await, 0);
    assert_eq!(frames, (0..=frames.len() as i64 - 1).collect::<Vec<_>>());
    assert!(
        (frames.len() as i64 - 1 - last).abs() <= 1,
        "{} frames for a last picture at {last}",
        frames.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_size_and_shape_changes_nothing_behind_the_encoder() {
    let mut units = clip(&[SIZE_720], &["-t", "2", "-bf", "0"]);
    for (number, size) in ["640x360", "480x640", "1280x720"].iter().enumerate() {
        let next = clip(&[&format!("testsrc2=size={size}:rate=30")], &["-t", "2", "-bf", "0"]);
        units.extend(stage::shifted(&next, (number as i64 + 1) * 180_000));
    }
    let job = job(1280, 720, (30, 1));
    let frames = pump(spawn(&job), units).await;
    for rung in 0..3 {
        assert_eq!(indexes(&frames, rung), (0..240).collect::<Vec<_>>(), "rung {rung}");
        assert_whole(&job, &frames, rung, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_mid_stream_costs_no_frame() {
    let units = clip(&[SIZE_720], &["-t", "6", "-bf", "2", "-g", "60"]);
    let units = stage::shifted(&units, -units[0].pts.ticks());
    let job = job(1280, 720, (30, 1));
    let mut encoder = spawn(&job);
    let feeding = paced(encoder.input, units, 1.0);
    let mut frames: Vec<EncodedFrame> = Vec::new();
    let mut killed = None;
    let mut silence = Duration::ZERO;
    let mut last = Instant::now();
    while let Some(frame) = encoder.output.recv().await {
        if killed.is_some() {
            silence = silence.max(last.elapsed());
        }
        last = Instant::now();
        if frame.index == 70 && killed.is_none() {
            let pid = encoder.status.borrow().pid.unwrap();
            stage::kill(pid);
            killed = Some(pid);
        }
        frames.push(frame);
    }
    feeding.await.unwrap();
    assert_eq!(encoder.status.borrow().restarts, 1);
    assert!(encoder.status.borrow().last_error.as_deref().unwrap().contains("signal: 9"));
    assert!(silence < Duration::from_secs(2), "{silence:?} without a frame");
    // Encoding resumes with a key frame off the grid, unless that falls on the grid by chance.
    let keys = frames.iter().filter(|frame| frame.key && frame.index > 70);
    let resumed =
        keys.map(|frame| frame.index).min_by_key(|&index| (index % 30 == 0, index)).unwrap();
    for rung in 0..3 {
        let indexes = indexes(&frames, rung);
        assert!(
            indexes.windows(2).all(|pair| pair[0] < pair[1]),
            "a frame was made twice: {indexes:?}"
        );
        assert!(indexes.iter().copied().filter(|&index| index >= resumed).eq(resumed..180));
        assert!(
            indexes.iter().copied().take_while(|&index| index < resumed - 10).eq(0..resumed - 10)
        );
        let first =
            frames.iter().find(|frame| frame.rung == rung && frame.index == resumed).unwrap();
        assert!(first.key, "rung {rung} resumes with a key frame");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hangs_is_killed_and_replaced() {
    let units = clip(&["testsrc2=size=640x360:rate=30"], &["-t", "5", "-bf", "0", "-g", "30"]);
    let job = job(640, 360, (30, 1));
    let mut encoder = spawn(&job);
    let feeding = paced(encoder.input, units, 1.0);
    let mut frames = Vec::new();
    while let Some(frame) = encoder.output.recv().await {
        if frame.index == 40 {
            stage::stop(encoder.status.borrow().pid.unwrap());
        }
        frames.push(frame);
    }
    feeding.await.unwrap();
    assert_eq!(indexes(&frames, 0), (0..150).collect::<Vec<_>>());
    assert!(encoder.status.borrow().last_error.as_deref().unwrap().contains("was killed"));
}

fn noise(at: usize) -> u8 {
    at.wrapping_mul(2_654_435_761).to_le_bytes()[2]
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_between_access_units_costs_no_worker_and_no_index() {
    let mut units = clip(&["testsrc2=size=640x360:rate=30"], &["-t", "3", "-bf", "0", "-g", "30"]);
    for (number, unit) in units.iter_mut().enumerate() {
        let mut data = unit.data.to_vec();
        match number % 11 {
            3 => data.truncate(data.len() / 2),
            5 => {
                data = (0..data.len()).map(noise).collect();
            }
            7 => data.iter_mut().skip(20).step_by(13).for_each(|byte| *byte ^= 0x5a),
            9 => data.clear(),
            _ => {}
        }
        unit.data = data.into();
    }
    let job = job(640, 360, (30, 1));
    let mut encoder = spawn(&job);
    let feeding = paced(encoder.input, units, 4.0);
    let mut frames = Vec::new();
    while let Some(frame) = encoder.output.recv().await {
        frames.push(frame);
    }
    feeding.await.unwrap();
    let status = encoder.status.borrow().clone();
    assert_eq!(status.restarts, 0, "{:?}", status.last_error);
    let made = indexes(&frames, 0);
    assert_eq!(made, (0..made.len() as i64).collect::<Vec<_>>());
    assert!(made.len() > 80, "{} frames", made.len());
    assert_whole(&job, &frames, 0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_unit_that_kills_two_workers_is_left_out() {
    let mut units = clip(&["testsrc2=size=640x360:rate=30"], &["-t", "4", "-bf", "0", "-g", "30"]);
    units[45].data = [&units[45].data[..], b"POISON"].concat().into();
    let job = job(640, 360, (30, 1));
    let mut encoder = stage::spawn_behind_a_taster(&job);
    let feeding = paced(encoder.input, units, 1.0);
    let mut frames = Vec::new();
    while let Some(frame) = encoder.output.recv().await {
        frames.push(frame);
    }
    feeding.await.unwrap();
    assert_eq!(encoder.status.borrow().restarts, 2);
    assert_eq!(indexes(&frames, 0), (0..120).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_with_its_encoder_and_with_its_parent() {
    let job = job(640, 360, (30, 1));
    let units = clip(&["testsrc2=size=640x360:rate=30"], &["-t", "1", "-bf", "0"]);
    let mut encoder = spawn(&job);
    for unit in units {
        encoder.input.send(Feed::Unit(unit)).await.unwrap();
    }
    encoder.output.recv().await.unwrap();
    let pid = encoder.status.borrow().pid.unwrap();
    drop(encoder);
    stage::assert_gone_within(pid, Duration::from_secs(1)).await;

    let (parent, worker) = stage::worker_of_another_process().await;
    stage::kill(parent);
    stage::assert_gone_within(worker, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_element_is_named_with_its_package() {
    let mut job = job(640, 360, (30, 1));
    job.rungs[0].encoder = "absent".into();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("absent.launch"), "x264encoder bitrate={kbits}").unwrap();
    let mut encoder = stage::spawn_with(&job, dir.path());
    let status =
        encoder.status.wait_for(|status| status.last_error.is_some()).await.unwrap().clone();
    assert!(status.last_error.unwrap().contains("x264encoder is missing"));
}

/// CONTRACT: measured peak at most 1.25 times, average at most 1.10 times of what is declared.
#[tokio::test(flavor = "multi_thread")]
async fn on_noise_every_rung_keeps_its_bit_rate() {
    let units = clip(
        &["nullsrc=size=1280x720:rate=30,geq=random(1)*255:128:128"],
        &["-t", "8", "-bf", "0", "-g", "30", "-qp", "20", "-preset", "ultrafast"],
    );
    let job = job(1280, 720, (30, 1));
    let frames = pump(spawn(&job), units).await;
    for (number, rung) in job.rungs.iter().enumerate() {
        let segment = |from: i64| -> f64 {
            let of =
                frames.iter().filter(|f| f.rung == number && (from..from + 60).contains(&f.index));
            of.map(|frame| frame.data.len() as f64).sum::<f64>() * 8.0 / 2.0 / rung.bitrate as f64
        };
        let segments: Vec<_> = (0..4).map(|at| segment(at * 60)).collect();
        let peak = segments.iter().copied().fold(0.0, f64::max);
        let average = segments.iter().sum::<f64>() / segments.len() as f64;
        println!("{}: peak {peak:.3}, average {average:.3}", rung.name);
        assert!(peak <= 1.25 && average <= 1.10, "{}: {segments:?}", rung.name);
    }
}

use std::time::Duration;

use super::*;

fn stream(mode: Mode) -> StreamConfig {
    StreamConfig { mode, ..StreamConfig::standard(StreamName::new("live").unwrap()) }
}

fn limits() -> Limits {
    Limits { cores: 2.0, memory: 8_000_000_000, descriptors: 1000, disk: 64_000_000 }
}

fn running(measured: Option<f64>) -> Running {
    let need = Need::of(&stream(Mode::Transcode));
    Running { expected: need.cores - STREAM_CORES, need, measured }
}

const FREE: u64 = 1_000_000_000;

#[test]
fn the_model_gives_back_what_was_measured_and_grows_with_pixels_and_frames() {
    let need = Need::of(&stream(Mode::Transcode));
    assert!((need.cores - 0.625).abs() < 0.001, "{need:?}");
    let passed = Need::of(&stream(Mode::Passthrough));
    assert!((passed.cores - 0.005).abs() < 0.001 && passed.memory < need.memory, "{passed:?}");
    let rungs = Ladder::load("h264-720p").unwrap().whole();
    let at = |fps| ladder_cores(&rungs, FrameRate::new(fps, 1).unwrap());
    assert!((at(60) / at(30) - 2.0).abs() < 1e-9);
    assert!(at(30) > 3.0 * ladder_cores(&rungs[1..2], FrameRate::new(30, 1).unwrap()));
    let long = StreamConfig { window: Duration::from_hours(1), ..stream(Mode::Passthrough) };
    assert_eq!(Need::of(&long).memory, 60 * passed.memory);
}

#[test]
fn a_stream_is_refused_by_the_first_limit_that_it_exceeds() {
    let need = Need::of(&stream(Mode::Transcode));
    let three = || (0..3).map(|_| running(None)).collect::<Vec<_>>();
    assert_eq!(lack(&limits(), &three(), &Need::of(&stream(Mode::Passthrough)), FREE), None);
    let cores = lack(&limits(), &three(), &need, FREE).unwrap().to_string();
    assert!(
        cores.contains("0.62 of a core")
            && cores.contains("3 running streams take 1.88 of the 2.00"),
        "{cores}"
    );
    let more = Limits { cores: 64.0, ..limits() };
    let memory = Limits { memory: 3 * need.memory, ..more };
    let handles = Limits { descriptors: 4 * need.descriptors - 1, ..more };
    for (limits, word) in [(&memory, "memory"), (&handles, "descriptors")] {
        assert_eq!(lack(limits, &three(), &need, FREE).unwrap().limit, word);
        assert_eq!(lack(limits, &three()[..2], &need, FREE), None, "{word}");
    }
    let disk = lack(&more, &[], &need, 63_000_000).unwrap().to_string();
    assert!(disk.contains("only 63MB are free"), "{disk}");
    assert_eq!(need.fit(&limits()), (3, "cores"));
    assert_eq!(need.fit(&memory), (3, "memory"));
}

#[test]
fn what_workers_really_take_corrects_the_model() {
    let need = Need::of(&stream(Mode::Transcode));
    // On a machine twice as fast six fit where the model alone says three.
    let fast: Vec<_> = (0..5).map(|_| running(Some(0.31))).collect();
    assert_eq!(lack(&limits(), &fast, &need, FREE), None);
    // One that was just let in counts with the corrected model.
    let mut fast = fast;
    fast.push(running(None));
    assert!(lack(&limits(), &fast, &need, FREE).is_some());
    // On a machine half as fast one is enough.
    assert_eq!(lack(&limits(), &[running(Some(0.7))], &need, FREE), None);
    assert!(lack(&limits(), &[running(Some(1.24))], &need, FREE).is_some());
}

//! Segments cut at a source's own key frames.

use nowcast_cmaf::{Cut, Misbehaviour, Output, PackageError, VideoPackager};
use nowcast_media::{Grid, MediaTime, VideoCodec};
use proptest::prelude::*;

use crate::reader::{length, read, segments};
use crate::video::{RATES, drain, grid, unit};

fn packager(grid: Grid) -> VideoPackager {
    VideoPackager::new(VideoCodec::H264, grid, Cut::AtRandomAccess)
}

/// Packages frames at the grid's times, key frames where `keys` says; ends with a restart.
fn package(
    grid: Grid,
    count: i64,
    key: impl Fn(i64) -> bool,
) -> Result<Vec<Output>, (i64, PackageError)> {
    let mut packager = packager(grid);
    let mut outputs = Vec::new();
    for index in 0..count {
        let time = grid.rate.frame_start(index);
        packager
            .handle_unit(&unit(index, time, time, key(index)))
            .map_err(|error| (index, error))?;
        outputs.append(&mut drain(&mut packager));
    }
    packager.restart();
    outputs.append(&mut drain(&mut packager));
    Ok(outputs)
}

fn segment_frames(outputs: Vec<Output>) -> Vec<u32> {
    let (segments, open) = segments(outputs);
    assert!(open.is_empty());
    segments.iter().map(|parts| parts.iter().map(|part| part.samples).sum()).collect()
}

#[test]
fn a_segment_takes_as_many_groups_of_pictures_as_keep_it_within_the_target_duration() {
    let grid = grid((30, 1), 200);
    for (gop, expected) in
        [(1, 74), (12, 72), (15, 60), (24, 72), (25, 50), (30, 60), (37, 74), (60, 60), (74, 74)]
    {
        let outputs = package(grid, 10 * expected, |index| index % gop == 0).unwrap();
        let frames = segment_frames(outputs);
        assert!(
            frames.iter().all(|&frames| i64::from(frames) == expected),
            "groups of {gop}: {frames:?}"
        );
    }
}

#[test]
fn the_part_before_a_key_frame_is_short_and_the_segment_ends_when_the_key_frame_is_there() {
    let grid = grid((25, 1), 334);
    let mut packager = packager(grid);
    for index in 0..50 {
        let time = grid.rate.frame_start(index);
        packager.handle_unit(&unit(index, time, time, index == 0)).unwrap();
    }
    assert_eq!(drain(&mut packager).len(), 6);
    let time = grid.rate.frame_start(50);
    packager.handle_unit(&unit(50, time, time, true)).unwrap();
    let outputs = drain(&mut packager);
    let [Output::Part(part), Output::SegmentEnd] = outputs.as_slice() else { panic!() };
    assert_eq!(part.samples, 2);
    assert_eq!(packager.open_segment_start(), Some(time));
    assert_eq!(packager.next_segment_start(), None);
}

#[test]
fn a_group_of_pictures_that_fits_no_segment_is_told_at_once_and_nothing_more_comes() {
    let grid = grid((30, 1), 200);
    let mut packager = packager(grid);
    let too_long = PackageError::GopTooLong {
        gop: MediaTime::from_millis(2500),
        longest: MediaTime::from_millis(2500),
    };
    for index in 0..200 {
        let time = grid.rate.frame_start(index);
        let answer = packager.handle_unit(&unit(index, time, time, index == 0));
        assert_eq!(answer, if index < 74 { Ok(()) } else { Err(too_long) }, "frame {index}");
    }
    let (_, open) = segments(drain(&mut packager));
    assert_eq!(length(&open), 74 * 3000);
    packager.restart();
    assert_eq!(drain(&mut packager), [Output::SegmentEnd]);
}

#[test]
fn a_key_frame_at_a_scene_cut_does_not_mislead_the_prediction() {
    let grid = grid((30, 1), 200);
    // Regular ones 2 s after the last, and some in between.
    let keys = [0, 60, 80, 140, 200, 210, 225, 285, 345];
    let outputs = package(grid, 360, |index| keys.contains(&index)).unwrap();
    assert_eq!(segment_frames(outputs), [60, 20, 60, 60, 25, 60, 60, 15]);
}

#[test]
fn a_key_frame_later_than_any_before_asks_for_a_restart_not_for_another_source() {
    let keys = [0, 20];
    let (index, error) =
        package(grid((30, 1), 200), 90, |index| keys.contains(&index)).unwrap_err();
    assert_eq!(index, 74);
    assert_eq!(
        error,
        PackageError::LateKeyFrame {
            gop: MediaTime::from_ticks(55 * 3000),
            expected: MediaTime::from_ticks(20 * 3000)
        }
    );
    assert!(error.needs_restart());
}

#[test]
fn b_frames_keep_their_presentation_times_by_signed_offsets() {
    let grid = grid((30, 1), 200);
    let mut packager = packager(grid);
    // I P B B P B B in decode order; the first picture is shown when it is decoded.
    let shown = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10];
    for (index, &shown) in (0..).zip(&shown) {
        let dts = grid.rate.frame_start(index);
        packager.handle_unit(&unit(index, dts, grid.rate.frame_start(shown), index == 0)).unwrap();
    }
    let (_, parts) = segments(drain(&mut packager));
    let pts: Vec<i64> =
        parts.iter().flat_map(|part| read(part).samples).map(|sample| sample.pts / 3000).collect();
    assert_eq!(pts, shown);
}

#[test]
fn a_clock_in_milliseconds_leaves_no_trace_in_the_decode_times() {
    for rate in RATES {
        let grid = grid(rate, 200);
        let mut packager = packager(grid);
        for index in 0..600 {
            let time = MediaTime::from_millis(grid.rate.frame_start(index).ticks() / 90);
            packager.handle_unit(&unit(index, time, time, index % 24 == 0)).unwrap();
        }
        let (segments, open) = segments(drain(&mut packager));
        let parts = segments.concat().into_iter().chain(open);
        for (index, sample) in (0..).zip(parts.flat_map(|part| read(&part).samples)) {
            let exact = grid.rate.frame_start(index).ticks();
            assert_eq!(sample.dts, exact);
            assert_eq!(sample.pts, exact / 90 * 90);
        }
    }
}

#[test]
fn a_burst_takes_the_slots_after_its_own_and_a_fast_source_is_thinned() {
    let grid = grid((30, 1), 200);
    let mut packager = packager(grid);
    let mut take = |number, ticks| {
        let time = MediaTime::from_ticks(ticks);
        packager.handle_unit(&unit(number, time, time, number == 0))
    };
    for (number, ticks) in (0..).zip([0, 400, 800, 9000, 12_000]) {
        assert_eq!(take(number, ticks), Ok(()));
    }
    // Ten times the frame rate from here on.
    let refused =
        (0..100).filter(|&number| take(5 + number, 15_000 + number * 300).is_err()).count();
    assert!((85..=90).contains(&refused), "{refused}");
    assert_eq!(
        take(106, 15_000),
        Err(PackageError::SourceMisbehaved(Misbehaviour::DecodeTime)),
        "backwards"
    );
}

/// One frame of a bad source: lost or not, a key frame or not, and how far its clock is off.
#[derive(Clone, Debug)]
struct Bad {
    lost: bool,
    jitter: i64,
    reorder: i64,
}

fn bad_source() -> impl Strategy<Value = Vec<Bad>> {
    let frame = (prop::bool::weighted(0.15), -90..=90_i64, 0..4_i64)
        .prop_map(|(lost, jitter, reorder)| Bad { lost, jitter, reorder });
    prop::collection::vec(frame, 1..600)
}

proptest! {
    #[test]
    fn whatever_is_lost_and_however_the_clock_jitters_the_stream_stays_whole(
        frames in bad_source(),
        rate in 0..RATES.len(),
        part_ms in 100..1000_i64,
        gop in 5..80_i64,
        burst in (0..600_usize, 0..40_usize),
    ) {
        let grid = grid(RATES[rate], part_ms);
        let mut packager = packager(grid);
        let (mut outputs, mut sent, mut restarts) = (Vec::new(), Vec::new(), 0);
        for (index, bad) in (0..).zip(&frames) {
            let in_burst = (burst.0..burst.0 + burst.1).contains(&(index as usize));
            if bad.lost || in_burst {
                continue;
            }
            let dts = grid.rate.frame_start(index) + MediaTime::from_ticks(bad.jitter);
            let pts = grid.rate.frame_start(index + bad.reorder) + MediaTime::from_ticks(bad.jitter);
            let unit = unit(index, dts, pts, index % gop == 0);
            let mut answer = packager.handle_unit(&unit);
            if answer.is_err_and(|error| error.needs_restart()) {
                packager.restart();
                restarts += 1;
                answer = packager.handle_unit(&unit);
            }
            match answer {
                Ok(()) => sent.push(unit),
                Err(PackageError::NotRandomAccess { .. }) => prop_assert!(!unit.random_access),
                Err(PackageError::GopTooLong { .. }) => break,
                Err(error) => prop_assert!(false, "{error}"),
            }
            outputs.append(&mut drain(&mut packager));
        }
        packager.restart();
        outputs.append(&mut drain(&mut packager));
        let (segments, open) = segments(outputs);
        prop_assert!(open.is_empty());

        let mut holes = 0;
        let mut end = 0;
        let mut sequence = 0;
        let mut samples = Vec::new();
        for segment in &segments {
            for (index, part) in segment.iter().enumerate() {
                let read = read(part);
                if part.base_decode_time != end {
                    prop_assert!(part.base_decode_time > end && index == 0);
                    holes += 1;
                }
                end = part.base_decode_time + part.duration;
                // Half a tick may come from rounding its start, and half a tick from its end.
                let whole = grid.rate.frame_start(grid.part_frames.into()).ticks() as u64;
                prop_assert!(part.duration <= whole + 1);
                prop_assert!(read.sequence > sequence);
                sequence = read.sequence;
                prop_assert!(index > 0 || read.samples[0].sync);
                samples.extend(read.samples);
            }
            let rounded = (length(segment) + 45_000) / 90_000;
            prop_assert!(rounded <= grid.target_duration().into());
        }
        prop_assert!(holes <= restarts + 1);
        // Every picture taken is there once, in order, shown when it was to be shown.
        prop_assert_eq!(samples.len(), sent.len());
        for (sample, unit) in samples.iter().zip(&sent) {
            prop_assert_eq!(sample.pts, unit.pts.ticks());
            prop_assert_eq!(&sample.data[4..], &unit.data[9..]);
            prop_assert_eq!(sample.sync, unit.random_access);
        }
    }
}

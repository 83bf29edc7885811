//! The audio rendition: counted samples, cut with the video.

use bytes::Bytes;
use nowcast_cmaf::{AudioPackager, Misbehaviour, Output, PackageError};
use nowcast_media::{AacConfig, AudioFrame, Grid, MediaTime, Seconds5};
use proptest::prelude::*;

use crate::reader::{length, read, segments};
use crate::video::{RATES, grid};

fn stereo(sample_rate: u32) -> AacConfig {
    AacConfig { object_type: 2, sample_rate, channels: 2 }
}

fn packager(sample_rate: u32, grid: Grid) -> AudioPackager {
    AudioPackager::new(stereo(sample_rate), grid)
}

fn frame(number: i64, pts: i64) -> AudioFrame {
    AudioFrame { pts: MediaTime::from_ticks(pts), data: Bytes::from(format!("{number}")) }
}

/// The pts of frame `number` of a source that begins at zero.
fn pts(number: i64, sample_rate: u32) -> i64 {
    MediaTime::from_scale(number * 1024, sample_rate.try_into().unwrap()).ticks()
}

fn drain(packager: &mut AudioPackager) -> Vec<Output> {
    std::iter::from_fn(|| packager.poll_output()).collect()
}

/// What every sample says, silence as `-`.
fn contents(parts: &[nowcast_cmaf::Part]) -> Vec<String> {
    let text = |data: &Bytes| {
        if data.iter().all(u8::is_ascii_digit) {
            String::from_utf8(data.to_vec()).unwrap()
        } else {
            "-".to_owned()
        }
    };
    parts.iter().flat_map(|part| read(part).samples).map(|sample| text(&sample.data)).collect()
}

#[test]
fn segments_begin_within_a_frame_of_the_videos_for_an_hour() {
    for (rate, sample_rate) in RATES.into_iter().zip([48_000, 44_100].into_iter().cycle()) {
        let grid = grid(rate, 200);
        let mut packager = packager(sample_rate, grid);
        let boundary =
            |segment: i64| grid.rate.frame_start(segment * i64::from(grid.segment_frames));
        let mut queued = 1;
        let (mut end, mut ended, mut parts) = (0, 0, 0);
        for number in 0..3600 * i64::from(sample_rate) / 1024 {
            let pts = pts(number, sample_rate);
            // The video's boundary is known a little ahead.
            if boundary(queued).ticks() < pts + 9000 {
                packager.cut_at(boundary(queued));
                queued += 1;
            }
            packager.handle_frame(&frame(number, pts)).unwrap();
            for output in drain(&mut packager) {
                let Output::Part(part) = output else {
                    ended += 1;
                    let late = i128::from(end) * 90_000
                        - i128::from(boundary(ended).ticks()) * i128::from(sample_rate);
                    assert!((0..1024 * 90_000).contains(&late), "segment {ended}: {late}");
                    parts = 0;
                    continue;
                };
                assert_eq!(part.base_decode_time, end);
                assert_eq!(part.starts_segment, parts == 0);
                assert!(part.independent);
                assert!(Seconds5::from_ticks(part.duration, sample_rate) <= grid.part_target());
                end += part.duration;
                parts += 1;
            }
        }
        // The last boundary is ahead of the audio.
        assert!(ended >= queued - 2 && ended > 1750, "{ended} of {queued}");
        assert_eq!((packager.silent_frames(), packager.dropped_frames()), (0, 0));
    }
}

#[test]
fn parts_are_counted_from_the_start_of_the_segment() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    packager.cut_at(MediaTime::from_millis(500));
    for number in 0..40 {
        packager.handle_frame(&frame(number, pts(number, 48_000))).unwrap();
    }
    let (segments, open) = segments(drain(&mut packager));
    let counts = |parts: &[nowcast_cmaf::Part]| parts.iter().map(|p| p.samples).collect::<Vec<_>>();
    // 500 ms are 23.4 frames.
    assert_eq!(counts(&segments[0]), [9, 9, 6]);
    assert_eq!(counts(&open), [9]);
    assert_eq!(length(&segments[0]), 24 * 1024);
    assert_eq!(packager.end(), MediaTime::from_ticks(pts(40, 48_000)));
}

#[test]
fn audio_that_comes_late_is_preceded_by_silence_and_early_frames_are_left_out() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    for number in -3..0 {
        packager.handle_frame(&frame(99, number * 1920 + 700)).unwrap();
    }
    // 3.4 frames after the start.
    for number in 0..6 {
        packager.handle_frame(&frame(number, 6528 + number * 1920)).unwrap();
    }
    let (_, parts) = segments(drain(&mut packager));
    assert_eq!(parts[0].base_decode_time, 410); // 0.4 frames
    assert_eq!(contents(&parts), ["-", "-", "-", "0", "1", "2", "3", "4", "5"]);
    assert_eq!((packager.silent_frames(), packager.dropped_frames()), (3, 0));
}

#[test]
fn missing_audio_becomes_silence_and_doubled_audio_is_left_out() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    let mut take = |number: i64, at: i64| packager.handle_frame(&frame(number, at * 1920)).unwrap();
    for number in 0..4 {
        take(number, number);
    }
    take(4, 6); // two lost
    take(5, 7);
    take(6, 5); // a repetition
    take(7, 6);
    take(8, 8);
    packager.restart();
    let (segments, _) = segments(drain(&mut packager));
    assert_eq!(contents(&segments[0]), ["0", "1", "2", "3", "-", "-", "4", "5", "8"]);
    assert_eq!((packager.silent_frames(), packager.dropped_frames()), (2, 2));
}

#[test]
fn a_hole_beyond_ten_seconds_asks_for_a_restart() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    packager.handle_frame(&frame(0, 0)).unwrap();
    let late = frame(1, 11 * 90_000);
    let gap = PackageError::Gap { from: MediaTime::from_ticks(1920), to: late.pts };
    assert_eq!(packager.handle_frame(&late), Err(gap));
    packager.restart();
    packager.begin_at(MediaTime::from_ticks(11 * 90_000 - 2000));
    packager.handle_frame(&late).unwrap();
    packager.restart();
    let (segments, _) = segments(drain(&mut packager));
    let first: Vec<u64> = segments.iter().map(|parts| parts[0].base_decode_time).collect();
    assert_eq!(first, [0, 11 * 48_000 - 1024]);
    assert_eq!(contents(&segments[1]), ["-", "1"]);
    let empty = AudioFrame { data: Bytes::new(), ..late };
    assert_eq!(packager.handle_frame(&empty), Err(Misbehaviour::Empty.into()));
}

#[test]
fn after_a_restart_audio_never_goes_back() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    for number in 0..10 {
        packager.handle_frame(&frame(number, number * 1920)).unwrap();
    }
    packager.restart();
    for number in 5..20 {
        packager.handle_frame(&frame(number, number * 1920)).unwrap();
    }
    packager.restart();
    let (segments, _) = segments(drain(&mut packager));
    assert_eq!(segments[1][0].base_decode_time, 10 * 1024);
    assert_eq!(contents(&segments[1])[0], "10");
}

#[test]
fn a_boundary_that_comes_late_cuts_where_the_audio_is() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    for number in 0..30 {
        packager.handle_frame(&frame(number, number * 1920)).unwrap();
    }
    packager.cut_at(MediaTime::from_millis(500));
    let (segments, open) = segments(drain(&mut packager));
    assert_eq!((length(&segments[0]), open.len()), (30 * 1024, 0));
}

#[test]
fn silence_keeps_the_place_of_audio_that_does_not_come() {
    let mut packager = packager(48_000, grid((30, 1), 200));
    packager.fill_to(MediaTime::from_ticks(4 * 1920 + 100));
    assert_eq!(packager.end(), MediaTime::from_ticks(4 * 1920));
    for number in 0..8 {
        packager.handle_frame(&frame(number, number * 1920)).unwrap();
    }
    packager.fill_to(MediaTime::from_ticks(1920));
    packager.restart();
    let (segments, _) = segments(drain(&mut packager));
    assert_eq!(contents(&segments[0]), ["-", "-", "-", "-", "3", "4", "5", "6", "7"]);
    assert_eq!((packager.silent_frames(), packager.dropped_frames()), (4, 3));
}

proptest! {
    #[test]
    fn the_timeline_has_no_hole_and_stays_near_the_sources_whatever_it_does(
        frames in prop::collection::vec((prop::bool::weighted(0.1), -1500..1500_i64), 1..400),
        sample_rate in prop::sample::select(vec![48_000_u32, 44_100, 32_000, 8_000]),
        drift_ppm in -2000..2000_i64,
        part_ms in 200..1000_i64,
    ) {
        let mut packager = packager(sample_rate, grid((30, 1), part_ms));
        let mut outputs = Vec::new();
        for (number, &(lost, jitter)) in (0..).zip(&frames) {
            if lost {
                continue;
            }
            let exact = pts(number, sample_rate);
            let at = (exact + exact * drift_ppm / 1_000_000 + jitter).max(0);
            if number % 50 == 49 {
                packager.cut_at(MediaTime::from_ticks(at));
            }
            packager.handle_frame(&frame(number, at)).unwrap();
            outputs.append(&mut drain(&mut packager));
            let skew = packager.end().ticks() - at;
            let frame = pts(1, sample_rate);
            let rounding = 90_000 / i64::from(sample_rate) + 1;
            prop_assert!((-rounding..=3 * frame).contains(&skew), "{skew}");
        }
        packager.restart();
        outputs.append(&mut drain(&mut packager));
        let (segments, _) = segments(outputs);
        let mut end = segments.first().map_or(0, |parts| parts[0].base_decode_time);
        for part in segments.concat() {
            prop_assert_eq!(part.base_decode_time, end);
            end += part.duration;
            read(&part);
        }
    }
}

//! Counted segments: what the ladder's encoders make.

use bytes::Bytes;
use nowcast_cmaf::{Cut, Misbehaviour, Output, PackageError, Part, VideoPackager};
use nowcast_media::{AccessUnit, FrameRate, Grid, MediaTime, Seconds5, VideoCodec};

use crate::reader::{length, read, segments};

/// The frame rates of docs/contract.md, "The grid".
pub(crate) const RATES: [(u32, u32); 8] =
    [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60_000, 1001), (60, 1)];

pub(crate) fn grid(rate: (u32, u32), part_ms: i64) -> Grid {
    let rate = FrameRate::new(rate.0, rate.1).unwrap();
    Grid::new(rate, MediaTime::from_millis(part_ms), MediaTime::from_millis(2000))
}

/// A unit of a few bytes that carries its number.
pub(crate) fn unit(number: i64, dts: MediaTime, pts: MediaTime, key: bool) -> AccessUnit {
    let mut data = vec![0, 0, 0, 1, 9, 0xf0, 0, 0, 1, if key { 0x65 } else { 0x41 }];
    data.extend(format!("{number}.").bytes());
    AccessUnit { pts, dts, random_access: key, damaged: false, data: Bytes::from(data) }
}

pub(crate) fn drain(packager: &mut VideoPackager) -> Vec<Output> {
    std::iter::from_fn(|| packager.poll_output()).collect()
}

struct Counted {
    grid: Grid,
    packager: VideoPackager,
}

impl Counted {
    fn new(grid: Grid) -> Self {
        Self { grid, packager: VideoPackager::new(VideoCodec::H264, grid, Cut::Counted) }
    }

    fn frame(&mut self, index: i64) -> Result<Vec<Output>, PackageError> {
        let key = index % i64::from(self.grid.segment_frames) == 0;
        self.frame_with(index, key)
    }

    fn frame_with(&mut self, index: i64, key: bool) -> Result<Vec<Output>, PackageError> {
        let time = self.grid.rate.frame_start(index);
        self.packager.handle_unit(&unit(index, time, time, key))?;
        Ok(drain(&mut self.packager))
    }

    fn frames(&mut self, range: std::ops::Range<i64>) -> Vec<Output> {
        range.flat_map(|index| self.frame(index).unwrap()).collect()
    }
}

fn only_part(outputs: &[Output]) -> &Part {
    let [Output::Part(part)] = outputs else { panic!("{outputs:?} is not one part") };
    part
}

#[test]
fn parts_and_segments_are_the_grids_at_every_rate_of_the_contract() {
    for rate in RATES {
        for part_ms in [200, 334, 500, 1000] {
            let grid = grid(rate, part_ms);
            let count = 60 * i64::from(grid.segment_frames);
            let mut stream = Counted::new(grid);
            let (segments, open) = segments(stream.frames(0..count));
            assert_eq!((segments.len(), open.len()), (60, 0));
            let mut end = 0;
            let mut number = 0;
            for segment in &segments {
                assert_eq!(length(segment), ticks(grid, number + grid.segment_frames) - end);
                for (index, part) in segment.iter().enumerate() {
                    assert_eq!(part.base_decode_time, end);
                    end += part.duration;
                    number += part.samples;
                    let printed = Seconds5::from_ticks(part.duration, 90_000);
                    assert!(printed <= grid.part_target(), "{printed} in {grid:?}");
                    if index + 1 < segment.len() {
                        assert_eq!(part.samples, grid.part_frames);
                        assert!(printed.units() * 100 >= grid.part_target().units() * 85);
                    }
                    assert_eq!(part.independent, index == 0);
                    for sample in read(part).samples {
                        assert_eq!(sample.pts, sample.dts);
                    }
                }
            }
        }
    }
}

fn ticks(grid: Grid, frames: u32) -> u64 {
    grid.rate.frame_start(frames.into()).ticks() as u64
}

#[test]
fn five_hours_at_59_94_end_on_the_exact_tick() {
    let grid = grid((60_000, 1001), 200);
    let mut stream = Counted::new(grid);
    let (mut end, mut segments) = (0, 0);
    let hours = 5 * 3600 * 60_000 / 1001 / i64::from(grid.segment_frames);
    for index in 0..hours * i64::from(grid.segment_frames) {
        for output in stream.frame(index).unwrap() {
            match output {
                Output::Part(part) => {
                    assert_eq!(part.base_decode_time, end);
                    end += part.duration;
                }
                Output::SegmentEnd => segments += 1,
            }
        }
    }
    assert_eq!(segments, hours);
    assert_eq!(end, (i128::from(hours) * i128::from(grid.segment_frames) * 90_090 / 60) as u64);
}

#[test]
fn a_part_is_there_as_soon_as_its_last_frame() {
    let mut stream = Counted::new(grid((30, 1), 200));
    for index in 0..5 {
        assert_eq!(stream.frame(index).unwrap(), []);
    }
    let outputs = stream.frame(5).unwrap();
    let part = only_part(&outputs);
    assert_eq!((part.base_decode_time, part.duration, part.samples), (0, 18_000, 6));
    let read = read(part);
    assert_eq!(read.samples[3].data, "\0\0\0\u{3}A3.");
    assert_eq!(read.brands.unwrap(), ["cmfs", "cmff", "cmfl", "iso6"]);
    assert_eq!(read.sequence, 1);
}

#[test]
fn the_last_part_of_a_segment_is_the_short_one_and_ends_it() {
    let mut stream = Counted::new(grid((25, 1), 334));
    stream.frames(0..49);
    assert_eq!(stream.packager.next_segment_start(), Some(MediaTime::from_millis(2000)));
    let outputs = stream.frame(49).unwrap();
    let [Output::Part(part), Output::SegmentEnd] = outputs.as_slice() else { panic!() };
    assert_eq!(part.samples, 50 % 8);
    assert_eq!(stream.packager.open_segment_start(), Some(MediaTime::from_millis(2000)));
    assert_eq!(stream.packager.next_segment_start(), Some(MediaTime::from_millis(4000)));
}

#[test]
fn a_segment_begins_with_a_key_frame_or_not_at_all() {
    let mut stream = Counted::new(grid((30, 1), 200));
    let refused = |index: i64| {
        Err(PackageError::NotRandomAccess { dts: MediaTime::from_ticks(index * 3000) })
    };
    assert_eq!(stream.frame(1), refused(1));
    stream.frames(0..60);
    assert_eq!(stream.frame_with(60, false), refused(60));
    assert_eq!(stream.frame_with(61, false), refused(61));
    // The late key frame begins it, and is shown when it is due.
    let outputs: Vec<_> =
        (62..66).flat_map(|index| stream.frame_with(index, index == 62).unwrap()).collect();
    let part = read(only_part(&outputs));
    assert_eq!((part.samples[0].dts, part.samples[0].duration), (180_000, 9000));
    assert_eq!(part.samples[0].pts, 62 * 3000);
}

#[test]
fn a_key_frame_inside_a_part_makes_the_part_independent() {
    let mut stream = Counted::new(grid((30, 1), 200));
    stream.frames(0..9);
    let outputs = (9..12).flat_map(|i| stream.frame_with(i, i == 9).unwrap()).collect::<Vec<_>>();
    let part = only_part(&outputs);
    assert!(part.independent && !part.starts_segment);
    let sync: Vec<bool> = read(part).samples.iter().map(|sample| sample.sync).collect();
    assert_eq!(sync, [false, false, false, true, false, false]);
}

#[test]
fn a_lost_frame_inside_a_part_stretches_the_one_before() {
    let mut stream = Counted::new(grid((30, 1), 200));
    stream.frames(0..2);
    let outputs = stream.frames(4..6);
    let part = only_part(&outputs);
    assert_eq!((part.duration, part.samples), (18_000, 4));
    let read = read(part);
    assert_eq!(read.samples[1].duration, 9000);
    assert_eq!(read.samples[2].dts, 12_000);
}

#[test]
fn frames_lost_across_a_cut_keep_both_parts_whole() {
    let mut stream = Counted::new(grid((30, 1), 200));
    stream.frames(0..4);
    let outputs = stream.frame(8).unwrap();
    assert_eq!(only_part(&outputs).duration, 18_000);
    let outputs = stream.frames(9..12);
    let part = only_part(&outputs);
    assert_eq!((part.base_decode_time, part.duration, part.samples), (18_000, 18_000, 4));
    let first = &read(part).samples[0];
    assert_eq!((first.dts, first.pts, first.duration), (18_000, 24_000, 9000));
}

#[test]
fn a_hole_larger_than_a_part_asks_for_a_restart() {
    let mut stream = Counted::new(grid((30, 1), 200));
    stream.frames(0..8);
    let gap = PackageError::Gap {
        from: MediaTime::from_ticks(8 * 3000),
        to: MediaTime::from_ticks(18 * 3000),
    };
    assert!(gap.needs_restart());
    assert_eq!(stream.frame_with(18, true), Err(gap));
    stream.packager.restart();
    let outputs = drain(&mut stream.packager);
    let [Output::Part(part), Output::SegmentEnd] = outputs.as_slice() else { panic!() };
    assert_eq!((part.base_decode_time, part.duration), (18_000, 6000));
    let outputs: Vec<_> =
        (18..24).flat_map(|index| stream.frame_with(index, index == 18).unwrap()).collect();
    let part = only_part(&outputs);
    assert!(part.starts_segment);
    assert_eq!((part.base_decode_time, part.duration), (54_000, 18_000));
}

#[test]
fn restart_at_a_boundary_leaves_no_empty_segment() {
    let mut stream = Counted::new(grid((30, 1), 200));
    stream.packager.restart();
    assert_eq!(stream.frames(0..60).len(), 11);
    stream.packager.restart();
    assert_eq!(drain(&mut stream.packager), []);
}

#[test]
fn repeated_and_backward_pictures_are_left_out() {
    let mut stream = Counted::new(grid((30, 1), 200));
    stream.frames(0..4);
    let misbehaved = |what| Err(PackageError::SourceMisbehaved(what));
    assert_eq!(stream.frame(3), misbehaved(Misbehaviour::DecodeTime));
    assert_eq!(stream.frame(1), misbehaved(Misbehaviour::DecodeTime));
    let far = MediaTime::from_millis(9000);
    let late = unit(4, MediaTime::from_ticks(12_000), far, false);
    assert_eq!(stream.packager.handle_unit(&late), Err(Misbehaviour::PresentationTime.into()));
    let empty = AccessUnit { data: Bytes::from_static(&[0, 0, 1, 9, 0xf0]), pts: late.dts, ..late };
    assert_eq!(stream.packager.handle_unit(&empty), Err(Misbehaviour::Empty.into()));
    assert_eq!(only_part(&stream.frames(4..6)).samples, 6);
}

#[test]
fn every_part_says_its_wall_clock_time_once_it_is_known() {
    let mut stream = Counted::new(grid((30, 1), 200));
    assert!(read(only_part(&stream.frames(0..6))).prft.is_none());
    // 2026-11-22T00:00:00Z at the timeline's zero.
    stream.packager.set_anchor(1_795_305_600_000_000);
    let outputs = stream.frames(6..21);
    let Output::Part(part) = &outputs[1] else { panic!() };
    let prft = read(part).prft.unwrap();
    assert_eq!(prft.reference_track_id, 1);
    assert_eq!(prft.media_time, part.base_decode_time);
    assert_eq!(prft.utc_time_semantics, mp4_atom::ReferenceTime::RealTime);
    // Part 2 begins 0.4 s later.
    assert_eq!(prft.ntp_timestamp >> 32, 4_004_294_400);
    let fraction = (prft.ntp_timestamp & 0xffff_ffff) as f64 / f64::from(u32::MAX);
    assert!((fraction - 0.4).abs() < 1e-6, "{fraction}");
}

//! Whatever happens to a stream, every generation of its playlist is legal by itself, after any
//! earlier one, and as a delta update. The judge is a reader that knows nothing of the writer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use nowcast_hls::{
    DateRange, Directives, Edge, MediaPlaylist, PartInfo, Profile, Removed, RenditionReport,
    Resolution,
};
use nowcast_media::{FrameRate, Grid, MediaTime};
use nowcast_testkit::m3u8;
use proptest::prelude::*;

/// A rendition: where a part may be cut, in ticks of its timescale.
#[derive(Clone, Copy, Debug)]
struct Track {
    grid: Grid,
    window: MediaTime,
    /// Sample rate of audio.
    audio: Option<u32>,
}

impl Track {
    fn timescale(&self) -> u32 {
        self.audio.unwrap_or(MediaTime::TIMESCALE)
    }

    fn frame_start(&self, frame: i64) -> u64 {
        let ticks = match self.audio {
            Some(_) => frame * 1024,
            None => self.grid.rate.frame_start(frame).ticks(),
        };
        ticks.try_into().unwrap()
    }

    fn part_frames(&self) -> u32 {
        self.audio.map_or(self.grid.part_frames, |rate| self.grid.audio_part_frames(rate))
    }

    fn segment_frames(&self) -> u32 {
        self.audio.map_or(self.grid.segment_frames, |rate| {
            let end = self.grid.rate.frame_start(self.grid.segment_frames.into());
            u32::try_from(end.to_scale(rate) / 1024).unwrap().max(1)
        })
    }
}

/// What a segment will be.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// How much of a whole segment it lasts, in percent.
    percent: u32,
    /// A new init section, and so a discontinuity.
    init: bool,
    discontinuity: bool,
    /// Parts from this one on are missing.
    gap_from: Option<u32>,
    /// Whether its init section is known in a generation of its own, before its first part.
    announced: bool,
    /// Whether what the window can do without is taken out at its end.
    evict: bool,
    range: Range,
}

/// What happens to date ranges when a segment begins.
#[derive(Clone, Copy, Debug)]
enum Range {
    Nothing,
    /// One opens so many milliseconds from there.
    Opens(i64),
    /// The oldest that is open ends.
    Ends,
}

fn track() -> impl Strategy<Value = Track> {
    let rates = [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (60, 1), (7, 1), (5, 1)];
    let audio = prop_oneof![3 => Just(None), 1 => Just(Some(48_000)), 1 => Just(Some(44_100))];
    (prop::sample::select(rates.to_vec()), 150..700_i64, 1000..3500_i64, 0..60_i64, audio).prop_map(
        |((num, den), part, segment, window, audio)| {
            let rate = FrameRate::new(num, den).unwrap();
            let grid =
                Grid::new(rate, MediaTime::from_millis(part), MediaTime::from_millis(segment));
            Track { grid, window: MediaTime::from_millis(window * 1000), audio }
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let percent = prop_oneof![4 => Just(100), 1 => 1..100_u32];
    let gap_from = prop_oneof![8 => Just(None), 1 => Just(Some(0)), 1 => (0..5_u32).prop_map(Some)];
    let range = prop_oneof![
        2 => Just(Range::Nothing),
        1 => (-3000..3000_i64).prop_map(Range::Opens),
        1 => Just(Range::Ends)
    ];
    let rare = || prop::bool::weighted(0.1);
    (percent, rare(), rare(), gap_from, any::<(bool, bool)>(), range).prop_map(
        |(percent, init, discontinuity, gap_from, (announced, evict), range)| Plan {
            percent,
            init,
            discontinuity: discontinuity || init,
            gap_from,
            announced,
            evict,
            range,
        },
    )
}

/// A playlist under test and the generations a player could have read.
struct Stream {
    track: Track,
    playlist: MediaPlaylist,
    frame: i64,
    part: u64,
    inits: u32,
    removed: Vec<Removed>,
    /// All there ever were: the playlist knows which of them to leave out.
    ranges: Vec<DateRange>,
    generations: Vec<(Edge, m3u8::MediaPlaylist)>,
}

const FIRST_MSN: u64 = 41;
const START_MS: i64 = 1_795_996_799_040;

impl Stream {
    fn new(track: Track) -> Self {
        let profile = Profile::new(&track.grid, track.window);
        Self {
            track,
            playlist: MediaPlaylist::new(profile, track.timescale(), FIRST_MSN),
            frame: 0,
            part: 0,
            inits: 0,
            removed: Vec::new(),
            ranges: Vec::new(),
            generations: Vec::new(),
        }
    }

    fn ticks(&self) -> u64 {
        self.track.frame_start(self.frame)
    }

    fn segment(&mut self, plan: Plan) {
        let scale = u64::from(self.track.timescale());
        let date = START_MS + i64::try_from((self.ticks() * 1000 + scale / 2) / scale).unwrap();
        self.inits += u32::from(plan.init);
        let init = format!("init-{}.mp4", self.inits);
        self.change_ranges(plan.range, date);
        if plan.announced {
            self.playlist.announce_init(&init);
            self.publish();
            let (_, now) = self.generations.last().unwrap();
            let news = now.segments.last().is_some_and(|last| last.init.as_ref() != Some(&init));
            assert_eq!(now.map_hint, Some(init.clone()).filter(|_| news));
        }
        self.playlist.begin_segment(date, &init, plan.discontinuity);
        let mut frames = (self.track.segment_frames() * plan.percent / 100).max(1);
        let mut index = 0;
        while frames > 0 {
            let length = frames.min(self.track.part_frames());
            let start = self.ticks();
            self.frame += i64::from(length);
            self.playlist.add_part(PartInfo {
                number: self.part,
                duration: self.ticks() - start,
                independent: index == 0 || self.track.audio.is_some(),
                gap: plan.gap_from.is_some_and(|from| index >= from),
            });
            frames -= length;
            (self.part, index) = (self.part + 1, index + 1);
            if frames > 0 {
                self.publish();
            }
        }
        // Half of the segments end together with their last part, the others a generation later.
        if plan.announced {
            self.publish();
        }
        self.playlist.end_segment();
        if plan.evict {
            self.removed.extend(self.playlist.evict());
        }
        self.publish();
    }

    fn change_ranges(&mut self, change: Range, date: i64) {
        match change {
            Range::Nothing => return,
            Range::Opens(offset) => self.ranges.push(DateRange {
                id: format!("poll-{}", self.ranges.len()),
                class: "live.nowcast.poll".into(),
                start_unix_ms: date + offset,
                duration_ms: None,
                planned_duration_ms: (offset % 2 == 0).then_some(2000),
                attributes: vec![("X-NOWCAST-EVENT".into(), "eyJ9".to_owned())],
            }),
            Range::Ends => {
                let Some(open) = self.ranges.iter_mut().find(|one| one.duration_ms.is_none())
                else {
                    return;
                };
                open.duration_ms = Some(u64::try_from(date - open.start_unix_ms).unwrap_or(0));
                open.attributes.push(("X-NOWCAST-RESULT".into(), "e30".to_owned()));
            }
        }
        self.playlist.set_date_ranges(&self.ranges);
    }

    /// Renders, and judges what was rendered.
    fn publish(&mut self) {
        let edge = self.playlist.edge();
        let position = edge.report_position();
        let reports: Vec<_> = position
            .iter()
            .map(|&(last_msn, last_part)| RenditionReport {
                uri: "../other/index.m3u8",
                last_msn,
                last_part,
            })
            .collect();
        let rendered = self.playlist.render(&reports);
        let now = m3u8::MediaPlaylist::read(&rendered.full)
            .unwrap_or_else(|fault| panic!("{fault}\n{}", rendered.full));
        now.check().unwrap_or_else(|fault| panic!("{fault}\n{}", rendered.full));
        assert_eq!(
            now.last_part(),
            position.map(|(msn, part)| (msn, part as usize)),
            "the edge is what the text says"
        );
        assert_eq!(edge.first_msn(), now.media_sequence);
        assert_eq!(now.media_sequence, FIRST_MSN + self.removed.len() as u64);
        if let Some(first) = now.all().next().and_then(|first| first.program_date_time) {
            let lasts = |one: &&DateRange| one.duration_ms.map(|ms| ms.try_into().unwrap());
            let there = |one: &&DateRange| {
                lasts(one).is_none_or(|lasts: i64| one.start_unix_ms + lasts >= first)
            };
            let expected: Vec<_> = self.ranges.iter().filter(there).map(|one| &one.id).collect();
            let listed: Vec<_> = now.date_ranges.iter().map(|one| &one.id).collect();
            assert_eq!(listed, expected);
        }
        assert_eq!(now.part_hint, self.playlist.next_part().map(|next| format!("p{next}.m4s")));

        // Its predecessor and two far ones: a player may have slept through anything between.
        let last = self.generations.len();
        for index in [last.checked_sub(1), last.checked_sub(17), Some(0)].into_iter().flatten() {
            let Some((_, before)) = self.generations.get(index) else { continue };
            if before.media_sequence + before.segments.len() as u64 > now.media_sequence {
                now.follows(before).unwrap_or_else(|fault| panic!("{fault}\n{}", rendered.full));
            }
        }
        self.judge_delta(&now, rendered.delta.as_deref());
        self.generations.push((edge, now));
    }

    /// §6.2.5.1: it skips what ends before the boundary, and a player rebuilds the whole from it.
    fn judge_delta(&self, now: &m3u8::MediaPlaylist, delta: Option<&str>) {
        let mut distance = 0;
        let mut beyond = 0;
        for segment in now.segments.iter().rev() {
            beyond += u64::from(distance > now.head.can_skip_until);
            distance += segment.duration;
        }
        let expected = if now.ended { 0 } else { beyond };
        let Some(delta) = delta else {
            assert_eq!(expected, 0, "nothing skipped");
            return;
        };
        let read =
            m3u8::MediaPlaylist::read(delta).unwrap_or_else(|fault| panic!("{fault}\n{delta}"));
        assert_eq!(read.skipped, Some(expected));
        assert!(expected > 0, "a delta update that skips nothing");
        let mut merged = 0;
        for (_, before) in self.generations.iter().rev().step_by(7).take(5) {
            if let Ok(whole) = m3u8::MediaPlaylist::merge(before, read.clone()) {
                assert_eq!(&whole, now);
                merged += 1;
            }
        }
        assert!(merged > 0, "no earlier generation to build on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_generation_is_legal_whatever_the_history(
        track in track(),
        plans in prop::collection::vec(plan(), 1..40),
        asked in prop::collection::vec((-3..4_i64, prop::option::of(0..40_u32)), 8),
    ) {
        let mut stream = Stream::new(track);
        for plan in plans {
            stream.segment(plan);
        }
        stream.playlist.end();
        stream.publish();

        for (edge, text) in &stream.generations {
            let last = FIRST_MSN.max(text.last_part().map_or(0, |(msn, _)| msn));
            for &(offset, part) in &asked {
                let msn = last.saturating_add_signed(offset);
                let answer = edge.resolve(&Directives { msn: Some(msn), part, skip: false });
                // Never early, never late. A part past a closed segment's end is part 0 of the next.
                let there = text.ended || text.reaches(msn, part.map(Into::into));
                prop_assert_eq!(answer == Resolution::Ready, there, "{:?} of {:?}", (msn, part), edge);
            }
        }

        for (index, removed) in stream.removed.iter().enumerate() {
            prop_assert_eq!(removed.msn, FIRST_MSN + index as u64);
            let listing = stream.generations.iter().filter_map(|(_, text)| {
                let listed = text.segments.iter().find(|segment| segment.msn == removed.msn)?;
                let open: u64 = text.open.iter().flat_map(|open| &open.parts).map(|p| p.duration).sum();
                Some(listed.duration + text.segments.iter().map(|s| s.duration).sum::<u64>() + open)
            });
            let least = i64::try_from(listing.max().unwrap_or(0) * 9 / 10).unwrap();
            // A hundred ticks for decimals.
            prop_assert!(removed.retention.ticks() + 100 >= least, "{:?} < {}", removed, least);
        }
    }
}

/// The grid of CONTRACT.md's `part = "200ms"`, at a rate whose frames are no whole ticks.
fn contract_track(audio: Option<u32>) -> Track {
    let rate = FrameRate::new(24_000, 1001).unwrap();
    let grid = Grid::new(rate, MediaTime::from_millis(200), MediaTime::from_millis(2000));
    Track { grid, window: MediaTime::from_millis(60_000), audio }
}

#[test]
fn hours_of_stream_leave_no_error_behind() {
    for audio in [None, Some(48_000), Some(44_100)] {
        let track = contract_track(audio);
        let mut stream = Stream::new(track);
        let (mut listed, mut longest_text, mut longest_delta) = (0, 0, 0);
        for msn in 0..6 * 1800_u64 {
            stream.playlist.begin_segment(START_MS, "init-0.mp4", false);
            let mut frames = track.segment_frames();
            while frames > 0 {
                let length = frames.min(track.part_frames());
                let start = stream.ticks();
                stream.frame += i64::from(length);
                let duration = stream.ticks() - start;
                let number = stream.part;
                stream.playlist.add_part(PartInfo {
                    number,
                    duration,
                    independent: true,
                    gap: false,
                });
                stream.part += 1;
                frames -= length;
            }
            stream.playlist.end_segment();
            stream.removed.extend(stream.playlist.evict());
            let rendered = stream.playlist.render(&[]);
            let extinf = rendered.full.rsplit_once("#EXTINF:").unwrap().1;
            let (extinf, rest) = extinf.split_once(",\n").unwrap();
            listed += extinf.replace('.', "").parse::<u64>().unwrap();
            assert!(rest.starts_with(&format!("s{}.m4s\n", FIRST_MSN + msn)), "{rest}");
            longest_text = longest_text.max(rendered.full.len());
            longest_delta = longest_delta.max(rendered.delta.map_or(0, |delta| delta.len()));
        }
        let exact = u128::from(stream.ticks()) * 100_000 / u128::from(track.timescale());
        assert!(u128::from(listed).abs_diff(exact) <= 1, "{listed} listed of {exact}");
        // 60 s of 2 s segments, and one more while the next is waited for.
        let kept = 6 * 1800 - stream.removed.len();
        assert!((29..=32).contains(&kept), "{kept} segments listed");
        assert!(longest_text < 9_000 && longest_delta < 6_000, "{longest_text}, {longest_delta}");
    }
}

//! Sources that stay away, in simulated time: what is listed while they do, and when they are back.

use std::time::Duration;

use super::*;

/// Time goes on in steps of so many microseconds.
const STEP: i64 = 10_000;

/// A session of two rungs with an encoder that takes no time, watched all the time.
struct Sim {
    session: LiveSession,
    start: Instant,
    /// Microseconds since the start.
    now: i64,
    /// The frames before this one are encoded.
    made: i64,
    /// The source is back, and shown once a part begins.
    returns: bool,
    seen: BTreeMap<String, MediaPlaylist>,
    /// By how much a part was late at the most, in microseconds.
    latest: i64,
}

/// A source: its rate and its clock, when it begins and ends, and how late it is.
struct Sending {
    rate: i64,
    clock: i64,
    from: i64,
    to: i64,
    sound: bool,
}

impl Sim {
    fn new(rate: FrameRate) -> Self {
        let session = session_of(Mode::Transcode, &source(rate), 2);
        let (start, seen) = (Instant::now(), BTreeMap::new());
        Self { session, start, now: 0, made: 0, returns: false, seen, latest: 0 }
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now.unsigned_abs())
    }

    /// The encoder makes the frames before `until`.
    fn encode(&mut self, until: i64, picture: bool) {
        let grid = self.session.grid;
        for index in self.made..until {
            let offset = u32::try_from(index % i64::from(grid.segment_frames)).unwrap();
            let back = picture && self.returns && offset.is_multiple_of(grid.part_frames);
            self.returns &= !back;
            let key = back || grid.key_frame_at(offset);
            for rung in 0..2 {
                let data = Bytes::from_static(if key { KEY } else { OTHER });
                self.session.encoded(&EncodedFrame { rung, index, key, data }).unwrap();
            }
        }
        self.made = self.made.max(until);
    }

    /// Time goes on to a moment, with these sources.
    fn run(&mut self, until: i64, sources: &[Sending]) {
        while self.now < until {
            for source in sources {
                self.receive(source);
            }
            if self.now % 50_000 == 0 {
                let (overdue, released) = self.session.keep_cadence(self.instant());
                released.unwrap();
                if let Some(due) = overdue {
                    self.encode(due.until, false);
                }
            }
            self.watch();
            self.now += STEP;
        }
    }

    /// What a source sends within this step.
    fn receive(&mut self, source: &Sending) {
        let now = self.now;
        let between = |rate: i64| {
            let count =
                |at: i64| (at.clamp(source.from, source.to) - source.from) * rate / 1_000_000;
            count(now)..count(now + STEP)
        };
        for index in between(source.rate) {
            let time = MediaTime::from_ticks(source.clock + index * 90_000 / source.rate);
            let placed = self.session.place(unit(time, index % 60 == 0), self.instant());
            if let Some(placed) = placed {
                self.encode(self.session.grid.rate.nearest_frame(placed.pts) + 1, true);
            }
        }
        if source.sound {
            for index in between(48_000 / 1024 + 1) {
                // A little fewer than there should be: silence makes up for them.
                let pts = MediaTime::from_ticks(source.clock + index * 90_000 / 47);
                let data = Bytes::from_static(&[0x21]);
                self.session.audio(SOUND, AudioFrame { pts, data }).unwrap();
            }
        }
    }

    /// Every generation is legal after the one before, and lists every part in its time.
    fn watch(&mut self) {
        if !self.session.playable() {
            return;
        }
        for name in ["0p", "1p", "audio"] {
            let (_, now) = look(&self.session, name);
            let Some(old) = self.seen.get(name) else {
                self.seen.insert(name.to_owned(), now);
                continue;
            };
            if *old != now {
                now.follows(old).unwrap();
                assert!(now.all().all(|segment| !segment.discontinuity), "{name} at {}", self.now);
                self.seen.insert(name.to_owned(), now.clone());
            }
            let segment = now.all().last().unwrap();
            let parts: u64 = segment.parts.iter().map(|part| part.duration).sum();
            let date = segment.program_date_time.unwrap() * 1000;
            let listed = date - START + i64::try_from(parts).unwrap() * 10;
            // When the part after that is whole.
            let next = listed + i64::try_from(now.head.part_target).unwrap() * 10;
            self.latest = self.latest.max(self.now - next);
        }
    }

    fn phase(&self) -> (i64, i64) {
        (self.now, self.made)
    }
}

fn usual(from: i64, to: i64) -> Sending {
    Sending { rate: 30, clock: 5_000_000, from, to, sound: true }
}

const S: i64 = 1_000_000;

#[test]
fn a_publisher_that_comes_and_goes_leaves_no_seam_and_no_part_comes_late() {
    let mut sim = Sim::new(FrameRate::new(30, 1).unwrap());
    sim.run(8 * S + 123_456, &[usual(0, 8 * S + 123_456)]);
    let mut moment = sim.now;
    for (rate, clock, away) in [(25, 77, 2 * S), (60, 1 << 32, 12 * S), (30, 4, S / 2), (5, 9, S)] {
        // It is silent for two seconds before that is noticed.
        moment += 2 * S;
        sim.run(moment, &[]);
        sim.session.lose_source(sim.instant());
        moment += away;
        sim.run(moment, &[]);
        sim.session.take_back();
        let tracks = if rate > 5 { vec![track(SOUND, None, 48_000).track] } else { Vec::new() };
        sim.session.audio_tracks(&tracks);
        sim.returns = true;
        let source = Sending { rate, clock, from: sim.now, to: sim.now + 6 * S, sound: rate > 5 };
        moment += 6 * S;
        sim.run(moment, &[source]);
        assert!(!sim.returns, "it is back");
    }
    let (now, made) = sim.phase();
    assert!((now * 30 / S - made).abs() <= 14, "frame {made} after {now}");
    println!("the latest part came {} ms late", sim.latest / 1000);
    assert!(sim.latest <= 334_000 + 67_000 + 50_000 + STEP, "{} us late", sim.latest);
    for name in ["0p", "1p", "audio"] {
        assert!(sim.seen[name].all().count() > 15, "{name}");
    }
    sim.session.end();
    assert!(look(&sim.session, "0p").1.ended);
}

#[test]
fn a_source_whose_bytes_only_stall_for_less_than_a_part_is_not_disturbed() {
    let mut sim = Sim::new(FrameRate::new(30, 1).unwrap());
    sim.run(6 * S, &[usual(0, 6 * S)]);
    let begun = sim.made;
    // Nothing for 300 ms, then all of it at once.
    sim.run(6 * S + 300_000, &[]);
    assert_eq!(sim.made, begun, "no frame is made without its picture");
    let mut placed = Vec::new();
    for index in 180..189 {
        let time = MediaTime::from_ticks(5_000_000 + index * 3000);
        placed.push(sim.session.place(unit(time, false), sim.instant()).unwrap().pts);
        sim.encode(index + 1, true);
    }
    let expected: Vec<_> = (180..189).map(|index| MediaTime::from_ticks(index * 3000)).collect();
    assert_eq!(placed, expected);
}

#[test]
fn events_have_a_place_while_the_publisher_is_away() {
    let cues = Arc::<Cues>::default();
    let position = cues.position();
    let source = source(FrameRate::new(30, 1).unwrap());
    let session = session_with_cues(Mode::Transcode, &source, 2, cues);
    let mut sim = Sim { session, ..Sim::new(FrameRate::new(30, 1).unwrap()) };
    sim.run(6 * S, &[usual(0, 6 * S)]);
    sim.session.lose_source(sim.instant());
    sim.run(16 * S, &[]);
    let at = position.borrow().expect("media flows");
    assert!((at.index - 16 * 30).abs() <= 30, "{at:?}");
    assert_eq!(at.anchor, START);
}

#[test]
fn passed_through_media_is_missing_in_whole_parts_of_all_renditions_until_one_discontinuity() {
    let rate = FrameRate::new(30_000, 1001).unwrap();
    let mut session = session_of(Mode::Passthrough, &source(rate), 0);
    let start = Instant::now();
    let at = |millis: u64| start + Duration::from_millis(millis);
    let mut audio = 0;
    let mut pass = |session: &mut LiveSession, frames: std::ops::Range<i64>, from: u64| {
        for index in frames.clone() {
            let time = session.grid.rate.frame_start(index);
            let came = from + u64::try_from((index - frames.start) * 1001 / 30).unwrap();
            let one = unit(time, (index - frames.start) % 60 == 0);
            if session.ends_gap(&one) {
                session.restart(START + i64::try_from(came).unwrap() * 1000);
            }
            let Some(unit) = session.place(one, at(came)) else { continue };
            session.pass_through(&unit).unwrap();
            feed_audio(session, &mut audio, time);
        }
    };
    pass(&mut session, 0..200, 0);
    let mut before = ["source", "audio"].map(|name| look(&session, name).1);
    // The last picture came after 6.64 s. Late ones may come for a while; then they are missing.
    for now in (6650_u64..20_000).step_by(50) {
        session.keep_cadence(at(now)).1.unwrap();
        for (name, old) in ["source", "audio"].iter().zip(&mut before) {
            let (view, new) = look(&session, name);
            new.follows(old).unwrap();
            let gap = new.all().last().and_then(|it| it.parts.last()).is_some_and(|it| it.gap);
            assert_eq!(gap, now > 8145, "{name} at {now}");
            assert!(view.next_part.is_some());
            *old = new;
        }
    }
    let ends = before.each_ref().map(|playlist| {
        let last = playlist.all().last().unwrap();
        let parts: u64 = last.parts.iter().map(|part| part.duration).sum();
        last.program_date_time.unwrap() - START / 1000 + i64::try_from(parts / 100).unwrap()
    });
    // A part and two frames behind the clock, and a part not yet whole; audio within a frame of its own.
    for end in ends {
        assert!((19_950 - 401 - 334..=19_950 - 400).contains(&end), "{end} ms");
    }
    assert!(ends[0].abs_diff(ends[1]) <= 22, "{ends:?}");
    let missing = |playlist: &MediaPlaylist| {
        let gaps = playlist.segments.iter().filter(|segment| segment.gap);
        gaps.map(|segment| (segment.msn, segment.duration)).collect::<Vec<_>>()
    };
    assert!(missing(&before[0]).len() >= 4);
    assert!(missing(&before[0]).iter().all(|(_, duration)| duration.abs_diff(200_200) <= 2));
    // The same source goes on: from its next key frame.
    pass(&mut session, 600..780, 20_020);
    for (name, old) in ["source", "audio"].iter().zip(&before) {
        let (_, new) = look(&session, name);
        new.follows(old).unwrap();
        assert_eq!(new.all().filter(|segment| segment.discontinuity).count(), 1, "{name}");
        assert_eq!(missing(&new)[..3], missing(old)[..3]);
    }
}

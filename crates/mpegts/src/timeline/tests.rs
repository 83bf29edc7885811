use super::*;

const FRAME: i64 = 3000;
const AUDIO: i64 = 1920;

/// A source whose packets are interleaved, on a clock that can be set.
struct Source {
    timeline: Timeline,
    now: Duration,
    /// Every unit handed on, and in which epoch.
    units: Vec<(Track, i64)>,
    epochs: usize,
}

impl Source {
    fn new() -> Self {
        Self { timeline: Timeline::default(), now: Duration::ZERO, units: Vec::new(), epochs: 0 }
    }

    fn send(&mut self, track: Track, stamp: i64) -> i64 {
        let stamp = u64::try_from(stamp.rem_euclid(1 << 33)).unwrap();
        let placed = self.timeline.place(track, stamp, self.now);
        self.epochs += usize::from(placed.new_epoch);
        let step = MediaTime::from_ticks(match track {
            Track::Video => FRAME,
            Track::Audio(_) => AUDIO,
        });
        self.timeline.expect(track, placed.time + step);
        let time = self.timeline.rising(track, placed.time).ticks();
        self.units.push((track, time));
        time
    }

    /// Sends `count` pictures from `start` on, with the audio `lag` behind them; leaves off at both ends alike.
    fn run(&mut self, start: i64, count: i64, lag: i64) {
        let mut audio = start;
        for picture in 0..count {
            let time = start + picture * FRAME;
            self.now += Duration::from_micros(33_333);
            self.send(Track::Video, time);
            while audio <= time - lag {
                self.send(Track::Audio(1), audio);
                audio += AUDIO;
            }
        }
    }
}

#[test]
fn a_wrap_is_no_jump() {
    let mut source = Source::new();
    source.run((1 << 33) - 10 * FRAME, 20, 0);
    assert_eq!(source.epochs, 0);
    let video: Vec<i64> = of(&source, |track| matches!(track, Track::Video));
    assert!(video.windows(2).all(|pair| pair[1] - pair[0] == FRAME), "{video:?}");
}

#[test]
fn a_jump_of_both_tracks_makes_one_epoch_whichever_way_and_whichever_track_comes_first() {
    for jump in
        [-90_000_000, -900_000, -90_000, 135_000, 900_000, 95_443 * 45_000, -95_443 * 45_001]
    {
        for lag in [0, 9_000, 27_000] {
            let mut source = Source::new();
            source.run(1_000_000, 90, lag);
            let end = 1_000_000 + 90 * FRAME;
            // The audio that lags behind comes after the first pictures of the new clock.
            let heard = 1_000_000 + 89 * FRAME - lag;
            let first = source.send(Track::Video, end + jump);
            let mut stale = Vec::new();
            let mut audio = heard - (heard - 1_000_000) % AUDIO + AUDIO;
            while audio < end {
                stale.push(source.send(Track::Audio(1), audio) - audio);
                audio += AUDIO;
            }
            source.send(Track::Video, end + jump + FRAME);
            let next = source.send(Track::Audio(1), audio + jump);
            assert_eq!(source.epochs, 1, "a jump of {jump} with {lag} of lag");
            // Modulo the wrap, old stamps are carried over by the jump, and new ones are taken as they are.
            let carried = first - end;
            assert!(stale.iter().all(|shift| *shift == carried), "{stale:?}, {carried}");
            assert_eq!(next - audio, carried);
        }
    }
    // Audio first.
    let mut source = Source::new();
    source.run(1_000_000, 90, 0);
    let end = 1_000_000 + 90 * FRAME;
    let heard = source.send(Track::Audio(1), 500_000);
    let stale = source.send(Track::Video, end);
    let fresh = source.send(Track::Video, 500_000 + FRAME);
    assert_eq!(source.epochs, 1);
    assert_eq!(heard, 500_000);
    assert!((stale - heard).abs() < 2 * FRAME, "{stale} is carried over to {heard}");
    assert_eq!(fresh, 500_000 + FRAME);
}

#[test]
fn a_track_that_does_not_follow_stays_in_step() {
    let mut source = Source::new();
    source.run(1_000_000, 90, 0);
    for unit in 0..300 {
        let video = source.send(Track::Video, 50_000_000 + unit * FRAME);
        let audio = source.send(Track::Audio(1), 1_000_000 + 90 * FRAME + unit * FRAME);
        assert!((video - audio).abs() < 2 * FRAME, "{video} and {audio}");
    }
    assert_eq!(source.epochs, 1);
}

#[test]
fn a_gap_that_the_clock_on_the_wall_explains_is_no_jump() {
    let mut source = Source::new();
    source.run(1_000_000, 30, 0);
    source.now += Duration::from_secs(7);
    source.run(1_000_000 + 30 * FRAME + 7 * 90_000, 30, 0);
    assert_eq!(source.epochs, 0);
    source.run(1_000_000 + 60 * FRAME + 20 * 90_000, 30, 0);
    assert_eq!(source.epochs, 1);
}

#[test]
fn times_that_fall_back_a_little_rise_all_the_same() {
    let mut source = Source::new();
    source.run(1_000_000, 30, 0);
    source.run(1_000_000 + 27 * FRAME, 30, 0);
    assert_eq!(source.epochs, 0);
    for track in [true, false] {
        let times = of(&source, |found| matches!(found, Track::Video) == track);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    }
}

fn of(source: &Source, wanted: impl Fn(Track) -> bool) -> Vec<i64> {
    source.units.iter().filter(|unit| wanted(unit.0)).map(|unit| unit.1).collect()
}

#[test]
fn tracks_that_jump_one_after_the_other_make_one_epoch_in_any_order() {
    let mut tracks = [Track::Video, Track::Audio(1), Track::Audio(2), Track::Audio(3)];
    for jump in [-90_000_000, -90_000, 135_000, 900_000] {
        tracks.rotate_left(1);
        let mut source = Source::new();
        for round in 0..60 {
            source.now += Duration::from_millis(20);
            // One track a round goes over to the new clock.
            let over = |at: usize| i64::from(round >= 50 + at as i64) * jump;
            let send = |(at, &track)| source.send(track, 1_000_000 + round * 1800 + over(at));
            let times: Vec<i64> = tracks.iter().enumerate().map(send).collect();
            let apart = times.iter().max().unwrap() - times.iter().min().unwrap();
            assert!(apart <= 2 * FRAME, "{apart} apart in round {round}, a jump of {jump}");
        }
        assert_eq!(source.epochs, 1, "{tracks:?}, a jump of {jump}");
    }
}

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::cmcd::Report;
use crate::flow::{Audience, StreamName};

/// A session that says nothing for so long is over; players report every ten seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// Sessions that are kept at one time, a hundred bytes each. With more, "at least" is told.
const MOST: usize = 100_000;
/// Reporting sessions that are enough to know the others by: beyond, a share of the players reports.
const ENOUGH: usize = 2_000;
/// The most sessions that one may claim to stand for.
const MOST_SAMPLE: u32 = 1024;

/// The sessions there are, by a hash of their ids: ids are of any length, and who invents them must not
/// choose where they are kept.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: HashMap<u64, Session>,
    hasher: RandomState,
    /// Times that buffers ran dry, since the server started.
    stalls: HashMap<StreamName, u64>,
    /// One more came than can be kept; until when that is told.
    overflown: Option<Instant>,
    /// One in so many players shall report.
    sample: u32,
}

#[derive(Debug)]
struct Session {
    stream: StreamName,
    seen: Instant,
    latency_ms: Option<u32>,
    buffer_ms: Option<u32>,
    kbps: Option<u32>,
    starvations: Option<u32>,
    stands_for: u32,
}

impl Sessions {
    /// Takes a report; `stream` is what it is about, if it says so itself.
    pub(super) fn note(&mut self, report: &Report<'_>, stream: Option<&StreamName>, now: Instant) {
        let Some(id) = &report.session else { return };
        let id = self.hasher.hash_one(&**id);
        if report.over || report.sample == Some(0) {
            self.known.remove(&id);
            return;
        }
        let full = self.known.len() >= MOST;
        let session = match self.known.get_mut(&id) {
            Some(session) => session,
            None if full => {
                self.overflown = Some(now + SILENCE);
                return;
            }
            None => {
                let Some(stream) = stream.cloned() else { return };
                self.known.entry(id).or_insert(Session {
                    stream,
                    seen: now,
                    latency_ms: None,
                    buffer_ms: None,
                    kbps: None,
                    // What happened before is not of now: it may have been counted by another server.
                    starvations: report.starvations,
                    stands_for: 1,
                })
            }
        };
        if let Some(stream) = stream.filter(|stream| session.stream != **stream) {
            session.stream = stream.clone();
        }
        session.seen = now;
        session.latency_ms = report.latency_ms.or(session.latency_ms);
        session.buffer_ms = report.buffer_ms.or(session.buffer_ms);
        session.kbps = report.kbps.or(session.kbps);
        if let Some(sample) = report.sample {
            session.stands_for = sample.clamp(1, MOST_SAMPLE);
        }
        let stalls = match (report.starvations, session.starvations) {
            (Some(all), Some(before)) => all.saturating_sub(before),
            (Some(all), None) => all,
            (None, _) => u32::from(report.starved),
        };
        session.starvations = report.starvations.or(session.starvations);
        if stalls > 0 {
            let stalls = u64::from(stalls) * u64::from(session.stands_for);
            *self.stalls.entry(session.stream.clone()).or_default() += stalls;
        }
    }

    /// One in how many players shall report.
    pub(super) fn sample(&self) -> u32 {
        self.sample.max(1)
    }

    /// Forgets who is gone, and tells what is known of each stream's sessions.
    pub(super) fn count(&mut self, now: Instant) -> HashMap<StreamName, Audience> {
        self.known.retain(|_, session| now.duration_since(session.seen) < SILENCE);
        if self.overflown.is_some_and(|until| until < now) {
            self.overflown = None;
        }
        let mut streams: HashMap<&StreamName, Vec<&Session>> = HashMap::new();
        for session in self.known.values() {
            streams.entry(&session.stream).or_default().push(session);
        }
        let all: u64 = self.known.values().map(|session| u64::from(session.stands_for)).sum();
        let sample = all.div_ceil(ENOUGH as u64).next_power_of_two();
        self.sample = u32::try_from(sample).unwrap_or(MOST_SAMPLE).min(MOST_SAMPLE);
        let mut told: HashMap<StreamName, Audience> = streams
            .into_iter()
            .map(|(stream, sessions)| (stream.clone(), audience(&sessions)))
            .collect();
        for (stream, stalls) in &self.stalls {
            told.entry(stream.clone()).or_default().stalls = *stalls;
        }
        for audience in told.values_mut() {
            audience.at_least = self.overflown.is_some();
        }
        told
    }

    /// Forgets the streams that are gone.
    pub(super) fn keep(&mut self, there: impl Fn(&StreamName) -> bool) {
        self.stalls.retain(|stream, _| there(stream));
        self.known.retain(|_, session| there(&session.stream));
    }
}

fn audience(sessions: &[&Session]) -> Audience {
    let mut latencies: Vec<_> = sessions.iter().filter_map(|session| session.latency_ms).collect();
    latencies.sort_unstable();
    let mut buffers: Vec<_> = sessions.iter().filter_map(|session| session.buffer_ms).collect();
    buffers.sort_unstable();
    let rates: Vec<_> = sessions.iter().filter_map(|session| session.kbps).collect();
    let mean = rates.iter().copied().map(u64::from).sum::<u64>().checked_div(rates.len() as u64);
    Audience {
        reported: sessions.iter().map(|session| u64::from(session.stands_for)).sum(),
        latency_ms: quantile(&latencies, 50),
        latency_p95_ms: quantile(&latencies, 95),
        buffer_ms: quantile(&buffers, 50),
        bitrate: mean.map(|kbps| kbps * 1000),
        ..Audience::default()
    }
}

fn quantile(sorted: &[u32], percent: usize) -> Option<u32> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> StreamName {
        StreamName::new(name).unwrap()
    }

    fn report(id: &str) -> Report<'_> {
        Report { session: Some(id.into()), ..Report::default() }
    }

    #[test]
    fn sessions_are_counted_once_and_forgotten_when_they_are_silent_or_over() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let (live, other) = (name("live"), name("other"));
        for second in 0..20 {
            let now = now + Duration::from_secs(second);
            for (id, latency) in [("a", 700), ("b", 900), ("c", 5000)] {
                let report = Report { latency_ms: Some(latency), ..report(id) };
                sessions.note(&report, Some(&live), now);
            }
        }
        // A report that names no stream belongs to the session's.
        sessions.note(&report("a"), None, now + Duration::from_secs(25));
        sessions.note(&report("nobody"), None, now);
        sessions.note(&report("d"), Some(&other), now + Duration::from_secs(25));
        let at =
            |sessions: &mut Sessions, second| sessions.count(now + Duration::from_secs(second));
        let told = at(&mut sessions, 30);
        let audience = &told[&live];
        assert_eq!((audience.reported, told[&other].reported), (3, 1));
        assert_eq!((audience.latency_ms, audience.latency_p95_ms), (Some(900), Some(5000)));
        assert_eq!(at(&mut sessions, 50)[&live].reported, 1);
        let over = Report { over: true, ..report("a") };
        sessions.note(&over, None, now + Duration::from_secs(50));
        assert!(!at(&mut sessions, 51).contains_key(&live));
    }

    #[test]
    fn stalls_are_counted_by_what_was_added_since() {
        let (mut sessions, now, live) = (Sessions::default(), Instant::now(), name("live"));
        let mut say = |starvations, starved| {
            let report = Report { starvations, starved, ..report("a") };
            sessions.note(&report, Some(&live), now);
            sessions.count(now)[&live].stalls
        };
        let told = [say(Some(3), false), say(Some(3), true), say(Some(5), true), say(None, true)];
        assert_eq!(told, [0, 0, 2, 3]);
        assert_eq!(say(Some(1), false), 3, "a player that began anew");
    }

    #[test]
    fn a_hundred_thousand_are_kept_and_more_are_told_as_at_least() {
        let (mut sessions, now, live) = (Sessions::default(), Instant::now(), name("live"));
        for number in 0..MOST + 10 {
            sessions.note(&report(&number.to_string()), Some(&live), now);
        }
        let told = &sessions.count(now)[&live];
        assert_eq!((told.reported, told.at_least), (MOST as u64, true));
        assert_eq!(sessions.sample(), 64);
        let later = now + 2 * SILENCE;
        assert!(sessions.count(later).is_empty());
        sessions.note(&report("a"), Some(&live), later);
        assert!(!sessions.count(later)[&live].at_least);
        assert_eq!(sessions.sample(), 1);
    }

    #[test]
    fn a_share_that_reports_stands_for_the_others() {
        let (mut sessions, now, live) = (Sessions::default(), Instant::now(), name("live"));
        for number in 0..1000 {
            let id = number.to_string();
            let report = Report { sample: Some(64), ..report(&id) };
            sessions.note(&report, Some(&live), now);
        }
        let silent = Report { sample: Some(0), ..report("asks only") };
        sessions.note(&silent, Some(&live), now);
        assert_eq!(sessions.count(now)[&live].reported, 64_000);
        assert_eq!(sessions.sample(), 32);
    }
}

//! A publisher that is gone, or silent: what goes on without it, for how long, and what is told.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Ended, Task, unix_micros};
use crate::config::AfterGrace;
use crate::flow::{Feed, Phase};
use crate::publish::session::LiveSession;

impl Task {
    pub(super) fn lose_publisher(&mut self) {
        self.probe = None;
        if self.publisher.take().is_none() {
            return;
        }
        info!(stream = %self.config.name, "publisher lost");
        self.lost_at = Some(Instant::now());
        self.silent = None;
        self.session.iter_mut().for_each(|session| session.lose_source(Instant::now()));
        self.status.send_modify(|status| {
            status.publisher = None;
            status.ingest = None;
        });
        match &self.session {
            Some(session) => {
                let problem = self.absence(session);
                self.set_phase(Phase::Waiting, Some(problem));
            }
            None => {
                // Why a publisher without a session had to go stays to be read.
                let problem = self.status.borrow().problem.clone();
                self.set_phase(Phase::Idle, problem);
            }
        }
        self.keep_cadence();
    }

    /// Has the encoder make what is overdue.
    pub(super) fn keep_cadence(&mut self) {
        let Some(session) = &mut self.session else { return };
        let (overdue, released) = session.keep_cadence(Instant::now());
        let seen = seen(session);
        if let (Some(due), Some(encoder)) = (overdue, &self.encoder) {
            // One that is too busy is asked again.
            encoder.input.try_send(Feed::Fill { until: due.until, slate: due.slate }).ok();
        }
        let silent = overdue.is_some_and(|due| due.slate) && self.lost_at.is_none();
        if silent != self.silent.is_some() && self.status.borrow().phase == Phase::Live {
            self.tell_silence(silent.then_some(seen));
        }
        self.handle_package_result(released);
    }

    /// The publisher is connected and sends no pictures, so that viewers see this; or it does again.
    fn tell_silence(&mut self, seen: Option<&str>) {
        let since = clock_time(Duration::ZERO);
        let problem = seen.map(|seen| {
            format!(
                "the publisher is connected and sends no pictures (noticed at {since}): {seen}; look at \
                 its encoder and its network"
            )
        });
        if let Some(problem) = &problem {
            warn!(stream = %self.config.name, "{problem}");
        }
        let before = std::mem::replace(&mut self.silent, problem.clone());
        self.status.send_modify(|status| {
            if problem.is_some() || status.problem == before {
                status.problem = problem;
            }
        });
    }

    /// Nobody came back in time: the stream ends, or stays on the slate.
    pub(super) fn end_grace(&mut self) {
        let goes_on = self.session.as_ref().is_some_and(LiveSession::goes_on);
        if goes_on && self.config.after_grace == AfterGrace::Slate {
            return;
        }
        self.lost_at = None;
        self.end_session();
    }

    /// ENDLIST. What was listed stays for the length of the window.
    pub(super) fn end_session(&mut self) {
        self.encoder = None;
        let Some(mut session) = self.session.take() else { return };
        session.end();
        info!(stream = %self.config.name, "stream ended");
        let (session, copy) = (session.shared, session.copy);
        self.ended.push(Ended { session, copy, since: Instant::now() });
        self.set_phase(Phase::Ended, None);
    }

    /// Since when the publisher is gone, what viewers see, and what comes next.
    pub(super) fn absence(&self, session: &LiveSession) -> String {
        let (since, seen) = (clock_time(Duration::ZERO), seen(session));
        let next = match self.config.after_grace {
            AfterGrace::Slate if session.goes_on() => {
                "until somebody publishes the stream".to_owned()
            }
            _ => {
                let end = clock_time(self.config.grace);
                format!("and the stream ends at {end} unless somebody publishes it before")
            }
        };
        format!("the publisher is gone since {since}: {seen}, {next}")
    }
}

/// What viewers see without a source.
fn seen(session: &LiveSession) -> &'static str {
    if session.goes_on() {
        "viewers see the slate"
    } else {
        "players are told that the media is missing"
    }
}

/// The time of day that it will be after a while.
fn clock_time(after: Duration) -> String {
    let seconds = unix_micros() / 1_000_000 + i64::try_from(after.as_secs()).unwrap_or(0);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}

//! What a stream goes on with after a restart of the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::{Ended, Task, unix_micros};
use crate::flow::Phase;
use crate::publish::session::LiveSession;
use crate::publish::store::{Stored, unix_ms};

impl Task {
    /// Takes up what the disk has of the stream.
    pub(super) async fn restore(&mut self) {
        let (store, stream) = (Arc::clone(&self.setting.store), self.config.name.clone());
        let stored = tokio::task::spawn_blocking(move || store.load(&stream)).await;
        let stored = stored.unwrap_or_else(|fault| {
            error!(stream = %self.config.name, %fault, "what is on the disk cannot be read");
            Vec::new()
        });
        for session in stored {
            self.take_up(session);
        }
        self.setting.store.end_restoring();
    }

    /// Goes on with a session: until its grace is over, or, if that is over already, for as long as what
    /// has ended is served.
    fn take_up(&mut self, stored: Stored) {
        let prefix = stored.facts.prefix.clone();
        let copy = self.setting.store.copy(&self.config.name, &prefix);
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let now = unix_ms();
        let deadline = stored.last_ms.saturating_add(ms(self.config.grace));
        let ended_ms = stored.facts.ended_ms.or_else(|| (now >= deadline).then_some(deadline));
        let ended_for = ended_ms.map(|at| now.saturating_sub(at).max(0));
        let nobody_knew_it = stored.facts.declared.is_empty();
        if nobody_knew_it || ended_for.is_some_and(|ended| ended >= ms(self.config.window)) {
            return copy.discard();
        }
        let (cues, start) = (Arc::clone(&self.cues), self.setting.start_counter);
        let tail = stored.tail;
        let Some(session) = LiveSession::restore(stored, cues, copy.clone(), start, ended_ms)
        else {
            warn!(stream = %self.config.name, prefix, "what the session is and what there is of it differ: it is left out");
            return copy.discard();
        };
        info!(stream = %self.config.name, prefix, ?tail, ended = ended_ms.is_some(), "session restored");
        let mut sessions = Vec::clone(&self.sessions.load());
        sessions.push(Arc::clone(&session.shared));
        self.sessions.store(Arc::new(sessions));
        let Some(ended_for) = ended_for else { return self.wait_on(session) };
        let ended_for = Duration::from_millis(ended_for.unsigned_abs());
        let since = Instant::now().checked_sub(ended_for).unwrap_or_else(Instant::now);
        self.ended.push(Ended { session: session.shared, copy, since });
        self.set_phase(Phase::Ended, None);
    }

    /// The session has no publisher yet, and goes on without: with the slate, or with parts that are missing.
    /// Its grace begins now.
    fn wait_on(&mut self, mut session: LiveSession) {
        // There is one at the most; were there two, the newer one is what players ask for.
        self.end_session();
        self.status.send_modify(|status| status.since_ms = u64::try_from(session.since_ms).ok());
        session.go_on_without_source(unix_micros(), Instant::now());
        let problem = self.absence(&session);
        self.session = Some(session);
        self.start_encoder(None);
        self.lost_at = Some(Instant::now());
        self.set_phase(Phase::Waiting, Some(problem));
    }

    /// Tells the operator that the disk does not keep the stream, or keeps it again.
    pub(super) fn tell_trouble(&mut self) {
        let trouble = self.session.as_ref().and_then(|session| session.copy.trouble());
        let before = std::mem::replace(&mut self.trouble, trouble.clone());
        self.status.send_if_modified(|status| {
            let ours = status.problem.is_none() || status.problem == before;
            let news = ours && status.problem != trouble;
            if news {
                status.problem = trouble;
            }
            news
        });
    }
}

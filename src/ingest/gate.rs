//! Who may publish, and who does.

use std::collections::HashMap;
use std::fmt;
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use nowcast_libsrt::{self as libsrt, Connection, Decision, RejectCode, Request};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::session::{Activity, Arrival, Feed};
use super::streamid::{StreamId, Unreadable};
use super::{MAX_PUBLISHERS, REPLACEABLE_AFTER};
use crate::admission::{Admission, Lack};
use crate::config::{Config, StreamConfig};
use crate::flow::StreamName;

/// Judges callers and keeps count of publishers.
pub(super) struct Gate {
    config: Arc<ArcSwap<Config>>,
    admission: Arc<Admission>,
    live: Arc<Live>,
    arriving: mpsc::Sender<Arrival>,
}

/// The publishers there are, one a stream.
#[derive(Default)]
pub(super) struct Live(Mutex<HashMap<StreamName, Current>>);

struct Current {
    connection: Connection,
    activity: Arc<Activity>,
    /// Resolves when the session's events have ended.
    ended: oneshot::Receiver<()>,
}

impl Current {
    /// Whether somebody else may take its place.
    fn is_replaceable(&self) -> bool {
        !self.connection.is_open() || self.activity.silent_for() >= REPLACEABLE_AFTER
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, HashMap<StreamName, Current>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the stream free, if it is still this session that has it.
    pub(super) fn release(&self, stream: &StreamName, activity: &Arc<Activity>) {
        let mut live = self.lock();
        if live.get(stream).is_some_and(|current| Arc::ptr_eq(&current.activity, activity)) {
            live.remove(stream);
        }
    }
}

/// Why a caller is turned away.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error(
        "{0}: the publisher has to send `#!::r=STREAM,m=publish,s=KEY`, `STREAM:KEY` or `STREAM`"
    )]
    Unreadable(#[from] Unreadable),
    #[error("it does not want to publish: players come by HTTP, publishers send m=publish")]
    Mode,
    #[error("there is no such stream: correct the publisher's streamid, or add a [[stream]]")]
    UnknownStream,
    #[error("it sent no key, or not the stream's: copy the URL that `nowcast url` prints")]
    Key,
    #[error("nobody may publish here: give the stream a key or a passphrase, or set open = true")]
    Closed,
    #[error("somebody is publishing already: stop that publisher, or `nowcast streams kick`")]
    Conflict,
    #[error("{MAX_PUBLISHERS} publishers are connected, which is as many as are let in")]
    Overload,
    #[error("there is no room for this stream: {0}")]
    NoRoom(#[from] Lack),
}

impl Refusal {
    fn code(&self) -> RejectCode {
        match self {
            Self::Unreadable(_) => RejectCode::BAD_REQUEST,
            Self::Mode => RejectCode::BAD_MODE,
            Self::UnknownStream => RejectCode::NOT_FOUND,
            Self::Key => RejectCode::UNAUTHORIZED,
            Self::Closed => RejectCode::FORBIDDEN,
            Self::Conflict => RejectCode::CONFLICT,
            Self::Overload | Self::NoRoom(_) => RejectCode::OVERLOAD,
        }
    }
}

impl Gate {
    pub(super) fn new(
        config: Arc<ArcSwap<Config>>,
        admission: Arc<Admission>,
        arriving: mpsc::Sender<Arrival>,
    ) -> Self {
        Self { config, admission, live: Arc::default(), arriving }
    }

    /// The stream a caller may publish to, as far as can be told before it is connected.
    fn judge(&self, stream_id: &[u8]) -> Result<StreamConfig, Refusal> {
        let id = StreamId::parse(stream_id)?;
        if !id.publish {
            return Err(Refusal::Mode);
        }
        let stream = self.config.load().stream(&id.stream).ok_or(Refusal::UnknownStream)?;
        authorize(&stream, id.key)?;
        let live = self.live.lock();
        match live.get(&stream.name) {
            Some(current) if !current.is_replaceable() => return Err(Refusal::Conflict),
            None if live.len() >= MAX_PUBLISHERS => return Err(Refusal::Overload),
            _ => {}
        }
        let connected: Vec<_> = live.keys().cloned().collect();
        self.admission.admit(&stream, &connected)?;
        Ok(stream)
    }
}

/// Whether `key` opens the stream. A stream with neither key nor `open` is guarded by its passphrase.
fn authorize(stream: &StreamConfig, key: Option<&str>) -> Result<(), Refusal> {
    match &stream.key {
        _ if stream.open => Ok(()),
        Some(expected) if same(expected.as_bytes(), key.unwrap_or_default().as_bytes()) => Ok(()),
        Some(_) => Err(Refusal::Key),
        None if stream.passphrase.is_some() => Ok(()),
        None => Err(Refusal::Closed),
    }
}

/// Compares without telling by the time it takes where the first difference is.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let differences = expected.iter().zip(given).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    expected.len() == given.len() && differences == 0
}

/// The stream that a caller names, as far as it can be shown in a log.
fn named(stream_id: &[u8]) -> impl fmt::Display {
    StreamId::parse(stream_id).map_or_else(|_| "?".to_owned(), |id| id.stream.to_string())
}

impl libsrt::Gate for Gate {
    type Sink = Feed;

    fn decide(&self, request: &Request<'_>) -> Decision {
        match self.judge(request.stream_id) {
            Ok(stream) => {
                let encrypted = stream.passphrase.is_some();
                debug!(peer = %request.peer, stream = %stream.name, encrypted, "a publisher may connect");
                Decision::Accept { passphrase: stream.passphrase }
            }
            Err(refusal) => {
                let (stream, code) = (named(request.stream_id), refusal.code());
                warn!(peer = %request.peer, %stream, code = code.code(), "publisher refused: {refusal}");
                Decision::Reject(code)
            }
        }
    }

    /// Judges once more: of two callers that came at the same time, the second finds the first here.
    fn accept(&self, connection: Connection) -> Option<Feed> {
        let peer = connection.peer();
        let stream = match self.judge(connection.stream_id()) {
            Ok(stream) => stream.name,
            Err(refusal) => {
                let stream = named(connection.stream_id());
                warn!(%peer, %stream, "publisher closed at once: {refusal}");
                return None;
            }
        };
        let (ending, ended) = oneshot::channel();
        let (feed, mut arrival) = Arrival::new(
            stream.clone(),
            connection.clone(),
            Arc::clone(&self.config),
            Arc::clone(&self.live),
            ending,
        );
        let current = Current { connection, activity: Arc::clone(arrival.activity()), ended };
        if let Some(last) = self.live.lock().insert(stream.clone(), current) {
            warn!(%peer, %stream, last = %last.connection.peer(), "this publisher replaces a silent one");
            last.connection.close();
            arrival.wait_for(last.ended);
        }
        if self.arriving.try_send(arrival).is_err() {
            warn!(%peer, %stream, "publisher closed at once: the server is stopping");
            return None;
        }
        Some(feed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(key: Option<&str>, passphrase: Option<&str>, open: bool) -> StreamConfig {
        StreamConfig {
            key: key.map(str::to_owned),
            passphrase: passphrase.map(str::to_owned),
            open,
            ..StreamConfig::standard(StreamName::new("live").unwrap())
        }
    }

    #[test]
    fn publishing_needs_the_key_or_the_passphrase_unless_it_is_open() {
        let keyed = stream(Some("s3cret"), None, false);
        assert_eq!(authorize(&keyed, Some("s3cret")), Ok(()));
        for wrong in [None, Some(""), Some("s3cre"), Some("s3cret!"), Some("S3cret")] {
            assert_eq!(authorize(&keyed, wrong), Err(Refusal::Key), "{wrong:?}");
        }
        let both = stream(Some("s3cret"), Some("0123456789"), false);
        assert_eq!(authorize(&both, None), Err(Refusal::Key));
        assert_eq!(authorize(&stream(None, Some("0123456789"), false), None), Ok(()));
        assert_eq!(authorize(&stream(None, None, true), None), Ok(()));
        assert_eq!(authorize(&stream(None, None, false), Some("x")), Err(Refusal::Closed));
    }
}

//! What a session has of its copy on the disk.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use nowcast_hls::names::Start;

use super::listed::Listed;
use super::writer::{Message, Op};
use super::{Begin, Facts, Figures, PartFacts};
use crate::flow::StreamName;

/// The disk's copy of a session, as its task sees it: it takes everything, at once, and keeps what it can.
#[derive(Clone, Default)]
pub(in crate::publish) struct Copy {
    session: Option<Arc<Handle>>,
    rendition: Arc<str>,
    /// Its place among the session's renditions.
    at: usize,
}

/// A session of which the disk has a copy.
pub(super) struct Handle {
    pub(super) id: u64,
    pub(super) stream: StreamName,
    pub(super) dir: PathBuf,
    pub(super) figures: Arc<Figures>,
    pub(super) note: Option<PathBuf>,
    listed: Listed,
    queue: SyncSender<Message>,
    /// The queue was full: nothing is handed over before a segment begins, and the copy with it.
    gap: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Copy {
    pub(super) fn new(
        id: u64,
        stream: StreamName,
        dir: PathBuf,
        note: Option<PathBuf>,
        queue: SyncSender<Message>,
        figures: Arc<Figures>,
    ) -> Self {
        let (gap, trouble) = (AtomicBool::new(false), Mutex::default());
        let listed = Listed::new(note.as_deref());
        let handle = Handle { id, stream, dir, figures, note, listed, queue, gap, trouble };
        Self { session: Some(Arc::new(handle)), ..Self::default() }
    }

    /// The copy of one rendition, at its place among the session's.
    pub(in crate::publish) fn of(&self, at: usize, rendition: &str) -> Self {
        Self { session: self.session.clone(), rendition: rendition.into(), at }
    }

    /// The part before `next_part` is about to be listed, in this segment.
    pub(in crate::publish) fn note(&self, msn: u64, next_part: u64) {
        if let Some(session) = &self.session
            && !session.figures.finished.load(SeqCst)
        {
            session.listed.note(self.at, msn, next_part);
        }
    }

    /// What the session is, from now on.
    pub(in crate::publish) fn keep(&self, facts: Facts) {
        self.send(Op::Facts(Box::new(facts)));
    }

    /// A segment begins, decoded with these bytes.
    pub(in crate::publish) fn begin(&self, begin: Begin, init: &Bytes) {
        if let Some(session) = &self.session
            && session.gap.load(Relaxed)
            && session.send(self.rendition.clone(), Op::GiveUp)
        {
            session.gap.store(false, Relaxed);
        }
        self.send(Op::Begin(Box::new(begin), init.clone()));
    }

    /// The next part of the open segment.
    pub(in crate::publish) fn part(&self, part: PartFacts, bytes: &Bytes) {
        self.send(Op::Part(part, bytes.clone()));
    }

    /// The open segment is complete, and so named.
    pub(in crate::publish) fn end(&self, start: Start) {
        self.send(Op::End(start));
    }

    /// A segment is served no more.
    pub(in crate::publish) fn remove(&self, msn: u64) {
        self.send(Op::Remove(msn));
    }

    /// A segment that was open when the server died ends here: after so many bytes of its file.
    pub(in crate::publish) fn seal(&self, msn: u64, length: u64, start: Start) {
        self.send(Op::Seal { msn, length, start });
    }

    /// Of all segments only those from `first` on, before `end`, are served.
    pub(in crate::publish) fn prune(&self, first: u64, end: u64) {
        self.send(Op::Prune(first..end));
    }

    /// The session is no more.
    pub(in crate::publish) fn discard(&self) {
        self.send(Op::Discard);
    }

    /// Why the disk has no copy that the session could go on with, and what to do.
    pub(in crate::publish) fn trouble(&self) -> Option<String> {
        self.session.as_ref().and_then(|session| session.trouble())
    }

    fn send(&self, op: Op) {
        let Some(session) = &self.session else { return };
        let part = matches!(op, Op::Part(..));
        // What takes no room is worth a try: a session that ended must not come back.
        let media = part || matches!(op, Op::Begin(..) | Op::End(_));
        let gap = media && session.gap.load(Relaxed);
        if gap || !session.send(Arc::clone(&self.rendition), op) {
            session.figures.lost.fetch_add(u64::from(part), Relaxed);
        }
    }
}

impl Handle {
    /// Hands over, unless the queue is full.
    fn send(self: &Arc<Self>, rendition: Arc<str>, op: Op) -> bool {
        let sent = self.queue.try_send(Message::new(Arc::clone(self), rendition, op)).is_ok();
        if !sent {
            self.gap.store(true, Relaxed);
        }
        sent
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.session.as_ref().map(|session| &session.dir);
        f.debug_struct("Copy").field("dir", &dir).field("rendition", &self.rendition).finish()
    }
}

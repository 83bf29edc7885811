//! What each connection is doing, in ticks of its listener: kept without locks, timers or system
//! calls, and judged once a tick for all of them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Limits;

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shed {
    /// There were as many as there may be.
    Full,
    /// No request came, or half of one.
    SlowHead,
    /// No further request came.
    Idle,
    /// An answer was not taken.
    SlowReader,
}

impl Shed {
    /// All reasons, and their names in metrics.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Full, "full"),
        (Self::SlowHead, "slow_head"),
        (Self::Idle, "idle"),
        (Self::SlowReader, "slow_reader"),
    ];
}

/// Connections counted.
#[derive(Debug, Default)]
pub struct Tally {
    open: AtomicU64,
    accepted: AtomicU64,
    shed: [AtomicU64; Shed::ALL.len()],
}

impl Tally {
    /// Connections now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Connections let in since the start.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Connections closed for `reason` since the start.
    #[must_use]
    pub fn shed_for(&self, reason: Shed) -> u64 {
        self.shed[reason as usize].load(Relaxed)
    }

    pub(super) fn shed(&self, reason: Shed) {
        self.shed[reason as usize].fetch_add(1, Relaxed);
    }
}

/// What one connection does. Times are tick numbers; 0 stands for "not".
#[derive(Debug)]
pub(super) struct Activity {
    clock: Arc<AtomicU32>,
    /// [`Limits::answer`] in ticks.
    answer_ticks: u32,
    tally: Arc<Tally>,
    /// Requests in hand: from the head to the last byte given to the connection.
    requests: AtomicU32,
    /// Of these, answers being sent, by the stretch of time they began in: see [`Activity::stretch`].
    answers: [AtomicU32; 3],
    multiplexed: AtomicBool,
    /// When the first byte of a head came that is not whole yet; at first, when it connected.
    head: AtomicU32,
    /// When the last answer ended.
    idle: AtomicU32,
    /// When something could last be sent.
    progress: AtomicU32,
    /// The socket takes no more for now.
    blocked: AtomicBool,
}

impl Activity {
    pub(super) fn new(clock: Arc<AtomicU32>, limits: &Limits, tally: Arc<Tally>) -> Self {
        let now = clock.load(Relaxed);
        let answer_ticks = limits.answer.as_micros() / limits.tick.as_micros().max(1);
        tally.open.fetch_add(1, Relaxed);
        tally.accepted.fetch_add(1, Relaxed);
        Self {
            clock,
            answer_ticks: u32::try_from(answer_ticks).unwrap_or(u32::MAX).max(1),
            tally,
            requests: AtomicU32::new(0),
            answers: Default::default(),
            multiplexed: AtomicBool::new(false),
            head: AtomicU32::new(now),
            idle: AtomicU32::new(now),
            progress: AtomicU32::new(now),
            blocked: AtomicBool::new(false),
        }
    }

    /// A request's head is whole.
    pub(super) fn begin(this: &Arc<Self>, version: Version) -> InFlight {
        this.multiplexed.store(version == Version::HTTP_2, Relaxed);
        this.head.store(0, Relaxed);
        this.requests.fetch_add(1, Relaxed);
        InFlight { activity: Arc::clone(this), answering: None }
    }

    /// Whether this connection is to be closed.
    pub(super) fn verdict(&self, limits: &Limits) -> Option<Shed> {
        let now = self.clock.load(Relaxed);
        let longer = |since: u32, limit: Duration| {
            since != 0 && limits.tick * now.saturating_sub(since) > limit
        };
        let answering = self.answers.iter().any(|answers| answers.load(Relaxed) > 0);
        if (answering || self.blocked.load(Relaxed))
            && longer(self.progress.load(Relaxed), limits.stall)
        {
            return Some(Shed::SlowReader);
        }
        // The next stretch's place is still taken: by an answer that began two stretches ago.
        if self.answers[(self.stretch() + 1) % 3].load(Relaxed) > 0 {
            return Some(Shed::SlowReader);
        }
        if self.requests.load(Relaxed) > 0 {
            return None;
        }
        if longer(self.head.load(Relaxed), limits.head) {
            return Some(Shed::SlowHead);
        }
        longer(self.idle.load(Relaxed), limits.idle).then_some(Shed::Idle)
    }

    fn now(&self) -> u32 {
        self.clock.load(Relaxed)
    }

    /// Time in stretches of [`Limits::answer`]. Answers are counted by the stretch they began in, so
    /// that one that takes too long shows without a timer, and without a list, beside any others.
    fn stretch(&self) -> usize {
        (self.now() / self.answer_ticks) as usize
    }

    fn was_read(&self) {
        // Between the requests of HTTP/2 come frames that begin none.
        if self.requests.load(Relaxed) == 0
            && !self.multiplexed.load(Relaxed)
            && self.head.load(Relaxed) == 0
        {
            self.head.store(self.now(), Relaxed);
        }
    }

    fn was_written(&self, written: &Poll<io::Result<usize>>) {
        match written {
            // What has not been written to for long is not blocked for long.
            Poll::Pending if !self.blocked.swap(true, Relaxed) => {
                self.progress.store(self.now(), Relaxed);
            }
            Poll::Pending => {}
            Poll::Ready(_) => {
                self.blocked.store(false, Relaxed);
                self.progress.store(self.now(), Relaxed);
            }
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.tally.open.fetch_sub(1, Relaxed);
    }
}

/// A request in hand; dropped when its answer is out or nobody waits for it any more.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    /// The place among [`Activity::answers`] it is counted at.
    answering: Option<usize>,
}

impl InFlight {
    /// From here on the client has to read.
    pub(super) fn answer(mut self) -> Self {
        let place = self.activity.stretch() % 3;
        self.activity.progress.store(self.activity.now(), Relaxed);
        self.activity.answers[place].fetch_add(1, Relaxed);
        self.answering = Some(place);
        self
    }

    /// Whether other answers are sent beside this one.
    pub(super) fn multiplexed(&self) -> bool {
        self.activity.multiplexed.load(Relaxed)
    }

    /// The connection took something of the answer.
    pub(super) fn progress(&self) {
        self.activity.progress.store(self.activity.now(), Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(place) = self.answering {
            self.activity.answers[place].fetch_sub(1, Relaxed);
        }
        self.activity.idle.store(self.activity.now(), Relaxed);
        self.activity.requests.fetch_sub(1, Relaxed);
    }
}

/// A socket that notes what passes.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    /// Whether the first bytes to come, which stay to be read, are these.
    pub(super) async fn begins_with(&self, expected: &[u8; 3]) -> io::Result<bool> {
        let mut seen = [0; 3];
        loop {
            let length = self.stream.peek(&mut seen).await?;
            if length == 0 || !expected.starts_with(&seen[..length]) {
                return Ok(false);
            }
            if length == seen.len() {
                return Ok(true);
            }
            // A letter or two of a word that is on its way.
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.was_read();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.was_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.activity.was_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! Live sessions on the disk, so that they outlive the server: docs/adr/0011-sessions-on-disk.md.
//!
//! ```text
//! STATE/streams/STREAM/PREFIX/session            what the session is
//!                            /init-….mp4         its init sections
//!                            /RENDITION/MSN      a segment: its beginning, its parts, its end
//! ```
//!
//! One thread writes for all streams, behind a bounded queue that nobody waits for. What leaves the
//! memory leaves the disk. Where the disk is full, or slow, a session's copy is given up until there is
//! room again: the stream goes on, and its operator is told.

mod copy;
mod facts;
mod listed;
mod read;
mod record;
mod writer;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::sync::watch;
use tracing::{info, warn};

pub(super) use self::copy::Copy;
pub(super) use self::facts::{Begin, Facts, Frozen, PartFacts, RenditionFacts, unix_ms};
pub(super) use self::read::{Stored, StoredRendition, Tail};
use self::writer::{Message, Writer};
use crate::config::{Config, StreamConfig};
use crate::flow::StreamName;
use crate::metrics::{Exposition, Histogram, Kind};

/// Records that wait for the disk. Full: the session whose record it is gives its copy up.
const QUEUE: usize = 2048;
/// The boot of the machine, as the kernel names it.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The sessions on the disk.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Where it is noted what was listed.
    notes: Option<PathBuf>,
    boot: String,
    queue: SyncSender<Message>,
    writer: Mutex<Option<JoinHandle<()>>>,
    figures: Arc<Figures>,
    copies: AtomicU64,
    /// Streams that are being restored.
    restoring: watch::Sender<usize>,
}

impl Store {
    /// Takes the sessions in the state directory `dir`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(dir: &Path) -> Result<Self> {
        let boot = fs::read_to_string(BOOT).unwrap_or_default();
        Self::open_in(dir, boot.trim())
    }

    /// [`Self::open`] in a boot of the machine.
    pub(super) fn open_in(dir: &Path, boot: &str) -> Result<Self> {
        let dir = dir.join("streams");
        // What is published behind a token is nobody else's.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("{} cannot be created; is the disk full?", dir.display()))?;
        let (queue, messages) = sync_channel(QUEUE);
        let figures = Arc::<Figures>::default();
        let mut writer = Writer::new(boot.to_owned(), Arc::clone(&figures));
        let writer = thread::Builder::new().name("sessions".into()).spawn(move || {
            while let Ok(message) = messages.recv()
                && writer.handle(message)
            {}
        })?;
        Ok(Self {
            notes: listed::directory(&dir),
            dir,
            boot: boot.to_owned(),
            queue,
            writer: Mutex::new(Some(writer)),
            figures,
            copies: AtomicU64::new(0),
            restoring: watch::Sender::new(0),
        })
    }

    /// The streams of a configuration, with those of its template that have sessions here. What belongs
    /// to none of them is removed.
    #[must_use]
    pub fn streams(&self, config: &Config) -> Vec<StreamConfig> {
        let mut streams = config.streams.clone();
        for stored in read::names(&self.dir) {
            if streams.iter().any(|stream| stream.name.as_str() == stored) {
                continue;
            }
            let known = StreamName::new(&stored).and_then(|name| config.stream(&name));
            let dir = self.dir.join(&stored);
            match known {
                Some(stream) => streams.push(stream),
                None => match fs::remove_dir_all(&dir) {
                    Ok(()) => {
                        info!(stream = stored, "its sessions are removed: it is not configured");
                    }
                    Err(error) => warn!(%error, "{} cannot be removed", dir.display()),
                },
            }
        }
        streams
    }

    /// Waits until every stream that was there has its sessions again.
    pub async fn restored(&self) {
        // The sender is in `self`: it cannot have gone.
        self.restoring.subscribe().wait_for(|streams| *streams == 0).await.ok();
    }

    /// Writes what waits, and takes nothing more: sessions stay on the disk as they are now.
    pub fn finish(&self) {
        self.figures.finished.store(true, SeqCst);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && self.queue.send(Message::stop()).is_ok()
            && writer.join().is_err()
        {
            warn!("the thread that writes sessions has ended badly");
        }
    }

    /// What the disk has taken and what it has not, for `/metrics`.
    pub fn expose(&self, out: &mut Exposition) {
        self.figures.expose(out);
    }

    /// A stream is about to be restored; [`Self::end_restoring`] follows.
    pub(super) fn begin_restoring(&self) {
        self.restoring.send_modify(|streams| *streams += 1);
    }

    pub(super) fn end_restoring(&self) {
        self.restoring.send_modify(|streams| *streams = streams.saturating_sub(1));
    }

    /// The sessions of a stream, the oldest first. What cannot be gone on with is removed, and told.
    pub(super) fn load(&self, stream: &StreamName) -> Vec<Stored> {
        let listed = |prefix: &str| {
            self.note(stream, prefix).map_or_else(Vec::new, |path| listed::read(&path))
        };
        read::sessions(&self.dir.join(stream.as_str()), &self.boot, stream, listed)
    }

    /// The disk's copy of a session.
    pub(super) fn copy(&self, stream: &StreamName, prefix: &str) -> Copy {
        let dir = self.dir.join(stream.as_str()).join(prefix);
        let id = self.copies.fetch_add(1, Relaxed);
        let (note, figures) = (self.note(stream, prefix), Arc::clone(&self.figures));
        Copy::new(id, stream.clone(), dir, note, self.queue.clone(), figures)
    }

    fn note(&self, stream: &StreamName, prefix: &str) -> Option<PathBuf> {
        self.notes.as_ref().map(|notes| notes.join(format!("{stream}.{prefix}")))
    }
}

/// What the disk has taken, and what it has not.
#[derive(Debug)]
struct Figures {
    bytes: AtomicU64,
    kept: AtomicU64,
    lost: AtomicU64,
    given_up: AtomicU64,
    /// From a part being handed over to its being written.
    delay: Histogram,
    /// Nothing is written any more, and nobody is there to whom it is listed.
    finished: AtomicBool,
}

impl Default for Figures {
    fn default() -> Self {
        const BOUNDS: [f64; 8] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1.0, 10.0];
        let zero = || AtomicU64::new(0);
        let delay = Histogram::new(&BOUNDS);
        Self {
            bytes: zero(),
            kept: zero(),
            lost: zero(),
            given_up: zero(),
            delay,
            finished: AtomicBool::new(false),
        }
    }
}

impl Figures {
    fn expose(&self, out: &mut Exposition) {
        let parts = [([("result", "kept")], &self.kept), ([("result", "lost")], &self.lost)];
        let samples = parts.iter().map(|(label, count)| (&label[..], count.load(Relaxed)));
        let help = "Parts for the state directory, and whether it has them.";
        out.family("state_parts_total", Kind::Counter, help, samples);
        let help = "Bytes written into the state directory for sessions.";
        out.single("state_bytes_total", Kind::Counter, help, self.bytes.load(Relaxed));
        let help = "How often a session's copy was given up: the disk is full or slow.";
        out.single("state_given_up_total", Kind::Counter, help, self.given_up.load(Relaxed));
        let help = "From a part being handed over to its being written into the state directory.";
        out.histogram("state_write_seconds", help, &self.delay);
    }
}

//! The thread that writes.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nowcast_hls::names::Start;
use tracing::{info, warn};

use super::copy::Handle;
use super::facts::{Head, unix_ms};
use super::{Begin, Facts, Figures, PartFacts, read, record};

/// What waited longer than this for the disk is not written: the copy would be too far behind to say
/// which numbers were used.
const LATE: Duration = Duration::from_secs(3);
/// How long a disk that took nothing is left alone.
const PAUSE: Duration = Duration::from_secs(10);

/// What a session hands over.
pub(super) struct Message {
    /// None: it was the last.
    session: Option<Arc<Handle>>,
    rendition: Arc<str>,
    op: Op,
    since: Instant,
}

/// What is to be done with its copy.
pub(super) enum Op {
    Facts(Box<Facts>),
    Begin(Box<Begin>, Bytes),
    Part(PartFacts, Bytes),
    End(Start),
    Remove(u64),
    Seal { msn: u64, length: u64, start: Start },
    Prune(Range<u64>),
    GiveUp,
    Discard,
}

impl Message {
    pub(super) fn new(session: Arc<Handle>, rendition: Arc<str>, op: Op) -> Self {
        Self { session: Some(session), rendition, op, since: Instant::now() }
    }

    pub(super) fn stop() -> Self {
        Self { session: None, rendition: Arc::default(), op: Op::GiveUp, since: Instant::now() }
    }
}

pub(super) struct Writer {
    boot: String,
    figures: Arc<Figures>,
    sessions: HashMap<u64, Session>,
}

/// A session, as far as the disk has it.
#[derive(Default)]
struct Session {
    facts: Option<Box<Facts>>,
    /// The disk does not have them as they are.
    unsaved: bool,
    open: HashMap<Arc<str>, File>,
    inits: HashSet<String>,
    /// When the copy was given up.
    given_up: Option<Instant>,
}

impl Writer {
    pub(super) fn new(boot: String, figures: Arc<Figures>) -> Self {
        Self { boot, figures, sessions: HashMap::new() }
    }

    /// Answers whether another message is to come.
    pub(super) fn handle(&mut self, message: Message) -> bool {
        let Message { session: Some(handle), rendition, op, since } = message else { return false };
        if matches!(op, Op::Discard) {
            self.sessions.remove(&handle.id);
            // It may have gone with the machine's last boot.
            handle.note.as_ref().map(fs::remove_file).transpose().ok();
            if let Err(error) = read::discard(&handle.dir) {
                warn!(stream = %handle.stream, %error, "{} cannot be removed", handle.dir.display());
            }
            return true;
        }
        let late = matches!(op, Op::Begin(..) | Op::Part(..)) && since.elapsed() > LATE;
        let part = matches!(op, Op::Part(..));
        let session = self.sessions.entry(handle.id).or_default();
        let done = match op {
            Op::GiveUp => Err(io::Error::other("it is too slow")),
            _ if late => Err(io::Error::other("it is too slow")),
            op => session.take(&handle.dir, &rendition, op, &self.boot),
        };
        match done {
            Ok(bytes) => {
                self.figures.bytes.fetch_add(bytes, Relaxed);
                if part {
                    let result = if bytes > 0 { &self.figures.kept } else { &self.figures.lost };
                    result.fetch_add(1, Relaxed);
                    self.figures.delay.observe(since.elapsed());
                } else if bytes > 0 && session.given_up.is_none() && handle.trouble().is_some() {
                    info!(stream = %handle.stream, "the disk keeps the stream again");
                    handle.set_trouble(None);
                }
            }
            Err(error) => {
                self.figures.lost.fetch_add(u64::from(part), Relaxed);
                self.figures.given_up.fetch_add(1, Relaxed);
                session.give_up(&handle, &error, &self.boot);
            }
        }
        true
    }
}

impl Session {
    /// Answers how many bytes were written: none, where there is no open segment to write to.
    fn take(&mut self, dir: &Path, rendition: &Arc<str>, op: Op, boot: &str) -> io::Result<u64> {
        let file = |msn: u64| dir.join(&**rendition).join(msn.to_string());
        match op {
            Op::Facts(mut facts) => {
                facts.boot = boot.to_owned();
                self.facts = Some(facts);
                self.unsaved = true;
                self.save(dir)
            }
            Op::Begin(begin, init) => self.begin(dir, rendition, *begin, &init),
            Op::Part(part, bytes) => match self.open.get_mut(rendition) {
                Some(file) => record::write(file, &Head::Part(part), &bytes),
                None => Ok(0),
            },
            Op::End(start) => match self.open.remove(rendition) {
                Some(mut file) => record::write(&mut file, &Head::End(start), &[]),
                None => Ok(0),
            },
            Op::Remove(msn) => gone(fs::remove_file(file(msn))),
            Op::Seal { msn, length, start } => {
                let mut file = OpenOptions::new().append(true).open(file(msn))?;
                file.set_len(length)?;
                record::write(&mut file, &Head::End(start), &[])
            }
            Op::Prune(kept) => {
                for msn in read::segments(&dir.join(&**rendition)) {
                    if !kept.contains(&msn) {
                        gone(fs::remove_file(file(msn)))?;
                    }
                }
                Ok(0)
            }
            Op::GiveUp | Op::Discard => Ok(0),
        }
    }

    fn begin(
        &mut self,
        dir: &Path,
        rendition: &Arc<str>,
        begin: Begin,
        init: &Bytes,
    ) -> io::Result<u64> {
        let known = self.facts.iter_mut().flat_map(|facts| &mut facts.renditions);
        if let Some(known) = known.into_iter().find(|known| *known.name == **rendition) {
            known.last = Some(begin.clone());
        }
        if self.given_up.is_some_and(|since| since.elapsed() < PAUSE) {
            return Ok(0);
        }
        self.given_up = None;
        if self.unsaved {
            self.save(dir)?;
        }
        let media = dir.join(&**rendition);
        DirBuilder::new().recursive(true).mode(0o700).create(&media)?;
        let path = dir.join(&begin.init);
        if self.inits.insert(begin.init.clone()) && fs::read(&path).ok().as_deref() != Some(init) {
            fs::write(path, init)?;
        }
        let mut file = File::create(media.join(begin.msn.to_string()))?;
        let written = record::write(&mut file, &Head::Begin(begin), &[])?;
        self.open.insert(Arc::clone(rendition), file);
        Ok(written)
    }

    /// Writes what the session is, so that after a crash it is either as before or as now.
    fn save(&mut self, dir: &Path) -> io::Result<u64> {
        let Some(facts) = &self.facts else { return Ok(0) };
        let (fresh, path) = (dir.join("session.new"), dir.join("session"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut file = File::create(&fresh)?;
        let written = record::write(&mut file, facts, &[])?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        self.unsaved = false;
        Ok(written)
    }

    /// Removes the media, since what is behind it is missing: that also gives room to what else is
    /// written here. A later segment begins the copy anew.
    fn give_up(&mut self, handle: &Handle, error: &io::Error, boot: &str) {
        self.open.clear();
        self.inits.clear();
        let first = self.given_up.replace(Instant::now()).is_none() && handle.trouble().is_none();
        let trouble = format!(
            "the state directory does not keep this stream ({error}): it goes on, but a restart of the server \
             would be a cut in it; free some of the disk, or take a faster one"
        );
        if first {
            warn!(stream = %handle.stream, at = unix_ms(), "{trouble}");
        }
        handle.set_trouble(Some(trouble));
        for rendition in read::names(&handle.dir) {
            let dir = handle.dir.join(rendition);
            if let Err(error) = dir.is_dir().then(|| fs::remove_dir_all(&dir)).transpose() {
                warn!(stream = %handle.stream, %error, "{} cannot be removed", dir.display());
            }
        }
        // Which numbers were used, now that there is room for it.
        self.unsaved = true;
        if let Some(facts) = &mut self.facts {
            boot.clone_into(&mut facts.boot);
        }
        if let Err(error) = self.save(&handle.dir) {
            warn!(stream = %handle.stream, %error, "not even what the stream is can be written");
        }
    }
}

/// A file that is not there is as good as removed.
fn gone(removed: io::Result<()>) -> io::Result<u64> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(0),
    }
}

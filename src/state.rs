//! The state directory: what must outlive the process.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The state directory, owned by this process.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    /// Holds the directory's lock; the kernel lets it go with the process, however that ends.
    _lock: File,
}

impl State {
    /// Creates the directory if need be, and takes it for this process alone.
    ///
    /// # Errors
    /// It cannot be created, or another server has it.
    pub fn open(dir: &Path) -> Result<Self> {
        let place = || format!("the state directory {}", dir.display());
        fs::create_dir_all(dir).with_context(|| {
            format!(
                "{} cannot be created; name another with --state, or give this user the right",
                place()
            )
        })?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join("lock"));
        let lock = lock.with_context(|| format!("{} cannot be written", place()))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .with_context(|| {
                format!(
                    "{} is in use by another nowcast; stop that, or name another with --state",
                    place()
                )
            })?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// How often a server was started on this directory, this start included.
    ///
    /// Part of every path of media, so that a URI never means two things. It is on the disk before it is used.
    ///
    /// # Errors
    /// The disk is full, or not to be written.
    pub fn count_start(&self) -> Result<u64> {
        let path = self.dir.join("starts");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let starts = text.trim().parse::<u64>().unwrap_or(0) + 1;
        self.replace("starts", &format!("{starts}\n"), 0o644)?;
        Ok(starts)
    }

    /// The publish key of the stream that is made when none is configured; made once.
    ///
    /// # Errors
    /// The disk is full, or not to be written.
    pub fn publish_key(&self) -> Result<String> {
        self.key::<16>(PUBLISH_KEY)
    }

    /// The secret that viewers' tokens are signed with; made once.
    ///
    /// # Errors
    /// The disk is full, or not to be written.
    pub fn token_secret(&self) -> Result<String> {
        // Five bits a letter: more than 256.
        self.key::<52>("tokens.key")
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn key<const LENGTH: usize>(&self, name: &str) -> Result<String> {
        if let Ok(key) = fs::read_to_string(self.dir.join(name)) {
            let key = key.trim();
            if !key.is_empty() {
                return Ok(key.to_owned());
            }
        }
        let mut random = [0_u8; LENGTH];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let key: String =
            random.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
        self.replace(name, &format!("{key}\n"), 0o600)?;
        Ok(key)
    }

    /// Writes a file so that after a crash it is either the old one or the new one, whole.
    fn replace(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let (path, fresh) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(mode)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().with_context(|| format!("{} cannot be written; is the disk full?", path.display()))
    }
}

/// The publish key of an existing state directory, without taking the directory.
#[must_use]
pub fn known_publish_key(dir: &Path) -> Option<String> {
    let key = fs::read_to_string(dir.join(PUBLISH_KEY)).ok()?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

const PUBLISH_KEY: &str = "publish.key";
/// 32 letters that are not mistaken for one another, so five bits each.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted_and_the_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        assert_eq!((state.count_start().unwrap(), state.count_start().unwrap()), (1, 2));
        let key = state.publish_key().unwrap();
        assert_eq!(key.len(), 16);
        assert_eq!(known_publish_key(dir.path()), Some(key));
        assert!(State::open(dir.path()).is_err(), "the directory has one owner");
        drop(state);
        assert_eq!(State::open(dir.path()).unwrap().count_start().unwrap(), 3);
    }
}

//! What was listed last, noted where no disk can delay it: in a file in memory, which outlives the
//! process and not the machine's boot.
//!
//! The copy on the disk may lack the last parts that were listed. With this it is known whether it does:
//! where it does not, everything goes on under the names that were promised.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// A file system in memory; where there is none, nothing is known.
const MEMORY: &str = "/dev/shm";
/// In a directory of notes, a link to what they are on.
const OF: &str = "of";
/// Bytes of a note: media sequence number, and the number of the next part.
const NOTE: usize = 16;

/// The directory of the notes on the sessions in `dir`, ours alone.
pub(super) fn directory(dir: &Path) -> Option<PathBuf> {
    let dir = &fs::canonicalize(dir).ok()?;
    let of = fs::metadata(dir).ok()?;
    let notes = Path::new(MEMORY).join(format!("nowcast-{:x}-{:x}", of.dev(), of.ino()));
    DirBuilder::new().recursive(true).mode(0o700).create(&notes).ok()?;
    let found = fs::symlink_metadata(&notes).ok()?;
    // Anybody may write there: what is somebody else's is not believed.
    let ours = found.is_dir() && found.uid() == of.uid() && found.mode() & 0o022 == 0;
    if ours {
        // It may be there from the last time, or from a directory that had this number before.
        let link = notes.join(OF);
        if fs::read_link(&link).is_ok_and(|before| before != *dir) {
            fs::remove_file(&link).ok();
        }
        symlink(dir, link).ok();
        sweep(of.uid());
    }
    ours.then_some(notes)
}

/// Removes notes on directories that are no more.
fn sweep(uid: u32) {
    for notes in fs::read_dir(MEMORY).into_iter().flatten().flatten() {
        let of = notes.path().join(OF);
        let named = notes.file_name().to_string_lossy().starts_with("nowcast-");
        let ours = notes.metadata().is_ok_and(|found| found.is_dir() && found.uid() == uid);
        if named && ours && of.is_symlink() && !of.exists() {
            // Another server may be doing the same.
            fs::remove_dir_all(notes.path()).ok();
        }
    }
}

/// The notes on one session.
#[derive(Debug)]
pub(super) struct Listed(Option<File>);

impl Listed {
    pub(super) fn new(path: Option<&Path>) -> Self {
        Self(path.and_then(|path| File::create(path).ok()))
    }

    /// A rendition is about to list the part before this one, in this segment.
    pub(super) fn note(&self, rendition: usize, msn: u64, next_part: u64) {
        let Some(file) = &self.0 else { return };
        let mut note = [0; NOTE];
        note[..8].copy_from_slice(&msn.to_be_bytes());
        note[8..].copy_from_slice(&next_part.to_be_bytes());
        if file.write_all_at(&note, (rendition * NOTE) as u64).is_err() {
            // What is not there tells nothing wrong. Where even that fails, the memory is at fault.
            file.set_len(0).ok();
        }
    }
}

/// By rendition, the last segment that had a part and the number of the part to come.
pub(super) fn read(path: &Path) -> Vec<(u64, u64)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let bytes = fs::read(path).unwrap_or_default();
    bytes.chunks_exact(NOTE).map(|note| (number(&note[..8]), number(&note[8..]))).collect()
}

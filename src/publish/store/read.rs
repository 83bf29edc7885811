//! What the disk has of a session, read back: whole, or as much of its end as hangs together.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nowcast_hls::{Mark, names};
use tracing::{info, warn};

use super::facts::Head;
use super::record::Records;
use super::{Begin, Facts, PartFacts};
use crate::flow::StreamName;

/// A session that can be gone on with.
#[derive(Debug)]
pub(in crate::publish) struct Stored {
    pub(in crate::publish) facts: Facts,
    pub(in crate::publish) renditions: Vec<StoredRendition>,
    pub(in crate::publish) tail: Tail,
    /// Unix time in milliseconds of the last sign of life.
    pub(in crate::publish) last_ms: i64,
}

/// Whether everything that was listed last is on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::publish) enum Tail {
    /// It is.
    Whole,
    /// Nobody knows: parts may have been listed that are not here, and their names are given.
    Unsure,
    /// It is not, and nobody knows how many numbers are given.
    Lost,
}

/// A rendition's segments, one following from the other.
#[derive(Debug, Default)]
pub(in crate::publish) struct StoredRendition {
    pub(in crate::publish) segments: Vec<StoredSegment>,
    pub(in crate::publish) inits: Vec<(Arc<str>, Bytes)>,
    /// Behind everything that is known to have been listed.
    pub(in crate::publish) next: Mark,
    /// Where the media ends, in the rendition's timescale; 0 where that is unknown.
    pub(in crate::publish) end: u64,
    /// The last anchor that is known.
    pub(in crate::publish) anchor: i64,
}

impl StoredRendition {
    /// One past the last segment that has a part.
    fn end_msn(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.begin.msn + 1)
    }
}

/// A segment of at least one part.
#[derive(Debug)]
pub(in crate::publish) struct StoredSegment {
    pub(in crate::publish) begin: Begin,
    pub(in crate::publish) parts: Vec<(PartFacts, Bytes)>,
    /// Which start of the server completed it.
    pub(in crate::publish) ended: Option<names::Start>,
    /// How much of its file is whole.
    pub(in crate::publish) length: u64,
}

/// The names in a directory; none, if there is no such directory.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The media sequence numbers that have a file, rising.
pub(super) fn segments(dir: &Path) -> Vec<u64> {
    let mut numbers: Vec<_> = names(dir).iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Removes a session, and its stream's directory with the last one.
pub(super) fn discard(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    // Another session may be there.
    dir.parent().map(fs::remove_dir).transpose().ok();
    Ok(())
}

/// The sessions below a stream's directory, the oldest first.
pub(super) fn sessions(
    dir: &Path,
    boot: &str,
    stream: &StreamName,
    listed: impl Fn(&str) -> Vec<(u64, u64)>,
) -> Vec<Stored> {
    let mut found: Vec<Stored> = Vec::new();
    for prefix in names(dir) {
        let session_dir = dir.join(&prefix);
        match session(&session_dir, &prefix, boot, &listed(&prefix)) {
            Some(session) => {
                info!(%stream, prefix, tail = ?session.tail, "a session is on the disk");
                found.push(session);
            }
            None => {
                warn!(
                    %stream,
                    "{} is damaged, or of another version: the stream begins anew, under other addresses",
                    session_dir.display()
                );
                if let Err(error) = discard(&session_dir) {
                    warn!(%stream, %error, "{} cannot be removed", session_dir.display());
                }
            }
        }
    }
    found.sort_by_key(|session| session.facts.since_ms);
    found
}

fn session(dir: &Path, prefix: &str, boot: &str, listed: &[(u64, u64)]) -> Option<Stored> {
    let bytes = fs::read(dir.join("session")).ok()?;
    let (facts, _) = Records::new(bytes.into()).next::<Facts>()?;
    facts.frozen().filter(|frozen| frozen.prefix == prefix)?;
    let same_boot = !boot.is_empty() && facts.boot == boot;
    let mut tail = if same_boot { Tail::Whole } else { Tail::Lost };
    let mut last_ms = facts.since_ms;
    let mut renditions = Vec::new();
    for (at, known) in facts.renditions.iter().enumerate() {
        let (rendition, complete) = rendition(dir, &known.name, known.last.as_ref());
        let nothing = rendition.segments.is_empty();
        tail = match listed.get(at) {
            _ if tail == Tail::Lost || nothing || !complete => Tail::Lost,
            Some((msn, part)) if *msn >= rendition.end_msn() || *part > rendition.next.part => {
                Tail::Lost
            }
            Some(_) => tail,
            None => Tail::Unsure,
        };
        let parts = rendition.segments.iter().flat_map(|segment| &segment.parts);
        last_ms = parts.map(|(part, _)| part.at_ms).max().unwrap_or(0).max(last_ms);
        renditions.push(rendition);
    }
    Some(Stored { facts, renditions, tail, last_ms })
}

/// What there is of a rendition, and whether nothing is missing at its end.
fn rendition(dir: &Path, name: &str, last: Option<&Begin>) -> (StoredRendition, bool) {
    let media = dir.join(name);
    let numbers = segments(&media);
    let mut found = StoredRendition::default();
    let mut complete = true;
    let note = |found: &mut StoredRendition, begin: &Begin, parts: u64| {
        let mark = begin.mark();
        found.next.msn = found.next.msn.max(mark.msn + 1);
        found.next.part = found.next.part.max(mark.part + parts);
        let discontinuities = mark.discontinuities + u64::from(begin.discontinuity);
        found.next.discontinuities = found.next.discontinuities.max(discontinuities);
        found.next.longest = found.next.longest.max(mark.longest);
        found.end = found.end.max(begin.time);
        found.anchor = found.anchor.max(begin.anchor);
    };
    if let Some(last) = last {
        note(&mut found, last, 0);
    }
    // From the last one back, as long as one follows from the other.
    let mut segments: Vec<StoredSegment> = Vec::new();
    for &msn in numbers.iter().rev() {
        let Some(segment) = segment(&media.join(msn.to_string()), msn) else {
            // Of what is listed last, nobody knows how far it went.
            complete &= !segments.is_empty();
            found.next.msn = found.next.msn.max(msn + 1);
            break;
        };
        note(&mut found, &segment.begin, segment.parts.len() as u64);
        if segment.parts.is_empty() && segments.is_empty() {
            continue; // It began, and nothing of it was listed.
        }
        let follows = segments.last().is_none_or(|next| {
            segment.ended.is_some()
                && next.begin.msn == msn + 1
                && next.begin.part == segment.begin.part + segment.parts.len() as u64
        });
        let init = &segment.begin.init;
        let has_init = found.inits.iter().any(|(name, _)| **name == **init)
            || fs::read(dir.join(init)).is_ok_and(|bytes| {
                let same = names::init(&bytes) == *init;
                if same {
                    found.inits.push((init.as_str().into(), bytes.into()));
                }
                same
            });
        if !follows || !has_init {
            complete &= !segments.is_empty();
            break;
        }
        segments.push(segment);
    }
    segments.reverse();
    if let Some((part, _)) = segments.last().and_then(|last| last.parts.last()) {
        found.end = found.end.max(part.time + part.duration);
    }
    found.segments = segments;
    (found, complete)
}

fn segment(file: &Path, msn: u64) -> Option<StoredSegment> {
    let mut records = Records::new(fs::read(file).ok()?.into());
    let Head::Begin(begin) = records.next::<Head>()?.0 else { return None };
    let mut segment = StoredSegment { begin, parts: Vec::new(), ended: None, length: 0 };
    segment.length = records.read();
    while let Some((head, bytes)) = records.next::<Head>() {
        match head {
            Head::Part(part) if segment.ended.is_none() => segment.parts.push((part, bytes)),
            Head::End(start) if segment.ended.is_none() => segment.ended = Some(start),
            _ => break,
        }
        segment.length = records.read();
    }
    (segment.begin.msn == msn).then_some(segment)
}

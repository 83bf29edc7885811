//! Records on the disk: a head that says what it is, bytes, and a checksum over both.
//!
//! ```text
//! length of the head (u32) · of the bytes (u32) · CRC-32 of all the rest (u32) · head (JSON) · bytes
//! ```
//!
//! Big-endian. What is read back is a whole prefix of what was written, or less: a record that was torn,
//! or that the disk has changed, ends it.

use std::io::{self, Write};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

const PREFIX: usize = 12;

/// Appends a record; answers how many bytes that took.
pub(super) fn write(out: &mut impl Write, head: &impl Serialize, body: &[u8]) -> io::Result<u64> {
    let mut record = vec![0; PREFIX];
    serde_json::to_writer(&mut record, head)?;
    let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let head_length = u32::try_from(record.len() - PREFIX).map_err(too_long)?;
    let body_length = u32::try_from(body.len()).map_err(too_long)?;
    record[..4].copy_from_slice(&head_length.to_be_bytes());
    record[4..8].copy_from_slice(&body_length.to_be_bytes());
    let sum = checksum(&record[..8], &record[PREFIX..], body);
    record[8..PREFIX].copy_from_slice(&sum.to_be_bytes());
    out.write_all(&record)?;
    out.write_all(body)?;
    Ok((record.len() + body.len()) as u64)
}

fn checksum(lengths: &[u8], head: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    [lengths, head, body].into_iter().for_each(|bytes| sum.update(bytes));
    sum.finalize()
}

/// Reads records, one after the other.
#[derive(Debug)]
pub(super) struct Records {
    rest: Bytes,
    read: u64,
}

impl Records {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, read: 0 }
    }

    /// The next whole record; nothing follows the first one that is not.
    pub(super) fn next<H: DeserializeOwned>(&mut self) -> Option<(H, Bytes)> {
        let number = |at: usize| {
            let bytes = self.rest.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        let length = |at| usize::try_from(number(at)?).ok();
        let (head, body, sum) = (length(0)?, length(4)?, number(8)?);
        let body_at = PREFIX.checked_add(head)?;
        let end = body_at.checked_add(body).filter(|end| *end <= self.rest.len())?;
        let whole =
            checksum(&self.rest[..8], &self.rest[PREFIX..body_at], &self.rest[body_at..end]);
        let parsed = serde_json::from_slice(&self.rest[PREFIX..body_at]).ok();
        let parsed = parsed.filter(|_| whole == sum)?;
        let body = self.rest.slice(body_at..end);
        self.rest = self.rest.slice(end..);
        self.read += end as u64;
        Some((parsed, body))
    }

    /// The length of the whole records read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_file_cut_or_changed_anywhere_gives_a_whole_prefix(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6),
            cut in any::<prop::sample::Index>(),
            flip in any::<Option<(prop::sample::Index, u8)>>(),
        ) {
            let mut file = Vec::new();
            let mut ends = vec![0];
            for (number, body) in bodies.iter().enumerate() {
                write(&mut file, &number, body).unwrap();
                ends.push(file.len());
            }
            let cut = cut.index(file.len() + 1);
            file.truncate(cut);
            let mut damaged = cut;
            if let Some((at, bits)) = flip.filter(|(_, bits)| *bits != 0 && cut > 0) {
                damaged = at.index(cut);
                file[damaged] ^= bits;
            }
            let mut records = Records::new(file.into());
            let mut count = 0;
            while let Some((number, body)) = records.next::<usize>() {
                prop_assert_eq!((number, &body[..]), (count, &bodies[count][..]));
                count += 1;
                prop_assert_eq!(records.read(), ends[count] as u64);
            }
            let whole = ends.iter().filter(|end| **end <= damaged).count() - 1;
            prop_assert_eq!(count, whole);
        }
    }
}

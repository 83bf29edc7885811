//! What moderators, hosts and operators did, as a chain: each row has the hash of the one before it, so that
//! a row that was edited, taken out or moved shows.
//!
//! The chain tells of a change to a part of it. Who can write the whole file can write another chain: an end
//! ([`Head`]) that was noted elsewhere tells of that.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Id, Op, Role, Viewer};

/// What somebody did, with effect.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deed {
    /// Who.
    pub who: Id,
    /// Their name, as their token said it.
    pub name: Option<Id>,
    /// As what.
    pub role: Role,
    /// The op's kind.
    pub kind: String,
    /// The op's body: JSON, to the byte.
    pub body: String,
    /// When, in Unix milliseconds.
    pub at: i64,
}

/// One deed in its place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Row {
    /// Its number, from 1.
    pub n: u64,
    /// What it tells.
    #[serde(flatten)]
    pub deed: Deed,
    /// [`Row::hash`] of the row before it.
    pub before: String,
    /// SHA-256 of all the rest, in hexadecimal.
    pub hash: String,
}

/// The end of a chain: how many rows it has, and the hash of the last.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// Rows.
    pub n: u64,
    /// [`Row::hash`] of the last one.
    pub hash: String,
}

/// Where a chain does not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Another row should follow.
    #[error("row {expected} should come here, and row {found} does: rows were taken out or moved")]
    Order {
        /// The row that should follow.
        expected: u64,
        /// The row that does.
        found: u64,
    },
    /// It does not go on from the row before.
    #[error(
        "row {0} does not follow from the row before it: one of the two is not the one that was written"
    )]
    Link(u64),
    /// Its content is not what was hashed.
    #[error("row {0} is not as it was written: it was edited")]
    Content(u64),
    /// The last rows are missing.
    #[error(
        "row {expected} is missing: the log ends with row {found}, and rows were taken from its end"
    )]
    End {
        /// The first row that is missing.
        expected: u64,
        /// The last row there is.
        found: u64,
    },
}

impl Deed {
    /// What `op` is, done by `who` at `at`; nobody keeps watch over viewers.
    pub(crate) fn of(who: &Viewer, op: &Op, at: i64) -> Option<Self> {
        if who.role == Role::Viewer {
            return None;
        }
        let asked = serde_json::json!(op.ask);
        Some(Self {
            who: who.id.clone(),
            name: who.name.clone(),
            role: who.role,
            kind: op.ask.kind().to_owned(),
            body: asked["body"].to_string(),
            at,
        })
    }
}

impl Head {
    /// The chain of a stream, with nothing in it: another stream's rows do not fit in.
    #[must_use]
    pub fn of(stream: &str) -> Self {
        Self { n: 0, hash: hash(&[b"nowcast audit 1", stream.as_bytes()]) }
    }

    /// Adds a deed; what follows goes on from the row's own [`Row::head`].
    #[must_use]
    pub fn chain(&self, deed: Deed) -> Row {
        let (n, before) = (self.n + 1, self.hash.clone());
        let hash = content(n, &deed, &before);
        Row { n, deed, before, hash }
    }

    /// Goes on over `row`, if it is the one that follows.
    ///
    /// # Errors
    /// It is not.
    pub fn follow(&self, row: &Row) -> Result<Self, Misfit> {
        if row.n != self.n + 1 {
            return Err(Misfit::Order { expected: self.n + 1, found: row.n });
        }
        if row.hash != content(row.n, &row.deed, &row.before) {
            return Err(Misfit::Content(row.n));
        }
        if row.before != self.hash {
            return Err(Misfit::Link(row.n));
        }
        Ok(row.head())
    }

    /// Whether the chain that was followed so far is whole: `end` is what was written beside it.
    ///
    /// # Errors
    /// It is not.
    pub fn is_end(&self, end: &Self) -> Result<(), Misfit> {
        if self.n < end.n {
            return Err(Misfit::End { expected: self.n + 1, found: self.n });
        }
        if self == end { Ok(()) } else { Err(Misfit::Link(self.n)) }
    }
}

impl Row {
    /// The chain up to here.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { n: self.n, hash: self.hash.clone() }
    }
}

fn content(n: u64, deed: &Deed, before: &str) -> String {
    let Deed { who, name, role, kind, body, at } = deed;
    // A name that is not there is another thing than an empty one.
    let named = [u8::from(name.is_some())];
    hash(&[
        before.as_bytes(),
        &n.to_be_bytes(),
        &at.to_be_bytes(),
        who.as_bytes(),
        &named,
        name.as_deref().unwrap_or_default().as_bytes(),
        role.as_str().as_bytes(),
        kind.as_bytes(),
        body.as_bytes(),
    ])
}

/// Each piece goes with its length: no two lists are the same bytes.
fn hash(pieces: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for piece in pieces {
        sha.update((piece.len() as u64).to_be_bytes());
        sha.update(piece);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(count: usize) -> (Vec<Row>, Head) {
        let mut head = Head::of("live");
        let rows = (0..count).map(|index| {
            let deed = Deed {
                who: "host-1".into(),
                name: (index % 2 == 0).then(|| "Ada".into()),
                role: Role::Host,
                kind: "announce".into(),
                body: format!(r#"{{"text":"{index}"}}"#),
                at: 1000 + i64::try_from(index).unwrap(),
            };
            let row = head.chain(deed);
            head = row.head();
            row
        });
        (rows.collect(), head)
    }

    fn verify(stream: &str, rows: &[Row], end: &Head) -> Result<(), Misfit> {
        rows.iter().try_fold(Head::of(stream), |head, row| head.follow(row))?.is_end(end)
    }

    #[test]
    fn a_chain_that_nobody_touched_fits() {
        for count in [0, 1, 7] {
            let (rows, head) = chain(count);
            assert_eq!(verify("live", &rows, &head), Ok(()));
        }
        let (rows, head) = chain(3);
        assert_eq!(verify("other", &rows, &head), Err(Misfit::Link(1)), "of another stream");
    }

    proptest! {
        #[test]
        fn a_row_that_was_edited_is_named(at in 0_usize..9, field in 0..8) {
            let (mut rows, head) = chain(9);
            let Row { n, deed, before, hash } = &mut rows[at];
            match field {
                0 => *n += 1,
                1 => deed.who = "host-2".into(),
                2 => deed.name = if deed.name.is_some() { None } else { Some("".into()) },
                3 => deed.role = Role::Moderator,
                4 => deed.kind.push('x'),
                5 => deed.body.push(' '),
                6 => deed.at -= 1,
                _ => (*before, *hash) = (hash.clone(), before.clone()),
            }
            let number = at as u64 + 1;
            let expected = match field {
                0 => Misfit::Order { expected: number, found: number + 1 },
                _ => Misfit::Content(number),
            };
            prop_assert_eq!(verify("live", &rows, &head), Err(expected));
        }

        #[test]
        fn a_row_that_was_edited_and_hashed_again_does_not_fit_the_next(at in 0_usize..9) {
            let (mut rows, head) = chain(9);
            rows[at].deed.body = "{}".into();
            rows[at].hash = content(rows[at].n, &rows[at].deed, &rows[at].before);
            let misfit = if at == 8 { Misfit::Link(9) } else { Misfit::Link(at as u64 + 2) };
            prop_assert_eq!(verify("live", &rows, &head), Err(misfit));
        }

        #[test]
        fn rows_taken_out_are_missed(at in 0_usize..9) {
            let (mut rows, head) = chain(9);
            rows.remove(at);
            let number = at as u64 + 1;
            let expected = match at {
                8 => Misfit::End { expected: 9, found: 8 },
                _ => Misfit::Order { expected: number, found: number + 1 },
            };
            prop_assert_eq!(verify("live", &rows, &head), Err(expected));
            // Numbered anew, they still do not go on from one another.
            rows.iter_mut().skip(at).for_each(|row| row.n -= 1);
            prop_assert!(verify("live", &rows, &head).is_err());
        }

        #[test]
        fn rows_that_were_moved_are_noticed(one in 0_usize..9, other in 0_usize..9) {
            prop_assume!(one != other);
            let (mut rows, head) = chain(9);
            rows.swap(one, other);
            let first = one.min(other) as u64 + 1;
            let found = one.max(other) as u64 + 1;
            let expected = Misfit::Order { expected: first, found };
            prop_assert_eq!(verify("live", &rows, &head), Err(expected));
            let deeds: Vec<_> = rows.iter().map(|row| row.deed.clone()).collect();
            let (mut rows, head) = chain(9);
            rows.iter_mut().zip(deeds).for_each(|(row, deed)| row.deed = deed);
            prop_assert_eq!(verify("live", &rows, &head), Err(Misfit::Content(first)));
        }
    }
}

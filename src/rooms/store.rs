//! The rooms' journals on the disk: one thread and one transaction at a time, which takes all that has
//! come since the one before. Nobody hears of a commit before it is durable.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use nowcast_interact::audit::{Head, Row};
use nowcast_interact::{Answer, Commit, Eraser, Id, OpKey, Record};
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::mpsc;
use tracing::error;

use super::figures::Figures;
use crate::flow::StreamName;

/// A room's epoch, by its stream.
const ROOMS: TableDefinition<'_, &str, &str> = TableDefinition::new("rooms");
/// The records of a commit as a JSON array, by stream and number.
const JOURNAL: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("journal");
/// When an op was answered and how, by stream, person and op.
const ANSWERS: TableDefinition<'_, (&str, &str, &str), (i64, &[u8])> =
    TableDefinition::new("answers");

/// What was done with authority, one row of the chain each as JSON, by stream and number from 1.
const AUDIT: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("audit");
/// The end of that chain as JSON, by stream: rows taken from it are missed.
const AUDIT_ENDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("audit_ends");

/// Batches that wait for the disk. Full: rooms wait, and take no ops meanwhile.
const QUEUE: usize = 1024;
/// Commits of one transaction, about.
const TOGETHER: usize = 4096;
/// How long the answer to an op is known, in milliseconds.
pub(super) const ANSWERED_MS: i64 = 86_400_000;

/// What a room wants on the disk.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) room: StreamName,
    /// How often the room has started over: what follows a batch that failed must not be kept either.
    pub(super) generation: u64,
    /// The number of the first commit in the room's journal.
    pub(super) first: u64,
    pub(super) commits: Vec<Commit>,
    /// Unix milliseconds.
    pub(super) at: i64,
    pub(super) done: mpsc::UnboundedSender<Done>,
}

/// A batch that is on the disk, or that the disk did not take.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) generation: u64,
    pub(super) commits: Vec<Commit>,
    pub(super) fault: Option<String>,
}

/// What the disk has of a room.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) epoch: String,
    pub(super) records: Vec<Record>,
    /// The number of the next commit.
    pub(super) next: u64,
}

/// The journals of all rooms.
#[derive(Debug)]
pub struct Store {
    database: Arc<Database>,
    batches: mpsc::Sender<Batch>,
}

impl Store {
    /// Opens the database in the state directory `dir`.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(dir: &Path, figures: Arc<Figures>) -> Result<Self> {
        let path = dir.join("rooms.redb");
        let place = || {
            format!("{} cannot be opened; is the disk full, or the file damaged?", path.display())
        };
        // What people said and how they voted is nobody else's.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).with_context(place)?;
        let backend = FileBackend::new(file).with_context(place)?;
        let database = Database::builder().create_with_backend(backend).with_context(place)?;
        let begin = database.begin_write()?;
        begin.open_table(ROOMS)?;
        begin.open_table(JOURNAL)?;
        begin.open_table(ANSWERS)?;
        begin.open_table(AUDIT)?;
        begin.open_table(AUDIT_ENDS)?;
        begin.commit()?;
        let database = Arc::new(database);
        let (batches, queue) = mpsc::channel(QUEUE);
        let writer = Arc::clone(&database);
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || write(&writer, queue, &figures))?;
        Ok(Self { database, batches })
    }

    /// Forgets answers that nobody can ask for any more at `now` (Unix milliseconds).
    pub(super) fn forget_answers(&self, now: i64) -> Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(ANSWERS)?.retain(|_, (at, _)| now - at < ANSWERED_MS)?;
        transaction.commit()?;
        Ok(())
    }

    /// What there is of a room; a new one gets `epoch`, and has it before it is told to anybody.
    pub(super) fn restore(&self, room: &StreamName, epoch: &str) -> Result<Restored> {
        let known = {
            let read = self.database.begin_read()?;
            read.open_table(ROOMS)?.get(room.as_str())?.map(|epoch| epoch.value().to_owned())
        };
        let Some(epoch) = known else {
            let transaction = self.database.begin_write()?;
            transaction.open_table(ROOMS)?.insert(room.as_str(), epoch)?;
            transaction.commit()?;
            return Ok(Restored { epoch: epoch.to_owned(), records: Vec::new(), next: 0 });
        };
        let entries = self.entries(room)?;
        let next = entries.last().map_or(0, |(number, _)| number + 1);
        let records = entries.into_iter().flat_map(|(_, records)| records).collect();
        Ok(Restored { epoch, records, next })
    }

    /// Takes one person out of a room's journal, who may remain there as `alias`, and the answers they got.
    pub(super) fn erase(&self, room: &StreamName, id: &Id, alias: &Id) -> Result<()> {
        let eraser = Eraser::Person { id: Arc::clone(id), alias: Arc::clone(alias) };
        let quoted = serde_json::to_string(id)?;
        let tells = |row: &[u8]| str::from_utf8(row).is_ok_and(|row| row.contains(&quoted));
        self.rewrite(room, usize::MAX, &eraser, tells)?;
        let transaction = self.database.begin_write()?;
        let others = |(of, person, _): (&str, &str, &str)| of != room.as_str() || *person != **id;
        transaction.open_table(ANSWERS)?.retain(|key, _| others(key))?;
        transaction.commit()?;
        Ok(())
    }

    /// Takes the audience out of what a room's journal has from before `before`, in Unix milliseconds.
    pub(super) fn retire(&self, room: &StreamName, before: i64) -> Result<()> {
        let entries = self.entries(room)?;
        let entries = entries.iter().map(|(_, records)| records.as_slice());
        let (eraser, old) = Eraser::audience(entries, before);
        self.rewrite(room, old, &eraser, |_| true)
    }

    /// Rewrites the first `count` entries of a room's journal, of those that `concern` the eraser. What is
    /// written meanwhile comes after them.
    fn rewrite(
        &self,
        room: &StreamName,
        count: usize,
        eraser: &Eraser,
        concern: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let room = room.as_str();
        let mut changes = Vec::new();
        {
            let read = self.database.begin_read()?;
            let journal = read.open_table(JOURNAL)?;
            for row in journal.range((room, 0)..=(room, u64::MAX))?.take(count) {
                let (key, row) = row?;
                if !concern(row.value()) {
                    continue;
                }
                let records: Vec<Record> = serde_json::from_slice(row.value())?;
                let left: Vec<_> =
                    records.into_iter().filter_map(|record| eraser.rewrite(record)).collect();
                let left = serde_json::to_vec(&left)?;
                if left != row.value() {
                    changes.push((key.value().1, left));
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            for (number, row) in &changes {
                journal.insert((room, *number), row.as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn entries(&self, room: &StreamName) -> Result<Vec<(u64, Vec<Record>)>> {
        let read = self.database.begin_read()?;
        let journal = read.open_table(JOURNAL)?;
        let rows = journal.range((room.as_str(), 0)..=(room.as_str(), u64::MAX))?;
        rows.map(|row| {
            let (key, row) = row?;
            let number = key.value().1;
            let records = serde_json::from_slice(row.value());
            Ok((number, records.with_context(|| format!("entry {number} of the room {room}"))?))
        })
        .collect()
    }

    /// The answer that an op got within the last day.
    pub(super) fn answer(&self, room: &StreamName, key: &OpKey, now: i64) -> Option<Answer> {
        let found = || -> Result<Option<Answer>> {
            let read = self.database.begin_read()?;
            let answers = read.open_table(ANSWERS)?;
            let found = answers.get((room.as_str(), &*key.0, key.1.as_str()))?;
            let Some(found) = found.filter(|found| now - found.value().0 < ANSWERED_MS) else {
                return Ok(None);
            };
            Ok(serde_json::from_slice(found.value().1)?)
        };
        found().unwrap_or_else(|fault| {
            error!(%room, %fault, "an answer cannot be looked up");
            None
        })
    }

    /// At most `most` rows of what was done with authority, from the one after `after`, and the chain's end.
    pub(super) fn audit(
        &self,
        room: &StreamName,
        after: u64,
        most: usize,
    ) -> Result<(Vec<Row>, Head)> {
        let read = self.database.begin_read()?;
        let (rows, ends) = (read.open_table(AUDIT)?, read.open_table(AUDIT_ENDS)?);
        let from = after.saturating_add(1);
        let rows = rows.range((room.as_str(), from)..=(room.as_str(), u64::MAX))?.take(most);
        let rows = rows.map(|row| Ok(serde_json::from_slice(row?.1.value())?));
        let end = ends.get(room.as_str())?;
        let end = end.map(|end| serde_json::from_slice(end.value())).transpose()?;
        Ok((rows.collect::<Result<_>>()?, end.unwrap_or_else(|| Head::of(room.as_str()))))
    }

    /// Hands a batch over; waits while the disk is behind.
    pub(super) async fn write(&self, batch: Batch) {
        if let Err(refused) = self.batches.send(batch).await {
            let Batch { generation, commits, done, .. } = refused.0;
            let fault = Some("the journal's thread has ended".to_owned());
            // Nobody is left to hear it once the room is gone.
            done.send(Done { generation, commits, fault }).ok();
        }
    }
}

fn write(database: &Database, mut queue: mpsc::Receiver<Batch>, figures: &Figures) {
    // The generation of each room that failed last.
    let mut failed: HashMap<StreamName, u64> = HashMap::new();
    while let Some(first) = queue.blocking_recv() {
        let mut together = first.commits.len();
        let mut batches = vec![first];
        while together < TOGETHER
            && let Ok(batch) = queue.try_recv()
        {
            together += batch.commits.len();
            batches.push(batch);
        }
        let (batches, late): (Vec<_>, Vec<_>) = batches.into_iter().partition(|batch| {
            failed.get(&batch.room).is_none_or(|&failed| failed < batch.generation)
        });
        let began = Instant::now();
        let fault = commit(database, &batches).err().map(|fault| format!("{fault:#}"));
        if let Some(fault) = &fault {
            error!(fault, "the disk does not take what rooms decided; free some of it");
            failed.extend(batches.iter().map(|batch| (batch.room.clone(), batch.generation)));
        } else {
            let commits = batches.iter().map(|batch| batch.commits.len()).sum();
            figures.wrote(commits, began.elapsed());
        }
        for (batches, fault) in
            [(batches, fault), (late, Some("what came before failed".to_owned()))]
        {
            for Batch { generation, commits, done, .. } in batches {
                // A room that has gone needs no answer.
                done.send(Done { generation, commits, fault: fault.clone() }).ok();
            }
        }
    }
}

fn commit(database: &Database, batches: &[Batch]) -> Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut journal = transaction.open_table(JOURNAL)?;
        let mut answers = transaction.open_table(ANSWERS)?;
        let mut audit = transaction.open_table(AUDIT)?;
        let mut ends = transaction.open_table(AUDIT_ENDS)?;
        for batch in batches {
            let room = batch.room.as_str();
            for (number, commit) in (batch.first..).zip(&batch.commits) {
                let records = serde_json::to_vec(&commit.records)?;
                journal.insert((room, number), records.as_slice())?;
                if let Some(((person, op_id), answer)) = &commit.answer {
                    let answer = serde_json::to_vec(answer)?;
                    answers
                        .insert((room, &**person, op_id.as_str()), (batch.at, answer.as_slice()))?;
                }
                if let Some(deed) = &commit.deed {
                    let end = ends.get(room)?;
                    let end = end.map(|end| serde_json::from_slice::<Head>(end.value()));
                    let row =
                        end.transpose()?.unwrap_or_else(|| Head::of(room)).chain(deed.clone());
                    audit.insert((room, row.n), serde_json::to_vec(&row)?.as_slice())?;
                    ends.insert(room, serde_json::to_vec(&row.head())?.as_slice())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

//! What the parts of video carry of the log: one or more texts for `emsg`, and the date ranges of the
//! playlists.
//!
//! A part's bytes are bounded whatever the crowd does: what must arrive goes first, then a sample of the
//! chat, in which every author has the same chance; the same for everybody.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use crate::{Body, Event, Id, PollOption, Results, Role, Tally};

/// A part that is about to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// Where it begins, 90 kHz ticks.
    pub pts: u64,
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// It is the first of its segment: the state goes along, for those who begin here.
    pub starts_segment: bool,
    /// Bytes for the sample of the chat.
    pub budget: usize,
}

/// One text for `emsg`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CueText {
    /// Presentation time, in the part.
    pub pts: u64,
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// The first event in it, or the last one before it.
    pub seq: u64,
    /// JSON (docs/contract.md, "Timed metadata").
    pub text: String,
}

/// One EXT-X-DATERANGE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Range {
    /// The thing's id.
    pub id: Id,
    /// `live.nowcast.poll`, `.announcement` or `.spotlight`.
    pub class: &'static str,
    /// When it begins, in Unix milliseconds.
    pub start_ms: i64,
    /// How long it lasted, once that is known.
    pub duration_ms: Option<u64>,
    /// How long it is meant to last.
    pub planned_ms: Option<u64>,
    /// X-NOWCAST-EVENT.
    pub event: String,
    /// X-NOWCAST-RESULT.
    pub result: Option<String>,
    /// Where it begins, in ticks.
    pts: u64,
}

/// The most that all texts of a part take up together, in bytes.
const MOST: usize = 4096;
/// The least that a cue lasts: players overlook shorter ones.
const LEAST_TICKS: u32 = 22_500;
/// Messages that wait for a part: more than any budget takes.
const WAITING: usize = 4096;
/// Date ranges that are kept at a time. Those beyond travel by the other carriers alone: what is listed
/// must not go before it has left the playlist (RFC 8216bis §6.2.1).
const RANGES: usize = 24;
/// No message takes up less, in bytes.
const LEAST_MESSAGE: usize = 128;
/// Reactions told of one part.
const EMOJI: usize = 8;

/// What waits to be carried. It is given events once they are on the disk.
#[derive(Debug)]
pub struct Carriage {
    epoch: Arc<str>,
    /// How long a date range is kept once it has ended, in milliseconds.
    keep_ms: i64,
    seq: u64,
    /// What must arrive, by place and number.
    must: BTreeMap<(u64, u64), Arc<Event>>,
    /// What may.
    may: Vec<Arc<Event>>,
    /// Messages that found no room in what waits.
    overflow: u64,
    removed: HashSet<Id>,
    reactions: BTreeMap<String, u64>,
    polls: BTreeMap<Id, Tally>,
    told: BTreeMap<Id, u64>,
    ranges: Vec<Range>,
    counts: Counts,
}

/// What carrying came to, since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Messages that no part took.
    pub left_out: u64,
    /// Events that got into a later part than the one they belong to.
    pub late: u64,
}

impl Carriage {
    /// Nothing is carried yet of the log named `epoch`. Playlists reach back for less than `keep_ms`.
    #[must_use]
    pub fn new(epoch: Arc<str>, keep_ms: i64) -> Self {
        Self {
            epoch,
            keep_ms,
            seq: 0,
            must: BTreeMap::new(),
            may: Vec::new(),
            overflow: 0,
            removed: HashSet::new(),
            reactions: BTreeMap::new(),
            polls: BTreeMap::new(),
            told: BTreeMap::new(),
            ranges: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// What carrying came to so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// After a restart: what is going on, but not what was carried before.
    pub fn restore(&mut self, event: &Arc<Event>) {
        self.push(event);
        self.must.clear();
        self.may.clear();
        self.reactions.clear();
        self.removed.clear();
    }

    /// Takes an event of the log, in its order.
    pub fn push(&mut self, event: &Arc<Event>) {
        self.seq = event.seq;
        let pts = event.bind.map_or(0, |bind| bind.pts);
        self.note_range(event, pts);
        match &event.body {
            Body::ChatMessage { .. } | Body::QaAsked { .. } => {
                if self.may.len() < WAITING {
                    self.may.push(Arc::clone(event));
                } else {
                    self.overflow += 1;
                }
                return;
            }
            Body::Reactions { counts } => {
                for (emoji, count) in counts {
                    *self.reactions.entry(emoji.clone()).or_default() += count;
                }
                return;
            }
            Body::PollTally(tally) => {
                self.polls.insert(tally.poll.clone(), tally.clone());
                return;
            }
            Body::QaRanked { .. } => return,
            Body::PollOpened { options, results, .. } => {
                let votes = (*results == Results::Always).then_some(0);
                let options = options.iter().map(|option| PollOption { votes, ..option.clone() });
                let poll = event.id.clone();
                let options = options.collect();
                let none =
                    Tally { poll, rev: 0, options, voters: 0, closing: false, closes_at: None };
                self.polls.insert(event.id.clone(), none);
            }
            Body::PollResult(Tally { poll, .. }) | Body::PollCancelled { poll } => {
                self.polls.remove(poll);
                self.told.remove(poll);
            }
            // What was not carried yet never will be.
            Body::ChatRemoved { message } => {
                self.may.retain(|waiting| waiting.id != *message);
                self.removed.insert(message.clone());
            }
            _ => {}
        }
        self.must.insert((pts, event.seq), Arc::clone(event));
    }

    /// What the part at `span` carries.
    pub fn compose(&mut self, span: &Span) -> Vec<CueText> {
        let end = span.pts + u64::from(span.duration);
        let later = self.must.split_off(&(end, 0));
        let due = std::mem::replace(&mut self.must, later);
        // By the frame each belongs to; what comes late belongs to the first.
        let mut at: BTreeMap<u64, Vec<Json>> = BTreeMap::new();
        let mut used = 0;
        for ((pts, seq), event) in due {
            let json = json!(event);
            let size = json.to_string().len();
            // One that is longer than all of it still goes, alone.
            if used + size > MOST && used > 0 {
                self.must.insert((pts, seq), event);
                continue;
            }
            used += size;
            self.counts.late += u64::from(pts < span.pts);
            at.entry(pts.max(span.pts)).or_default().push(json);
        }
        let (sample, more) = self.sample(end, span.budget.min(MOST.saturating_sub(used)));
        self.counts.left_out += more;
        let reactions = self.take_reactions();
        let polls = self.take_polls(span.starts_segment);
        if span.starts_segment
            || !sample.is_empty()
            || more > 0
            || !reactions.is_empty()
            || !polls.is_empty()
        {
            at.entry(span.pts).or_default().extend(sample);
        }
        self.removed.clear();
        let mut cues = Vec::with_capacity(at.len());
        let (mut reactions, mut polls, mut more) = (Some(reactions), Some(polls), Some(more));
        for (pts, events) in at {
            let seq = events.first().and_then(|event| event["seq"].as_u64()).unwrap_or(self.seq);
            let mut value = json!({"v": 1, "epoch": self.epoch, "pts": pts, "events": events});
            if let Some(reactions) = reactions.take().filter(|reactions| !reactions.is_empty()) {
                value["reactions"] = json!(reactions);
            }
            if let Some(polls) = polls.take().filter(|polls| !polls.is_empty()) {
                value["polls"] = json!(polls);
            }
            if let Some(more) = more.take().filter(|&more| more > 0) {
                value["more"] = json!(more);
            }
            let duration = span.duration.max(LEAST_TICKS);
            cues.push(CueText { pts, duration, seq, text: value.to_string() });
        }
        cues
    }

    /// The date ranges that have begun before the tick `end`.
    #[must_use]
    pub fn ranges(&self, end: u64) -> Vec<Range> {
        self.ranges.iter().filter(|range| range.pts < end).cloned().collect()
    }

    /// Messages for a part that ends at `end`, and how many are left out.
    ///
    /// First those of hosts and moderators, then one of each author, drawn by lot: by a hash of epoch and
    /// number, so that the choice depends on nobody and is the same wherever it is made.
    fn sample(&mut self, end: u64, budget: usize) -> (Vec<Json>, u64) {
        let due = |event: &Arc<Event>| event.bind.is_none_or(|bind| bind.pts < end);
        let (mut waiting, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.may).into_iter().partition(due);
        self.may = later;
        let seed = fnv(self.epoch.as_bytes());
        waiting.sort_by_key(|event| {
            let staff = event.by.as_ref().is_some_and(|by| by.role > Role::Viewer);
            (!staff, mix(seed ^ event.seq))
        });
        let (mut authors, mut used, mut chosen) = (HashSet::new(), 0, Vec::new());
        let mut left = std::mem::take(&mut self.overflow);
        let mut waiting = waiting.into_iter();
        for event in waiting.by_ref() {
            let author = event.by.as_ref().map(|by| Arc::clone(&by.id));
            if author.as_ref().is_some_and(|author| authors.contains(author)) {
                left += 1;
                continue;
            }
            let json = json!(event);
            let size = json.to_string().len() + 1;
            if used + size > budget {
                left += 1;
                if used + LEAST_MESSAGE > budget {
                    break;
                }
                continue;
            }
            used += size;
            authors.extend(author);
            chosen.push((event.seq, json));
        }
        left += waiting.len() as u64;
        chosen.sort_by_key(|(seq, _)| *seq);
        (chosen.into_iter().map(|(_, json)| json).collect(), left)
    }

    fn take_reactions(&mut self) -> BTreeMap<String, u64> {
        let mut counts: Vec<_> = std::mem::take(&mut self.reactions).into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(EMOJI);
        counts.into_iter().collect()
    }

    /// Counts that changed; all of them where a segment begins.
    fn take_polls(&mut self, all: bool) -> BTreeMap<Id, Json> {
        let mut polls = BTreeMap::new();
        for (id, tally) in &self.polls {
            if all || self.told.get(id) != Some(&tally.rev) {
                let votes: Option<Vec<_>> =
                    tally.options.iter().map(|option| option.votes).collect();
                let mut poll = json!({"rev": tally.rev, "votes": votes.unwrap_or_default(), "voters": tally.voters});
                if tally.closing {
                    poll["closes_at"] = json!(tally.closes_at);
                }
                polls.insert(id.clone(), poll);
                self.told.insert(id.clone(), tally.rev);
            }
        }
        polls
    }

    fn note_range(&mut self, event: &Event, pts: u64) {
        let Some(bind) = event.bind else { return };
        let class = match &event.body {
            Body::PollOpened { .. } => "live.nowcast.poll",
            Body::Announcement { .. } => "live.nowcast.announcement",
            Body::QaSpotlight { .. } => "live.nowcast.spotlight",
            Body::PollResult(_) => return self.end_range(event, bind.pdt, true),
            Body::PollCancelled { .. } | Body::QaAnswered { .. } => {
                return self.end_range(event, bind.pdt, false);
            }
            _ => return,
        };
        if class == "live.nowcast.spotlight" {
            let open = |range: &&mut Range| range.class == class && range.duration_ms.is_none();
            for before in self.ranges.iter_mut().filter(open) {
                before.duration_ms = Some((bind.pdt - before.start_ms).max(0).unsigned_abs());
            }
            // A question that comes back has its range already: an id is never listed twice.
            if self.ranges.iter().any(|range| range.id == event.id) {
                return;
            }
        }
        let (duration_ms, planned_ms) = match &event.body {
            Body::Announcement { duration_ms, .. } => (Some(*duration_ms), None),
            Body::PollOpened { closes_at: Some(at), .. } => {
                (None, Some((at - bind.pdt).max(0).unsigned_abs()))
            }
            _ => (None, None),
        };
        let left = |range: &Range| {
            let ended =
                range.duration_ms.and_then(|lasts| range.start_ms.checked_add_unsigned(lasts));
            ended.is_some_and(|ended| ended + self.keep_ms < bind.pdt)
        };
        self.ranges.retain(|range| !left(range));
        if self.ranges.len() >= RANGES {
            return;
        }
        self.ranges.push(Range {
            id: event.id.clone(),
            class,
            start_ms: bind.pdt,
            duration_ms,
            planned_ms,
            event: encoded(&self.epoch, event),
            result: None,
            pts,
        });
    }

    fn end_range(&mut self, event: &Event, pdt: i64, result: bool) {
        let open = |range: &&mut Range| range.id == event.id && range.duration_ms.is_none();
        if let Some(range) = self.ranges.iter_mut().find(open) {
            range.duration_ms = Some((pdt - range.start_ms).max(0).unsigned_abs());
            range.result = result.then(|| encoded(&self.epoch, event));
        }
    }
}

/// An event that stands alone: with its epoch.
fn encoded(epoch: &str, event: &Event) -> String {
    let mut value = json!(event);
    value["epoch"] = json!(epoch);
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64: every bit of the number moves every bit of the result.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

//! What the dashboard knows: the streams as the server told them last, and what they were like before.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use serde::Deserialize;

/// Samples that are remembered, one a second.
const REMEMBERED: usize = 180;
/// Samples over which loss is told.
const LOSS_OVER: usize = 10;

/// A stream, as `/api/v1/streams` tells it; what an older server does not tell is absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) phase: String,
    pub(super) problem: Option<String>,
    pub(super) source: Option<String>,
    pub(super) publisher: Option<String>,
    pub(super) ingest: Option<Ingest>,
    pub(super) encoder: Option<Encoder>,
    pub(super) renditions: Vec<Rendition>,
    pub(super) audience: Audience,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ingest {
    pub(super) bitrate: u64,
    pub(super) rtt_ms: f64,
    pub(super) latency_ms: u64,
    pub(super) packets: u64,
    pub(super) packets_lost: u64,
    pub(super) packets_dropped: u64,
    pub(super) drift_ppm: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Encoder {
    pub(super) pid: Option<u64>,
    pub(super) restarts: u64,
    pub(super) delay_ms: f64,
    pub(super) cores: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rendition {
    pub(super) name: String,
    pub(super) codecs: String,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) bitrate: u64,
    pub(super) parts: u64,
    pub(super) part_delay_ms: f64,
    pub(super) part_delay_p99_ms: f64,
    pub(super) late_parts: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Audience {
    pub(super) viewers: u64,
    pub(super) reported: u64,
    pub(super) direct: u64,
    pub(super) at_least: bool,
    pub(super) waiting: u64,
    pub(super) egress: u64,
    pub(super) latency_ms: Option<f64>,
    pub(super) latency_p95_ms: Option<f64>,
    pub(super) stalls: u64,
}

impl Stream {
    /// The delay of the slowest rendition that tells one, in milliseconds.
    pub(super) fn part_delay_ms(&self) -> Option<f64> {
        self.renditions.iter().map(|one| one.part_delay_ms).filter(|ms| *ms > 0.0).reduce(f64::max)
    }
}

/// One second of a stream; what is not known is absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) bitrate: Option<f64>,
    pub(super) rtt_ms: Option<f64>,
    /// Packets that came, and that were missing at first, since the publisher connected.
    packets: (u64, u64),
    pub(super) loss: Option<f64>,
    pub(super) part_delay_ms: Option<f64>,
    pub(super) viewers: Option<f64>,
    pub(super) latency_ms: Option<f64>,
    pub(super) egress: Option<f64>,
}

/// What the rows are in the order of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sort {
    #[default]
    Name,
    Viewers,
    Egress,
    Loss,
    Delay,
}

impl Sort {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Viewers => "viewers",
            Self::Egress => "out",
            Self::Loss => "lost",
            Self::Delay => "delay",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Name => Self::Viewers,
            Self::Viewers => Self::Egress,
            Self::Egress => Self::Loss,
            Self::Loss => Self::Delay,
            Self::Delay => Self::Name,
        }
    }
}

/// What a key means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Up,
    Down,
    Open,
    Back,
    Sort,
}

/// The state of the dashboard; what is drawn depends on nothing else.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Where the server is asked.
    pub(super) server: String,
    streams: Vec<Stream>,
    histories: HashMap<String, VecDeque<Sample>>,
    /// Why there is no news, as long as there is none.
    pub(super) trouble: Option<String>,
    /// Whether the server has answered yet.
    pub(super) answered: bool,
    pub(super) sort: Sort,
    chosen: Option<String>,
    /// The chosen stream is shown alone.
    pub(super) open: bool,
}

impl Board {
    pub(super) fn new(server: String) -> Self {
        Self { server, ..Self::default() }
    }

    /// Takes what the server told, or why it did not.
    pub(super) fn take(&mut self, told: Result<Vec<Stream>, String>) {
        match told {
            Err(trouble) => self.trouble = Some(trouble),
            Ok(streams) => {
                self.trouble = None;
                self.answered = true;
                self.histories.retain(|name, _| streams.iter().any(|one| one.name == *name));
                for stream in &streams {
                    remember(self.histories.entry(stream.name.clone()).or_default(), stream);
                }
                self.streams = streams;
                self.arrange();
            }
        }
    }

    pub(super) fn press(&mut self, key: Key) {
        let at = self.position();
        match key {
            Key::Up => self.choose(at.saturating_sub(1)),
            Key::Down => self.choose((at + 1).min(self.streams.len().saturating_sub(1))),
            Key::Open => self.open = !self.streams.is_empty(),
            Key::Back => self.open = false,
            Key::Sort => {
                self.sort = self.sort.next();
                self.arrange();
            }
        }
    }

    /// The streams in their order.
    pub(super) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Which of them is chosen.
    pub(super) fn position(&self) -> usize {
        let chosen = self.chosen.as_ref();
        self.streams.iter().position(|one| Some(&one.name) == chosen).unwrap_or(0)
    }

    pub(super) fn chosen(&self) -> Option<&Stream> {
        self.streams.get(self.position())
    }

    /// One figure of a stream's last minutes, the oldest first.
    pub(super) fn history(&self, stream: &str, of: fn(&Sample) -> Option<f64>) -> Vec<Option<f64>> {
        self.histories.get(stream).into_iter().flatten().map(of).collect()
    }

    /// The last of these.
    pub(super) fn now(&self, stream: &str, of: fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.histories.get(stream)?.back().and_then(of)
    }

    fn choose(&mut self, at: usize) {
        self.chosen = self.streams.get(at).map(|one| one.name.clone());
    }

    fn arrange(&mut self) {
        let mut streams = std::mem::take(&mut self.streams);
        // Figures count down; tenths of a millisecond and of a thousandth are enough to compare.
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let whole = |figure: Option<f64>| figure.map_or(-1, |figure| (figure * 1e4) as i64);
        streams.sort_by_cached_key(|one| {
            let rank = match self.sort {
                Sort::Name => 0,
                Sort::Viewers => i64::try_from(one.audience.viewers).unwrap_or(i64::MAX),
                Sort::Egress => i64::try_from(one.audience.egress).unwrap_or(i64::MAX),
                Sort::Loss => whole(self.now(&one.name, |it| it.loss)),
                Sort::Delay => whole(one.part_delay_ms()),
            };
            (Reverse(rank), one.name.clone())
        });
        self.streams = streams;
    }
}

fn remember(history: &mut VecDeque<Sample>, stream: &Stream) {
    let (ingest, audience) = (stream.ingest.as_ref(), &stream.audience);
    let packets = ingest.map_or((0, 0), |ingest| (ingest.packets, ingest.packets_lost));
    let before = history.iter().rev().nth(LOSS_OVER - 1).or_else(|| history.front());
    let loss = ingest.zip(before).and_then(|(_, before)| {
        let lost = packets.1.checked_sub(before.packets.1)?;
        let came = packets.0.checked_sub(before.packets.0)?;
        (came > 0).then(|| (lost as f64 / (came + lost) as f64).min(1.0))
    });
    if history.len() == REMEMBERED {
        history.pop_front();
    }
    history.push_back(Sample {
        bitrate: ingest.map(|ingest| ingest.bitrate as f64),
        rtt_ms: ingest.map(|ingest| ingest.rtt_ms),
        packets,
        loss,
        part_delay_ms: stream.part_delay_ms(),
        viewers: Some(audience.viewers as f64),
        latency_ms: audience.latency_ms,
        egress: Some(audience.egress as f64),
    });
}

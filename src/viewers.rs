//! Who watches, counted in a way that survives a cache: by what players say of themselves, and, where
//! they say nothing, by how often each part is asked for here.
//!
//! A session is what CMCD names by `sid`: with requests, or in reports to `/cmcd`, which no cache
//! answers. It counts until it says that it is over, or has been silent for 30 s. Neither way sees everybody, so
//! the larger number is told, which is the least there can be.

mod cmcd;
mod collector;
mod direct;
mod sessions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use self::cmcd::Report;
use self::collector::Clients;
use self::direct::Direct;
use self::sessions::Sessions;
use crate::flow::{Audience, StreamName, Streams};

/// How often the audience is counted.
const TICK: Duration = Duration::from_secs(1);

/// Counts the viewers of all streams.
#[derive(Debug)]
pub struct Viewers {
    streams: Arc<Streams>,
    sessions: Mutex<Sessions>,
    clients: Mutex<Clients>,
}

impl Viewers {
    /// Counts those of `streams`, once [`Self::run`] runs.
    #[must_use]
    pub fn new(streams: Arc<Streams>) -> Self {
        Self { streams, sessions: Mutex::default(), clients: Mutex::default() }
    }

    /// Notes what a request for a stream's playlist or media says of its player: in its query, or in the
    /// header fields of CMCD. What cannot be read says nothing.
    pub fn note(&self, stream: &StreamName, query: Option<&str>, headers: &HeaderMap) {
        let query = query.filter(|query| query.contains("CMCD=")).and_then(cmcd::of_query);
        let report = match &query {
            Some(text) => Report::parse(text).ok(),
            None if headers.contains_key("cmcd-session") => Report::of_headers(headers),
            None => None,
        };
        if let Some(report) = report {
            self.sessions().note(&report, Some(stream), Instant::now());
        }
    }

    /// Counts until `stop` turns true, or its sender goes.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut direct = HashMap::new();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = tick.tick() => self.count(&mut direct),
            }
        }
    }

    /// Tells each stream its audience.
    fn count(&self, direct: &mut HashMap<StreamName, Direct>) {
        let streams = self.streams.all();
        let there = |name: &StreamName| streams.iter().any(|stream| stream.name == *name);
        let mut told = {
            let mut sessions = self.sessions();
            sessions.keep(there);
            sessions.count(Instant::now())
        };
        direct.retain(|name, _| there(name));
        for stream in streams {
            let asked = direct.entry(stream.name.clone()).or_default();
            let (viewers, egress) = asked.count(&stream.demand, &stream.status.borrow());
            let reported = told.remove(&stream.name).unwrap_or_default();
            stream.audience.store(Arc::new(Audience {
                viewers: reported.reported.max(viewers),
                direct: viewers,
                egress,
                waiting: stream.demand.waiting(),
                ..reported
            }));
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Counting cannot panic half-way.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream that a report of its own is about: by its content id, or the address of what it asked for.
    fn stream_of(&self, report: &Report<'_>) -> Option<StreamName> {
        let of_url = || report.url.as_deref()?.split("/live/").nth(1)?.split(['/', '?']).next();
        let names = [report.content.as_deref(), of_url()];
        names.into_iter().flatten().find_map(|name| Some(self.streams.find(name)?.name.clone()))
    }
}

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::mp4::Fragment;
use crate::playlist::{Map, MediaPlaylist, Position};

/// A media playlist as it was at one time, delta updates merged.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) playlist: MediaPlaylist,
    /// When it was asked for and when it came, since the watch began.
    pub(crate) asked: Duration,
    pub(crate) answered: Duration,
    /// Whether a cache may have kept it: it then may be older than what came before.
    pub(crate) cached: bool,
}

/// All that was seen of one media playlist.
#[derive(Debug)]
pub(crate) struct Rendition {
    pub(crate) url: Url,
    /// The first generation seen: what must stay stays as it is there.
    pub(crate) first: Generation,
    /// The one that lists most.
    pub(crate) latest: Generation,
    /// What was listed when, for the reports of others.
    pub(crate) history: VecDeque<(Duration, Position)>,
    /// The last playlists that came whole, and those merged from delta updates, to be compared.
    pub(crate) whole: VecDeque<MediaPlaylist>,
    pub(crate) merged: VecDeque<MediaPlaylist>,
    /// What is in parts and segments, by number and index.
    pub(crate) fragments: BTreeMap<(u64, Index), Held>,
    /// Duration and bytes of segments, by number.
    pub(crate) sizes: BTreeMap<u64, (Duration, u64)>,
}

/// Which piece of a segment.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Index {
    Part(usize),
    Whole,
}

/// Media that was fetched, and what is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) discontinuity: u64,
    pub(crate) fragment: Fragment,
}

/// What a playlist tells of a part or segment.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) rendition: Url,
    pub(crate) msn: u64,
    pub(crate) index: Index,
    pub(crate) discontinuity: u64,
    pub(crate) map: Option<Arc<Map>>,
    pub(crate) encrypted: bool,
    /// When its segment begins, in microseconds since 1970; only where it begins with it.
    pub(crate) date: Option<i64>,
    pub(crate) duration: Duration,
    pub(crate) independent: bool,
    pub(crate) gap: bool,
    /// The line of the playlist that listed it first.
    pub(crate) excerpt: String,
}

impl Rendition {
    /// So many generations, positions and fragments are kept.
    const GENERATIONS: usize = 8;
    const POSITIONS: usize = 1000;
    const FRAGMENTS: usize = 400;

    pub(crate) fn new(url: Url, first: Generation) -> Self {
        Self {
            url,
            latest: first.clone(),
            first,
            history: VecDeque::new(),
            whole: VecDeque::new(),
            merged: VecDeque::new(),
            fragments: BTreeMap::new(),
            sizes: BTreeMap::new(),
        }
    }

    pub(crate) fn note(&mut self, at: Duration, position: Position) {
        if self.history.back().is_none_or(|(_, last)| *last < position) {
            self.history.push_back((at, position));
            if self.history.len() > Self::POSITIONS {
                self.history.pop_front();
            }
        }
    }

    /// What was known to be listed at an instant.
    pub(crate) fn position_at(&self, at: Duration) -> Option<Position> {
        let known = self.history.partition_point(|(when, _)| *when <= at);
        Some(self.history.get(known.checked_sub(1)?)?.1)
    }

    pub(crate) fn keep(list: &mut VecDeque<MediaPlaylist>, playlist: MediaPlaylist) {
        list.push_back(playlist);
        if list.len() > Self::GENERATIONS {
            list.pop_front();
        }
    }

    pub(crate) fn hold(&mut self, msn: u64, index: Index, held: Held) {
        self.fragments.insert((msn, index), held);
        if self.fragments.len() > Self::FRAGMENTS {
            self.fragments.pop_first();
        }
    }
}

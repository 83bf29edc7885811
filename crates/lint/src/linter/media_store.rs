use std::hash::{DefaultHasher, Hasher};

use url::Url;

use super::Linter;
use crate::exchange::{ByteRange, Exchange, Purpose};
use crate::finding::Sink;
use crate::mp4::{self, Fragment};
use crate::playlist::Map;
use crate::rendition::{Held, Index, Place};
use crate::rules::{http, media};

/// Media that was fetched: enough to tell whether it is the same later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    hash: u64,
}

impl Linter {
    /// So much media waits for its playlist or init section.
    const WAITING: usize = 64;
    /// So many hashes are remembered.
    const REMEMBERED: usize = 100_000;

    /// Notes where parts and segments stand, and looks again at media that came before.
    pub(super) fn list(&mut self, url: &Url, text: &str) {
        let Some(rendition) = self.renditions.get(url) else { return };
        let playlist = &rendition.latest.playlist;
        let lines: Vec<&str> = text.lines().collect();
        let excerpt =
            |line: usize| lines.get(line.wrapping_sub(1)).copied().unwrap_or_default().to_owned();
        self.places
            .retain(|_, place| place.rendition != *url || place.msn + 64 > playlist.first_msn());
        for (segment, discontinuity) in playlist.discontinuities() {
            let place = |index, duration, independent, gap, line| Place {
                rendition: url.clone(),
                msn: segment.msn,
                index,
                discontinuity,
                map: segment.map.clone(),
                encrypted: segment.key.is_some(),
                date: segment.date.filter(|_| matches!(index, Index::Whole | Index::Part(0))),
                duration,
                independent,
                gap,
                excerpt: excerpt(line),
            };
            // Where the first have left, the index of the others is not known.
            let parts = Some(&segment.parts).filter(|_| segment.has_all_parts());
            for (index, part) in parts.into_iter().flatten().enumerate() {
                let key = (part.url.clone(), part.range);
                self.places.entry(key).or_insert_with(|| {
                    place(Index::Part(index), part.duration, part.independent, part.gap, part.line)
                });
            }
            if let Some(url) = &segment.url {
                let key = (url.clone(), segment.range);
                self.places.entry(key).or_insert_with(|| {
                    place(Index::Whole, segment.duration, true, segment.gap, segment.line)
                });
            }
        }
        self.settle();
    }

    pub(super) fn handle_media(&mut self, exchange: &Exchange) {
        if exchange.purpose == Purpose::Listed && exchange.is_success() {
            let time = exchange.finished.saturating_sub(exchange.asked).as_secs_f64();
            self.best_rate = self.best_rate.max(exchange.body.len() as f64 / time.max(1e-4));
        }
        let map = Map { url: exchange.url.clone(), range: exchange.range };
        let mut renditions = self.renditions.values();
        let is_map = renditions.any(|rendition| {
            let segments = &rendition.latest.playlist.segments;
            segments.iter().any(|segment| segment.map.as_deref() == Some(&map))
        });
        if is_map {
            self.handle_init(exchange, map);
            return;
        }
        self.waiting.push_back(exchange.clone());
        if self.waiting.len() > Self::WAITING {
            self.waiting.pop_front();
        }
        self.settle();
    }

    /// Judges the media whose place and init section are known by now.
    pub(super) fn settle(&mut self) {
        let mut left = std::mem::take(&mut self.waiting);
        left.retain(|exchange| !self.judge_media(exchange));
        self.waiting = left;
    }

    /// Whether it could be judged.
    fn judge_media(&mut self, exchange: &Exchange) -> bool {
        let Some(place) = self.place_of(exchange) else { return false };
        let hint = exchange.purpose == Purpose::Hint;
        let url = exchange.url.to_string();
        let mut sink =
            Sink { findings: &mut self.findings, url: &url, at: exchange.answered, text: "" };
        if !exchange.is_success() {
            media::unavailable(exchange, &place, hint, &mut sink);
            http::error(exchange, &mut sink);
            return true;
        }
        let fragment = match place.map.as_deref() {
            Some(map) => match self.inits.get(map) {
                Some(tracks) => Fragment::read(&exchange.body, tracks),
                None => return false,
            },
            None => Fragment::default(),
        };
        http::media(exchange, &mut sink);
        if hint {
            media::trickle(exchange, &place, self.best_rate, &mut sink);
        }
        self.remember(exchange);
        self.measure(exchange, &place);
        if place.map.is_none() {
            self.seen.ts |= mp4::is_ts(&exchange.body);
            return true;
        }
        if place.encrypted {
            self.seen.encrypted = true;
        }
        let mut sink =
            Sink { findings: &mut self.findings, url: &url, at: exchange.answered, text: "" };
        media::check(exchange, &place, &fragment, &mut sink);
        self.judge_mapping(&place, &fragment, &url);
        self.hold(&place, fragment, &url);
        true
    }

    fn place_of(&self, exchange: &Exchange) -> Option<Place> {
        if let Some(place) = self.places.get(&(exchange.url.clone(), exchange.range)) {
            return Some(place.clone());
        }
        // A hint without a length is listed with one.
        let start = exchange.range.filter(|range| range.length.is_none())?.start;
        let length = Some(exchange.body.len() as u64);
        self.places.get(&(exchange.url.clone(), Some(ByteRange { start, length }))).cloned()
    }

    fn remember(&mut self, exchange: &Exchange) {
        if self.remembered.len() < Self::REMEMBERED {
            let key = (exchange.url.clone(), exchange.range);
            self.remembered.insert(key, Remembered { hash: hash(&exchange.body) });
        }
    }

    /// Segments count for bandwidth.
    fn measure(&mut self, exchange: &Exchange, place: &Place) {
        let Some(rendition) = self.renditions.get_mut(&place.rendition) else { return };
        if place.index == Index::Whole {
            rendition.sizes.insert(place.msn, (place.duration, exchange.body.len() as u64));
        }
    }

    fn judge_mapping(&mut self, place: &Place, fragment: &Fragment, url: &str) {
        let (Some(date), Some(track)) = (place.date, fragment.leading()) else { return };
        if track.samples.is_empty() {
            return;
        }
        let shown = i128::from(track.first_shown()) * 1_000_000 / i128::from(track.timescale);
        let Ok(offset) = i64::try_from(i128::from(date) - shown) else { return };
        let first = *self.mappings.entry(place.discontinuity).or_insert(offset);
        let mut sink = Sink { findings: &mut self.findings, url, at: self.now, text: "" };
        media::mapping(first, offset, place, &mut sink);
    }

    /// Compares a piece with its neighbours, and a segment with its parts.
    fn hold(&mut self, place: &Place, fragment: Fragment, url: &str) {
        let Some(rendition) = self.renditions.get_mut(&place.rendition) else { return };
        let (msn, index) = (place.msn, place.index);
        rendition.hold(msn, index, Held { discontinuity: place.discontinuity, fragment });
        let parts_in = |msn: u64| {
            let segment = rendition
                .latest
                .playlist
                .segment(msn)
                .filter(|segment| segment.url.is_some() && segment.has_all_parts());
            segment.map_or(0, |segment| segment.parts.len())
        };
        let previous = match index {
            Index::Part(0) => msn
                .checked_sub(1)
                .zip(parts_in(msn.wrapping_sub(1)).checked_sub(1))
                .map(|(msn, last)| (msn, Index::Part(last))),
            Index::Part(index) => Some((msn, Index::Part(index - 1))),
            Index::Whole => msn.checked_sub(1).map(|msn| (msn, Index::Whole)),
        };
        let following = match index {
            Index::Part(index) if index + 1 == parts_in(msn) => Some((msn + 1, Index::Part(0))),
            Index::Part(index) => Some((msn, Index::Part(index + 1))),
            Index::Whole => Some((msn + 1, Index::Whole)),
        };
        let mut sink = Sink { findings: &mut self.findings, url, at: self.now, text: "" };
        let held = |key: Option<(u64, Index)>| rendition.fragments.get(&key?);
        let this = held(Some((msn, index)));
        for (one, other) in [(held(previous), this), (this, held(following))] {
            if let (Some(one), Some(other)) = (one, other)
                && one.discontinuity == other.discontinuity
            {
                media::follows(&one.fragment, &other.fragment, place, &mut sink);
            }
        }
        let parts: Option<Vec<&Fragment>> = (0..parts_in(msn))
            .map(|index| held(Some((msn, Index::Part(index)))).map(|held| &held.fragment))
            .collect();
        if let (Some(parts), Some(whole)) =
            (parts.filter(|parts| !parts.is_empty()), held(Some((msn, Index::Whole))))
        {
            media::is_concatenation(&parts, &whole.fragment, place, &mut sink);
            self.seen.joined = true;
        }
    }

    /// Media fetched once more.
    pub(super) fn handle_again(&mut self, exchange: &Exchange) {
        let key = (exchange.url.clone(), exchange.range);
        let Some(before) = self.remembered.get(&key) else { return };
        let mut sink = Sink {
            findings: &mut self.findings,
            url: exchange.url.as_str(),
            at: exchange.answered,
            text: "",
        };
        if !exchange.is_success() {
            media::gone(exchange, &mut sink);
        } else if before.hash != hash(&exchange.body) {
            media::bytes_changed(&mut sink);
        }
        self.seen.again = true;
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

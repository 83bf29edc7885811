use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use url::Url;

use crate::exchange::{Exchange, Probe, Purpose, directive, without_directives};
use crate::finding::{Findings, Rule, Sink};
use crate::mp4::{Track, tracks};
use crate::playlist::{Map, MediaPlaylist, Multivariant, is_multivariant};
use crate::rendition::{Generation, Place, Rendition};
use crate::report::Report;
use crate::rules::{
    constancy, date_ranges, delta, generations, http, media, multivariant, parts, presentation,
    probes, reload, syntax,
};

mod media_store;
mod unobserved;

use media_store::Remembered;

static BROKEN: Rule = Rule::violation("answer-broken", "RFC 9110 §15");

/// Judges a stream by what is fetched of it.
///
/// [`handle`](Self::handle) takes each answer; [`latest`](Self::latest) shows what to ask for next;
/// [`finish`](Self::finish) ends the watch.
#[derive(Debug, Default)]
pub struct Linter {
    findings: Findings,
    start: Option<Multivariant>,
    start_url: Option<Url>,
    start_text: String,
    renditions: BTreeMap<Url, Rendition>,
    inits: HashMap<Map, Vec<Track>>,
    places: HashMap<(Url, Option<crate::ByteRange>), Place>,
    /// Media that came before the playlist that lists it, or before its init section.
    waiting: VecDeque<Exchange>,
    remembered: HashMap<(Url, Option<crate::ByteRange>), Remembered>,
    /// By discontinuity number: microseconds between date and media time, in what was seen first.
    mappings: BTreeMap<u64, i64>,
    /// The fastest that a listed part came, in bytes a second.
    best_rate: f64,
    seen: unobserved::Seen,
    exchanges: u64,
    now: Duration,
}

impl Linter {
    /// A linter that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges one answer. A blocking request and what it brought comes once it is whole.
    pub fn handle(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        self.now = self.now.max(exchange.finished);
        self.seen.note(exchange);
        match exchange.purpose {
            Purpose::Start => self.handle_start(exchange),
            Purpose::Playlist => self.handle_playlist(exchange),
            Purpose::Listed | Purpose::Hint => self.handle_media(exchange),
            Purpose::Again => self.handle_again(exchange),
            Purpose::Probe(probe) => self.handle_probe(probe, exchange),
        }
    }

    /// Notes a request that got no whole answer: nothing at all, a body cut off.
    pub fn handle_failure(&mut self, url: &Url, reason: &str, at: Duration) {
        self.now = self.now.max(at);
        let place = without_directives(url);
        let mut sink = Sink { findings: &mut self.findings, url: place.as_str(), at, text: "" };
        sink.whole(
            &BROKEN,
            reason,
            "a request got no whole answer: players give a rendition up after a few of these.",
        );
    }

    /// The multivariant playlist, if one was found.
    #[must_use]
    pub fn multivariant(&self) -> Option<&Multivariant> {
        self.start.as_ref()
    }

    /// A media playlist as it was seen last, delta updates merged.
    #[must_use]
    pub fn latest(&self, playlist: &Url) -> Option<&MediaPlaylist> {
        Some(&self.renditions.get(playlist)?.latest.playlist)
    }

    /// What was listed at an instant, as far as it was seen.
    #[must_use]
    pub fn position_at(&self, playlist: &Url, at: Duration) -> Option<crate::playlist::Position> {
        self.renditions.get(playlist)?.position_at(at)
    }

    /// Ends the watch: what needs all of it is judged now.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.settle();
        let mut unobserved = self.seen.unobserved(&self.renditions);
        if self.start.is_none() {
            unobserved.push(unobserved::NO_MULTIVARIANT);
        }
        if let (Some(start), Some(url)) = (&self.start, &self.start_url) {
            let mut sink = Sink {
                findings: &mut self.findings,
                url: url.as_str(),
                at: self.now,
                text: &self.start_text,
            };
            presentation::bandwidths(start, &self.renditions, &mut sink);
            presentation::out_of_step(&self.renditions, &mut sink);
        }
        Report {
            left_out: self.findings.left_out,
            findings: self.findings.into_sorted(),
            unobserved,
            exchanges: self.exchanges,
        }
    }

    fn handle_start(&mut self, exchange: &Exchange) {
        let text = String::from_utf8_lossy(&exchange.body);
        if !is_multivariant(&text) {
            let playlist = Exchange { purpose: Purpose::Playlist, ..exchange.clone() };
            self.handle_playlist(&playlist);
            return;
        }
        let playlist = Multivariant::read(&text, &exchange.url);
        let url = exchange.url.to_string();
        let mut sink =
            Sink { findings: &mut self.findings, url: &url, at: exchange.finished, text: &text };
        // It changes rarely: for how long it is kept is the operator's choice.
        http::playlist(exchange, Duration::ZERO, true, false, &mut sink);
        multivariant::check(&playlist, &mut sink);
        self.start_url = Some(exchange.url.clone());
        self.start_text = text.into_owned();
        self.start = Some(playlist);
    }

    fn handle_playlist(&mut self, exchange: &Exchange) {
        let url = without_directives(&exchange.url);
        let text = String::from_utf8_lossy(&exchange.body).into_owned();
        let mut sink = Sink {
            findings: &mut self.findings,
            url: url.as_str(),
            at: exchange.answered,
            text: &text,
        };
        let known = self.renditions.get(&url);
        if !exchange.is_success() {
            let target = known.map(|known| known.first.playlist.target());
            reload::refused(exchange, target, &mut sink);
            http::error(exchange, &mut sink);
            http::error_kept(exchange, target.unwrap_or_default(), &mut sink);
            return;
        }
        let raw = MediaPlaylist::read(&text, &exchange.url);
        let blocking = reload::wanted(exchange).is_some();
        syntax::check(&raw, &mut sink);
        parts::check(&raw, &mut sink);
        http::playlist(exchange, raw.target(), blocking, raw.ended.is_some(), &mut sink);
        reload::check(exchange, &raw, &mut sink);
        let asked = directive(&exchange.url, "_HLS_skip").is_some();
        let before = known.map(|known| &known.latest.playlist);
        delta::check(asked, &raw, before, &mut sink);
        self.seen.note_playlist(&raw);
        let is_delta = raw.skipped.is_some();
        let merged = match before {
            _ if !is_delta => Ok(raw.clone()),
            Some(before) => raw.clone().merge(before),
            None => return,
        };
        let playlist = match merged {
            Ok(playlist) => playlist,
            Err(msn) => {
                if before.is_none_or(|before| before.position() <= raw.position()) {
                    delta::unusable(msn, &raw, &mut sink);
                }
                return;
            }
        };
        let cached = exchange.age().is_some() || (!blocking && exchange.max_age(true) != Some(0));
        let now =
            Generation { playlist, asked: exchange.asked, answered: exchange.answered, cached };
        self.handle_generation(&url, now, is_delta, &text);
        self.judge_reports(&url, &raw, exchange, &text);
    }

    /// A playlist, whole or merged, in the light of those before it.
    fn handle_generation(&mut self, url: &Url, now: Generation, is_delta: bool, text: &str) {
        let mut sink =
            Sink { findings: &mut self.findings, url: url.as_str(), at: now.answered, text };
        date_ranges::check(&now.playlist, &mut sink);
        let Some(rendition) = self.renditions.get_mut(url) else {
            if let Some(other) = self.renditions.values().next() {
                constancy::check_renditions(&other.first.playlist, &now.playlist, &mut sink);
            }
            let rendition = Rendition::new(url.clone(), now);
            self.renditions.insert(url.clone(), rendition);
            self.list(url, text);
            return;
        };
        constancy::check(&rendition.first.playlist, &now.playlist, &mut sink);
        let (own, others) = if is_delta {
            (&mut rendition.merged, &rendition.whole)
        } else {
            (&mut rendition.whole, &rendition.merged)
        };
        let same = others.iter().rev().find(|other| {
            other.position() == now.playlist.position()
                && other.first_msn() == now.playlist.first_msn()
                && other.ended.is_some() == now.playlist.ended.is_some()
        });
        if let Some(other) = same {
            let (merged, whole) =
                if is_delta { (&now.playlist, other) } else { (other, &now.playlist) };
            delta::differs(merged, whole, &mut sink);
        }
        Rendition::keep(own, now.playlist.clone());
        let latest = &rendition.latest;
        if now.playlist.position() < latest.playlist.position() {
            generations::backwards(latest, &now, &mut sink);
            return;
        }
        generations::check(latest, &now, &mut sink);
        date_ranges::check_generations(&latest.playlist, &now.playlist, &mut sink);
        rendition.note(now.answered, now.playlist.position());
        rendition.latest = now;
        self.list(url, text);
    }

    /// Reports of the other renditions: there, and fresh.
    fn judge_reports(&mut self, url: &Url, raw: &MediaPlaylist, exchange: &Exchange, text: &str) {
        let mut sink =
            Sink { findings: &mut self.findings, url: url.as_str(), at: exchange.answered, text };
        if let Some(start) = &self.start {
            let all = start.playlists();
            let others: Vec<&Url> = all.iter().filter(|other| *other != url).collect();
            reload::report_missing(raw, &others, &mut sink);
        }
        let Some(part) = raw.part_target() else { return };
        // Three parts of leniency and a little: the answers of both playlists travelled.
        let kept = Duration::from_secs(exchange.age().unwrap_or(0));
        let Some(then) =
            exchange.answered.checked_sub(part * 3 + Duration::from_millis(250) + kept)
        else {
            return;
        };
        for report in &raw.reports {
            let mut known =
                self.renditions.iter().filter(|(other, _)| other.path() == report.url.path());
            let seen = known.next().and_then(|(_, other)| other.position_at(then));
            if let (Some(seen), Some(msn)) = (seen, report.last_msn) {
                reload::report_stale(report.line, (msn, report.last_part), seen, &mut sink);
            }
        }
    }

    fn handle_probe(&mut self, probe: Probe, exchange: &Exchange) {
        let url = without_directives(&exchange.url);
        // Probes of media are about whatever rendition there is.
        let known = self.renditions.get(&url).or_else(|| self.renditions.values().next());
        let Some(known) = known.map(|known| &known.latest.playlist) else { return };
        let text = String::from_utf8_lossy(&exchange.body).into_owned();
        let playlist = (exchange.is_success() && text.starts_with("#EXTM3U"))
            .then(|| MediaPlaylist::read(&text, &exchange.url));
        let mut sink = Sink {
            findings: &mut self.findings,
            url: url.as_str(),
            at: exchange.answered,
            text: &text,
        };
        probes::check(probe, exchange, playlist.as_ref(), known, &mut sink);
        if let Some(playlist) = playlist.filter(|_| probe == Probe::PastTheEnd) {
            reload::check(exchange, &playlist, &mut sink);
        }
    }

    /// The tracks of an init section, and what the multivariant playlist says of them.
    fn handle_init(&mut self, exchange: &Exchange, map: Map) {
        let found = tracks(&exchange.body);
        let mut sink = Sink {
            findings: &mut self.findings,
            url: exchange.url.as_str(),
            at: exchange.answered,
            text: "",
        };
        media::init(found.is_some(), exchange, &mut sink);
        let Some(found) = found.filter(|_| exchange.is_success()) else { return };
        http::media(exchange, &mut sink);
        self.judge_codecs(&map, &found);
        self.inits.insert(map, found);
        self.settle();
    }

    fn judge_codecs(&mut self, map: &Map, found: &[Track]) {
        let (Some(start), Some(url)) = (&self.start, &self.start_url) else { return };
        let mut sink = Sink {
            findings: &mut self.findings,
            url: url.as_str(),
            at: self.now,
            text: &self.start_text,
        };
        let uses = |rendition: &&Rendition| {
            rendition
                .latest
                .playlist
                .segments
                .iter()
                .any(|segment| segment.map.as_deref() == Some(map))
        };
        for rendition in self.renditions.values().filter(uses) {
            for variant in &start.variants {
                let own = variant.url == rendition.url;
                let group = variant.attributes.text("AUDIO").unwrap_or_default();
                let mut members = multivariant::members(start, "AUDIO", group);
                if own || members.any(|member| member.url.as_ref() == Some(&rendition.url)) {
                    multivariant::codecs(variant, found, &mut sink);
                }
                if own {
                    multivariant::resolution(variant, found, &mut sink);
                }
            }
        }
    }
}

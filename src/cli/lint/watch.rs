use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nowcast_lint::playlist::{HintType, MediaPlaylist};
use nowcast_lint::{ByteRange, Exchange, Linter, Probe, Purpose, Report};
use tokio::task::JoinSet;
use url::Url;

use super::client::{Ask, Client, Failed};

/// The media of so many last segments is fetched when the watch begins.
const SEGMENTS_AT_FIRST: usize = 2;
/// So much media of a rendition is fetched once more at the end.
const AGAIN: usize = 6;
/// Every so many answers the playlist is asked for without directives.
const PLAIN_EVERY: u64 = 7;

/// One address, watched.
pub(super) struct Watch {
    client: Client,
    linter: Mutex<Linter>,
    until: Instant,
}

impl Watch {
    /// Fetches what stands at `url` and, until `until`, all that it leads to.
    pub(super) async fn begin(url: &Url, until: Instant) -> Result<Arc<Self>, Failed> {
        Self::begin_at(Instant::now(), url, until).await
    }

    /// The same, with times counted from `started`: what two watches note can then be compared.
    pub(super) async fn begin_at(
        started: Instant,
        url: &Url,
        until: Instant,
    ) -> Result<Arc<Self>, Failed> {
        let watch = Self { client: Client::new(started), linter: Mutex::new(Linter::new()), until };
        let start = watch.client.fetch(Ask::new(url.clone(), Purpose::Start)).await?;
        if !start.is_success() {
            let reason = format!(
                "the server answers {}; check the address, and that the stream is live",
                start.status
            );
            return Err(Failed { url: url.clone(), reason, at: start.answered });
        }
        watch.linter(|linter| linter.handle(&start));
        Ok(Arc::new(watch))
    }

    /// The media playlists there are.
    pub(super) fn playlists(&self, start: &Url) -> Vec<Url> {
        let found = self.linter(|linter| linter.multivariant().map(|found| found.playlists()));
        found.unwrap_or_else(|| vec![start.clone()])
    }

    /// Follows all of them until the watch ends.
    pub(super) async fn follow(self: &Arc<Self>, start: &Url) {
        let mut tasks = JoinSet::new();
        for (index, url) in self.playlists(start).into_iter().enumerate() {
            let rendition = Follower {
                watch: Arc::clone(self),
                url,
                fetched: HashSet::new(),
                media: JoinSet::new(),
                probes: index == 0,
                turn: 0,
            };
            tasks.spawn(rendition.run());
        }
        while tasks.join_next().await.is_some() {}
    }

    pub(super) fn linter<T>(&self, with: impl FnOnce(&mut Linter) -> T) -> T {
        with(&mut self.linter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn report(&self) -> Report {
        self.linter(std::mem::take).finish()
    }

    /// One request that the linter is not told of.
    pub(super) async fn ask(&self, ask: Ask) -> Option<Exchange> {
        self.client.fetch(ask).await.ok()
    }

    async fn fetch(&self, ask: Ask) -> Option<Exchange> {
        match self.client.fetch(ask).await {
            Ok(exchange) => {
                self.linter(|linter| linter.handle(&exchange));
                Some(exchange)
            }
            Err(failed) => {
                self.linter(|linter| linter.handle_failure(&failed.url, &failed.reason, failed.at));
                None
            }
        }
    }
}

/// One media playlist, followed as a player does.
struct Follower {
    watch: Arc<Watch>,
    url: Url,
    fetched: HashSet<(Url, u64, bool)>,
    media: JoinSet<()>,
    /// Whether this one is probed; one is enough.
    probes: bool,
    turn: u64,
}

impl Follower {
    async fn run(mut self) {
        let until = tokio::time::Instant::from_std(self.watch.until);
        // What is still held then is of no more interest.
        tokio::time::timeout_at(until, self.follow()).await.ok();
        self.again().await;
    }

    async fn follow(&mut self) {
        self.watch.fetch(Ask::new(self.url.clone(), Purpose::Playlist)).await;
        loop {
            let Some(latest) = self.latest() else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.watch.fetch(Ask::new(self.url.clone(), Purpose::Playlist)).await;
                continue;
            };
            self.fetch_media(&latest);
            if self.probes && self.turn == 3 {
                self.probe(&latest);
            }
            if latest.ended.is_some() {
                tokio::time::sleep(latest.target().max(Duration::from_secs(1))).await;
            }
            self.reload(&latest).await;
            self.turn += 1;
        }
    }

    fn latest(&self) -> Option<MediaPlaylist> {
        self.watch.linter(|linter| linter.latest(&self.url).cloned())
    }

    /// The next generation: whole, and as a delta update beside it.
    async fn reload(&self, latest: &MediaPlaylist) {
        let before = latest.position();
        let control = latest.control();
        if !control.can_block_reload || latest.ended.is_some() {
            let pause = latest.part_target().unwrap_or_else(|| latest.target()) / 2;
            tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
            self.watch.fetch(Ask::new(self.url.clone(), Purpose::Playlist)).await;
            return;
        }
        let mut directives = format!("_HLS_msn={}", before.open_msn);
        if latest.part_target.is_some() {
            directives += &format!("&_HLS_part={}", before.open_parts);
        }
        let whole = self.watch.fetch(Ask::new(directed(&self.url, &directives), Purpose::Playlist));
        let delta = async {
            if control.can_skip_until.is_some() {
                let url = directed(&self.url, &format!("{directives}&_HLS_skip=YES"));
                self.watch.fetch(Ask::new(url, Purpose::Playlist)).await;
            }
        };
        let plain = async {
            if self.turn.is_multiple_of(PLAIN_EVERY) {
                self.watch.fetch(Ask::new(self.url.clone(), Purpose::Playlist)).await;
            }
        };
        tokio::join!(whole, delta, plain);
        if self.latest().is_some_and(|now| now.position() == before) {
            // Refused, or answered too early: a player that asked on at once would be a flood.
            tokio::time::sleep(latest.part_target().unwrap_or_else(|| latest.target())).await;
        }
    }

    /// Parts, hints, segments and init sections that were not fetched yet.
    fn fetch_media(&mut self, latest: &MediaPlaylist) {
        let first_new = latest.segments.len().saturating_sub(SEGMENTS_AT_FIRST + 1);
        for (index, segment) in latest.segments.iter().enumerate().skip(first_new) {
            if let Some(map) = &segment.map {
                self.get(map.url.clone(), map.range, Purpose::Listed, false);
            }
            for part in segment.parts.iter().filter(|part| !part.gap) {
                self.get(part.url.clone(), part.range, Purpose::Listed, true);
            }
            if let Some(url) = segment.url.as_ref().filter(|_| !segment.gap && index > 0) {
                self.get(url.clone(), segment.range, Purpose::Listed, false);
            }
        }
        // Every other part is waited for by its hint; the rest show that what is listed is there.
        if self.turn.is_multiple_of(2) {
            for hint in latest.hints.clone() {
                self.get(hint.url, hint.range, Purpose::Hint, hint.kind == HintType::Part);
            }
        }
        if self.probes {
            self.probe_past_the_end(latest);
        }
        while self.media.try_join_next().is_some() {}
    }

    fn get(&mut self, url: Url, range: Option<ByteRange>, purpose: Purpose, part: bool) {
        let key = (url.clone(), range.map_or(0, |range| range.start), part);
        if self.fetched.insert(key) {
            let watch = Arc::clone(&self.watch);
            self.media.spawn(async move {
                watch.fetch(Ask { range, ..Ask::new(url, purpose) }).await;
            });
        }
    }

    fn spawn_probe(&mut self, url: Url, probe: Probe, tag: Option<String>) {
        let watch = Arc::clone(&self.watch);
        self.media.spawn(async move {
            watch.fetch(Ask { tag, ..Ask::new(url, Purpose::Probe(probe)) }).await;
        });
    }

    /// What players ask rarely or by mistake, once.
    fn probe(&mut self, latest: &MediaPlaylist) {
        let end = latest.position().open_msn;
        let old = latest.first_msn().saturating_sub(1);
        for (directives, probe) in [
            ("_HLS_part=0".to_owned(), Probe::PartWithoutSegment),
            ("_HLS_msn=x".to_owned(), Probe::NoNumber),
            (format!("_HLS_msn={}", end + 100), Probe::FarAhead),
            (format!("_HLS_msn={old}"), Probe::Expired),
        ] {
            self.spawn_probe(directed(&self.url, &directives), probe, None);
        }
        for probe in [Probe::Head, Probe::Preflight, Probe::Identity] {
            self.spawn_probe(self.url.clone(), probe, None);
        }
        let Some(segment) = latest.complete().next_back() else { return };
        let Some(url) = segment.url.clone() else { return };
        if let Some(unknown) = unknown(&url) {
            self.spawn_probe(unknown, Probe::Unknown, None);
        }
        let (watch, range) = (Arc::clone(&self.watch), segment.range);
        self.media.spawn(async move {
            let again = Ask { range, ..Ask::new(url.clone(), Purpose::Again) };
            let Some(answer) = watch.fetch(again).await else { return };
            if let Some(tag) = answer.header("etag") {
                let tag = Some(tag.to_owned());
                watch.fetch(Ask { tag, ..Ask::new(url, Purpose::Probe(Probe::Conditional)) }).await;
            }
        });
    }

    /// A part after the last of a segment that was just completed, with none of the next listed.
    fn probe_past_the_end(&mut self, latest: &MediaPlaylist) {
        let end = latest.position();
        let Some(last) = latest.complete().next_back().filter(|_| end.open_parts == 0) else {
            return;
        };
        let parts = last.parts.len();
        // Twice is enough to be sure of it.
        if parts > 0 && self.turn > 3 && self.turn < 30 {
            let directives = format!("_HLS_msn={}&_HLS_part={parts}", last.msn);
            self.spawn_probe(directed(&self.url, &directives), Probe::PastTheEnd, None);
        }
    }

    /// Media that is still listed, once more: its bytes are the same.
    async fn again(&self) {
        let Some(latest) = self.latest() else { return };
        let segments =
            latest.complete().rev().map(|segment| (segment.url.clone(), segment.range, false));
        let parts = latest.segments.iter().rev().flat_map(|segment| &segment.parts);
        let parts = parts.map(|part| (Some(part.url.clone()), part.range, true));
        let listed = segments.take(AGAIN / 2).chain(parts.take(AGAIN / 2));
        for (url, range, part) in listed {
            let Some(url) = url else { continue };
            if self.fetched.contains(&(url.clone(), range.map_or(0, |range| range.start), part)) {
                self.watch.fetch(Ask { range, ..Ask::new(url, Purpose::Again) }).await;
            }
        }
    }
}

/// A URL with directives behind whatever query it has.
pub(super) fn directed(url: &Url, directives: &str) -> Url {
    let mut url = url.clone();
    let query =
        url.query().map_or_else(|| directives.to_owned(), |query| format!("{query}&{directives}"));
    url.set_query(Some(&query));
    url
}

/// A name beside a segment's that nothing has.
fn unknown(segment: &Url) -> Option<Url> {
    let name = segment.path().rsplit('/').next()?;
    let extension = name.rsplit_once('.').map_or("m4s", |(_, extension)| extension);
    segment.join(&format!("nowcast-lint-asks-for-nothing.{extension}")).ok()
}

//! A player that believes nothing: it follows every rendition by blocking reload, takes hinted parts before
//! they are listed, and compares each generation with the one before.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nowcast_testkit::m3u8::MediaPlaylist;

use super::harness::{Answer, Server, try_get, try_until};

/// The multivariant playlist.
#[derive(Debug)]
pub(crate) struct Master {
    /// Those with a picture.
    pub(crate) variants: Vec<Variant>,
    /// The one without, which is the last.
    pub(crate) sound_only: Option<Variant>,
    /// The audio renditions.
    pub(crate) audio: Vec<Variant>,
}

/// One EXT-X-STREAM-INF or EXT-X-MEDIA.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) path: String,
    attributes: BTreeMap<String, String>,
}

impl Variant {
    /// An attribute, without its quotes.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }
}

impl Master {
    /// Reads a stream's multivariant playlist, once there is one.
    pub(crate) fn of(server: &Server, stream: &str, seconds: u64) -> Self {
        let path = format!("/live/{stream}/index.m3u8");
        let answer = try_until(seconds, || Some(server.get(&path)).filter(|it| it.status == 200));
        let Some(answer) = answer else {
            panic!("{stream} is not playable within {seconds} s: {:#}", server.status(stream))
        };
        Self::read(answer.text(), &format!("/live/{stream}/"))
    }

    fn read(text: &str, folder: &str) -> Self {
        let (mut variants, mut sound_only, mut audio) = (Vec::new(), None, Vec::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                let path = format!("{folder}{}", lines.next().expect("a URI"));
                let variant = Variant { path, attributes: attributes(list) };
                assert!(sound_only.is_none(), "a variant behind the one without a picture");
                if variant.attributes.contains_key("RESOLUTION") {
                    variants.push(variant);
                } else {
                    sound_only = Some(variant);
                }
            } else if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
                let attributes = attributes(list);
                audio.push(Variant { path: format!("{folder}{}", attributes["URI"]), attributes });
            }
        }
        Self { variants, sound_only, audio }
    }

    /// The path element that names the session.
    pub(crate) fn session(&self) -> &str {
        self.variants[0].path.split('/').nth(3).unwrap()
    }

    /// Follows every rendition at the same time until `enough` says so of each, the video's first.
    pub(crate) fn follow<'a>(
        &self,
        server: &'a Server,
        enough: impl Fn(&Followed<'_>) -> bool + Sync,
    ) -> Vec<Followed<'a>> {
        let paths = self.variants.iter().chain(&self.audio).map(|it| &it.path);
        thread::scope(|scope| {
            let threads: Vec<_> = paths
                .map(|path| scope.spawn(|| Followed::new(server, path).follow(&enough)))
                .collect();
            threads.into_iter().map(|it| it.join().expect("a clean rendition")).collect()
        })
    }
}

/// Splits `A=1,B="x,y"`.
fn attributes(list: &str) -> BTreeMap<String, String> {
    let mut quoted = false;
    let separates = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    list.split(separates)
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// A part as it was listed, and its bytes.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) independent: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A segment that was seen whole.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) msn: u64,
    /// EXTINF in seconds.
    pub(crate) duration: f64,
    pub(crate) discontinuity: bool,
    pub(crate) init: String,
    /// PROGRAM-DATE-TIME in milliseconds.
    pub(crate) date: i64,
    pub(crate) parts: Vec<Part>,
    pub(crate) bytes: Vec<u8>,
}

/// A rendition, as far as it was followed.
pub(crate) struct Followed<'a> {
    server: &'a Server,
    folder: String,
    pub(crate) playlist: MediaPlaylist,
    parts: BTreeMap<String, Vec<u8>>,
    pub(crate) segments: Vec<Segment>,
    /// Segments that were listed as missing.
    pub(crate) gaps: Vec<u64>,
    pub(crate) inits: BTreeMap<String, Vec<u8>>,
    /// The longest wait for a new part.
    pub(crate) longest_wait: Duration,
    /// By how many milliseconds the end of what was listed was behind the clock, at the most, when
    /// it was listed.
    pub(crate) latest: i64,
}

impl<'a> Followed<'a> {
    fn new(server: &'a Server, path: &str) -> Self {
        let folder = path.strip_suffix("index.m3u8").unwrap().to_owned();
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        let playlist = MediaPlaylist::read(answer.text()).unwrap();
        playlist.check().unwrap_or_else(|fault| panic!("{path}: {fault}\n{}", answer.text()));
        Self {
            server,
            folder,
            playlist,
            parts: BTreeMap::new(),
            segments: Vec::new(),
            gaps: Vec::new(),
            inits: BTreeMap::new(),
            longest_wait: Duration::ZERO,
            latest: 0,
        }
    }

    /// The rendition's name.
    pub(crate) fn name(&self) -> &str {
        self.folder.trim_end_matches('/').rsplit('/').next().unwrap()
    }

    /// A request is held for three target durations; after that (503) it is asked again, as long as a
    /// stream may be without its publisher.
    fn get(&self, file: &str) -> Answer {
        let answer = try_until(12, || {
            try_get(self.server.http, &format!("{}{file}", self.folder))
                .filter(|it| it.status != 503)
        });
        answer.unwrap_or_else(|| panic!("{}{file}: no whole answer", self.folder))
    }

    fn media(&self, file: &str) -> Vec<u8> {
        let answer = self.get(file);
        assert_eq!(answer.status, 200, "{}{file}: {}", self.folder, answer.body.escape_ascii());
        answer.body
    }

    fn follow(mut self, enough: impl Fn(&Followed<'_>) -> bool) -> Self {
        let mut hint_first = true;
        while !self.playlist.ended && !enough(&self) {
            hint_first = !hint_first;
            self.step(hint_first);
        }
        self
    }

    /// Goes on by one part.
    fn step(&mut self, hint_first: bool) {
        let began = Instant::now();
        let hint = self.playlist.part_hint.clone().expect("a hint");
        if hint_first {
            let answer = self.get(&hint);
            // 404 is legal for a hint whose part is missing, or whose stream ended meanwhile.
            if answer.status == 200 {
                self.parts.insert(hint, answer.body);
            } else {
                assert_eq!(answer.status, 404, "{}{hint}", self.folder);
            }
        }
        let (msn, part) = self.next();
        let answer = self.get(&format!("index.m3u8?_HLS_msn={msn}&_HLS_part={part}"));
        let place = format!("{} at {msn}/{part}", self.folder);
        assert_eq!(answer.status, 200, "{place}: {}", answer.body.escape_ascii());
        let text = answer.text();
        let news = MediaPlaylist::read(text).unwrap_or_else(|e| panic!("{place}: {e}\n{text}"));
        let faults = news.check().and_then(|()| news.follows(&self.playlist));
        faults.unwrap_or_else(|fault| panic!("{place}: {fault}\n{text}"));
        assert!(news.ended || news.reaches(msn, Some(part)), "{place} was answered too early");
        self.longest_wait = self.longest_wait.max(began.elapsed());
        if !news.ended {
            let end = news.all().last().and_then(|segment| {
                let parts: u64 = segment.parts.iter().map(|part| part.duration).sum();
                Some(segment.program_date_time? + i64::try_from(parts / 100).ok()?)
            });
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
            self.latest = self.latest.max(now as i64 - end.expect("a date"));
        }
        let known: Vec<_> = self.playlist.segments.iter().map(|segment| segment.msn).collect();
        for segment in news.all() {
            for part in segment.parts.iter().filter(|part| !part.gap) {
                if !self.parts.contains_key(&part.uri) {
                    self.parts.insert(part.uri.clone(), self.media(&part.uri));
                }
            }
        }
        for segment in news.segments.iter().filter(|it| !known.contains(&it.msn)) {
            self.complete(segment);
        }
        self.playlist = news;
    }

    /// The position after the last part.
    fn next(&self) -> (u64, u64) {
        match (&self.playlist.open, self.playlist.segments.last()) {
            (Some(open), _) => (open.msn, open.parts.len() as u64),
            (None, Some(last)) => (last.msn + 1, 0),
            (None, None) => (0, 0),
        }
    }

    /// A segment is complete: it is the concatenation of its parts.
    fn complete(&mut self, segment: &nowcast_testkit::m3u8::Segment) {
        let uri = segment.uri.as_ref().expect("a complete segment has a URI");
        if segment.gap {
            for file in segment.parts.iter().map(|part| &part.uri).chain([uri]) {
                assert_eq!(self.get(file).status, 404, "{}{file} is missing", self.folder);
            }
            self.gaps.push(segment.msn);
            return;
        }
        let bytes = self.media(uri);
        let parts: Vec<_> = segment
            .parts
            .iter()
            .map(|part| Part {
                independent: part.independent,
                bytes: self.parts[&part.uri].clone(),
            })
            .collect();
        let whole: Vec<u8> = parts.iter().flat_map(|part| &part.bytes).copied().collect();
        assert!(bytes == whole, "{}{uri} is not the concatenation of its parts", self.folder);
        let init = segment.init.clone().expect("an init section applies");
        if !self.inits.contains_key(&init) {
            self.inits.insert(init.clone(), self.media(&init));
        }
        self.segments.push(Segment {
            msn: segment.msn,
            duration: segment.duration as f64 / 1e5,
            discontinuity: segment.discontinuity,
            init,
            date: segment.program_date_time.expect("a date"),
            parts,
            bytes,
        });
    }
}

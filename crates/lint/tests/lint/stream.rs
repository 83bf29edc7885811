//! A correct stream in simulated time, and a client that watches it: two renditions, a
//! discontinuity, removals, delta updates, probes. A test breaks what passes between them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use nowcast_hls::{DateRange, MediaPlaylist, PartInfo, Profile, RenditionReport};
use nowcast_lint::{Exchange, Linter, Probe, Purpose, Report};
use nowcast_media::{MediaTime, Seconds5};
use url::Url;

use super::mp4::{self, Track};

const BASE: &str = "http://origin.test/live/";
/// Parts to a segment of one second.
const PARTS: u64 = 5;
/// Parts that are published while the watch lasts.
const GENERATIONS: u64 = 85;
/// The segment that a discontinuity precedes.
const DISCONTINUITY: u64 = 4;
const PART: Duration = Duration::from_millis(200);
/// When the stream began, in milliseconds since 1970.
const BEGAN: i64 = 1_795_334_400_000;

/// One rendition, as its server has it.
struct Rendition {
    name: &'static str,
    track: Track,
    playlist: MediaPlaylist,
    /// Parts by number.
    parts: Vec<Vec<u8>>,
}

impl Rendition {
    fn new(name: &'static str) -> Self {
        let video = name == "video";
        // 25 pictures, and 50 frames of sound a second.
        let track = if video {
            Track { video, timescale: 90_000, ticks: 3600 }
        } else {
            Track { video, timescale: 48_000, ticks: 960 }
        };
        let profile = Profile {
            target_duration: 1,
            part_target: Seconds5::from_units(20_000),
            window: MediaTime::from_millis(8000),
        };
        Self {
            name,
            track,
            playlist: MediaPlaylist::new(profile, track.timescale, 0),
            parts: Vec::new(),
        }
    }

    fn publish(&mut self) {
        let number = self.parts.len() as u64;
        let (msn, index) = (number / PARTS, number % PARTS);
        if index == 0 {
            let date = BEGAN + i64::try_from(msn).unwrap() * 1000;
            let init = if msn < DISCONTINUITY { "init-0.mp4" } else { "init-1.mp4" };
            self.playlist.begin_segment(date, init, msn == DISCONTINUITY);
        }
        let ticks = u64::from(self.track.timescale / 5);
        let key = index == 0;
        let independent = key || !self.track.video;
        self.playlist.add_part(PartInfo { number, duration: ticks, independent, gap: false });
        // After the discontinuity media time begins anew.
        let since = if msn < DISCONTINUITY { number } else { number - DISCONTINUITY * PARTS };
        let samples = if self.track.video { 5 } else { 10 };
        self.parts.push(mp4::part(self.track, since * ticks, samples, key));
        self.playlist.set_date_ranges(&polls(number));
        if index + 1 == PARTS {
            self.playlist.end_segment();
            self.playlist.evict();
        }
    }

    fn segment(&self, msn: u64) -> Vec<u8> {
        let first = usize::try_from(msn * PARTS).unwrap();
        self.parts[first..first + usize::try_from(PARTS).unwrap()].concat()
    }
}

/// A poll every four seconds, open for two of them; the last has no end.
fn polls(part: u64) -> Vec<DateRange> {
    let poll = |opens: u64| DateRange {
        id: format!("poll-{opens}"),
        class: "live.nowcast.poll".into(),
        start_unix_ms: BEGAN + i64::try_from(opens).unwrap() * 200,
        duration_ms: (part >= opens + 10 && opens < 60).then_some(2000),
        planned_duration_ms: Some(3000),
        attributes: vec![("X-NOWCAST-EVENT".into(), "eyJ9".to_owned())],
    };
    (0..=part).step_by(20).map(poll).collect()
}

/// The watch of a stream that `fault` breaks: it changes answers before they are judged.
pub(crate) struct Watched<'a> {
    renditions: [Rendition; 2],
    linter: Linter,
    fault: &'a mut dyn FnMut(&mut Exchange),
    listed: BTreeSet<String>,
}

/// Watches a stream from its first part to its end.
pub(crate) fn watch(fault: &mut dyn FnMut(&mut Exchange)) -> Report {
    let renditions = [Rendition::new("video"), Rendition::new("audio")];
    let mut watched = Watched { renditions, linter: Linter::new(), fault, listed: BTreeSet::new() };
    watched.start();
    for generation in 1..=GENERATIONS {
        watched.generation(generation);
    }
    watched.last_look();
    watched.end();
    watched.linter.finish()
}

impl Watched<'_> {
    fn tell(
        &mut self,
        path: &str,
        purpose: Purpose,
        body: impl Into<Bytes>,
        asked: Duration,
        answered: Duration,
    ) {
        let url = Url::parse(BASE).unwrap().join(path).unwrap();
        let playlist = url.path().ends_with(".m3u8");
        let mut headers =
            vec![("access-control-allow-origin", "*"), ("date", "Sun, 22 Nov 2026 10:00:00 GMT")];
        headers.extend(if playlist {
            let kept = if url.query().is_some() { "max-age=6" } else { "max-age=1" };
            [
                ("content-type", "application/vnd.apple.mpegurl"),
                ("cache-control", kept),
                ("content-encoding", "gzip"),
                ("vary", "Accept-Encoding"),
            ]
            .to_vec()
        } else {
            [
                ("content-type", "video/mp4"),
                ("cache-control", "max-age=60, immutable"),
                ("etag", "\"1\""),
            ]
            .to_vec()
        });
        let headers =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let finished = answered + Duration::from_millis(1);
        let mut exchange = Exchange {
            url,
            purpose,
            range: None,
            status: 200,
            headers,
            body: body.into(),
            asked,
            answered,
            first_byte: answered,
            finished,
            redirects: 0,
        };
        (self.fault)(&mut exchange);
        self.linter.handle(&exchange);
    }

    fn start(&mut self) {
        let text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=60000,AVERAGE-BANDWIDTH=50000,CODECS=\"avc1.64001F,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO=\"a\",CLOSED-CAPTIONS=NONE\nvideo/index.m3u8\n";
        self.tell("index.m3u8", Purpose::Start, text, Duration::ZERO, Duration::from_millis(2));
    }

    fn text(&self, index: usize, delta: bool) -> String {
        let other = &self.renditions[1 - index];
        let position = other.playlist.edge().report_position();
        let uri = format!("../{}/index.m3u8", other.name);
        let report = position.map(|(last_msn, last_part)| RenditionReport {
            uri: &uri,
            last_msn,
            last_part,
        });
        let rendered = self.renditions[index].playlist.render(report.as_slice());
        rendered.delta.filter(|_| delta).unwrap_or(rendered.full)
    }

    /// Both renditions publish a part; the client had asked for it, and gets it.
    fn generation(&mut self, generation: u64) {
        let at = PART * u32::try_from(generation).unwrap();
        let (asked, answered) =
            (at - PART + Duration::from_millis(20), at + Duration::from_millis(5));
        self.renditions.iter_mut().for_each(Rendition::publish);
        let number = generation - 1;
        let (msn, index) = (number / PARTS, number % PARTS);
        for at in 0..self.renditions.len() {
            let name = self.renditions[at].name;
            let path = format!("{name}/index.m3u8");
            let directives = format!("_HLS_msn={msn}&_HLS_part={index}");
            let whole = self.text(at, false);
            self.tell(
                &format!("{path}?{directives}"),
                Purpose::Playlist,
                whole.clone(),
                asked,
                answered,
            );
            let delta = self.text(at, true);
            self.tell(
                &format!("{path}?{directives}&_HLS_skip=YES"),
                Purpose::Playlist,
                delta,
                asked,
                answered,
            );
            if number.is_multiple_of(4) {
                self.tell(
                    &path,
                    Purpose::Playlist,
                    whole.clone(),
                    answered,
                    answered + Duration::from_millis(2),
                );
            }
            let later = answered + Duration::from_millis(3);
            for init in ["init-0.mp4", "init-1.mp4"] {
                if whole.contains(init) && self.listed.insert(format!("{name}/{init}")) {
                    let body = mp4::init(self.renditions[at].track);
                    self.tell(&format!("{name}/{init}"), Purpose::Listed, body, later, later);
                }
            }
            let purpose = if number.is_multiple_of(2) { Purpose::Listed } else { Purpose::Hint };
            let body = self.renditions[at].parts[usize::try_from(number).unwrap()].clone();
            let part = format!("{name}/{}", nowcast_hls::names::part(0, number));
            self.tell(
                &part,
                purpose,
                body,
                if purpose == Purpose::Hint { asked } else { later },
                later,
            );
            if index + 1 == PARTS {
                let body = self.renditions[at].segment(msn);
                let segment = format!("{name}/{}", nowcast_hls::names::segment(0, msn));
                self.tell(&segment, Purpose::Listed, body, later, later);
            }
        }
        if generation == 50 {
            self.probe(answered);
        }
    }

    fn probe(&mut self, at: Duration) {
        let last = 50 / PARTS - 1;
        let segment = nowcast_hls::names::segment(0, last);
        for (path, probe, status) in [
            ("index.m3u8?_HLS_part=0", Probe::PartWithoutSegment, 400),
            ("index.m3u8?_HLS_msn=x", Probe::NoNumber, 400),
            ("index.m3u8?_HLS_msn=110", Probe::FarAhead, 400),
            ("index.m3u8", Probe::Head, 200),
            ("index.m3u8", Probe::Preflight, 204),
            ("nothing.m4s", Probe::Unknown, 404),
            (segment.as_str(), Probe::Conditional, 304),
        ] {
            self.ask(path, probe, (status, String::new()), at);
        }
        let whole = self.text(0, false);
        self.ask("index.m3u8?_HLS_msn=0", Probe::Expired, (200, whole), at);
        // It is answered with the next part.
        let mut next = self.renditions[0].playlist.clone();
        next.begin_segment(BEGAN + i64::try_from(last + 1).unwrap() * 1000, "init-1.mp4", false);
        next.add_part(PartInfo { number: 50, duration: 18_000, independent: true, gap: false });
        let path = format!("index.m3u8?_HLS_msn={last}&_HLS_part={PARTS}");
        self.ask(&path, Probe::PastTheEnd, (200, next.render(&[]).full), at);
    }

    fn ask(&mut self, path: &str, probe: Probe, answer: (u16, String), at: Duration) {
        let (status, body) = answer;
        let kept = if status < 400 { "max-age=1" } else { "no-store" };
        let headers = [("access-control-allow-origin", "*"), ("cache-control", kept)];
        let soon = at + Duration::from_millis(2);
        let mut exchange = Exchange {
            url: Url::parse(BASE).unwrap().join("video/").unwrap().join(path).unwrap(),
            purpose: Purpose::Probe(probe),
            range: None,
            status,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.into(),
            asked: at,
            answered: soon,
            first_byte: soon,
            finished: soon,
            redirects: 0,
        };
        (self.fault)(&mut exchange);
        self.linter.handle(&exchange);
    }

    /// What is listed, once more.
    fn last_look(&mut self) {
        let at = PART * u32::try_from(GENERATIONS).unwrap() + Duration::from_millis(50);
        for index in 0..self.renditions.len() {
            let rendition = &self.renditions[index];
            let msn = GENERATIONS / PARTS - 1;
            let body = rendition.segment(msn);
            let path = format!("{}/{}", rendition.name, nowcast_hls::names::segment(0, msn));
            self.tell(&path, Purpose::Again, body, at, at);
        }
    }

    fn end(&mut self) {
        let at = PART * u32::try_from(GENERATIONS + 1).unwrap();
        for index in 0..self.renditions.len() {
            self.renditions[index].playlist.end();
            let text = self.text(index, false);
            let path = format!("{}/index.m3u8", self.renditions[index].name);
            self.tell(
                &format!("{path}?_HLS_msn={}&_HLS_part=0", GENERATIONS / PARTS),
                Purpose::Playlist,
                text,
                at,
                at,
            );
        }
    }
}

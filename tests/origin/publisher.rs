//! A publisher driven by hand: real playlists, made-up media.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use nowcast::flow::{
    Cmsd, Compressed, Phase, RenditionStatus, RenditionView, SegmentView, Session, Stream,
    StreamName, StreamStatus, Streams,
};
use nowcast_hls::{MediaPlaylist, PartInfo, Profile};
use nowcast_media::{MediaTime, Seconds5};
use tokio::sync::{mpsc, watch};

/// Parts of 0.2 s, five to a segment.
pub(crate) const PARTS: u64 = 5;
pub(crate) const INIT: &str = "init-0123456789abcdef.mp4";

pub(crate) struct Publisher {
    pub(crate) streams: Arc<Streams>,
    pub(crate) video: Rendition,
    /// The stream's own end of its inbox.
    pub(crate) control: mpsc::Receiver<nowcast::flow::Control>,
    pub(crate) multivariant: watch::Sender<Option<Compressed>>,
    status: watch::Sender<StreamStatus>,
}

pub(crate) struct Rendition {
    playlist: MediaPlaylist,
    segments: Vec<Arc<SegmentView>>,
    pub(crate) next_part: u64,
    part_bytes: usize,
    view: watch::Sender<Arc<RenditionView>>,
}

pub(crate) fn profile() -> Profile {
    Profile {
        target_duration: 1,
        part_target: Seconds5::from_units(20_000),
        window: MediaTime::from_millis(30_000),
    }
}

/// The bytes of a part, recognisable and of a length of its own.
pub(crate) fn part(number: u64, length: usize) -> Bytes {
    format!("part {number:<9}")
        .bytes()
        .cycle()
        .take(length + usize::try_from(number % 7).unwrap())
        .collect()
}

impl Publisher {
    /// A stream `live` with a session `1` and its renditions `720p`, nothing published yet.
    pub(crate) fn new() -> Self {
        Self::with_parts_of(1000)
    }

    pub(crate) fn with_parts_of(part_bytes: usize) -> Self {
        let video = Rendition::new(part_bytes);
        let multivariant = watch::Sender::new(None);
        let renditions = BTreeMap::from([("720p".to_owned(), video.view.subscribe())]);
        let session = Arc::new(Session {
            prefix: "1".to_owned(),
            profile: profile(),
            multivariant: multivariant.subscribe(),
            renditions: ArcSwap::from_pointee(renditions),
        });
        let status = watch::Sender::new(StreamStatus {
            name: "live".to_owned(),
            phase: Phase::Live,
            publisher: Some("192.0.2.7:1234".to_owned()),
            ..StreamStatus::default()
        });
        let (orders, control) = mpsc::channel(1);
        let streams = Arc::new(Streams::default());
        for (name, sessions) in [("live", vec![session]), ("idle", Vec::new())] {
            streams.insert(&Arc::new(Stream {
                name: StreamName::new(name).unwrap(),
                sessions: Arc::new(ArcSwap::from_pointee(sessions)),
                status: status.subscribe(),
                control: orders.clone(),
                demand: Arc::default(),
                audience: ArcSwap::default(),
                cues: Arc::default(),
            }));
        }
        Self { streams, video, control, multivariant, status }
    }

    /// Tells how many parts and segments there are.
    pub(crate) fn tell_status(&self) {
        let parts = self.video.next_part;
        let video = RenditionStatus { parts, msn: parts / PARTS, ..RenditionStatus::default() };
        self.status.send_modify(|status| status.renditions = vec![video]);
    }
}

impl Rendition {
    fn new(part_bytes: usize) -> Self {
        let mut playlist = MediaPlaylist::new(profile(), 90_000, 0);
        let text = playlist.render(&[]);
        playlist.begin_segment(0, INIT, false);
        let view = RenditionView {
            published: Instant::now(),
            urgency: 3,
            edge: playlist.edge(),
            cmsd: Cmsd::playlist(),
            full: Compressed::new(text.full),
            delta: None,
            inits: Vec::new(),
            segments: Vec::new(),
            next_part: Some(0),
            start: 0,
        };
        let view = watch::Sender::new(Arc::new(view));
        Self { playlist, segments: Vec::new(), next_part: 0, part_bytes, view }
    }

    /// Publishes so many parts, each in a generation of its own.
    pub(crate) fn parts(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.next_part;
            self.next_part += 1;
            let independent = number.is_multiple_of(PARTS);
            let info = PartInfo { number, duration: 18_000, independent, gap: false };
            self.playlist.add_part(info);
            let bytes = part(number, self.part_bytes);
            let cmsd = Cmsd::part(Duration::from_millis(200), bytes.len(), false);
            match self.segments.last_mut().filter(|last| !last.complete) {
                Some(open) => {
                    let open = Arc::make_mut(open);
                    open.parts.push(bytes);
                    open.cmsd.push(cmsd);
                }
                None => self.segments.push(Arc::new(SegmentView {
                    msn: self.segments.last().map_or(0, |last| last.msn + 1),
                    complete: false,
                    first_part: number,
                    part_start: 0,
                    start: 0,
                    parts: vec![bytes],
                    cmsd: vec![cmsd],
                })),
            }
            if self.next_part.is_multiple_of(PARTS) {
                let open = Arc::make_mut(self.segments.last_mut().unwrap());
                open.complete = true;
                let next = (open.msn as i64 + 1) * 1000;
                self.playlist.end_segment();
                for gone in self.playlist.evict() {
                    self.segments.retain(|segment| segment.msn != gone.msn);
                }
                self.playlist.begin_segment(next, INIT, false);
            }
            self.show(Some(self.next_part));
        }
    }

    /// The hint is given up: the next part will have another number.
    pub(crate) fn skip_hint(&mut self) {
        self.next_part += 1;
        self.show(Some(self.next_part));
    }

    /// ENDLIST.
    pub(crate) fn end(&mut self) {
        self.playlist.end();
        self.show(None);
    }

    /// The playlist as it stands.
    pub(crate) fn text(&self) -> String {
        self.playlist.render(&[]).full
    }

    pub(crate) fn delta(&self) -> Option<String> {
        self.playlist.render(&[]).delta
    }

    fn show(&self, next_part: Option<u64>) {
        let text = self.playlist.render(&[]);
        self.view.send_replace(Arc::new(RenditionView {
            published: Instant::now(),
            urgency: 3,
            edge: self.playlist.edge(),
            cmsd: Cmsd::playlist(),
            full: Compressed::new(text.full),
            delta: text.delta.map(Compressed::new),
            inits: vec![(INIT.into(), Bytes::from_static(b"init section"))],
            segments: self.segments.clone(),
            next_part,
            start: 0,
        }));
    }
}

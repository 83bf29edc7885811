//! One rendition: its packager, its playlist and its bytes, made into the views the origin serves.

mod gap;
mod listing;
mod packager;
mod replay;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use nowcast_cmaf::{Output, Part};
use nowcast_hls::names::{self, Start};
use nowcast_hls::{BandwidthMeter, DateRange, MediaPlaylist, Profile, Rendered, RenditionReport};
use nowcast_media::{MediaTime, VideoRange};
use tokio::sync::watch;

pub(super) use self::packager::Packager;
use super::metadata::TimedMetadata;
use super::store::{Begin, Copy, RenditionFacts};
use crate::flow::{Cmsd, Compressed, RenditionStatus, RenditionView, SegmentView};
use gap::Gap;

/// Parts in an open first segment that players can start with; a stream plays 4 s after its first key
/// frame at the latest.
const PLAYABLE_PARTS: MediaTime = MediaTime::from_millis(3000);
/// Parts whose delay is remembered: a minute and more of them.
const REMEMBERED_DELAYS: usize = 300;

/// One rendition of a live session.
#[derive(Debug)]
pub(super) struct Rendition {
    pub(super) packager: Packager,
    pub(super) status: RenditionStatus,
    /// Of its pictures.
    pub(super) range: VideoRange,
    /// As [`RenditionView::urgency`].
    pub(super) urgency: u8,
    /// Whether parts are numbered as it numbers them.
    pub(super) highest: bool,
    meter: BandwidthMeter,
    /// Its media playlist as the others' reports name it.
    uri: String,
    timescale: NonZeroU32,
    segment: (MediaTime, u64),
    playlist: MediaPlaylist,
    init: Arc<str>,
    inits: Vec<(Arc<str>, Bytes)>,
    segments: VecDeque<Arc<SegmentView>>,
    /// Where the last complete segment ends, counted from the first.
    position: MediaTime,
    /// How long the oldest segments, which are listed no more, are still served.
    leaving: VecDeque<MediaTime>,
    next_part: u64,
    pub(super) next_msn: u64,
    /// Which start of the server names what comes.
    start: Start,
    /// Where the disk has it.
    pub(super) copy: Copy,
    /// The last segment, as the disk has its beginning.
    last: Option<Begin>,
    /// Where its last part began, of those that carry timed metadata.
    carried: Option<u64>,
    discontinuity: bool,
    /// While parts are listed as missing.
    gap: Option<Gap>,
    delays: VecDeque<Duration>,
    part_target: Duration,
    view: watch::Sender<Arc<RenditionView>>,
}

impl Rendition {
    pub(super) fn new(name: &str, packager: Packager, timescale: u32, profile: Profile) -> Self {
        let timescale = NonZeroU32::new(timescale).unwrap_or(NonZeroU32::MIN);
        let playlist = MediaPlaylist::new(profile, timescale.get(), 0);
        let urgency = match packager {
            Packager::Audio(_) => 2,
            Packager::Video(_) => 3,
        };
        let empty = RenditionView {
            published: Instant::now(),
            urgency,
            edge: playlist.edge(),
            cmsd: Cmsd::playlist(),
            full: Compressed::new(String::new()),
            delta: None,
            inits: Vec::new(),
            segments: Vec::new(),
            next_part: Some(0),
            start: 0,
        };
        Self {
            packager,
            urgency,
            highest: false,
            status: RenditionStatus { name: name.to_owned(), ..RenditionStatus::default() },
            range: VideoRange::Sdr,
            meter: BandwidthMeter::new(profile.target_duration),
            uri: format!("../{name}/index.m3u8"),
            timescale,
            segment: Default::default(),
            playlist,
            init: "".into(),
            inits: Vec::new(),
            segments: VecDeque::new(),
            position: MediaTime::ZERO,
            leaving: VecDeque::new(),
            next_part: 0,
            next_msn: 0,
            start: 0,
            copy: Copy::default(),
            last: None,
            carried: None,
            discontinuity: false,
            gap: None,
            delays: VecDeque::new(),
            part_target: Duration::from_micros(10 * profile.part_target.units()),
            view: watch::Sender::new(Arc::new(empty)),
        }
    }

    /// Sets the init section of the segments to come; answers whether it is another one.
    pub(super) fn set_init(&mut self, bytes: Bytes) -> bool {
        let name: Arc<str> = names::init(&bytes).into();
        if self.init == name {
            return false;
        }
        if !self.inits.iter().any(|(known, _)| *known == name) {
            self.inits.push((Arc::clone(&name), bytes));
        }
        self.playlist.announce_init(&name);
        self.init = name;
        true
    }

    /// What the disk is to know of it.
    pub(super) fn facts(&self) -> RenditionFacts {
        RenditionFacts::new(&self.status, self.range, self.last.clone())
    }

    /// The next segment does not continue the one before.
    pub(super) fn mark_discontinuity(&mut self) {
        self.discontinuity = self.next_msn > 0;
    }

    /// Whether players can start: a whole segment is there, or, where segments are long, parts that
    /// last long enough.
    pub(super) fn playable(&self) -> bool {
        self.segments.front().is_some_and(|segment| segment.complete)
            || self.segment.0 >= PLAYABLE_PARTS
    }

    /// Peak and average bits a second of what was listed.
    pub(super) fn bit_rates(&self) -> (u64, u64) {
        let (duration, bytes) = self.segment;
        let open = match u64::try_from(duration.ticks()) {
            Ok(ticks @ 1..) => bytes * 8 * u64::from(MediaTime::TIMESCALE) / ticks,
            _ => 0,
        };
        match (self.meter.peak(), self.meter.average()) {
            (0, _) => (open, open),
            rates => rates,
        }
    }

    /// Takes what the packager finished; answers whether there was something.
    ///
    /// `anchor` is the Unix time in microseconds of the timeline's zero.
    pub(super) fn drain(&mut self, anchor: i64, metadata: &mut TimedMetadata) -> bool {
        let mut changed = false;
        while let Some(output) = self.packager.poll_output() {
            changed = true;
            match output {
                Output::Part(part) => {
                    let part = self.carry(part, metadata);
                    let Part { base_decode_time: time, duration, .. } = part;
                    self.begin_part(part.starts_segment, time, anchor);
                    self.add_part(part.bytes, time, duration, part.independent);
                }
                Output::SegmentEnd => self.end_segment(),
            }
        }
        changed
    }

    /// Sets what EXT-X-DATERANGE says.
    pub(super) fn set_date_ranges(&mut self, ranges: &[DateRange]) {
        self.playlist.set_date_ranges(ranges);
    }

    /// Ends the playlist.
    pub(super) fn end(&mut self) {
        self.playlist.end();
    }

    /// Where this rendition stands, for the reports in the others.
    pub(super) fn report(&self) -> Option<RenditionReport<'_>> {
        let (last_msn, last_part) = self.playlist.edge().report_position()?;
        Some(RenditionReport { uri: &self.uri, last_msn, last_part })
    }

    /// Shows the present state to everyone who waits for it: rendered and compressed once.
    pub(super) fn show(&self, reports: &[RenditionReport<'_>]) {
        let edge = self.playlist.edge();
        // What lists nothing is no playlist: who asks waits.
        let nothing = edge.report_position().is_none() && !edge.ended();
        let text = if nothing { Rendered::default() } else { self.playlist.render(reports) };
        let view = RenditionView {
            published: Instant::now(),
            urgency: self.urgency,
            edge,
            cmsd: Cmsd::playlist(),
            full: Compressed::new(text.full),
            delta: text.delta.map(Compressed::new),
            inits: self.inits.clone(),
            segments: self.segments.iter().cloned().collect(),
            next_part: (!edge.ended()).then_some(self.next_part),
            start: self.start,
        };
        if let Some((last_msn, _)) = edge.report_position() {
            self.copy.note(last_msn, self.next_part);
        }
        self.view.send_replace(Arc::new(view));
    }

    /// From a picture coming in to the part it completed being shown.
    pub(super) fn note_delay(&mut self, delay: Duration) {
        if self.delays.len() == REMEMBERED_DELAYS {
            self.delays.pop_front();
        }
        self.delays.push_back(delay);
        self.status.late_parts += u64::from(delay > self.part_target);
    }

    /// How it stands.
    pub(super) fn status(&self) -> RenditionStatus {
        let mut delays: Vec<_> = self.delays.iter().copied().collect();
        delays.sort_unstable();
        let at = |percent: usize| {
            let delay =
                delays.get((delays.len() * percent / 100).min(delays.len().saturating_sub(1)));
            delay.map_or(0.0, |delay| delay.as_secs_f64() * 1000.0)
        };
        RenditionStatus {
            bitrate: self.meter.average(),
            part_delay_ms: at(50),
            part_delay_p99_ms: at(99),
            ..self.status.clone()
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<RenditionView>> {
        self.view.subscribe()
    }

    /// Video alone carries timed metadata: the variant without a picture has the audio's playlist, and
    /// players that hear the picture's sound from it would get everything twice.
    fn carry(&mut self, part: Part, metadata: &mut TimedMetadata) -> Part {
        if matches!(self.packager, Packager::Audio(_)) {
            return part;
        }
        if self.highest && part.starts_segment {
            metadata.begin_segment(&part, self.next_msn);
        }
        let last = self.carried.replace(part.base_decode_time);
        metadata.carry(part, last)
    }
}

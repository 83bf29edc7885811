//! One rendition: its packager, its playlist and its bytes, made into the views the origin serves.

mod gap;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use nowcast_cmaf::{AudioPackager, Output, Part, VideoPackager};
use nowcast_hls::{
    BandwidthMeter, DateRange, MediaPlaylist, PartInfo, Profile, RenditionReport, names,
};
use nowcast_media::{MediaTime, VideoRange};
use tokio::sync::watch;

use super::metadata::TimedMetadata;
use crate::flow::{Cmsd, Compressed, RenditionStatus, RenditionView, SegmentView};
use gap::Gap;

/// What cuts the rendition's parts.
#[derive(Debug)]
pub(super) enum Packager {
    Video(VideoPackager),
    Audio(AudioPackager),
}

impl Packager {
    fn poll_output(&mut self) -> Option<Output> {
        match self {
            Self::Video(packager) => packager.poll_output(),
            Self::Audio(packager) => packager.poll_output(),
        }
    }

    pub(super) fn restart(&mut self) {
        match self {
            Self::Video(packager) => packager.restart(),
            Self::Audio(packager) => packager.restart(),
        }
    }

    /// Where the next segment begins, after a restart; video begins with its picture anyway.
    pub(super) fn begin_at(&mut self, at: MediaTime) {
        if let Self::Audio(packager) = self {
            packager.begin_at(at);
        }
    }

    /// Where the media taken so far ends.
    pub(super) fn end(&self) -> MediaTime {
        match self {
            Self::Video(packager) => packager.end(),
            Self::Audio(packager) => packager.end(),
        }
    }

    pub(super) fn set_anchor(&mut self, unix_micros: i64) {
        match self {
            Self::Video(packager) => packager.set_anchor(unix_micros),
            Self::Audio(packager) => packager.set_anchor(unix_micros),
        }
    }
}

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
            carried: None,
            discontinuity: false,
            gap: None,
            delays: VecDeque::new(),
            part_target: Duration::from_micros(10 * profile.part_target.units()),
            view: watch::Sender::new(Arc::new(empty)),
        }
    }

    /// Sets the init section of the segments to come; the same bytes again change nothing.
    pub(super) fn set_init(&mut self, bytes: Bytes) {
        let name: Arc<str> = names::init(&bytes).into();
        if self.init == name {
            return;
        }
        if !self.inits.iter().any(|(known, _)| *known == name) {
            self.inits.push((Arc::clone(&name), bytes));
        }
        self.playlist.announce_init(&name);
        self.init = name;
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
                    let unix_ms = self.unix_ms(i128::from(part.base_decode_time), anchor);
                    self.begin_part(part.starts_segment, unix_ms);
                    self.add_part(part.bytes, part.duration, part.independent);
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
        let text = self.playlist.render(reports);
        let edge = self.playlist.edge();
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
        };
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

    /// The Unix time in milliseconds of a decode time in the rendition's timescale.
    fn unix_ms(&self, ticks: i128, anchor: i64) -> i64 {
        let start = ticks * 1_000_000 / i128::from(self.timescale.get());
        i64::try_from((i128::from(anchor) + start + 500) / 1000).unwrap_or(0)
    }

    /// Opens a segment, if the next part is the first of one.
    fn begin_part(&mut self, starts_segment: bool, unix_ms: i64) {
        if starts_segment {
            self.playlist.begin_segment(
                unix_ms,
                &self.init,
                std::mem::take(&mut self.discontinuity),
            );
            self.segments.push_back(Arc::new(SegmentView {
                msn: self.next_msn,
                complete: false,
                first_part: self.next_part,
                parts: Vec::new(),
                cmsd: Vec::new(),
            }));
        }
    }

    /// Adds a part to the open segment; without bytes it is missing.
    fn add_part(&mut self, bytes: Bytes, ticks: u64, independent: bool) {
        self.playlist.add_part(PartInfo {
            number: self.next_part,
            duration: ticks,
            independent,
            gap: bytes.is_empty(),
        });
        self.next_part += 1;
        self.status.parts += 1;
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        let duration = MediaTime::from_scale(ticks, self.timescale);
        self.segment.0 += duration;
        self.segment.1 += bytes.len() as u64;
        if let Some(open) = self.segments.back_mut() {
            let open = Arc::make_mut(open);
            let lasts = Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(0));
            let audio = matches!(self.packager, Packager::Audio(_));
            open.cmsd.push(Cmsd::part(lasts, bytes.len(), audio));
            open.parts.push(bytes);
        }
    }

    fn end_segment(&mut self) {
        self.playlist.end_segment();
        let (duration, bytes) = std::mem::take(&mut self.segment);
        // What is missing says nothing of the bit rate.
        if bytes > 0 {
            self.meter.push(duration, bytes);
        }
        self.status.msn = self.next_msn;
        self.next_msn += 1;
        if let Some(open) = self.segments.back_mut() {
            Arc::make_mut(open).complete = true;
        }
        self.position += duration;
        for removed in self.playlist.evict() {
            self.leaving.push_back(self.position + removed.retention);
        }
        while self.leaving.pop_front_if(|until| *until <= self.position).is_some() {
            self.segments.pop_front();
        }
    }
}

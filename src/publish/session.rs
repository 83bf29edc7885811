//! One life of a stream: its frozen grid, its renditions, and the timeline they share.

mod begin;
mod cadence;
mod loss;
mod restore;
mod sound;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use nowcast_cmaf::{PackageError, video_init};
use nowcast_hls::RenditionReport;
use nowcast_media::{AccessUnit, Grid, MediaTime, ParameterSets, VideoCodec};
use tokio::sync::watch;

use super::metadata::TimedMetadata;
use super::probe::{Source, SourceAudio};
use super::rendition::{Packager, Rendition};
use super::store::{Copy, Facts, Frozen, unix_ms};
use super::timeline::Timeline;
use super::variants::Variants;
use crate::config::Mode;
use crate::flow::{Compressed, EncodedFrame, RenditionStatus, Session};
use crate::ladder::Rung;

use cadence::Cadence;
pub(super) use sound::{Carried, Sound};

/// A live session: the single writer of all its renditions.
#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) shared: Arc<Session>,
    pub(super) grid: Grid,
    pub(super) rungs: Vec<Rung>,
    pub(super) mode: Mode,
    multivariant: watch::Sender<Option<Compressed>>,
    variants: Variants,
    metadata: TimedMetadata,
    video: Vec<Rendition>,
    source_codec: VideoCodec,
    source_sets: ParameterSets,
    /// The audio tracks, frozen for the session's life; the first is what plays unasked.
    audio: Vec<Sound>,
    /// The audio that the source has now.
    source_audio: Vec<SourceAudio>,
    timeline: Timeline,
    cadence: Cadence,
    /// Unix time in microseconds of the timeline's zero; moves only at a discontinuity.
    anchor: i64,
    /// Where the video that was received ends.
    video_end: MediaTime,
    /// Frame index of the next segment boundary to tell the audio: exact in a transcoded session, the
    /// least it can be in passthrough.
    next_cut: i64,
    /// Pictures are left out until decoding can start again.
    awaits_key_frame: bool,
    /// Parts are being listed as missing.
    gap: bool,
    /// When the pictures that are being encoded came in, by frame index.
    arrivals: VecDeque<(i64, Instant)>,
    /// Unix time in milliseconds at which the session began.
    pub(super) since_ms: i64,
    /// Where the disk has it.
    pub(super) copy: Copy,
    /// What the session is has changed since it was last told to the disk.
    changed: bool,
}

/// Pictures whose arrival is remembered: 4 s at 60 fps.
const ARRIVALS: usize = 256;

impl LiveSession {
    /// Breaks the timeline: a new source epoch begins with a DISCONTINUITY in every rendition.
    pub(super) fn restart(&mut self, now_unix_micros: i64) {
        // A restored session's timeline may have gone further than the disk knows.
        let index = self.frame_from(self.end_of_media().max(self.metadata.floor()));
        self.end_gap();
        self.all_mut().for_each(|rendition| rendition.packager.restart());
        self.drain();
        self.all_mut().for_each(Rendition::mark_discontinuity);
        self.metadata.restart(self.video.first().map_or(0, |highest| highest.next_msn));
        self.audio.iter_mut().for_each(Sound::forget_waiting);
        self.begin_epoch(index, now_unix_micros);
        self.show(u32::MAX);
    }

    /// The frame that the next picture is expected at.
    pub(super) fn next_index(&self) -> i64 {
        self.frame_from(self.video_end)
    }

    /// The next source epoch begins at this frame.
    fn begin_epoch(&mut self, index: i64, now_unix_micros: i64) {
        let begin = self.grid.rate.frame_start(index);
        self.all_mut().for_each(|rendition| rendition.packager.begin_at(begin));
        self.timeline.begin_epoch(begin);
        self.restart_clock(index, begin);
        self.video_end = begin;
        self.next_cut = match self.mode {
            Mode::Transcode => index + i64::from(self.grid.segment_frames),
            Mode::Passthrough => index + 1,
        };
        self.awaits_key_frame = true;
        // PROGRAM-DATE-TIME never steps back, even if the source was faster than the clock.
        self.set_anchor((now_unix_micros - begin.as_micros()).max(self.anchor));
    }

    /// The first frame that begins at this time or later.
    fn frame_from(&self, time: MediaTime) -> i64 {
        let near = self.grid.rate.nearest_frame(time);
        near + i64::from(self.grid.rate.frame_start(near) < time)
    }

    fn end_of_media(&self) -> MediaTime {
        let audio_end = self.audio.iter().map(|sound| sound.rendition.packager.end()).max();
        self.video_end.max(audio_end.unwrap_or_default())
    }

    /// The source's timestamps jumped while it stayed connected: its new clock goes on where the old one ended.
    ///
    /// If frames have been made without it meanwhile, it goes on where the media's clock stands. Passed-through
    /// pictures cannot be retimed, so there it is a discontinuity.
    pub(super) fn epoch(&mut self, now_unix_micros: i64) {
        match self.mode {
            Mode::Transcode => {
                self.timeline.begin_epoch(self.video_end);
                if self.cadence.fills() {
                    self.cadence.lose();
                }
            }
            Mode::Passthrough => self.restart(now_unix_micros),
        }
    }

    /// Takes new parameter sets of the passed-through source; a change breaks the timeline.
    pub(super) fn source_format(&mut self, sets: &ParameterSets, now_unix_micros: i64) {
        if self.mode == Mode::Passthrough && self.source_sets != *sets {
            self.restart(now_unix_micros);
            self.set_video_format(0, sets);
            self.source_sets = sets.clone();
            self.changed = true;
            // The init section that comes is hinted.
            self.show(1);
        }
    }

    /// Whether a publisher with this source can go on where another left: a ladder takes anything, but
    /// pictures passed through keep their codec and their rate.
    pub(super) fn takes(&self, source: &Source) -> bool {
        self.mode == Mode::Transcode
            || (source.format.codec == self.source_codec && source.rate == self.grid.rate)
    }

    /// Pictures cannot be decoded before the next key frame: they are left out.
    pub(super) fn await_key_frame(&mut self) {
        self.awaits_key_frame = true;
    }

    /// Packages a passed-through unit (placed already).
    pub(super) fn pass_through(&mut self, unit: &AccessUnit) -> Result<(), PackageError> {
        let Packager::Video(packager) = &mut self.video[0].packager else { return Ok(()) };
        let came = Instant::now();
        let handled = packager.handle_unit(unit);
        if let Some(start) = packager.open_segment_start() {
            self.cut_audio_at(self.grid.rate.nearest_frame(start));
        }
        let released = self.release_audio();
        self.publish(Some((0, came)));
        handled.and(released)
    }

    /// Packages a coded frame of a rung.
    pub(super) fn encoded(&mut self, frame: &EncodedFrame) -> Result<(), PackageError> {
        if frame.key
            && let Some(sets) = ParameterSets::find(VideoCodec::H264, &frame.data)
        {
            self.set_video_format(frame.rung, &sets);
        }
        let time = self.grid.rate.frame_start(frame.index);
        let unit = AccessUnit {
            pts: time,
            dts: time,
            random_access: frame.key,
            damaged: false,
            data: frame.data.clone(),
        };
        let Some(Packager::Video(packager)) =
            self.video.get_mut(frame.rung).map(|one| &mut one.packager)
        else {
            return Ok(());
        };
        let handled = packager.handle_unit(&unit);
        self.cadence.made(frame.index);
        let came = self.arrivals.iter().rev().find(|(index, _)| *index == frame.index);
        self.publish(came.map(|&(_, came)| (frame.rung, came)));
        handled
    }

    /// Ends every playlist.
    pub(super) fn end(&mut self) {
        self.end_gap();
        self.all_mut().for_each(|rendition| rendition.packager.restart());
        self.drain();
        self.all_mut().for_each(Rendition::end);
        self.metadata.end(self.end_of_media());
        self.show(u32::MAX);
        self.copy.keep(self.facts(Some(unix_ms())));
    }

    /// What the disk is to know of the session.
    fn facts(&self, ended_ms: Option<i64>) -> Facts {
        let audio = self.audio.iter().map(|sound| (sound.track, sound.config)).collect();
        let frozen = Frozen {
            prefix: self.shared.prefix.clone(),
            since_ms: self.since_ms,
            mode: self.mode,
            grid: self.grid,
            window: self.shared.profile.window,
            rungs: self.rungs.clone(),
            sets: self.source_sets.clone(),
            audio,
        };
        let renditions = self.all().map(Rendition::facts).collect();
        let ranges = self.metadata.date_ranges();
        Facts::new(&frozen, renditions, self.variants.declared(), ranges, ended_ms)
    }

    fn tell_changes(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.copy.keep(self.facts(None));
        }
    }

    /// Whether players can start.
    pub(super) fn playable(&self) -> bool {
        self.multivariant.borrow().is_some()
    }

    pub(super) fn statuses(&self) -> Vec<RenditionStatus> {
        self.all().map(Rendition::status).collect()
    }

    pub(super) fn source_codec(&self) -> VideoCodec {
        self.source_codec
    }

    /// A source of another codec goes on in the same session; its decoder is a new one.
    pub(super) fn set_source_codec(&mut self, codec: VideoCodec) {
        self.source_codec = codec;
    }

    fn all(&self) -> impl Iterator<Item = &Rendition> {
        self.video.iter().chain(self.audio.iter().map(|sound| &sound.rendition))
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Rendition> {
        self.video.iter_mut().chain(self.audio.iter_mut().map(|sound| &mut sound.rendition))
    }

    fn set_anchor(&mut self, unix_micros: i64) {
        self.anchor = unix_micros;
        self.metadata.set_anchor(unix_micros);
        for rendition in self.all_mut() {
            rendition.packager.set_anchor(unix_micros);
        }
    }

    fn set_video_format(&mut self, rung: usize, sets: &ParameterSets) {
        let (Ok(format), Some(rendition)) = (sets.format(), self.video.get_mut(rung)) else {
            return;
        };
        if let Ok(init) = video_init(sets, &format) {
            self.changed |= rendition.set_init(init);
        }
        rendition.status.codecs.clone_from(&format.codec_string);
        (rendition.status.width, rendition.status.height) = (format.width, format.height);
        rendition.range = format.range;
    }

    /// Takes what the packagers finished; answers with a bit for each rendition that has something new.
    fn drain(&mut self) -> u32 {
        if let (Mode::Passthrough, Some(source)) = (self.mode, self.video.first()) {
            self.metadata.set_bit_rate(source.bit_rates().1);
        }
        let Self { video, audio, metadata, anchor, .. } = self;
        let all = video.iter_mut().chain(audio.iter_mut().map(|sound| &mut sound.rendition));
        let changed = all.enumerate().fold(0, |changed, (at, rendition)| {
            changed | u32::from(rendition.drain(*anchor, metadata)) << at.min(31)
        });
        if let Some(ranges) = self.metadata.new_date_ranges() {
            self.all_mut().for_each(|rendition| rendition.set_date_ranges(&ranges));
            self.changed = true;
        }
        changed
    }

    /// Shows what the packagers finished. `cause` is the video rendition that took a picture, and when
    /// that picture came in.
    fn publish(&mut self, cause: Option<(usize, Instant)>) {
        let changed = self.drain();
        if changed == 0 {
            return;
        }
        self.show(changed);
        if let Some((at, came)) = cause
            && changed & 1 << at.min(31) != 0
        {
            self.video[at].note_delay(came.elapsed());
        }
        if self.all().all(Rendition::playable) {
            let nominal: Vec<_> = self.rungs.iter().map(|rung| rung.bitrate).collect();
            let prefix = &self.shared.prefix;
            let rate = self.grid.rate;
            let update = self.variants.update(prefix, rate, &self.video, &nominal, &self.audio);
            if let Some(text) = update {
                self.multivariant.send_replace(Some(Compressed::new(text)));
                self.changed = true;
            }
        }
        self.tell_changes();
    }

    /// Renders the renditions whose bit is set in `which`, each with where all the others stand.
    fn show(&self, which: u32) {
        let reports: Vec<_> = self.all().map(Rendition::report).collect();
        for (at, rendition) in self.all().enumerate() {
            if which & 1 << at.min(31) != 0 {
                let others = |&(other, _): &(usize, _)| other != at;
                let others: Vec<RenditionReport<'_>> = reports
                    .iter()
                    .enumerate()
                    .filter(others)
                    .filter_map(|(_, report)| *report)
                    .collect();
                rendition.show(&others);
            }
        }
    }
}

//! The audio of a session: passed on as it came, cut where the pictures are, and replaced by silence
//! where it stays away.

use nowcast_cmaf::{PackageError, audio_init};
use nowcast_media::{AacConfig, AudioFrame, MediaTime};

use super::LiveSession;
use crate::config::Mode;
use crate::publish::rendition::{Packager, Rendition};

/// Audio that waits for video to pass: 10 s of it; beyond that the oldest goes.
const WAITING_AUDIO: usize = 470;
/// How far the audio may be behind the video before silence takes its place. Encoders pack up to 360 ms of
/// it into one packet, and muxers interleave within about half a second.
const AUDIO_PATIENCE: MediaTime = MediaTime::from_millis(1000);
/// How far ahead of the audio its boundaries are told in a transcoded session.
const CUT_AHEAD: MediaTime = MediaTime::from_millis(1000);

impl LiveSession {
    /// Takes the audio's format; while it is not the frozen one, silence takes its place.
    ///
    /// Answers whether it is carried.
    pub(in crate::publish) fn audio_format(&mut self, config: AacConfig) -> bool {
        self.audio_carried = self.audio_config == Some(config);
        self.audio_carried
    }

    /// Takes a frame of audio.
    ///
    /// In passthrough it waits until the video has passed it, since only then is it known whether a
    /// segment ends before it. In a transcoded session boundaries are known ahead: it waits only for
    /// the first picture of its epoch, which fixes the clock.
    pub(in crate::publish) fn audio(&mut self, frame: AudioFrame) -> Result<(), PackageError> {
        if self.audio.is_none() || !self.audio_carried {
            return Ok(());
        }
        if self.waiting_audio.len() == WAITING_AUDIO {
            self.waiting_audio.pop_front();
        }
        self.waiting_audio.push_back(frame);
        let released = self.release_audio();
        self.publish(None);
        released
    }

    pub(in crate::publish) fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    pub(super) fn set_audio_format(&mut self, config: AacConfig) {
        let Some(rendition) = &mut self.audio else { return };
        if let Ok(init) = audio_init(&config) {
            rendition.set_init(init);
        }
        rendition.status.codecs = config.codec_string();
        self.audio_config = Some(config);
    }

    pub(super) fn cut_audio_at(&mut self, index: i64) {
        if index < self.next_cut {
            return;
        }
        if let Some(Packager::Audio(packager)) = self.audio.as_mut().map(|one| &mut one.packager) {
            packager.cut_at(self.grid.rate.frame_start(index));
        }
        self.next_cut = match self.mode {
            Mode::Transcode => index + i64::from(self.grid.segment_frames),
            Mode::Passthrough => index + 1,
        };
    }

    pub(super) fn release_audio(&mut self) -> Result<(), PackageError> {
        let mut result = Ok(());
        while let Some(frame) =
            self.waiting_audio.front().and_then(|frame| self.timeline.audio(frame))
        {
            // In passthrough a key frame may still begin a segment before it.
            if self.mode == Mode::Passthrough && frame.pts >= self.video_end {
                break;
            }
            self.waiting_audio.pop_front();
            let packaged = self.package_audio(&frame);
            result = result.and(packaged);
        }
        result
    }

    /// Where the audio stays away, or falls behind the video, silence takes its place: players wait
    /// for neither.
    pub(super) fn fill_audio(&mut self, video: MediaTime) {
        let until = video - AUDIO_PATIENCE;
        let late = |one: &&mut Rendition| one.packager.end() < until;
        if self.audio.as_mut().filter(late).is_some() {
            self.tell_cuts(until);
        }
        if let Some(Packager::Audio(packager)) = self.audio.as_mut().map(|one| &mut one.packager) {
            packager.fill_to(until);
        }
    }

    /// In a transcoded session boundaries are known ahead: the audio is told them in time.
    fn tell_cuts(&mut self, until: MediaTime) {
        if self.mode == Mode::Transcode {
            while self.grid.rate.frame_start(self.next_cut) <= until + CUT_AHEAD {
                self.cut_audio_at(self.next_cut);
            }
        }
    }

    fn package_audio(&mut self, frame: &AudioFrame) -> Result<(), PackageError> {
        self.tell_cuts(frame.pts);
        let Some(Packager::Audio(packager)) = self.audio.as_mut().map(|one| &mut one.packager)
        else {
            return Ok(());
        };
        packager.handle_frame(frame)
    }
}

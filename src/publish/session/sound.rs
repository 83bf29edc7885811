//! The audio of a session: passed on as it came, cut where the pictures are, and replaced by silence
//! where it stays away.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nowcast_cmaf::{AudioPackager, PackageError, audio_init};
use nowcast_hls::Profile;
use nowcast_media::{AacConfig, AudioFrame, Grid, MediaTime};
use nowcast_mpegts::AudioTrack;

use super::LiveSession;
use crate::config::Mode;
use crate::publish::probe::{SourceAudio, update_audio};
use crate::publish::rendition::{Packager, Rendition};

/// Audio of a track that waits for video to pass: 10 s of it; beyond that the oldest goes.
const WAITING_AUDIO: usize = 470;
/// How far the audio may be behind the video before silence takes its place. Encoders pack up to 360 ms of
/// it into one packet, and muxers interleave within about half a second.
const AUDIO_PATIENCE: MediaTime = MediaTime::from_millis(1000);
/// A source that has sent no audio for so long sends none: beyond what encoders pack into one packet.
const PACKET: Duration = Duration::from_millis(400);
/// How far ahead of the audio its boundaries are told in a transcoded session.
const CUT_AHEAD: MediaTime = MediaTime::from_millis(1000);

/// An audio track of a session.
#[derive(Debug)]
pub(in crate::publish) struct Sound {
    pub(in crate::publish) rendition: Rendition,
    /// As the source described it when the session began.
    pub(in crate::publish) track: AudioTrack,
    pub(in crate::publish) config: AacConfig,
    /// Where the source has it now.
    pid: Option<u16>,
    /// Frames whose place is not known yet: see [`LiveSession::audio`].
    waiting: VecDeque<AudioFrame>,
    /// When its last frame came.
    heard: Option<Instant>,
}

/// Whether a source's audio is heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::publish) enum Carried {
    Yes,
    /// Silence takes its place: the session's track has another format.
    NotInThisFormat,
    /// No track of the session takes it.
    NotInThisSession,
}

impl Sound {
    /// The tracks of a session with this audio.
    pub(super) fn of(audio: &[(AudioTrack, AacConfig)], grid: Grid, profile: Profile) -> Vec<Self> {
        audio
            .iter()
            .enumerate()
            .map(|(at, &(track, config))| {
                let name = match at {
                    0 => "audio".to_owned(),
                    _ => format!("audio-{}", at + 1),
                };
                let mut packager = Packager::Audio(AudioPackager::new(config, grid));
                packager.begin_at(MediaTime::ZERO);
                let mut rendition = Rendition::new(&name, packager, config.sample_rate, profile);
                if let Ok(init) = audio_init(&config) {
                    rendition.set_init(init);
                }
                rendition.status.codecs = config.codec_string();
                Self {
                    rendition,
                    track,
                    config,
                    pid: Some(track.pid),
                    waiting: VecDeque::new(),
                    heard: None,
                }
            })
            .collect()
    }

    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.heard = None;
    }

    /// Puts silence where audio is missing before this time.
    pub(super) fn fill_to(&mut self, until: MediaTime) {
        if let Some(packager) = self.packager() {
            packager.fill_to(until);
        }
    }

    fn packager(&mut self) -> Option<&mut AudioPackager> {
        match &mut self.rendition.packager {
            Packager::Audio(packager) => Some(packager),
            Packager::Video(_) => None,
        }
    }
}

impl LiveSession {
    /// Takes the tracks that the source has from now on.
    ///
    /// A track of the session goes on with the one of its language and kind. The first track, which is
    /// what viewers hear unasked, otherwise goes on with whatever is left; the others fall silent.
    pub(in crate::publish) fn audio_tracks(&mut self, tracks: &[AudioTrack]) {
        update_audio(&mut self.source_audio, tracks);
        let mut left = tracks.to_vec();
        for sound in &mut self.audio {
            let own = (sound.track.language, sound.track.kind);
            let same = left.iter().position(|track| (track.language, track.kind) == own);
            sound.pid = same.map(|at| left.remove(at).pid);
        }
        if let Some(first) = self.audio.first_mut().filter(|first| first.pid.is_none()) {
            first.pid = left.first().map(|track| track.pid);
        }
    }

    /// Takes the format of the audio on a PID.
    pub(in crate::publish) fn audio_format(&mut self, pid: u16, config: AacConfig) -> Carried {
        if let Some(one) = self.source_audio.iter_mut().find(|one| one.track.pid == pid) {
            one.config = Some(config);
        }
        match self.audio.iter().find(|sound| sound.pid == Some(pid)) {
            Some(sound) if sound.config == config => Carried::Yes,
            Some(_) => Carried::NotInThisFormat,
            None => Carried::NotInThisSession,
        }
    }

    /// Takes a frame of the audio on a PID.
    ///
    /// In passthrough it waits until the video has passed it, since only then is it known whether a
    /// segment ends before it. In a transcoded session boundaries are known ahead: it waits only for
    /// the first picture of its epoch, which fixes the clock.
    pub(in crate::publish) fn audio(
        &mut self,
        pid: u16,
        frame: AudioFrame,
    ) -> Result<(), PackageError> {
        let format = self.source_audio.iter().find(|one| one.track.pid == pid);
        let format = format.and_then(|one| one.config);
        let Some(sound) = self.audio.iter_mut().find(|sound| sound.pid == Some(pid)) else {
            return Ok(());
        };
        if self.gap || format != Some(sound.config) {
            return Ok(());
        }
        if sound.waiting.len() == WAITING_AUDIO {
            sound.waiting.pop_front();
        }
        sound.waiting.push_back(frame);
        sound.heard = Some(Instant::now());
        let released = self.release_audio();
        self.publish(None);
        released
    }

    /// The audio that the source has now.
    pub(in crate::publish) fn source_audio(&self) -> &[SourceAudio] {
        &self.source_audio
    }

    pub(super) fn cut_audio_at(&mut self, index: i64) {
        if index < self.next_cut {
            return;
        }
        let boundary = self.grid.rate.frame_start(index);
        for packager in self.audio.iter_mut().filter_map(Sound::packager) {
            packager.cut_at(boundary);
        }
        self.next_cut = match self.mode {
            Mode::Transcode => index + i64::from(self.grid.segment_frames),
            Mode::Passthrough => index + 1,
        };
    }

    pub(super) fn release_audio(&mut self) -> Result<(), PackageError> {
        let mut result = Ok(());
        for at in 0..self.audio.len() {
            while let Some(frame) =
                self.audio[at].waiting.front().and_then(|frame| self.timeline.audio(frame))
            {
                // In passthrough a key frame may still begin a segment before it.
                if self.mode == Mode::Passthrough && frame.pts >= self.video_end {
                    break;
                }
                self.tell_cuts(frame.pts);
                self.audio[at].waiting.pop_front();
                if let Some(packager) = self.audio[at].packager() {
                    let packaged = packager.handle_frame(&frame);
                    result = result.and(packaged);
                }
            }
        }
        result
    }

    /// Where the audio stays away, or falls behind the video, silence takes its place: players wait
    /// for neither.
    pub(super) fn fill_audio(&mut self, video: MediaTime) {
        self.fill_with_silence(video, |_| true);
    }

    /// Puts silence where the audio stays away, at once or, where there is hope for it, with patience.
    fn fill_with_silence(&mut self, until: MediaTime, hope: impl Fn(&Sound) -> bool) {
        for at in 0..self.audio.len() {
            let sound = &self.audio[at];
            let there = self.source_audio.iter().find(|one| Some(one.track.pid) == sound.pid);
            let there = there.is_some_and(|one| one.config == Some(sound.config));
            let until = if there && hope(sound) { until - AUDIO_PATIENCE } else { until };
            if sound.rendition.packager.end() < until {
                self.tell_cuts(until);
            }
            self.audio[at].fill_to(until);
        }
    }

    /// While frames go on without pictures, silence goes on with them where no audio comes either.
    pub(super) fn fill_silent_audio(&mut self, until: MediaTime, now: Instant) {
        self.fill_with_silence(until, |sound| {
            sound.heard.is_some_and(|heard| now < heard + PACKET)
        });
    }

    /// In a transcoded session boundaries are known ahead: the audio is told them in time.
    fn tell_cuts(&mut self, until: MediaTime) {
        if self.mode == Mode::Transcode {
            while self.grid.rate.frame_start(self.next_cut) <= until + CUT_AHEAD {
                self.cut_audio_at(self.next_cut);
            }
        }
    }
}

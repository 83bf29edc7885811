//! What a publisher's source turns out to be, and what is begun for it.

use std::sync::Arc;
use std::time::Instant;

use nowcast_media::{AacConfig, VideoCodec};
use nowcast_mpegts::Event;
use tracing::{info, warn};

use super::{Task, unix_micros};
use crate::config::Mode;
use crate::flow::{EncodeJob, Feed, Phase};
use crate::ladder::Ladder;
use crate::publish::probe::{Probe, Source};
use crate::publish::session::{Carried, LiveSession};

impl Task {
    /// The source is known: goes on with the session that waits for it, or begins one.
    pub(super) fn begin(&mut self, source: Source) {
        let now = source.began;
        let words = describe(&source);
        info!(stream = %self.config.name, source = words, "source known");
        self.status.send_modify(|status| status.source = Some(words));
        self.lost_at = None;
        self.silent = None;
        if self.session.as_ref().is_some_and(|session| !session.takes(&source)) {
            info!(stream = %self.config.name, "another codec or frame rate cannot be passed through here: a new session begins");
            self.end_session();
            self.set_phase(Phase::Starting, None);
        }
        match &mut self.session {
            Some(session) => {
                let feed = Feed::Source(source.format.codec);
                let encoder = self.encoder.as_ref().filter(|_| session.goes_on());
                if encoder.is_some_and(|encoder| encoder.input.try_send(feed).is_ok()) {
                    session.take_back();
                } else {
                    self.encoder = None;
                    session.restart(now);
                }
                session.set_source_codec(source.format.codec);
                session.source_format(&source.sets, now);
                let tracks: Vec<_> = source.audio.iter().map(|one| one.track).collect();
                session.audio_tracks(&tracks);
                for one in &source.audio {
                    if let Some(config) = one.config {
                        self.handle_audio_format(one.track.pid, config);
                    }
                }
            }
            None => {
                let Some(session) = self.new_session(&source, now) else { return };
                self.session = Some(session);
            }
        }
        self.start_encoder(Some(source.format.codec));
        for event in source.held {
            self.handle_media(event);
        }
    }

    /// Starts the encoder of a transcoded session that has none; without a source it makes the slate.
    pub(super) fn start_encoder(&mut self, source: Option<VideoCodec>) {
        let transcoded = self.session.as_ref().filter(|one| one.mode == Mode::Transcode);
        let Some(session) = transcoded.filter(|_| self.encoder.is_none()) else { return };
        self.encoder = Some((self.setting.start_encoder)(EncodeJob {
            stream: self.config.name.clone(),
            source,
            grid: session.grid,
            first_index: session.next_index(),
            rungs: session.rungs.clone(),
            slate: self.config.slate.as_ref().map(|slate| slate.png.clone()),
        }));
    }

    fn new_session(&mut self, source: &Source, now: i64) -> Option<LiveSession> {
        let rungs = match self.config.mode {
            Mode::Passthrough => Vec::new(),
            Mode::Transcode => match Ladder::load(&self.config.ladder) {
                Ok(ladder) => ladder.resolve(&source.format),
                Err(error) => {
                    self.set_phase(Phase::Unsupported, Some(error.to_string()));
                    return None;
                }
            },
        };
        self.begun += 1;
        let prefix = format!("{}-{}", self.setting.start_counter, self.begun);
        let cues = Arc::clone(&self.cues);
        let copy = self.setting.store.copy(&self.config.name, &prefix);
        let session = LiveSession::new(prefix, &self.config, source, rungs, cues, copy, now);
        let mut sessions = Vec::clone(&self.sessions.load());
        sessions.push(Arc::clone(&session.shared));
        self.sessions.store(Arc::new(sessions));
        self.status.send_modify(|status| status.since_ms = u64::try_from(now / 1000).ok());
        Some(session)
    }

    /// New parameter sets: another codec needs another decoder, so the source is asked anew.
    pub(super) fn handle_format(&mut self, sets: &nowcast_media::ParameterSets, codec: VideoCodec) {
        let Some(session) = &mut self.session else { return };
        if session.source_codec() == codec {
            session.source_format(sets, unix_micros());
        } else {
            let mut probe = Probe::default();
            let known = session.source_audio();
            let audio = known.iter().map(|one| one.track).collect();
            probe.push(Event::Tracks { video: Some(codec), audio }, 0);
            for one in known {
                if let Some(config) = one.config {
                    probe.push(Event::AudioFormat(one.track.pid, config), 0);
                }
            }
            if let Ok(format) = sets.format() {
                probe.push(Event::VideoFormat(sets.clone(), format), 0);
            }
            self.probe = Some((probe, Instant::now()));
        }
    }

    pub(super) fn handle_audio_format(&mut self, pid: u16, config: AacConfig) {
        let Some(session) = &mut self.session else { return };
        let what = match session.audio_format(pid, config) {
            Carried::Yes => return,
            Carried::NotInThisFormat => format!(
                "the audio on PID {pid} is now {} Hz with {} channel(s), not what the stream began with; \
                 silence takes its place: set the encoder back",
                config.sample_rate, config.channels,
            ),
            Carried::NotInThisSession => format!(
                "the audio on PID {pid} was not there when the stream began and is left out: send every \
                 track from the start on"
            ),
        };
        let grace = self.config.grace.as_secs();
        let problem = format!("{what}, or stop the encoder for {grace} s to begin a new stream");
        warn!(stream = %self.config.name, "{problem}");
        self.status.send_modify(|status| status.problem = Some(problem));
    }
}

fn describe(source: &Source) -> String {
    let format = &source.format;
    let video = format!(
        "{} {}x{} {:.3} fps",
        format.codec,
        format.width,
        format.height,
        source.rate.as_f64()
    );
    let audio = source.audio.iter().filter_map(|one| {
        let AacConfig { sample_rate, channels, .. } = one.config?;
        let language = one.track.language.map_or_else(String::new, |it| format!(" {}", it.name));
        Some(format!(", AAC {sample_rate} Hz {channels} ch{language}"))
    });
    match audio.collect::<String>() {
        none if none.is_empty() => format!("{video}, no audio"),
        audio => video + &audio,
    }
}

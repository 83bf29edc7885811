//! The demultiplexer: packets to their PIDs, programs to their tracks.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::Audio;
use crate::drift::Drift;
use crate::packet::{LEN, Packet, Splitter};
use crate::psi::{self, Program, ProgramMap, Sections, StreamKind};
use crate::timeline::{Placed, Timeline, Track};
use crate::video::Video;
use crate::{AudioTrack, Event};

/// PID of the program association table.
const PAT_PID: u16 = 0;
/// Programs that are looked at; no contribution link has more.
const MAX_PROGRAMS: usize = 64;
/// Audio tracks that are carried.
pub const MAX_AUDIO: usize = 8;

/// What is wrong with a source, counted since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Gaps in the continuity counters of the tracks: packets lost before they came here.
    pub continuity_errors: u64,
    /// Packets, PES packets and frames flagged or found damaged, and losses of packet alignment.
    pub damaged_packets: u64,
    /// Pictures left out because none that they could be decoded from came before.
    pub skipped_pictures: u64,
    /// Parts per million by which the source's clock runs faster than ours, after 10 s.
    pub drift_ppm: Option<f64>,
}

/// MPEG-TS in, [`Event`]s out; see the crate.
///
/// Memory is bounded: at most 8 MiB of each track, and 4 KiB of each of 64 program maps, wait to be
/// whole. Events wait until they are polled: poll all after each push.
#[derive(Debug, Default)]
pub struct Demuxer {
    splitter: Splitter,
    association: Sections,
    programs: Vec<ProgramState>,
    /// The map of the program that is carried.
    selected: Option<ProgramMap>,
    video: Option<Video>,
    audio: Vec<Audio>,
    drift: Drift,
    output: Output,
}

#[derive(Debug)]
struct ProgramState {
    program: Program,
    sections: Sections,
    map: Option<ProgramMap>,
}

/// What all tracks write to.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) timeline: Timeline,
    pub(crate) events: VecDeque<Event>,
    pub(crate) health: Health,
    now: Duration,
}

impl Output {
    /// Places a stamp, and tells of the epoch that begins with it.
    pub(crate) fn place(&mut self, track: Track, stamp: u64) -> Placed {
        let placed = self.timeline.place(track, stamp, self.now);
        if placed.new_epoch {
            self.events.push_back(Event::Epoch);
        }
        placed
    }
}

impl Demuxer {
    /// A demultiplexer at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that came at `now`, on any monotonic clock, in chunks of any size.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        self.output.now = now;
        let mut splitter = std::mem::take(&mut self.splitter);
        let losses = splitter.losses;
        splitter.push(bytes, |packet| self.take(packet));
        self.output.health.damaged_packets += splitter.losses - losses;
        self.splitter = splitter;
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.output.events.pop_front()
    }

    /// Hands on what waited for its end: the stream is over.
    pub fn finish(&mut self) {
        let mut pes = None;
        if let Some(video) = &mut self.video {
            video.assembler.finish(&mut self.output.health, &mut |whole| pes = Some(whole));
            if let Some(pes) = pes.take() {
                video.take(pes, &mut self.output);
            }
        }
        for audio in &mut self.audio {
            audio.assembler.finish(&mut self.output.health, &mut |whole| pes = Some(whole));
            if let Some(pes) = pes.take() {
                audio.take(&pes, &mut self.output);
            }
        }
    }

    /// How the source is.
    #[must_use]
    pub fn health(&self) -> Health {
        Health { drift_ppm: self.drift.ppm(), ..self.output.health.clone() }
    }

    fn take(&mut self, bytes: &[u8; LEN]) {
        let output = &mut self.output;
        let Some(packet) = Packet::parse(bytes) else {
            output.health.damaged_packets += 1;
            return;
        };
        if let Some(pcr) = packet.pcr
            && self.selected.as_ref().is_some_and(|map| map.pcr_pid == packet.pid)
        {
            self.drift.add(pcr, output.now);
        }
        // A packet may end the PES before it and its own.
        let mut ended: [Option<_>; 2] = [None, None];
        let mut keep =
            |pes| *ended.iter_mut().find(|slot| slot.is_none()).unwrap_or(&mut None) = Some(pes);
        if let Some(video) = self.video.as_mut().filter(|video| video.pid == packet.pid) {
            video.assembler.push(&packet, &mut output.health, &mut keep);
            ended.into_iter().flatten().for_each(|pes| video.take(pes, output));
        } else if let Some(audio) =
            self.audio.iter_mut().find(|audio| audio.track.pid == packet.pid)
        {
            audio.assembler.push(&packet, &mut output.health, &mut keep);
            ended.into_iter().flatten().for_each(|pes| audio.take(&pes, output));
        } else {
            self.take_table(&packet);
        }
    }

    fn take_table(&mut self, packet: &Packet<'_>) {
        if packet.pid == PAT_PID {
            let mut programs = None;
            self.association.push(packet, |section| {
                programs = psi::programs(section).or_else(|| programs.take());
            });
            if let Some(programs) = programs {
                self.associate(&programs);
            }
            return;
        }
        let mut news = false;
        for state in self.programs.iter_mut().filter(|state| state.program.map_pid == packet.pid) {
            let map = &mut state.map;
            let number = state.program.number;
            state.sections.push(packet, |section| {
                let found = ProgramMap::parse(section).filter(|found| found.number == number);
                if found.is_some() && found != *map {
                    *map = found;
                    news = true;
                }
            });
        }
        if news {
            self.select();
        }
    }

    /// Takes over the association table, keeping what is known of programs that stay.
    fn associate(&mut self, programs: &[Program]) {
        let programs = &programs[..programs.len().min(MAX_PROGRAMS)];
        if self.programs.iter().map(|state| &state.program).eq(programs) {
            return;
        }
        let mut known = std::mem::take(&mut self.programs);
        self.programs = programs
            .iter()
            .map(|&program| match known.iter().position(|state| state.program == program) {
                Some(at) => known.swap_remove(at),
                None => ProgramState { program, sections: Sections::default(), map: None },
            })
            .collect();
        self.select();
    }

    /// Chooses the program: the one it was as long as that has video, else the first with video;
    /// one without video only where every map is known.
    fn select(&mut self) {
        let number = self.selected.as_ref().map(|map| map.number);
        let maps = || self.programs.iter().filter_map(|state| state.map.as_ref());
        let all_known = self.programs.iter().all(|state| state.map.is_some());
        let with_video = || maps().filter(|map| map.video().is_some());
        let chosen = with_video()
            .find(|map| Some(map.number) == number)
            .or_else(|| with_video().next())
            .or_else(|| maps().find(|map| map.audio().next().is_some()).filter(|_| all_known))
            .or_else(|| maps().next().filter(|_| all_known));
        if let Some(map) = chosen.filter(|map| self.selected.as_ref() != Some(map)) {
            self.carry(map.clone());
        }
    }

    /// Makes the tracks those of a new map; what has not changed goes on.
    fn carry(&mut self, map: ProgramMap) {
        let video = map.video();
        let video_changes = self.video.as_ref().map(|track| (track.pid, track.codec)) != video;
        if video_changes {
            self.video = video.map(|(pid, codec)| Video::new(pid, codec));
        }
        let audio: Vec<AudioTrack> = map.audio().take(MAX_AUDIO).collect();
        let audio_changes = !self.audio.iter().map(|one| one.track).eq(audio.iter().copied());
        self.carry_audio(&audio);
        let events = &mut self.output.events;
        if video_changes || audio_changes || self.selected.is_none() {
            let video = video.map(|(_, codec)| codec);
            events.push_back(Event::Tracks { video, audio });
        }
        if map.audio().nth(MAX_AUDIO).is_some() {
            events.push_back(Event::Unsupported(format!(
                "only the first {MAX_AUDIO} audio tracks of a program are carried; send fewer, or \
                 the more important ones first"
            )));
        }
        events.extend(map.streams.iter().filter_map(|stream| {
            let (name, remedy) = match stream.kind {
                StreamKind::ForeignVideo(name) => (name, "video to H.264 or HEVC"),
                StreamKind::ForeignAudio(name) => (name, "audio to AAC in ADTS"),
                _ => return None,
            };
            let pid = stream.pid;
            let message =
                format!("{name} on PID {pid} cannot be carried; set the encoder's {remedy}");
            Some(Event::Unsupported(message))
        }));
        if self.selected.as_ref().is_none_or(|old| old.pcr_pid != map.pcr_pid) {
            self.drift = Drift::default();
        }
        self.selected = Some(map);
    }

    /// Tracks on PIDs that stay go on; a new one goes on with the clock of one that has gone, so that
    /// a jump between them is seen.
    fn carry_audio(&mut self, audio: &[AudioTrack]) {
        let mut known = std::mem::take(&mut self.audio);
        let mut came = Vec::new();
        for &track in audio {
            if let Some(at) = known.iter().position(|one| one.track.pid == track.pid) {
                let mut stays = known.remove(at);
                stays.track = track;
                self.audio.push(stays);
            } else {
                came.push(Track::Audio(track.pid));
                self.audio.push(Audio::new(track));
            }
        }
        let gone = known.iter().map(|one| Track::Audio(one.track.pid)).collect();
        self.output.timeline.replace(gone, came);
    }
}

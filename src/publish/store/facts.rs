//! What the disk keeps of a session: all that it needs to go on after a restart.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nowcast_hls::names::Start;
use nowcast_hls::{DateRange, Mark};
use nowcast_media::{
    AacConfig, FrameRate, Grid, Language, MediaTime, ParameterSets, VideoCodec, VideoRange,
};
use nowcast_mpegts::{AudioKind, AudioTrack};
use serde::{Deserialize, Serialize};

use crate::config::Mode;
use crate::flow::RenditionStatus;
use crate::ladder::Rung;

/// The only version of this form so far; a session of another one is not gone on with.
const VERSION: u32 = 1;

/// A session without its media.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::publish) struct Facts {
    pub(in crate::publish) version: u32,
    /// Which boot of the machine this is: after another one, what was not synced may be missing.
    pub(in crate::publish) boot: String,
    pub(in crate::publish) prefix: String,
    pub(in crate::publish) since_ms: i64,
    /// Unix time in milliseconds of ENDLIST.
    pub(in crate::publish) ended_ms: Option<i64>,
    pub(in crate::publish) mode: Mode,
    rate: (u32, u32),
    part_frames: u32,
    segment_frames: u32,
    /// In 90 kHz ticks.
    window: i64,
    pub(in crate::publish) rungs: Vec<Rung>,
    source: Sets,
    audio: Vec<Track>,
    /// The video's first, as the playlists list them.
    pub(in crate::publish) renditions: Vec<RenditionFacts>,
    /// Peak and average bits a second, as the multivariant playlist declares them; empty before it does.
    pub(in crate::publish) declared: Vec<(u64, u64)>,
    date_ranges: Vec<Range>,
}

/// What an EXT-X-DATERANGE says: a range stays until it has left the playlist.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Range {
    id: String,
    class: String,
    start_unix_ms: i64,
    duration_ms: Option<u64>,
    planned_duration_ms: Option<u64>,
    attributes: Vec<(String, String)>,
}

/// What else is known of a rendition.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::publish) struct RenditionFacts {
    pub(in crate::publish) name: String,
    pub(in crate::publish) codecs: String,
    pub(in crate::publish) width: u32,
    pub(in crate::publish) height: u32,
    range: u8,
    /// The last segment that is known to have begun, whether or not it is on the disk.
    pub(in crate::publish) last: Option<Begin>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Sets {
    hevc: bool,
    vps: Option<Vec<u8>>,
    sps: Vec<u8>,
    pps: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Track {
    pid: u16,
    language: Option<String>,
    kind: u8,
    object_type: u8,
    sample_rate: u32,
    channels: u8,
}

/// A segment's first record.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::publish) struct Begin {
    pub(in crate::publish) msn: u64,
    pub(in crate::publish) part: u64,
    pub(in crate::publish) discontinuities: u64,
    pub(in crate::publish) position: u64,
    pub(in crate::publish) longest: u64,
    /// Which start of the server names its parts.
    pub(in crate::publish) start: Start,
    pub(in crate::publish) discontinuity: bool,
    /// Of its first sample.
    pub(in crate::publish) unix_ms: i64,
    pub(in crate::publish) init: String,
    /// Decode time of its first sample, in the rendition's timescale.
    pub(in crate::publish) time: u64,
    /// Unix time in microseconds of the timeline's zero.
    pub(in crate::publish) anchor: i64,
}

/// The record of a part; its bytes follow.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::publish) struct PartFacts {
    /// In the rendition's timescale, as its decode time.
    pub(in crate::publish) duration: u64,
    pub(in crate::publish) time: u64,
    pub(in crate::publish) independent: bool,
    /// Unix time in milliseconds at which it was listed.
    pub(in crate::publish) at_ms: i64,
}

/// A record of a segment's file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Head {
    Begin(Begin),
    Part(PartFacts),
    /// Complete; named by this start.
    End(Start),
}

/// What freezes when a session begins.
#[derive(Clone, Debug)]
pub(in crate::publish) struct Frozen {
    pub(in crate::publish) prefix: String,
    pub(in crate::publish) since_ms: i64,
    pub(in crate::publish) mode: Mode,
    pub(in crate::publish) grid: Grid,
    pub(in crate::publish) window: MediaTime,
    pub(in crate::publish) rungs: Vec<Rung>,
    pub(in crate::publish) sets: ParameterSets,
    pub(in crate::publish) audio: Vec<(AudioTrack, AacConfig)>,
}

impl Facts {
    pub(in crate::publish) fn new(
        frozen: &Frozen,
        renditions: Vec<RenditionFacts>,
        declared: Vec<(u64, u64)>,
        date_ranges: &[DateRange],
        ended_ms: Option<i64>,
    ) -> Self {
        let Frozen { prefix, since_ms, mode, grid, window, rungs, sets, audio } = frozen;
        Self {
            version: VERSION,
            boot: String::new(),
            prefix: prefix.clone(),
            since_ms: *since_ms,
            ended_ms,
            mode: *mode,
            rate: (grid.rate.num(), grid.rate.den()),
            part_frames: grid.part_frames,
            segment_frames: grid.segment_frames,
            window: window.ticks(),
            rungs: rungs.clone(),
            source: Sets {
                hevc: sets.codec == VideoCodec::Hevc,
                vps: sets.vps.as_ref().map(|it| it.to_vec()),
                sps: sets.sps.to_vec(),
                pps: sets.pps.iter().map(|it| it.to_vec()).collect(),
            },
            audio: audio.iter().map(track).collect(),
            renditions,
            declared,
            date_ranges: date_ranges.iter().map(Range::of).collect(),
        }
    }

    /// What the playlists said with EXT-X-DATERANGE.
    pub(in crate::publish) fn date_ranges(&self) -> Arc<[DateRange]> {
        self.date_ranges.iter().map(Range::known).collect()
    }

    /// What froze; `None` if another version wrote it.
    pub(in crate::publish) fn frozen(&self) -> Option<Frozen> {
        let bytes = |bytes: &Vec<u8>| Bytes::copy_from_slice(bytes);
        let rate = FrameRate::new(self.rate.0, self.rate.1)?;
        let Self { part_frames, segment_frames, source, .. } = self;
        (self.version == VERSION).then(|| Frozen {
            prefix: self.prefix.clone(),
            since_ms: self.since_ms,
            mode: self.mode,
            grid: Grid { rate, part_frames: *part_frames, segment_frames: *segment_frames },
            window: MediaTime::from_ticks(self.window),
            rungs: self.rungs.clone(),
            sets: ParameterSets {
                codec: if source.hevc { VideoCodec::Hevc } else { VideoCodec::H264 },
                vps: source.vps.as_ref().map(bytes),
                sps: bytes(&source.sps),
                pps: source.pps.iter().map(bytes).collect(),
            },
            audio: self.audio.iter().map(Track::known).collect(),
        })
    }
}

impl Range {
    fn of(range: &DateRange) -> Self {
        let owned = |(name, value): &(Cow<'static, str>, String)| (name.to_string(), value.clone());
        Self {
            id: range.id.clone(),
            class: range.class.to_string(),
            start_unix_ms: range.start_unix_ms,
            duration_ms: range.duration_ms,
            planned_duration_ms: range.planned_duration_ms,
            attributes: range.attributes.iter().map(owned).collect(),
        }
    }

    fn known(&self) -> DateRange {
        let known = |(name, value): &(String, String)| (name.clone().into(), value.clone());
        DateRange {
            id: self.id.clone(),
            class: self.class.clone().into(),
            start_unix_ms: self.start_unix_ms,
            duration_ms: self.duration_ms,
            planned_duration_ms: self.planned_duration_ms,
            attributes: self.attributes.iter().map(known).collect(),
        }
    }
}

fn track((track, config): &(AudioTrack, AacConfig)) -> Track {
    Track {
        pid: track.pid,
        language: track.language.map(|language| language.tag.to_owned()),
        kind: track.kind as u8,
        object_type: config.object_type,
        sample_rate: config.sample_rate,
        channels: config.channels,
    }
}

impl Track {
    fn known(&self) -> (AudioTrack, AacConfig) {
        let Self { pid, object_type, sample_rate, channels, .. } = *self;
        let language = self.language.as_deref().and_then(Language::from_tag);
        let track = AudioTrack { pid, language, kind: AudioKind::of(self.kind) };
        (track, AacConfig { object_type, sample_rate, channels })
    }
}

impl RenditionFacts {
    pub(in crate::publish) fn new(
        status: &RenditionStatus,
        range: VideoRange,
        last: Option<Begin>,
    ) -> Self {
        Self {
            name: status.name.clone(),
            codecs: status.codecs.clone(),
            width: status.width,
            height: status.height,
            range: match range {
                VideoRange::Sdr => 0,
                VideoRange::Hlg => 1,
                VideoRange::Pq => 2,
            },
            last,
        }
    }

    pub(in crate::publish) fn range(&self) -> VideoRange {
        match self.range {
            1 => VideoRange::Hlg,
            2 => VideoRange::Pq,
            _ => VideoRange::Sdr,
        }
    }
}

impl Begin {
    pub(in crate::publish) fn mark(&self) -> Mark {
        let Self { msn, part, discontinuities, position, longest, .. } = *self;
        Mark { msn, part, discontinuities, position, longest }
    }
}

/// Unix time in milliseconds.
pub(in crate::publish) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

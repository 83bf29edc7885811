//! What the demultiplexer tells.

use nowcast_media::{
    AacConfig, AccessUnit, AudioFrame, Language, ParameterSets, VideoCodec, VideoFormat,
};

/// What the demultiplexer found, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The program map named its tracks.
    Tracks {
        /// The video's codec, if there is a video track that can be carried.
        video: Option<VideoCodec>,
        /// The AAC (ADTS) tracks in the map's order, [`MAX_AUDIO`](crate::MAX_AUDIO) at the most.
        audio: Vec<AudioTrack>,
    },
    /// New parameter sets are in force from the next [`Event::Video`] on.
    VideoFormat(ParameterSets, VideoFormat),
    /// A picture. The first one after [`Event::Tracks`] is a random access point; decode times rise
    /// strictly until the next [`Event::Epoch`].
    Video(AccessUnit),
    /// The format of the audio track on a PID, before its first frame and when it changes.
    AudioFormat(u16, AacConfig),
    /// A frame of the audio track on a PID; a track's times rise strictly until the next [`Event::Epoch`].
    Audio(u16, AudioFrame),
    /// Timestamps jumped: what follows is on a new clock (a new source epoch).
    Epoch,
    /// A track that cannot be carried, and why, in a sentence with a remedy.
    Unsupported(String),
}

/// An audio track, as the program map describes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AudioTrack {
    /// Where it is; the events of the track name it.
    pub pid: u16,
    /// What is spoken, if the map says so.
    pub language: Option<Language>,
    /// Whom it is for.
    pub kind: AudioKind,
}

/// Whom a track is for: audio_type of the ISO 639 language descriptor (ISO 13818-1, table 2-60).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AudioKind {
    /// Everybody, or it is not said.
    #[default]
    Undefined,
    /// No speech in it.
    CleanEffects,
    /// The hard of hearing: speech is clearer.
    HearingImpaired,
    /// The visually impaired: what is seen is described.
    VisualImpairedCommentary,
}

impl AudioKind {
    /// The kind that an audio_type says; its number again by `as u8`.
    #[must_use]
    pub const fn of(audio_type: u8) -> Self {
        match audio_type {
            1 => Self::CleanEffects,
            2 => Self::HearingImpaired,
            3 => Self::VisualImpairedCommentary,
            _ => Self::Undefined,
        }
    }
}

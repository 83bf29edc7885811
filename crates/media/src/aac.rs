//! AAC: the AudioSpecificConfig (ISO 14496-3 §1.6.2.1).

use thiserror::Error;

/// The format of an AAC stream.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AacConfig {
    /// Audio object type: 2 is AAC-LC.
    pub object_type: u8,
    /// Samples a second.
    pub sample_rate: u32,
    /// channel_configuration: 1 mono, 2 stereo, 6 is 5.1.
    pub channels: u8,
}

/// Why an AAC stream cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AacError {
    /// No sampling frequency of the table.
    #[error("sampling frequency {0} Hz is not one of AAC's")]
    SampleRate(u32),
}

/// The sampling frequencies by their index (ISO 14496-3 table 1.18).
pub const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

impl AacConfig {
    /// Samples in one frame.
    pub const FRAME_SAMPLES: u32 = 1024;

    /// The AudioSpecificConfig bytes of the init section.
    ///
    /// # Errors
    /// [`AacError::SampleRate`] for a rate outside the table.
    pub fn audio_specific_config(&self) -> Result<[u8; 2], AacError> {
        let index = SAMPLE_RATES
            .iter()
            .position(|&rate| rate == self.sample_rate)
            .and_then(|index| u8::try_from(index).ok())
            .ok_or(AacError::SampleRate(self.sample_rate))?;
        Ok([(self.object_type << 3) | (index >> 1), ((index & 1) << 7) | (self.channels << 3)])
    }

    /// The codec string of RFC 6381, as in `mp4a.40.2`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

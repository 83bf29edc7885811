//! AAC: the AudioSpecificConfig (ISO 14496-3 §1.6.2.1) and the ADTS header (§1.A.2).

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
const SAMPLE_RATES: [u32; 13] = [
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

/// The header of an ADTS frame (ISO 14496-3 §1.A.2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdtsHeader {
    /// The format of the frame.
    pub config: AacConfig,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_len: usize,
    /// Bytes of the frame, the header included; never less than the header.
    pub frame_len: usize,
}

impl AdtsHeader {
    /// Bytes that [`AdtsHeader::parse`] needs to decide.
    pub const MIN_LEN: usize = 7;

    /// Reads a header; `None` if there is none, or one of a frame of several raw data blocks, which
    /// no encoder in use makes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header: [u8; Self::MIN_LEN] = bytes.get(..Self::MIN_LEN)?.try_into().ok()?;
        let [sync, flags, format, middle, low, fullness, blocks] = header.map(usize::from);
        // syncword 0xfff, layer 0
        if sync != 0xff || flags & 0xf6 != 0xf0 || blocks & 3 != 0 {
            return None;
        }
        let header_len = if flags & 1 == 1 { 7 } else { 9 };
        let frame_len = (middle & 3) << 11 | low << 3 | fullness >> 5;
        if frame_len < header_len {
            return None;
        }
        let config = AacConfig {
            object_type: (header[2] >> 6) + 1,
            sample_rate: *SAMPLE_RATES.get(format >> 2 & 15)?,
            channels: (header[2] & 1) << 2 | header[3] >> 6,
        };
        Some(Self { config, header_len, frame_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_format_and_lengths() {
        // A stereo AAC-LC frame of 44.1 kHz and 371 bytes, as ffmpeg writes it.
        let header = AdtsHeader::parse(&[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc]).unwrap();
        assert_eq!(
            header,
            AdtsHeader {
                config: AacConfig { object_type: 2, sample_rate: 44_100, channels: 2 },
                header_len: 7,
                frame_len: 371,
            }
        );
        assert_eq!(header.config.audio_specific_config(), Ok([0x12, 0x10]));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            [0xff, 0xe1, 0x50, 0x80, 0x2e, 0x7f, 0xfc], // no syncword
            [0xff, 0xf3, 0x50, 0x80, 0x2e, 0x7f, 0xfc], // layer
            [0xff, 0xf1, 0x74, 0x80, 0x2e, 0x7f, 0xfc], // reserved sampling frequency
            [0xff, 0xf1, 0x50, 0x80, 0x00, 0x7f, 0xfc], // shorter than its header
        ] {
            assert_eq!(AdtsHeader::parse(&bytes), None, "{bytes:02x?}");
        }
        assert_eq!(AdtsHeader::parse(&[0xff, 0xf1]), None);
    }
}

//! Ladders: which rungs a stream is encoded into. Data from `pipelines/ladders/*.toml`.

/// One rung of a ladder, resolved for a source: exact size and bit rate.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Rung {
    /// Its name and path element, as in `720p`.
    pub name: String,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Bits a second the encoder is asked for.
    pub bitrate: u64,
    /// The encoder's speed preset.
    pub preset: String,
}

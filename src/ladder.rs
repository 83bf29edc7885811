//! Ladders: which rungs a stream is encoded into. Data from `pipelines/ladders/*.toml`.

use nowcast_media::VideoFormat;
use thiserror::Error;

use crate::pipelines::Pipelines;

/// The smallest side an encoder is given.
const SMALLEST: u32 = 16;
/// The longest side of a rung: 8K, and what every H.264 level ends before.
const LONGEST: u64 = 8192;

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
    /// The encoder's graph: `pipelines/ENCODER.launch`.
    pub encoder: String,
    /// The encoder's speed preset.
    pub preset: String,
}

/// A ladder as its file has it: rungs by the shorter side of the picture, highest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    height: u32,
    bitrate: u64,
    encoder: String,
    preset: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rung: Vec<Step>,
}

/// Why there is no ladder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LadderError {
    /// No file of this name.
    #[error("there is no ladder {name:?}; known ladders: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The file does not say what a ladder must.
    #[error("pipelines/ladders/{name}.toml: {fault}")]
    Invalid {
        /// The ladder's name.
        name: String,
        /// What is wrong.
        fault: String,
    },
}

impl Ladder {
    /// The ladder of this name: embedded in the program, or in the folder that `NOWCAST_PIPELINES` names.
    ///
    /// # Errors
    /// [`LadderError::Unknown`] lists what there is; [`LadderError::Invalid`] says what is wrong with the file.
    pub fn load(name: &str) -> Result<Self, LadderError> {
        let pipelines = Pipelines::from_env();
        let text = pipelines.ladder(name).ok_or_else(|| LadderError::Unknown {
            name: name.into(),
            known: pipelines.ladders(),
        })?;
        Self::parse(&text).map_err(|fault| LadderError::Invalid { name: name.into(), fault })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let File { rung: mut steps } = toml::from_str(text).map_err(|error| error.to_string())?;
        steps.sort_by_key(|step| std::cmp::Reverse(step.height));
        if steps.is_empty() {
            return Err("it has no [[rung]]".into());
        }
        for step in &steps {
            if !(SMALLEST..=4320).contains(&step.height) {
                return Err(format!("height = {}: must be {SMALLEST} to 4320", step.height));
            }
            if !(10_000..=500_000_000).contains(&step.bitrate) {
                return Err(format!("bitrate = {}: must be 10_000 to 500_000_000", step.bitrate));
            }
        }
        if let Some(pair) = steps.windows(2).find(|pair| pair[0].height == pair[1].height) {
            return Err(format!("height = {} stands twice", pair[0].height));
        }
        Ok(Self { steps })
    }

    /// All rungs, as a wide source larger than the highest gets them: what the ladder may cost.
    #[must_use]
    pub fn whole(&self) -> Vec<Rung> {
        let rung = |step: &Step| step.rung(step.height, step.bitrate, 7680, 4320);
        self.steps.iter().map(rung).collect()
    }

    /// The rungs to make from a source, highest first: never empty, none larger than the source.
    ///
    /// The shorter side of the picture decides; the display aspect is kept, in square pixels. Where even the
    /// lowest rung is larger than the source, it is made at the source's size, its bit rate lowered with the area.
    #[must_use]
    pub fn resolve(&self, source: &VideoFormat) -> Vec<Rung> {
        let (width, height) = display_size(source);
        let short = u32::try_from(width.min(height)).unwrap_or(u32::MAX);
        let fitting: Vec<_> = self.steps.iter().filter(|step| step.height <= short).collect();
        if !fitting.is_empty() {
            return fitting
                .into_iter()
                .map(|step| step.rung(step.height, step.bitrate, width, height))
                .collect();
        }
        let lowest = self.steps.last().into_iter();
        lowest
            .map(|step| {
                let area = |side: u32| u64::from(side).pow(2);
                let bitrate = step.bitrate * area(short.max(SMALLEST)) / area(step.height);
                step.rung(short, bitrate.clamp(10_000, step.bitrate), width, height)
            })
            .collect()
    }
}

impl Step {
    /// This step with `target` as the shorter side, for a picture shown at `width` × `height`.
    fn rung(&self, target: u32, bitrate: u64, width: u64, height: u64) -> Rung {
        let (short, long) = (width.min(height), width.max(height));
        let target = u64::from(target).min(short);
        let scaled = (target * long).div_ceil(short).min(long);
        let even = |side: u64| {
            let side = u32::try_from(side.min(LONGEST)).unwrap_or(SMALLEST) & !1;
            side.max(SMALLEST)
        };
        let (target, long) = (even(target), even(scaled));
        let (width, height) = if width < height { (target, long) } else { (long, target) };
        let (encoder, preset) = (self.encoder.clone(), self.preset.clone());
        Rung { name: format!("{target}p"), width, height, bitrate, encoder, preset }
    }
}

/// The size in square pixels: the height stays, the width takes the sample aspect.
fn display_size(source: &VideoFormat) -> (u64, u64) {
    let (mut num, mut den) = source.sample_aspect;
    // Beyond 4:1 it is a damaged header, not a picture.
    if num == 0
        || den == 0
        || u64::from(num) > 4 * u64::from(den)
        || u64::from(den) > 4 * u64::from(num)
    {
        (num, den) = (1, 1);
    }
    let width =
        (u64::from(source.width.max(1)) * u64::from(num) + u64::from(den) / 2) / u64::from(den);
    (width.max(1), u64::from(source.height.max(1)))
}

#[cfg(test)]
mod tests;

//! What the multivariant playlist declares of a session's renditions.

use nowcast_hls::multivariant::{AudioRendition, Variant, render};
use nowcast_media::{AacConfig, FrameRate};

use super::rendition::Rendition;

/// Bits a second that boxes add to a rendition, at the most: 350 bytes a part, 5 parts a second.
const OVERHEAD: u64 = 14_000;

/// Bits a second as declared; they only ever grow, with what was measured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Rates {
    peak: u64,
    average: u64,
}

/// The multivariant playlist of a session, as last told.
#[derive(Debug, Default)]
pub(super) struct Variants {
    declared: Vec<Rates>,
}

impl Variants {
    /// The playlist's text, if what it declares is new or was not true.
    ///
    /// `nominal` holds the bits a second each video rendition's encoder was asked for; none for a
    /// source passed through, whose first segments are measured with some room above.
    pub(super) fn update(
        &mut self,
        prefix: &str,
        rate: FrameRate,
        video: &[Rendition],
        nominal: &[u64],
        audio: Option<(&Rendition, AacConfig)>,
    ) -> Option<String> {
        let sound = audio.map_or_else(Rates::default, |(rendition, _)| measured(rendition));
        let needed = |rendition: &Rendition| {
            let own = measured(rendition);
            Rates { peak: own.peak + sound.peak, average: own.average + sound.average }
        };
        let told = self.declared.len() == video.len();
        let holds = |(rendition, declared): (&Rendition, &Rates)| {
            let needed = needed(rendition);
            needed.peak <= declared.peak && needed.average <= declared.average
        };
        if told && video.iter().zip(&self.declared).all(holds) {
            return None;
        }
        self.declared.resize(video.len(), Rates::default());
        for (at, (rendition, declared)) in video.iter().zip(&mut self.declared).enumerate() {
            let needed = needed(rendition);
            let nominal = nominal.get(at).map_or_else(Rates::default, |bitrate| Rates {
                peak: bitrate * 23 / 20 + OVERHEAD + sound.peak * 21 / 20,
                average: bitrate * 21 / 20 + OVERHEAD + sound.average * 21 / 20,
            });
            // Room for what varies, so that a list that players hold stays true.
            let roomy = Rates { peak: needed.peak * 11 / 10, average: needed.average * 21 / 20 };
            let grown =
                |nominal: u64, needed: u64, roomy| if needed > nominal { roomy } else { nominal };
            declared.peak = declared.peak.max(grown(nominal.peak, needed.peak, roomy.peak));
            declared.average =
                declared.average.max(grown(nominal.average, needed.average, roomy.average));
        }
        Some(self.text(prefix, rate, video, audio))
    }

    fn text(
        &self,
        prefix: &str,
        rate: FrameRate,
        video: &[Rendition],
        audio: Option<(&Rendition, AacConfig)>,
    ) -> String {
        let uri = |rendition: &Rendition| format!("{prefix}/{}/index.m3u8", rendition.status.name);
        let variants: Vec<_> = video
            .iter()
            .zip(&self.declared)
            .map(|(rendition, declared)| {
                let mut codecs = vec![rendition.status.codecs.clone()];
                codecs.extend(audio.map(|(_, config)| config.codec_string()));
                Variant {
                    uri: uri(rendition),
                    stable_id: rendition.status.name.clone(),
                    bandwidth: declared.peak.max(declared.average),
                    average_bandwidth: declared.average,
                    codecs,
                    resolution: Some((rendition.status.width, rendition.status.height)),
                    frame_rate: Some(rate),
                    video_range: None,
                    audio_group: audio.map(|_| "audio".to_owned()),
                }
            })
            .collect();
        let audio: Vec<_> = audio
            .iter()
            .map(|(rendition, config)| AudioRendition {
                uri: uri(rendition),
                group: "audio".to_owned(),
                name: "Audio".to_owned(),
                stable_id: rendition.status.name.clone(),
                language: None,
                channels: match config.channels {
                    7 => 8,
                    channels => u32::from(channels),
                },
            })
            .collect();
        render(&variants, &audio)
    }
}

fn measured(rendition: &Rendition) -> Rates {
    let (peak, average) = rendition.bit_rates();
    Rates { peak, average }
}

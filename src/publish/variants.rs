//! What the multivariant playlist declares of a session's renditions.

use nowcast_hls::multivariant::{AudioRendition, Variant, render};
use nowcast_media::{FrameRate, VideoRange};
use nowcast_mpegts::AudioKind;

use super::rendition::Rendition;
use super::session::Sound;

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
        audio: &[Sound],
    ) -> Option<String> {
        // A variant is as large as with the largest audio of its group (§4.4.6.2).
        let sound = audio.iter().map(|sound| measured(&sound.rendition));
        let sound = sound.fold(Rates::default(), |a, b| Rates {
            peak: a.peak.max(b.peak),
            average: a.average.max(b.average),
        });
        let with_video = video.iter().map(|rendition| {
            let own = measured(rendition);
            Rates { peak: own.peak + sound.peak, average: own.average + sound.average }
        });
        let needed: Vec<_> = with_video.chain(audio.first().map(|_| sound)).collect();
        let holds = |(needed, declared): (&Rates, &Rates)| {
            needed.peak <= declared.peak && needed.average <= declared.average
        };
        if self.declared.len() == needed.len() && needed.iter().zip(&self.declared).all(holds) {
            return None;
        }
        self.declared.resize(needed.len(), Rates::default());
        for (at, (needed, declared)) in needed.iter().zip(&mut self.declared).enumerate() {
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

    /// Peak and average of each variant, as declared.
    pub(super) fn declared(&self) -> Vec<(u64, u64)> {
        self.declared.iter().map(|rates| (rates.peak, rates.average)).collect()
    }

    /// Declares what was declared before a restart; `None` if nothing was.
    pub(super) fn restore(
        &mut self,
        declared: &[(u64, u64)],
        prefix: &str,
        rate: FrameRate,
        video: &[Rendition],
        audio: &[Sound],
    ) -> Option<String> {
        let rates = |&(peak, average): &(u64, u64)| Rates { peak, average };
        self.declared = declared.iter().map(rates).collect();
        (!declared.is_empty()).then(|| self.text(prefix, rate, video, audio))
    }

    fn text(&self, prefix: &str, rate: FrameRate, video: &[Rendition], audio: &[Sound]) -> String {
        let mut audio_codecs: Vec<_> = audio.iter().map(|it| it.config.codec_string()).collect();
        audio_codecs.sort_unstable();
        audio_codecs.dedup();
        let variant = |rendition: &Rendition, declared: &Rates| Variant {
            uri: uri(prefix, rendition),
            stable_id: rendition.status.name.clone(),
            bandwidth: declared.peak.max(declared.average),
            average_bandwidth: declared.average,
            codecs: audio_codecs.clone(),
            resolution: None,
            frame_rate: None,
            video_range: None,
            audio_group: audio.first().map(|_| GROUP.to_owned()),
        };
        let mut declared = self.declared.iter();
        let mut variants: Vec<_> = video
            .iter()
            .zip(&mut declared)
            .map(|(rendition, declared)| {
                let mut variant = variant(rendition, declared);
                variant.codecs.insert(0, rendition.status.codecs.clone());
                variant.resolution = Some((rendition.status.width, rendition.status.height));
                variant.frame_rate = Some(rate);
                variant.video_range = Some(rendition.range).filter(|it| *it != VideoRange::Sdr);
                variant
            })
            .collect();
        // Last of all: nobody who can have a picture begins without.
        let without_video = audio.first().zip(declared.next());
        variants.extend(without_video.map(|(sound, declared)| variant(&sound.rendition, declared)));
        render(&variants, &audio_group(prefix, audio))
    }
}

/// All audio is AAC, so that one group holds every track.
const GROUP: &str = "audio";

/// The group's members, told apart by their names; a player chooses by itself between those that
/// differ in language or in whom they are for (§4.4.6.1.1).
fn audio_group(prefix: &str, audio: &[Sound]) -> Vec<AudioRendition> {
    let mut group: Vec<AudioRendition> = Vec::new();
    for Sound { rendition, track, config, .. } in audio {
        let (suffix, characteristics) = match track.kind {
            AudioKind::Undefined => ("", None),
            AudioKind::CleanEffects => (" (effects)", None),
            AudioKind::HearingImpaired => {
                (" (clear speech)", Some("public.accessibility.enhances-speech-intelligibility"))
            }
            AudioKind::VisualImpairedCommentary => {
                (" (described)", Some("public.accessibility.describes-video"))
            }
        };
        let language = track.language.map(|language| language.tag.to_owned());
        let characteristics = characteristics.map(str::to_owned);
        let mut name = track.language.map_or("Audio", |language| language.name).to_owned() + suffix;
        if group.iter().any(|other| other.name == name) {
            name = format!("{name} {}", group.len() + 1);
        }
        let alike = |other: &AudioRendition| {
            other.language == language && other.characteristics == characteristics
        };
        group.push(AudioRendition {
            uri: uri(prefix, rendition),
            group: GROUP.to_owned(),
            name,
            stable_id: rendition.status.name.clone(),
            default: group.is_empty(),
            autoselect: !group.iter().any(alike),
            language,
            characteristics,
            channels: match config.channels {
                7 => 8,
                channels => u32::from(channels),
            },
        });
    }
    group
}

fn uri(prefix: &str, rendition: &Rendition) -> String {
    format!("{prefix}/{}/index.m3u8", rendition.status.name)
}

fn measured(rendition: &Rendition) -> Rates {
    let (peak, average) = rendition.bit_rates();
    Rates { peak, average }
}

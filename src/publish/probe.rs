//! Waits until a source has said all that its stream's grid depends on.

use nowcast_media::{AacConfig, FrameRate, MediaTime, ParameterSets, VideoFormat};
use nowcast_mpegts::{AudioTrack, Event};

/// What a source turned out to be, and the events that were held back meanwhile.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) sets: ParameterSets,
    pub(super) format: VideoFormat,
    pub(super) rate: FrameRate,
    /// Its audio tracks; those whose format did not come in time have none.
    pub(super) audio: Vec<SourceAudio>,
    pub(super) held: Vec<Event>,
    /// Unix time in microseconds at which the first picture came.
    pub(super) began: i64,
}

/// An audio track of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceAudio {
    pub(super) track: AudioTrack,
    /// Once its first frame came.
    pub(super) config: Option<AacConfig>,
}

/// Takes over the tracks that a source has from now on; what is known of those that stay is kept.
pub(super) fn update_audio(audio: &mut Vec<SourceAudio>, tracks: &[AudioTrack]) {
    let known = std::mem::take(audio);
    audio.extend(tracks.iter().map(|&track| {
        let same = known.iter().find(|one| one.track.pid == track.pid);
        SourceAudio { track, config: same.and_then(|one| one.config) }
    }));
}

/// Collects the first events of a source.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Whether there is video, once the tracks are known.
    has_video: Option<bool>,
    video: Option<(ParameterSets, VideoFormat)>,
    audio: Vec<SourceAudio>,
    decode_times: Vec<MediaTime>,
    held: Vec<Event>,
    unsupported: Option<String>,
    began: i64,
}

/// Decode times to look at where the bitstream does not announce a frame rate.
const MEASURED_FRAMES: usize = 16;
/// Decode times that confirm a frame rate the bitstream announces.
const CONFIRMING_FRAMES: usize = 4;
/// How much video may pass before a stream starts without its announced audio.
const AUDIO_WAIT: MediaTime = MediaTime::from_millis(1500);

impl Probe {
    /// Takes an event that came at this Unix time in microseconds; answers the source once
    /// everything is known.
    pub(super) fn push(&mut self, event: Event, now: i64) -> Option<Source> {
        match &event {
            Event::Tracks { video, audio } => {
                self.has_video = Some(video.is_some());
                update_audio(&mut self.audio, audio);
            }
            Event::VideoFormat(sets, format) => self.video = Some((sets.clone(), format.clone())),
            Event::AudioFormat(pid, config) => {
                if let Some(one) = self.audio.iter_mut().find(|one| one.track.pid == *pid) {
                    one.config = Some(*config);
                }
            }
            Event::Unsupported(reason) => self.unsupported = Some(reason.clone()),
            Event::Video(unit) => {
                if self.decode_times.is_empty() {
                    self.began = now;
                }
                self.decode_times.push(unit.dts);
            }
            // The source settles on a clock before it is measured.
            Event::Epoch => {
                self.decode_times.clear();
                self.held.clear();
            }
            Event::Audio(..) => {}
        }
        let kept = matches!(event, Event::Video(_) | Event::Audio(..));
        if kept && !self.decode_times.is_empty() {
            self.held.push(event);
        }
        let (rate, audio) = (self.rate()?, self.audio_settled());
        if !audio {
            return None;
        }
        let (sets, format) = self.video.take()?;
        let held = std::mem::take(&mut self.held);
        let audio = std::mem::take(&mut self.audio);
        Some(Source { sets, format, rate, audio, held, began: self.began })
    }

    /// Why nothing has come of this source after so long a wait, and what to do.
    pub(super) fn complaint(&self) -> String {
        match (self.has_video, &self.unsupported) {
            (None, _) => "the publisher sends no MPEG-TS program: choose MPEG-TS as the container \
                          (OBS does it for srt:// by itself; ffmpeg with -f mpegts)"
                .to_owned(),
            (Some(false), Some(reason)) => reason.clone(),
            (Some(false), None) => "the publisher sends no video: nowcast needs an H.264 or \
                                         HEVC track in the MPEG-TS; add one"
                .to_owned(),
            (Some(true), _) => "no key frame has come: set the encoder's key-frame interval \
                                     to 2 s, and let it repeat its parameter sets with each key frame"
                .to_owned(),
        }
    }

    fn audio_settled(&self) -> bool {
        let (Some(first), Some(last)) = (self.decode_times.first(), self.decode_times.last())
        else {
            return false;
        };
        self.audio.iter().all(|one| one.config.is_some()) || *last - *first >= AUDIO_WAIT
    }

    /// The announced frame rate if the decode times do not contradict it, else the measured one.
    fn rate(&self) -> Option<FrameRate> {
        let announced = self.video.as_ref()?.1.frame_rate;
        let needed = if announced.is_some() { CONFIRMING_FRAMES } else { MEASURED_FRAMES };
        let mut deltas: Vec<i64> =
            self.decode_times.windows(2).map(|pair| (pair[1] - pair[0]).ticks()).collect();
        let span: i64 = deltas.iter().sum();
        if deltas.len() + 1 < needed && span < MediaTime::from_millis(1000).ticks() {
            return None;
        }
        deltas.sort_unstable();
        let median = *deltas.get(deltas.len() / 2)?;
        let near = |delta: i64| (delta - median).abs() * 5 <= median;
        let alike: Vec<i64> = deltas.iter().copied().filter(|&delta| near(delta)).collect();
        let steady = alike.len() * 4 >= deltas.len() * 3;
        let mean = alike.iter().sum::<i64>() / i64::try_from(alike.len()).ok()?.max(1);
        match announced {
            Some(rate) if !steady || near(rate.frame_start(1).ticks()) => Some(rate),
            Some(_) if self.decode_times.len() < MEASURED_FRAMES && span < 90_000 => None,
            _ => FrameRate::from_interval(MediaTime::from_ticks(mean)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nowcast_media::{AccessUnit, VideoCodec};

    use super::*;

    fn probe(
        announced: Option<(u32, u32)>,
        times: impl IntoIterator<Item = i64>,
    ) -> Option<String> {
        let mut probe = Probe::default();
        assert!(
            probe.push(Event::Tracks { video: Some(VideoCodec::H264), audio: vec![] }, 0).is_none()
        );
        let format = VideoFormat {
            codec: VideoCodec::H264,
            width: 1280,
            height: 720,
            sample_aspect: (1, 1),
            frame_rate: announced.and_then(|(num, den)| FrameRate::new(num, den)),
            bit_depth: 8,
            chroma_bit_depth: 8,
            chroma_format: 1,
            interlaced: false,
            range: nowcast_media::VideoRange::Sdr,
            reorder_depth: None,
            codec_string: "avc1.64001F".to_owned(),
        };
        let sets =
            ParameterSets { codec: VideoCodec::H264, vps: None, sps: Bytes::new(), pps: vec![] };
        probe.push(Event::VideoFormat(sets, format), 0);
        times.into_iter().find_map(|dts| {
            let time = MediaTime::from_ticks(dts);
            let unit = AccessUnit {
                pts: time,
                dts: time,
                random_access: dts == 0,
                damaged: false,
                data: Bytes::new(),
            };
            let source = probe.push(Event::Video(unit), 0)?;
            assert_eq!(source.held.len(), probe.decode_times.len());
            Some(format!("{}/{} after {}", source.rate.num(), source.rate.den(), source.held.len()))
        })
    }

    #[test]
    fn an_announced_rate_is_confirmed_by_four_frames() {
        assert_eq!(probe(Some((30, 1)), (0..).map(|n| n * 3000)).unwrap(), "30/1 after 4");
    }

    #[test]
    fn an_unannounced_rate_is_measured_through_millisecond_rounding() {
        let rounded = (0..).map(|n| (n * 3003 + 45) / 90 * 90);
        assert_eq!(probe(None, rounded).unwrap(), "30000/1001 after 16");
    }

    #[test]
    fn a_contradicted_announcement_is_not_believed() {
        assert_eq!(probe(Some((60, 1)), (0..).map(|n| n * 3000)).unwrap(), "30/1 after 16");
    }

    #[test]
    fn a_slow_source_is_known_after_a_second() {
        assert_eq!(probe(None, (0..).map(|n| n * 18_000)).unwrap(), "5/1 after 6");
    }

    #[test]
    fn a_lost_frame_does_not_change_the_rate() {
        let with_hole = (0..).filter(|n| *n != 2 && *n != 9).map(|n| n * 3600);
        assert_eq!(probe(None, with_hole).unwrap(), "25/1 after 16");
    }
}

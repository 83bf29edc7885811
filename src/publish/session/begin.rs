//! A session begins: all that is frozen for its life.

use std::collections::{BTreeMap, VecDeque};
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nowcast_cmaf::{Cut, VideoPackager};
use nowcast_hls::Profile;
use nowcast_media::{Grid, MediaTime, VideoCodec};
use tokio::sync::watch;

use super::cadence::Cadence;
use super::{LiveSession, Sound};
use crate::config::{Mode, StreamConfig};
use crate::flow::{Cues, Session};
use crate::ladder::Rung;
use crate::publish::metadata::TimedMetadata;
use crate::publish::probe::Source;
use crate::publish::rendition::{Packager, Rendition};
use crate::publish::store::{Copy, Frozen};
use crate::publish::timeline::Timeline;
use crate::publish::variants::Variants;

impl LiveSession {
    /// Begins a session, behind all that was ever bound to the stream's timeline. Its grid is frozen
    /// here, for all its life.
    pub(in crate::publish) fn new(
        prefix: String,
        config: &StreamConfig,
        source: &Source,
        rungs: Vec<Rung>,
        cues: Arc<Cues>,
        now_unix_micros: i64,
    ) -> Self {
        let time = |span: Duration| {
            MediaTime::from_millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 90))
        };
        let known = source.audio.iter().filter_map(|one| Some((one.track, one.config?)));
        let frozen = Frozen {
            prefix,
            since_ms: now_unix_micros / 1000,
            mode: config.mode,
            grid: Grid::new(source.rate, time(config.part), time(config.segment)),
            window: time(config.window),
            rungs,
            sets: source.sets.clone(),
            audio: known.collect(),
        };
        let mut session = Self::with(frozen, cues);
        session.source_audio.clone_from(&source.audio);
        if config.mode == Mode::Passthrough {
            session.set_video_format(0, &source.sets);
        }
        session.begin_epoch(session.frame_from(session.metadata.floor()), now_unix_micros);
        session.changed = true;
        session
    }

    /// Says where the disk has it: from now on it is kept there.
    pub(in crate::publish) fn keep_in(&mut self, copy: Copy) {
        for (at, one) in self.all_mut().enumerate() {
            one.copy = copy.of(at, &one.status.name);
        }
        self.copy = copy;
        self.tell_changes();
    }

    /// A session of nothing yet.
    pub(super) fn with(frozen: Frozen, cues: Arc<Cues>) -> Self {
        let Frozen { prefix, since_ms, mode, grid, window, rungs, sets, audio } = frozen;
        let profile = Profile::new(&grid, window);
        let (names, codec, cut): (Vec<_>, _, _) = match mode {
            Mode::Transcode => (
                rungs.iter().map(|rung| rung.name.clone()).collect(),
                VideoCodec::H264,
                Cut::Counted,
            ),
            Mode::Passthrough => (vec!["source".to_owned()], sets.codec, Cut::AtRandomAccess),
        };
        let mut video: Vec<_> = names
            .iter()
            .map(|name| {
                let packager = Packager::Video(VideoPackager::new(codec, grid, cut));
                Rendition::new(name, packager, MediaTime::TIMESCALE, profile)
            })
            .collect();
        // Sound first, then the lowest rung: a higher bit rate is never more urgent (App. B.1).
        for (rendition, urgency) in video.iter_mut().rev().zip((3..6).chain(iter::repeat(6))) {
            rendition.urgency = urgency;
        }
        if let Some(highest) = video.first_mut() {
            highest.highest = true;
        }
        let mut metadata = TimedMetadata::new(cues, grid, mode);
        metadata.set_bit_rate(rungs.iter().map(|rung| rung.bitrate).min().unwrap_or(0));
        let multivariant = watch::Sender::new(None);
        let session = Self {
            shared: Arc::new(Session {
                prefix,
                profile,
                multivariant: multivariant.subscribe(),
                renditions: ArcSwap::default(),
            }),
            grid,
            rungs,
            mode,
            multivariant,
            variants: Variants::default(),
            metadata,
            source_codec: sets.codec,
            source_sets: sets,
            video,
            audio: Sound::of(&audio, grid, profile),
            source_audio: Vec::new(),
            timeline: Timeline::default(),
            cadence: Cadence::new(grid, 0),
            anchor: 0,
            video_end: MediaTime::ZERO,
            next_cut: 0,
            awaits_key_frame: true,
            gap: false,
            arrivals: VecDeque::new(),
            since_ms,
            copy: Copy::default(),
            changed: false,
        };
        let renditions: BTreeMap<_, _> =
            session.all().map(|one| (one.status.name.clone(), one.subscribe())).collect();
        session.shared.renditions.store(Arc::new(renditions));
        session
    }
}

//! Between a stream's media and its room: where the media stands, and what its parts carry.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use nowcast_hls::DateRange;
use nowcast_media::Grid;
use tokio::sync::watch;

/// The next part to be composed: the earliest place that something new can be bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// Its first frame's number on the grid: it begins at `grid.rate.frame_start(index)`, in 90 kHz
    /// ticks of the video's decode timeline.
    pub index: i64,
    /// Unix time in microseconds of tick zero; moves at a discontinuity.
    pub anchor: i64,
    /// Media sequence number of its segment.
    pub msn: u64,
    /// Its index there, from 0.
    pub part: u32,
    /// Frame rate, frames of a part and of a segment.
    pub grid: Grid,
    /// When it began: when the one before it was composed.
    pub since: Instant,
}

/// A part that is about to be written, the same in all video renditions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PartSpan {
    /// Where it begins, in 90 kHz ticks of the video's decode timeline.
    pub pts: u64,
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// Media sequence number of its segment.
    pub msn: u64,
    /// Its index there, from 0.
    pub part: u32,
    /// Bytes that it may spend on the sample of a busy chat.
    pub budget: usize,
}

/// What a part carries.
#[derive(Clone, Debug, Default)]
pub struct Composed {
    /// For `emsg`, in the order of their times, which lie in the part.
    pub cues: Vec<Cue>,
    /// Every EXT-X-DATERANGE that the playlists have from this part on.
    pub date_ranges: Arc<[DateRange]>,
}

/// One piece of timed metadata.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cue {
    /// Presentation time in 90 kHz ticks.
    pub pts: u64,
    /// How long it lasts, in ticks.
    pub duration: u32,
    /// Names it among those of its time (`emsg` id).
    pub id: u32,
    /// JSON.
    pub text: String,
}

/// Composes what a part carries, without waiting for anything.
pub type Composer = Box<dyn Fn(&PartSpan) -> Composed + Send + Sync>;

/// The timed metadata of one stream.
pub struct Cues {
    composer: OnceLock<Composer>,
    position: watch::Sender<Option<Position>>,
    floor: AtomicU64,
}

impl Default for Cues {
    fn default() -> Self {
        Self {
            composer: OnceLock::new(),
            position: watch::Sender::new(None),
            floor: AtomicU64::new(0),
        }
    }
}

impl Cues {
    /// Sets who composes; only the first holds.
    pub fn compose_with(&self, composer: Composer) {
        // Whoever comes second has lost nothing: the room of a stream is one.
        self.composer.set(composer).ok();
    }

    /// What a part carries. Asked once for each, in order, before its bytes are shown.
    #[must_use]
    pub fn compose(&self, span: &PartSpan) -> Composed {
        self.composer.get().map(|compose| compose(span)).unwrap_or_default()
    }

    /// Says where the media stands; `None` while nothing is published.
    pub fn set_position(&self, position: Option<Position>) {
        self.position.send_replace(position);
    }

    /// Where the media stands.
    #[must_use]
    pub fn position(&self) -> watch::Receiver<Option<Position>> {
        self.position.subscribe()
    }

    /// The least tick a new session may begin at: nothing was ever bound behind it.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor.load(Relaxed)
    }

    /// Raises the floor.
    pub fn raise_floor(&self, pts: u64) {
        self.floor.fetch_max(pts, Relaxed);
    }
}

impl fmt::Debug for Cues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cues").field("floor", &self.floor).finish_non_exhaustive()
    }
}

use nowcast_cmaf::{AudioPackager, Output, VideoPackager};
use nowcast_media::MediaTime;

/// What cuts the rendition's parts.
#[derive(Debug)]
pub(in crate::publish) enum Packager {
    Video(VideoPackager),
    Audio(AudioPackager),
}

impl Packager {
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        match self {
            Self::Video(packager) => packager.poll_output(),
            Self::Audio(packager) => packager.poll_output(),
        }
    }

    pub(in crate::publish) fn restart(&mut self) {
        match self {
            Self::Video(packager) => packager.restart(),
            Self::Audio(packager) => packager.restart(),
        }
    }

    /// Where the next segment begins, after a restart; video begins with its picture anyway.
    pub(in crate::publish) fn begin_at(&mut self, at: MediaTime) {
        if let Self::Audio(packager) = self {
            packager.begin_at(at);
        }
    }

    /// Where the media taken so far ends.
    pub(in crate::publish) fn end(&self) -> MediaTime {
        match self {
            Self::Video(packager) => packager.end(),
            Self::Audio(packager) => packager.end(),
        }
    }

    /// What ends here, in the rendition's timescale, was packaged before a restart of the server.
    pub(in crate::publish) fn resume(&mut self, end: u64) {
        match self {
            Self::Video(packager) => packager.resume(end),
            Self::Audio(packager) => packager.resume(end),
        }
    }

    pub(in crate::publish) fn set_anchor(&mut self, unix_micros: i64) {
        match self {
            Self::Video(packager) => packager.set_anchor(unix_micros),
            Self::Audio(packager) => packager.set_anchor(unix_micros),
        }
    }
}

//! Low-latency HLS playlists: window, rendering, delivery directives.

/// What a media playlist lists at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Edge;

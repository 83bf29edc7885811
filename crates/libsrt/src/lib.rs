//! A thin safe binding to libsrt 1.5: one listener, many publishers.
//!
//! The application implements [`Gate`] (who is let in, before the connection exists) and [`Sink`]
//! (what one connection sends). libsrt decides nothing about access by itself, except that a
//! caller without the passphrase, or with a wrong one, never gets through.
//!
//! # Threads
//! [`Gate::decide`] runs on libsrt's receiving thread and delays every connection while it runs: it
//! must be fast and must not block. [`Gate::accept`] and all of [`Sink`] run on one thread, the
//! listener's own, which waits for all connections at once (libsrt's epoll): they must not block
//! either. [`Connection`] may be used from any thread.
//!
//! # Unsafe code
//! This is the only crate of the workspace that contains `unsafe`. It rests on two facts of libsrt's
//! C API: socket ids are numbers that are checked on every call (a stale one is an error, never a
//! dangling pointer), and all calls may be made from any thread.

mod address;
mod ffi;
mod hook;
mod listener;
mod socket;

use std::net::SocketAddr;

use bytes::Bytes;

pub use listener::{Connection, Listener, Options};
pub use socket::{Error, Stats};

/// Decides who may connect, and takes the connections.
pub trait Gate: Send + Sync + 'static {
    /// What takes the payload of a connection.
    type Sink: Sink;

    /// Whether a caller may connect; it does not exist as a connection yet and may still fail, for
    /// want of the passphrase. A caller that repeats its handshake is asked about again.
    fn decide(&self, request: &Request<'_>) -> Decision;

    /// Takes a caller that was let in and has connected. `None` closes the connection.
    fn accept(&self, connection: Connection) -> Option<Self::Sink>;
}

/// Takes what one connection sends. Neither call may block.
pub trait Sink: Send + 'static {
    /// The payload of one SRT data packet: in order, each once, those given up left out.
    fn data(&mut self, payload: Bytes);

    /// The connection has ended; everything that arrived has been handed to [`Self::data`].
    fn closed(self, reason: CloseReason);
}

/// A caller at the door.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it wrote in SRTO_STREAMID; empty if nothing. At most 512 bytes, any bytes.
    pub stream_id: &'a [u8],
    /// Where it calls from; IPv4 also where the listener's socket is IPv6.
    pub peer: SocketAddr,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Let it in.
    Accept {
        /// Only with this passphrase (10 to 79 bytes), the key length being the caller's choice;
        /// `None`: only without encryption.
        passphrase: Option<String>,
    },
    /// Turn it away.
    Reject(RejectCode),
}

/// Why a caller is turned away; libsrt's `SRT_REJX_…` of access_control.h, as
/// `srt_getrejectreason` tells the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RejectCode(u16);

impl RejectCode {
    /// The stream id cannot be read.
    pub const BAD_REQUEST: Self = Self(1400);
    /// No key, or a wrong one.
    pub const UNAUTHORIZED: Self = Self(1401);
    /// The server is full.
    pub const OVERLOAD: Self = Self(1402);
    /// Not allowed, whatever the key.
    pub const FORBIDDEN: Self = Self(1403);
    /// There is no such stream.
    pub const NOT_FOUND: Self = Self(1404);
    /// The mode asked for (`m=`) is not offered.
    pub const BAD_MODE: Self = Self(1405);
    /// Somebody else is publishing already.
    pub const CONFLICT: Self = Self(1409);
    /// The server failed.
    pub const INTERNAL: Self = Self(1500);

    /// The number: 1400 to 1599.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// The peer closed it, or was not heard of for [`Options::peer_idle`].
    PeerGone,
    /// [`Connection::close`].
    Requested,
    /// The listener was dropped.
    ListenerStopped,
}

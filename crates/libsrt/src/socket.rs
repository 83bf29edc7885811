//! libsrt's calls, made safe one by one.

use std::ffi::{CStr, c_int, c_void};
use std::net::SocketAddr;
use std::ptr;
use std::sync::Once;
use std::time::Duration;

use crate::address::CAddress;
use crate::hook::{Hook, on_caller};
use crate::{RejectCode, ffi};

/// A call of libsrt that failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{call}: {message}")]
pub struct Error {
    call: &'static str,
    code: c_int,
    errno: c_int,
    message: String,
}

impl Error {
    /// The error of the last call on this thread.
    fn last(call: &'static str) -> Self {
        let mut errno = 0;
        // SAFETY: `errno` may be written to.
        let code = unsafe { ffi::srt_getlasterror(&raw mut errno) };
        // SAFETY: takes any numbers; returns a string of this thread that lives until the next call.
        let text = unsafe { ffi::srt_strerror(code, errno) };
        let message = if text.is_null() {
            format!("error {code}")
        } else {
            // SAFETY: not null, ends with NUL, and is copied before any other call.
            unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
        };
        Self { call, code, errno, message }
    }

    /// The machine gives no thread.
    pub(crate) fn thread(error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        Self { call: "thread", code: 0, errno, message: error.to_string() }
    }

    /// The address asked for is taken, by another program or by another listener of this one.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        self.errno == libc::EADDRINUSE || self.code == ffi::SRT_EBINDCONFLICT
    }

    /// Nothing to read yet.
    pub(crate) fn would_block(&self) -> bool {
        self.code == ffi::SRT_EASYNCRCV
    }
}

fn check(call: &'static str, result: c_int) -> Result<c_int, Error> {
    if result == ffi::SRT_ERROR { Err(Error::last(call)) } else { Ok(result) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "lengths here are small"
)]
fn c_len(len: usize) -> c_int {
    len as c_int
}

/// Starts libsrt's threads, once; they end with the process. Its own log, which anybody who can send
/// a datagram can fill, is off: what matters reaches the application as a result or a reason.
pub(crate) fn start_library() {
    static START: Once = Once::new();
    START.call_once(|| {
        // SAFETY: takes nothing.
        unsafe { ffi::srt_startup() };
        // SAFETY: takes any number.
        unsafe { ffi::srt_setloglevel(ffi::LOG_CRIT) };
        // SAFETY: a null array of no entries.
        unsafe { ffi::srt_resetlogfa(ptr::null(), 0) };
    });
}

/// The number of a libsrt socket. It may be stale: every call then returns an error.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Socket(ffi::SRTSOCKET);

impl Socket {
    pub(crate) fn from_raw(number: ffi::SRTSOCKET) -> Self {
        Self(number)
    }

    pub(crate) fn new() -> Result<Self, Error> {
        // SAFETY: takes nothing.
        check("srt_create_socket", unsafe { ffi::srt_create_socket() }).map(Self)
    }

    pub(crate) fn bind(self, address: SocketAddr) -> Result<(), Error> {
        let address = CAddress::from(address);
        // SAFETY: the pointer is good for that many bytes.
        let result = unsafe { ffi::srt_bind(self.0, address.as_ptr(), c_len(address.len())) };
        check("srt_bind", result).map(drop)
    }

    /// Listens; each caller is shown to `hook` first.
    pub(crate) fn listen(self, backlog: c_int, hook: &Hook) -> Result<(), Error> {
        // SAFETY: `on_caller` is what the header asks for, and takes `opaque` as a mere number.
        let result = unsafe { ffi::srt_listen_callback(self.0, on_caller, hook.opaque()) };
        check("srt_listen_callback", result)?;
        // SAFETY: takes numbers.
        check("srt_listen", unsafe { ffi::srt_listen(self.0, backlog) }).map(drop)
    }

    pub(crate) fn accept(self) -> Result<(Self, Option<SocketAddr>), Error> {
        let mut peer = CAddress::empty();
        let mut len = c_len(peer.len());
        // SAFETY: `peer` has room for `len` bytes, which either family fits in.
        let socket = unsafe { ffi::srt_accept(self.0, peer.as_mut_ptr(), &raw mut len) };
        Ok((Self(check("srt_accept", socket)?), peer.get()))
    }

    pub(crate) fn local_addr(self) -> Result<SocketAddr, Error> {
        let mut name = CAddress::empty();
        let mut len = c_len(name.len());
        // SAFETY: `name` has room for `len` bytes, which either family fits in.
        let result = unsafe { ffi::srt_getsockname(self.0, name.as_mut_ptr(), &raw mut len) };
        check("srt_getsockname", result)?;
        name.get().ok_or_else(|| Error::last("srt_getsockname"))
    }

    pub(crate) fn close(self) {
        // SAFETY: takes a number. The only error is that there is no such socket any more.
        unsafe { ffi::srt_close(self.0) };
    }

    pub(crate) fn is_connected(self) -> bool {
        // SAFETY: takes a number.
        unsafe { ffi::srt_getsockstate(self.0) == ffi::SRTS_CONNECTED }
    }

    pub(crate) fn set_reject_reason(self, reason: RejectCode) {
        // SAFETY: takes numbers. Were the socket gone, there would be nobody left to tell.
        unsafe { ffi::srt_setrejectreason(self.0, reason.code().into()) };
    }

    pub(crate) fn set_int(self, option: c_int, value: c_int) -> Result<(), Error> {
        self.set_bytes(option, &value.to_ne_bytes())
    }

    pub(crate) fn set_millis(self, option: c_int, value: Duration) -> Result<(), Error> {
        self.set_int(option, c_int::try_from(value.as_millis()).unwrap_or(c_int::MAX))
    }

    pub(crate) fn set_bytes(self, option: c_int, value: &[u8]) -> Result<(), Error> {
        let pointer = value.as_ptr().cast::<c_void>();
        // SAFETY: the pointer is good for that many bytes; libsrt copies them, and refuses a length
        // that the option does not have. Flags are read as `int` from four bytes.
        let result = unsafe { ffi::srt_setsockflag(self.0, option, pointer, c_len(value.len())) };
        check("srt_setsockflag", result).map(drop)
    }

    pub(crate) fn int(self, option: c_int) -> Result<c_int, Error> {
        let mut value = [0; size_of::<c_int>()];
        self.bytes(option, &mut value)?;
        Ok(c_int::from_ne_bytes(value))
    }

    pub(crate) fn millis(self, option: c_int) -> Result<Duration, Error> {
        Ok(Duration::from_millis(u64::try_from(self.int(option)?).unwrap_or(0)))
    }

    /// Reads an option; how many bytes it has.
    pub(crate) fn bytes(self, option: c_int, room: &mut [u8]) -> Result<usize, Error> {
        let mut len = c_len(room.len());
        let pointer = room.as_mut_ptr().cast::<c_void>();
        // SAFETY: `len` says how much room there is; libsrt refuses what does not fit. The options
        // read here are `int`s, and SRTO_STREAMID, which is read into the 512 bytes it may have.
        let result = unsafe { ffi::srt_getsockflag(self.0, option, pointer, &raw mut len) };
        check("srt_getsockflag", result)?;
        Ok(usize::try_from(len).unwrap_or(0).min(room.len()))
    }

    /// Reads the payload of one packet.
    pub(crate) fn receive(self, room: &mut [u8]) -> Result<usize, Error> {
        let pointer = room.as_mut_ptr().cast();
        // SAFETY: the pointer is good for writing that many bytes.
        let result = unsafe { ffi::srt_recvmsg(self.0, pointer, c_len(room.len())) };
        check("srt_recvmsg", result).map(|len| usize::try_from(len).unwrap_or(0).min(room.len()))
    }

    pub(crate) fn stats(self) -> Result<Stats, Error> {
        let mut stats = ffi::CBytePerfMon::default();
        // SAFETY: `stats` is at least as large as the library's structure, in its layout.
        let result = unsafe { ffi::srt_bistats(self.0, &raw mut stats, 0, 1) };
        check("srt_bistats", result)?;
        let secured = self.int(ffi::opt::RCVKMSTATE)? == ffi::SRT_KM_S_SECURED;
        let count = |value: c_int| u64::try_from(value).unwrap_or(0);
        Ok(Stats {
            rtt_ms: stats.ms_rtt,
            latency: self.millis(ffi::opt::RCVLATENCY)?,
            packets: u64::try_from(stats.pkt_recv_total).unwrap_or(0),
            packets_lost: count(stats.pkt_rcv_loss_total),
            packets_retransmitted: count(stats.pkt_rcv_retrans),
            packets_dropped: count(stats.pkt_rcv_drop_total),
            packets_undecrypted: count(stats.pkt_rcv_undecrypt_total),
            key_bits: if secured {
                u16::try_from(self.int(ffi::opt::PBKEYLEN)? * 8).unwrap_or(0)
            } else {
                0
            },
        })
    }
}

/// What libsrt knows of one connection, counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Round-trip time in milliseconds, smoothed.
    pub rtt_ms: f64,
    /// The receiver's latency both ends agreed on.
    pub latency: Duration,
    /// Data packets received, repeated ones included.
    pub packets: u64,
    /// Packets found missing, and asked for again.
    pub packets_lost: u64,
    /// Packets received on a repeated sending.
    pub packets_retransmitted: u64,
    /// Packets given up, because they were not there in time.
    pub packets_dropped: u64,
    /// Packets that could not be decrypted.
    pub packets_undecrypted: u64,
    /// Length of the AES key: 128, 192, 256; 0 on a plain link.
    pub key_bits: u16,
}

/// Waits for many sockets at once.
pub(crate) struct Poll(c_int);

impl Poll {
    pub(crate) fn new() -> Result<Self, Error> {
        // SAFETY: takes nothing.
        check("srt_epoll_create", unsafe { ffi::srt_epoll_create() }).map(Self)
    }

    /// Watches for something to read, and for the end.
    pub(crate) fn add(&self, socket: Socket) -> Result<(), Error> {
        let events = ffi::SRT_EPOLL_IN | ffi::SRT_EPOLL_ERR;
        // SAFETY: takes numbers, and one to read from the pointer.
        let result = unsafe { ffi::srt_epoll_add_usock(self.0, socket.0, &raw const events) };
        check("srt_epoll_add_usock", result).map(drop)
    }

    pub(crate) fn remove(&self, socket: Socket) {
        // SAFETY: takes numbers. The only error is that libsrt has removed it already.
        unsafe { ffi::srt_epoll_remove_usock(self.0, socket.0) };
    }

    /// Fills `ready` with sockets that have something to tell; none after `timeout`.
    pub(crate) fn wait(
        &self,
        ready: &mut Vec<Socket>,
        room: usize,
        timeout: Duration,
    ) -> Result<(), Error> {
        ready.clear();
        let mut events = vec![ffi::SRT_EPOLL_EVENT::default(); room];
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        // SAFETY: `events` has room for as many entries as is said.
        let result =
            unsafe { ffi::srt_epoll_uwait(self.0, events.as_mut_ptr(), c_len(room), millis) };
        let count = usize::try_from(check("srt_epoll_uwait", result)?).unwrap_or(0).min(room);
        ready.extend(events[..count].iter().map(|event| Socket(event.fd)));
        Ok(())
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // SAFETY: takes a number.
        unsafe { ffi::srt_epoll_release(self.0) };
    }
}

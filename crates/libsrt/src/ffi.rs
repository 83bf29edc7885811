//! The part of `srt/srt.h` (libsrt 1.5.1) that is used here.

#![expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "names as in srt.h")]

use std::ffi::{c_char, c_double, c_int, c_void};

use libc::sockaddr;

pub(crate) type SRTSOCKET = i32;

pub(crate) const SRT_ERROR: c_int = -1;
pub(crate) const SRT_EASYNCRCV: c_int = 6002;
pub(crate) const SRT_EBINDCONFLICT: c_int = 5015;

pub(crate) const SRTS_CONNECTED: c_int = 5;
pub(crate) const SRT_KM_S_SECURED: c_int = 2;

pub(crate) const SRT_EPOLL_IN: c_int = 0x1;
pub(crate) const SRT_EPOLL_ERR: c_int = 0x8;

/// `LOG_CRIT` of syslog.h.
pub(crate) const LOG_CRIT: c_int = 2;

/// `SRT_SOCKOPT`
pub(crate) mod opt {
    use super::c_int;

    pub(crate) const RCVSYN: c_int = 2;
    pub(crate) const REUSEADDR: c_int = 15;
    pub(crate) const RCVDATA: c_int = 20;
    pub(crate) const PASSPHRASE: c_int = 26;
    pub(crate) const PBKEYLEN: c_int = 27;
    pub(crate) const TLPKTDROP: c_int = 31;
    pub(crate) const RCVKMSTATE: c_int = 41;
    pub(crate) const RCVLATENCY: c_int = 43;
    pub(crate) const STREAMID: c_int = 46;
    pub(crate) const IPV6ONLY: c_int = 54;
    pub(crate) const PEERIDLETIMEO: c_int = 55;
}

pub(crate) type srt_listen_callback_fn = unsafe extern "C" fn(
    opaque: *mut c_void,
    socket: SRTSOCKET,
    hs_version: c_int,
    peer: *const sockaddr,
    stream_id: *const c_char,
) -> c_int;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SRT_EPOLL_EVENT {
    pub(crate) fd: SRTSOCKET,
    pub(crate) events: c_int,
}

/// `struct CBytePerfMon` up to the last member read here; neighbours of one type that are not read
/// stand together in an array. Later releases only add to its end: `rest` holds what follows, with
/// room for more.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct CBytePerfMon {
    ms_time_stamp: i64,
    pkt_sent_total: i64,
    pub(crate) pkt_recv_total: i64,
    pkt_snd_loss_total: c_int,
    pub(crate) pkt_rcv_loss_total: c_int,
    pkt_retrans_ack_nak_total: [c_int; 5],
    us_snd_duration_total: i64,
    pkt_snd_drop_total: c_int,
    pub(crate) pkt_rcv_drop_total: c_int,
    pub(crate) pkt_rcv_undecrypt_total: c_int,
    byte_totals: [u64; 7],
    pkt_sent_recv: [i64; 2],
    pkt_loss_retrans: [c_int; 3],
    pub(crate) pkt_rcv_retrans: c_int,
    pkt_ack_nak: [c_int; 4],
    mbps_send_recv_rate: [c_double; 2],
    us_snd_duration: i64,
    pkt_reorder_distance: c_int,
    pkt_rcv_avg_belated_time: c_double,
    pkt_rcv_belated: i64,
    pkt_drop_undecrypt: [c_int; 3],
    bytes: [u64; 7],
    us_pkt_snd_period: c_double,
    pkt_windows: [c_int; 3],
    pub(crate) ms_rtt: c_double,
    rest: [[u64; 32]; 4],
}

/// As the C compiler lays it out on a 64-bit machine.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(CBytePerfMon, pkt_recv_total) == 16);
    assert!(offset_of!(CBytePerfMon, pkt_rcv_loss_total) == 28);
    assert!(offset_of!(CBytePerfMon, pkt_rcv_drop_total) == 68);
    assert!(offset_of!(CBytePerfMon, pkt_rcv_undecrypt_total) == 72);
    assert!(offset_of!(CBytePerfMon, pkt_rcv_retrans) == 164);
    assert!(offset_of!(CBytePerfMon, ms_rtt) == 328);
    assert!(size_of::<CBytePerfMon>() > 496);
};

unsafe extern "C" {
    pub(crate) fn srt_startup() -> c_int;
    pub(crate) fn srt_setloglevel(level: c_int);
    pub(crate) fn srt_resetlogfa(areas: *const c_int, count: usize);
    pub(crate) fn srt_getlasterror(errno: *mut c_int) -> c_int;
    pub(crate) fn srt_strerror(code: c_int, errno: c_int) -> *const c_char;

    pub(crate) fn srt_create_socket() -> SRTSOCKET;
    pub(crate) fn srt_bind(socket: SRTSOCKET, name: *const sockaddr, length: c_int) -> c_int;
    pub(crate) fn srt_listen(socket: SRTSOCKET, backlog: c_int) -> c_int;
    pub(crate) fn srt_accept(
        socket: SRTSOCKET,
        peer: *mut sockaddr,
        length: *mut c_int,
    ) -> SRTSOCKET;
    pub(crate) fn srt_listen_callback(
        socket: SRTSOCKET,
        hook: srt_listen_callback_fn,
        opaque: *mut c_void,
    ) -> c_int;
    pub(crate) fn srt_setrejectreason(socket: SRTSOCKET, value: c_int) -> c_int;
    pub(crate) fn srt_close(socket: SRTSOCKET) -> c_int;
    pub(crate) fn srt_getsockname(
        socket: SRTSOCKET,
        name: *mut sockaddr,
        length: *mut c_int,
    ) -> c_int;
    pub(crate) fn srt_getsockstate(socket: SRTSOCKET) -> c_int;
    pub(crate) fn srt_getsockflag(
        socket: SRTSOCKET,
        option: c_int,
        value: *mut c_void,
        length: *mut c_int,
    ) -> c_int;
    pub(crate) fn srt_setsockflag(
        socket: SRTSOCKET,
        option: c_int,
        value: *const c_void,
        length: c_int,
    ) -> c_int;
    pub(crate) fn srt_recvmsg(socket: SRTSOCKET, buffer: *mut c_char, length: c_int) -> c_int;
    pub(crate) fn srt_bistats(
        socket: SRTSOCKET,
        statistics: *mut CBytePerfMon,
        clear: c_int,
        instantaneous: c_int,
    ) -> c_int;

    pub(crate) fn srt_epoll_create() -> c_int;
    pub(crate) fn srt_epoll_add_usock(
        poll: c_int,
        socket: SRTSOCKET,
        events: *const c_int,
    ) -> c_int;
    pub(crate) fn srt_epoll_remove_usock(poll: c_int, socket: SRTSOCKET) -> c_int;
    pub(crate) fn srt_epoll_uwait(
        poll: c_int,
        events: *mut SRT_EPOLL_EVENT,
        size: c_int,
        timeout_ms: i64,
    ) -> c_int;
    pub(crate) fn srt_epoll_release(poll: c_int) -> c_int;
}

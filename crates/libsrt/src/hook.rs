//! The hook libsrt calls for each caller before it accepts it.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

use libc::sockaddr;

use crate::socket::Socket;
use crate::{Decision, RejectCode, Request, address, ffi};

type Decide = dyn Fn(&Request<'_>) -> Decision + Send + Sync;

/// The listeners' decisions, by number. C is given the number, not a pointer: a hook that still runs
/// while its listener ends finds nothing here, instead of memory that is gone.
static HOOKS: RwLock<BTreeMap<usize, Arc<Decide>>> = RwLock::new(BTreeMap::new());

/// A listener's place in [`HOOKS`], held as long as callers shall be let in.
pub(crate) struct Hook(usize);

impl Hook {
    pub(crate) fn new(decide: impl Fn(&Request<'_>) -> Decision + Send + Sync + 'static) -> Self {
        let mut hooks = HOOKS.write().unwrap_or_else(PoisonError::into_inner);
        let number = hooks.last_key_value().map_or(1, |(last, _)| last + 1);
        hooks.insert(number, Arc::new(decide));
        Self(number)
    }

    /// What libsrt hands back to [`on_caller`].
    pub(crate) fn opaque(&self) -> *mut c_void {
        ptr::without_provenance_mut(self.0)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        HOOKS.write().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// `srt_listen_callback_fn`: 0 lets the caller in, -1 turns it away with the reason set here.
///
/// # Safety
/// Called by libsrt only: `peer` is null or an address, `stream_id` null or text that ends with NUL;
/// both live until this returns.
pub(crate) unsafe extern "C" fn on_caller(
    opaque: *mut c_void,
    socket: ffi::SRTSOCKET,
    _hs_version: c_int,
    peer: *const sockaddr,
    stream_id: *const c_char,
) -> c_int {
    // SAFETY: as this function's own contract.
    let peer = unsafe { address::read(peer) };
    let stream_id = if stream_id.is_null() {
        &[][..]
    } else {
        // SAFETY: not null, and as this function's own contract.
        unsafe { CStr::from_ptr(stream_id) }.to_bytes()
    };
    let admit = || admit(opaque.addr(), Socket::from_raw(socket), peer, stream_id);
    // A panic must not unwind into C.
    match catch_unwind(AssertUnwindSafe(admit)).unwrap_or(Err(RejectCode::INTERNAL)) {
        Ok(()) => 0,
        Err(reject) => {
            Socket::from_raw(socket).set_reject_reason(reject);
            ffi::SRT_ERROR
        }
    }
}

fn admit(
    hook: usize,
    socket: Socket,
    peer: Option<std::net::SocketAddr>,
    stream_id: &[u8],
) -> Result<(), RejectCode> {
    let decide = HOOKS.read().unwrap_or_else(PoisonError::into_inner).get(&hook).cloned();
    let (Some(decide), Some(peer)) = (decide, peer) else {
        return Err(RejectCode::INTERNAL);
    };
    match decide(&Request { stream_id, peer }) {
        // Set also where there is none, so that nothing is inherited from another caller.
        Decision::Accept { passphrase } => socket
            .set_bytes(ffi::opt::PASSPHRASE, passphrase.unwrap_or_default().as_bytes())
            .map_err(|_| RejectCode::INTERNAL),
        Decision::Reject(code) => Err(code),
    }
}

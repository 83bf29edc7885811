//! The worker: a child process that turns access units into the coded frames of every rung.
//!
//! It talks over its standard input, which is one end of a Unix socket pair (`wire.rs`), and lives no longer
//! than the other end.

mod coder;
mod retime;
mod slate;
mod stage;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;

use super::wire::{FromWorker, Stats, ToWorker};
use coder::Coder;

/// How often the supervisor hears of a worker that has nothing else to say.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// The way to the supervisor, shared by all threads.
#[derive(Debug)]
struct Outlet {
    socket: Mutex<UnixStream>,
    stats: Mutex<Stats>,
}

impl Outlet {
    /// Sends one message; without a supervisor there is nothing left to do, and the process ends.
    fn send(&self, message: &FromWorker) {
        let mut bytes = BytesMut::new();
        message.write(&mut bytes);
        let mut socket = self.socket.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if socket.write_all(&bytes).is_err() {
            std::process::exit(0);
        }
    }

    /// Says why the process ends, and ends it.
    fn fail(&self, reason: String) -> ! {
        self.send(&FromWorker::Error(reason));
        std::process::exit(1);
    }

    fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn heartbeat(&self) {
        let stats = *self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.send(&FromWorker::Stats(stats));
    }
}

/// The process `nowcast encode-worker`: runs until its input ends.
#[must_use]
pub fn main() -> ExitCode {
    // Also without a word from the socket: a worker that hangs in a codec dies with its parent.
    let bound =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let sockets =
        std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).and_then(|socket| {
            bound?;
            socket.peer_addr()?;
            Ok((socket.try_clone()?, socket))
        });
    let Ok((mut input, output)) = sockets else {
        tracing::error!(
            "encode-worker is started by `nowcast serve` only: its standard input must be a socket"
        );
        return ExitCode::from(2);
    };
    let outlet = Arc::new(Outlet { socket: Mutex::new(output), stats: Mutex::default() });
    match run(&mut input, &outlet) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => outlet.fail(reason),
    }
}

fn run(input: &mut UnixStream, outlet: &Arc<Outlet>) -> Result<(), String> {
    let mut received = BytesMut::new();
    let mut coder = None;
    while let Some(message) = next(input, &mut received)? {
        match (message, &mut coder) {
            (ToWorker::Job(job), None) => {
                coder = Some(Coder::start(&job, outlet)?);
                let outlet = Arc::clone(outlet);
                std::thread::spawn(move || {
                    loop {
                        outlet.heartbeat();
                        std::thread::sleep(HEARTBEAT);
                    }
                });
            }
            (ToWorker::Unit { seq, pts, dts, data }, Some(coder)) => {
                coder.push(seq, pts, dts, data)?;
            }
            (ToWorker::Fill { until, slate }, Some(coder)) => coder.fill(until, slate)?,
            (ToWorker::Decode(text), Some(coder)) => coder.decode(&text)?,
            (ToWorker::Slate(image), Some(coder)) => coder.set_slate(&image),
            (ToWorker::Job(_), Some(_)) => return Err("the supervisor sent a second job".into()),
            (_, None) => return Err("the supervisor sent no job".into()),
        }
    }
    // What is inside still comes out, and the end of it ends the process; so does a heartbeat that nobody hears.
    if let Some(coder) = coder {
        coder.end();
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

/// The next message; `None` when the supervisor has nothing more to send.
fn next(input: &mut UnixStream, received: &mut BytesMut) -> Result<Option<ToWorker>, String> {
    let mut piece = [0; 64 << 10];
    loop {
        if let Some(message) =
            ToWorker::take(received).map_err(|error| format!("the supervisor sent {error}"))?
        {
            return Ok(Some(message));
        }
        match input.read(&mut piece) {
            Ok(0) | Err(_) => return Ok(None),
            Ok(length) => received.extend_from_slice(&piece[..length]),
        }
    }
}

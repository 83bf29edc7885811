//! Starting worker processes.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::sync::{LazyLock, mpsc};

use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Options;

/// A running worker; killed when dropped.
pub(super) struct Worker {
    pub(super) process: Child,
    pub(super) socket: UnixStream,
}

type Answer = oneshot::Sender<std::io::Result<Child>>;

/// The thread that starts every worker. A worker dies with the *thread* that started it (PR_SET_PDEATHSIG,
/// prctl(2)), and a thread of the runtime may end before the process does.
static STARTER: LazyLock<mpsc::Sender<(Command, Handle, Answer)>> = LazyLock::new(|| {
    let (requests, queue) = mpsc::channel::<(Command, Handle, Answer)>();
    std::thread::spawn(move || {
        for (mut command, runtime, answer) in queue {
            let _inside = runtime.enter();
            // Where nobody waits any more, the worker is killed as it is dropped.
            answer.send(command.spawn()).ok();
        }
    });
    requests
});

/// Starts a worker with its end of a socket pair as standard input.
pub(super) async fn start(options: &Options) -> std::io::Result<Worker> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(&options.worker);
    command
        .args(&options.arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let gone = || std::io::Error::other("the thread that starts workers is gone");
    let (answer, started) = oneshot::channel();
    STARTER.send((command, Handle::current(), answer)).map_err(|_| gone())?;
    let process = started.await.map_err(|_| gone())??;
    Ok(Worker { process, socket: UnixStream::from_std(ours)? })
}

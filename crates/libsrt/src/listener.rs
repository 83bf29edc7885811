//! The listener and its one thread.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::ffi::opt;
use crate::hook::Hook;
use crate::socket::{Error, Poll, Socket, Stats, start_library};
use crate::{CloseReason, Gate, Sink};

/// Connections that libsrt completes before they are accepted here; the thread accepts at once.
const BACKLOG: i32 = 128;
/// How long a command may lie before the thread looks.
const WAIT: Duration = Duration::from_millis(10);
/// How often connections that the peer has closed are looked at: what they hold falls due in time.
const DRAIN: Duration = Duration::from_millis(5);
/// Packets read from one connection before the next has its turn.
const TURN: usize = 64;
/// More than the payload of any live packet (SRT_LIVE_MAX_PLSIZE, 1456 bytes).
const PACKET: usize = 1500;
/// Payloads share buffers of this size.
const BUFFER: usize = 64 * 1024;

/// What a listener is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The receiver's latency; the larger of both ends counts.
    pub latency: Duration,
    /// A peer of whom nothing at all is heard for so long, keep-alives included, is gone. libsrt
    /// takes longer where the round trip is long.
    pub peer_idle: Duration,
}

/// Listens for callers on one UDP port. Dropping it closes every connection.
pub struct Listener {
    local_addr: SocketAddr,
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    Close(Socket),
    Stop,
}

impl Listener {
    /// Binds the port and begins to let callers in. An IPv6 `address` of `::` takes IPv4 callers too.
    ///
    /// # Errors
    /// The address cannot be used ([`Error::is_address_in_use`] tells one reason apart), or the
    /// machine refuses sockets or threads.
    pub fn bind<G: Gate>(
        address: SocketAddr,
        options: Options,
        gate: Arc<G>,
    ) -> Result<Self, Error> {
        start_library();
        let socket = Socket::new()?;
        let decide = Arc::clone(&gate);
        let hook = Hook::new(move |request| decide.decide(request));
        let prepared = prepare(socket, address, options, &hook);
        let (local_addr, poll) = prepared.inspect_err(|_| socket.close())?;
        let (commands, inbox) = mpsc::channel();
        let worker = Worker {
            listener: socket,
            poll,
            gate,
            hook,
            inbox,
            commands: commands.clone(),
            open: HashMap::new(),
            draining: Vec::new(),
            buffer: BytesMut::new(),
        };
        let thread = thread::Builder::new().name("srt".to_owned()).spawn(move || worker.run());
        let thread = thread.map_err(|error: io::Error| {
            socket.close();
            Error::thread(&error)
        })?;
        Ok(Self { local_addr, commands, thread: Some(thread) })
    }

    /// The address it listens on, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Fails only if the thread has ended already.
        self.commands.send(Command::Stop).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

fn prepare(
    socket: Socket,
    address: SocketAddr,
    options: Options,
    hook: &Hook,
) -> Result<(SocketAddr, Poll), Error> {
    socket.set_int(opt::RCVSYN, 0)?;
    // Else two servers could listen on one port, and the callers of one would reach the other.
    socket.set_int(opt::REUSEADDR, 0)?;
    socket.set_int(opt::TLPKTDROP, 1)?;
    socket.set_millis(opt::RCVLATENCY, options.latency)?;
    socket.set_millis(opt::PEERIDLETIMEO, options.peer_idle)?;
    if address.is_ipv6() {
        socket.set_int(opt::IPV6ONLY, i32::from(!address.ip().is_unspecified()))?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG, hook)?;
    let poll = Poll::new()?;
    poll.add(socket)?;
    Ok((socket.local_addr()?, poll))
}

/// A caller that is connected: a handle for any thread, good also after the end.
#[derive(Clone, Debug)]
pub struct Connection {
    socket: Socket,
    peer: SocketAddr,
    stream_id: Vec<u8>,
    commands: mpsc::Sender<Command>,
}

impl Connection {
    /// Where it calls from.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Its SRTO_STREAMID.
    #[must_use]
    pub fn stream_id(&self) -> &[u8] {
        &self.stream_id
    }

    /// Its statistics; `None` once it is gone.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.socket.stats().ok()
    }

    /// Whether the peer is still there, as far as is known. `false` as soon as it has closed, while
    /// what it sent before is still being delivered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.socket.is_connected()
    }

    /// Closes it; what has not been delivered yet is lost.
    pub fn close(&self) {
        // Fails only if the listener is gone, and every connection with it.
        self.commands.send(Command::Close(self.socket)).ok();
    }
}

/// What the thread owns.
struct Worker<G: Gate> {
    listener: Socket,
    poll: Poll,
    gate: Arc<G>,
    hook: Hook,
    inbox: mpsc::Receiver<Command>,
    commands: mpsc::Sender<Command>,
    open: HashMap<Socket, G::Sink>,
    draining: Vec<Draining<G::Sink>>,
    buffer: BytesMut,
}

/// A connection that the peer has closed, with packets in its buffer that are not due yet.
struct Draining<S> {
    socket: Socket,
    sink: S,
    deadline: Instant,
}

/// What became of reading.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Read {
    /// There may be more at once.
    More,
    /// Nothing for now.
    Empty,
    /// The connection is broken, and nothing of what it holds is due.
    Broken,
}

impl<G: Gate> Worker<G> {
    fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Close(socket) => self.close(socket),
                    Command::Stop => return self.stop(),
                }
            }
            let timeout = if self.draining.is_empty() { WAIT } else { DRAIN };
            if self.poll.wait(&mut ready, self.open.len() + 1, timeout).is_err() {
                thread::sleep(timeout);
            }
            for &socket in &ready {
                if socket == self.listener { self.accept() } else { self.receive(socket) }
            }
            self.drain();
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, peer)) = self.listener.accept() {
            let Some(connection) = self.connection(socket, peer) else {
                socket.close();
                continue;
            };
            match self.gate.accept(connection) {
                Some(sink) => drop(self.open.insert(socket, sink)),
                None => self.forget(socket),
            }
        }
    }

    fn connection(&self, socket: Socket, peer: Option<SocketAddr>) -> Option<Connection> {
        let mut stream_id = vec![0; 512];
        let len = socket.bytes(opt::STREAMID, &mut stream_id).ok()?;
        stream_id.truncate(len);
        socket.set_int(opt::RCVSYN, 0).ok()?;
        self.poll.add(socket).ok()?;
        Some(Connection { socket, peer: peer?, stream_id, commands: self.commands.clone() })
    }

    fn receive(&mut self, socket: Socket) {
        let Some(sink) = self.open.get_mut(&socket) else {
            return self.forget(socket);
        };
        if read(socket, sink, &mut self.buffer) != Read::Broken {
            return;
        }
        self.poll.remove(socket);
        let latency = socket.millis(opt::RCVLATENCY).unwrap_or_default();
        if let Some(sink) = self.open.remove(&socket) {
            let deadline = Instant::now() + latency + Duration::from_millis(100);
            self.draining.push(Draining { socket, sink, deadline });
        }
    }

    /// Hands on what has fallen due on connections that the peer has closed.
    fn drain(&mut self) {
        let draining = self.draining.extract_if(.., |Draining { socket, sink, deadline }| {
            while read(*socket, sink, &mut self.buffer) == Read::More {}
            let waiting = socket.int(opt::RCVDATA).unwrap_or(0);
            waiting == 0 || Instant::now() > *deadline
        });
        for ended in draining {
            ended.socket.close();
            ended.sink.closed(CloseReason::PeerGone);
        }
    }

    fn close(&mut self, socket: Socket) {
        let draining = self.draining.iter().position(|draining| draining.socket == socket);
        let sink = self
            .open
            .remove(&socket)
            .or_else(|| draining.map(|index| self.draining.swap_remove(index).sink));
        if let Some(sink) = sink {
            self.forget(socket);
            sink.closed(CloseReason::Requested);
        }
    }

    fn forget(&self, socket: Socket) {
        self.poll.remove(socket);
        socket.close();
    }

    fn stop(mut self) {
        drop(self.hook);
        self.poll.remove(self.listener);
        self.listener.close();
        let draining = self.draining.into_iter().map(|draining| (draining.socket, draining.sink));
        for (socket, sink) in self.open.drain().chain(draining) {
            socket.close();
            sink.closed(CloseReason::ListenerStopped);
        }
    }
}

/// Reads what is there, up to one turn.
fn read(socket: Socket, sink: &mut impl Sink, buffer: &mut BytesMut) -> Read {
    for _ in 0..TURN {
        if buffer.len() < PACKET {
            *buffer = BytesMut::zeroed(BUFFER);
        }
        match socket.receive(&mut buffer[..PACKET]) {
            Ok(0) => return Read::Broken,
            Ok(len) => sink.data(buffer.split_to(len).freeze()),
            Err(error) if error.would_block() => return Read::Empty,
            Err(_) => return Read::Broken,
        }
    }
    Read::More
}

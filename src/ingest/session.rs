//! One publisher: payload in, events of its source out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use nowcast_libsrt::{CloseReason, Connection, Sink};
use nowcast_mpegts::{Demuxer, Event};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tracing::info;

use super::gate::Live;
use crate::config::Config;
use crate::flow::{IngestHealth, Publisher, SOURCE_QUEUE, StreamName};

/// SRT packets between the SRT thread and a session's task: 0.4 s at 50 Mbit/s. Full: packets are
/// dropped and counted.
const PACKET_QUEUE: usize = 2048;
/// How long a publisher may take to begin, where `idle` is shorter: an encoder connects first and then
/// fills its lookahead (ffmpeg with x264 as it comes: 2.1 s).
const FIRST_PAYLOAD: Duration = Duration::from_secs(10);
/// A payload without MPEG-TS in its first bytes is something else.
const PROBE: usize = 64 * 1024;
/// Length of a TS packet.
const TS_PACKET: usize = 188;
/// Sync bytes in their places that make bytes MPEG-TS.
const SYNCS: usize = 5;

/// What the SRT thread writes down of a session, for the gate and for the session's task.
pub(super) struct Activity {
    start: Instant,
    /// Milliseconds from `start` to the last payload, at least 1; 0 before the first.
    last: AtomicU64,
    /// Packets that found the queue full.
    dropped: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// When it will have been silent for too long.
    fn deadline(&self, idle: Duration) -> Instant {
        let begun = self.last.load(Ordering::Relaxed) > 0;
        self.last() + if begun { idle } else { idle.max(FIRST_PAYLOAD) }
    }

    /// How long no payload has come; at the start, how long the session exists.
    pub(super) fn silent_for(&self) -> Duration {
        self.last().elapsed()
    }
}

/// One SRT packet's payload and when it was delivered.
struct Packet {
    payload: Bytes,
    at: Instant,
}

/// The SRT thread's end of a session.
pub(super) struct Feed {
    packets: mpsc::Sender<Packet>,
    activity: Arc<Activity>,
    closed: oneshot::Sender<CloseReason>,
}

impl Sink for Feed {
    fn data(&mut self, payload: Bytes) {
        let at = Instant::now();
        let millis = u64::try_from((at - self.activity.start).as_millis()).unwrap_or(u64::MAX);
        self.activity.last.store(millis.max(1), Ordering::Relaxed);
        if let Err(TrySendError::Full(_)) = self.packets.try_send(Packet { payload, at }) {
            self.activity.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn closed(self, reason: CloseReason) {
        // Nobody listens if the session ended by itself.
        self.closed.send(reason).ok();
    }
}

/// A publisher that has been let in, before its task runs.
pub(super) struct Arrival {
    stream: StreamName,
    connection: Connection,
    packets: mpsc::Receiver<Packet>,
    closed: oneshot::Receiver<CloseReason>,
    activity: Arc<Activity>,
    config: Arc<ArcSwap<Config>>,
    live: Arc<Live>,
    predecessor: Option<oneshot::Receiver<()>>,
    /// Dropped when all is over.
    ending: oneshot::Sender<()>,
}

impl Arrival {
    pub(super) fn new(
        stream: StreamName,
        connection: Connection,
        config: Arc<ArcSwap<Config>>,
        live: Arc<Live>,
        ending: oneshot::Sender<()>,
    ) -> (Feed, Self) {
        let (sender, packets) = mpsc::channel(PACKET_QUEUE);
        let (closing, closed) = oneshot::channel();
        let activity = Arc::new(Activity::new());
        let feed = Feed { packets: sender, activity: Arc::clone(&activity), closed: closing };
        let arrival = Self {
            stream,
            connection,
            packets,
            closed,
            activity,
            config,
            live,
            predecessor: None,
            ending,
        };
        (feed, arrival)
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Begins only when the session it replaces has ended.
    pub(super) fn wait_for(&mut self, predecessor: oneshot::Receiver<()>) {
        self.predecessor = Some(predecessor);
    }

    /// Hands the publisher on, and runs its session to the end.
    pub(super) async fn run(mut self, on_publisher: impl FnOnce(Publisher) + Send) {
        if let Some(predecessor) = self.predecessor.take() {
            // Resolves by being dropped.
            predecessor.await.ok();
        }
        let (peer, stream) = (self.connection.peer(), self.stream.clone());
        info!(%peer, %stream, "publisher connected");
        let (events, found) = mpsc::channel(SOURCE_QUEUE);
        let (health, reported) = watch::channel(IngestHealth::default());
        let (kick, kicked) = oneshot::channel();
        on_publisher(Publisher {
            stream: stream.clone(),
            peer,
            events: found,
            health: reported,
            kick,
        });
        let mut session = Session {
            connection: &self.connection,
            activity: &self.activity,
            demuxer: Demuxer::new(),
            probe: Some(Vec::new()),
            events,
            health,
            bytes: 0,
            dropped_events: 0,
            reported: (Instant::now(), 0),
        };
        let limit = self.config.load().srt.idle;
        let end = session.pump(&mut self.packets, kicked, limit).await;
        let end = session.finish(end);
        self.connection.close();
        self.live.release(&stream, &self.activity);
        drop(self.ending);
        let why = match end {
            End::Connection => match self.closed.await {
                Ok(CloseReason::Requested) => "another has replaced it",
                Ok(CloseReason::ListenerStopped) => "the server is stopping",
                _ => "it closed the connection, or its network failed",
            },
            End::Kicked => "it was closed on this side",
            End::Idle => {
                "it sent nothing for longer than [srt] idle; its encoder or network stands still"
            }
            End::NotTransportStream => NOT_TRANSPORT_STREAM,
        };
        info!(%peer, %stream, "publisher gone: {why}");
    }
}

const NOT_TRANSPORT_STREAM: &str =
    "what it sends is no MPEG-TS; set the publisher's format to MPEG-TS (ffmpeg: -f mpegts)";

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// The SRT connection did.
    Connection,
    /// The stream's task, or the operator, wants no more of it.
    Kicked,
    /// Nothing came for too long.
    Idle,
    /// What comes is something else.
    NotTransportStream,
}

struct Session<'a> {
    connection: &'a Connection,
    activity: &'a Activity,
    demuxer: Demuxer,
    /// The first bytes, until they are known to be MPEG-TS.
    probe: Option<Vec<u8>>,
    events: mpsc::Sender<Event>,
    health: watch::Sender<IngestHealth>,
    bytes: u64,
    dropped_events: u64,
    /// When health was told last, and the bytes then.
    reported: (Instant, u64),
}

impl Session<'_> {
    async fn pump(
        &mut self,
        packets: &mut mpsc::Receiver<Packet>,
        mut kicked: oneshot::Receiver<()>,
        limit: Duration,
    ) -> End {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut idle = std::pin::pin!(sleep_until((self.activity.last() + limit).into()));
        loop {
            tokio::select! {
                packet = packets.recv() => match packet {
                    Some(packet) => if let Err(end) = self.take(&packet) {
                        return end;
                    },
                    None => return End::Connection,
                },
                _ = &mut kicked => return End::Kicked,
                () = &mut idle => {
                    let (now, deadline) = (Instant::now(), self.activity.deadline(limit));
                    if now >= deadline {
                        return End::Idle;
                    }
                    // Looked at again within `limit`, in case it begins and stops before then.
                    idle.as_mut().reset(deadline.min(now + limit).into());
                }
                _ = second.tick() => self.report(),
            }
        }
    }

    fn take(&mut self, packet: &Packet) -> Result<(), End> {
        self.bytes += packet.payload.len() as u64;
        if let Some(probe) = &mut self.probe {
            probe.extend_from_slice(&packet.payload);
            if is_transport_stream(probe) {
                self.probe = None;
            } else if probe.len() > PROBE {
                return Err(End::NotTransportStream);
            }
        }
        self.demuxer.push(&packet.payload, packet.at - self.activity.start);
        self.hand_on()
    }

    fn hand_on(&mut self) -> Result<(), End> {
        while let Some(event) = self.demuxer.poll_event() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => self.dropped_events += 1,
                Err(TrySendError::Closed(_)) => return Err(End::Kicked),
            }
        }
        Ok(())
    }

    /// Hands on what the demultiplexer still holds and the last figures; the events end with it.
    fn finish(mut self, end: End) -> End {
        self.demuxer.finish();
        // The session has ended, whoever still listens.
        self.hand_on().ok();
        if end == End::NotTransportStream {
            self.events.try_send(Event::Unsupported(NOT_TRANSPORT_STREAM.to_owned())).ok();
        }
        self.report();
        end
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bits a second, rounded"
    )]
    fn report(&mut self) {
        let now = Instant::now();
        let (then, bytes) = std::mem::replace(&mut self.reported, (now, self.bytes));
        let elapsed = (now - then).as_secs_f64().max(0.001);
        let bitrate = ((self.bytes - bytes) * 8) as f64 / elapsed;
        let source = self.demuxer.health();
        let link = self.connection.stats();
        self.health.send_modify(|health| {
            health.bytes = self.bytes;
            health.bitrate = bitrate.round() as u64;
            health.dropped_events =
                self.dropped_events + self.activity.dropped.load(Ordering::Relaxed);
            health.continuity_errors = source.continuity_errors;
            health.damaged_packets = source.damaged_packets;
            health.drift_ppm = source.drift_ppm;
            // Once the connection is gone, its last figures stay.
            let Some(link) = link else { return };
            health.rtt_ms = link.rtt_ms;
            health.latency_ms = u32::try_from(link.latency.as_millis()).unwrap_or(u32::MAX);
            health.packets = link.packets;
            health.packets_lost = link.packets_lost;
            health.packets_retransmitted = link.packets_retransmitted;
            health.packets_dropped = link.packets_dropped;
            health.encryption_bits = link.key_bits;
        });
    }
}

/// Whether sync bytes stand in their places somewhere in `bytes` (ISO 13818-1 §2.4.3.2).
fn is_transport_stream(bytes: &[u8]) -> bool {
    bytes
        .windows((SYNCS - 1) * TS_PACKET + 1)
        .any(|window| window.iter().step_by(TS_PACKET).all(|byte| *byte == 0x47))
}

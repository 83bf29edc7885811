//! A bad network between the caller and the listener: a UDP proxy that loses, delays and reorders.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// What the network does to datagrams, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Datagrams lost, in percent.
    pub loss: f64,
    /// The delay every datagram has.
    pub delay: Duration,
    /// What is added at random, up to this; datagrams overtake each other by it.
    pub jitter: Duration,
}

impl Impairment {
    /// A perfect network.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A running proxy; it ends when dropped.
pub(super) struct BadNetwork {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl BadNetwork {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Datagrams under way at a time; beyond that they are lost, as on any router.
const IN_FLIGHT: usize = 4096;

pub(super) async fn start(target: SocketAddr, impairment: Impairment) -> Result<BadNetwork> {
    let near: Arc<_> =
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the proxy's socket")?.into();
    let any: SocketAddr = if target.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let far: Arc<_> = UdpSocket::bind(any).await.context("the proxy's socket")?.into();
    far.connect(target).await.context("the proxy's way out")?;
    let (caller, called) = tokio::sync::watch::channel(None);
    let mut tasks = JoinSet::new();
    let address = near.local_addr()?;
    {
        let (near, far) = (Arc::clone(&near), Arc::clone(&far));
        tasks.spawn(async move {
            let mut packets = JoinSet::new();
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = near.recv_from(&mut buffer).await {
                caller.send_replace(Some(from));
                pass(&mut packets, &buffer[..length], impairment, Arc::clone(&far), None);
            }
        });
    }
    tasks.spawn(async move {
        let mut packets = JoinSet::new();
        let mut buffer = [0; 2048];
        loop {
            // An ICMP refusal shows as an error here; the caller finds out by itself.
            let Ok(length) = far.recv(&mut buffer).await else { continue };
            let to = *called.borrow();
            pass(&mut packets, &buffer[..length], impairment, Arc::clone(&near), to);
        }
    });
    Ok(BadNetwork { address, _tasks: tasks })
}

fn pass(
    packets: &mut JoinSet<()>,
    datagram: &[u8],
    impairment: Impairment,
    socket: Arc<UdpSocket>,
    to: Option<SocketAddr>,
) {
    while packets.try_join_next().is_some() {}
    if packets.len() >= IN_FLIGHT || random() * 100.0 < impairment.loss {
        return;
    }
    let wait = impairment.delay + impairment.jitter.mul_f64(random());
    let datagram = datagram.to_vec();
    packets.spawn(async move {
        tokio::time::sleep(wait).await;
        let sent = match to {
            Some(to) => socket.send_to(&datagram, to).await,
            None => socket.send(&datagram).await,
        };
        // A datagram that cannot be sent is one more that is lost.
        sent.ok();
    });
}

/// A random number in 0..1.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

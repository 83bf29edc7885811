//! The publishing side: a caller over SRT, for `nowcast publish`, the demo and tests.
//!
//! It calls with srt-tokio, another implementation than the listener's libsrt, so that the two keep
//! each other honest (docs/adr/0001-libsrt-listener.md).

mod bad_network;
mod file;
mod target;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::SinkExt;
use srt_tokio::SrtSocket;
use tokio::sync::mpsc;

pub use bad_network::Impairment;
pub use target::Target;

use crate::picture::{self, PictureOptions};

/// What is published.
#[derive(Clone, Debug)]
pub enum Source {
    /// An MPEG-TS file at the pace of its own clock, which runs so many parts per million too fast.
    File {
        /// The file.
        path: PathBuf,
        /// Begin again at the end.
        repeat: bool,
        /// Clock error.
        drift_ppm: f64,
    },
    /// A picture with a burnt-in clock, and a tone.
    Picture(PictureOptions),
}

/// Chunks between the source and the socket: 1316 bytes each, about half a second at 10 Mbit/s.
const CHUNKS: usize = 512;
/// A chunk carries seven TS packets, the most that fits a datagram everywhere.
const CHUNK: usize = 7 * 188;

/// Publishes until the source ends; `flap` hangs up that often and calls again a second later.
///
/// # Errors
/// The call is refused, the connection breaks, or the source cannot be read.
pub async fn publish(
    target: &Target,
    source: Source,
    impairment: Impairment,
    flap: Option<Duration>,
) -> Result<()> {
    let mut chunks = start(source)?;
    loop {
        let proxy = match impairment.is_none() {
            true => None,
            false => Some(bad_network::start(target.address, impairment).await?),
        };
        let address = proxy.as_ref().map_or(target.address, bad_network::BadNetwork::address);
        let mut socket = call(target, address).await?;
        let hang_up = async {
            match flap {
                Some(every) => tokio::time::sleep(every).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            sent = send(&mut socket, &mut chunks) => {
                sent?;
                return socket.close().await.context("the connection did not close in order");
            }
            () = hang_up => drop(socket),
        }
        let pause = tokio::time::sleep(Duration::from_secs(1));
        tokio::pin!(pause);
        // The source is live: what it makes meanwhile is lost.
        while tokio::select! { chunk = chunks.recv() => chunk.is_some(), () = &mut pause => false }
        {
        }
    }
}

async fn call(target: &Target, address: std::net::SocketAddr) -> Result<SrtSocket> {
    let mut builder = SrtSocket::builder().set(|options| {
        options.connect.timeout = Duration::from_secs(3);
        options.sender.buffer_size = srt_tokio::options::ByteCount(8 << 20);
    });
    if let Some(latency) = target.latency {
        builder = builder.latency(latency);
    }
    if let Some(passphrase) = &target.passphrase {
        builder = builder.encryption(target.key_bytes, passphrase.clone());
    }
    builder.call(address, target.streamid.as_deref()).await.with_context(|| {
        format!(
            "{address} refuses the call or does not answer: check host, port, stream name, key and passphrase"
        )
    })
}

async fn send(socket: &mut SrtSocket, chunks: &mut mpsc::Receiver<Bytes>) -> Result<()> {
    while let Some(chunk) = chunks.recv().await {
        socket.send((Instant::now(), chunk)).await.context("the connection broke")?;
    }
    Ok(())
}

/// Starts a source: chunks of whole TS packets, at the pace of their clock.
///
/// # Errors
/// The file cannot be read, or an element of the picture is missing.
pub fn start(source: Source) -> Result<mpsc::Receiver<Bytes>> {
    match source {
        Source::Picture(options) => Ok(picture::start(options)?),
        Source::File { path, repeat, drift_ppm } => {
            if drift_ppm.abs() > 10_000.0 {
                bail!("a drift of {drift_ppm} ppm is beyond any clock; use at most 10000");
            }
            file::start(path, repeat, drift_ppm)
        }
    }
}

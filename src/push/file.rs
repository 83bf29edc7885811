//! An MPEG-TS file at the pace of its own clock.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{CHUNK, CHUNKS};

/// A step of the clock that long is a cut in the file, not a pause.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// Reads `path` on a thread of its own; ends with the file, or when nobody takes the chunks.
pub(super) fn start(path: PathBuf, repeat: bool, drift_ppm: f64) -> Result<mpsc::Receiver<Bytes>> {
    let open =
        move || File::open(&path).with_context(|| format!("{} cannot be read", path.display()));
    open()?;
    let (chunks, receiver) = mpsc::channel(CHUNKS);
    let speed = 1.0 + drift_ppm / 1e6;
    std::thread::Builder::new().name("file".to_owned()).spawn(move || {
        while let Ok(file) = open() {
            if play(file, speed, &chunks).is_none() || !repeat {
                break;
            }
        }
    })?;
    Ok(receiver)
}

/// Plays the file once; `None` when nobody listens any more.
fn play(file: File, speed: f64, chunks: &mpsc::Sender<Bytes>) -> Option<()> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut clock: Option<(u64, Instant)> = None;
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = fill(&mut reader, &mut chunk);
        chunk.truncate(length - length % 188);
        if chunk.is_empty() {
            return Some(());
        }
        for packet in chunk.chunks_exact(188) {
            let Some(pcr) = pcr(packet) else { continue };
            let due = match clock {
                None => Instant::now(),
                Some((last, at)) => {
                    let step = Duration::from_micros(pcr.wrapping_sub(last) / 27);
                    at + if step < LONGEST_STEP { step.div_f64(speed) } else { Duration::ZERO }
                }
            };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            clock = Some((pcr, due));
        }
        chunks.blocking_send(chunk.into()).ok()?;
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    filled
}

/// The program clock reference of a TS packet, in ticks of 27 MHz (ISO 13818-1 §2.4.3.5).
fn pcr(packet: &[u8]) -> Option<u64> {
    let field = packet.get(4..12).filter(|_| packet[0] == 0x47 && packet[3] & 0x20 != 0)?;
    if field[0] < 7 || field[1] & 0x10 == 0 {
        return None;
    }
    let base = field[2..6].iter().fold(0, |base, &byte| base << 8 | u64::from(byte)) << 1
        | u64::from(field[6] >> 7);
    Some(base * 300 + (u64::from(field[6] & 1) << 8 | u64::from(field[7])))
}

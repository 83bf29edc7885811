//! What demultiplexing costs: `cargo run --release -p nowcast-mpegts --example cost < FILE.ts`
//!
//! Reads a transport stream again and again as SRT would bring it, rewrites its pictures for CMAF,
//! and prints the share of a core per 4 Mbit/s.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement for people")]

use std::hint::black_box;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use nowcast_media::nal;
use nowcast_mpegts::{Demuxer, Event};

/// The payload of an SRT packet.
const CHUNK: usize = 1316;
const ROUNDS: u32 = 20;

fn main() -> io::Result<()> {
    let mut stream = Vec::new();
    io::stdin().read_to_end(&mut stream)?;
    for rewrite in [false, true] {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let mut demuxer = Demuxer::new();
            let mut codec = None;
            for chunk in stream.chunks(CHUNK) {
                demuxer.push(chunk, Duration::ZERO);
                while let Some(event) = demuxer.poll_event() {
                    match (&event, codec) {
                        (Event::Tracks { video, .. }, _) => codec = *video,
                        (Event::Video(unit), Some(codec)) if rewrite => {
                            black_box(nal::to_length_prefixed(codec, &unit.data));
                        }
                        _ => drop(black_box(event)),
                    }
                }
            }
        }
        let megabits = stream.len() as f64 * f64::from(ROUNDS) * 8.0 / 1e6;
        let share = start.elapsed().as_secs_f64() / megabits * 4.0 * 100.0;
        let what = if rewrite { "demultiplexing and length prefixes" } else { "demultiplexing" };
        println!("{what}: {share:.4} % of a core per 4 Mbit/s");
    }
    Ok(())
}

//! What the operating system knows of this process.

use std::fs;

use crate::metrics::{Exposition, Kind};

/// Ticks of `/proc/PID/stat`: 100 a second on every architecture of Linux (`USER_HZ`).
const TICK_SECONDS: f64 = 0.01;

pub(super) fn expose(out: &mut Exposition) {
    if let Some(bytes) = resident_bytes() {
        out.single("process_resident_memory_bytes", Kind::Gauge, "Memory in RAM.", bytes);
    }
    if let Some(seconds) = cpu_seconds() {
        let help = "Processor time, without workers.";
        out.single("process_cpu_seconds_total", Kind::Counter, help, seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.single("process_open_fds", Kind::Gauge, "Open descriptors.", open.count());
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold anything; utime and stime are the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) * TICK_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_used_time() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!((0.0..1e6).contains(&cpu_seconds().unwrap()));
    }
}

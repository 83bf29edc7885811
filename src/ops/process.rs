//! What the operating system knows of this process.

use std::fs;

use crate::metrics::{Exposition, Kind};
use crate::procfs;

pub(super) fn expose(out: &mut Exposition) {
    if let Some(bytes) = procfs::resident_bytes() {
        out.single("process_resident_memory_bytes", Kind::Gauge, "Memory in RAM.", bytes);
    }
    if let Some(seconds) = procfs::cpu_seconds(std::process::id()) {
        let help = "Processor time, without workers.";
        out.single("process_cpu_seconds_total", Kind::Counter, help, seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.single("process_open_fds", Kind::Gauge, "Open descriptors.", open.count());
    }
}

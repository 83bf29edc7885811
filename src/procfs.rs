//! What the kernel tells of processes and of the machine (proc(5)).

use std::fs;

/// Ticks of `/proc/PID/stat`: 100 a second on every architecture of Linux (`USER_HZ`).
const TICK_SECONDS: f64 = 0.01;

/// Processor time that a process has used, in seconds; `None` where there is no such process.
#[must_use]
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; utime and stime are the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) * TICK_SECONDS)
}

/// Memory of this process in RAM, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Memory that the machine has, or that this process's control group may use where that is less.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let machine = kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let limit = fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.max")).ok();
    // Without a limit it says "max".
    let limit = limit.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    Some(machine.min(limit))
}

fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_used_time() {
        let resident = resident_bytes().unwrap();
        assert!(resident > 100_000);
        assert!(memory_bytes().unwrap() > resident);
        assert!((0.0..1e6).contains(&cpu_seconds(std::process::id()).unwrap()));
        assert_eq!(cpu_seconds(u32::MAX), None);
    }
}

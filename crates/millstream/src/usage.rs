//! What this process has used of the machine, for `--stats`, and what there is of it.

use rustix::time::{ClockId, clock_gettime};

/// Processor time of all threads so far, in seconds.
#[expect(clippy::cast_precision_loss, reason = "seconds of a process are far below 2^53")]
pub(crate) fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// The most memory that was resident at once, in bytes; 0 where the system does not tell.
pub(crate) fn rss_max_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    peak_of(&status).unwrap_or(0)
}

/// The memory of the machine or of this process's control group, whichever is less; where the system does not tell, what
/// every machine has.
pub(crate) fn memory_bytes() -> u64 {
    const UNKNOWN: u64 = 2 << 30;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = memory_of(&read("/proc/meminfo"));
    let of_group = |path: &str| read(path).trim().parse::<u64>().ok();
    // Version 2 of control groups, as a container sees its own, and version 1; without a limit they say `max` or a
    // number beyond all machines.
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].map(of_group);
    groups.into_iter().flatten().chain(machine).min().unwrap_or(UNKNOWN)
}

fn memory_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_status_of_the_process() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t   12 kB\nVmRSS:\t 8 kB\n"), Some(12 * 1024));
        assert_eq!(peak_of("Name:\tx\n"), None);
        assert_eq!(memory_of("MemTotal:       24636 kB\nMemFree: 1 kB\n"), Some(24636 * 1024));
        assert!(memory_bytes() > 0);
        assert!(rss_max_bytes() > 0 && cpu_seconds() > 0.0);
    }
}

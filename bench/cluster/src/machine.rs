//! What is read off the machine: CPU time and memory of a process, bytes on the loopback device.

use crate::Failed;
use std::fs;
use std::time::Duration;

/// CPU time that a process has used so far, in steps of 10 ms.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration, Failed> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may hold blanks.
    let after = stat.rsplit_once(')').ok_or("no name in stat")?.1;
    let ticks = |n: usize| -> Result<u64, Failed> {
        Ok(after
            .split_whitespace()
            .nth(n)
            .ok_or("stat is short")?
            .parse()?)
    };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// Resident memory of a process that is no file's, in KiB.
pub(crate) fn anonymous_kib(pid: u32) -> Result<u64, Failed> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// How many bytes the loopback device has carried.
pub(crate) fn loopback_bytes() -> Result<u64, Failed> {
    let devices = fs::read_to_string("/proc/net/dev")?;
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))
        .ok_or("no loopback device")?;
    Ok(line.split_whitespace().next().ok_or("no count")?.parse()?)
}

/// The middle one of an odd number of values, the upper middle one of an even number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

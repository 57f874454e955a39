//! What a cell is, and how processor time and memory are told.

use std::time::Duration;

/// How long one cell is measured.
pub const CELL: Duration = Duration::from_millis(400);
/// Of so many repetitions the median counts.
pub const REPETITIONS: usize = 5;
/// Among how many streams events are spread.
pub const STREAMS: u64 = 1000;
/// Bytes of an event.
pub const PAYLOAD: usize = 200;

/// What one cell gave.
pub struct Cell {
    /// Events per second.
    pub rate: f64,
    /// Of one group, in microseconds, sorted.
    pub latencies: Vec<f64>,
    /// Bytes of files per event when it was over; NaN where it was not looked at.
    pub bytes_per_event: f64,
}

impl Cell {
    /// The median of the latencies.
    #[must_use]
    pub fn p50(&self) -> f64 {
        self.latencies
            .get(self.latencies.len() / 2)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// The one in the middle; NaN of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long this thread has had a processor, in seconds: what tells on a machine that others use too. NaN where Linux does not
/// say.
#[must_use]
pub fn thread_seconds() -> f64 {
    seconds_of("/proc/thread-self/schedstat")
}

/// The same of all threads of this process that are still there.
#[must_use]
pub fn process_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    threads
        .flatten()
        .map(|thread| thread.path().join("schedstat"))
        .filter_map(|path| path.to_str().map(seconds_of))
        .filter(|seconds| seconds.is_finite())
        .sum()
}

fn seconds_of(path: &str) -> f64 {
    let told = std::fs::read_to_string(path).unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.map_or(f64::NAN, |n| n / 1e9)
}

/// Resident memory in bytes, where Linux tells.
#[must_use]
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0)
}

/// Bytes of all files below a directory.
#[must_use]
pub fn size(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

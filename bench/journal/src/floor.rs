//! The floor: a file, one write and one fdatasync per group.

use crate::measure::{Cell, PAYLOAD, size};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a frame needs at least: a length and a sum, and the numbers of stream and event.
const OVERHEAD: usize = 20;

/// Groups of that many events, one write and one fdatasync each, for that long.
#[must_use]
pub fn run(directory: &Path, group: usize, within: Duration) -> Cell {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let mut file = File::create(directory.path().join("floor")).expect("a file");
    let bytes: Vec<u8> = (0..group * (PAYLOAD + OVERHEAD))
        .map(|_| fastrand::u8(..))
        .collect();
    let mut latencies = Vec::new();
    let begun = Instant::now();
    let mut events = 0;
    while begun.elapsed() < within {
        let at = Instant::now();
        file.write_all(&bytes).expect("written");
        file.sync_data().expect("synced");
        latencies.push(at.elapsed().as_secs_f64() * 1e6);
        events += group;
    }
    latencies.sort_by(f64::total_cmp);
    Cell {
        rate: events as f64 / begun.elapsed().as_secs_f64(),
        latencies,
        bytes_per_event: size(directory.path()) as f64 / events.max(1) as f64,
    }
}

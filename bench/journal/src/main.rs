//! How fast the disk journal is beside its floor: the same bytes appended to a file with one fdatasync per group, on the same
//! disk, cell by cell in turn.
//!
//! `cargo run --release -p swarm-bench-journal -- [DIR] [PART]`; DIR is on the disk that is meant, by default the working directory, PART
//! one of `disk`, `tmpfs`, `replay`, `durable`, `many`, by default all.

mod durable;
mod floor;
mod journal;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one cell is measured.
const CELL: Duration = Duration::from_millis(400);
const REPETITIONS: usize = 5;
pub(crate) const STREAMS: u64 = 1000;
pub(crate) const PAYLOAD: usize = 200;

/// What one cell gave.
pub(crate) struct Cell {
    /// Events per second.
    pub(crate) rate: f64,
    /// Of one group, in microseconds, sorted.
    pub(crate) latencies: Vec<f64>,
}

impl Cell {
    fn p50(&self) -> f64 {
        self.latencies
            .get(self.latencies.len() / 2)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let directory = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let part = std::env::args().nth(2);
    let is_wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_wanted("disk") {
        appends("disk", &directory, &[1, 16, 256]);
    }
    let memory = Path::new("/dev/shm");
    if is_wanted("tmpfs") && memory.is_dir() {
        appends("tmpfs (no sync)", memory, &[256, 4096]);
    }
    if is_wanted("replay") {
        journal::replay_and_open(&directory, 1_000_000);
    }
    if is_wanted("durable") {
        durable::turns(&directory);
        durable::wake(&directory);
    }
    if is_wanted("many") {
        durable::many(&directory, 1_000_000);
    }
}

fn appends(place: &str, directory: &Path, groups: &[usize]) {
    println!(
        "\n## Appends, {place}: {PAYLOAD} bytes, {STREAMS} streams, medians of {REPETITIONS}\n"
    );
    println!(
        "| in flight | floor events/s | journal events/s | ratio | floor p50 µs | journal p50 µs | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for group in groups {
        let (mut floors, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            floors.push(floor::run(directory, *group, CELL));
            ours.push(journal::run(directory, *group, CELL));
        }
        let rate = |cells: &[Cell]| median(cells.iter().map(|c| c.rate).collect());
        let p50 = |cells: &[Cell]| median(cells.iter().map(Cell::p50).collect());
        let (f, j) = (rate(&floors), rate(&ours));
        let (fp, jp) = (p50(&floors), p50(&ours));
        println!(
            "| {group} | {f:.0} | {j:.0} | {:.2} | {fp:.0} | {jp:.0} | {:.2} |",
            j / f,
            jp / fp
        );
    }
}

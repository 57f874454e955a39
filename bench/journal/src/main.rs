//! Prints the tables. What for and of what: the library beside it.
//!
//! `cargo run --release -p swarm-bench-journal [--features peers] -- [DIR] [PART] [COUNT]`; DIR is on the disk that is meant, by default
//! the working directory; PART one of `disk`, `tmpfs`, `replay`, `durable`, `wake`, `many`, by default all; COUNT how many events `replay`
//! and agents `many` has, by default a million.

use std::path::{Path, PathBuf};
use swarm_bench_journal::measure::{CELL, Cell, PAYLOAD, REPETITIONS, STREAMS, median};
use swarm_bench_journal::{durable, floor, journal};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let part = arguments.next();
    let count = arguments.next().and_then(|count| count.parse::<u32>().ok());
    let count = count.unwrap_or(1_000_000);
    let is_wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_wanted("disk") {
        appends("disk", &directory, &[1, 16, 256]);
    }
    let memory = Path::new("/dev/shm");
    if is_wanted("tmpfs") && memory.is_dir() {
        appends("tmpfs (no sync)", memory, &[256, 4096]);
    }
    if is_wanted("replay") {
        journal::replay_and_open(&directory, u64::from(count));
    }
    if is_wanted("durable") {
        durable::turns(&directory);
    }
    if is_wanted("wake") {
        durable::wake(&directory);
    }
    if is_wanted("many") {
        let _ = durable::many(&directory, count);
    }
}

/// One who is measured: its name, and how one cell of it is run.
type Subject = (&'static str, Box<dyn Fn(&Path, usize) -> Cell>);

fn subjects() -> Vec<Subject> {
    #[cfg_attr(
        not(feature = "peers"),
        expect(unused_mut, reason = "without peers there are these two")
    )]
    let mut all: Vec<Subject> = vec![
        (
            "floor",
            Box::new(|directory, group| floor::run(directory, group, CELL)),
        ),
        (
            "journal",
            Box::new(|directory, group| journal::run(directory, STREAMS, group, CELL)),
        ),
    ];
    #[cfg(feature = "peers")]
    for name in swarm_bench_journal::peers::NAMES {
        let run = move |directory: &Path, group| {
            swarm_bench_journal::peers::run(name, directory, group, CELL)
        };
        all.push((name, Box::new(run)));
    }
    all
}

fn appends(place: &str, directory: &Path, groups: &[usize]) {
    println!(
        "\n## Appends, {place}: {PAYLOAD} bytes, {STREAMS} streams, medians of {REPETITIONS}\n"
    );
    println!(
        "| in flight | who | events/s | of the floor | p50 µs | of the floor's | bytes of files per event |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for group in groups {
        let subjects = subjects();
        let mut cells: Vec<Vec<Cell>> = subjects.iter().map(|_| Vec::new()).collect();
        for _ in 0..REPETITIONS {
            for ((_, run), cells) in subjects.iter().zip(&mut cells) {
                cells.push(run(directory, *group));
            }
        }
        let middle = |cells: &[Cell], of: fn(&Cell) -> f64| median(cells.iter().map(of).collect());
        let floor_rate = middle(&cells[0], |cell| cell.rate);
        let floor_p50 = middle(&cells[0], Cell::p50);
        for ((name, _), cells) in subjects.iter().zip(&cells) {
            let (rate, p50) = (middle(cells, |cell| cell.rate), middle(cells, Cell::p50));
            println!(
                "| {group} | {name} | {rate:.0} | {:.2} | {p50:.0} | {:.2} | {:.0} |",
                rate / floor_rate,
                p50 / floor_p50,
                middle(cells, |cell| cell.bytes_per_event)
            );
        }
    }
}

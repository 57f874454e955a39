//! Bars of size that take too long, or too much disk, for every run: `cargo test --release -p swarm-bench-journal -- --ignored`.
//! Bars of speed are in the tables and not asserted: they say as much about the machine.

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use swarm_actors::journal::{Journal, Seq};
use swarm_bench_journal::measure::{STREAMS, size};
use swarm_bench_journal::{durable, journal};
use swarm_journal::{DiskJournal, Options};

/// What the floor writes for one event of 200 bytes.
const FLOOR_BYTES: f64 = 220.0;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::var_os("SWARM_BENCH_DIR").unwrap_or_else(|| ".".into()))
        .expect("a directory")
}

#[test]
#[ignore = "nightly: takes a minute and two gigabytes of memory"]
fn of_a_million_durable_agents_one_asleep_takes_a_kilobyte_at_most() {
    let many = durable::many(folder().path(), 1_000_000);
    assert!(many.asleep_bytes <= 1024.0, "{many:?}");
}

#[test]
#[ignore = "nightly: writes a hundred megabytes"]
fn after_compaction_the_log_has_at_most_1_6_times_the_bytes_of_the_floor() {
    const EVENTS: u64 = 400_000;
    let folder = folder();
    let journal = DiskJournal::open(folder.path(), Options::default()).expect("it opens");
    journal::fill(&journal, EVENTS);
    // Of each stream two thirds go.
    let up_to = EVENTS / STREAMS * 2 / 3;
    for name in journal::names(STREAMS) {
        journal
            .truncate(&name, Seq(up_to))
            .wait()
            .expect("truncated");
    }
    let done = journal.compact().expect("compacted");
    let lives = (EVENTS - STREAMS * up_to) as f64;
    let bytes = size(&folder.path().join("log")) as f64;
    println!(
        "{:.2} of the floor's bytes after compaction, {done:?}",
        bytes / (lives * FLOOR_BYTES)
    );
    assert!(bytes <= 1.6 * lives * FLOOR_BYTES, "{done:?}");
}

/// How many bytes are free where `directory` is, as `df` says.
fn free_bytes(directory: &Path) -> Option<u64> {
    let told = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(directory)
        .output()
        .ok()?;
    let text = String::from_utf8(told.stdout).ok()?;
    text.lines().nth(1)?.trim().parse().ok()
}

/// How long a journal of so many events takes to open after a kill.
fn open_after_kill(events: u64) -> f64 {
    let folder = folder();
    let journal = DiskJournal::open(folder.path(), Options::default()).expect("it opens");
    journal::fill(&journal, events);
    journal.abandon();
    let begun = Instant::now();
    let journal = DiskJournal::open(folder.path(), Options::default()).expect("it opens");
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{events} events: opened after a kill in {seconds:.2} s, {} frames read, the index was made anew: {:?}",
        journal.opening().frames,
        journal.opening().index_rebuilt
    );
    assert_eq!(journal.last_position().0, events);
    seconds
}

#[test]
#[ignore = "nightly: writes 27 gigabytes"]
fn a_hundred_million_events_open_about_as_fast_as_one_million() {
    let events = std::env::var("SWARM_NIGHTLY_EVENTS").ok();
    let events: u64 = events.and_then(|n| n.parse().ok()).unwrap_or(100_000_000);
    // Log and index, and room to spare.
    let wanted = events * 300;
    let folder = folder();
    if free_bytes(folder.path()).is_none_or(|free| free < wanted) {
        println!("LEFT OUT: {events} events need {wanted} bytes of free disk. NOTHING WAS TESTED.");
        return;
    }
    let small = open_after_kill(1_000_000);
    let large = open_after_kill(events);
    // Twice, and a second for what the disk has to read again that the small one had in memory.
    assert!(large <= 2.0 * small + 1.0, "{small} s, {large} s");
}

//! The journal: one event per append, so many appends in flight.

use crate::measure::{Cell, PAYLOAD, STREAMS, size, thread_seconds as cpu_seconds};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use swarm_actors::journal::{Append, EventData, Journal, Position, Start, StreamName};
use swarm_journal::{DiskJournal, Options};

/// The names of so many streams.
#[must_use]
pub fn names(streams: u64) -> Vec<StreamName> {
    (0..streams)
        .map(|n| StreamName::new(&format!("s{n}")).expect("a name"))
        .collect()
}

fn event() -> EventData {
    EventData {
        type_id: 1,
        version: 1,
        payload: (0..PAYLOAD).map(|_| fastrand::u8(..)).collect(),
        ..EventData::default()
    }
}

/// Single appends to so many streams, so many in flight, for that long.
#[must_use]
pub fn run(directory: &Path, streams: u64, in_flight: usize, within: Duration) -> Cell {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let journal = DiskJournal::open(directory.path(), Options::default()).expect("it opens");
    let names = names(streams);
    let event = event();
    let mut waiting = VecDeque::new();
    let mut latencies = Vec::new();
    let (begun, mut events) = (Instant::now(), 0);
    while begun.elapsed() < within {
        while waiting.len() < in_flight {
            let name = names[fastrand::usize(..names.len())].clone();
            let append = Append::new(name, vec![event.clone()]);
            waiting.push_back((Instant::now(), journal.append(append)));
        }
        // Half of them at a time, so that the writer always has work.
        for _ in 0..in_flight.div_ceil(2) {
            if let Some((at, receipt)) = waiting.pop_front() {
                receipt.wait().expect("written");
                latencies.push(at.elapsed().as_secs_f64() * 1e6);
                events += 1;
            }
        }
    }
    let rate = f64::from(events) / begun.elapsed().as_secs_f64();
    waiting.into_iter().for_each(|(_, receipt)| {
        receipt.wait().expect("written");
    });
    latencies.sort_by(f64::total_cmp);
    drop(journal);
    let bytes_per_event = size(directory.path()) as f64 / f64::from(events.max(1));
    Cell {
        rate,
        latencies,
        bytes_per_event,
    }
}

/// Appends that many events to a journal, one each, round its streams.
pub fn fill(journal: &DiskJournal, events: u64) {
    let (names, event) = (names(STREAMS), event());
    let mut waiting = VecDeque::new();
    for n in 0..events {
        let name = names[(n % STREAMS) as usize].clone();
        waiting.push_back(journal.append(Append::new(name, vec![event.clone()])));
        if waiting.len() == 8192
            && let Some(receipt) = waiting.pop_front()
        {
            receipt.wait().expect("written");
        }
    }
    waiting.into_iter().for_each(|receipt| {
        receipt.wait().expect("written");
    });
}

/// Reads so many events, stream by stream and by position, and opens the journal in all the ways in which it can be.
pub fn replay_and_open(directory: &Path, events: u64) {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let journal = DiskJournal::open(directory.path(), Options::default()).expect("it opens");
    let names = names(STREAMS);
    fill(&journal, events);
    println!("\n## {events} events in {STREAMS} streams\n");
    let (at, cpu) = (Instant::now(), cpu_seconds());
    let mut read = 0;
    for name in &names {
        journal
            .replay(name, Start::AfterBatch(0), &mut |batch| {
                read += batch.events.len();
                ControlFlow::Continue(())
            })
            .expect("a sound stream");
    }
    let streams = (at.elapsed(), cpu_seconds() - cpu);
    let (at, cpu) = (Instant::now(), cpu_seconds());
    let (mut position, mut all) = (Position(0), 0);
    loop {
        let page = journal.read_positions(position, None, 4096).expect("read");
        let Some(last) = page.last() else { break };
        position = last.position;
        all += page.len();
    }
    let positions = (at.elapsed(), cpu_seconds() - cpu);
    journal.abandon();
    let bytes = size(&directory.path().join("log")) as f64 / events as f64;
    let at = Instant::now();
    let journal = DiskJournal::open(directory.path(), Options::default()).expect("it opens");
    let (open, frames) = (at.elapsed(), journal.opening().frames);
    drop(journal);
    let at = Instant::now();
    let journal = DiskJournal::open(directory.path(), Options::default()).expect("it opens");
    let again = at.elapsed();
    drop(journal);
    std::fs::remove_dir_all(directory.path().join("index")).expect("removed");
    let at = Instant::now();
    let journal = DiskJournal::open(directory.path(), Options::default()).expect("it opens");
    let without = at.elapsed();
    drop(journal);
    println!("| what | value |");
    println!("| --- | --- |");
    println!(
        "| replay, stream by stream ({read}) | {:.0} events/s, {:.0} per second of processor |",
        read as f64 / streams.0.as_secs_f64(),
        read as f64 / streams.1
    );
    println!(
        "| replay, by position ({all}) | {:.0} events/s, {:.0} per second of processor |",
        all as f64 / positions.0.as_secs_f64(),
        all as f64 / positions.1
    );
    println!(
        "| opened after a kill ({frames} frames read) | {} ms |",
        open.as_millis()
    );
    println!("| opened after a close | {} ms |", again.as_millis());
    println!("| opened without its index | {} ms |", without.as_millis());
    println!("| bytes of log per event | {bytes:.0} (floor 220) |");
}

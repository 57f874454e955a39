//! Compaction of a journal in use: gives back what is dead, changes nothing that can be read, and loses nothing wherever it is
//! cut off.

mod common;

use common::{DiskFixture, all_files, small};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use swarm_actors::journal::kit::Fixture;
use swarm_actors::journal::{
    Append, Bounds, CommandId, Criteria, EventData, Head, Journal, JournalError, Position,
    Recorded, Seq, Snapshot, SnapshotMeta, StreamName, Tag,
};
use swarm_journal::files::Outage;
use swarm_journal::tools::verify;
use swarm_journal::{Compaction, DiskJournal, Options};

const STREAMS: u64 = 6;

fn name(n: u64) -> StreamName {
    StreamName::new(&format!("s{n}")).expect("a name")
}

fn tag() -> Tag {
    Tag::new("t").expect("a tag")
}

/// Only when it is asked to.
fn by_hand() -> Options {
    Options {
        compaction: Compaction {
            is_on: false,
            ..Compaction::default()
        },
        ..small()
    }
}

fn append(n: u64) -> Append {
    let event = EventData {
        type_id: 1,
        version: 1,
        tags: vec![tag()],
        payload: format!("{n}/{}", "y".repeat((n % 90) as usize)).into_bytes(),
        ..EventData::default()
    };
    Append {
        // Of one stream that is truncated, and of one that is not.
        command: (n % 90 == 3 || n % 90 == 5)
            .then(|| CommandId::new(u64::MAX >> 20, u128::from(n))),
        ..Append::new(name(n % STREAMS), vec![event.clone(), event])
    }
}

fn fill(journal: &dyn Journal, from: u64, to: u64) {
    for n in (from..to).step_by(25) {
        let some = n..to.min(n + 25);
        let receipts: Vec<_> = some.map(|n| journal.append(append(n))).collect();
        receipts.into_iter().for_each(|receipt| {
            receipt.wait().expect("written");
        });
    }
}

fn save(journal: &dyn Journal, stream: u64, seq: u64) {
    let snapshot = Snapshot {
        stream: name(stream),
        meta: SnapshotMeta {
            seq: Seq(seq),
            batch: seq / 2,
            at_ms: seq,
            type_id: 1,
            version: 1,
        },
        note: vec![],
        payload: vec![seq as u8; 700],
    };
    journal.save_snapshot(snapshot).wait().expect("saved");
}

/// A journal of which about two thirds are dead, in every way in which something can be.
fn mostly_dead(journal: &dyn Journal, batches: u64) {
    fill(journal, 0, batches / 2);
    for stream in 0..STREAMS {
        for seq in [2, 4, 6, 8] {
            save(journal, stream, seq);
        }
        let old = Criteria::up_to(Seq(4));
        journal
            .delete_snapshots(&name(stream), old)
            .wait()
            .expect("deleted");
    }
    fill(journal, batches / 2, batches);
    let each = batches / STREAMS * 2;
    for stream in 0..STREAMS - 2 {
        let up_to = Seq(each * (stream + 3) / 6);
        journal
            .truncate(&name(stream), up_to)
            .wait()
            .expect("truncated");
    }
    journal
        .truncate(&name(STREAMS - 2), Seq(u64::MAX))
        .wait()
        .expect("truncated");
}

/// All that can be read, in every way in which it can.
#[derive(PartialEq)]
struct Contents {
    heads: Vec<Head>,
    streams: BTreeMap<StreamName, Vec<Recorded>>,
    positions: Vec<Recorded>,
    tagged: Vec<Recorded>,
    snapshots: Vec<Snapshot>,
}

fn contents(journal: &dyn Journal) -> Contents {
    let heads = journal.heads(None, 1000).expect("heads");
    let (mut streams, mut snapshots) = (BTreeMap::new(), Vec::new());
    for head in &heads {
        let replay = journal.read(&head.stream, Bounds::ALL);
        streams.insert(head.stream.clone(), replay.expect("a sound stream").events);
        for meta in journal.snapshots(&head.stream).expect("snapshots") {
            let snapshot = journal.snapshot(&head.stream, meta.seq);
            snapshots.push(snapshot.expect("a sound snapshot").expect("it is there"));
        }
    }
    // Pages of an odd size, so that they end within batches.
    let pages = |tag: Option<&Tag>| {
        let mut all: Vec<Recorded> = Vec::new();
        loop {
            let after = all.last().map_or(Position(0), |event| event.position);
            let page = journal.read_positions(after, tag, 37).expect("read");
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    };
    Contents {
        positions: pages(None),
        tagged: pages(Some(&tag())),
        heads,
        streams,
        snapshots,
    }
}

impl Contents {
    fn same_as(&self, other: &Self, when: &str) {
        assert!(self.heads == other.heads, "heads {when}");
        for (stream, events) in &self.streams {
            let numbers = |events: &[Recorded]| -> Vec<u64> {
                events.iter().map(|event| event.seq.0).collect()
            };
            assert_eq!(
                numbers(events),
                numbers(&other.streams[stream]),
                "{stream} {when}"
            );
        }
        let positions = |events: &[Recorded]| -> Vec<u64> {
            events.iter().map(|event| event.position.0).collect()
        };
        assert_eq!(
            positions(&self.positions),
            positions(&other.positions),
            "positions {when}"
        );
        assert_eq!(
            positions(&self.tagged),
            positions(&other.tagged),
            "tagged {when}"
        );
        assert!(self == other, "{when}");
    }
}

fn log_bytes(directory: &Path) -> u64 {
    let log = all_files(&directory.join("log"));
    log.iter()
        .map(|file| file.metadata().map_or(0, |found| found.len()))
        .sum()
}

#[test]
fn a_journal_in_use_gives_back_what_is_dead_and_reads_as_before() {
    for has_index in [true, false] {
        let options = Options {
            has_index,
            ..by_hand()
        };
        let directory = tempfile::tempdir().expect("a directory");
        let journal = DiskJournal::open(directory.path(), options.clone()).expect("it opens");
        mostly_dead(&journal, 1200);
        let (before, bytes) = (contents(&journal), log_bytes(directory.path()));
        let done = journal.compact().expect("compacted");
        contents(&journal).same_as(&before, "after that");
        assert!(
            done.bytes_after < done.bytes_before * 3 / 4,
            "{bytes}: {done:?}"
        );
        assert_eq!(log_bytes(directory.path()), done.bytes_after, "{done:?}");
        // It goes on, and so does compaction.
        fill(&journal, 1200, 1500);
        journal
            .truncate(&name(5), Seq(300))
            .wait()
            .expect("truncated");
        let before = contents(&journal);
        journal.compact().expect("compacted again");
        contents(&journal).same_as(&before, "after that");
        for repeated in [append(3), append(5)] {
            let repeated = journal.append(repeated).wait().expect("known");
            assert!(repeated.is_repeat, "young commands are known still");
        }
        drop(journal);
        for _ in 0..2 {
            let journal = DiskJournal::open(directory.path(), options.clone()).expect("it opens");
            assert_eq!(journal.opening().damaged, []);
            assert_eq!(
                journal.opening().index_rebuilt,
                None,
                "the index was brought up to date"
            );
            contents(&journal).same_as(&before, "after that");
            for repeated in [append(3), append(5)] {
                assert!(journal.append(repeated).wait().expect("known").is_repeat);
            }
            journal.abandon();
        }
        assert!(
            verify(directory.path(), &mut |_, _| {})
                .expect("read")
                .is_sound()
        );
        drop(std::fs::remove_dir_all(directory.path().join("index")));
        let journal = DiskJournal::open(directory.path(), options).expect("it opens");
        contents(&journal).same_as(&before, "the log alone says the same");
    }
}

#[test]
fn cut_off_at_any_step_it_has_lost_nothing() {
    let mut steps = 0;
    // In every run each third step, in the nightly one all of them.
    let stride = if std::env::var_os("SWARM_ALL_STEPS").is_some() {
        1
    } else {
        3
    };
    for changes in (0..).step_by(stride) {
        let mut fixture = DiskFixture::with(by_hand());
        mostly_dead(fixture.disk(), 240);
        // Some places are behind the log, some in memory.
        if steps % 2 == 0 {
            fixture.disk().checkpoint().wait().expect("a checkpoint");
            fill(fixture.disk(), 240, 250);
        }
        let before = contents(fixture.disk());
        fixture.files.plan(Some(Outage::Power { changes }));
        let done = fixture.disk().compact();
        let is_over = !fixture.files.is_off();
        if is_over {
            done.expect("nothing went wrong");
        } else {
            // Whatever was reached, it reads as before, unless it was the writer that found out.
            if fixture.disk().heads(None, 1).is_ok() {
                contents(fixture.disk()).same_as(&before, &format!("step {changes}"));
            }
        }
        // The index stays, behind the log or of another layout than the log.
        fixture.files.power_off();
        fixture.end(false);
        let mut rng = Rng::with_seed(u64::from(changes));
        fixture.files.power_on(|| rng.bool()).expect("power");
        fixture.open().expect("it opens after a power loss");
        assert_eq!(fixture.disk().opening().damaged, [], "step {changes}");
        contents(fixture.disk()).same_as(&before, &format!("step {changes}"));
        // And it can be done again, to its end.
        fixture.disk().compact().expect("compacted");
        contents(fixture.disk()).same_as(&before, &format!("step {changes}"));
        fixture.kill();
        contents(fixture.disk()).same_as(&before, &format!("step {changes}"));
        if is_over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 5, "{steps} steps");
    println!("cut off at {steps} steps");
}

/// What a kill leaves that comes when the log is compacted and the index does not know of it yet.
#[test]
fn an_index_of_before_the_compaction_is_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(directory.path(), by_hand()).expect("it opens");
    mostly_dead(&journal, 240);
    let before = contents(&journal);
    drop(journal);
    let (index, old) = (
        directory.path().join("index"),
        directory.path().join("index-of-before"),
    );
    std::fs::create_dir(&old).expect("a directory");
    for file in all_files(&index) {
        let name = file.file_name().expect("a file has a name");
        std::fs::copy(&file, old.join(name)).expect("copied");
    }
    let journal = DiskJournal::open(directory.path(), by_hand()).expect("it opens");
    journal.compact().expect("compacted");
    journal.abandon();
    std::fs::remove_dir_all(&index).expect("removed");
    std::fs::rename(&old, &index).expect("renamed");
    for is_told in [true, false] {
        let journal = DiskJournal::open(directory.path(), by_hand()).expect("it opens");
        assert_eq!(journal.opening().index_rebuilt.is_some(), is_told);
        assert_eq!(journal.opening().damaged, []);
        contents(&journal).same_as(&before, "with the index of before");
    }
}

#[test]
fn a_full_disk_ends_compaction_and_not_the_journal() {
    let fixture = DiskFixture::with(by_hand());
    mostly_dead(fixture.disk(), 300);
    // The segment in use is sealed by its request, which is a write.
    fixture.files.plan(Some(Outage::Full { writes: 3 }));
    let error = fixture.disk().compact().expect_err("there is no room");
    assert!(matches!(error, JournalError::DiskFull { .. }), "{error}");
    fixture.files.plan(None);
    fill(fixture.disk(), 300, 320);
    let before = contents(fixture.disk());
    fixture.disk().compact().expect("there is room again");
    contents(fixture.disk()).same_as(&before, "after that");
}

/// Not by chance either: while one thread truncates and compacts, others read in every way.
#[test]
fn who_reads_meanwhile_reads_what_is_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(directory.path(), by_hand()).expect("it opens");
    fill(&journal, 0, 600);
    save(&journal, 0, 8);
    let is_over = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (journal, is_over, reads) = (journal.clone(), is_over.clone(), reads.clone());
            scope.spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    match reader {
                        0 => read_streams(&journal),
                        1 => read_pages(&journal, None),
                        _ => read_pages(&journal, Some(&tag())),
                    }
                    let snapshot = journal.snapshot(&name(0), Seq(8));
                    assert!(snapshot.expect("a sound snapshot").is_some());
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut rng = Rng::with_seed(5);
        for round in 0..12 {
            fill(&journal, 600 + round * 60, 660 + round * 60);
            let stream = name(rng.u64(..STREAMS));
            let last = journal.head(&stream).expect("sound").expect("it is there");
            let up_to = Seq(rng.u64(..last.last_seq.0));
            journal.truncate(&stream, up_to).wait().expect("truncated");
            journal.compact().expect("compacted");
            // Everybody has read since.
            let (seen, begun) = (reads.load(Ordering::Relaxed), Instant::now());
            while reads.load(Ordering::Relaxed) < seen + 3 && begun.elapsed().as_secs() < 30 {
                std::thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Release);
    });
    assert!(reads.load(Ordering::Relaxed) >= 36);
}

/// Each stream without a hole from its truncation to its end.
fn read_streams(journal: &DiskJournal) {
    for stream in 0..STREAMS {
        let replay = match journal.read(&name(stream), Bounds::ALL) {
            Ok(replay) => replay,
            // What was to be read next was truncated and compacted in the meantime.
            Err(JournalError::Io { message, .. }) if message.contains("truncated") => continue,
            Err(error) => panic!("stream {stream}: {error}"),
        };
        let numbers: Vec<u64> = replay.events.iter().map(|event| event.seq.0).collect();
        let first = numbers.first().copied().unwrap_or(1);
        assert!(
            numbers
                .iter()
                .copied()
                .eq(first..first + numbers.len() as u64),
            "{numbers:?}"
        );
        // What was appended behind the head was read is there as well.
        assert!(numbers.last().is_none_or(|last| *last >= replay.highest.0));
    }
}

/// Positions rise, and none is twice.
fn read_pages(journal: &DiskJournal, tag: Option<&Tag>) {
    let mut after = Position(0);
    loop {
        let page = journal.read_positions(after, tag, 50).expect("read");
        let Some(last) = page.last() else { break };
        let rises = page.windows(2).all(|two| two[0].position < two[1].position);
        assert!(rises && page[0].position > after);
        after = last.position;
    }
}

#[test]
fn a_backup_that_is_made_meanwhile_is_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(&directory.path().join("j"), by_hand()).expect("it opens");
    fill(&journal, 0, 400);
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            for round in 1..20 {
                journal
                    .truncate(&name(round % STREAMS), Seq(round * 5))
                    .wait()
                    .expect("truncated");
                journal.compact().expect("compacted");
            }
        });
        for n in 0..5 {
            let to = directory.path().join(format!("backup-{n}"));
            journal.export(&to, &mut |_, _| {}).expect("exported");
            assert!(verify(&to, &mut |_, _| {}).expect("read").is_sound());
        }
        compacting.join().expect("no panic");
    });
}

#[test]
fn what_is_dead_goes_by_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options {
        compaction: Compaction {
            every: Duration::from_millis(5),
            ..Compaction::default()
        },
        ..small()
    };
    let journal = DiskJournal::open(directory.path(), by_hand()).expect("it opens");
    mostly_dead(&journal, 900);
    let before = contents(&journal);
    drop(journal);
    let bytes = log_bytes(directory.path());
    let journal = DiskJournal::open(directory.path(), options).expect("it opens");
    let begun = Instant::now();
    while log_bytes(directory.path()) > bytes * 3 / 4 {
        assert!(begun.elapsed().as_secs() < 60, "nothing was given back");
        std::thread::sleep(Duration::from_millis(5));
    }
    contents(&journal).same_as(&before, "after that");
}

//! Kills with a real second process, power losses over files that lose what was not synced, and disks that fail.

mod common;

use common::writing::{Acked, CHILD, STREAMS, Writing, batch, name, whole_batches, write_if_child};
use common::{DiskFixture, small};
use fastrand::Rng;
use std::path::Path;
use std::process::{Command, Stdio};
use swarm_actors::journal::kit::Fixture;
use swarm_actors::journal::{AppendError, Journal, JournalError};
use swarm_journal::files::Outage;
use swarm_journal::{DiskJournal, Options};

/// Not a test of its own: the process that is killed.
#[test]
fn child_writes_until_it_is_killed() {
    write_if_child();
}

#[test]
fn what_was_acknowledged_outlives_kill_9() {
    let rounds = std::env::var("SWARM_KILL_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10);
    let directory = tempfile::tempdir().expect("a directory");
    let mut rng = Rng::with_seed(7);
    let mut acked = Acked::new();
    for round in 0..rounds {
        let mut writing = Writing::start("child_writes_until_it_is_killed", directory.path());
        // Killed after so many acknowledgements, in the middle of whatever it does then.
        writing.read(rng.usize(1..400), &mut acked);
        writing.kill(&mut acked);
        let journal = DiskJournal::open(directory.path(), small()).expect("it opens after a kill");
        assert_eq!(journal.opening().damaged, []);
        for (stream, count) in &acked {
            let found = whole_batches(&journal, *stream);
            assert!(
                found >= *count,
                "round {round}: stream {stream} has {found} of {count} batches"
            );
        }
        // As another process is, so that the next one starts from a kill too.
        journal.abandon();
    }
    println!(
        "{rounds} kills, {} batches acknowledged",
        acked.values().sum::<u64>()
    );
}

#[test]
fn what_was_acknowledged_outlives_a_power_loss_at_any_write() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let mut fixture = DiskFixture::with(Options {
            preallocate: if seed % 2 == 0 { 8 << 10 } else { 0 },
            ..small()
        });
        let mut acked = [0_u64; STREAMS as usize];
        for _ in 0..3 {
            let journal = fixture.disk().clone();
            let mut next: Vec<u64> = (0..STREAMS).map(|s| whole_batches(&journal, s)).collect();
            let mut receipts = Vec::new();
            for _ in 0..rng.usize(1..120) {
                let stream = rng.u64(..STREAMS);
                receipts.push((
                    stream,
                    next[stream as usize],
                    journal.append(batch(stream, next[stream as usize])),
                ));
                next[stream as usize] += 1;
            }
            // The power goes while some of them are under way.
            let sure = rng.usize(..receipts.len());
            let rest = receipts.split_off(sure);
            for (stream, n, receipt) in receipts {
                receipt.wait().expect("written");
                acked[stream as usize] = n + 1;
            }
            fixture.files.power_off();
            for (stream, n, receipt) in rest {
                if receipt.wait().is_ok() {
                    acked[stream as usize] = n + 1;
                }
            }
            drop(journal);
            fixture.lose_power();
            for stream in 0..STREAMS {
                let found = whole_batches(fixture.disk(), stream);
                assert!(
                    found >= acked[stream as usize],
                    "seed {seed}: stream {stream} has {found} of {}",
                    acked[stream as usize]
                );
            }
        }
    }
}

#[test]
fn every_group_is_one_write_and_one_sync() {
    let mut fixture = DiskFixture::with(Options {
        preallocate: 0,
        ..Options::default()
    });
    fixture.close();
    let journal = fixture.disk().clone();
    journal.append(batch(0, 0)).wait().expect("written");
    let (syncs, writes, groups) = (
        fixture.files.syncs(),
        fixture.files.writes(),
        journal.groups(),
    );
    for n in 1..100 {
        journal.append(batch(0, n)).wait().expect("written");
    }
    assert_eq!(journal.groups() - groups, 99);
    assert_eq!(fixture.files.syncs() - syncs, 99);
    assert_eq!(fixture.files.writes() - writes, 99);
    // Many at once share a sync, and none is acknowledged without one.
    let (syncs, groups) = (fixture.files.syncs(), journal.groups());
    let receipts: Vec<_> = (0..1000).map(|n| journal.append(batch(1, n))).collect();
    receipts.into_iter().for_each(|receipt| {
        receipt.wait().expect("written");
    });
    assert_eq!(fixture.files.syncs() - syncs, journal.groups() - groups);
    assert!(journal.groups() - groups < 1000);
}

#[test]
fn a_failed_sync_stops_the_writer_for_good() {
    let mut fixture = DiskFixture::new();
    let journal = fixture.disk().clone();
    journal.append(batch(0, 0)).wait().expect("written");
    fixture.files.plan(Some(Outage::Sync { syncs: 0 }));
    let failed = journal
        .append(batch(0, 1))
        .wait()
        .expect_err("not acknowledged");
    assert!(
        matches!(
            failed,
            AppendError::Journal(JournalError::Io {
                operation: "sync",
                ..
            })
        ),
        "{failed}"
    );
    assert!(failed.is_outcome_unknown());
    fixture.files.plan(None);
    for n in 1..4 {
        let refused = journal
            .append(batch(0, n))
            .wait()
            .expect_err("it has stopped");
        assert!(
            matches!(refused, AppendError::Journal(JournalError::Stopped(_))),
            "{refused}"
        );
    }
    assert!(matches!(
        journal.head(&name(0)),
        Err(JournalError::Stopped(_))
    ));
    drop(journal);
    fixture.lose_power();
    assert!(whole_batches(fixture.disk(), 0) >= 1);
}

#[test]
fn the_second_process_on_a_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = DiskJournal::open(directory.path(), small()).expect("the first");
    match DiskJournal::open(directory.path(), small()) {
        Err(JournalError::InUse { path }) => assert!(path.starts_with(directory.path())),
        other => panic!("not refused: {:?}", other.map(|j| j.opening().clone())),
    }
    first.append(batch(0, 0)).wait().expect("the first goes on");
    drop(first);
    DiskJournal::open(directory.path(), small()).expect("free again");
}

#[test]
fn a_directory_that_vanishes_is_an_error_and_no_acknowledgement() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(directory.path(), small()).expect("it opens");
    journal.append(batch(0, 0)).wait().expect("written");
    std::fs::remove_dir_all(directory.path()).expect("removed");
    let error = journal
        .append(batch(0, 1))
        .wait()
        .expect_err("there is no disk to be on");
    assert!(
        matches!(error, AppendError::Journal(JournalError::Vanished { .. })),
        "{error}"
    );
}

#[test]
fn a_file_where_the_directory_should_be_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, "x").expect("a file");
    assert!(DiskJournal::open(&path, small()).is_err());
}

#[test]
fn an_index_that_is_deleted_loses_nothing() {
    let mut fixture = DiskFixture::new();
    for n in 0..50 {
        fixture
            .disk()
            .append(batch(n % STREAMS, n / STREAMS))
            .wait()
            .expect("written");
    }
    fixture.close();
    let before = fixture.disk().heads(None, 100).expect("heads");
    fixture.end(true);
    std::fs::remove_dir_all(fixture.index()).expect("an index");
    fixture.open().expect("it opens without");
    assert_eq!(fixture.disk().heads(None, 100).expect("heads"), before);
    for stream in 0..STREAMS {
        assert_eq!(whole_batches(fixture.disk(), stream), 10);
    }
}

/// The number of fdatasync calls is asserted from outside too, where strace is there.
#[test]
fn strace_sees_a_sync_for_every_group() {
    let is_there = Command::new("strace")
        .arg("-V")
        .output()
        .is_ok_and(|o| o.status.success());
    if !is_there {
        println!("strace is not there: counted at the file layer only");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let trace = directory.path().join("trace");
    let mut child = Command::new("strace")
        .args(["-f", "-e", "trace=fdatasync", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().expect("this program"))
        .args(["child_writes_fifty_groups", "--exact", "--nocapture"])
        .env(CHILD, directory.path().join("data"))
        .stdout(Stdio::null())
        .spawn()
        .expect("strace runs");
    assert!(child.wait().expect("it ends").success());
    let calls = std::fs::read_to_string(&trace).expect("a trace");
    let syncs = calls
        .lines()
        .filter(|line| line.contains("fdatasync(") && !line.contains("resumed"))
        .count();
    // One for each group; a new segment, its seal, and the index have theirs.
    assert!((50..70).contains(&syncs), "{syncs} calls for 50 groups");
}

/// Not a test of its own: what strace looks at.
#[test]
fn child_writes_fifty_groups() {
    let Ok(directory) = std::env::var(CHILD) else {
        return;
    };
    let options = Options {
        has_index: false,
        ..Options::default()
    };
    let journal = DiskJournal::open(Path::new(&directory), options).expect("it opens");
    for n in 0..50 {
        journal.append(batch(0, n)).wait().expect("written");
    }
}

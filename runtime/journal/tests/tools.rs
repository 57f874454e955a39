//! What operators do with a stopped journal.

mod common;

use common::{DiskFixture, KINDS, all_files, small};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::Path;
use swarm_actors::journal::kit::Fixture;
use swarm_actors::journal::{
    Append, Bounds, CommandId, EventData, Journal, JournalError, Position, Seq, Snapshot,
    SnapshotMeta, StreamName, Tag,
};
use swarm_journal::tools::{ExportError, compact, compact_over, export, import, repair, verify};
use swarm_journal::{DiskJournal, Options};

fn name(n: u64) -> StreamName {
    StreamName::new(&format!("s{n}")).expect("a name")
}

fn append(n: u64) -> Append {
    let event = EventData {
        type_id: 1,
        version: 1,
        tags: vec![Tag::new("t").expect("a tag")],
        payload: n.to_string().into_bytes(),
        ..EventData::default()
    };
    Append {
        command: n
            .is_multiple_of(40)
            .then(|| CommandId::new(u64::MAX >> 20, u128::from(n))),
        ..Append::new(name(n % 4), vec![event.clone(), event])
    }
}

fn fill(journal: &dyn Journal, batches: u64) {
    for n in 0..batches {
        journal.append(append(n)).wait().expect("written");
    }
    let snapshot = Snapshot {
        stream: name(0),
        meta: SnapshotMeta {
            seq: Seq(10),
            batch: 5,
            at_ms: 1,
            type_id: 1,
            version: 1,
        },
        note: vec![],
        payload: b"state".to_vec(),
    };
    journal.save_snapshot(snapshot).wait().expect("saved");
}

/// A command whose only event is truncated right away.
fn once() -> Append {
    Append {
        command: Some(CommandId::new(u64::MAX >> 20, 1)),
        ..Append::new(name(9), vec![EventData::default()])
    }
}

/// Everything that can be read.
fn contents(journal: &dyn Journal) -> BTreeMap<StreamName, Vec<(u64, Vec<u8>)>> {
    let heads = journal.heads(None, 1000).expect("heads");
    heads
        .into_iter()
        .map(|head| {
            let replay = journal
                .read(&head.stream, Bounds::ALL)
                .expect("a sound stream");
            assert_eq!(replay.highest, head.last_seq);
            let events = replay.events.into_iter().map(|e| (e.seq.0, e.data.payload));
            (head.stream, events.collect())
        })
        .collect()
}

fn log_bytes(directory: &Path) -> u64 {
    let log = all_files(&directory.join("log"));
    log.iter()
        .map(|f| f.metadata().expect("a file").len())
        .sum()
}

#[test]
fn compaction_keeps_what_lives_and_gives_back_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(directory.path(), small()).expect("it opens");
    fill(&journal, 1500);
    journal
        .truncate(&name(1), Seq(700))
        .wait()
        .expect("truncated");
    journal
        .truncate(&name(2), Seq(u64::MAX))
        .wait()
        .expect("truncated");
    journal.append(once()).wait().expect("written");
    journal
        .truncate(&name(9), Seq(1))
        .wait()
        .expect("truncated");
    let (before, heads) = (contents(&journal), journal.heads(None, 10).expect("heads"));
    let positions = journal
        .read_positions(Position(0), None, 10_000)
        .expect("read");
    drop(journal);
    let done = compact(directory.path(), &small(), &mut |_, _| {}).expect("compacted");
    assert!(done.bytes_after < done.bytes_before * 3 / 4, "{done:?}");
    assert!(
        log_bytes(directory.path()) <= done.bytes_after + 100,
        "{done:?}"
    );
    for _ in 0..2 {
        let journal = DiskJournal::open(directory.path(), small()).expect("it opens");
        assert_eq!(journal.opening().damaged, []);
        assert_eq!(contents(&journal), before);
        assert_eq!(journal.heads(None, 10).expect("heads"), heads);
        assert_eq!(
            journal
                .read_positions(Position(0), None, 10_000)
                .expect("read"),
            positions
        );
        let tag = Tag::new("t").expect("a tag");
        assert_eq!(
            journal
                .read_positions(Position(0), Some(&tag), 10_000)
                .expect("read"),
            positions
        );
        assert!(journal.snapshot(&name(0), Seq(10)).expect("read").is_some());
        for repeated in [append(0), once()] {
            let repeated = journal.append(repeated).wait().expect("known");
            assert!(
                repeated.is_repeat,
                "commands are known still, of truncated events too"
            );
        }
    }
    let journal = DiskJournal::open(directory.path(), small()).expect("it opens");
    let appended = journal.append(append(2)).wait().expect("written");
    assert_eq!(appended.first, Seq(751), "numbers are never given twice");
    drop(journal);
    let again = compact(directory.path(), &small(), &mut |_, _| {}).expect("compacted");
    assert!(again.bytes_after <= done.bytes_after + 2048, "{again:?}");
    assert!(
        verify(directory.path(), &mut |_, _| {})
            .expect("read")
            .is_sound()
    );
}

#[test]
fn compaction_cut_off_by_a_power_loss_loses_nothing() {
    for seed in 0..12 {
        let mut fixture = DiskFixture::new();
        fill(fixture.disk(), 300);
        fixture
            .disk()
            .truncate(&name(1), Seq(100))
            .wait()
            .expect("truncated");
        let before = contents(fixture.disk());
        fixture.end(true);
        let files = fixture.files.clone();
        let mut steps = 0;
        let index = fixture.index();
        // The power goes after so many segments.
        let cut = compact_over(
            &files,
            Some(&index),
            &Options {
                segment_bytes: 4096,
                ..small()
            },
            &mut |_, _| {
                steps += 1;
                if steps == seed {
                    files.power_off();
                }
            },
        );
        drop(cut);
        fixture.lose_power();
        assert_eq!(contents(fixture.disk()), before, "seed {seed}");
        fixture.close();
        assert_eq!(contents(fixture.disk()), before, "seed {seed}");
    }
}

#[test]
fn an_export_can_be_verified_and_imported_and_nothing_else_can() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(directory.path(), small()).expect("it opens");
    fill(&journal, 200);
    let before = contents(&journal);
    drop(journal);
    let to = tempfile::tempdir().expect("a directory");
    let exported = export(directory.path(), to.path(), &mut |_, _| {}).expect("exported");
    assert_eq!((exported.streams, exported.events), (4, 400));
    assert!(verify(to.path(), &mut |_, _| {}).expect("read").is_sound());
    assert!(matches!(
        export(directory.path(), to.path(), &mut |_, _| {}),
        Err(ExportError::NotEmpty(_))
    ));
    let other = tempfile::tempdir().expect("a directory");
    import(to.path(), other.path(), &mut |_, _| {}).expect("imported");
    let journal = DiskJournal::open(other.path(), small()).expect("it opens");
    assert_eq!(contents(&journal), before);
    drop(journal);
    assert!(matches!(
        import(to.path(), other.path(), &mut |_, _| {}),
        Err(ExportError::NotEmpty(_))
    ));
    // An export from which a whole segment was taken is not what its manifest says.
    let last = all_files(&to.path().join("log"))
        .into_iter()
        .rfind(|f| f.extension().is_some())
        .expect("a segment");
    std::fs::remove_file(last).expect("removed");
    let third = tempfile::tempdir().expect("a directory");
    let refused = import(to.path(), third.path(), &mut |_, _| {});
    assert!(
        matches!(
            refused,
            Err(ExportError::Differs(_) | ExportError::Journal(_))
        ),
        "{refused:?}"
    );
    assert!(matches!(
        import(third.path(), third.path(), &mut |_, _| {}),
        Err(ExportError::NoExport { .. })
    ));
}

#[test]
fn repair_keeps_what_is_proven_and_says_what_it_drops() {
    let tiny = Options {
        segment_bytes: 4 << 10,
        ..small()
    };
    let mut repaired_some = 0;
    for seed in 0..30 {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = DiskJournal::open(directory.path(), tiny.clone()).expect("it opens");
        fill(&journal, 300);
        let before = contents(&journal);
        drop(journal);
        let mut rng = Rng::with_seed(seed);
        let segments: Vec<_> = all_files(&directory.path().join("log"))
            .into_iter()
            .filter(|f| f.extension().is_some())
            .collect();
        let hit = &segments[rng.usize(..segments.len())];
        match seed % 3 {
            2 => std::fs::remove_file(hit).expect("removed"),
            garbled => KINDS[2 + garbled as usize](hit, &mut rng),
        }
        let plan = repair(directory.path(), false, &tiny, &mut |_, _| {}).expect("looked at");
        assert_eq!(plan.set_aside, None, "nothing is done by default");
        if plan.dropped.is_empty() && plan.unknown.is_empty() {
            continue;
        }
        repaired_some += 1;
        let done = repair(directory.path(), true, &tiny, &mut |_, _| {}).expect("repaired");
        assert_eq!(done.dropped, plan.dropped);
        assert!(done.set_aside.is_some_and(|path| path.exists()));
        for segment in all_files(&directory.path().join("log")) {
            let length = std::fs::metadata(&segment).expect("it is there").len();
            assert!(length < 8 << 10, "{}: {length}", segment.display());
        }
        assert!(
            verify(directory.path(), &mut |_, _| {})
                .expect("read")
                .is_sound(),
            "seed {seed}"
        );
        let journal = DiskJournal::open(directory.path(), tiny.clone()).expect("it opens");
        for (stream, events) in &before {
            let replay = journal.read(stream, Bounds::ALL).expect("a sound stream");
            let kept: Vec<_> = replay
                .events
                .into_iter()
                .map(|e| (e.seq.0, e.data.payload))
                .collect();
            match done.dropped.iter().find(|d| d.stream == *stream) {
                None => assert_eq!(&kept, events, "seed {seed}: {stream} was sound"),
                Some(dropped) => {
                    assert!(events.starts_with(&kept), "seed {seed}");
                    assert!(
                        kept.len() as u64 + 2 >= dropped.from.0,
                        "seed {seed}: {dropped:?}"
                    );
                }
            }
        }
    }
    assert!(repaired_some > 5, "{repaired_some}");
}

#[test]
fn verify_changes_nothing_and_names_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = DiskJournal::open(directory.path(), small()).expect("it opens");
    fill(&journal, 300);
    assert!(matches!(
        verify(directory.path(), &mut |_, _| {}),
        Err(JournalError::InUse { .. })
    ));
    journal.abandon();
    let report = verify(directory.path(), &mut |_, _| {}).expect("read");
    assert!(report.is_sound() && !report.is_sealed);
    assert_eq!((report.heads.len(), report.events), (4, 600));
    let files = all_files(&directory.path().join("log"));
    let bytes: Vec<_> = files
        .iter()
        .map(|f| std::fs::read(f).expect("a file"))
        .collect();
    let first = files.first().expect("a segment");
    let mut rng = Rng::with_seed(3);
    KINDS[3](first, &mut rng);
    let report = verify(directory.path(), &mut |_, _| {}).expect("read");
    assert!(
        report
            .damaged
            .iter()
            .all(|d| d.stream.is_some() && d.seq.is_some()),
        "{:?}",
        report.damaged
    );
    assert!(!report.is_sound());
    for (file, bytes) in files.iter().zip(bytes).skip(1) {
        assert!(
            std::fs::read(file).expect("a file") == bytes,
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_backup_of_a_journal_in_use_restores_to_one_of_its_states() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = DiskJournal::open(&folder.path().join("j"), Options::default()).expect("open");
    fill(&journal, 100);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (backups, written) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 100;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                journal.append(append(written)).wait().expect("written");
                written += 1;
            }
            written
        });
        let mut backups = Vec::new();
        for n in 0..5 {
            let before = journal.last_position();
            let to = folder.path().join(format!("backup-{n}"));
            let done = journal.export(&to, &mut |_, _| {}).expect("exported");
            backups.push((before, to, done.events));
            assert!(journal.verify(&mut |_, _| {}).expect("read").is_sound());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (backups, writing.join().expect("no panic"))
    });
    let whole = journal
        .read_positions(Position(0), None, usize::MAX)
        .expect("events");
    assert_eq!(whole.len() as u64, written * 2);
    for (n, (before, from, events)) in backups.into_iter().enumerate() {
        let to = folder.path().join(format!("restored-{n}"));
        import(&from, &to, &mut |_, _| {}).expect("imported");
        let restored = DiskJournal::open(&to, Options::default()).expect("open");
        let found = restored
            .read_positions(Position(0), None, usize::MAX)
            .expect("events");
        assert_eq!(found.len() as u64, events);
        assert!(
            found.len() as u64 >= before.0,
            "what was acknowledged before it is in it"
        );
        assert!(found.len().is_multiple_of(2), "no batch is there in part");
        assert_eq!(found[..], whole[..found.len()], "it is how the journal was");
    }
}

//! K01 to K12: crashes, damage, conflicts.

use super::*;
use crate::journal::record::Batch;
use crate::journal::{COMMAND_WINDOW, Class, CommandId, Epoch, Position, Start};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const STREAMS: u64 = 3;

/// Writes batches of one to four events until one is not acknowledged; what was, by stream: the texts in order.
fn write_until_it_fails(
    journal: &dyn Journal,
    known: &mut BTreeMap<String, Vec<String>>,
    batches: u64,
) {
    for n in 0..batches {
        let stream = format!("s{}", n % STREAMS);
        let texts = known.entry(stream.clone()).or_default();
        let new: Vec<String> = (0..=n % 4)
            .map(|k| format!("{stream}:{}", texts.len() as u64 + k))
            .collect();
        let events = new.iter().map(|text| event(text)).collect();
        match journal.append(Append::new(name(&stream), events)).wait() {
            Ok(_) => texts.extend(new),
            Err(_) => return,
        }
    }
}

fn texts(journal: &dyn Journal, stream: &str) -> Result<Vec<String>, JournalError> {
    let replay = journal.read(&name(stream), Bounds::ALL)?;
    assert_eq!(
        replay.highest.0,
        replay.events.len() as u64,
        "a silently shorter stream"
    );
    for (event, seq) in replay.events.iter().zip(1..) {
        assert_eq!(event.seq, Seq(seq), "a hole");
    }
    Ok(replay
        .events
        .into_iter()
        .map(|e| String::from_utf8(e.data.payload).expect("a text"))
        .collect())
}

/// All that was acknowledged is there, in order and once; at most whole batches that were not acknowledged are behind it.
fn expect_all(journal: &dyn Journal, known: &BTreeMap<String, Vec<String>>) {
    for (stream, acknowledged) in known {
        let read = texts(journal, stream).expect("a sound stream");
        assert!(
            read.starts_with(acknowledged),
            "{stream}: {} acknowledged, {} there",
            acknowledged.len(),
            read.len()
        );
        expect_no_part(journal, stream);
    }
}

/// Every batch has as many events as were written into it: one to four, as its first text tells.
fn expect_no_part(journal: &dyn Journal, stream: &str) {
    let mut sizes = Vec::new();
    journal
        .replay(&name(stream), Start::AfterBatch(0), &mut |batch: &Batch<
            '_,
        >| {
            sizes.push(batch.events.len());
            ControlFlow::Continue(())
        })
        .expect("a sound stream");
    let stream_at: u64 = stream.trim_start_matches('s').parse().expect("a number");
    for (n, size) in sizes.iter().enumerate() {
        let written = (stream_at + n as u64 * STREAMS) % 4 + 1;
        assert_eq!(*size as u64, written, "batch {n} of {stream} in part");
    }
}

/// K01.
pub fn k01_acknowledged_is_there_after_a_kill<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let mut known = BTreeMap::new();
    write_until_it_fails(&*fixture.journal(), &mut known, 50);
    fixture.kill();
    expect_all(&*fixture.journal(), &known);
    // And it goes on.
    let last = known["s0"].len() as u64;
    assert_eq!(
        write(&*fixture.journal(), "s0", &["more"]).first,
        Seq(last + 1)
    );
}

/// K02.
pub fn k02_acknowledged_is_there_after_a_power_loss<F: Fixture>(make: impl Fn() -> F) {
    for batches in 1..=30 {
        let mut fixture = make();
        let mut known = BTreeMap::new();
        write_until_it_fails(&*fixture.journal(), &mut known, batches);
        let relaxed = Append {
            class: Class::Relaxed,
            ..Append::new(name("s9"), vec![event("may go")])
        };
        let _ = fixture.journal().append(relaxed).wait();
        fixture.lose_power();
        expect_all(&*fixture.journal(), &known);
        write(&*fixture.journal(), "s9", &["and on"]);
    }
}

/// K03.
pub fn k03_no_batch_is_ever_seen_in_part<F: Fixture>(make: impl Fn() -> F) {
    for full_after in 0..12 {
        let mut fixture = make();
        let mut known = BTreeMap::new();
        fixture.fill_disk_after(full_after);
        write_until_it_fails(&*fixture.journal(), &mut known, 40);
        fixture.lose_power();
        for stream in known.keys() {
            expect_no_part(&*fixture.journal(), stream);
        }
    }
}

/// K04: also the positions have none.
pub fn k04_no_stream_has_a_hole<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    for round in 1..=3 {
        let journal = fixture.journal();
        for n in 0..10 {
            write(&*journal, &format!("s{}", n % STREAMS), &["a", "b"]);
        }
        let all = journal
            .read_positions(Position(0), None, 1000)
            .expect("read");
        let positions: Vec<u64> = all.iter().map(|e| e.position.0).collect();
        assert_eq!(positions, (1..=round * 20).collect::<Vec<_>>());
        for stream in 0..STREAMS {
            texts(&*journal, &format!("s{stream}")).expect("a sound stream");
        }
        drop(journal);
        fixture.kill();
    }
}

/// K05.
pub fn k05_damage_is_repaired_or_named<F: Fixture>(make: impl Fn() -> F) {
    for case in 0.. {
        let mut fixture = make();
        let mut known = BTreeMap::new();
        write_until_it_fails(&*fixture.journal(), &mut known, 60);
        match fixture.damage(case) {
            None => {
                assert!(case > 0, "no case at all");
                return;
            }
            Some(Err(error)) => {
                assert!(
                    matches!(error, JournalError::Damaged(_)),
                    "case {case}: {error}"
                );
            }
            Some(Ok(())) => {
                for (stream, acknowledged) in &known {
                    match texts(&*fixture.journal(), stream) {
                        Ok(read) => assert_eq!(&read, acknowledged, "case {case}, {stream}"),
                        Err(JournalError::Damaged(damage)) => {
                            assert_eq!(damage.stream, Some(name(stream)), "case {case}");
                            assert!(damage.seq.is_some(), "case {case}: {damage}");
                        }
                        Err(error) => panic!("case {case}, {stream}: {error}"),
                    }
                }
            }
        }
    }
}

/// K06.
pub fn k06_a_full_disk_is_an_error_and_no_acknowledgement<F: Fixture>(make: impl Fn() -> F) {
    for full_after in 0..8 {
        let mut fixture = make();
        let mut known = BTreeMap::new();
        fixture.fill_disk_after(full_after);
        let journal = fixture.journal();
        write_until_it_fails(&*journal, &mut known, 100);
        let again = journal
            .append(Append::new(name("s0"), vec![event("x")]))
            .wait();
        match again {
            Err(AppendError::Journal(JournalError::DiskFull { .. } | JournalError::Stopped(_))) => {
            }
            other => panic!("after {full_after}: {other:?}"),
        }
        drop(journal);
        fixture.kill();
        expect_all(&*fixture.journal(), &known);
        write(&*fixture.journal(), "s7", &["room again"]);
    }
}

/// K07.
pub fn k07_a_conflict_names_the_actual_number<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    let journal = fixture.journal();
    five(&*journal);
    expect_conflict(journal.append(exact("s", 4, "x")).wait(), 5);
    expect_conflict(journal.append(exact("s", 6, "x")).wait(), 5);
    let no_stream = Append {
        expected: Expected::NoStream,
        ..Append::new(name("s"), vec![event("x")])
    };
    expect_conflict(journal.append(no_stream).wait(), 5);
    assert_eq!(numbers(&*journal, "s", Bounds::ALL).1, 5);
    assert_eq!(
        journal
            .append(exact("s", 5, "x"))
            .wait()
            .expect("expected")
            .last,
        Seq(6)
    );
    // Of two at once that expect the same, one is written.
    let both = [
        journal.append(exact("s", 6, "y")),
        journal.append(exact("s", 6, "z")),
    ];
    let answers: Vec<_> = both.into_iter().map(super::super::Receipt::wait).collect();
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
}

/// K08.
pub fn k08_a_repeated_command_takes_effect_once<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let now = fixture
        .journal()
        .append(Append::new(name("clock"), vec![event("x")]))
        .wait();
    now.expect("written");
    let now = fixture
        .journal()
        .read(&name("clock"), Bounds::ALL)
        .expect("read")
        .events[0]
        .at_ms;
    let command = Append {
        command: Some(CommandId::new(now, 42)),
        expected: Expected::Exact(Seq(0)),
        ..Append::new(name("s"), vec![event("a"), event("b")])
    };
    // The second is in the same group as the first, if the journal has groups.
    let first = fixture.journal().append(command.clone());
    let second = fixture.journal().append(command.clone());
    let first = first.wait().expect("written");
    let second = second.wait().expect("known");
    assert!(!first.is_repeat && second.is_repeat);
    assert_eq!(
        (first.first, first.last, first.position),
        (second.first, second.last, second.position)
    );
    for reopen in [F::kill as fn(&mut F), F::close, F::kill] {
        reopen(&mut fixture);
        let again = fixture
            .journal()
            .append(command.clone())
            .wait()
            .expect("known");
        assert_eq!(
            (again.first, again.last, again.is_repeat),
            (Seq(1), Seq(2), true)
        );
    }
    assert_eq!(
        numbers(&*fixture.journal(), "s", Bounds::ALL),
        (vec![1, 2], 2)
    );
    let late = now - u64::try_from(COMMAND_WINDOW.as_millis()).expect("small") - 60_000;
    let old = Append {
        command: Some(CommandId::new(late, 1)),
        ..Append::new(name("s"), vec![event("c")])
    };
    let answer = fixture.journal().append(old).wait();
    assert!(
        matches!(answer, Err(AppendError::TooOld { .. })),
        "{answer:?}"
    );
}

/// K09.
pub fn k09_a_former_owner_is_refused<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let of = |epoch, text| Append {
        epoch: Epoch(epoch),
        ..Append::new(name("s"), vec![event(text)])
    };
    fixture
        .journal()
        .append(of(3, "a"))
        .wait()
        .expect("the first owner");
    fixture
        .journal()
        .append(of(4, "b"))
        .wait()
        .expect("the next owner");
    fixture.kill();
    match fixture.journal().append(of(3, "c")).wait() {
        Err(AppendError::Fenced { epoch, current, .. }) => {
            assert_eq!((epoch, current), (Epoch(3), Epoch(4)));
        }
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(
        numbers(&*fixture.journal(), "s", Bounds::ALL),
        (vec![1, 2], 2)
    );
}

/// K10: the record's own form; those of an agent's events are tested with its codec.
pub fn k10_golden_bytes_of_every_version_are_read<F: Fixture>(make: impl Fn() -> F) {
    let golden: &[(u16, &[u8], &str)] = &[(1, b"7", "7 EUR"), (2, b"7 USD", "7 USD")];
    let mut fixture = make();
    for (version, bytes, _) in golden {
        let event = EventData {
            type_id: 1,
            version: *version,
            payload: bytes.to_vec(),
            ..EventData::default()
        };
        fixture
            .journal()
            .append(Append::new(name("s"), vec![event]))
            .wait()
            .expect("written");
    }
    fixture.close();
    let replay = fixture
        .journal()
        .read(&name("s"), Bounds::ALL)
        .expect("read");
    for (event, (version, _, now)) in replay.events.iter().zip(golden) {
        assert_eq!(event.data.version, *version);
        let text = String::from_utf8(event.data.payload.clone()).expect("text");
        let text = if event.data.version == 1 {
            format!("{text} EUR")
        } else {
            text
        };
        assert_eq!(text, *now);
    }
}

/// K11.
pub fn k11_export_and_import_keep_heads_and_hashes<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let mut known = BTreeMap::new();
    write_until_it_fails(&*fixture.journal(), &mut known, 40);
    fixture
        .journal()
        .truncate(&name("s1"), Seq(3))
        .wait()
        .expect("acknowledged");
    let before = fixture.journal().heads(None, 100).expect("heads");
    fixture.export_and_import();
    let after = fixture.journal().heads(None, 100).expect("heads");
    assert_eq!(before, after);
    assert_eq!(
        texts(&*fixture.journal(), "s0").expect("sound"),
        known["s0"]
    );
    assert_eq!(
        numbers(&*fixture.journal(), "s1", Bounds::ALL).0.first(),
        Some(&4)
    );
    write(&*fixture.journal(), "s0", &["more"]);
}

/// K12: counted in bytes, so that no clock decides.
pub fn k12_opening_reads_what_came_after_the_checkpoint<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let write_some = |fixture: &F| {
        let journal = fixture.journal();
        let receipts: Vec<_> = (0..2000)
            .map(|n| {
                journal.append(Append::new(
                    name(&format!("s{}", n % 10)),
                    vec![event("some text")],
                ))
            })
            .collect();
        for receipt in receipts {
            receipt.wait().expect("written");
        }
    };
    write_some(&fixture);
    fixture.close();
    let once = fixture.opening_read();
    for _ in 0..3 {
        write_some(&fixture);
    }
    fixture.close();
    let often = fixture.opening_read();
    // Half a megabyte at the least was written meanwhile. Of every file a header may be read; how many files there are depends on how the
    // writes fell into groups.
    assert!(
        often <= once + 16_384,
        "{once} bytes read for 2000 events, {often} for 8000"
    );
    fixture.kill();
    assert_eq!(numbers(&*fixture.journal(), "s3", Bounds::ALL).1, 800);
}

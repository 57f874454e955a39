//! J21 to J33: snapshots.

use super::*;
use crate::journal::{Criteria, SNAPSHOT_BYTES_MAX, Snapshot, SnapshotMeta};

fn snapshot(seq: u64, at_ms: u64, payload: &[u8]) -> Snapshot {
    Snapshot {
        stream: name("s"),
        meta: SnapshotMeta {
            seq: Seq(seq),
            batch: seq,
            at_ms,
            type_id: 4,
            version: 2,
        },
        note: b"note".to_vec(),
        payload: payload.to_vec(),
    }
}

/// Snapshots 10, 20, 30, 40 and 50, taken at 100, 200, …
fn with_five<F: Fixture>(make: impl Fn() -> F) -> F {
    let mut fixture = make();
    for n in 1..=5 {
        save(&fixture, snapshot(n * 10, n * 100, &[n as u8]));
    }
    fixture.kill();
    fixture
}

fn save<F: Fixture>(fixture: &F, snapshot: Snapshot) {
    fixture
        .journal()
        .save_snapshot(snapshot)
        .wait()
        .expect("saved");
}

fn found<F: Fixture>(fixture: &F, criteria: Criteria) -> Option<u64> {
    fixture
        .journal()
        .load_snapshot(&name("s"), criteria)
        .expect("loaded")
        .map(|snapshot| snapshot.meta.seq.0)
}

fn delete<F: Fixture>(fixture: &mut F, criteria: Criteria) -> usize {
    let deleted = fixture
        .journal()
        .delete_snapshots(&name("s"), criteria)
        .wait();
    fixture.kill();
    deleted.expect("deleted")
}

fn left<F: Fixture>(fixture: &F) -> Vec<u64> {
    let metas = fixture.journal().snapshots(&name("s")).expect("listed");
    metas.iter().map(|meta| meta.seq.0).collect()
}

/// J21.
pub fn j21_no_snapshot_of_an_unknown_stream<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    assert_eq!(found(&fixture, Criteria::default()), None);
}

/// J22.
pub fn j22_no_snapshot_older_than_all<F: Fixture>(make: impl Fn() -> F) {
    let fixture = with_five(make);
    assert_eq!(found(&fixture, Criteria::default().taken_by(99)), None);
}

/// J23.
pub fn j23_no_snapshot_below_the_lowest_number<F: Fixture>(make: impl Fn() -> F) {
    let fixture = with_five(make);
    assert_eq!(found(&fixture, Criteria::up_to(Seq(9))), None);
    assert_eq!(found(&fixture, Criteria::exactly(Seq(9))), None);
}

/// J24.
pub fn j24_without_bound_the_newest<F: Fixture>(make: impl Fn() -> F) {
    let fixture = with_five(make);
    assert_eq!(found(&fixture, Criteria::default()), Some(50));
}

/// J25.
pub fn j25_with_a_number_the_newest_up_to_it<F: Fixture>(make: impl Fn() -> F) {
    let fixture = with_five(make);
    assert_eq!(found(&fixture, Criteria::up_to(Seq(40))), Some(40));
    assert_eq!(found(&fixture, Criteria::up_to(Seq(39))), Some(30));
}

/// J26.
pub fn j26_with_number_and_time_the_newest_of_both<F: Fixture>(make: impl Fn() -> F) {
    let fixture = with_five(make);
    assert_eq!(
        found(&fixture, Criteria::up_to(Seq(40)).taken_by(350)),
        Some(30)
    );
}

/// J27: the time is not compared.
pub fn j27_one_snapshot_is_deleted_by_its_number<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = with_five(make);
    assert_eq!(delete(&mut fixture, Criteria::exactly(Seq(50))), 1);
    assert_eq!(found(&fixture, Criteria::default()), Some(40));
}

/// J28.
pub fn j28_all_within_bounds_are_deleted<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = with_five(make);
    assert_eq!(
        delete(&mut fixture, Criteria::up_to(Seq(40)).taken_by(300)),
        3
    );
    assert_eq!(left(&fixture), [50, 40]);
}

/// J29.
pub fn j29_a_time_just_below_leaves_it<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = with_five(make);
    assert_eq!(
        delete(&mut fixture, Criteria::exactly(Seq(30)).taken_by(299)),
        0
    );
    assert_eq!(left(&fixture).len(), 5);
}

/// J30.
pub fn j30_saving_again_replaces<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = with_five(make);
    save(&fixture, snapshot(50, 777, b"again"));
    fixture.close();
    assert_eq!(left(&fixture).len(), 5);
    let newest = fixture
        .journal()
        .load_snapshot(&name("s"), Criteria::default());
    let newest = newest.expect("loaded").expect("there");
    assert_eq!(newest, snapshot(50, 777, b"again"));
}

/// J31.
pub fn j31_large_snapshots_are_taken_and_too_large_ones_refused<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    for (seq, bytes) in [(1, 10_000), (2, 3 << 20)] {
        save(&fixture, snapshot(seq, 1, &vec![seq as u8; bytes]));
    }
    let too_large = snapshot(3, 1, &vec![0; SNAPSHOT_BYTES_MAX + 1]);
    let answer = fixture.journal().save_snapshot(too_large).wait();
    assert!(matches!(answer, Err(AppendError::Invalid(_))));
    fixture.kill();
    let newest = fixture
        .journal()
        .load_snapshot(&name("s"), Criteria::default());
    assert_eq!(
        newest.expect("loaded").expect("there").payload.len(),
        3 << 20
    );
}

/// J32.
pub fn j32_snapshots_come_back_byte_for_byte<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let written = snapshot(3, 5, &(0..=255).collect::<Vec<u8>>());
    save(&fixture, written.clone());
    fixture.close();
    let read = fixture
        .journal()
        .snapshot(&name("s"), Seq(3))
        .expect("read");
    assert_eq!(read, Some(written));
}

/// J33.
pub fn j33_snapshot_notes_come_back<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let mut written = snapshot(3, 5, b"x");
    written.note = vec![9; 300];
    save(&fixture, written);
    fixture.kill();
    let read = fixture
        .journal()
        .snapshot(&name("s"), Seq(3))
        .expect("read");
    assert_eq!(read.expect("there").note, vec![9; 300]);
}

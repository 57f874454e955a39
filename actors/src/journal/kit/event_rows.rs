//! J01 to J20: events.

use super::*;
use crate::journal::{PAYLOAD_BYTES_MAX, Tag};

fn check_bounds<F: Fixture>(make: impl Fn() -> F, bounds: Bounds, expected: &[u64]) {
    let fixture = make();
    let journal = fixture.journal();
    five(&*journal);
    assert_eq!(numbers(&*journal, "s", bounds), (expected.to_vec(), 5));
}

/// J01: 1 to 5 in order, and the highest is 5.
pub fn j01_replay_without_bounds_is_everything_in_order<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::ALL, &[1, 2, 3, 4, 5]);
}

/// J02.
pub fn j02_a_lower_bound_cuts_the_front<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::from(3), &[3, 4, 5]);
}

/// J03.
pub fn j03_an_upper_bound_does_not_change_the_highest<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::ALL.to(3), &[1, 2, 3]);
}

/// J04.
pub fn j04_a_limit_counts_from_the_front<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::ALL.limit(3), &[1, 2, 3]);
}

/// J05.
pub fn j05_both_bounds_hold<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::from(2).to(3), &[2, 3]);
}

/// J06.
pub fn j06_bounds_and_limit_hold_together<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::from(2).to(5).limit(2), &[2, 3]);
}

/// J07.
pub fn j07_equal_bounds_are_one_event<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::from(2).to(2), &[2]);
}

/// J08.
pub fn j08_bounds_with_limit_one_are_the_first<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::from(2).to(4).limit(1), &[2]);
}

/// J09.
pub fn j09_limit_zero_is_a_completed_replay<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::ALL.limit(0), &[]);
}

/// J10.
pub fn j10_a_lower_bound_above_the_upper_is_nothing<F: Fixture>(make: impl Fn() -> F) {
    check_bounds(make, Bounds::from(4).to(3), &[]);
}

/// J11.
pub fn j11_a_stream_never_written_is_empty_and_no_error<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    let journal = fixture.journal();
    five(&*journal);
    assert_eq!(numbers(&*journal, "never", Bounds::ALL), (vec![], 0));
    assert!(journal.head(&name("never")).expect("a head").is_none());
}

/// J12.
pub fn j12_truncation_is_acknowledged_and_seen<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    five(&*fixture.journal());
    let head = fixture.journal().truncate(&name("s"), Seq(3)).wait();
    assert_eq!(head.expect("acknowledged").truncated, Seq(3));
    assert_eq!(
        numbers(&*fixture.journal(), "s", Bounds::ALL),
        (vec![4, 5], 5)
    );
    fixture.close();
    assert_eq!(
        numbers(&*fixture.journal(), "s", Bounds::ALL),
        (vec![4, 5], 5)
    );
    // In the middle of a batch too.
    let head = fixture.journal().truncate(&name("s"), Seq(4)).wait();
    assert_eq!(head.expect("acknowledged").truncated, Seq(4));
    assert_eq!(numbers(&*fixture.journal(), "s", Bounds::ALL), (vec![5], 5));
}

/// J13.
pub fn j13_truncation_keeps_the_highest_number<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    five(&*fixture.journal());
    fixture
        .journal()
        .truncate(&name("s"), Seq(3))
        .wait()
        .expect("acknowledged");
    fixture.kill();
    let head = fixture
        .journal()
        .head(&name("s"))
        .expect("a head")
        .expect("written");
    assert_eq!((head.last_seq, head.truncated), (Seq(5), Seq(3)));
}

/// J14.
pub fn j14_numbers_are_never_given_twice<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    five(&*fixture.journal());
    fixture
        .journal()
        .truncate(&name("s"), Seq(u64::MAX))
        .wait()
        .expect("acknowledged");
    assert_eq!(numbers(&*fixture.journal(), "s", Bounds::ALL), (vec![], 5));
    fixture.close();
    assert_eq!(numbers(&*fixture.journal(), "s", Bounds::ALL), (vec![], 5));
    assert_eq!(write(&*fixture.journal(), "s", &["e6"]).first, Seq(6));
    assert_eq!(numbers(&*fixture.journal(), "s", Bounds::ALL), (vec![6], 6));
}

/// J15: of three writes the middle one is too large.
pub fn j15_a_refused_event_leaves_its_neighbours<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    let journal = fixture.journal();
    let mut large = event("");
    large.payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    let answers: Vec<_> = [event("a"), large, event("c")]
        .into_iter()
        .map(|event| journal.append(Append::new(name("s"), vec![event])))
        .map(super::super::Receipt::wait)
        .collect();
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(
        matches!(answers[1], Err(AppendError::Invalid(_))),
        "{:?}",
        answers[1]
    );
    assert_eq!(numbers(&*journal, "s", Bounds::ALL), (vec![1, 2], 2));
}

/// J16.
pub fn j16_payloads_come_back_byte_for_byte<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let payloads: Vec<Vec<u8>> = vec![
        vec![],
        (0..=255).collect(),
        vec![0; 100_000],
        b"SWRM SWRM \x00\xff".to_vec(),
        vec![7; PAYLOAD_BYTES_MAX],
    ];
    for payload in &payloads {
        let mut event = event("");
        event.payload.clone_from(payload);
        let append = Append::new(name("s"), vec![event]);
        fixture.journal().append(append).wait().expect("written");
    }
    fixture.kill();
    let replay = fixture
        .journal()
        .read(&name("s"), Bounds::ALL)
        .expect("read");
    let read: Vec<_> = replay.events.into_iter().map(|e| e.data.payload).collect();
    assert!(read == payloads);
}

/// J17.
pub fn j17_metadata_and_tags_come_back<F: Fixture>(make: impl Fn() -> F) {
    let mut fixture = make();
    let mut written = event("x");
    written.type_id = 77;
    written.version = 3;
    written.meta = b"who: me".to_vec();
    written.tags = vec![
        Tag::new("money").expect("a tag"),
        Tag::new("eur").expect("a tag"),
    ];
    let append = Append::new(name("s"), vec![written.clone()]);
    fixture.journal().append(append).wait().expect("written");
    write(&*fixture.journal(), "t", &["untagged"]);
    let check = |journal: &dyn Journal| {
        let replay = journal.read(&name("s"), Bounds::ALL).expect("read");
        assert_eq!(replay.events[0].data, written);
        let tag = Tag::new("eur").expect("a tag");
        let tagged = journal
            .read_positions(super::super::Position(0), Some(&tag), 10)
            .expect("read");
        assert_eq!(tagged, replay.events);
        let all = journal
            .read_positions(super::super::Position(0), None, 10)
            .expect("read");
        assert_eq!(all.iter().map(|e| e.position.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(journal.last_position().0, 2);
    };
    check(&*fixture.journal());
    fixture.close();
    check(&*fixture.journal());
}

/// J18: of a batch whose last event is refused, nothing is written.
pub fn j18_the_events_of_one_command_are_atomic<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    let journal = fixture.journal();
    let mut large = event("");
    large.payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    let append = Append::new(name("s"), vec![event("a"), event("b"), large]);
    assert!(journal.append(append).wait().is_err());
    assert_eq!(numbers(&*journal, "s", Bounds::ALL), (vec![], 0));
    write(&*journal, "s", &["a", "b", "c"]);
    let replay = journal.read(&name("s"), Bounds::ALL).expect("read");
    assert_eq!(replay.events.len(), 3);
    assert!(
        replay
            .events
            .iter()
            .all(|e| e.at_ms == replay.events[0].at_ms)
    );
}

/// J19.
pub fn j19_answers_come_in_order_and_to_who_asked<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    let journal = fixture.journal();
    let receipts: Vec<_> = (0..60)
        .map(|n| {
            let stream = format!("s{}", n % 3);
            let events = vec![event("x"); 1 + n % 4];
            journal.append(Append::new(name(&stream), events))
        })
        .collect();
    let mut last = [0_u64; 3];
    let mut position = 0;
    for (n, receipt) in receipts.into_iter().enumerate() {
        let appended = receipt.wait().expect("written");
        let numbers: Vec<u64> = appended.numbers().map(|seq| seq.0).collect();
        let before = last[n % 3];
        assert_eq!(
            numbers,
            (before + 1..=before + 1 + (n % 4) as u64).collect::<Vec<_>>()
        );
        assert_eq!(appended.position.0, position + 1);
        position += numbers.len() as u64;
        last[n % 3] = appended.last.0;
    }
}

/// J20: a guard against standing still, no measurement.
pub fn j20_many_writers_come_to_an_end<F: Fixture>(make: impl Fn() -> F) {
    let fixture = make();
    let journal = fixture.journal();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let journal = journal.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    write(&*journal, &format!("w{writer}"), &[&n.to_string()]);
                }
            });
        }
    });
    for writer in 0..4 {
        let (read, highest) = numbers(&*journal, &format!("w{writer}"), Bounds::ALL);
        assert_eq!((read, highest), ((1..=50).collect(), 50));
    }
    assert_eq!(journal.last_position().0, 200);
}

//! `swarmctl journal` on a stopped journal: what scripts rely on.

mod common;

use common::run;
use std::path::Path;
use swarm_actors::journal::{Append, EventData, Journal, StreamName};
use swarm_journal::{DiskJournal, Options, directory_in};

fn fill(data: &Path) {
    let journal = DiskJournal::open(&directory_in(data), Options::default()).expect("it opens");
    for n in 0..40 {
        let stream = StreamName::new(&format!("/s{}", n % 2)).expect("a name");
        let event = EventData {
            type_id: 1,
            version: 1,
            payload: format!("event {n}").into_bytes(),
            ..EventData::default()
        };
        let append = Append::new(stream, vec![event]);
        journal.append(append).wait().expect("written");
    }
}

#[test]
fn each_command_answers_as_the_contract_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let other = folder.path().join("other");
    fill(&data);
    let [data, backup, other] = [&data, &backup, &other].map(|p| p.to_str().expect("text"));
    let on = |data: &str, words: &[&str]| {
        let mut all = vec!["journal", "--data", data];
        all.extend(words);
        run(&all)
    };
    let verified = on(data, &["verify", "-o", "json"]).expect(0).json();
    assert_eq!(
        (&verified["sound"], &verified["events"]),
        (&true.into(), &40.into())
    );
    let heads = on(data, &["heads", "-o", "jsonl"]).expect(0).lines();
    assert_eq!(heads[1]["stream"], "/s1");
    let shown = on(data, &["show", "/s1", "--at", "3", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(shown[0]["text"], "event 5");
    on(data, &["show", "/s1", "--at", "99"]).expect(3);
    on(data, &["show", "/none"]).expect(3);
    on(data, &["export", backup]).expect(0);
    on(data, &["export", backup]).expect(6);
    on(other, &["import", backup]).expect(0);
    assert_eq!(
        on(other, &["heads", "-o", "jsonl"]).expect(0).lines(),
        heads
    );
    on(data, &["truncate", "/s1", "--up-to", "5"]).expect(6);
    let head = on(
        data,
        &["truncate", "/s1", "--up-to", "5", "--yes", "-o", "json"],
    )
    .expect(0)
    .json();
    assert_eq!(
        (&head["truncated"], &head["last_seq"]),
        (&5.into(), &20.into())
    );
    let compacted = on(data, &["compact", "-o", "json"]).expect(0).json();
    assert!(compacted["bytes_after"].as_u64() < compacted["bytes_before"].as_u64());
    assert_eq!(
        on(data, &["verify", "-o", "json"]).expect(0).json()["events"],
        35
    );
    on("/nonexistent", &["verify"]).expect(3);
}

#[test]
fn damage_is_status_7_and_repair_asks_first() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let log = directory_in(folder.path()).join("log");
    let segment = std::fs::read_dir(log)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "segment"))
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[1500..1510].fill(0x55);
    std::fs::write(&segment, bytes).expect("written");
    let data = folder.path().to_str().expect("text");
    let verified = run(&["journal", "--data", data, "verify", "-o", "json"])
        .expect(7)
        .json();
    assert!(verified["damaged"][0]["stream"].is_string(), "{verified}");
    assert!(verified["damaged"][0]["seq"].is_u64(), "{verified}");
    run(&["journal", "--data", data, "repair"]).expect(6);
    let repaired = run(&["journal", "--data", data, "repair", "--yes", "-o", "json"])
        .expect(0)
        .json();
    assert!(repaired["set_aside"].is_string(), "{repaired}");
    run(&["journal", "--data", data, "verify"]).expect(0);
}

#[test]
fn a_journal_in_use_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = directory_in(folder.path());
    let _open = DiskJournal::open(&directory, Options::default()).expect("it opens");
    let data = folder.path().to_str().expect("text");
    let refused = run(&["journal", "--data", data, "verify", "-o", "json"]).expect(6);
    assert_eq!(refused.failure()["code"], "journal-in-use");
}

//! Encryption at rest: the same rows as every journal, and what only a sealed one is asked.

mod common;

use common::DiskFixture;
use std::path::Path;
use std::sync::Arc;
use swarm_actors::journal::kit::Fixture;
use swarm_actors::journal::{
    Append, AppendError, Bounds, Criteria, EventData, InvalidAppend, Journal, JournalError,
    Position, Seq, Snapshot, SnapshotMeta, StreamName,
};
use swarm_journal::seal::{Keys, SealedJournal};
use swarm_journal::{DiskJournal, Options};

const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const TWO: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn keys(text: &str) -> Arc<Keys> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, text).expect("written");
    Arc::new(Keys::read(&file).expect("keys"))
}

/// The journal on disk with all categories sealed.
struct Sealed {
    disk: DiskFixture,
    keys: Arc<Keys>,
}

impl Sealed {
    fn new() -> Self {
        Self {
            disk: DiskFixture::new(),
            keys: keys(&format!("* 1 {ONE}\n* 2 {TWO}\n")),
        }
    }
}

impl Fixture for Sealed {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(SealedJournal::new(self.disk.journal(), self.keys.clone()))
    }

    fn kill(&mut self) {
        self.disk.kill();
    }

    fn lose_power(&mut self) {
        self.disk.lose_power();
    }

    fn close(&mut self) {
        self.disk.close();
    }

    fn damage(&mut self, case: u32) -> Option<Result<(), JournalError>> {
        self.disk.damage(case)
    }

    fn fill_disk_after(&mut self, more: u32) {
        self.disk.fill_disk_after(more);
    }

    fn export_and_import(&mut self) {
        self.disk.export_and_import();
    }

    fn opening_read(&self) -> u64 {
        self.disk.opening_read()
    }
}

swarm_actors::journal_kit!(crate::Sealed::new());

const SECRET: &[u8] = b"the quick brown fox that nobody may read";

fn name(text: &str) -> StreamName {
    StreamName::new(text).expect("a name")
}

fn append(stream: &str) -> Append {
    let event = EventData {
        type_id: 1,
        version: 1,
        meta: SECRET.to_vec(),
        payload: SECRET.to_vec(),
        ..EventData::default()
    };
    Append {
        facts: SECRET.to_vec(),
        ..Append::new(name(stream), vec![event])
    }
}

fn snapshot(stream: &str) -> Snapshot {
    Snapshot {
        stream: name(stream),
        meta: SnapshotMeta {
            seq: Seq(1),
            batch: 1,
            at_ms: 1,
            type_id: 1,
            version: 3,
        },
        note: Vec::new(),
        payload: SECRET.to_vec(),
    }
}

/// Whether the secret stands anywhere in the journal's files.
fn is_told(directory: &Path) -> bool {
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).expect("a file");
                if bytes.windows(SECRET.len()).any(|window| window == SECRET) {
                    return true;
                }
            }
        }
    }
    false
}

fn open(directory: &Path, keys: Arc<Keys>) -> (SealedJournal, DiskJournal) {
    let disk = DiskJournal::open(directory, Options::default()).expect("it opens");
    (SealedJournal::new(Arc::new(disk.clone()), keys), disk)
}

#[test]
fn what_a_category_with_a_key_says_is_nowhere_on_disk_and_is_read_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let (journal, disk) = open(folder.path(), keys(&format!("secret 1 {ONE}")));
        journal.append(append("secret-1")).wait().expect("written");
        journal
            .save_snapshot(snapshot("secret-1"))
            .wait()
            .expect("saved");
        disk.checkpoint().wait().expect("indexed");
    }
    assert!(!is_told(folder.path()));
    {
        let (journal, _) = open(folder.path(), keys(&format!("secret 1 {ONE}")));
        let read = journal.read(&name("secret-1"), Bounds::ALL).expect("read");
        let data = &read.events[0].data;
        assert_eq!(
            (&data.payload[..], &data.meta[..], data.version),
            (SECRET, SECRET, 1)
        );
        let read = journal.load_snapshot(&name("secret-1"), Criteria::default());
        assert_eq!(read.expect("read"), Some(snapshot("secret-1")));
        let all = journal.read_positions(Position(0), None, 10).expect("read");
        assert_eq!(all[0].data.payload, SECRET);
        // Another category is in the clear.
        journal.append(append("public-1")).wait().expect("written");
    }
    assert!(is_told(folder.path()));
}

#[test]
fn a_key_is_rotated_by_adding_one_and_destroyed_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |keys: Arc<Keys>| {
        let (journal, _) = open(folder.path(), keys);
        journal.append(append("a-1")).wait().expect("written");
    };
    write(keys(&format!("a 1 {ONE}")));
    let both = format!("a 1 {ONE}\na 2 {TWO}");
    write(keys(&both));
    let read = |keys: Arc<Keys>| {
        let (journal, _) = open(folder.path(), keys);
        journal
            .read(&name("a-1"), Bounds::ALL)
            .map(|read| read.events.len())
    };
    assert_eq!(read(keys(&both)).expect("read"), 2);
    for (left, missing, seq) in [
        (format!("a 1 {ONE}"), "key 2 of category a", 2),
        (format!("a 2 {TWO}"), "key 1 of category a", 1),
        (String::new(), "key 1 of category a", 1),
        (format!("a 1 {TWO}"), "not what was sealed", 1),
    ] {
        let Err(JournalError::Damaged(damage)) = read(keys(&left)) else {
            panic!("read without its key: {left}")
        };
        assert!(damage.what.contains(missing), "{damage}");
        assert_eq!(
            (damage.stream, damage.seq),
            (Some(name("a-1")), Some(Seq(seq)))
        );
    }
}

#[test]
fn what_only_sealed_contents_have_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = open(folder.path(), keys(""));
    let mut odd = append("a-1");
    odd.events[0].version = 0x8001;
    let refused = journal.append(odd).wait();
    assert!(matches!(
        refused,
        Err(AppendError::Invalid(InvalidAppend::Reserved {
            version: 0x8001
        }))
    ));
    let mut odd = append("a-1");
    odd.facts = vec![0xff, 1];
    assert!(journal.append(odd).wait().is_err());
}

//! Other engines at the same work: groups of events, each group one durable commit, keys of stream and number.
//!
//! The journal is asked for single appends and makes its groups itself; these are handed whole groups, which is kind to them.

use crate::measure::{Cell, PAYLOAD, STREAMS, size};
use std::path::Path;
use std::time::{Duration, Instant};

/// A key: stream and number, so that a stream's events lie together.
type Key = [u8; 16];

/// An engine with one open store.
trait Engine {
    /// Makes one group durable: it is there after a power loss when this returns.
    fn commit(&mut self, group: &[(Key, &[u8])]);
}

/// What is compared, by the name that the table has for it.
pub const NAMES: [&str; 5] = ["sled", "sled, synced by us", "fjall", "redb", "sqlite"];

fn open(name: &str, directory: &Path) -> Box<dyn Engine> {
    match name {
        "sled" => Box::new(Sled::open(directory, false)),
        "sled, synced by us" => Box::new(Sled::open(directory, true)),
        "fjall" => Box::new(Fjall::open(directory)),
        "redb" => Box::new(Redb::open(directory)),
        _ => Box::new(Sqlite::open(directory)),
    }
}

/// Commits groups of that size for that long.
#[must_use]
pub fn run(name: &str, directory: &Path, group: usize, within: Duration) -> Cell {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let mut engine = open(name, directory.path());
    let value: Vec<u8> = (0..PAYLOAD).map(|_| fastrand::u8(..)).collect();
    let mut next = vec![0_u64; STREAMS as usize];
    let (mut latencies, mut events) = (Vec::new(), 0_usize);
    let begun = Instant::now();
    while begun.elapsed() < within {
        let batch: Vec<(Key, &[u8])> = (0..group)
            .map(|_| {
                let stream = fastrand::usize(..next.len());
                next[stream] += 1;
                (key(stream as u64, next[stream]), &value[..])
            })
            .collect();
        let at = Instant::now();
        engine.commit(&batch);
        latencies.push(at.elapsed().as_secs_f64() * 1e6);
        events += group;
    }
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    drop(engine);
    latencies.sort_by(f64::total_cmp);
    Cell {
        rate,
        latencies,
        bytes_per_event: size(directory.path()) as f64 / events.max(1) as f64,
    }
}

fn key(stream: u64, seq: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&stream.to_be_bytes());
    key[8..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// sled 0.34.7. Its `flush` does not reach the disk (docs/durability.md), so it is here twice.
struct Sled {
    database: sled::Db,
    file: Option<std::fs::File>,
}

impl Sled {
    fn open(directory: &Path, is_synced: bool) -> Self {
        let database = sled::Config::new()
            .path(directory)
            .cache_capacity(64 << 20)
            .open()
            .expect("it opens");
        let file = is_synced
            .then(|| std::fs::File::open(directory.join("db")).expect("the file that sled has"));
        Self { database, file }
    }
}

impl Engine for Sled {
    fn commit(&mut self, group: &[(Key, &[u8])]) {
        let mut batch = sled::Batch::default();
        for (key, value) in group {
            batch.insert(key, *value);
        }
        self.database.apply_batch(batch).expect("written");
        self.database.flush().expect("flushed");
        if let Some(file) = &self.file {
            file.sync_data().expect("synced");
        }
    }
}

struct Fjall {
    database: fjall::Database,
    keyspace: fjall::Keyspace,
}

impl Fjall {
    fn open(directory: &Path) -> Self {
        let database = fjall::Database::builder(directory)
            .open()
            .expect("it opens");
        let keyspace = database
            .keyspace("events", fjall::KeyspaceCreateOptions::default)
            .expect("a keyspace");
        Self { database, keyspace }
    }
}

impl Engine for Fjall {
    fn commit(&mut self, group: &[(Key, &[u8])]) {
        let mut batch = self
            .database
            .batch()
            .durability(Some(fjall::PersistMode::SyncData));
        for (key, value) in group {
            batch.insert(&self.keyspace, *key, *value);
        }
        batch.commit().expect("committed");
    }
}

const EVENTS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("events");

struct Redb(redb::Database);

impl Redb {
    fn open(directory: &Path) -> Self {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(64 << 20);
        Self(builder.create(directory.join("redb")).expect("it opens"))
    }
}

impl Engine for Redb {
    fn commit(&mut self, group: &[(Key, &[u8])]) {
        let mut write = self.0.begin_write().expect("a transaction");
        write
            .set_durability(redb::Durability::Immediate)
            .expect("nothing is written yet");
        {
            let mut table = write.open_table(EVENTS).expect("a table");
            for (key, value) in group {
                table.insert(&key[..], *value).expect("written");
            }
        }
        write.commit().expect("committed");
    }
}

/// SQLite with its write-ahead log, synced at every commit.
struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(directory: &Path) -> Self {
        let connection = rusqlite::Connection::open(directory.join("sqlite")).expect("it opens");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
                 CREATE TABLE events (stream INTEGER, seq INTEGER, value BLOB, PRIMARY KEY (stream, seq)) WITHOUT ROWID;",
            )
            .expect("a table");
        Self(connection)
    }
}

impl Engine for Sqlite {
    fn commit(&mut self, group: &[(Key, &[u8])]) {
        let transaction = self.0.transaction().expect("a transaction");
        {
            let mut insert = transaction
                .prepare("INSERT INTO events VALUES (?1, ?2, ?3)")
                .expect("a statement");
            for (key, value) in group {
                let (stream, seq) = key.split_at(8);
                let long = |bytes: &[u8]| i64::from_be_bytes(bytes.try_into().unwrap_or_default());
                insert
                    .execute((long(stream), long(seq), *value))
                    .expect("written");
            }
        }
        transaction.commit().expect("committed");
    }
}

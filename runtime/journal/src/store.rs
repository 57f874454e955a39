//! sled behind the log: the one place where it is named.
//!
//! It holds what would otherwise have to be read out of the log again: heads (with names and the window of commands), where
//! the batches of each stream stand, where tagged events stand, and snapshots' places; and a *mark*, up to where of the log
//! that is. All of it can be made again from the log: if it is missing, damaged or panics, it is moved away and made again.
//!
//! sled's `flush` does not reach the disk (`sync_file_range`), so a checkpoint is: batch, `flush`, `sync_data` on a handle of
//! our own of its one file, and only then the mark. Its values are never above 4 KiB: larger ones end in blob files that it
//! does not sync at all. Every call is made where a panic is caught.

use crate::compactor::Moved;
use crate::index::{BatchPlace, Place, SnapshotPlace};
use serde::{Deserialize, Serialize};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use swarm_actors::journal::rules::Stream;
use swarm_actors::journal::{Head, Tag};

const CACHE_BYTES: u64 = 32 << 20;
const VALUE_BYTES_MAX: usize = 4096;
/// sled may take long to recover; it is waited for until it is quicker to read the log, and at least this long.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// How much of a log is read in a second where it is not in memory.
const LOG_BYTES_PER_SECOND: u64 = 100 << 20;
/// How long the lock of an index that was closed just now may still be held.
const LOCK_WITHIN: Duration = Duration::from_secs(5);
/// So many places fit into one value whatever they are.
const PLACES_PER_VALUE: usize = 200;
const BATCH_ENTRIES: usize = 4096;

const MARK: &[u8] = b"m";
const HEADS: u8 = b'h';
const PLACES: u8 = b'i';
const SNAPSHOTS: u8 = b's';
const TAGS: u8 = b't';

/// Up to where of the log the store is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) version: u32,
    pub(crate) journal: u64,
    pub(crate) place: Place,
    pub(crate) next_number: u64,
    pub(crate) next_position: u64,
    /// How the log was compacted when the places were noted ([`segment::layout`](crate::segment::layout)).
    pub(crate) layout: u32,
}

pub(crate) const STORE_VERSION: u32 = 2;

/// What a checkpoint brings.
#[derive(Default)]
pub(crate) struct Delta {
    pub(crate) streams: Vec<(u64, Stream)>,
    /// Stream, first batch, and where that and the following stand.
    pub(crate) places: Vec<(u64, u64, Vec<BatchPlace>)>,
    pub(crate) snapshots: Vec<(u64, Vec<SnapshotPlace>)>,
    pub(crate) tags: Vec<(Tag, u64, Place)>,
}

/// The store did not do what it was asked; it is to be done without.
#[derive(Debug, thiserror::Error)]
#[error("the store behind the log failed: {0}")]
pub(crate) struct StoreFailed(pub(crate) String);

pub(crate) struct Store {
    database: sled::Db,
    file: fs::File,
}

fn guarded<T>(
    what: &'static str,
    call: impl FnOnce() -> Result<T, sled::Error>,
) -> Result<T, StoreFailed> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(StoreFailed(format!("{what}: {error}"))),
        Err(_) => Err(StoreFailed(format!("{what}: it panicked"))),
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreFailed> {
    postcard::to_stdvec(value).map_err(|e| StoreFailed(e.to_string()))
}

fn key(kind: u8, parts: &[u64]) -> Vec<u8> {
    let mut key = vec![kind];
    for part in parts {
        key.extend(part.to_be_bytes());
    }
    key
}

fn tag_key(tag: &Tag, position: u64) -> Vec<u8> {
    let mut key = vec![TAGS];
    key.extend(tag.as_str().as_bytes());
    key.push(0);
    key.extend(position.to_be_bytes());
    key
}

fn last_long(key: &[u8]) -> u64 {
    key.len()
        .checked_sub(8)
        .and_then(|at| key[at..].try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// A key, and the places of batches that stand under it.
type Chunk = (Vec<u8>, Vec<BatchPlace>);

impl Store {
    /// Opens what stands behind a log of so many bytes, on a thread of its own.
    pub(crate) fn open(directory: &Path, log_bytes: u64) -> Result<Self, StoreFailed> {
        let within = OPEN_WITHIN.max(Duration::from_secs(log_bytes / LOG_BYTES_PER_SECOND));
        let (sender, receiver) = mpsc::channel();
        let path = directory.to_owned();
        let spawned = std::thread::Builder::new()
            .name("journal-index".to_owned())
            .spawn(move || {
                let start = Instant::now();
                let opened = loop {
                    let opened = guarded("open", || {
                        sled::Config::new()
                            .path(&path)
                            .cache_capacity(CACHE_BYTES)
                            .flush_every_ms(Some(500))
                            .open()
                    });
                    // The journal's own lock says that nobody has it open: sled's is about to be let go by a thread that ends.
                    let is_held = opened.as_ref().is_err_and(|e| e.0.contains("acquire lock"));
                    if !is_held || start.elapsed() > LOCK_WITHIN {
                        break opened;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                };
                drop(sender.send(opened));
            });
        spawned.map_err(|e| StoreFailed(e.to_string()))?;
        let database = receiver
            .recv_timeout(within)
            .map_err(|_| StoreFailed("it did not open in time".to_owned()))??;
        let path = directory.join("db");
        let file =
            fs::File::open(&path).map_err(|e| StoreFailed(format!("{}: {e}", path.display())))?;
        Ok(Self { database, file })
    }

    pub(crate) fn mark(&self) -> Result<Option<Mark>, StoreFailed> {
        let found = guarded("read", || self.database.get(MARK))?;
        Ok(found
            .and_then(|bytes| postcard::from_bytes::<Mark>(&bytes).ok())
            .filter(|mark| mark.version == STORE_VERSION))
    }

    /// Writes a checkpoint, and the mark when the rest is on disk.
    pub(crate) fn checkpoint(
        &self,
        delta: &Delta,
        mark: &Mark,
        moved: Option<&Moved>,
    ) -> Result<(), StoreFailed> {
        let mut batch = Writing {
            store: self,
            batch: sled::Batch::default(),
            entries: 0,
        };
        if let Some(moved) = moved {
            self.relocate(moved, &mut batch)?;
        }
        for (number, stream) in &delta.streams {
            let value = encode(stream)?;
            for (n, chunk) in (0..).zip(value.chunks(VALUE_BYTES_MAX)) {
                batch.put(key(HEADS, &[*number, n]), chunk.to_vec())?;
            }
            // A shorter window leaves no chunk of a longer one behind.
            let chunks = value.len().div_ceil(VALUE_BYTES_MAX) as u64;
            batch.put(key(HEADS, &[*number, chunks]), Vec::new())?;
        }
        for (number, first, places) in &delta.places {
            let mut first = *first;
            for chunk in places.chunks(PLACES_PER_VALUE) {
                batch.put(key(PLACES, &[*number, first]), encode(&chunk)?)?;
                first += chunk.len() as u64;
            }
        }
        for (number, snapshots) in &delta.snapshots {
            for (n, chunk) in (0..).zip(snapshots.chunks(PLACES_PER_VALUE / 4)) {
                batch.put(key(SNAPSHOTS, &[*number, n]), encode(&chunk)?)?;
            }
            let chunks = snapshots.len().div_ceil(PLACES_PER_VALUE / 4) as u64;
            batch.put(key(SNAPSHOTS, &[*number, chunks]), Vec::new())?;
        }
        for (tag, position, place) in &delta.tags {
            batch.put(tag_key(tag, *position), encode(place)?)?;
        }
        batch.write()?;
        self.sync()?;
        let mark = encode(mark)?;
        guarded("write", || self.database.insert(MARK, mark))?;
        self.sync()
    }

    /// Brings what is here up to date after a compaction. What is in a checkpoint's delta comes behind it.
    fn relocate(&self, moved: &Moved, batch: &mut Writing<'_>) -> Result<(), StoreFailed> {
        for number in &moved.streams {
            for (key, mut places) in self.chunks_of(*number)? {
                if moved.are_gone(&places) {
                    batch.remove(key)?;
                } else if moved.batches(&mut places) {
                    batch.put(key, encode(&places)?)?;
                }
            }
        }
        for (tag, position, before) in &moved.tags {
            batch.put(tag_key(tag, *position), encode(&moved.place(*before))?)?;
        }
        for (tag, position) in &moved.dead_tags {
            batch.remove(tag_key(tag, *position))?;
        }
        Ok(())
    }

    /// The values that say where a stream's batches stand.
    fn chunks_of(&self, number: u64) -> Result<Vec<Chunk>, StoreFailed> {
        guarded("read", || {
            let entries = self.database.scan_prefix(key(PLACES, &[number]));
            let chunks = entries.map(|entry| {
                let (key, value) = entry?;
                Ok((
                    key.to_vec(),
                    postcard::from_bytes(&value).unwrap_or_default(),
                ))
            });
            chunks.collect()
        })
    }

    fn sync(&self) -> Result<(), StoreFailed> {
        guarded("flush", || self.database.flush())?;
        self.file
            .sync_data()
            .map_err(|e| StoreFailed(format!("sync: {e}")))
    }

    /// All streams with their numbers, in the order of these.
    pub(crate) fn streams(&self, mut each: impl FnMut(u64, Stream)) -> Result<(), StoreFailed> {
        self.chunked(HEADS, |number, bytes| {
            let stream = postcard::from_bytes(bytes)
                .map_err(|_| StoreFailed("a head that is none".to_owned()))?;
            each(number, stream);
            Ok(())
        })
    }

    /// All snapshots' places by stream.
    pub(crate) fn snapshots(
        &self,
        mut each: impl FnMut(u64, SnapshotPlace),
    ) -> Result<(), StoreFailed> {
        guarded("read", || {
            let mut number = 0;
            let mut is_over = false;
            for entry in self.database.scan_prefix([SNAPSHOTS]) {
                let (key, value) = entry?;
                let of = key.get(1..9).map_or(0, last_long);
                if of != number {
                    number = of;
                    is_over = false;
                }
                is_over |= value.is_empty();
                if !is_over {
                    let places: Vec<SnapshotPlace> =
                        postcard::from_bytes(&value).unwrap_or_default();
                    for place in places {
                        each(number, place);
                    }
                }
            }
            Ok(())
        })
    }

    /// Values that were cut into chunks, put together again; each ends with an empty one.
    fn chunked(
        &self,
        kind: u8,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreFailed>,
    ) -> Result<(), StoreFailed> {
        let mut value = Vec::new();
        let mut done = 0;
        let mut failed = None;
        guarded("read", || {
            for entry in self.database.scan_prefix([kind]) {
                let (key, chunk) = entry?;
                let number = key.get(1..9).map_or(0, last_long);
                if number == done {
                    continue;
                }
                if chunk.is_empty() {
                    done = number;
                    if let Err(error) = each(number, &value) {
                        failed = Some(error);
                        return Ok(());
                    }
                    value.clear();
                } else {
                    value.extend_from_slice(&chunk);
                }
            }
            Ok(())
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Where the batches of a stream from `batch` on stand, as far as the store knows: the first of them, and all.
    pub(crate) fn places(
        &self,
        number: u64,
        batch: u64,
    ) -> Result<Option<(u64, Vec<BatchPlace>)>, StoreFailed> {
        guarded("read", || {
            let prefix = key(PLACES, &[number]);
            let from = self
                .database
                .get_lt(key(PLACES, &[number, batch.saturating_add(1)]))?
                .map(|(key, _)| key)
                .filter(|key| key.starts_with(&prefix))
                .map_or_else(|| prefix.clone(), |key| key.to_vec());
            let mut first = None;
            let mut places = Vec::new();
            for entry in self.database.range(from..key(PLACES, &[number + 1])) {
                let (key, value) = entry?;
                let at = last_long(&key);
                let begins = *first.get_or_insert(at);
                let chunk: Vec<BatchPlace> = postcard::from_bytes(&value).unwrap_or_default();
                // A checkpoint that was written again after a crash repeats places.
                places.truncate(at.saturating_sub(begins) as usize);
                places.extend(chunk);
            }
            Ok(first.map(|first| (first, places)))
        })
    }

    /// Where up to `limit` events with that tag behind a position stand.
    pub(crate) fn tagged(
        &self,
        tag: &Tag,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Place)>, StoreFailed> {
        guarded("read", || {
            let (from, to) = (
                tag_key(tag, after.saturating_add(1)),
                tag_key(tag, u64::MAX),
            );
            let mut found = Vec::new();
            for entry in self.database.range(from..=to).take(limit) {
                let (key, value) = entry?;
                if let Ok(place) = postcard::from_bytes(&value) {
                    found.push((last_long(&key), place));
                }
            }
            Ok(found)
        })
    }

    /// What the heads say, for comparison with the log.
    pub(crate) fn heads(&self) -> Result<Vec<(u64, Head)>, StoreFailed> {
        let mut heads = Vec::new();
        self.streams(|number, stream| heads.push((number, stream.head())))?;
        Ok(heads)
    }
}

struct Writing<'a> {
    store: &'a Store,
    batch: sled::Batch,
    entries: usize,
}

impl Writing<'_> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreFailed> {
        debug_assert!(
            value.len() <= VALUE_BYTES_MAX,
            "a value that sled would not sync"
        );
        self.batch.insert(key, value);
        self.count()
    }

    fn remove(&mut self, key: Vec<u8>) -> Result<(), StoreFailed> {
        self.batch.remove(key);
        self.count()
    }

    fn count(&mut self) -> Result<(), StoreFailed> {
        self.entries += 1;
        if self.entries == BATCH_ENTRIES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreFailed> {
        let batch = std::mem::take(&mut self.batch);
        self.entries = 0;
        guarded("write", || self.store.database.apply_batch(batch))
    }
}

/// Removes a store that cannot be used, so that it is made again.
pub(crate) fn discard(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %directory.display(), %error, "the journal's index cannot be removed");
    }
}

/// Where it is within a journal's directory.
pub(crate) fn directory(journal: &Path) -> PathBuf {
    journal.join("index")
}

//! The journal in memory: for tests, and for simulations in which nodes crash and lose power.

use super::record::{self, Batch};
use super::rules::{Decision, Stream};
use super::{
    Append, AppendError, Appended, Class, Criteria, Damage, Head, InvalidAppend, Journal,
    JournalError, Position, Receipt, Recorded, SNAPSHOT_BYTES_MAX, Seq, Snapshot, SnapshotMeta,
    Start, StreamName, Tag,
};
use crate::sync_plain::Mutex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A journal whose disk is a map. Clones share it. Everything that decides is shared with the journal on disk, and so are
/// the bytes of its batches, which are summed and checked in the same way.
#[derive(Clone)]
pub struct MemoryJournal {
    disk: Arc<Mutex<Disk>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Which opening this is; a later one fences it off, as a dead process writes no more.
    opening: u64,
}

/// Where an append is to fail, for tests of what writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing is written, and nobody answers.
    BeforeWrite,
    /// It is written, and nobody answers.
    BeforeAnswer,
    /// Nothing is written, and the answer says so: the disk is full.
    DiskFull,
}

#[derive(Default)]
struct Disk {
    streams: BTreeMap<StreamName, Kept>,
    /// What each position is: its stream, batch, and whether it is known to be on disk.
    last_position: u64,
    opening: u64,
    /// Appends until the next one fails, and how.
    crash: Option<(u32, Crash)>,
    stopped: Option<Arc<JournalError>>,
    /// How many appends were asked for.
    appends: u64,
}

struct Kept {
    now: Stream,
    batches: Vec<(u32, Vec<u8>)>,
    /// How many of them would survive a power loss.
    synced: usize,
    snapshots: BTreeMap<Seq, (u32, Snapshot)>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryJournal {
    /// An empty one, on the clock of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(|| {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// An empty one; `clock` says how many milliseconds it is since 1970.
    #[must_use]
    pub fn with_clock(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            disk: Arc::default(),
            clock: Arc::new(clock),
            opening: 0,
        }
    }

    /// The journal as it is after its process was killed and started again. What the old one still writes is refused.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut disk = self.disk.lock();
        disk.opening += 1;
        disk.crash = None;
        disk.stopped = None;
        Self {
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            opening: disk.opening,
        }
    }

    /// The journal as it is after a power loss: what was not acknowledged as durable is gone.
    #[must_use]
    pub fn lose_power(&self) -> Self {
        {
            let mut disk = self.disk.lock();
            for kept in disk.streams.values_mut() {
                kept.batches.truncate(kept.synced);
                kept.now = kept.rebuilt();
            }
            disk.streams.retain(|_, kept| !kept.batches.is_empty());
            disk.last_position = disk
                .streams
                .values()
                .map(|kept| kept.now.head().last_position.0)
                .max()
                .unwrap_or(0);
        }
        self.reopen()
    }

    /// Lets an append fail after `more` others.
    pub fn crash_after(&self, more: u32, crash: Crash) {
        self.disk.lock().crash = Some((more, crash));
    }

    /// How many appends were asked for so far.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.disk.lock().appends
    }

    /// Alters one byte of a batch of the stream. False when there is no such batch.
    pub fn damage(&self, stream: &StreamName, batch: u64) -> bool {
        let mut disk = self.disk.lock();
        let Some(kept) = disk.streams.get_mut(stream) else {
            return false;
        };
        match kept
            .batches
            .get_mut(batch.saturating_sub(1) as usize)
            .and_then(|(_, bytes)| bytes.last_mut())
        {
            Some(byte) => {
                *byte ^= 0x55;
                true
            }
            None => false,
        }
    }

    fn usable<'a>(&self, disk: &'a mut Disk) -> Result<&'a mut Disk, JournalError> {
        if let Some(stopped) = &disk.stopped {
            return Err(JournalError::Stopped(stopped.clone()));
        }
        if disk.opening != self.opening {
            return Err(JournalError::Unknown);
        }
        Ok(disk)
    }

    fn write(&self, append: &Append) -> Result<Option<Appended>, AppendError> {
        let now_ms = (self.clock)();
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        disk.appends += 1;
        let crash = match &mut disk.crash {
            Some((0, crash)) => Some(*crash),
            Some((more, _)) => {
                *more -= 1;
                None
            }
            None => None,
        };
        if let Some(crash) = crash {
            disk.crash = None;
            disk.stopped = Some(Arc::new(JournalError::DiskFull {
                path: "memory".into(),
            }));
            match crash {
                Crash::BeforeWrite => return Ok(None),
                Crash::DiskFull => {
                    return Err(JournalError::DiskFull {
                        path: "memory".into(),
                    }
                    .into());
                }
                Crash::BeforeAnswer => {}
            }
        }
        let position = disk.last_position + 1;
        let kept = disk
            .streams
            .entry(append.stream.clone())
            .or_insert_with(|| Kept::new(&append.stream));
        let written = match kept.now.decide(append, position, now_ms) {
            Ok(Decision::Write(batch)) => kept.put(&batch, append.class == Class::Durable),
            Ok(Decision::Repeat(appended)) => appended,
            Err(error) => {
                if !kept.now.exists() && kept.snapshots.is_empty() {
                    disk.streams.remove(&append.stream);
                }
                return Err(error);
            }
        };
        if !written.is_repeat {
            disk.last_position += append.events.len() as u64;
        }
        Ok(crash.is_none().then_some(written))
    }
}

impl Kept {
    fn new(name: &StreamName) -> Self {
        Self {
            now: Stream::new(name.clone()),
            batches: Vec::new(),
            synced: 0,
            snapshots: BTreeMap::new(),
        }
    }

    fn put(&mut self, batch: &Batch<'_>, is_synced: bool) -> Appended {
        let mut bytes = Vec::new();
        batch.encode(&mut bytes);
        let sum = record::sum(&bytes);
        let appended = self.now.apply(batch, sum);
        self.batches.push((sum, bytes));
        if is_synced {
            self.synced = self.batches.len();
        }
        appended
    }

    fn rebuilt(&self) -> Stream {
        let mut stream = Stream::new(self.now.name().clone());
        for (sum, bytes) in &self.batches {
            if let Ok(batch) = Batch::decode(bytes) {
                stream.apply(&batch, *sum);
            }
        }
        stream
    }

    fn check(&self, at: usize) -> Result<Batch<'_>, Damage> {
        let (sum, bytes) = &self.batches[at];
        let damaged = |what: &str| Damage {
            stream: Some(self.now.name().clone()),
            seq: Some(Seq(self.seq_before(at) + 1)),
            place: format!("batch {}", at + 1),
            what: what.to_owned(),
        };
        if record::sum(bytes) != *sum {
            return Err(damaged("the sum does not match"));
        }
        Batch::decode(bytes).map_err(|_| damaged("it is no batch"))
    }

    fn seq_before(&self, at: usize) -> u64 {
        self.batches[..at]
            .iter()
            .rev()
            .find_map(|(_, bytes)| Batch::decode(bytes).ok())
            .map_or(0, |batch| batch.last_seq())
    }
}

impl Journal for MemoryJournal {
    fn append(&self, append: Append) -> Receipt<Appended, AppendError> {
        match self.write(&append) {
            Ok(Some(appended)) => Receipt::ready(Ok(appended)),
            Ok(None) => Receipt::ready(Err(JournalError::Unknown.into())),
            Err(error) => error.into(),
        }
    }

    fn truncate(&self, stream: &StreamName, up_to: Seq) -> Receipt<Head, AppendError> {
        let now_ms = (self.clock)();
        let mut disk = self.disk.lock();
        let disk = match self.usable(&mut disk) {
            Ok(disk) => disk,
            Err(error) => return AppendError::from(error).into(),
        };
        let position = disk.last_position + 1;
        let Some(kept) = disk.streams.get_mut(stream) else {
            return Receipt::ready(Ok(Stream::new(stream.clone()).head()));
        };
        let ends = kept
            .batches
            .iter()
            .filter_map(|(sum, bytes)| Batch::decode(bytes).ok().map(|batch| (*sum, batch)))
            .filter(|(_, batch)| !batch.events.is_empty() && batch.last_seq() <= up_to.0)
            .map(|(sum, batch)| {
                let position = batch.position + batch.events.len() as u64 - 1;
                (batch.batch, sum, position)
            })
            .next_back();
        if let Some(batch) = kept.now.truncate(up_to, ends, position, now_ms) {
            kept.put(&batch, true);
        }
        Receipt::ready(Ok(kept.now.head()))
    }

    fn head(&self, stream: &StreamName) -> Result<Option<Head>, JournalError> {
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        let kept = disk.streams.get(stream).filter(|kept| kept.now.exists());
        Ok(kept.map(|kept| kept.now.head()))
    }

    fn heads(&self, after: Option<&StreamName>, limit: usize) -> Result<Vec<Head>, JournalError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        let behind = after.map_or(Unbounded, Excluded);
        Ok(disk
            .streams
            .range::<StreamName, _>((behind, Unbounded))
            .filter(|(_, kept)| kept.now.exists())
            .take(limit)
            .map(|(_, kept)| kept.now.head())
            .collect())
    }

    fn replay(
        &self,
        stream: &StreamName,
        start: Start,
        each: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Head>, JournalError> {
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        let Some(kept) = disk.streams.get(stream).filter(|kept| kept.now.exists()) else {
            return Ok(None);
        };
        let head = kept.now.head();
        for at in kept.now.cut().batch as usize..kept.batches.len() {
            let batch = kept.check(at)?;
            let is_wanted = match start {
                Start::Event(seq) => batch.first_seq + batch.events.len() as u64 > seq.0,
                Start::AfterBatch(number) => batch.batch > number,
            };
            if is_wanted && each(&batch).is_break() {
                break;
            }
        }
        Ok(Some(head))
    }

    fn read_positions(
        &self,
        after: Position,
        tag: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Recorded>, JournalError> {
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        let mut found = BTreeMap::new();
        for (name, kept) in &disk.streams {
            let cut = kept.now.cut();
            for at in cut.batch as usize..kept.batches.len() {
                for event in kept.check(at)?.recorded(name) {
                    let is_tagged = tag.is_none_or(|tag| event.data.tags.contains(tag));
                    if event.position > after && event.seq.0 > cut.seq && is_tagged {
                        found.insert(event.position, event);
                    }
                }
            }
        }
        Ok(found.into_values().take(limit).collect())
    }

    fn reads_block(&self) -> bool {
        false
    }

    fn last_position(&self) -> Position {
        Position(self.disk.lock().last_position)
    }

    fn save_snapshot(&self, snapshot: Snapshot) -> Receipt<(), AppendError> {
        let bytes = snapshot.payload.len() + snapshot.note.len();
        if bytes > SNAPSHOT_BYTES_MAX {
            return AppendError::from(InvalidAppend::TooManyBytes { bytes }).into();
        }
        let mut disk = self.disk.lock();
        let disk = match self.usable(&mut disk) {
            Ok(disk) => disk,
            Err(error) => return AppendError::from(error).into(),
        };
        let kept = disk
            .streams
            .entry(snapshot.stream.clone())
            .or_insert_with(|| Kept::new(&snapshot.stream));
        let sum = record::sum(&snapshot.payload);
        kept.snapshots.insert(snapshot.meta.seq, (sum, snapshot));
        Receipt::ready(Ok(()))
    }

    fn snapshots(&self, stream: &StreamName) -> Result<Vec<SnapshotMeta>, JournalError> {
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        Ok(disk.streams.get(stream).map_or_else(Vec::new, |kept| {
            kept.snapshots
                .values()
                .rev()
                .map(|(_, snapshot)| snapshot.meta)
                .collect()
        }))
    }

    fn snapshot(&self, stream: &StreamName, seq: Seq) -> Result<Option<Snapshot>, JournalError> {
        let mut disk = self.disk.lock();
        let disk = self.usable(&mut disk)?;
        let kept = disk.streams.get(stream);
        match kept.and_then(|kept| kept.snapshots.get(&seq)) {
            None => Ok(None),
            Some((sum, snapshot)) if *sum == record::sum(&snapshot.payload) => {
                Ok(Some(snapshot.clone()))
            }
            Some(_) => Err(Damage {
                stream: Some(stream.clone()),
                seq: Some(seq),
                place: "snapshot".to_owned(),
                what: "the sum does not match".to_owned(),
            }
            .into()),
        }
    }

    fn delete_snapshots(
        &self,
        stream: &StreamName,
        criteria: Criteria,
    ) -> Receipt<usize, AppendError> {
        let mut disk = self.disk.lock();
        let disk = match self.usable(&mut disk) {
            Ok(disk) => disk,
            Err(error) => return AppendError::from(error).into(),
        };
        let Some(kept) = disk.streams.get_mut(stream) else {
            return Receipt::ready(Ok(0));
        };
        let before = kept.snapshots.len();
        kept.snapshots
            .retain(|_, (_, snapshot)| !criteria.admits(&snapshot.meta));
        Receipt::ready(Ok(before - kept.snapshots.len()))
    }
}

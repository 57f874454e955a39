//! What becomes of each request of a group: decided by the rules that all journals share, and put into the group's buffer.

use super::group::{Outcome, Written};
use super::{Request, Writer};
use crate::frame::{Kind, Listed};
use crate::index::{BatchPlace, Place, SnapshotBody, SnapshotPlace};
use std::sync::atomic::Ordering;
use swarm_actors::journal::record::{Batch, Bytes};
use swarm_actors::journal::rules::{Decision, Stream};
use swarm_actors::journal::{
    Append, AppendError, Appended, Criteria, Head, InvalidAppend, JournalError, SEALED_VERSION,
    SEALING_BYTES, SNAPSHOT_BYTES_MAX, Seq, Snapshot, StreamName, Tag,
};

impl Writer {
    pub(super) fn take(&mut self, request: Request, now_ms: u64) {
        match request {
            Request::Append(append, answer) => {
                self.shared.release(append.bytes());
                let class = append.class;
                let result = self.append(&append, now_ms);
                self.group
                    .outcomes
                    .push(Outcome::Appended(result, answer, class));
            }
            Request::Truncate(name, up_to, ends, answer) => {
                let head = self.truncate(&name, up_to, ends, now_ms);
                self.group.outcomes.push(Outcome::Truncated(head, answer));
            }
            Request::Snapshot(snapshot, answer) => {
                self.shared
                    .release(snapshot.payload.len() + snapshot.note.len());
                let bytes = snapshot.payload.len() + snapshot.note.len();
                let is_sealed = snapshot.meta.version >= SEALED_VERSION;
                let added = if is_sealed { SEALING_BYTES } else { 0 };
                if bytes > SNAPSHOT_BYTES_MAX + added {
                    answer.send(Err(InvalidAppend::TooManyBytes { bytes }.into()));
                } else {
                    self.snapshot(&snapshot);
                    self.group.outcomes.push(Outcome::Saved(answer));
                }
            }
            Request::DeleteSnapshots(name, criteria, answer) => {
                let deleted = self.delete_snapshots(&name, criteria);
                self.group.outcomes.push(Outcome::Deleted(deleted, answer));
            }
            Request::Checkpoint(_) | Request::Freeze(_) | Request::Swap(..) | Request::Close => {}
        }
    }

    fn append(&mut self, append: &Append, now_ms: u64) -> Result<Appended, AppendError> {
        let number = self.numbers.get(&append.stream).copied();
        if let Some(damage) = number.and_then(|number| self.shared.damage(number)) {
            return Err(JournalError::Damaged(damage).into());
        }
        let decision = match number {
            Some(number) => {
                self.streams[number as usize - 1].decide(append, self.next_position, now_ms)?
            }
            None => match Stream::new(append.stream.clone()).decide(
                append,
                self.next_position,
                now_ms,
            )? {
                Decision::Write(batch) => Decision::Write(batch),
                Decision::Repeat(appended) => return Ok(appended),
            },
        };
        match decision {
            Decision::Write(batch) => {
                let number = self.number(&append.stream);
                Ok(self.batch(number, &batch))
            }
            Decision::Repeat(appended) => Ok(appended),
        }
    }

    fn number(&mut self, name: &StreamName) -> u64 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.streams.push(Stream::new(name.clone()));
        let number = self.streams.len() as u64;
        self.numbers.insert(name.clone(), number);
        self.group
            .written
            .push(Written::Named(number, name.clone()));
        number
    }

    /// Puts a frame of a stream, and its name before the first in this segment.
    fn put(
        &mut self,
        kind: Kind,
        number: u64,
        seq: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> (u64, u32) {
        let Self {
            group,
            active,
            streams,
            next_number,
            ..
        } = self;
        if let Some(active) = active
            && active.named.insert(number)
        {
            let name = streams[number as usize - 1].name().clone();
            group.buffer.put(Kind::Name, *next_number, number, |out| {
                out.extend(name.as_str().as_bytes());
            });
            group.listed.push(Listed {
                kind: Kind::Name as u8,
                stream: number,
                seq: 0,
            });
            *next_number += 1;
        }
        let put = group.buffer.put(kind, *next_number, number, write);
        group.listed.push(Listed {
            kind: kind as u8,
            stream: number,
            seq,
        });
        *next_number += 1;
        self.dirty.insert(number);
        put
    }

    fn segment(&self) -> u64 {
        self.active
            .as_ref()
            .map_or(0, |active| active.segment.key())
    }

    fn batch(&mut self, number: u64, batch: &Batch<'_>) -> Appended {
        let (offset, sum) = self.put(Kind::Batch, number, batch.first_seq, |out| {
            batch.encode(out)
        });
        let segment = self.segment();
        for (event, position) in batch.events.iter().zip(batch.position..) {
            for tag in event.tags.iter().filter_map(|tag| Tag::new(tag).ok()) {
                self.group
                    .written
                    .push(Written::Tagged(tag, position, Place { segment, offset }));
            }
        }
        self.next_position = batch.position + batch.events.len() as u64;
        self.group.written.push(Written::Batch(
            number,
            batch.batch,
            BatchPlace {
                segment: segment as u32,
                offset: offset as u32,
                first_seq: batch.first_seq,
            },
        ));
        self.streams[number as usize - 1].apply(batch, sum)
    }

    fn truncate(
        &mut self,
        name: &StreamName,
        up_to: Seq,
        ends: Option<(u64, u32, u64)>,
        now_ms: u64,
    ) -> Head {
        let Some(number) = self.numbers.get(name).copied() else {
            return Stream::new(name.clone()).head();
        };
        let stream = &self.streams[number as usize - 1];
        if let Some(batch) = stream.truncate(up_to, ends, self.next_position, now_ms) {
            let before = stream.head().truncated_batch;
            self.batch(number, &batch);
            let after = self.streams[number as usize - 1].head().truncated_batch;
            self.shared
                .died
                .fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        }
        self.streams[number as usize - 1].head()
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        let number = self.number(&snapshot.stream);
        let body = SnapshotBody {
            meta: snapshot.meta,
            note: Bytes(&snapshot.note),
            payload: Bytes(&snapshot.payload),
        };
        let (offset, _) = self.put(Kind::Snapshot, number, snapshot.meta.seq.0, |out| {
            // A vector is never full.
            let _ = postcard::to_io(&body, out);
        });
        let place = SnapshotPlace {
            meta: snapshot.meta,
            place: Place {
                segment: self.segment(),
                offset,
            },
        };
        self.group.written.push(Written::Snapshot(number, place));
    }

    fn delete_snapshots(&mut self, name: &StreamName, criteria: Criteria) -> usize {
        let Some(number) = self.numbers.get(name).copied() else {
            return 0;
        };
        // What this very group has saved is not in the index yet.
        let mut metas = self.shared.snapshots(number);
        for written in &self.group.written {
            match written {
                Written::Snapshot(of, place) if *of == number => {
                    metas.retain(|meta| meta.seq != place.meta.seq);
                    metas.push(place.meta);
                }
                Written::Deleted(of, gone) if *of == number => {
                    metas.retain(|meta| !gone.contains(&meta.seq.0));
                }
                _ => {}
            }
        }
        metas.retain(|meta| criteria.admits(meta));
        let gone: Vec<u64> = metas.iter().map(|meta| meta.seq.0).collect();
        if !gone.is_empty() {
            self.shared
                .died
                .fetch_add(gone.len() as u64, Ordering::Relaxed);
            self.put(Kind::Deleted, number, 0, |out| {
                let _ = postcard::to_io(&gone, out);
            });
            self.group
                .written
                .push(Written::Deleted(number, gone.clone()));
        }
        gone.len()
    }
}

//! One write and one sync for the group, and then everybody is told.

use super::Writer;
use super::group::{Outcome, Written};
use crate::frame::Kind;
use crate::index::{Known, Place};
use std::sync::atomic::Ordering;
use swarm_actors::journal::{Class, JournalError};

impl Writer {
    /// Writes and syncs what the group has put, and tells everybody.
    pub(super) fn commit(&mut self) -> Result<(), JournalError> {
        if !self.group.listed.is_empty() {
            let listed = std::mem::take(&mut self.group.listed);
            self.group
                .buffer
                .put(Kind::GroupEnd, self.next_number, 0, |out| {
                    let _ = postcard::to_io(&listed, out);
                });
            self.next_number += 1;
            self.group.listed = listed;
            self.group.listed.clear();
            self.write()?;
        }
        for outcome in self.group.outcomes.drain(..) {
            outcome.tell();
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), JournalError> {
        let bytes = &self.group.buffer.bytes;
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let end = active.offset + bytes.len() as u64;
        if end > active.filled && self.shared.options.preallocate > 0 {
            active.fill(end, &self.shared)?;
        }
        active.file.write_at(active.offset, bytes)?;
        self.tell_relaxed();
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        active.file.sync_data()?;
        active.offset = end;
        active.filled = active.filled.max(end);
        self.since_checkpoint += self.group.buffer.bytes.len() as u64;
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        self.publish();
        Ok(())
    }

    /// Answers those who do not wait for the disk.
    fn tell_relaxed(&mut self) {
        let mut rest = Vec::with_capacity(self.group.outcomes.len());
        for outcome in self.group.outcomes.drain(..) {
            match outcome {
                Outcome::Appended(_, _, Class::Relaxed) => outcome.tell(),
                outcome => rest.push(outcome),
            }
        }
        self.group.outcomes = rest;
    }

    fn publish(&mut self) {
        let mut index = self.shared.index.write();
        for written in self.group.written.drain(..) {
            match written {
                Written::Named(number, name) => {
                    index.numbers.insert(name.clone(), number);
                    index.known.push(Known::new(name));
                }
                Written::Batch(number, batch, place) => {
                    if let Some(known) = index.by_number(number) {
                        known.place(batch, place);
                        known.is_dirty = true;
                        self.streams[number as usize - 1].head_into(&mut known.head);
                    }
                }
                Written::Tagged(tag, position, place) => {
                    index.tags.insert((tag, position), place);
                }
                Written::Snapshot(number, place) => {
                    if let Some(known) = index.by_number(number) {
                        known.is_dirty = true;
                        known
                            .snapshots
                            .get_or_insert_default()
                            .insert(place.meta.seq.0, place);
                    }
                }
                Written::Deleted(number, gone) => {
                    if let Some(known) = index.by_number(number)
                        && let Some(snapshots) = &mut known.snapshots
                    {
                        known.is_dirty = true;
                        snapshots.retain(|seq, _| !gone.contains(seq));
                    }
                }
            }
        }
        index.next_position = self.next_position;
        if let Some(active) = &self.active {
            index.end = Place {
                segment: active.segment.key(),
                offset: active.offset,
            };
        }
    }
}

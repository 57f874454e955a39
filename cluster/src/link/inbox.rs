//! The receiving half of a link: each item once, messages put together from their pieces, and no more held than the bounds say.

use super::frame::{Chunk, Part};
use super::session::Violation;
use super::{Limits, MESSAGE_BYTES_MAX, Message};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use swarm_protocols::Address;

pub(super) struct Inbox {
    limits: Limits,
    received: u64,
    /// Messages of which pieces are still to come: how long each is, and what is there.
    partial: BTreeMap<(Address, Address), (usize, BytesMut)>,
    /// What all messages weigh that were received and not taken, begun ones with their full length.
    held: usize,
}

impl Inbox {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            received: 0,
            partial: BTreeMap::new(),
            held: 0,
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether an item is the next one. Earlier ones were received before the connection broke.
    pub(super) fn is_next(&mut self, number: u64) -> Result<bool, Violation> {
        if number <= self.received {
            return Ok(false);
        }
        if number != self.received + 1 {
            return Err(Violation::Gap {
                expected: self.received + 1,
                found: number,
            });
        }
        self.received = number;
        Ok(true)
    }

    pub(super) fn chunk(&mut self, chunk: Chunk) -> Result<Option<Message>, Violation> {
        let pair = (chunk.sender, chunk.receiver);
        match chunk.part {
            Part::Whole => {
                if self.partial.contains_key(&pair) {
                    return Err(Violation::Pieces);
                }
                self.hold(chunk.bytes.len())?;
                Ok(Some(message(pair, chunk.bytes)))
            }
            Part::First(total) => {
                let total = total as usize;
                if self.partial.contains_key(&pair) || total > MESSAGE_BYTES_MAX {
                    return Err(Violation::Pieces);
                }
                self.hold(total)?;
                // Room is made as pieces arrive: to announce much and send nothing costs the peer only its own window.
                let mut begun = BytesMut::with_capacity(chunk.bytes.len() * 2);
                begun.extend_from_slice(&chunk.bytes);
                self.partial.insert(pair, (total, begun));
                Ok(None)
            }
            Part::Middle | Part::Last => {
                let is_last = chunk.part == Part::Last;
                let Some((total, begun)) = self.partial.get_mut(&pair) else {
                    return Err(Violation::Pieces);
                };
                let length = begun.len() + chunk.bytes.len();
                if length > *total || is_last != (length == *total) {
                    return Err(Violation::Pieces);
                }
                begun.extend_from_slice(&chunk.bytes);
                if !is_last {
                    return Ok(None);
                }
                let whole = self.partial.remove(&pair).map(|(_, bytes)| bytes);
                Ok(whole.map(|bytes| message(pair, bytes.freeze())))
            }
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Violation> {
        let weight = bytes + super::MESSAGE_OVERHEAD;
        if self.held != 0 && self.held + weight > self.limits.link_bytes as usize {
            return Err(Violation::Window { held: self.held });
        }
        self.held += weight;
        Ok(())
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }
}

fn message((sender, receiver): (Address, Address), body: Bytes) -> Message {
    Message {
        sender,
        receiver,
        body,
    }
}

//! The sending half of a link: what was accepted, whose turn it is, and what must be sent again if the connection breaks.

use super::fold::Fixed;
use super::frame::{Part, RELEASED_MAX, Released, put_chunk, put_released};
use super::{CHUNK_BYTES, Limits, MESSAGE_BYTES_MAX, Message};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use swarm_protocols::Address;

/// Sender and receiver: what order is kept for.
type Pair = (Address, Address);

/// Which part of a bound is much: the sender has the rest of it while the word about this part is on its way.
const MUCH: u32 = 8;

/// Why a message was not accepted. Nothing was changed; the message is handed back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As much is under way to its receiver, or on this link, as may be. Try again when there is room.
    #[error("the link has no room for it now")]
    Full(Message),
    /// Larger than any message that a link takes. Trying again is of no use.
    #[error("a message of {} bytes, more than {MESSAGE_BYTES_MAX}", .0.body.len())]
    TooLarge(Message),
}

#[derive(Default)]
struct UnderWay {
    messages: u32,
    bytes: usize,
}

#[derive(Default)]
struct PairQueue {
    messages: VecDeque<Message>,
    /// How much of the first one has been put into chunks.
    sent: usize,
    /// How much this pair has sent in its present turn.
    turn: usize,
}

impl PairQueue {
    /// The next message, or the next piece of it, and what it counts.
    fn next_item(&mut self, pair: Pair) -> Option<(KeptItem, usize)> {
        let message = self.messages.front()?;
        let total = message.body.len();
        if total <= CHUNK_BYTES {
            let message = self.messages.pop_front()?;
            return Some((KeptItem::Whole(message), total + super::MESSAGE_OVERHEAD));
        }
        let (from, end) = (self.sent, total.min(self.sent + CHUNK_BYTES));
        let bytes = message.body.slice(from..end);
        let part = match (from, end == total) {
            (0, _) => Part::First(u32::try_from(total).unwrap_or(u32::MAX)),
            (_, false) => Part::Middle,
            (_, true) => Part::Last,
        };
        self.sent = end;
        let mut ends = None;
        if end == total {
            self.sent = 0;
            ends = self.messages.pop_front();
        }
        let item = KeptItem::Piece {
            pair,
            part,
            bytes,
            ends,
        };
        Some((item, end - from + super::MESSAGE_OVERHEAD))
    }
}

/// An item that the peer has not acknowledged.
struct Kept {
    item: KeptItem,
    bytes: usize,
}

enum KeptItem {
    /// A message in one piece.
    Whole(Message),
    /// A piece of one.
    Piece {
        pair: Pair,
        part: Part,
        bytes: Bytes,
        /// The message, with its last piece: it is lost if that is.
        ends: Option<Message>,
    },
    Released(Vec<Released>),
}

impl KeptItem {
    fn encode(&self, number: u64, out: &mut BytesMut) {
        match self {
            Self::Whole(message) => {
                let pair = (message.sender, message.receiver);
                put_chunk(out, number, pair, Part::Whole, &message.body);
            }
            Self::Piece {
                pair, part, bytes, ..
            } => put_chunk(out, number, *pair, *part, bytes),
            Self::Released(released) => put_released(out, number, released),
        }
    }

    /// The message that is lost if this is.
    fn into_ended(self) -> Option<Message> {
        match self {
            Self::Whole(message) => Some(message),
            Self::Piece { ends, .. } => ends,
            Self::Released(_) => None,
        }
    }
}

pub(super) struct Outbox {
    limits: Limits,
    under_way: HashMap<Address, UnderWay, Fixed>,
    under_way_bytes: usize,
    pairs: HashMap<Pair, PairQueue, Fixed>,
    /// The pairs that have something to send, in order of their turns. Each is in it once.
    turns: VecDeque<Pair>,
    /// What mailboxes here have taken, to be told to the peer. At most as many entries as messages were under way to here.
    released: BTreeMap<Address, (u32, u32)>,
    /// How many bytes they are.
    released_bytes: usize,
    /// Whether it is so much that the peer should know of it now.
    is_much_released: bool,
    /// Numbers `acked + 1` and on.
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    acked: u64,
    /// How many of `kept` have been handed out on this connection.
    flown: usize,
    /// Their bytes.
    flight_bytes: usize,
    /// When the first of them was handed out, or the last acknowledgement let them go on.
    flying_since: Duration,
}

impl Outbox {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            under_way: HashMap::default(),
            under_way_bytes: 0,
            pairs: HashMap::default(),
            turns: VecDeque::new(),
            released: BTreeMap::new(),
            released_bytes: 0,
            is_much_released: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            acked: 0,
            flown: 0,
            flight_bytes: 0,
            flying_since: Duration::ZERO,
        }
    }

    pub(super) fn offer(&mut self, message: Message) -> Result<(), Refused> {
        if message.body.len() > MESSAGE_BYTES_MAX {
            return Err(Refused::TooLarge(message));
        }
        if !self.has_room(message.receiver, message.weight()) {
            return Err(Refused::Full(message));
        }
        let weight = message.weight();
        let under_way = self.under_way.entry(message.receiver).or_default();
        under_way.messages += 1;
        under_way.bytes += weight;
        self.under_way_bytes += weight;
        let pair = (message.sender, message.receiver);
        let queue = self.pairs.entry(pair).or_default();
        if queue.messages.is_empty() {
            self.turns.push_back(pair);
        }
        queue.messages.push_back(message);
        Ok(())
    }

    fn has_room(&self, receiver: Address, weight: usize) -> bool {
        // An idle link lets one message of any size through.
        if self.under_way_bytes != 0
            && self.under_way_bytes + weight > self.limits.link_bytes as usize
        {
            return false;
        }
        self.under_way.get(&receiver).is_none_or(|under_way| {
            under_way.messages < self.limits.receiver_messages
                && under_way.bytes + weight <= self.limits.receiver_bytes as usize
        })
    }

    /// Notes what a mailbox here has taken.
    pub(super) fn note_released(&mut self, receiver: Address, messages: u32, bytes: u32) {
        let entry = self.released.entry(receiver).or_default();
        entry.0 = entry.0.saturating_add(messages);
        entry.1 = entry.1.saturating_add(bytes);
        self.released_bytes = self.released_bytes.saturating_add(bytes as usize);
        self.is_much_released |= entry.0 >= self.limits.receiver_messages / MUCH
            || entry.1 >= self.limits.receiver_bytes / MUCH
            || self.released_bytes >= (self.limits.link_bytes / MUCH) as usize;
    }

    /// What the peer's mailboxes have taken makes room here. False when it says more than was under way.
    pub(super) fn make_room(&mut self, released: &[Released]) -> bool {
        for entry in released {
            let receiver = Address(u128::from_le_bytes(entry.receiver));
            let bytes = entry.bytes as usize;
            let Some(under_way) = self.under_way.get_mut(&receiver) else {
                return false;
            };
            if under_way.messages < entry.messages || under_way.bytes < bytes {
                return false;
            }
            under_way.messages -= entry.messages;
            under_way.bytes -= bytes;
            self.under_way_bytes -= bytes;
            if under_way.messages == 0 {
                self.under_way.remove(&receiver);
            }
        }
        true
    }

    /// Writes the next item for the connection: first what an earlier one may have lost, then what is new. False when there is none
    /// that may go.
    pub(super) fn write(&mut self, with_released: bool, now: Duration, out: &mut BytesMut) -> bool {
        if self.flight_bytes >= self.limits.flight_bytes as usize {
            return false;
        }
        if self.flown == self.kept.len() {
            let Some(fresh) = self.fresh(with_released) else {
                return false;
            };
            self.kept_bytes += fresh.bytes;
            self.kept.push_back(fresh);
        }
        let Some(kept) = self.kept.get(self.flown) else {
            return false;
        };
        if self.flown == 0 {
            self.flying_since = now;
        }
        self.flown += 1;
        self.flight_bytes += kept.bytes;
        kept.item.encode(self.acked + self.flown as u64, out);
        true
    }

    pub(super) fn has_new(&self) -> bool {
        !self.turns.is_empty() || self.flown < self.kept.len()
    }

    /// Since when the peer has something to acknowledge.
    pub(super) fn waits_since(&self) -> Option<Duration> {
        (self.flown > 0).then_some(self.flying_since)
    }

    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Whether a part of some bound was taken that is worth a frame of its own.
    pub(super) fn has_much_released(&self) -> bool {
        self.is_much_released
    }

    fn fresh(&mut self, with_released: bool) -> Option<Kept> {
        if with_released && !self.released.is_empty() {
            return Some(self.fresh_released());
        }
        let pair = *self.turns.front()?;
        let queue = self.pairs.get_mut(&pair)?;
        let (item, bytes) = queue.next_item(pair)?;
        queue.turn += bytes;
        if queue.messages.is_empty() {
            self.pairs.remove(&pair);
            self.turns.pop_front();
        } else if queue.turn >= CHUNK_BYTES {
            queue.turn = 0;
            self.turns.rotate_left(1);
        }
        Some(Kept { item, bytes })
    }

    fn fresh_released(&mut self) -> Kept {
        let mut list = Vec::with_capacity(self.released.len().min(RELEASED_MAX));
        while list.len() < RELEASED_MAX
            && let Some((receiver, (messages, bytes))) = self.released.pop_first()
        {
            list.push(Released {
                receiver: receiver.0.to_le_bytes(),
                messages,
                bytes,
            });
        }
        if self.released.is_empty() {
            self.released_bytes = 0;
            self.is_much_released = false;
        }
        let bytes = list.len() * size_of::<Released>();
        Kept {
            item: KeptItem::Released(list),
            bytes,
        }
    }

    /// The peer has received all up to `number`. False when that was never sent.
    pub(super) fn acknowledged(&mut self, number: u64) -> bool {
        if number <= self.acked {
            // Said before.
            return true;
        }
        if number - self.acked > self.flown as u64 {
            return false;
        }
        while self.acked < number {
            let Some(kept) = self.kept.pop_front() else {
                return false;
            };
            self.acked += 1;
            self.flown -= 1;
            self.flight_bytes -= kept.bytes;
            self.kept_bytes -= kept.bytes;
        }
        true
    }

    /// The connection is gone: what flew on it may have to fly again.
    pub(super) fn ground(&mut self) {
        self.flown = 0;
        self.flight_bytes = 0;
    }

    /// A new connection on which the peer has received all up to `received`: what is after it is sent again. False when that does
    /// not fit what was ever sent.
    pub(super) fn resume(&mut self, received: u64) -> bool {
        // On the connections before all of it may have been handed out.
        self.flown = self.kept.len();
        self.flight_bytes = self.kept_bytes;
        let fits = received >= self.acked && self.acknowledged(received);
        self.ground();
        fits
    }

    /// Gives up: what is not known to have arrived, in the order of each pair.
    pub(super) fn give_up(&mut self) -> Vec<Message> {
        let kept = self.kept.drain(..);
        let mut lost: Vec<Message> = kept.filter_map(|kept| kept.item.into_ended()).collect();
        for pair in std::mem::take(&mut self.turns) {
            lost.extend(
                self.pairs
                    .remove(&pair)
                    .into_iter()
                    .flat_map(|queue| queue.messages),
            );
        }
        *self = Self::new(self.limits);
        lost
    }

    pub(super) fn under_way_bytes(&self) -> usize {
        self.under_way_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Decoder, Frame, Item};

    /// What goes next.
    fn next(outbox: &mut Outbox) -> Option<Item> {
        let mut decoder = Decoder::default();
        if !outbox.write(false, Duration::ZERO, decoder.buffer()) {
            return None;
        }
        match decoder.frame() {
            Ok(Some(Frame::Item(_, item))) => Some(item),
            other => panic!("{other:?}"),
        }
    }

    fn message(sender: u128, receiver: u128, bytes: usize) -> Message {
        Message {
            sender: Address(sender),
            receiver: Address(receiver),
            body: Bytes::from(vec![0; bytes]),
        }
    }

    fn limits() -> Limits {
        Limits {
            link_bytes: 1000,
            receiver_bytes: 300,
            receiver_messages: 3,
            flight_bytes: 1 << 30,
        }
    }

    fn released(receiver: u128, messages: u32, bytes: u32) -> Released {
        Released {
            receiver: receiver.to_le_bytes(),
            messages,
            bytes,
        }
    }

    #[test]
    fn no_more_is_accepted_for_one_receiver_than_its_bound_until_it_took_something() {
        let mut outbox = Outbox::new(limits());
        for _ in 0..3 {
            assert_eq!(outbox.offer(message(1, 9, 0)), Ok(()));
        }
        assert!(matches!(
            outbox.offer(message(2, 9, 0)),
            Err(Refused::Full(_))
        ));
        assert_eq!(
            outbox.offer(message(2, 8, 0)),
            Ok(()),
            "others have their own room"
        );
        assert!(outbox.make_room(&[released(9, 1, 64)]));
        assert_eq!(outbox.offer(message(2, 9, 0)), Ok(()));
    }

    #[test]
    fn a_message_beyond_the_receivers_bound_goes_alone() {
        let mut outbox = Outbox::new(limits());
        assert_eq!(outbox.offer(message(1, 9, 800)), Ok(()));
        assert!(matches!(
            outbox.offer(message(1, 9, 0)),
            Err(Refused::Full(_))
        ));
        assert!(matches!(
            outbox.offer(message(1, 8, 200)),
            Err(Refused::Full(_))
        ));
        assert!(outbox.make_room(&[released(9, 1, 864)]));
        assert_eq!(outbox.offer(message(1, 9, 0)), Ok(()));
    }

    #[test]
    fn a_peer_that_releases_more_than_was_under_way_is_found_out() {
        let mut outbox = Outbox::new(limits());
        assert_eq!(outbox.offer(message(1, 9, 0)), Ok(()));
        assert!(!outbox.make_room(&[released(9, 2, 64)]));
        assert!(!outbox.make_room(&[released(7, 1, 64)]));
    }

    #[test]
    fn chunks_of_a_big_message_take_turns_with_other_pairs_and_not_within_their_own() {
        let mut outbox = Outbox::new(Limits::default());
        let big = 3 * CHUNK_BYTES;
        assert_eq!(outbox.offer(message(1, 9, big)), Ok(()));
        assert_eq!(outbox.offer(message(1, 9, 1)), Ok(()));
        assert_eq!(outbox.offer(message(2, 9, 2)), Ok(()));
        let mut seen = Vec::new();
        while let Some(Item::Chunk(chunk)) = next(&mut outbox) {
            seen.push((chunk.sender.0, chunk.part));
        }
        let first = Part::First(u32::try_from(big).expect("fits"));
        assert_eq!(
            seen,
            [
                (1, first),
                (2, Part::Whole),
                (1, Part::Middle),
                (1, Part::Last),
                (1, Part::Whole)
            ]
        );
    }

    #[test]
    fn what_is_given_up_is_each_message_once_whatever_of_it_was_sent() {
        let mut outbox = Outbox::new(Limits::default());
        for (sender, bytes) in [(1, 5), (2, 3 * CHUNK_BYTES), (1, 6), (3, 7)] {
            assert_eq!(outbox.offer(message(sender, 9, bytes)), Ok(()));
        }
        // The first message and a piece of the second.
        for _ in 0..3 {
            assert!(next(&mut outbox).is_some());
        }
        assert!(outbox.acknowledged(1));
        let mut lost: Vec<usize> = outbox.give_up().iter().map(|m| m.body.len()).collect();
        lost.sort_unstable();
        assert_eq!(lost, [6, 7, 3 * CHUNK_BYTES]);
        assert_eq!(outbox.under_way_bytes(), 0);
    }

    #[test]
    fn an_acknowledgement_of_what_was_never_sent_is_refused() {
        let mut outbox = Outbox::new(Limits::default());
        assert_eq!(outbox.offer(message(1, 9, 1)), Ok(()));
        assert!(!outbox.acknowledged(1));
        assert!(next(&mut outbox).is_some());
        assert!(outbox.acknowledged(1));
        assert!(!outbox.acknowledged(2));
    }
}

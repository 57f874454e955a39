//! One lane of the link between two nodes: a state machine over connections that come and go.

use super::frame::{Frame, Item};
use super::hello::{Hello, HelloError, Lane, WIRE_VERSIONS};
use super::inbox::Inbox;
use super::outbox::{Outbox, Refused};
use super::{Limits, Message};
use crate::identity::{BootId, NodeId};
use bytes::BytesMut;
use std::time::Duration;
use swarm_protocols::{Address, Name};

/// How long an acknowledgement, or the word that something was taken, may wait for something to travel with.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(10);
/// After how many items it waits no longer.
const ACK_ITEMS: u64 = 128;
/// After how many bytes it waits no longer, as a part of the peer's flight window.
const ACK_FLIGHT_PART: usize = 8;

/// What the peer did that a peer that follows the protocol does not do. The connection must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame before the hello, or a second hello.
    #[error("a hello where none may be, or none where one must be")]
    Hello,
    /// An item is missing.
    #[error("item {found} where {expected} was due")]
    Gap {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// Pieces that make no message.
    #[error("pieces that make no message")]
    Pieces,
    /// More than it may send before something was taken.
    #[error("more than the window allows; {held} bytes are held")]
    Window {
        /// What is held for it.
        held: usize,
    },
    /// It acknowledged, or released, what was never sent.
    #[error("it acknowledged what was never sent")]
    Acknowledged,
}

/// What became of what was under way when an epoch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The process with which the epoch was shared, where it had been met.
    pub peer: Option<BootId>,
    /// What is not known to have arrived; each pair's in order. It never arrives any more.
    pub lost: Vec<Message>,
}

/// A connection is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who is at the other end.
    pub peer: NodeId,
    /// The version to speak.
    pub version: u16,
    /// What was given up, when the peer restarted or had given this side up. Bonds over this link are broken then.
    pub broken: Option<Broken>,
    /// Whether the peer's hello names the epoch that this side is in. The side that dialled closes the connection if not, and dials
    /// again; the side that was dialled goes on, as its own hello tells the peer.
    pub is_agreed: bool,
    /// How many items were received before this connection and go on from there. 0 on the first one of an epoch.
    pub resumed_at: u64,
}

/// What a hello says about the epochs, seen from here.
struct Theirs {
    epoch: u32,
    /// This side's epoch, as the peer knows it.
    knows: u32,
    received: u64,
}

impl Theirs {
    fn of(hello: &Hello, me: BootId) -> Self {
        match hello.peer_boot {
            Some(boot) if boot == me => Self {
                epoch: hello.epoch,
                knows: hello.peer_epoch,
                received: hello.received,
            },
            // What it says is about the process before this one. It begins anew when it hears of this one.
            Some(_) => Self {
                epoch: 1,
                knows: 1,
                received: 0,
            },
            None => Self {
                epoch: hello.epoch,
                knows: 1,
                received: 0,
            },
        }
    }
}

/// What a frame brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that the driver must act on.
    Nothing,
    /// A message for somebody here. It counts as held until [`Link::release`].
    Message(Message),
    /// There is room for more: whoever waits may try again.
    Room,
    /// The answer to the ping with this token.
    Pong(u64),
    /// The peer closes the connection.
    Goodbye(super::Goodbye),
}

/// One lane of the link from this node to one other. Times are since any fixed moment, the same for all calls.
pub struct Link {
    me: NodeId,
    cluster: u128,
    peer: Name,
    lane: Lane,
    limits: Limits,
    /// Oldest and newest.
    versions: (u16, u16),
    peer_boot: Option<BootId>,
    /// It was given up, and no connection has been made since.
    is_given_up: bool,
    epoch: u32,
    peer_epoch: u32,
    outbox: Outbox,
    inbox: Inbox,
    is_open: bool,
    /// Received and not yet acknowledged on this connection: how many items, how many bytes, and since when.
    unacked_items: u64,
    unacked_bytes: usize,
    ack_since: Option<Duration>,
    /// Since when the peer is owed the word that something was taken.
    release_since: Option<Duration>,
    pings: Vec<Frame>,
    heard_at: Duration,
}

/// How many pings and pongs wait to be sent at most; further ones are left out.
const PINGS_MAX: usize = 16;

impl Link {
    /// A link to `peer` on which nothing has happened.
    #[must_use]
    pub fn new(me: NodeId, cluster: u128, peer: Name, lane: Lane, limits: Limits) -> Self {
        Self {
            me,
            cluster,
            peer,
            lane,
            limits,
            versions: WIRE_VERSIONS,
            peer_boot: None,
            is_given_up: false,
            epoch: 1,
            peer_epoch: 1,
            outbox: Outbox::new(limits),
            inbox: Inbox::new(limits),
            is_open: false,
            unacked_items: 0,
            unacked_bytes: 0,
            ack_since: None,
            release_since: None,
            pings: Vec::new(),
            heard_at: Duration::ZERO,
        }
    }

    /// The same of a node that speaks other versions than this build: in tests of upgrades.
    #[must_use]
    pub fn speaking(mut self, versions: (u16, u16)) -> Self {
        self.versions = versions;
        self
    }

    /// Takes a message over. From here on it arrives once, in order, or is in a [`Broken`].
    ///
    /// # Errors
    /// [`Refused`], with the message.
    pub fn offer(&mut self, message: Message) -> Result<(), Refused> {
        self.outbox.offer(message)
    }

    /// What to say first on a new connection.
    #[must_use]
    pub fn hello(&self) -> Hello {
        Hello {
            versions: self.versions,
            cluster: self.cluster,
            node: self.me.clone(),
            to: self.peer.clone(),
            lane: self.lane,
            epoch: self.epoch,
            peer_epoch: self.peer_epoch,
            peer_boot: self.peer_boot,
            received: self.inbox.received(),
            limits: self.limits,
        }
    }

    /// The peer's hello has arrived on a new connection: the one before, if there is one, counts no more. The side that was dialled
    /// calls this before it makes its own hello.
    ///
    /// # Errors
    /// [`HelloError`]; the link is as it was.
    pub fn opened(&mut self, hello: &Hello) -> Result<Opened, HelloError> {
        let version = self.check(hello)?;
        self.closed();
        let mut broken = None;
        if self.peer_boot.is_some_and(|known| known != hello.node.boot) {
            if self.is_given_up {
                // What waits was taken over after the process before was given up: it is for this one.
                self.inbox = Inbox::new(self.limits);
                self.epoch = 1;
            } else {
                broken = Some(self.begin_epoch(1));
            }
            self.peer_epoch = 1;
        }
        self.is_given_up = false;
        self.peer_boot = Some(hello.node.boot);
        let theirs = Theirs::of(hello, self.me.boot);
        if theirs.epoch != self.peer_epoch {
            // It has given this side up since: what this side had sent goes too.
            let gave_up = self.begin_epoch(self.epoch);
            self.peer_epoch = theirs.epoch;
            broken.get_or_insert(gave_up);
        }
        let knows_epoch = theirs.knows == self.epoch;
        let fits = self
            .outbox
            .resume(if knows_epoch { theirs.received } else { 0 });
        if !fits {
            // What it says it has does not fit what was sent: only a new epoch is safe.
            let gave_up = self.begin_epoch(self.epoch + 1);
            broken.get_or_insert(gave_up);
        }
        self.is_open = true;
        Ok(Opened {
            peer: hello.node.clone(),
            version,
            broken,
            is_agreed: knows_epoch && fits,
            resumed_at: self.inbox.received(),
        })
    }

    fn check(&self, hello: &Hello) -> Result<u16, HelloError> {
        let Some(version) = hello.common_version(self.versions) else {
            return Err(HelloError::Version {
                theirs: hello.versions,
                ours: self.versions,
            });
        };
        if hello.cluster != self.cluster {
            return Err(HelloError::OtherCluster {
                theirs: hello.cluster,
            });
        }
        if hello.node.name != self.peer {
            return Err(HelloError::OtherNode {
                expected: self.peer.clone(),
                found: hello.node.name.clone(),
            });
        }
        if hello.to != self.me.name {
            return Err(HelloError::OtherNode {
                expected: hello.to.clone(),
                found: self.me.name.clone(),
            });
        }
        if hello.limits != self.limits {
            return Err(HelloError::OtherLimits {
                theirs: hello.limits,
            });
        }
        Ok(version)
    }

    /// The connection is gone. What was not acknowledged is sent again on the next one.
    pub fn closed(&mut self) {
        self.is_open = false;
        self.outbox.ground();
        self.unacked_items = 0;
        self.unacked_bytes = 0;
        self.ack_since = None;
        self.release_since = None;
        self.pings.clear();
    }

    /// Gives the peer up: a new epoch begins. With `boot`, only if it is that process with which the link runs, or if the peer has
    /// not been met.
    pub fn down(&mut self, boot: Option<BootId>) -> Option<Broken> {
        if let (Some(boot), Some(known)) = (boot, self.peer_boot)
            && boot != known
        {
            return None;
        }
        self.closed();
        self.is_given_up = true;
        // Also one that was never met here: with another one nothing of this counts.
        self.peer_boot = self.peer_boot.or(boot);
        Some(self.begin_epoch(self.epoch + 1))
    }

    fn begin_epoch(&mut self, epoch: u32) -> Broken {
        let broken = Broken {
            peer: self.peer_boot,
            lost: self.outbox.give_up(),
        };
        self.inbox = Inbox::new(self.limits);
        self.epoch = epoch;
        broken
    }

    /// A frame has arrived on the open connection.
    ///
    /// # Errors
    /// [`Violation`]: close the connection. What was received before it counts.
    pub fn handle(&mut self, frame: Frame, now: Duration) -> Result<Heard, Violation> {
        if !self.is_open {
            return Err(Violation::Hello);
        }
        match frame {
            Frame::Hello(_) => Err(Violation::Hello),
            Frame::Item(number, item) => self.item(number, item, now),
            Frame::Ack(number) => {
                if self.outbox.acknowledged(number) {
                    Ok(Heard::Nothing)
                } else {
                    Err(Violation::Acknowledged)
                }
            }
            Frame::Ping(token) => {
                self.say(Frame::Pong(token));
                Ok(Heard::Nothing)
            }
            Frame::Pong(token) => Ok(Heard::Pong(token)),
            Frame::Goodbye(goodbye) => Ok(Heard::Goodbye(goodbye)),
        }
    }

    fn item(&mut self, number: u64, item: Item, now: Duration) -> Result<Heard, Violation> {
        if !self.inbox.is_next(number)? {
            return Ok(Heard::Nothing);
        }
        self.unacked_items += 1;
        self.ack_since.get_or_insert(now);
        match item {
            Item::Chunk(chunk) => {
                self.unacked_bytes += chunk.bytes.len() + super::MESSAGE_OVERHEAD;
                let message = self.inbox.chunk(chunk)?;
                Ok(message.map_or(Heard::Nothing, Heard::Message))
            }
            Item::Released(released) => {
                if self.outbox.make_room(&released) {
                    Ok(Heard::Room)
                } else {
                    Err(Violation::Acknowledged)
                }
            }
        }
    }

    /// A message that [`Heard::Message`] brought is held no longer: its receiver has it, or nobody ever will. `boot` and `epoch`
    /// are what [`Link::epoch`] said then: what belongs to an epoch that is over counts no more.
    pub fn release(
        &mut self,
        epoch: (BootId, u32, u32),
        receiver: Address,
        messages: u32,
        bytes: u32,
    ) {
        if self.epoch() != Some(epoch) {
            return;
        }
        self.inbox.release(bytes as usize);
        self.outbox.note_released(receiver, messages, bytes);
    }

    /// Which epoch it is: the peer's process, this side's and the peer's count. None before they have met.
    #[must_use]
    pub fn epoch(&self) -> Option<(BootId, u32, u32)> {
        self.peer_boot
            .map(|boot| (boot, self.epoch, self.peer_epoch))
    }

    /// Asks the peer for a pong with this token. False when no connection is open or too many wait.
    pub fn ping(&mut self, token: u64) -> bool {
        self.is_open && self.say(Frame::Ping(token))
    }

    fn say(&mut self, frame: Frame) -> bool {
        let has_room = self.pings.len() < PINGS_MAX;
        if has_room {
            self.pings.push(frame);
        }
        has_room
    }

    /// Appends the next frame to `out`, if one is due; false when none is.
    pub fn write(&mut self, now: Duration, out: &mut BytesMut) -> bool {
        if !self.is_open {
            return false;
        }
        if let Some(frame) = self.pings.pop() {
            frame.encode(out);
            return true;
        }
        let is_due = self.is_ack_due(now);
        let has_company = self.outbox.has_new();
        if self.unacked_items > 0 && (is_due || has_company) {
            self.unacked_items = 0;
            self.unacked_bytes = 0;
            self.ack_since = None;
            Frame::Ack(self.inbox.received()).encode(out);
            return true;
        }
        // What mailboxes have taken is told as soon as anything is; by itself when it is much or has waited.
        if self.outbox.has_released() {
            self.release_since.get_or_insert(now);
        }
        let with_released = is_due || has_company || self.is_release_due(now);
        let is_written = self.outbox.write(with_released, now, out);
        if !self.outbox.has_released() {
            self.release_since = None;
        }
        is_written
    }

    fn is_ack_due(&self, now: Duration) -> bool {
        self.unacked_items >= ACK_ITEMS
            || self.unacked_bytes >= self.limits.flight_bytes as usize / ACK_FLIGHT_PART
            || self.ack_since.is_some_and(|since| now >= since + ACK_DELAY)
    }

    /// The peer may be waiting for room that it does not know of. If it is not, its next sender is better woken for much than for one
    /// message: then a timer tells.
    fn is_release_due(&self, now: Duration) -> bool {
        self.outbox.has_much_released()
            || self
                .release_since
                .is_some_and(|since| now >= since + ACK_DELAY)
    }

    /// Whether [`Link::deadline`] takes into account that the peer is owed the word that something was taken. If not, a
    /// [`Link::release`] is to be followed by a [`Link::write`], which sets that deadline.
    #[must_use]
    pub fn is_release_timed(&self) -> bool {
        self.release_since.is_some()
    }

    /// Whether [`Link::write`] has something now.
    #[must_use]
    pub fn is_write_due(&self, now: Duration) -> bool {
        self.is_open
            && (self.outbox.has_new()
                || !self.pings.is_empty()
                || self.is_ack_due(now)
                || self.is_release_due(now))
    }

    /// Something has arrived from the peer.
    pub fn heard_at(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// Since when the peer owes a sign of life: none while everything that was sent is acknowledged.
    #[must_use]
    pub fn silent_since(&self) -> Option<Duration> {
        let sent = self.outbox.waits_since()?;
        Some(self.heard_at.max(sent))
    }

    /// When [`Link::write`] has a frame that it has not now, if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if !self.is_open {
            return None;
        }
        let since = self.ack_since.into_iter().chain(self.release_since).min();
        since.map(|since| since + ACK_DELAY)
    }

    /// Whether a connection is of use: something is to be sent.
    #[must_use]
    pub fn wants_connection(&self) -> bool {
        self.outbox.has_new() || self.outbox.has_released()
    }

    /// Whether a connection is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the peer was given up ([`Link::down`]), and no connection has been made since.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// What is accepted and not yet taken at the other end, in bytes with overhead.
    #[must_use]
    pub fn under_way_bytes(&self) -> usize {
        self.outbox.under_way_bytes()
    }

    /// What is held here for receivers that have not taken it yet, in bytes with overhead.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.inbox.held()
    }

    /// The peer's process, where it has been met.
    #[must_use]
    pub fn peer_boot(&self) -> Option<BootId> {
        self.peer_boot.filter(|_| !self.is_given_up)
    }
}

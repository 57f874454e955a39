//! What a committed turn sends. A cell's outgoing queue is made of these: each delivers itself, or waits in the receiver's
//! line until there is room.

use crate::cell::core::Announcement;
use crate::dead_letters::DeathCause;
use crate::letter::Letter;
use crate::mailbox::Reservation;
use crate::reference::{AclLetter, AgentRef, AnyRef, NotSent};
use crate::spec::WhenFull;
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// One committed effect on another actor.
pub(crate) trait Outgoing: Send {
    /// Delivers without waiting. True when there is nothing left to do.
    fn deliver(&mut self) -> bool;

    /// Goes on delivering what `deliver` could not.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Gives up: what it carries becomes a dead letter.
    fn abandon(&mut self, cause: DeathCause);
}

/// The outgoing queue of a cell: one word as long as it was never needed.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "an empty queue is four words, and each agent at rest has one"
)]
pub(crate) struct OutQueue(Option<Box<VecDeque<Box<dyn Outgoing>>>>);

impl OutQueue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|queue| queue.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    pub(crate) fn push_back(&mut self, out: Box<dyn Outgoing>) {
        self.0.get_or_insert_default().push_back(out);
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Box<dyn Outgoing>> {
        self.0.as_mut()?.front_mut()
    }

    pub(crate) fn pop_front(&mut self) -> Option<Box<dyn Outgoing>> {
        self.0.as_mut()?.pop_front()
    }

    /// All of it.
    pub(crate) fn take(&mut self) -> VecDeque<Box<dyn Outgoing>> {
        self.0.take().map_or_else(VecDeque::new, |queue| *queue)
    }
}

/// How far a letter has come. It lies in `letter` until its receiver has it; with a `ticket` it waits in the receiver's
/// line; `place` was reserved for it when it was sent.
struct Way<L> {
    letter: Option<L>,
    place: Option<Reservation>,
    ticket: Option<u64>,
    /// How often it was tried; the first time it passes the hooks.
    tries: u8,
}

/// How often a letter that pushes out the oldest is tried at a receiver that is busy, before it waits in line.
const TRIES_MAX: u8 = 64;

/// A message on its way to an agent whose type is known.
pub(crate) struct OutLetter<M: crate::Message> {
    to: AgentRef<M>,
    way: Way<Letter<M>>,
    /// None for the receiver's own policy.
    when_full: Option<WhenFull>,
}

impl<M: crate::Message> OutLetter<M> {
    pub(crate) fn new(to: AgentRef<M>, letter: Letter<M>, when_full: Option<WhenFull>) -> Self {
        Self {
            to,
            way: Way {
                letter: Some(letter),
                place: None,
                ticket: None,
                tries: 0,
            },
            when_full,
        }
    }

    pub(crate) fn reserved(to: AgentRef<M>, letter: Letter<M>, place: Reservation) -> Self {
        let mut out = Self::new(to, letter, Some(WhenFull::Fail));
        out.way.place = Some(place);
        out
    }

    fn when_full(&self) -> WhenFull {
        self.when_full.unwrap_or_else(|| self.to.0.when_full())
    }

    #[cold]
    fn bounced(&mut self, why: NotSent) {
        if let Some(letter) = self.way.letter.take() {
            self.to.0.bury(letter, cause_of(why));
        }
    }
}

pub(crate) fn cause_of(why: NotSent) -> DeathCause {
    match why {
        NotSent::Full => DeathCause::Overloaded,
        NotSent::Refused => DeathCause::Refused,
        NotSent::Ended => DeathCause::ReceiverEnded,
        NotSent::Rejected(reason) | NotSent::NotCarried(reason) => DeathCause::Rejected(reason),
        NotSent::Unreachable => DeathCause::Unreachable,
    }
}

impl<M: crate::Message> Outgoing for OutLetter<M> {
    fn deliver(&mut self) -> bool {
        if self.way.ticket.is_some() {
            return false;
        }
        let is_first = self.way.tries == 0;
        self.way.tries = self.way.tries.saturating_add(1);
        let sent = if let Some(place) = self.way.place.take() {
            self.to.0.push_reserved(place, &mut self.way.letter)
        } else {
            match &self.way.letter {
                None => Ok(()),
                Some(letter) => {
                    let admitted = if is_first {
                        self.to.0.admit(letter)
                    } else {
                        Ok(())
                    };
                    admitted.and_then(|()| self.to.0.push(&mut self.way.letter, self.when_full))
                }
            }
        };
        match sent {
            Ok(()) => true,
            Err(NotSent::Full) if self.when_full() != WhenFull::Fail => false,
            Err(why) => {
                self.bounced(why);
                true
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.way.tries == 0 && self.deliver() {
            return Poll::Ready(());
        }
        if self.way.letter.is_some() {
            if self.when_full() == WhenFull::DropOldest && self.way.tries < TRIES_MAX {
                // The receiver was busy with its own mailbox at the time: try again.
                if self.deliver() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.to.0.wait(&mut self.way.letter, cx.waker()) {
                Ok(ticket) => self.way.ticket = ticket,
                Err(why) => self.bounced(why),
            }
        }
        match self.way.ticket {
            // A letter that was turned away while it waited was made a dead letter by the receiver.
            Some(ticket) => self.to.0.poll_ticket(ticket, cx.waker()).map(|_| {
                self.way.ticket = None;
            }),
            None => Poll::Ready(()),
        }
    }

    fn abandon(&mut self, cause: DeathCause) {
        if let Some(place) = self.way.place.take() {
            self.to.0.unreserve(place);
        }
        let letter = match self.way.ticket.take() {
            Some(ticket) => self.to.0.cancel(ticket),
            None => self.way.letter.take(),
        };
        if let Some(letter) = letter {
            self.to.0.bury(letter, cause);
        }
    }
}

impl<M: crate::Message> Drop for OutLetter<M> {
    /// A reserved place whose turn was discarded goes back.
    fn drop(&mut self) {
        if let Some(place) = self.way.place.take() {
            self.to.0.unreserve(place);
        }
    }
}

/// An ACL message on its way to any agent.
pub(crate) struct OutAcl {
    to: AnyRef,
    way: Way<AclLetter>,
}

impl OutAcl {
    pub(crate) fn new(to: AnyRef, letter: AclLetter) -> Self {
        Self {
            to,
            way: Way {
                letter: Some(letter),
                place: None,
                ticket: None,
                tries: 0,
            },
        }
    }

    fn bounced(&mut self, why: NotSent) {
        if let Some(letter) = self.way.letter.take() {
            self.to.0.bury_acl(letter, cause_of(why));
        }
    }
}

impl Outgoing for OutAcl {
    fn deliver(&mut self) -> bool {
        self.way.tries = self.way.tries.saturating_add(1);
        let sent = match &self.way.letter {
            None => Ok(()),
            Some(letter) => match self.to.0.admit_acl(letter) {
                Ok(()) => self.to.0.push_acl(&mut self.way.letter, None),
                refused => refused,
            },
        };
        match sent {
            Ok(()) => self.way.ticket.is_none(),
            Err(NotSent::Full) if self.to.0.default_when_full() != WhenFull::Fail => false,
            Err(why) => {
                self.bounced(why);
                true
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.way.tries == 0 && self.deliver() {
            return Poll::Ready(());
        }
        if self.way.letter.is_some() {
            match self.to.0.wait_acl(&mut self.way.letter, cx.waker()) {
                Ok(ticket) => self.way.ticket = ticket,
                Err(why) => self.bounced(why),
            }
        }
        match self.way.ticket {
            Some(ticket) => self.to.0.poll_acl_ticket(ticket, cx.waker()).map(|_| {
                self.way.ticket = None;
            }),
            None => Poll::Ready(()),
        }
    }

    fn abandon(&mut self, cause: DeathCause) {
        if let Some(letter) = self.way.letter.take() {
            self.to.0.bury_acl(letter, cause);
        }
        if let Some(ticket) = self.way.ticket.take() {
            self.to.0.cancel_any(ticket);
        }
    }
}

/// The news of an end, in line behind what the dead one had sent.
pub(crate) struct OutAnnouncement(pub(crate) Option<Announcement>);

impl Outgoing for OutAnnouncement {
    fn deliver(&mut self) -> bool {
        if let Some(announcement) = self.0.take() {
            announcement.tell();
        }
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        self.deliver();
        Poll::Ready(())
    }

    fn abandon(&mut self, _: DeathCause) {
        self.deliver();
    }
}

/// Anything that is done in one step when the turn commits: an answer, for example.
pub(crate) struct OutCall<F>(pub(crate) Option<F>);

impl<F: FnOnce() + Send> Outgoing for OutCall<F> {
    fn deliver(&mut self) -> bool {
        if let Some(call) = self.0.take() {
            call();
        }
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        self.deliver();
        Poll::Ready(())
    }

    fn abandon(&mut self, _: DeathCause) {
        self.deliver();
    }
}

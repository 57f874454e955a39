//! What a committed turn sends. A cell's outgoing queue is made of these: each delivers itself, or waits in the receiver's
//! line until there is room.

use crate::cell::core::Announcement;
use crate::dead_letters::DeathCause;
use crate::letter::Letter;
use crate::mailbox::Reservation;
use crate::reference::{AclLetter, AgentRef, AnyRef, NotSent};
use crate::spec::WhenFull;
use std::task::{Context, Poll, Waker};

/// One committed effect on another actor.
pub(crate) trait Outgoing: Send {
    /// Delivers without waiting. True when there is nothing left to do.
    fn deliver(&mut self) -> bool;

    /// Goes on delivering what `deliver` could not.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Gives up: what it carries becomes a dead letter.
    fn abandon(&mut self, cause: DeathCause);
}

enum State<L> {
    Fresh(L),
    /// Its place at the receiver was reserved when it was sent.
    Reserved(L, Reservation),
    /// It waits in the receiver's line; the receiver has it.
    InLine(u64),
    Done,
}

/// A message on its way to an agent whose type is known.
pub(crate) struct OutLetter<M: crate::Message> {
    to: AgentRef<M>,
    state: State<Letter<M>>,
    when_full: WhenFull,
}

impl<M: crate::Message> OutLetter<M> {
    pub(crate) fn new(to: AgentRef<M>, letter: Letter<M>, when_full: Option<WhenFull>) -> Self {
        let when_full = when_full.unwrap_or_else(|| to.0.when_full());
        Self {
            to,
            state: State::Fresh(letter),
            when_full,
        }
    }

    pub(crate) fn reserved(to: AgentRef<M>, letter: Letter<M>, place: Reservation) -> Self {
        Self {
            to,
            state: State::Reserved(letter, place),
            when_full: WhenFull::Fail,
        }
    }

    fn bounced(&self, letter: Letter<M>, why: NotSent) {
        self.to.0.bury(letter, cause_of(why));
    }
}

fn cause_of(why: NotSent) -> DeathCause {
    match why {
        NotSent::Full => DeathCause::Overloaded,
        NotSent::Refused => DeathCause::Refused,
        NotSent::Ended => DeathCause::ReceiverEnded,
        NotSent::Rejected(reason) => DeathCause::Rejected(reason),
    }
}

impl<M: crate::Message> Outgoing for OutLetter<M> {
    fn deliver(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Fresh(letter) => {
                if let Err(why) = self.to.0.admit(&letter) {
                    self.bounced(letter, why);
                    return true;
                }
                match self.to.0.push(letter, Some(self.when_full)) {
                    Ok(()) => true,
                    Err((letter, NotSent::Full)) if self.when_full != WhenFull::Fail => {
                        self.state = State::Fresh(letter);
                        false
                    }
                    Err((letter, why)) => {
                        self.bounced(letter, why);
                        true
                    }
                }
            }
            State::Reserved(letter, place) => {
                if let Err((letter, why)) = self.to.0.push_reserved(place, letter) {
                    self.bounced(letter, why);
                }
                true
            }
            State::InLine(ticket) => {
                self.state = State::InLine(ticket);
                false
            }
            State::Done => true,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Fresh(_) = &self.state {
            if self.when_full == WhenFull::DropOldest {
                // The receiver was busy with its own mailbox at the time: try again.
                if self.deliver() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let State::Fresh(letter) = std::mem::replace(&mut self.state, State::Done) {
                match self.to.0.wait(letter, cx.waker()) {
                    Ok(None) => {}
                    Ok(Some(ticket)) => self.state = State::InLine(ticket),
                    Err((letter, why)) => self.bounced(letter, why),
                }
            }
        }
        match self.state {
            // A letter that was turned away while it waited was made a dead letter by the receiver.
            State::InLine(ticket) => self.to.0.poll_ticket(ticket, cx.waker()).map(|_| {
                self.state = State::Done;
            }),
            State::Fresh(_) | State::Reserved(..) | State::Done => Poll::Ready(()),
        }
    }

    fn abandon(&mut self, cause: DeathCause) {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Fresh(letter) => self.to.0.bury(letter, cause),
            State::Reserved(letter, place) => {
                self.to.0.unreserve(place);
                self.to.0.bury(letter, cause);
            }
            State::InLine(ticket) => {
                if let Some(letter) = self.to.0.cancel(ticket) {
                    self.to.0.bury(letter, cause);
                }
            }
            State::Done => {}
        }
    }
}

impl<M: crate::Message> Drop for OutLetter<M> {
    /// A reserved place whose turn was discarded goes back.
    fn drop(&mut self) {
        if let State::Reserved(_, place) = std::mem::replace(&mut self.state, State::Done) {
            self.to.0.unreserve(place);
        }
    }
}

/// An ACL message on its way to any agent.
pub(crate) struct OutAcl {
    to: AnyRef,
    state: State<AclLetter>,
}

impl OutAcl {
    pub(crate) fn new(to: AnyRef, letter: AclLetter) -> Self {
        Self {
            to,
            state: State::Fresh(letter),
        }
    }

    fn try_wait(&mut self, waker: Option<&Waker>) -> bool {
        let State::Fresh(letter) = std::mem::replace(&mut self.state, State::Done) else {
            return true;
        };
        let result = match waker {
            None => self.to.0.push_acl(letter, None).map(|()| None),
            Some(waker) => self.to.0.wait_acl(letter, waker),
        };
        match result {
            Ok(None) => true,
            Ok(Some(ticket)) => {
                self.state = State::InLine(ticket);
                false
            }
            Err((letter, NotSent::Full)) if waker.is_none() => {
                self.state = State::Fresh(letter);
                false
            }
            Err((letter, why)) => {
                self.to.0.bury_acl(letter, cause_of(why));
                true
            }
        }
    }
}

impl Outgoing for OutAcl {
    fn deliver(&mut self) -> bool {
        if let State::Fresh(letter) = &self.state
            && let Err(why) = self.to.0.admit_acl(letter)
        {
            self.abandon(cause_of(why));
            return true;
        }
        self.try_wait(None)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Fresh(_) = self.state
            && self.try_wait(Some(cx.waker()))
        {
            return Poll::Ready(());
        }
        match self.state {
            State::InLine(ticket) => self.to.0.poll_acl_ticket(ticket, cx.waker()).map(|_| {
                self.state = State::Done;
            }),
            State::Fresh(_) | State::Reserved(..) | State::Done => Poll::Ready(()),
        }
    }

    fn abandon(&mut self, cause: DeathCause) {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Fresh(letter) => self.to.0.bury_acl(letter, cause),
            State::InLine(ticket) => self.to.0.cancel_any(ticket),
            State::Reserved(..) | State::Done => {}
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

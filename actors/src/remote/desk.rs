//! Letters from other nodes that enter a mailbox, now or when there is room.

use super::park::Waiting;
use super::run::Arriving;
use crate::agent::Message;
use crate::dead_letters::DeathCause;
use crate::letter::Letter;
use crate::outgoing::cause_of;
use crate::reference::{NotSent, Receive};
use crate::spec::WhenFull;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Where letters for one cell are laid, one after the other, until they enter its mailbox together. Those that have not entered when it
/// is dropped, as their sender's node was lost, are dead.
pub(crate) trait Desk: Send {
    /// Makes a letter of it; a dead letter, where it cannot be read.
    fn lay(&mut self, arriving: Arriving<'_>);
    /// Puts them in by the receiver's own policy. False when some have to wait for room; otherwise it is empty.
    fn enter(&mut self) -> bool;
    /// Puts in what has to wait, when there is room.
    fn wait(self: Box<Self>) -> Waiting;
}

/// The desk of a cell.
pub(crate) fn desk<M: Message>(cell: Arc<dyn Receive<M>>) -> Box<dyn Desk> {
    Box::new(Entering {
        cell,
        letters: VecDeque::new(),
        ticket: None,
    })
}

struct Entering<M: Message> {
    cell: Arc<dyn Receive<M>>,
    letters: VecDeque<Letter<M>>,
    /// Of the letter before them, which waits in the mailbox's line.
    ticket: Option<u64>,
}

// Nothing in it is pinned.
impl<M: Message> Unpin for Entering<M> {}

impl<M: Message> Desk for Entering<M> {
    fn lay(&mut self, arriving: Arriving<'_>) {
        let core = self.cell.core();
        if let Some(letter) = arriving.into_letter::<M>(&core.path) {
            match self.cell.admit(&letter) {
                Ok(()) => self.letters.push_back(letter),
                Err(why) => self.cell.bury(letter, cause_of(why)),
            }
        }
    }

    fn enter(&mut self) -> bool {
        loop {
            self.cell.push_all(&mut self.letters);
            let mut letter = self.letters.pop_front();
            if letter.is_none() {
                return true;
            }
            let policy = self.cell.when_full();
            let pushed = match self.cell.push(&mut letter, None) {
                Err(NotSent::Full) if policy == WhenFull::DropOldest => {
                    self.cell.push_over(&mut letter)
                }
                pushed => pushed,
            };
            match (pushed, letter) {
                (Err(NotSent::Full), Some(letter)) if policy == WhenFull::Wait => {
                    self.letters.push_front(letter);
                    return false;
                }
                (Err(why), Some(letter)) => self.cell.bury(letter, cause_of(why)),
                (Ok(()), _) | (Err(_), None) => {}
            }
        }
    }

    fn wait(self: Box<Self>) -> Waiting {
        Box::into_pin(self)
    }
}

impl<M: Message> Future for Entering<M> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(ticket) = this.ticket {
                // One that was turned away while it waited was made a dead letter by the receiver.
                if this.cell.poll_ticket(ticket, cx.waker()).is_pending() {
                    return Poll::Pending;
                }
                this.ticket = None;
            }
            if this.enter() {
                return Poll::Ready(());
            }
            let mut letter = this.letters.pop_front();
            match this.cell.wait(&mut letter, cx.waker()) {
                Ok(ticket) => this.ticket = ticket,
                Err(why) => {
                    if let Some(letter) = letter {
                        this.cell.bury(letter, cause_of(why));
                    }
                }
            }
        }
    }
}

impl<M: Message> Drop for Entering<M> {
    fn drop(&mut self) {
        let waiting = self
            .ticket
            .take()
            .and_then(|ticket| self.cell.cancel(ticket));
        for letter in waiting.into_iter().chain(self.letters.drain(..)) {
            self.cell.bury(letter, DeathCause::Unreachable);
        }
    }
}

//! A letter from another node that enters a mailbox, now or when there is room.

use super::Arriving;
use super::park::Waiting;
use crate::agent::Message;
use crate::dead_letters::DeathCause;
use crate::letter::Letter;
use crate::outgoing::cause_of;
use crate::reference::{NotSent, Receive};
use crate::spec::WhenFull;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Puts it in by the receiver's own policy. What has to wait goes on in what this gives.
pub(crate) fn enter<M: Message>(cell: Arc<dyn Receive<M>>, arriving: Arriving) -> Option<Waiting> {
    let mut letter = Some(arriving.into_letter::<M>()?);
    let admitted = letter.as_ref().map_or(Ok(()), |letter| cell.admit(letter));
    let policy = cell.when_full();
    let pushed = match admitted.and_then(|()| cell.push(&mut letter, None)) {
        Err(NotSent::Full) if policy == WhenFull::DropOldest => cell.push_over(&mut letter),
        pushed => pushed,
    };
    match pushed {
        Ok(()) => None,
        Err(NotSent::Full) if policy == WhenFull::Wait => Some(Box::pin(Entering {
            cell,
            letter,
            ticket: None,
        })),
        Err(why) => {
            if let Some(letter) = letter {
                cell.bury(letter, cause_of(why));
            }
            None
        }
    }
}

/// Waits in the mailbox's line. Dropped while it waits, as its sender's node is lost, the letter is dead.
struct Entering<M: Message> {
    cell: Arc<dyn Receive<M>>,
    letter: Option<Letter<M>>,
    ticket: Option<u64>,
}

// Nothing in it is pinned.
impl<M: Message> Unpin for Entering<M> {}

impl<M: Message> Future for Entering<M> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.letter.is_some() {
            match this.cell.wait(&mut this.letter, cx.waker()) {
                Ok(ticket) => this.ticket = ticket,
                Err(why) => {
                    if let Some(letter) = this.letter.take() {
                        this.cell.bury(letter, cause_of(why));
                    }
                }
            }
        }
        let Some(ticket) = this.ticket else {
            return Poll::Ready(());
        };
        // One that was turned away while it waited was made a dead letter by the receiver.
        this.cell.poll_ticket(ticket, cx.waker()).map(|_| {
            this.ticket = None;
        })
    }
}

impl<M: Message> Drop for Entering<M> {
    fn drop(&mut self) {
        let letter = match self.ticket.take() {
            Some(ticket) => self.cell.cancel(ticket),
            None => self.letter.take(),
        };
        if let Some(letter) = letter {
            self.cell.bury(letter, DeathCause::Unreachable);
        }
    }
}

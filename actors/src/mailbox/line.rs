//! The line: senders that wait for room, in the order in which they came.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

/// How many refusals are remembered for senders that were waiting.
const REFUSALS_MAX: usize = 16;

/// Made when somebody has to wait for the first time.
pub(super) struct Line<T> {
    /// In order of ticket, which is the order of arrival.
    waiters: VecDeque<Waiter<T>>,
    /// Ranges of tickets that were turned away, the latest [`REFUSALS_MAX`]. A sender that was not polled over so many
    /// stops and starts of the receiver takes its letter for accepted; the letter itself is a dead letter all the same.
    refused: VecDeque<(u64, u64)>,
    ticket_next: u64,
}

pub(super) struct Waiter<T> {
    ticket: u64,
    pub(super) item: T,
    pub(super) waker: Waker,
}

/// How it stands with a sender that was in the line.
pub(super) enum Standing {
    Waiting,
    Entered,
    TurnedAway,
}

impl<T> Line<T> {
    pub(super) const fn new() -> Self {
        Self {
            waiters: VecDeque::new(),
            refused: VecDeque::new(),
            ticket_next: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Joins the line at its end.
    pub(super) fn join(&mut self, item: T, waker: Waker) -> u64 {
        let ticket = self.ticket_next;
        self.ticket_next += 1;
        self.waiters.push_back(Waiter {
            ticket,
            item,
            waker,
        });
        ticket
    }

    /// Who has been waiting longest.
    pub(super) fn next(&mut self) -> Option<Waiter<T>> {
        self.waiters.pop_front()
    }

    /// How it stands; who still waits is woken by `waker` from now on.
    pub(super) fn standing(&mut self, ticket: u64, waker: &Waker) -> Standing {
        if let Ok(at) = self.at(ticket) {
            self.waiters[at].waker.clone_from(waker);
            return Standing::Waiting;
        }
        let is_refused = |(from, to): &(u64, u64)| (*from..*to).contains(&ticket);
        if self.refused.iter().any(is_refused) {
            Standing::TurnedAway
        } else {
            Standing::Entered
        }
    }

    /// Leaves the line, wherever in it. None when it was not in there any more.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waiter<T>> {
        let at = self.at(ticket).ok()?;
        self.waiters.remove(at)
    }

    /// Turns everybody away.
    pub(super) fn turn_away(&mut self) -> VecDeque<Waiter<T>> {
        let from = self.waiters.front().map_or(0, |w| w.ticket);
        if self.refused.len() == REFUSALS_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((from, self.ticket_next));
        mem::take(&mut self.waiters)
    }

    fn at(&self, ticket: u64) -> Result<usize, usize> {
        self.waiters.binary_search_by_key(&ticket, |w| w.ticket)
    }
}

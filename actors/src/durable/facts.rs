//! What a turn decides besides events: messages, timers, what it consumed; and the ledger that is made of it. Pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_protocols::Path;

/// What a turn writes beside its events, in the same batch. Frozen form, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The message that the turn consumed, if it came from another durable agent: its sender and number.
    pub(crate) consumed: Option<(String, u64)>,
    /// The timer whose command the turn handled.
    pub(crate) fired: Option<String>,
    pub(crate) timers: Vec<TimerFact>,
    pub(crate) sent: Vec<Outgoing>,
    /// Up to which number each receiver has settled.
    pub(crate) settled: Vec<(String, u64)>,
    /// What was consumed is not handled: it has crashed too often.
    pub(crate) is_dead: bool,
}

/// A timer that is set, or cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimerFact {
    pub(crate) key: String,
    pub(crate) set: Option<(u64, Vec<u8>)>,
}

/// A message that is to go to another durable agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub(crate) to: String,
    pub(crate) seq: u64,
    pub(crate) payload: Vec<u8>,
}

/// What all facts so far come to. Bounded by what one agent may have of each; senders by how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The highest number that was applied of each sender.
    applied: BTreeMap<String, u64>,
    /// The number of the last message to each receiver.
    sent: BTreeMap<String, u64>,
    /// What is not settled yet, by receiver and number.
    outbox: BTreeMap<(String, u64), Vec<u8>>,
    timers: BTreeMap<String, (u64, Vec<u8>)>,
}

/// What is to be done with a message of another durable agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// It is the next one.
    Next,
    /// It was applied before: settle it again.
    Again,
    /// One before it has not come yet; its sender sends it again.
    TooEarly,
}

impl Facts {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn sent_to(&self, to: &Path) -> u64 {
        self.sent.iter().filter(|out| out.to == to.as_str()).count() as u64
    }
}

impl Ledger {
    pub(crate) fn apply(&mut self, facts: &Facts) {
        if let Some((sender, seq)) = &facts.consumed {
            let highest = self.applied.entry(sender.clone()).or_default();
            *highest = (*highest).max(*seq);
        }
        if let Some(key) = &facts.fired {
            self.timers.remove(key);
        }
        for timer in &facts.timers {
            match &timer.set {
                Some(set) => self.timers.insert(timer.key.clone(), set.clone()),
                None => self.timers.remove(&timer.key),
            };
        }
        for out in &facts.sent {
            self.sent.insert(out.to.clone(), out.seq);
            self.outbox
                .insert((out.to.clone(), out.seq), out.payload.clone());
        }
        for (receiver, seq) in &facts.settled {
            self.settle(receiver, *seq);
        }
    }

    /// Lets go of what a receiver has applied. True when there was something.
    pub(crate) fn settle(&mut self, receiver: &str, up_to: u64) -> bool {
        let before = self.outbox.len();
        let range = (receiver.to_owned(), 0)..=(receiver.to_owned(), up_to);
        let keys: Vec<_> = self
            .outbox
            .range(range)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.outbox.remove(&key);
        }
        self.outbox.len() < before
    }

    pub(crate) fn turned(&self, sender: &str, seq: u64) -> Turned {
        let highest = self.applied.get(sender).copied().unwrap_or(0);
        match seq {
            seq if seq <= highest => Turned::Again,
            seq if seq == highest + 1 => Turned::Next,
            _ => Turned::TooEarly,
        }
    }

    pub(crate) fn applied(&self, sender: &str) -> u64 {
        self.applied.get(sender).copied().unwrap_or(0)
    }

    pub(crate) fn next_to(&self, receiver: &Path) -> u64 {
        self.sent.get(receiver.as_str()).copied().unwrap_or(0) + 1
    }

    pub(crate) fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    pub(crate) fn timers_len(&self) -> usize {
        self.timers.len()
    }

    /// Whether nothing that was sent to that receiver before waits still.
    pub(crate) fn is_first_to(&self, to: &str, seq: u64) -> bool {
        let before = (to.to_owned(), 0)..(to.to_owned(), seq);
        self.outbox.range(before).next().is_none()
    }

    pub(crate) fn payload(&self, to: &str, seq: u64) -> Option<&[u8]> {
        self.outbox.get(&(to.to_owned(), seq)).map(Vec::as_slice)
    }

    /// What is to be sent, in the order of receivers and numbers.
    pub(crate) fn outbox(&self) -> impl Iterator<Item = (&str, u64, &[u8])> {
        self.outbox
            .iter()
            .map(|((to, seq), payload)| (to.as_str(), *seq, payload.as_slice()))
    }

    /// A timer that is due.
    pub(crate) fn due(&self, now_ms: u64) -> Option<(&str, &[u8])> {
        self.timers
            .iter()
            .filter(|(_, (at, _))| *at <= now_ms)
            .min_by_key(|(_, (at, _))| *at)
            .map(|(key, (_, payload))| (key.as_str(), payload.as_slice()))
    }

    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.timers.values().map(|(at, _)| *at).min()
    }

    /// When the agent wants to be woken after a turn with these facts, if it is not there then: at once while something is not
    /// settled.
    pub(crate) fn wake_after(&self, facts: &Facts) -> Option<u64> {
        let is_settled = |to: &str, seq: u64| {
            facts
                .settled
                .iter()
                .any(|(by, up_to)| by == to && seq <= *up_to)
        };
        if !facts.sent.is_empty() || self.outbox.keys().any(|(to, seq)| !is_settled(to, *seq)) {
            return Some(0);
        }
        let is_touched = |key: &String| {
            facts.fired.as_ref() == Some(key) || facts.timers.iter().any(|timer| timer.key == *key)
        };
        let untouched = self.timers.iter().filter(|(key, _)| !is_touched(key));
        let mut set: BTreeMap<&str, Option<u64>> = BTreeMap::new();
        for timer in &facts.timers {
            set.insert(&timer.key, timer.set.as_ref().map(|(at, _)| *at));
        }
        untouched
            .map(|(_, (at, _))| *at)
            .chain(set.into_values().flatten())
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_of_a_sender_is_applied_once_and_in_order() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.turned("/a", 2), Turned::TooEarly);
        assert_eq!(ledger.turned("/a", 1), Turned::Next);
        let consumed = Facts {
            consumed: Some(("/a".into(), 1)),
            ..Facts::default()
        };
        ledger.apply(&consumed);
        assert_eq!(ledger.turned("/a", 1), Turned::Again);
        assert_eq!(
            ledger.turned("/b", 1),
            Turned::Next,
            "senders are independent"
        );
    }

    #[test]
    fn the_form_of_facts_is_frozen() {
        let facts = Facts {
            consumed: Some(("/a".into(), 3)),
            fired: None,
            timers: vec![TimerFact {
                key: "k".into(),
                set: Some((300, vec![9])),
            }],
            sent: vec![Outgoing {
                to: "/b".into(),
                seq: 1,
                payload: vec![7],
            }],
            settled: vec![("/c".into(), 2)],
            is_dead: false,
        };
        let golden = [
            1, 2, b'/', b'a', 3, 0, 1, 1, b'k', 1, 0xac, 2, 1, 9, 1, 2, b'/', b'b', 1, 1, 7, 1, 2,
            b'/', b'c', 2, 0,
        ];
        assert_eq!(postcard::to_stdvec(&facts).expect("bytes"), golden);
        assert_eq!(
            postcard::from_bytes::<Facts>(&golden).expect("facts"),
            facts
        );
    }

    #[test]
    fn who_has_something_to_send_wants_to_be_woken_at_once() {
        let mut ledger = Ledger::default();
        let none = Facts::default();
        ledger.timers.insert("t".into(), (50, vec![]));
        assert_eq!(ledger.wake_after(&none), Some(50));
        let fired = Facts {
            fired: Some("t".into()),
            ..Facts::default()
        };
        assert_eq!(ledger.wake_after(&fired), None);
        ledger.outbox.insert(("/b".into(), 1), vec![]);
        assert_eq!(ledger.wake_after(&none), Some(0));
        let settled = Facts {
            settled: vec![("/b".into(), 1)],
            ..Facts::default()
        };
        assert_eq!(ledger.wake_after(&settled), Some(50));
        assert!(ledger.settle("/b", 1));
        assert_eq!(ledger.wake_after(&none), Some(50));
    }
}

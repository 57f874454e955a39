//! How the copies are kept up to date: announcements, pulls of what is missing, and a check with a random member now and then.

use super::entry::{Key, Value};
use super::event::{Decision, NamesParameters};
use super::log::Log;
use super::table::Names;
use super::wire::{
    self, AID_BYTES_MAX, DELTA_BYTES_MAX, DELTA_ENTRIES_MAX, DESCRIPTION_BYTES_MAX, Delta, Known,
    Message,
};
use crate::identity::BootId;
use crate::membership::BROADCAST_BYTES_MAX;

/// The most deltas in answer to one pull. The rest is asked for again.
const DELTAS_PER_PULL: usize = 16;
/// The most entries that are announced whole: more would not fit a broadcast anyway.
const ANNOUNCED_MAX: usize = 32;

impl Names {
    /// Tells everybody what was written since the last time.
    pub(super) fn announce(&mut self) {
        let from = self.flushed;
        self.flushed = self.own().version;
        if self.owners.len() == 1 || from == self.flushed {
            return;
        }
        let (entries, upto) = self.own().since(from, ANNOUNCED_MAX, BROADCAST_BYTES_MAX);
        if upto == self.flushed {
            let message = self.written(from, upto, entries, true);
            let bytes = wire::encode(&message);
            if bytes.len() <= BROADCAST_BYTES_MAX {
                return self.out.push(Decision::Broadcast(bytes));
            }
        }
        let message = self.written(from, self.flushed, Vec::new(), false);
        self.out.push(Decision::Broadcast(wire::encode(&message)));
    }

    fn written(
        &self,
        from: u64,
        upto: u64,
        entries: Vec<super::log::Written>,
        is_whole: bool,
    ) -> Message {
        let delta = Delta {
            owner: self.me.boot,
            floor: self.own().floor,
            from,
            upto,
            entries,
            more: false,
        };
        Message::Written { delta, is_whole }
    }

    /// A member is new: both sides find out what they lack.
    pub(super) fn greet(&mut self, boot: BootId) {
        let digest = self.digest_message(true);
        self.send(boot, &digest);
    }

    /// Asks a random member whether it knows the same.
    pub(super) fn check(&mut self) {
        let others: Vec<BootId> = self
            .owners
            .keys()
            .copied()
            .filter(|boot| *boot != self.me.boot)
            .collect();
        if !others.is_empty() {
            let chosen = others[self.random.usize(..others.len())];
            let digest = self.digest();
            self.send(chosen, &Message::Check { digest });
        }
    }

    pub(super) fn message(&mut self, from: BootId, bytes: &[u8]) {
        if !self.owners.contains_key(&from) {
            self.counters.strangers += 1;
            return;
        }
        let Ok((message, format)) = wire::decode(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        match message {
            Message::Written { delta, is_whole } => self.heard_written(from, delta, is_whole),
            Message::Check { digest } => {
                if digest != self.digest() {
                    let known = self.digest_message(true);
                    self.send(from, &known);
                }
            }
            Message::Digest {
                known,
                wants_answer,
            } => self.compare(from, &known, wants_answer),
            Message::Pull { known } => self.serve(from, &known),
            // A node of the version before has copied others' entries without what it does not know: the owner has all of them.
            Message::Delta(delta) if format < wire::VERSION && delta.owner != from => {
                let owner = delta.owner;
                self.pull(owner, owner);
            }
            Message::Delta(delta) => self.apply(from, delta),
        }
    }

    fn heard_written(&mut self, from: BootId, delta: Delta, is_whole: bool) {
        // Only the owner announces; a broadcast names its origin.
        let Some(owner) = self
            .owners
            .get_mut(&delta.owner)
            .filter(|_| delta.owner == from)
        else {
            return;
        };
        if from == self.me.boot {
            return;
        }
        owner.heard_of = owner.heard_of.max(delta.upto);
        let continues = owner.log.version >= delta.from && !owner.log.is_comparing();
        if is_whole && continues {
            self.apply(from, delta);
        } else {
            self.pull_if_behind(from, from);
        }
    }

    fn compare(&mut self, from: BootId, theirs: &[Known], wants_answer: bool) {
        let mut wanted = Vec::new();
        for known in theirs {
            let Some(owner) = self.owners.get_mut(&known.owner) else {
                continue;
            };
            if known.owner == self.me.boot {
                continue;
            }
            owner.heard_of = owner.heard_of.max(known.version);
            if known.version > owner.log.version
                && is_pull_due(owner.pulled_at, self.now, &self.parameters)
            {
                owner.pulled_at = Some(self.now);
                wanted.push(Known {
                    owner: known.owner,
                    version: owner.log.version,
                });
            }
        }
        if !wanted.is_empty() {
            self.counters.pulls += 1;
            self.send(from, &Message::Pull { known: wanted });
        }
        if wants_answer {
            let digest = self.digest_message(false);
            self.send(from, &digest);
        }
    }

    fn serve(&mut self, to: BootId, known: &[Known]) {
        let mut deltas = Vec::new();
        for known in known.iter().take(DELTAS_PER_PULL) {
            let Some(owner) = self.owners.get(&known.owner) else {
                continue;
            };
            if owner.log.is_comparing() || owner.log.version <= known.version {
                continue;
            }
            let (entries, upto) =
                owner
                    .log
                    .since(known.version, DELTA_ENTRIES_MAX, DELTA_BYTES_MAX);
            deltas.push(Message::Delta(Delta {
                owner: known.owner,
                floor: owner.log.floor,
                from: known.version,
                upto,
                more: upto < owner.log.version,
                entries,
            }));
        }
        for delta in deltas {
            self.send(to, &delta);
        }
    }

    fn apply(&mut self, from: BootId, delta: Delta) {
        if delta.owner == self.me.boot {
            return;
        }
        let Some(owner) = self.owners.get_mut(&delta.owner) else {
            return;
        };
        owner.pulled_at = None;
        let log = &mut owner.log;
        if delta.from > log.version {
            return; // Something between is missing. The next check finds it.
        }
        if log.misses_deletions(delta.from, delta.floor) {
            log.begin_comparison(owner.heard_of.max(delta.floor).max(delta.upto));
            return self.pull_if_behind(from, delta.owner);
        }
        let changed = copy(log, delta.entries);
        log.version = log.version.max(delta.upto);
        let mut removed = Vec::new();
        if !delta.more {
            removed = log.end_comparison();
            log.forget_below(delta.floor);
        }
        for key in changed.iter().chain(&removed) {
            self.changed(delta.owner, key);
        }
        if delta.more {
            self.pull(from, delta.owner);
        } else {
            self.pull_if_behind(from, delta.owner);
        }
    }

    fn pull_if_behind(&mut self, from: BootId, of: BootId) {
        let is_due = self.owners.get(&of).is_some_and(|owner| {
            owner.heard_of > owner.log.version
                && is_pull_due(owner.pulled_at, self.now, &self.parameters)
        });
        if is_due {
            self.pull(from, of);
        }
    }

    fn pull(&mut self, from: BootId, of: BootId) {
        let Some(owner) = self.owners.get_mut(&of) else {
            return;
        };
        owner.pulled_at = Some(self.now);
        let known = vec![Known {
            owner: of,
            version: owner.log.version,
        }];
        self.counters.pulls += 1;
        self.send(from, &Message::Pull { known });
    }

    fn digest(&self) -> u64 {
        self.owners.iter().fold(0, |sum, (boot, owner)| {
            let boot = (boot.0 >> 64) as u64 ^ boot.0 as u64;
            sum ^ mix(boot.wrapping_add(mix(owner.log.version)))
        })
    }

    fn digest_message(&self, wants_answer: bool) -> Message {
        let known = self.owners.iter().map(|(boot, owner)| Known {
            owner: *boot,
            version: owner.log.version,
        });
        Message::Digest {
            known: known.take(wire::OWNERS_MAX).collect(),
            wants_answer,
        }
    }

    fn send(&mut self, to: BootId, message: &Message) {
        if let Some(owner) = self.owners.get(&to) {
            let to = owner.node.clone();
            let bytes = wire::encode(message);
            self.out.push(Decision::Send { to, bytes });
        }
    }
}

/// Copies what is well-formed and tells what changed by it.
fn copy(log: &mut Log, entries: Vec<super::log::Written>) -> Vec<Key> {
    let mut changed = Vec::new();
    for (version, key, value) in entries {
        let fits = match (&key, &value) {
            (Key::Name(_), Some(Value::Claim(_))) | (_, None) => true,
            (Key::Member(..), Some(Value::Count(count))) => *count > 0,
            (Key::Description(agent), Some(Value::Description(text))) => {
                agent.len() <= AID_BYTES_MAX && text.len() <= DESCRIPTION_BYTES_MAX
            }
            (Key::Name(_) | Key::Member(..) | Key::Description(_), Some(_)) => false,
        };
        if fits && log.copy(version, key.clone(), value) {
            changed.push(key);
        }
    }
    changed
}

fn is_pull_due(
    pulled_at: Option<std::time::Duration>,
    now: std::time::Duration,
    parameters: &NamesParameters,
) -> bool {
    pulled_at.is_none_or(|at| now.saturating_sub(at) >= parameters.pull_timeout)
}

/// Spreads every bit of `value` over all bits of the result (the finaliser of splitmix64).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

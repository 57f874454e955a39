//! Who has died, and whose conversations that ends.

use super::actor::ProtocolActor;
use crate::info::ActorState;
use crate::reference::AnyRef;
use crate::signal::{Down, WatchEvent, Watched};
use crate::turn::Turn;
use std::collections::BTreeSet;
use swarm_protocols::interaction::Event;
use swarm_protocols::{Address, Aid, ExitReason, Incarnation};

/// Another side that is watched.
pub(super) struct Watch {
    target: AnyRef,
    /// The last life that is known to be over.
    over: Incarnation,
}

/// How many other sides are watched at once. Each costs two bonds of the agent's.
pub(super) const WATCHED_MAX: usize = 1_500;
impl ProtocolActor {
    /// A monitored life is over: the agent's own, or another side's.
    pub(super) fn life_over(&mut self, down: &Down) {
        if self.agent_monitor == Some(down.monitor) {
            self.agent_down(down.pid.incarnation, &down.reason);
        } else if let Some(watch) = self.watched.get_mut(&down.pid.address) {
            watch.over = watch.over.max(down.pid.incarnation);
            let comes_back = self.setup.keeps_records(&watch.target)
                && !matches!(
                    watch.target.state(),
                    ActorState::Ended | ActorState::Stopped
                );
            if !comes_back {
                self.participant_down(down.pid.address, &down.reason);
            }
        }
    }

    /// A watched cell has begun another life, or has ended for good.
    pub(super) fn cell_changed(&mut self, turn: &mut Turn<'_, Self>, watched: Watched) {
        let agent = self
            .listener
            .as_ref()
            .map(|listener| listener.any().address());
        let is_agent = agent == Some(watched.address);
        match watched.event {
            WatchEvent::Restarted { incarnation } if is_agent => {
                self.monitor_agent(turn);
                let before = Incarnation(incarnation.0.saturating_sub(1));
                self.agent_down(before, &ExitReason::NoProc);
            }
            WatchEvent::Ended { reason } if is_agent => {
                self.agent_down(Incarnation(u64::MAX), &reason);
            }
            WatchEvent::Restarted { incarnation } => {
                if let Some(watch) = self.watched.get_mut(&watched.address) {
                    let target = watch.target.clone();
                    // A life that came and went before it was monitored.
                    let before = Incarnation(incarnation.0.saturating_sub(1));
                    let is_missed = !self.setup.keeps_records(&target) && watch.over < before;
                    watch.over = watch.over.max(before);
                    if is_missed {
                        self.participant_down(watched.address, &ExitReason::NoProc);
                    }
                    if turn.monitor(&target).is_err() {
                        turn.unwatch(&target);
                        self.watched.remove(&watched.address);
                    }
                }
            }
            WatchEvent::Ended { reason } => {
                self.participant_down(watched.address, &reason);
                self.watched.remove(&watched.address);
                self.table().places.forget(watched.address);
            }
        }
    }

    /// The other side has ended for good, or its conversations have with its life.
    fn participant_down(&mut self, address: Address, reason: &ExitReason) {
        let names: Vec<Aid> = self
            .table()
            .places
            .names_of(address)
            .into_iter()
            .map(Aid::named)
            .collect();
        let ids = self.table().records.lock().open_ids();
        for id in ids {
            for participant in &names {
                let event = Event::ParticipantDown {
                    participant: participant.clone(),
                    reason: reason.clone(),
                };
                self.pending.push_back((id.clone(), event));
            }
        }
    }

    /// The agent's lives up to this one are over: what they took part in has failed.
    pub(super) fn agent_down(&mut self, up_to: Incarnation, reason: &ExitReason) {
        let mut records = self.setup.table.records.lock();
        for id in records.open_ids() {
            let has_failed = records
                .get_mut(&id)
                .and_then(|record| record.life)
                .is_some_and(|life| life <= up_to);
            if has_failed {
                self.pending
                    .push_back((id, Event::AgentDown(reason.clone())));
            }
        }
    }

    pub(super) fn monitor_agent(&mut self, turn: &mut Turn<'_, Self>) {
        if let Some(listener) = &self.listener {
            self.agent_monitor = turn.monitor(&listener.any()).ok();
        }
    }

    /// Watches another side, once: its end is news for its conversations.
    pub(super) fn watch(&mut self, turn: &mut Turn<'_, Self>, target: &AnyRef) {
        if self.watched.contains_key(&target.address()) {
            return;
        }
        if self.watched.len() >= WATCHED_MAX {
            self.unwatch_idle(turn);
        }
        // Beyond the bound only deadlines tell.
        if self.watched.len() < WATCHED_MAX
            && turn.watch(target).is_ok()
            && turn.monitor(target).is_ok()
        {
            let watch = Watch {
                target: target.clone(),
                over: Incarnation(target.incarnation().0.saturating_sub(1)),
            };
            self.watched.insert(target.address(), watch);
        }
    }

    /// Lets go of those with whom nothing is open.
    fn unwatch_idle(&mut self, turn: &mut Turn<'_, Self>) {
        let mut needed = BTreeSet::new();
        {
            let mut records = self.setup.table.records.lock();
            for id in records.open_ids() {
                if let Some(record) = records.get_mut(&id) {
                    for (who, _) in record.machine.parties() {
                        if let Some(place) = self.setup.table.places.get(&who.name) {
                            needed.insert(place.address());
                        }
                    }
                }
            }
        }
        self.watched.retain(|address, watch| {
            let is_needed = needed.contains(address);
            if !is_needed {
                turn.unwatch(&watch.target);
            }
            is_needed
        });
    }
}

//! Monitors, links and watches on whatever is behind a reference, here or on another node.

use super::RemoteCell;
use super::far::FarState;
use super::wire::Note;
use crate::cell::core::Watcher;
use crate::reference::AnyRef;
use crate::signal::{Down, MonitorId, WatchEvent};
use crate::transport::LOST;
use swarm_protocols::{Address, Incarnation, Pid};

impl AnyRef {
    /// Sets a monitor on its present life.
    pub(crate) fn set_monitor(&self, id: MonitorId, watcher: Watcher) {
        match self.0.remote() {
            Some(remote) => remote.monitor(id, watcher),
            None => self.0.core().monitor(id, watcher),
        }
    }

    pub(crate) fn end_monitor(&self, id: MonitorId) {
        match self.0.remote() {
            Some(remote) => remote.demonitor(id),
            None => self.0.core().demonitor(id),
        }
    }

    /// Links its present life with `other`'s. False when it has none; that of another node says so later.
    pub(crate) fn set_link(&self, other: &AnyRef, life: Incarnation) -> bool {
        match self.0.remote() {
            Some(remote) => {
                remote.link(other.address());
                true
            }
            None => self.0.core().link(other, life),
        }
    }

    pub(crate) fn end_link(&self, other: Address) {
        match self.0.remote() {
            Some(remote) => remote.unlink(other),
            None => self.0.core().unlink(other),
        }
    }

    pub(crate) fn set_watch(&self, watcher: Watcher) {
        match self.0.remote() {
            Some(remote) => remote.watch(watcher),
            None => self.0.core().watch(watcher),
        }
    }

    pub(crate) fn end_watch(&self, who: Address) {
        match self.0.remote() {
            Some(remote) => remote.unwatch(who),
            None => self.0.core().unwatch(who),
        }
    }
}

impl FarState {
    /// The node's number for a monitor that fires, and whom it is on.
    pub(super) fn take_monitored(&mut self, id: MonitorId) -> Option<(u64, Address)> {
        let (theirs, target) = self.monitored.remove(&id)?;
        self.monitored_by.remove(&theirs);
        Some((theirs, target))
    }
}

impl RemoteCell {
    fn address(&self) -> Address {
        crate::reference::AnyCell::core(self).address
    }

    fn monitor(&self, id: MonitorId, watcher: Watcher) {
        let holder = watcher.holder().unwrap_or(Address(0));
        let entry = (self.address(), watcher);
        self.far.state.lock().monitors.insert(id, entry);
        let note = Note::Monitor { id: id.0 };
        if !self.far.tell(holder, self.address(), &note) {
            // It may have fired with the node meanwhile.
            let entry = self.far.state.lock().monitors.remove(&id);
            if let Some((address, watcher)) = entry {
                let incarnation = Incarnation(0);
                watcher.fire(Down {
                    monitor: id,
                    pid: Pid {
                        address,
                        incarnation,
                    },
                    reason: LOST,
                });
            }
        }
    }

    fn demonitor(&self, id: MonitorId) {
        let entry = self.far.state.lock().monitors.remove(&id);
        if let Some((_, watcher)) = entry {
            let holder = watcher.holder().unwrap_or(Address(0));
            self.far
                .tell(holder, self.address(), &Note::Demonitor { id: id.0 });
        }
    }

    fn link(&self, other: Address) {
        let pair = (other, self.address());
        self.far.state.lock().links.insert(pair);
        if !self.far.tell(other, self.address(), &Note::Link) {
            let was_linked = self.far.state.lock().links.remove(&pair);
            if was_linked {
                self.exit_of_link(other);
            }
        }
    }

    /// The agent here learns that the one there is lost.
    fn exit_of_link(&self, other: Address) {
        let system = &crate::reference::AnyCell::core(self).system;
        if let Some(local) = system.find_local(other) {
            super::arrive::exit_from(&local, self.address(), Incarnation(0), LOST);
        }
    }

    fn unlink(&self, other: Address) {
        let pair = (other, self.address());
        if self.far.state.lock().links.remove(&pair) {
            self.far.tell(other, self.address(), &Note::Unlink);
        }
    }

    fn watch(&self, watcher: Watcher) {
        let target = self.address();
        let is_first = {
            let mut state = self.far.state.lock();
            let watchers = state.watches.entry(target).or_default();
            watchers.retain(|known| !known.is_closed());
            watchers.push(watcher);
            watchers.len() == 1
        };
        if is_first && !self.far.tell(Address(0), target, &Note::Watch) {
            let watchers = self.far.state.lock().watches.remove(&target);
            for watcher in watchers.into_iter().flatten() {
                watcher.tell_event(target, WatchEvent::Ended { reason: LOST });
            }
        }
    }

    fn unwatch(&self, who: Address) {
        let target = self.address();
        let is_last = {
            let mut state = self.far.state.lock();
            let Some(watchers) = state.watches.get_mut(&target) else {
                return;
            };
            watchers.retain(|known| known.holder() != Some(who));
            let is_last = watchers.is_empty();
            if is_last {
                state.watches.remove(&target);
            }
            is_last
        };
        if is_last {
            self.far.tell(Address(0), target, &Note::Unwatch);
        }
    }
}

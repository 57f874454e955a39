//! What arrives from other nodes.

use super::RemoteCell;
use super::far::{Far, Remotes};
use super::run::Run;
use super::wire::{Failure, Note, Unreadable, decode};
use crate::ask::AskError;
use crate::cell::core::Watcher;
use crate::reference::AnyRef;
use crate::signal::{Down, Exit, MonitorId, Signal, WatchEvent};
use crate::system::System;
use crate::transport::{Parcel, Window};
use std::sync::Arc;
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Path, Pid};

impl System {
    /// Parcels have arrived from `node`, in this order, that count against `window` until an agent has handled what was in them. Parcels of
    /// one sender and receiver must be given in their order.
    ///
    /// A parcel that makes no sense is left out and told to the log: the other node speaks another version.
    pub fn arrive(
        &self,
        node: &Name,
        parcels: impl IntoIterator<Item = Parcel>,
        window: &Arc<dyn Window>,
    ) {
        let Some(remotes) = self.remotes() else {
            for parcel in parcels {
                window.release(parcel.receiver, parcel.body.len());
            }
            return;
        };
        let far = remotes.far(node);
        let mut run = Run::new(self, &remotes, &far, window);
        for parcel in parcels {
            let bytes = parcel.body.len();
            match decode(&parcel.body) {
                Ok(Note::Letter(letter)) => {
                    run.learn(parcel.sender);
                    run.letter(&parcel, letter);
                    continue;
                }
                Ok(note) => {
                    run.end();
                    run.learn(parcel.sender);
                    self.note_arrived(&remotes, &far, parcel.sender, parcel.receiver, note);
                }
                Err(error) => report_unreadable(node, error),
            }
            window.release(parcel.receiver, bytes);
        }
        run.end();
    }

    fn note_arrived(
        &self,
        remotes: &Remotes,
        far: &Arc<Far>,
        sender: Address,
        receiver: Address,
        note: Note<'_>,
    ) {
        let node = &far.node;
        let to = || self.find_local(receiver);
        match note {
            Note::Letter(_) => {}
            Note::Answer { ask, outcome } => {
                let outcome = outcome.map_err(AskError::from);
                far.answered(
                    ask,
                    outcome
                        .as_ref()
                        .map(|bytes| &*bytes.0)
                        .map_err(Clone::clone),
                );
            }
            Note::Monitor { id } => self.monitored(far, sender, receiver, id),
            Note::Demonitor { id } => {
                let mut state = far.state.lock();
                let known = state.monitored_by.get(&id).copied();
                let known = known.and_then(|ours| Some((ours, state.take_monitored(ours)?)));
                drop(state);
                if let Some((ours, (_, target))) = known
                    && let Some(target) = self.find_local(target)
                {
                    target.0.core().demonitor(ours);
                }
            }
            Note::Link => {
                let other = self.remote(node, sender, None);
                far.state.lock().links.insert((receiver, sender));
                let is_linked =
                    to().is_some_and(|local| local.0.core().link(&other, Incarnation(0)));
                if !is_linked {
                    far.state.lock().links.remove(&(receiver, sender));
                    let (incarnation, reason) = (Incarnation(0), ExitReason::NoProc);
                    let note = Note::Exit {
                        incarnation,
                        reason,
                    };
                    far.tell(receiver, sender, &note);
                }
            }
            Note::Unlink => {
                far.state.lock().links.remove(&(receiver, sender));
                if let Some(local) = to() {
                    local.0.core().unlink(sender);
                }
            }
            Note::Watch => match to() {
                Some(local) => {
                    far.state.lock().watched.insert(receiver);
                    // One watch for the whole node, in the name of whoever there is interested.
                    let node = self.remote(node, far.as_watcher(), None);
                    local.0.core().unwatch(node.address());
                    local.0.core().watch(Watcher::Agent(node, Incarnation(0)));
                }
                None => {
                    let reason = ExitReason::NoProc;
                    far.tell(receiver, Address(0), &Note::Ended { reason });
                }
            },
            Note::Unwatch => {
                far.state.lock().watched.remove(&receiver);
                if let Some(local) = to() {
                    local.0.core().unwatch(far.as_watcher());
                }
            }
            Note::Restarted { incarnation } => {
                far.watch_event(sender, &WatchEvent::Restarted { incarnation });
            }
            Note::Ended { reason } => far.watch_event(sender, &WatchEvent::Ended { reason }),
            // What an agent is told as a message stays in line with the sender's other messages.
            Note::Down {
                id,
                incarnation,
                reason,
            } => {
                let far = far.clone();
                self.in_line(remotes, node, receiver, move || {
                    far.down(MonitorId(id), incarnation, reason);
                });
            }
            Note::Exit {
                incarnation,
                reason,
            } => {
                if far.state.lock().links.remove(&(receiver, sender))
                    && let Some(local) = to()
                {
                    self.in_line(remotes, node, receiver, move || {
                        exit_from(&local, sender, incarnation, reason);
                    });
                }
            }
            Note::Order { reason } => {
                if let Some(local) = to() {
                    self.in_line(remotes, node, receiver, move || local.exit(reason));
                }
            }
        }
    }

    fn in_line(
        &self,
        remotes: &Remotes,
        node: &Name,
        receiver: Address,
        signal: impl FnOnce() + Send + 'static,
    ) {
        let delivery = move || {
            signal();
            None
        };
        remotes
            .parking
            .deliver(remotes.runtime(), node, receiver, delivery);
    }

    fn monitored(&self, far: &Arc<Far>, watcher: Address, target: Address, id: u64) {
        let Some(local) = self.find_local(target) else {
            let (incarnation, reason) = (Incarnation(0), ExitReason::NoProc);
            let note = Note::Down {
                id,
                incarnation,
                reason,
            };
            far.tell(target, watcher, &note);
            return;
        };
        let ours = self.monitor_id();
        {
            let mut state = far.state.lock();
            state.monitored.insert(ours, (id, target));
            state.monitored_by.insert(id, ours);
        }
        let watcher = self.remote(&far.node, watcher, None);
        local
            .0
            .core()
            .monitor(ours, Watcher::Agent(watcher, Incarnation(0)));
    }

    /// A reference to an agent of another node. `path` is shown; without one its address is. Nothing is checked: what is sent to
    /// an agent that does not exist becomes a dead letter there.
    #[must_use]
    pub fn remote(&self, node: &Name, address: Address, path: Option<&Path>) -> AnyRef {
        let Some(remotes) = self.remotes() else {
            // Without a transport nobody is there: what is sent is a dead letter at once.
            let nowhere = Remotes::new(Arc::new(Nowhere), self.runtime().clone());
            return self.stand_in(nowhere.far(node), address, path);
        };
        self.stand_in(remotes.far(node), address, path)
    }

    fn stand_in(&self, far: Arc<Far>, address: Address, path: Option<&Path>) -> AnyRef {
        let path = path.map_or_else(|| unknown_path(address), Clone::clone);
        RemoteCell::new(self.without_owner(), far, address, path).into()
    }
}

struct Nowhere;

impl crate::Transport for Nowhere {
    fn carry(
        &self,
        _: &Name,
        parcel: Parcel,
        _: Option<&std::task::Waker>,
    ) -> Result<(), crate::NotCarried> {
        Err(crate::NotCarried::Unreachable(parcel))
    }
}

/// What is shown of an agent of which only the address is known.
pub(super) fn unknown_path(address: Address) -> Path {
    Name::new(&address.to_string()).map_or_else(|_| Path::root(), |name| Path::root().child(&name))
}

fn report_unreadable(node: &Name, error: Unreadable) {
    tracing::warn!(%node, %error, "left out what another node sent");
}

/// A linked agent of another node has ended.
pub(super) fn exit_from(
    local: &AnyRef,
    from: Address,
    incarnation: Incarnation,
    reason: ExitReason,
) {
    local.0.core().unlink(from);
    let pid = Pid {
        address: from,
        incarnation,
    };
    local.signal_to(local.incarnation(), Signal::Exit(Exit { pid, reason }));
}

impl Far {
    /// In whose name this node watches agents: no agent has this address.
    pub(super) fn as_watcher(&self) -> Address {
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for byte in self.node.as_str().bytes() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
        Address(hash)
    }

    fn watch_event(&self, target: Address, event: &WatchEvent) {
        let mut state = self.state.lock();
        if matches!(event, WatchEvent::Ended { .. }) {
            let watchers = state.watches.remove(&target);
            drop(state);
            for watcher in watchers.into_iter().flatten() {
                watcher.tell_event(target, event.clone());
            }
        } else if let Some(watchers) = state.watches.get(&target) {
            for watcher in watchers {
                watcher.event(target, event.clone());
            }
        }
    }

    fn down(&self, monitor: MonitorId, incarnation: Incarnation, reason: ExitReason) {
        let entry = self.state.lock().monitors.remove(&monitor);
        if let Some((address, watcher)) = entry {
            let pid = Pid {
                address,
                incarnation,
            };
            watcher.fire(Down {
                monitor,
                pid,
                reason,
            });
        }
    }
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoProc => Self::NoProc,
            Failure::Crashed(reason) => Self::Crashed(reason),
            Failure::NoReply | Failure::Unreadable => Self::NoReply,
            Failure::Refused => Self::Refused,
            Failure::Full => Self::Full,
        }
    }
}

impl From<&AskError> for Failure {
    fn from(error: &AskError) -> Self {
        match error {
            AskError::NoProc => Self::NoProc,
            AskError::Crashed(reason) => Self::Crashed(reason.clone()),
            AskError::NoReply | AskError::Timeout { .. } | AskError::Unreachable => Self::NoReply,
            AskError::Refused | AskError::ToSelf => Self::Refused,
            AskError::Full => Self::Full,
        }
    }
}

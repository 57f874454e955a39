//! What arrives from other nodes, and what becomes of everything when one is lost.

use super::RemoteCell;
use super::codec::{Answering, Held, importing};
use super::far::{Far, Remotes};
use super::wire::{Content, Failure, LetterNote, Note, Opaque, Unreadable, decode};
use crate::agent::Message;
use crate::ask::{AskError, AskHold, ReplyTo};
use crate::cell::core::Watcher;
use crate::dead_letters::{Corpse, DeathCause};
use crate::letter::{Body, Extra, Letter, LetterKind};
use crate::reference::AnyRef;
use crate::signal::{Down, Exit, MonitorId, Signal, WatchEvent};
use crate::system::System;
use crate::transport::{LOST, Parcel};
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, ExitReason, Incarnation, Name, Path, Pid, Priority};

/// A letter from another node, on its way to a cell whose type is not known here. Dropped on the way, as its sender's node was lost,
/// it is a dead letter.
pub(crate) struct Arriving(Option<Box<Incoming>>);

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(incoming) = self.0.take() {
            incoming.refuse(DeathCause::Unreachable);
        }
    }
}

impl Arriving {
    /// As a letter of the receiver's type; a dead letter, when it is none.
    pub(crate) fn into_letter<M: Message>(mut self) -> Option<Letter<M>> {
        self.0.take()?.into_letter()
    }

    /// There is nobody to take it.
    pub(crate) fn refuse(mut self, cause: DeathCause) {
        if let Some(incoming) = self.0.take() {
            incoming.refuse(cause);
        }
    }
}

struct Incoming {
    sender: Address,
    priority: Priority,
    extra: Option<Box<Extra>>,
    content: Arrived,
    answering: Answering,
    system: System,
    receiver: Path,
    hold: Box<dyn Send + Sync>,
}

enum Arrived {
    Acl(Arc<AclMessage>, Option<u64>),
    Typed(String, u16, Vec<u8>),
}

impl Incoming {
    fn into_letter<M: Message>(self) -> Option<Letter<M>> {
        let answering = self.answering.clone();
        let (body, ask) = match &self.content {
            Arrived::Acl(message, ask) => {
                let ask = ask.map(|id| acl_asker(id, answering));
                (Body::Acl(message.clone()), ask)
            }
            Arrived::Typed(name, version, bytes) => {
                let decoded = M::codec()
                    .ok_or_else(|| "the agent takes no messages from other nodes".to_owned())
                    .map(|codec| importing(answering, || codec.decode(name, *version, bytes)));
                match decoded {
                    Ok((Ok(message), hold)) => (Body::Message(message), hold),
                    Ok((Err(why), hold)) => {
                        if let Some(hold) = hold {
                            hold.fail(AskError::Refused);
                        }
                        self.refuse(DeathCause::Rejected(why));
                        return None;
                    }
                    Err(why) => {
                        self.refuse(DeathCause::Rejected(why));
                        return None;
                    }
                }
            }
        };
        let mut letter = Letter::new(body, self.system.coarse_ms());
        letter.sender = self.sender.into();
        letter.priority = self.priority;
        letter.extra = self.extra;
        let held = Held {
            ask,
            _hold: self.hold,
        };
        letter.ask = Some(AskHold::of(held));
        Some(letter)
    }

    fn refuse(self, cause: DeathCause) {
        let (kind, acl, message_type) = match self.content {
            Arrived::Acl(message, ask) => {
                if let Some(id) = ask {
                    (self.answering)(id, Err(refusal(&cause)));
                }
                (LetterKind::Acl, Some(message), "acl")
            }
            // What asks in it cannot be read; who asked learns it by its deadline.
            Arrived::Typed(..) => (LetterKind::Message, None, "remote"),
        };
        self.system.bury(Corpse {
            cause,
            receiver: self.receiver,
            sender: Some(self.sender).filter(|sender| *sender != Address(0)),
            kind,
            message_type,
            priority: self.priority,
            acl,
            kept: None,
        });
    }
}

fn refusal(cause: &DeathCause) -> AskError {
    match cause {
        DeathCause::Rejected(_) | DeathCause::Refused => AskError::Refused,
        DeathCause::Unreachable => AskError::Unreachable,
        _ => AskError::NoProc,
    }
}

fn acl_asker(id: u64, answering: Answering) -> AskHold {
    // The letter's own hold is the asker that is made of the port.
    let (port, _hold) = ReplyTo::forwarding(move |outcome: Result<AclMessage, AskError>| {
        let encoded = outcome
            .and_then(|message| postcard::to_allocvec(&message).map_err(|_| AskError::NoReply));
        answering(id, encoded);
    });
    crate::ask::AclAsker(port).into()
}

impl System {
    /// A parcel has arrived from `node`. `hold` is dropped when the agent has handled what was in it: until then it counts against
    /// the sender's window. Parcels of one sender and receiver must be given in their order.
    ///
    /// A parcel that makes no sense is left out and told to the log: the other node speaks another version.
    pub fn arrive(&self, node: &Name, parcel: Parcel, hold: Box<dyn Send + Sync>) {
        let Some(remotes) = self.remotes() else {
            return;
        };
        let far = remotes.far(node);
        let note = match decode(&parcel.body) {
            Ok(note) => note,
            Err(error) => {
                report_unreadable(node, error);
                return;
            }
        };
        let (sender, receiver) = (parcel.sender, parcel.receiver);
        remotes.learn(sender, node);
        let to = || self.find_local(receiver);
        match note {
            Note::Letter(letter) => self.letter_arrived(&remotes, &far, &parcel, letter, hold),
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
            Note::Monitor { id } => self.monitored(&far, sender, receiver, id),
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
                self.in_line(&remotes, node, receiver, move || {
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
                    self.in_line(&remotes, node, receiver, move || {
                        exit_from(&local, sender, incarnation, reason);
                    });
                }
            }
            Note::Order { reason } => {
                if let Some(local) = to() {
                    self.in_line(&remotes, node, receiver, move || local.exit(reason));
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
        let delivery = Box::new(move || {
            signal();
            None
        });
        remotes
            .parking
            .deliver(remotes.runtime(), node, receiver, delivery);
    }

    fn letter_arrived(
        &self,
        remotes: &Remotes,
        far: &Arc<Far>,
        parcel: &Parcel,
        letter: LetterNote<'_>,
        hold: Box<dyn Send + Sync>,
    ) {
        let has_extra =
            letter.expires_in_ms.is_some() || letter.trace.is_some() || letter.extensions.is_some();
        let extra = has_extra.then(|| {
            Box::new(Extra {
                expires_at_ms: letter
                    .expires_in_ms
                    .map(|left| self.now_ms().saturating_add(left)),
                trace: letter.trace,
                extensions: letter.extensions.unwrap_or_default(),
            })
        });
        let local = self.find_local(parcel.receiver);
        let arriving = Arriving(Some(Box::new(Incoming {
            sender: parcel.sender,
            priority: letter.priority,
            extra,
            content: match letter.content {
                Content::Acl { message, ask } => Arrived::Acl(Arc::new(message.into_owned()), ask),
                Content::Typed {
                    name,
                    version,
                    body,
                } => Arrived::Typed(name.into_owned(), version, body.0.into_owned()),
            },
            answering: far.answering(parcel.receiver, parcel.sender),
            system: self.without_owner(),
            receiver: local.as_ref().map_or_else(
                || unknown_path(parcel.receiver),
                |local| local.path().clone(),
            ),
            hold,
        })));
        let Some(local) = local else {
            arriving.refuse(DeathCause::NoReceiver);
            return;
        };
        let delivery = Box::new(move || local.0.arrive(arriving));
        remotes
            .parking
            .deliver(remotes.runtime(), &far.node, parcel.receiver, delivery);
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

    /// A node is lost, or has begun anew: asks to it fail, monitors, links and watches on its agents fire with `unreachable`, once,
    /// behind all that came from it; its own bonds here are undone. `undelivered` becomes dead letters.
    pub fn node_lost(&self, node: &Name, undelivered: Vec<Parcel>) {
        let Some(remotes) = self.remotes() else {
            return;
        };
        remotes.parking.forget(node);
        let far = remotes.far(node);
        far.forget_spilled();
        for ask in far.take_asks() {
            ask.answered(Err(AskError::Unreachable));
        }
        let state = std::mem::take(&mut *far.state.lock());
        for (target, watchers) in state.watches {
            for watcher in watchers {
                watcher.tell_event(target, WatchEvent::Ended { reason: LOST });
            }
        }
        for (monitor, (address, watcher)) in state.monitors {
            let incarnation = Incarnation(0);
            let pid = Pid {
                address,
                incarnation,
            };
            watcher.fire(Down {
                monitor,
                pid,
                reason: LOST,
            });
        }
        for (local, remote) in state.links {
            if let Some(local) = self.find_local(local) {
                exit_from(&local, remote, Incarnation(0), LOST);
            }
        }
        for (ours, (_, target)) in state.monitored {
            if let Some(local) = self.find_local(target) {
                local.0.core().demonitor(ours);
            }
        }
        for target in state.watched {
            if let Some(local) = self.find_local(target) {
                local.0.core().unwatch(far.as_watcher());
            }
        }
        for parcel in undelivered {
            self.bury_parcel(parcel);
        }
    }

    fn bury_parcel(&self, parcel: Parcel) {
        let Ok(Note::Letter(letter)) = decode(&parcel.body) else {
            return;
        };
        let (kind, acl) = match letter.content {
            Content::Acl { message, .. } => (LetterKind::Acl, Some(Arc::new(message.into_owned()))),
            Content::Typed { .. } => (LetterKind::Message, None),
        };
        self.bury(Corpse {
            cause: DeathCause::Unreachable,
            receiver: unknown_path(parcel.receiver),
            sender: Some(parcel.sender).filter(|sender| *sender != Address(0)),
            kind,
            message_type: "remote",
            priority: letter.priority,
            acl,
            kept: None,
        });
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
fn unknown_path(address: Address) -> Path {
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
    fn as_watcher(&self) -> Address {
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

    /// Sends answers of an agent here back to who asked it.
    fn answering(self: &Arc<Self>, from: Address, to: Address) -> Answering {
        let far = self.clone();
        Arc::new(move |ask, outcome| {
            let outcome = outcome
                .map(Opaque::from)
                .map_err(|error| Failure::from(&error));
            far.tell(from, to, &Note::Answer { ask, outcome });
        })
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

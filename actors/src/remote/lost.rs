//! What becomes of everything when a node is lost.

use super::arrive::{exit_from, unknown_path};
use super::wire::{Content, Note, decode};
use crate::ask::AskError;
use crate::dead_letters::{Corpse, DeathCause};
use crate::letter::LetterKind;
use crate::signal::{Down, WatchEvent};
use crate::system::System;
use crate::transport::{LOST, Parcel};
use swarm_protocols::{Address, Incarnation, Name, Pid};

impl System {
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
            Content::Acl { message, .. } => (LetterKind::Acl, Some(message.into_message())),
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
}

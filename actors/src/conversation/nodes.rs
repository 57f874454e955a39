//! Other sides that live on other nodes: by which names they are known here, and where they are.
//!
//! A name stands for one place on each node by itself: two nodes may have a `worker-1` each. So a side of another node is called by the name
//! under which it was called from here, or else by its local name and its node. Its node's loss ends its part as its own end does.

use super::actor::ProtocolActor;
use super::carry::PLACES_MAX;
use crate::reference::AnyRef;
use crate::turn::Turn;
use std::collections::BTreeSet;
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, Aid, SmolStr, format_smolstr};

impl ProtocolActor {
    /// The message as this side sees it: a sender of another node has the name by which it is known here, and can be answered.
    pub(super) fn placed(
        &mut self,
        turn: &Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Arc<AclMessage> {
        let place = turn
            .sender()
            .and_then(|address| turn.system().find(address))
            .filter(AnyRef::is_remote);
        let (Some(place), Some(sender)) = (place, &message.sender) else {
            return message;
        };
        let name = match self.name_at(place.address(), &message) {
            Some(name) => name,
            None => self.name_for(place, sender),
        };
        if name == sender.name {
            return message;
        }
        let mut named = (*message).clone();
        named.sender = Some(Aid {
            name,
            ..sender.clone()
        });
        Arc::new(named)
    }

    /// The name under which it takes part in the message's conversation, if it has several: its place in its tree may have become known
    /// only after it was first called.
    fn name_at(&self, address: Address, message: &AclMessage) -> Option<SmolStr> {
        let names: BTreeSet<&SmolStr> = self
            .places
            .iter()
            .filter(|(_, place)| place.address() == address)
            .map(|(name, _)| name)
            .collect();
        if names.len() > 1
            && let Some(id) = &message.conversation_id
            && let Some(record) = self.table().records.lock().get_mut(id)
        {
            let parties = record.machine.parties();
            let party = parties.iter().find(|(who, _)| names.contains(&who.name));
            if let Some((who, _)) = party {
                return Some(who.name.clone());
            }
        }
        names.into_iter().next().cloned()
    }

    /// A name that nobody else has here.
    fn name_for(&mut self, place: AnyRef, sender: &Aid) -> SmolStr {
        let node = place.info().node;
        let usual = format_smolstr!("{}@{node}", sender.local_name());
        let name = match self.places.contains_key(&usual) {
            false => usual,
            true => format_smolstr!("{}@{node}", place.address()),
        };
        if self.places.len() >= PLACES_MAX {
            self.places.clear();
        }
        self.places.insert(name.clone(), place);
        name
    }
}

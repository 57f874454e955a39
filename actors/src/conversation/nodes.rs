//! Other sides that live on other nodes: by which names they are known here, and where they are.
//!
//! A name stands for one place on each node by itself: two nodes may have a `worker-1` each. So a side of another node is called by the name
//! under which it was called from here, or else by its local name and its node. Its node's loss ends its part as its own end does.

use super::actor::ProtocolActor;
use crate::reference::AnyRef;
use crate::turn::Turn;
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, Aid, SmolStr, format_smolstr};

/// In a message to another node: `kept` from a protocol actor, whose conversations outlive its crash. Only its own node knows an agent's type.
const RECORDS_PARAMETER: &str = "X-Records";
const KEPT: &str = "kept";

/// The message as it leaves for this place.
pub(super) fn leaving_for(place: &AnyRef, message: &Arc<AclMessage>) -> Arc<AclMessage> {
    if !place.is_remote() {
        return message.clone();
    }
    let mut marked = (**message).clone();
    let mark = (RECORDS_PARAMETER.to_owned(), KEPT.to_owned());
    marked.user_parameters.push(mark);
    Arc::new(marked)
}

/// Takes the mark off.
fn unmarked(mut message: Arc<AclMessage>) -> (Arc<AclMessage>, bool) {
    let is_mark = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case(RECORDS_PARAMETER) && value == KEPT
    };
    if !message.user_parameters.iter().any(is_mark) {
        return (message, false);
    }
    let own = Arc::make_mut(&mut message);
    own.user_parameters.retain(|entry| !is_mark(entry));
    (message, true)
}

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
        let Some(place) = place else {
            return message;
        };
        let (message, is_marked) = unmarked(message);
        if is_marked {
            self.table().places.note_keeper(place.address());
        }
        let Some(sender) = &message.sender else {
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
        let names = self.table().places.names_of(address);
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
        names.into_iter().next()
    }

    /// A name that nobody else has here.
    fn name_for(&self, place: AnyRef, sender: &Aid) -> SmolStr {
        let node = place.info().node;
        let usual = format_smolstr!("{}@{node}", sender.local_name());
        let places = &self.table().places;
        let name = match places.get(&usual) {
            None => usual,
            Some(_) => format_smolstr!("{}@{node}", place.address()),
        };
        places.note(name.clone(), place);
        name
    }
}

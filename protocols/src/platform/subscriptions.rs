//! Who wants to hear of changes (fipa-subscribe, fipa.md d.10 and e.2).

use crate::acl::{AclMessage, Aid, ConversationId};
use crate::sl::management::{Action, DfAgentDescription};
use std::collections::BTreeMap;

/// One subscriber's wish.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// The message that made it: every notification answers it.
    pub(super) subscribe: AclMessage,
    /// The search whose results it wants to hear of.
    pub(super) search: Action,
    /// What that search looks for.
    pub(super) template: DfAgentDescription,
}

/// All subscriptions, by conversation and subscriber.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<Key, Subscription>);

type Key = (Option<ConversationId>, Option<Aid>);

fn key(message: &AclMessage) -> Key {
    (message.conversation_id.clone(), message.sender.clone())
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, message: &AclMessage) -> bool {
        self.0.contains_key(&key(message))
    }

    /// A second one in the same conversation takes the place of the first, as in JADE.
    pub(super) fn put(&mut self, subscription: Subscription) {
        self.0.insert(key(&subscription.subscribe), subscription);
    }

    /// Ends the one in whose conversation this message is, if its sender made it.
    pub(super) fn cancel(&mut self, message: &AclMessage) -> Option<Subscription> {
        self.0.remove(&key(message))
    }

    /// Ends all of an agent.
    pub(super) fn forget(&mut self, agent: &Aid) {
        self.0
            .retain(|(_, subscriber), _| subscriber.as_ref() != Some(agent));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.0.values()
    }
}

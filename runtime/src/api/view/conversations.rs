//! Conversations in the API's words.

use crate::api::types::{
    ConversationCounts, ConversationDetail, ConversationMessage, ConversationParty,
    ConversationSummary, Time,
};
use std::collections::{BTreeMap, BTreeSet};
use swarm_actors::conversation::{self, ConversationView, MessageView};
use swarm_protocols::Name;

pub(in crate::api) fn summary(view: &ConversationView, node: &Name) -> ConversationSummary {
    ConversationSummary {
        id: view.id.to_string(),
        protocol: view.protocol.clone(),
        role: view.role.to_string(),
        agent: view.agent.clone(),
        actor: view.actor.to_string(),
        node: node.to_string(),
        state: view.state.clone(),
        outcome: view.outcome.map(|end| end.to_string()),
        parties: view
            .parties
            .iter()
            .map(|party| ConversationParty {
                name: party.name.clone(),
                state: party.state.clone(),
            })
            .collect(),
        opened_at: Time::from_unix_ms(view.opened_ms),
        ended_at: view.ended_ms.map(Time::from_unix_ms),
        expires_at: view.expires_ms.map(Time::from_unix_ms),
    }
}

pub(in crate::api) fn message(id: &str, message: &MessageView) -> ConversationMessage {
    ConversationMessage {
        conversation: id.to_owned(),
        at: Time::from_unix_ms(message.at_ms),
        act: message.act.to_string(),
        from: message.from.clone(),
        to: message.to.clone(),
        content: message.content.clone(),
        content_bytes: message.content_bytes,
        price: message.price.clone(),
    }
}

/// The sides of one conversation. What was said is seen by two sides; the first one's view of it counts.
pub(in crate::api) fn detail(views: &[ConversationView], node: &Name) -> ConversationDetail {
    let mut seen = BTreeSet::new();
    let mut messages = Vec::new();
    for view in views {
        for said in &view.messages {
            let key = (
                said.from.clone(),
                said.reply_with.clone(),
                said.act.as_str(),
                said.reply_with.is_none().then_some(said.at_ms),
            );
            if seen.insert(key) {
                messages.push(message(&view.id, said));
            }
        }
    }
    messages.sort_by_key(|message| message.at.unix_ms);
    ConversationDetail {
        sides: views.iter().map(|view| summary(view, node)).collect(),
        messages,
        left_out: views.first().map_or(0, |view| view.messages_left_out),
        unanswered: Vec::new(),
    }
}

/// Adds what another node has seen of the same conversation. What one side sent and another took is one message.
pub(in crate::api) fn join(detail: &mut ConversationDetail, other: ConversationDetail) {
    let key = |said: &ConversationMessage| {
        (
            said.from.clone(),
            said.act.clone(),
            said.content.clone(),
            said.content_bytes,
        )
    };
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    for said in &detail.messages {
        *seen.entry(key(said)).or_default() += 1;
    }
    for said in other.messages {
        match seen.get_mut(&key(&said)).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => detail.messages.push(said),
        }
    }
    detail.messages.sort_by_key(|message| message.at.unix_ms);
    detail.sides.extend(other.sides);
    // The initiator's first.
    detail.sides.sort_by(|a, b| a.role.cmp(&b.role));
    detail.left_out = detail.left_out.max(other.left_out);
}

/// Adds the counts of another node.
pub(in crate::api) fn add(counts: &mut ConversationCounts, other: &ConversationCounts) {
    counts.open += other.open;
    counts.opened += other.opened;
    counts.ended += other.ended;
    counts.refused += other.refused;
    counts.out_of_sequence += other.out_of_sequence;
    counts.duplicates += other.duplicates;
    counts.late += other.late;
    counts.unknown += other.unknown;
}

pub(in crate::api) fn counts(counts: conversation::ConversationCounts) -> ConversationCounts {
    ConversationCounts {
        open: counts.open,
        opened: counts.opened,
        ended: counts.ended,
        refused: counts.refused,
        out_of_sequence: counts.out_of_sequence,
        duplicates: counts.duplicates,
        late: counts.late,
        unknown: counts.unknown,
    }
}

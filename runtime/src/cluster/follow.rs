//! What a member does about what it hears of the others.

use super::directory::{self};
use super::member::{Expelled, HEARD_WITHIN, Inner};
use std::sync::Weak;
use swarm_cluster::gossip::Notice;
use swarm_cluster::identity::NodeId;
use swarm_cluster::membership::{Change, Event, MemberState};
use swarm_cluster::names;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Tells links, agents and the log what membership decides.
pub(super) async fn follow(member: Weak<Inner>, mut notices: broadcast::Receiver<Notice>) {
    loop {
        let notice = notices.recv().await;
        let Some(member) = member.upgrade() else {
            return;
        };
        match notice {
            Ok(Notice::Change(change)) => {
                let is_lasting = matches!(
                    change,
                    Change::Alive { .. } | Change::Down { .. } | Change::Left { .. }
                );
                let decisions = match &change {
                    Change::Alive { node, .. } => {
                        let node = node.clone();
                        member.directory.handle(names::Event::Up { node })
                    }
                    Change::Down { node, .. } | Change::Left { node } => member
                        .directory
                        .handle(names::Event::Down { boot: node.boot }),
                    _ => Vec::new(),
                };
                carry_out(&member, change);
                directory::carry_out(&member, decisions).await;
                if is_lasting {
                    member.note_members().await;
                }
            }
            Ok(Notice::Broadcast { origin, payload }) => {
                let decisions = member.directory.message(origin, &payload);
                directory::carry_out(&member, decisions).await;
            }
            Err(RecvError::Lagged(_)) => catch_up(&member).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Who is suspected is asked nothing new where somebody else will do.
pub(super) fn note_doubts(member: &Inner, change: &Change) {
    match change {
        Change::Suspect { node } => member.directory.doubt(&node.name, true),
        Change::Refuted { node }
        | Change::Alive { node, .. }
        | Change::Down { node, .. }
        | Change::Left { node } => member.directory.doubt(&node.name, false),
        _ => {}
    }
}

pub(super) fn carry_out(member: &Inner, change: Change) {
    note_doubts(member, &change);
    let publish = |name: &str, detail: &str| {
        if let Some(system) = member.system.upgrade() {
            system.publish_custom(None, name, detail);
        }
    };
    match change {
        Change::Alive { node, address, .. } => {
            member.links.know(&node.name, &address.to_string());
            member.comparing.with(&node.name);
            evict_denied(member, &node);
            publish("node-alive", node.name.as_str());
        }
        Change::Down { node, cause } => {
            member.links.down(&node.name, Some(node.boot));
            member.requests.node_lost(&node.name);
            publish("node-down", &format!("{}: {cause:?}", node.name));
        }
        Change::Left { node } => {
            member.links.down(&node.name, Some(node.boot));
            member.requests.node_lost(&node.name);
            publish("node-left", node.name.as_str());
        }
        Change::Suspect { node } => publish("node-suspect", node.name.as_str()),
        Change::Refuted { node } => publish("node-refuted", node.name.as_str()),
        Change::NameTaken { by, address, .. } => {
            tracing::error!(%by, %address, "another process has this node's name");
            publish("node-name-taken", &by.to_string());
            member.expel(Expelled::NameTaken(by.name));
        }
        Change::Evicted => {
            tracing::error!("this node was thrown out of the cluster");
            publish("node-evicted", member.links.me().name.as_str());
            member.expel(Expelled::Evicted);
        }
        Change::Joined { .. } | Change::Renewed { .. } | Change::Departed => {}
    }
}

/// A process with a name that was thrown out is told so and refused by gossip too. Not at once: the name may have been let in again
/// elsewhere, which is heard within moments.
pub(super) fn evict_denied(member: &Inner, node: &NodeId) {
    if !member.kept.lock().ledger.is_denied(&node.name) {
        return;
    }
    let (weak, node) = (member.this.clone(), node.clone());
    member.runtime.spawn(async move {
        tokio::time::sleep(HEARD_WITHIN).await;
        let Some(member) = weak.upgrade() else { return };
        if member.kept.lock().ledger.is_denied(&node.name) {
            let boot = node.boot;
            // Without gossip nobody is left to be told.
            let _ = member.gossip.tell(Event::Evict { boot }).await;
        }
    });
}

/// After notices were lost: the whole view again.
pub(super) async fn catch_up(member: &Inner) {
    for view in member.gossip.members().await.unwrap_or_default() {
        let is_doubted = view.state == MemberState::Suspect;
        member.directory.doubt(&view.node.name, is_doubted);
        match view.state {
            MemberState::Alive | MemberState::Suspect => {
                let address = view.address.to_string();
                member.links.know(&view.node.name, &address);
            }
            MemberState::Down | MemberState::Left => {
                member.links.down(&view.node.name, Some(view.node.boot));
            }
        }
    }
}

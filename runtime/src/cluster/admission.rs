//! Letting a node in.

use super::member::{Inner, wall_ms};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::membership::MemberState;
use swarm_cluster::security::join::{
    self, Admission, Gate, JoinRefusal, JoinRequest, Seed, seal_key,
};
use swarm_cluster::security::{NODE_CERTIFICATE_LIFE, Vault};
use swarm_cluster::transport::Connection;

/// How long the whole exchange may take on this side.
const LIMIT: Duration = Duration::from_secs(4);

pub(super) async fn admit(member: &Arc<Inner>, mut connection: Connection) {
    let exchange = async {
        let request = join::receive(&mut connection.stream).await?;
        let outcome = decide(member, &request).await;
        match &outcome {
            Ok(_) => tracing::info!(node = %request.node, token = %request.token, "admitted"),
            Err(refusal) => {
                tracing::warn!(node = %request.node, token = %request.token, %refusal, "not admitted");
            }
        }
        join::answer(&mut connection.stream, outcome).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(LIMIT, exchange).await {
        tracing::debug!(%error, "an attempt to join came to nothing");
    }
}

async fn decide(member: &Inner, request: &JoinRequest) -> Result<Admission, JoinRefusal> {
    let malformed = |error: &dyn std::fmt::Display| JoinRefusal::Malformed(error.to_string());
    let authority = member.authority.as_ref().ok_or(JoinRefusal::NotHere)?;
    let views = member.gossip.members().await.unwrap_or_default();
    let alive: BTreeSet<_> = views
        .iter()
        .filter(|view| matches!(view.state, MemberState::Alive | MemberState::Suspect))
        .map(|view| view.node.name.clone())
        .collect();
    let clock_ms = wall_ms();
    let mut kept = member.kept.lock();
    let gate = Gate {
        tokens: &kept.tokens,
        alive: &alive,
        clock_ms,
    };
    let grant = join::decide(request, &gate)?;
    let chain = authority
        .certify(
            &request.node.name,
            &request.csr,
            clock_ms / 1000,
            NODE_CERTIFICATE_LIFE,
        )
        .map_err(|error| malformed(&error))?;
    let sealed = if grant.makes_voters {
        let vault = Vault::with_key(seal_key(request));
        Some(authority.seal(&vault).map_err(|error| malformed(&error))?)
    } else {
        None
    };
    kept.tokens.note_use(grant.id);
    let gossip_keys =
        postcard::to_allocvec(&kept.gossip_keys).map_err(|error| malformed(&error))?;
    // This node first: it is the one that is reached for sure.
    let mut members: Vec<Seed> = views
        .into_iter()
        .filter(|view| alive.contains(&view.node.name))
        .map(|view| Seed {
            node: view.node,
            address: view.address.to_string(),
        })
        .collect();
    members.sort_by_key(|seed| seed.node != *member.links.me());
    let admission = Admission {
        cluster: kept.cluster,
        cluster_name: kept.cluster_name.clone(),
        chain,
        roots: kept.roots.clone(),
        authority: sealed,
        gossip_keys,
        members,
    };
    member.store(&kept);
    Ok(admission)
}

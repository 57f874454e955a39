//! Letting a node in.

use super::ledger::Ledger;
use super::member::{Inner, wall_ms};
use super::orders;
use super::replicate;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::membership::MemberState;
use swarm_cluster::security::join::{
    self, Admission, Gate, JoinRefusal, JoinRequest, Seed, seal_key,
};
use swarm_cluster::security::{NODE_CERTIFICATE_LIFE, TokenGrant, TokenId, TokenRefusal, Vault};
use swarm_cluster::transport::Connection;
use swarm_protocols::Name;

/// How long the others have to hear that a name is let in again.
const READMIT_LIMIT: Duration = Duration::from_secs(1);
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

/// Decides, or has a voter decide: any member takes those who want to join.
async fn decide(member: &Inner, request: &JoinRequest) -> Result<Admission, JoinRefusal> {
    if member.authority.is_some() {
        return decide_here(member, request).await;
    }
    for peer in member.others().await {
        let order = orders::order(orders::ADMIT, request);
        let asked = member
            .requests
            .ask(&member.links, &peer, order, replicate::ORDER_LIMIT)
            .await;
        let decided = asked
            .ok()
            .and_then(|answered| orders::read::<Result<Admission, JoinRefusal>>(&answered.body));
        match decided {
            None | Some(Err(JoinRefusal::NotHere)) => {}
            Some(decided) => return decided,
        }
    }
    Err(JoinRefusal::NotHere)
}

/// Counts a use of a token whose home this is.
pub(super) fn spend_here(member: &Inner, token: TokenId) -> Result<(), TokenRefusal> {
    let mut kept = member.kept.lock();
    kept.ledger.tokens.spend(token, wall_ms() / 1000)?;
    member.store(&kept);
    drop(kept);
    member.tell_others();
    Ok(())
}

/// Counts a use before anybody is let in: where the token is limited, at its home, and nowhere else.
async fn spend(member: &Inner, grant: &TokenGrant) -> Result<(), JoinRefusal> {
    let Some(home) = grant
        .counted_by
        .as_ref()
        .filter(|home| **home != member.links.me().name)
    else {
        return Ok(spend_here(member, grant.id)?);
    };
    let order = orders::order(orders::SPEND, &grant.id);
    let asked = member
        .requests
        .ask(&member.links, home, order, replicate::ORDER_LIMIT)
        .await;
    let spent = asked
        .ok()
        .and_then(|answered| orders::read::<Result<(), TokenRefusal>>(&answered.body));
    match spent {
        Some(spent) => Ok(spent?),
        None => Err(JoinRefusal::NotCounted { home: home.clone() }),
    }
}

/// A name that was thrown out is let in again by a token. The others hear it first, or they would refuse it.
async fn readmit(member: &Inner, name: &Name) {
    {
        let mut kept = member.kept.lock();
        if !kept.ledger.readmit(name, wall_ms()) {
            return;
        }
        member.store(&kept);
    }
    drop(tokio::time::timeout(READMIT_LIMIT, replicate::spread(member)).await);
}

pub(super) async fn decide_here(
    member: &Inner,
    request: &JoinRequest,
) -> Result<Admission, JoinRefusal> {
    let malformed = |error: &dyn std::fmt::Display| JoinRefusal::Malformed(error.to_string());
    let authority = member.authority.as_ref().ok_or(JoinRefusal::NotHere)?;
    let views = member.gossip.members().await.unwrap_or_default();
    let alive: BTreeSet<_> = views
        .iter()
        .filter(|view| matches!(view.state, MemberState::Alive | MemberState::Suspect))
        .map(|view| view.node.name.clone())
        .collect();
    let clock_ms = wall_ms();
    let grant = {
        let kept = member.kept.lock();
        let gate = Gate {
            tokens: &kept.ledger.tokens,
            alive: &alive,
            clock_ms,
        };
        join::decide(request, &gate)?
    };
    spend(member, &grant).await?;
    readmit(member, &request.node.name).await;
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
    let kept = member.kept.lock();
    let ledger = Ledger::of_keys(&kept.ledger.keys);
    let gossip_keys = postcard::to_allocvec(&ledger).map_err(|error| malformed(&error))?;
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
    Ok(Admission {
        cluster: kept.cluster,
        cluster_name: kept.cluster_name.clone(),
        chain,
        roots: kept.roots.clone(),
        authority: sealed,
        gossip_keys,
        members,
    })
}

//! Members of the cluster, and the tokens to join it with.

use crate::api::fault::Fault;
use crate::api::input::{JsonBody, NoBody};
use crate::api::server::Api;
use crate::api::types::{
    LeaveAnswer, LinkSummary, NodeSummary, NodesAnswer, RevokeAnswer, Time, TokenAnswer,
    TokenRequest, TokenSummary, TokensAnswer,
};
use crate::cluster::{Cluster, ClusterError};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::time::Duration;
use swarm_cluster::security::{TokenId, TokenInfo};
use swarm_cluster::transport::LinkInfo;

/// How long a token holds, in milliseconds.
const LIFE_MS: std::ops::RangeInclusive<u64> = 60_000..=30 * 24 * 3600 * 1000;

pub(super) fn cluster(api: &Api) -> Result<Cluster, Fault> {
    api.node.cluster().cloned().ok_or_else(|| {
        Fault::new(
            StatusCode::CONFLICT,
            "no-cluster",
            "this node is not in a cluster",
            "start it with `swarmctl up` or `swarmctl join`",
        )
    })
}

pub(in crate::api) async fn list(State(api): State<Api>) -> Result<Json<NodesAnswer>, Fault> {
    let cluster = cluster(&api)?;
    let links = cluster.links();
    let nodes = cluster
        .members()
        .await
        .into_iter()
        .map(|member| NodeSummary {
            links: links
                .iter()
                .filter(|link| link.peer == member.name)
                .map(link_summary)
                .collect(),
            name: member.name.to_string(),
            boot_id: member.boot.to_string(),
            state: member.state.to_owned(),
            address: member.address.to_string(),
            is_self: member.is_self,
        });
    Ok(Json(NodesAnswer {
        nodes: nodes.collect(),
        cluster: cluster.name().to_string(),
    }))
}

fn link_summary(link: &LinkInfo) -> LinkSummary {
    LinkSummary {
        lane: link.lane.as_str().to_owned(),
        is_open: link.is_open,
        connections: link.connections,
        under_way_bytes: link.under_way_bytes as u64,
        held_bytes: link.held_bytes as u64,
        last_problem: link.last_problem.clone(),
    }
}

pub(in crate::api) async fn tokens(State(api): State<Api>) -> Result<Json<TokensAnswer>, Fault> {
    let now = Time::now();
    let tokens = cluster(&api)?.tokens();
    Ok(Json(TokensAnswer {
        tokens: tokens.iter().map(|info| token_summary(info, now)).collect(),
    }))
}

fn time(seconds: u64) -> Time {
    Time::from_unix_ms(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX))
}

fn token_summary(info: &TokenInfo, now: Time) -> TokenSummary {
    let state = if info.is_revoked {
        "revoked"
    } else if time(info.expires) <= now {
        "expired"
    } else if info.uses.is_some_and(|uses| info.used >= uses) {
        "used-up"
    } else {
        "valid"
    };
    TokenSummary {
        id: info.id.to_string(),
        state: state.to_owned(),
        created_at: time(info.created),
        expires_at: time(info.expires),
        uses: info.uses,
        used: info.used,
        voters: info.makes_voters,
        home: info.home.to_string(),
    }
}

pub(in crate::api) async fn create_token(
    State(api): State<Api>,
    JsonBody(request): JsonBody<TokenRequest>,
) -> Result<(StatusCode, Json<TokenAnswer>), Fault> {
    if !LIFE_MS.contains(&request.expires_in_ms) {
        return Err(Fault::invalid(
            "expires_in_ms",
            "a token holds for a minute to 30 days",
            "`swarmctl token create --expires 24h`",
        ));
    }
    if request.uses == Some(0) {
        return Err(Fault::invalid(
            "uses",
            "a token that nobody can use is of no use",
            "leave --uses out for any number",
        ));
    }
    let cluster = cluster(&api)?;
    let life = Duration::from_millis(request.expires_in_ms);
    let token = cluster
        .create_token(life, request.uses, request.voters)
        .map_err(|error| not_made(&error))?;
    let answer = TokenAnswer {
        id: token.id.to_string(),
        token: token.reveal(),
        address: cluster.address().to_string(),
        expires_at: time(token.expires),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

fn not_made(error: &ClusterError) -> Fault {
    let (code, next_step) = match error {
        ClusterError::NoAuthority => (
            "no-authority",
            "ask a voter: the node that was started with `swarmctl up`, or one that joined with a token for voters",
        ),
        _ => ("token-not-made", "`swarmctl token ls` lists the tokens"),
    };
    Fault::new(StatusCode::CONFLICT, code, error.to_string(), next_step)
}

pub(in crate::api) async fn revoke_token(
    State(api): State<Api>,
    Path(id): Path<String>,
    NoBody: NoBody,
) -> Result<Json<RevokeAnswer>, Fault> {
    let cluster = cluster(&api)?;
    let is_known = id
        .parse::<TokenId>()
        .is_ok_and(|id| cluster.revoke_token(id));
    if !is_known {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "no-such-token",
            format!("no token {id} is known in this cluster"),
            "`swarmctl token ls` lists them",
        ));
    }
    Ok(Json(RevokeAnswer { id, revoked: true }))
}

pub(in crate::api) async fn leave(
    State(api): State<Api>,
    NoBody: NoBody,
) -> Result<Json<LeaveAnswer>, Fault> {
    let cluster = cluster(&api)?;
    cluster.leave().await;
    Ok(Json(LeaveAnswer {
        node: cluster.me().name.to_string(),
        left: true,
    }))
}

//! The manifest of all nodes: planned, applied, shown.
//!
//! Whoever is asked asks all members for their plans first and applies nothing unless each of them can. A member that is cut off or
//! comes later takes the manifest over by itself.

use crate::api::fanout::Scope;
use crate::api::fault::Fault;
use crate::api::input::JsonBody;
use crate::api::server::Api;
use crate::api::types::{
    ManifestAnswer, ManifestPlan, ManifestRequest, NodePlan, PlanStep, Unanswered,
};
use crate::cluster::{Cluster, Forwarded};
use crate::manifest::{Change, Step};
use crate::node::{Applied, ApplyError};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::StreamExt;
use futures_util::stream;
use std::time::Duration;
use swarm_protocols::Name;

/// How long a member may take to say what it would do: it reads the manifest, and looks at components.
const PLAN_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to do it: what is stopped has its time to stop.
const APPLY_LIMIT: Duration = Duration::from_secs(90);
/// How many members are asked at once.
const MEMBERS_AT_ONCE: usize = 16;
/// The longest wait for the effect.
const WAIT_MS_MAX: u64 = 600_000;
/// How often it is looked whether the effect is there.
const LOOK: Duration = Duration::from_millis(100);

pub(in crate::api) async fn show(State(api): State<Api>) -> Json<ManifestAnswer> {
    // Its text first: a later one goes with a later generation.
    let text = api.node.applied_text();
    Json(ManifestAnswer {
        node: api.node.name().to_string(),
        generation: api.node.edition().generation,
        text: text.map(|text| text.to_string()),
    })
}

pub(in crate::api) async fn apply(
    State(api): State<Api>,
    scope: Scope,
    JsonBody(request): JsonBody<ManifestRequest>,
) -> Result<Json<ManifestPlan>, Fault> {
    if request.wait_ms.is_some_and(|ms| ms > WAIT_MS_MAX) {
        return Err(Fault::invalid(
            "wait_ms",
            "at most ten minutes",
            "a shorter wait; `swarmctl plan` shows later whether all is done",
        ));
    }
    let own_plan = own_plan(&api, &request.text)?;
    let cluster = match scope {
        Scope::Cluster => api.node.cluster(),
        Scope::Node => None,
    };
    let mut plans = vec![own_plan];
    let mut unanswered = Vec::new();
    if let Some(cluster) = cluster {
        ask_all(
            cluster,
            &plan_of(&request),
            PLAN_LIMIT,
            &mut plans,
            &mut unanswered,
        )
        .await;
    }
    if request.dry_run {
        return Ok(Json(answer(plans, unanswered, false, false)));
    }
    refuse_unless_all_can(&plans, &unanswered)?;
    let latest = plans.iter().map(|plan| plan.generation).max().unwrap_or(0);
    let generation = request.generation.unwrap_or(latest + 1);
    let mut done = vec![apply_here(&api, &request.text, generation).await?];
    // Those that are down take it over when they come back.
    let mut unanswered = Vec::new();
    if let Some(cluster) = cluster {
        let order = ManifestRequest {
            generation: Some(generation),
            wait_ms: None,
            ..request.clone()
        };
        ask_all(cluster, &order, APPLY_LIMIT, &mut done, &mut unanswered).await;
    }
    let wait = Duration::from_millis(request.wait_ms.unwrap_or(0));
    let settled = until_settled(&api, wait).await;
    Ok(Json(answer(done, unanswered, true, settled)))
}

/// Why a member is not asked.
const DOWN: &str = "down";

fn answer(
    mut nodes: Vec<NodePlan>,
    unanswered: Vec<Unanswered>,
    applied: bool,
    settled: bool,
) -> ManifestPlan {
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    ManifestPlan {
        nodes,
        applied,
        settled,
        unanswered,
    }
}

fn plan_of(request: &ManifestRequest) -> ManifestRequest {
    ManifestRequest {
        dry_run: true,
        generation: None,
        wait_ms: None,
        ..request.clone()
    }
}

fn own_plan(api: &Api, text: &str) -> Result<NodePlan, Fault> {
    let steps = api.node.plan(text).map_err(|error| fault(&error))?;
    Ok(NodePlan {
        node: api.node.name().to_string(),
        generation: api.node.edition().generation,
        steps: steps.iter().map(step_of).collect(),
        problems: Vec::new(),
    })
}

async fn apply_here(api: &Api, text: &str, generation: u64) -> Result<NodePlan, Fault> {
    let applied = api.node.apply(text, generation).await;
    let Applied {
        edition,
        steps,
        problems,
    } = applied.map_err(|error| fault(&error))?;
    Ok(NodePlan {
        node: api.node.name().to_string(),
        generation: edition.generation,
        steps: steps.iter().map(step_of).collect(),
        problems,
    })
}

fn step_of(step: &Step) -> PlanStep {
    let (change, keys) = match &step.change {
        Change::Add => ("add", &[][..]),
        Change::Remove => ("remove", &[][..]),
        Change::Adjust(keys) => ("adjust", &keys[..]),
        Change::Replace(keys) => ("replace", &keys[..]),
    };
    PlanStep {
        change: change.to_owned(),
        path: step.path.to_string(),
        kind: if step.is_supervisor {
            "supervisor"
        } else {
            "agent"
        }
        .to_owned(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    }
}

/// Asks every other member; those that are down are not asked.
async fn ask_all(
    cluster: &Cluster,
    request: &ManifestRequest,
    within: Duration,
    answers: &mut Vec<NodePlan>,
    unanswered: &mut Vec<Unanswered>,
) {
    let body = serde_json::to_vec(request).unwrap_or_default();
    let members = cluster.members().await;
    let others = members
        .into_iter()
        .filter(|member| !member.is_self && member.state != "left");
    let asked = others.map(|member| {
        let body = body.clone();
        async move {
            let answer = match member.state {
                "down" => Err(DOWN.to_owned()),
                _ => ask(cluster, &member.name, body, within).await,
            };
            (member.name, answer)
        }
    });
    let said: Vec<_> = stream::iter(asked)
        .buffer_unordered(MEMBERS_AT_ONCE)
        .collect()
        .await;
    for (node, answer) in said {
        match answer {
            Ok(plan) => answers.push(plan),
            Err(why) => unanswered.push(Unanswered {
                node: node.to_string(),
                why,
            }),
        }
    }
    unanswered.sort_by(|a, b| a.node.cmp(&b.node));
}

async fn ask(
    cluster: &Cluster,
    node: &Name,
    body: Vec<u8>,
    within: Duration,
) -> Result<NodePlan, String> {
    let request = Forwarded {
        method: "POST".to_owned(),
        target: "/v1/manifest".to_owned(),
        body,
    };
    let answered = cluster
        .request(node, request, within)
        .await
        .map_err(|error| error.to_string())?;
    if !answered.is_success() {
        let why: Option<crate::api::types::ErrorAnswer> =
            serde_json::from_slice(&answered.body).ok();
        return Err(match why {
            Some(why) => why.error.message,
            None => format!("answered with status {}", answered.status),
        });
    }
    let plan: ManifestPlan = serde_json::from_slice(&answered.body)
        .map_err(|_| "its answer cannot be read: another version".to_owned())?;
    let own = plan.nodes.into_iter().next();
    own.ok_or_else(|| "its answer is empty".to_owned())
}

fn refuse_unless_all_can(plans: &[NodePlan], unanswered: &[Unanswered]) -> Result<(), Fault> {
    let problems = plans
        .iter()
        .flat_map(|plan| plan.problems.iter().map(|p| format!("{}: {p}", plan.node)));
    let silent = unanswered
        .iter()
        .filter(|other| other.why != DOWN)
        .map(|other| format!("{}: {}", other.node, other.why));
    let all: Vec<String> = problems.chain(silent).collect();
    if all.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::CONFLICT,
        "not-every-node-can",
        all.join("; "),
        "mend what it names; nothing was changed on any node",
    ))
}

async fn until_settled(api: &Api, wait: Duration) -> bool {
    let settled = async {
        while !api.node.is_settled() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(wait, settled).await.is_ok()
}

fn fault(error: &ApplyError) -> Fault {
    let (status, code, next_step) = match error {
        ApplyError::Rejected(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-manifest",
            "mend these lines, then `swarmctl validate FILE`",
        ),
        ApplyError::Bad(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad-agent",
            "mend it, then `swarmctl plan -f FILE`",
        ),
        ApplyError::TooMany { .. } => (
            StatusCode::CONFLICT,
            "too-many-agents",
            "fewer agents, or nodes with a higher --agents-max",
        ),
        ApplyError::NotNow(_) => (
            StatusCode::CONFLICT,
            "not-now",
            "try again when the node runs; `swarmctl status` tells",
        ),
        ApplyError::NotLater { .. } => (
            StatusCode::CONFLICT,
            "not-later",
            "somebody else has applied one meanwhile; `swarmctl plan -f FILE` shows the difference now",
        ),
    };
    Fault::new(status, code, error.to_string(), next_step)
}

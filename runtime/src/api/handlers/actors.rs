//! Actors: listed, described, and acted upon.

use super::{agent_at, no_such_actor, path_of};
use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::{JsonBody, QueryOf};
use crate::api::server::Api;
use crate::api::types::{
    ActionAnswer, ActorDetail, ActorQuery, ActorSummary, ActorsAnswer, ActorsQuery,
    ChildSpecSummary, PathRequest,
};
use crate::api::view::{self, Now, Sort};
use crate::manifest::{ChildPolicy, Declaration};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::future::Future;
use std::time::Duration;
use swarm_actors::{ActorInfo, ActorState};
use swarm_protocols::Path;
use swarm_supervisors::{CallError, Restart};

/// How long an action may take: an ordered stop waits for the actor's cleanup.
const ACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the effect of a kill is watched for. A supervisor decides in microseconds; a restart with a delay is seen as
/// `restarting`.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked for.
const EFFECT_INTERVAL: Duration = Duration::from_millis(5);

/// Actors in one answer: some 30 MB.
const LIMIT_MAX: usize = 100_000;

fn now(api: &Api) -> Now {
    Now(api.node.system().wall_ms())
}

pub(in crate::api) async fn list(
    State(api): State<Api>,
    scope: Scope,
    QueryOf(mut query): QueryOf<ActorsQuery>,
) -> Result<Json<ActorsAnswer>, Fault> {
    query.limit = Some(query.limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX));
    let sort = match query.sort.as_deref() {
        None => Sort::Path,
        Some(word) => Sort::of(word).ok_or_else(|| {
            Fault::invalid(
                "sort",
                format!("{word:?} is none of {}", Sort::WORDS),
                "for example sort=mailbox",
            )
        })?,
    };
    let under = query.under.as_deref().map(path_of).transpose()?;
    let now = now(&api);
    let (actors, total) = view::select(
        api.node.system().actors(),
        &query,
        sort,
        under.as_ref(),
        now,
    );
    let own: Vec<_> = actors
        .iter()
        .map(|actor| view::summary(actor, now))
        .collect();
    let others: Gathered<ActorsAnswer> = fanout::gather(&api, scope, "/v1/actors", &query).await;
    let mut answer = ActorsAnswer {
        actors: own,
        total,
        unanswered: others.unanswered,
    };
    if !others.answers.is_empty() {
        for (_, other) in others.answers {
            answer.total += other.total;
            answer.actors.extend(other.actors);
        }
        view::merge(&mut answer.actors, sort, query.limit);
    }
    Ok(Json(answer))
}

pub(in crate::api) async fn show(
    State(api): State<Api>,
    QueryOf(query): QueryOf<ActorQuery>,
) -> Result<Json<ActorDetail>, Fault> {
    let path = path_of(&query.path)?;
    let now = now(&api);
    let system = api.node.system();
    let mut detail = match system.lookup(&path) {
        Some(agent) => {
            let started_ms = system.wall_ms().saturating_sub(system.now_ms());
            let mut detail = view::detail(&agent.detail(), now, started_ms);
            if let Some(turn) = &mut detail.turn {
                turn.stuck = view::stuck(&system.events().since(0, usize::MAX)).contains(&path);
            }
            detail
        }
        None => {
            let info = seen(&api, &path).ok_or_else(|| no_such_actor(&path))?;
            bare(view::summary(&info, now))
        }
    };
    let manifest = api.node.manifest();
    let declared = manifest.find(&path);
    match declared {
        Some(Declaration::Supervisor(supervisor)) => {
            detail.supervision = Some(view::supervision(&supervisor.flags));
            detail.spec = (!path.is_root()).then(|| spec(&supervisor.child, "supervisor"));
        }
        Some(Declaration::Agent(agent) | Declaration::Template(agent)) => {
            detail.spec = Some(spec(&agent.child, "worker"));
        }
        None => {}
    }
    Ok(Json(detail))
}

fn bare(summary: ActorSummary) -> ActorDetail {
    ActorDetail {
        supervisor: Path::new(&summary.path)
            .ok()
            .and_then(|path| path.parent())
            .map(|path| path.to_string()),
        summary,
        spec: None,
        supervision: None,
        mailbox_capacity: None,
        last_exit: None,
        turn: None,
        recent: Vec::new(),
        more: serde_json::Value::Null,
    }
}

fn spec(policy: &ChildPolicy, child_type: &str) -> ChildSpecSummary {
    ChildSpecSummary {
        restart: view::restart_word(policy.restart).to_owned(),
        shutdown: view::shutdown_word(policy.shutdown),
        child_type: child_type.to_owned(),
        significant: policy.significant,
    }
}

/// The actor at a path, as a list shows it now.
fn seen(api: &Api, path: &Path) -> Option<ActorInfo> {
    let system = api.node.system();
    match system.lookup(path) {
        Some(agent) => Some(agent.info()),
        None => system
            .actors()
            .into_iter()
            .find(|actor| &actor.path == path),
    }
}

pub(in crate::api) async fn kill(
    State(api): State<Api>,
    JsonBody(request): JsonBody<PathRequest>,
) -> Result<Json<ActionAnswer>, Fault> {
    let path = path_of(&request.path)?;
    let before = seen(&api, &path).ok_or_else(|| no_such_actor(&path))?;
    if !before.state.is_alive() {
        return Err(wrong_state(
            &path,
            format!("is {}, there is no life to kill", before.state.as_str()),
        ));
    }
    in_time(&path, api.node.system().kill(&path)).await?;
    effect_of_kill(&api, &path, &before).await;
    Ok(Json(answer(&api, "kill", &path, &before)))
}

/// Waits until the life is over and its supervisor has decided, for a bounded time.
async fn effect_of_kill(api: &Api, path: &Path, before: &ActorInfo) {
    // A supervisor that was killed is seen as stopped until the one above it has restarted it.
    let comes_back = before.kind == "supervisor"
        && match api.node.manifest().find(path) {
            Some(Declaration::Supervisor(supervisor)) => {
                !path.is_root() && supervisor.child.restart != Restart::Temporary
            }
            _ => false,
        };
    let done = async {
        loop {
            let Some(now) = seen(api, path) else {
                return;
            };
            let next_life = now.incarnation > before.incarnation;
            let settled = match now.state {
                ActorState::Running
                | ActorState::Asleep
                | ActorState::Paused
                | ActorState::Draining => next_life,
                ActorState::Starting | ActorState::Restarting => false,
                ActorState::Stopped => !comes_back,
                ActorState::Ended => true,
            };
            if settled {
                return;
            }
            tokio::time::sleep(EFFECT_INTERVAL).await;
        }
    };
    // What is not seen in time is answered as it stands then.
    let _ = tokio::time::timeout(EFFECT_TIMEOUT, done).await;
}

pub(in crate::api) async fn stop(
    State(api): State<Api>,
    JsonBody(request): JsonBody<PathRequest>,
) -> Result<Json<ActionAnswer>, Fault> {
    let path = path_of(&request.path)?;
    not_the_root(&path)?;
    let before = seen(&api, &path).ok_or_else(|| no_such_actor(&path))?;
    in_time(&path, api.node.system().stop(&path)).await?;
    Ok(Json(answer(&api, "stop", &path, &before)))
}

pub(in crate::api) async fn restart(
    State(api): State<Api>,
    JsonBody(request): JsonBody<PathRequest>,
) -> Result<Json<ActionAnswer>, Fault> {
    let path = path_of(&request.path)?;
    not_the_root(&path)?;
    let before = seen(&api, &path).ok_or_else(|| no_such_actor(&path))?;
    in_time(&path, api.node.system().restart(&path)).await?;
    Ok(Json(answer(&api, "restart", &path, &before)))
}

pub(in crate::api) async fn pause(
    State(api): State<Api>,
    JsonBody(request): JsonBody<PathRequest>,
) -> Result<Json<ActionAnswer>, Fault> {
    let path = path_of(&request.path)?;
    let agent = agent_at(&api, &path)?;
    let before = agent.info();
    if !agent.pause() {
        return Err(wrong_state(
            &path,
            format!("is {} and cannot be paused", before.state.as_str()),
        ));
    }
    Ok(Json(answer(&api, "pause", &path, &before)))
}

pub(in crate::api) async fn resume(
    State(api): State<Api>,
    JsonBody(request): JsonBody<PathRequest>,
) -> Result<Json<ActionAnswer>, Fault> {
    let path = path_of(&request.path)?;
    let agent = agent_at(&api, &path)?;
    let before = agent.info();
    if !agent.resume() {
        return Err(wrong_state(
            &path,
            format!("is {}, not paused", before.state.as_str()),
        ));
    }
    Ok(Json(answer(&api, "resume", &path, &before)))
}

fn answer(api: &Api, action: &str, path: &Path, before: &ActorInfo) -> ActionAnswer {
    let now = seen(api, path);
    ActionAnswer {
        path: path.to_string(),
        action: action.to_owned(),
        state: now
            .as_ref()
            .map_or("gone", |info| info.state.as_str())
            .to_owned(),
        incarnation_before: before.incarnation.0,
        incarnation: now.map_or(before.incarnation.0, |info| info.incarnation.0),
    }
}

async fn in_time<T>(
    path: &Path,
    action: impl Future<Output = Result<T, CallError>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(ACTION_TIMEOUT, action).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(refused(path, &error)),
        Err(_) => Err(Fault::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            format!(
                "{path}: no effect within {ACTION_TIMEOUT:?}; its supervisor is busy or the actor takes long to stop"
            ),
            "the outcome is unknown; `swarmctl actor describe` shows the state",
        )),
    }
}

fn refused(path: &Path, error: &CallError) -> Fault {
    match error {
        CallError::NotFound | CallError::NoProc => no_such_actor(path),
        CallError::StartFailed(reason) => Fault::new(
            StatusCode::CONFLICT,
            "start-failed",
            format!("{path} did not start: {reason}"),
            "mend what its init complains of, then `swarmctl actor restart` it",
        ),
        other => wrong_state(path, other.to_string()),
    }
}

fn wrong_state(path: &Path, what: String) -> Fault {
    Fault::new(
        StatusCode::CONFLICT,
        "wrong-state",
        format!("{path}: {what}"),
        "`swarmctl actor describe` shows the state",
    )
}

fn not_the_root(path: &Path) -> Result<(), Fault> {
    if path.is_root() {
        return Err(Fault::new(
            StatusCode::CONFLICT,
            "is-root",
            "the root is started and stopped with the node",
            "stop the node with SIGTERM, or act on one of the root's children",
        ));
    }
    Ok(())
}

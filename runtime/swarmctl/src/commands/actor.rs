//! `actor ls | describe | send | call | kill | stop | restart | pause | resume | history | state`; the others have modules of their own.

use super::{deployment, past};
use crate::cli::{Actor, ActorLs, ActorSort, Global, Say};
use crate::client::NodeClient;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table, printable};
use crate::words::{count, span_ms};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Read;
use std::time::Duration;
use swarm_runtime::api::types::{
    ActionAnswer, ActorDetail, ActorSummary, ActorsAnswer, ActorsQuery, CallAnswer, CallRequest,
    PathRequest, SendAnswer, SendRequest,
};

/// The most content that is read from stdin; a node takes no more in one request.
const CONTENT_BYTES_MAX: u64 = 64 << 20;

/// How much longer than the node the client waits for a call, so that the node is the one to say that time is up.
const CALL_SLACK: Duration = Duration::from_secs(2);

pub(crate) async fn run(
    global: &Global,
    output: Output,
    actor: &Actor,
) -> Result<ExitStatus, Stop> {
    match actor {
        Actor::History(asked) => return past::history(global, output, asked).await,
        Actor::State(asked) => return past::state(global, output, asked).await,
        Actor::Upgrade(asked) => return deployment::upgrade(global, output, asked).await,
        Actor::Deployment(command) => return deployment::run(global, output, command).await,
        _ => {}
    }
    let client = NodeClient::new(global)?;
    match actor {
        Actor::History(_) | Actor::State(_) | Actor::Upgrade(_) | Actor::Deployment(_) => {
            Ok(ExitStatus::Done)
        }
        Actor::Ls(ls) => list(&client, output, ls).await,
        Actor::Describe { path } => describe(&client, output, path).await,
        Actor::Send(say) => send(&client, output, say).await,
        Actor::Call(say) => call(global, &client, output, say).await,
        Actor::Kill { path } => act(global, &client, output, "kill", path).await,
        Actor::Stop { path } => act(global, &client, output, "stop", path).await,
        Actor::Restart { path } => act(global, &client, output, "restart", path).await,
        Actor::Pause { path } => act(global, &client, output, "pause", path).await,
        Actor::Resume { path } => act(global, &client, output, "resume", path).await,
    }
}

async fn list(client: &NodeClient, output: Output, ls: &ActorLs) -> Result<ExitStatus, Stop> {
    let sort = ls.sort.map(|sort| match sort {
        ActorSort::Path => "path",
        ActorSort::Mailbox => "mailbox",
        ActorSort::Restarts => "restarts",
        ActorSort::Age => "age",
    });
    let query = ActorsQuery {
        sort: sort.map(str::to_owned),
        limit: ls.limit,
        group: ls.group.clone(),
        under: ls.under.clone(),
    };
    let answer: ActorsAnswer = client.get("/v1/actors", &query).await?;
    output.list(&answer.actors, || table(&answer.actors, output.is_wide()))?;
    output.unanswered(&answer.unanswered);
    let shown = answer.actors.len() as u64;
    if !output.is_json() && shown < answer.total {
        output.note(&format!(
            "{shown} of {} shown",
            count(answer.total, "actor")
        ));
    }
    Ok(ExitStatus::Done)
}

fn table(actors: &[ActorSummary], is_wide: bool) -> Table {
    let mut columns = vec![
        ("PATH", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("MAILBOX", Align::Right),
        ("RESTARTS", Align::Right),
        ("AGE", Align::Right),
        ("NODE", Align::Left),
        ("GROUPS", Align::Left),
    ];
    if is_wide {
        columns.extend([
            ("HANDLED", Align::Right),
            ("LIFE", Align::Right),
            ("NAME", Align::Left),
            ("ADDRESS", Align::Left),
        ]);
    }
    let mut table = Table::new(&columns);
    for actor in actors {
        let mut row = vec![
            actor.path.clone(),
            actor.kind.clone(),
            actor.state.clone(),
            actor.mailbox.to_string(),
            actor.restarts.to_string(),
            actor.age_ms.map(span_ms).unwrap_or_default(),
            actor.node.clone(),
            actor.groups.join(","),
        ];
        if is_wide {
            row.extend([
                actor.handled.to_string(),
                actor.incarnation.to_string(),
                actor.registered.clone().unwrap_or_default(),
                actor.address.clone(),
            ]);
        }
        table.row(row);
    }
    table
}

#[derive(Serialize)]
struct PathQuery<'a> {
    path: &'a str,
}

async fn detail(client: &NodeClient, path: &str) -> Result<ActorDetail, Failure> {
    client.get("/v1/actor", &PathQuery { path }).await
}

async fn describe(client: &NodeClient, output: Output, path: &str) -> Result<ExitStatus, Stop> {
    let detail = detail(client, path).await?;
    output.document(&detail, || describe_text(&detail))?;
    Ok(ExitStatus::Done)
}

fn describe_text(detail: &ActorDetail) -> String {
    let actor = &detail.summary;
    let mut text = format!(
        "{} is {}: life {}, {}, {} queued\n",
        actor.path,
        actor.state,
        actor.incarnation,
        count(actor.restarts, "restart"),
        count(actor.mailbox, "message"),
    );
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<12} {}", printable(value)).expect("a String takes all text");
    };
    line("kind", &actor.kind);
    line("node", &actor.node);
    line("address", &actor.address);
    if let Some(name) = &actor.registered {
        line("name", name);
    }
    if !actor.groups.is_empty() {
        line("groups", &actor.groups.join(", "));
    }
    if let Some(age_ms) = actor.age_ms {
        line("age", &span_ms(age_ms));
    }
    line("handled", &count(actor.handled, "message"));
    if let Some(capacity) = detail.mailbox_capacity {
        line("mailbox", &format!("{} of {capacity}", actor.mailbox));
    }
    if let Some(supervisor) = &detail.supervisor {
        line("supervisor", supervisor);
    }
    if let Some(spec) = &detail.spec {
        let significant = if spec.significant {
            ", significant"
        } else {
            ""
        };
        line(
            "spec",
            &format!(
                "{} {}, shutdown {}{significant}",
                spec.restart, spec.child_type, spec.shutdown
            ),
        );
    }
    if let Some(flags) = &detail.supervision {
        line(
            "supervision",
            &format!(
                "{}, {} in {}, auto_shutdown {}",
                flags.strategy,
                count(flags.intensity.into(), "restart"),
                span_ms(flags.period_ms),
                flags.auto_shutdown
            ),
        );
    }
    if let Some(exit) = &detail.last_exit {
        let at = exit.at.map(|at| format!(" at {at}")).unwrap_or_default();
        line("last exit", &format!("{}{at}", exit.reason));
    }
    if let Some(turn) = &detail.turn {
        let stuck = if turn.stuck { ", stuck" } else { "" };
        line(
            "turn",
            &format!("{} for {}{stuck}", turn.message, span_ms(turn.running_ms)),
        );
    }
    for message in &detail.recent {
        let at = message.at.map(|at| format!("{at} ")).unwrap_or_default();
        let from = message
            .from
            .as_ref()
            .map(|from| format!(" from {from}"))
            .unwrap_or_default();
        line("recent", &format!("{at}{}{from}", message.message));
    }
    text
}

async fn send(client: &NodeClient, output: Output, say: &Say) -> Result<ExitStatus, Stop> {
    let request = SendRequest {
        path: say.path.clone(),
        performative: say.performative.clone(),
        content: content(say)?,
        language: say.language.clone(),
        ontology: say.ontology.clone(),
        protocol: say.protocol.clone(),
        conversation_id: say.conversation_id.clone(),
    };
    let answer: SendAnswer = client.post("/v1/actor/send", &request).await?;
    output.document(&answer, || {
        format!(
            "{} took the message, {} queued\n",
            answer.path,
            count(answer.mailbox, "message")
        )
    })?;
    Ok(ExitStatus::Done)
}

async fn call(
    global: &Global,
    client: &NodeClient,
    output: Output,
    say: &Say,
) -> Result<ExitStatus, Stop> {
    let request = CallRequest {
        path: say.path.clone(),
        performative: say.performative.clone(),
        content: content(say)?,
        language: say.language.clone(),
        ontology: say.ontology.clone(),
        protocol: say.protocol.clone(),
        conversation_id: say.conversation_id.clone(),
        timeout_ms: Some(u64::try_from(global.timeout.as_millis()).unwrap_or(u64::MAX)),
    };
    let patient = client.with_timeout(global.timeout.saturating_add(CALL_SLACK));
    let answer: CallAnswer = patient.post("/v1/actor/call", &request).await?;
    output.document(&answer, || match &answer.content {
        Value::String(text) => format!("{text}\n"),
        content => format!("{content}\n"),
    })?;
    let exit = match answer.performative.as_str() {
        "failure" | "not-understood" => ExitStatus::Failed,
        "refuse" => ExitStatus::Refused,
        _ => return Ok(ExitStatus::Done),
    };
    Err(Failure::new(
        exit,
        &answer.performative,
        format!("{} answered with {}", answer.path, answer.performative),
        format!(
            "swarmctl actor describe {}, and see what it understands",
            answer.path
        ),
    )
    .into())
}

/// What is said, as the API wants it.
fn content(say: &Say) -> Result<Value, Failure> {
    let mut text = say.content.clone();
    if text == "-" {
        text.clear();
        let read = std::io::stdin()
            .lock()
            .take(CONTENT_BYTES_MAX + 1)
            .read_to_string(&mut text);
        read.map_err(|error| {
            Failure::usage(
                format!("cannot read the content from stdin: {error}"),
                "pipe UTF-8 text into it",
            )
        })?;
        if text.len() as u64 > CONTENT_BYTES_MAX {
            return Err(Failure::usage(
                format!("the content has more than {CONTENT_BYTES_MAX} bytes"),
                "send less at once",
            ));
        }
    }
    let is_json = say
        .language
        .as_deref()
        .is_none_or(|language| language == "application/json");
    if say.text || !is_json {
        return Ok(Value::String(text));
    }
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(
            format!("the content is not JSON: {error}"),
            format!(
                "'\"{}\"' for a text, or --text",
                text.trim().chars().take(20).collect::<String>()
            ),
        )
    })
}

async fn act(
    global: &Global,
    client: &NodeClient,
    output: Output,
    action: &str,
    path: &str,
) -> Result<ExitStatus, Stop> {
    let is_destructive = matches!(action, "kill" | "stop" | "restart");
    if is_destructive {
        // Even with --yes: what does not exist is told as such.
        let actor = detail(client, path).await?;
        confirm(global, &describe_action(action, &actor, client))?;
    }
    let request = PathRequest {
        path: path.to_owned(),
    };
    let answer: ActionAnswer = client
        .post(&format!("/v1/actor/{action}"), &request)
        .await?;
    output.document(&answer, || {
        let life = if answer.incarnation == answer.incarnation_before {
            String::new()
        } else {
            format!(
                ", life {} (was {})",
                answer.incarnation, answer.incarnation_before
            )
        };
        format!(
            "{}: {} done, it is {}{life}\n",
            answer.path, answer.action, answer.state
        )
    })?;
    Ok(ExitStatus::Done)
}

/// What would be done to which actor, where, and what its supervisor will make of it.
fn describe_action(action: &str, detail: &ActorDetail, client: &NodeClient) -> String {
    let actor = &detail.summary;
    let restart = detail
        .spec
        .as_ref()
        .map_or("", |spec| spec.restart.as_str());
    let then = match (action, restart) {
        ("kill", "temporary") => "its supervisor will forget it",
        ("kill", "") => "nothing restarts it",
        ("kill", _) => "its supervisor will restart it",
        ("stop", _) => "it stays down until it is restarted",
        _ => "it is started again from its spec",
    };
    let below = if detail.supervision.is_some() {
        " with everything below it"
    } else {
        ""
    };
    format!(
        "{action} {} ({}, {}, {} queued){below} on node {} at {}; {then}",
        actor.path,
        actor.kind,
        actor.state,
        count(actor.mailbox, "message"),
        actor.node,
        client.address()
    )
}

//! `status`.

use crate::cli::Global;
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::printable;
use crate::words::{count, span_ms};
use std::fmt::Write as _;
use swarm_runtime::api::types::{NodeState, StatusAnswer};

pub(crate) async fn run(global: &Global, output: Output) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let status: StatusAnswer = client.get("/v1/status", &()).await?;
    output.document(&status, || {
        let mut text = screen(&status, output.is_wide());
        for other in &status.nodes {
            text.push('\n');
            text.push_str(&screen(other, output.is_wide()));
        }
        text
    })?;
    output.unanswered(&status.unanswered);
    if status.state == NodeState::TreeFailed {
        output.note("try: swarmctl tree start");
    }
    Ok(ExitStatus::Done)
}

fn screen(status: &StatusAnswer, is_wide: bool) -> String {
    let reason = status.reason.as_deref().unwrap_or("unknown reason");
    let state = match status.state {
        NodeState::Running => "is running".to_owned(),
        NodeState::TreeFailed => format!("is up, tree failed: {reason}"),
        NodeState::Starting | NodeState::Draining | NodeState::Stopped => {
            format!("is {}", status.state)
        }
    };
    let mut text = format!(
        "node {} {state}: {}, {} in the last 5 min\n",
        status.node,
        count(status.actors, "actor"),
        count(status.restarts_5m, "restart"),
    );
    let states: Vec<String> = status
        .actors_by_state
        .iter()
        .map(|(state, n)| format!("{n} {state}"))
        .collect();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<13} {}", printable(&value)).expect("a String takes all text");
    };
    line(
        "actors",
        if states.is_empty() {
            "none".into()
        } else {
            states.join(", ")
        },
    );
    line(
        "restarts",
        format!("{} since the tree's start", status.restarts),
    );
    line("queued", count(status.mailbox, "message"));
    line("dead letters", status.dead_letters.to_string());
    line("up", span_ms(status.uptime_ms));
    line("version", status.version.clone());
    if is_wide {
        line("boot id", status.boot_id.clone());
        line("process", status.process_id.to_string());
        line("started", status.started_at.to_string());
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        line("api", or_none(&status.api));
        line("data", or_none(&status.data));
        line("manifest", or_none(&status.manifest));
    }
    for alarm in &status.alarms {
        line("alarm", alarm.clone());
    }
    text
}

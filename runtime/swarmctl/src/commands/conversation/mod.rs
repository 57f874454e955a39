//! `conversation ls | show | tail`.

mod chart;

use super::stream::Stream;
use crate::cli::{Conversation, Format, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::{Output, write_stdout};
use crate::table::{Align, Table, printable};
use std::fmt::Write as _;
use swarm_runtime::api::types::{
    ConversationDetail, ConversationMessage, ConversationQuery, ConversationSummary,
    ConversationsAnswer, ConversationsQuery,
};

pub(crate) async fn run(
    global: &Global,
    output: Output,
    asked: &Conversation,
) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match asked {
        Conversation::Ls {
            protocol,
            state,
            limit,
        } => {
            let query = ConversationsQuery {
                protocol: protocol.clone(),
                state: state.clone(),
                limit: *limit,
            };
            list(&client, output, &query).await
        }
        Conversation::Show { id } => show(&client, output, id).await,
        Conversation::Tail { id, limit } => tail(&client, output, id.as_deref(), *limit).await,
    }
}

async fn list(
    client: &NodeClient,
    output: Output,
    query: &ConversationsQuery,
) -> Result<ExitStatus, Stop> {
    let answer: ConversationsAnswer = client.get("/v1/conversations", query).await?;
    output.list(&answer.conversations, || {
        table(&answer.conversations, output)
    })?;
    output.unanswered(&answer.unanswered);
    Ok(ExitStatus::Done)
}

fn table(conversations: &[ConversationSummary], output: Output) -> Table {
    let mut columns = vec![
        ("CONVERSATION", Align::Left),
        ("PROTOCOL", Align::Left),
        ("ROLE", Align::Left),
        ("AGENT", Align::Left),
        ("STATE", Align::Left),
        ("OUTCOME", Align::Left),
        ("WITH", Align::Left),
        ("OPENED", Align::Left),
    ];
    if output.is_wide() {
        columns.push(("EXPIRES", Align::Left));
        columns.push(("ACTOR", Align::Left));
    }
    let mut table = Table::new(&columns);
    for c in conversations {
        let mut row = vec![
            c.id.clone(),
            c.protocol.clone(),
            c.role.clone(),
            c.agent.clone(),
            c.state.clone(),
            c.outcome.clone().unwrap_or_default(),
            with(c),
            c.opened_at.to_string(),
        ];
        if output.is_wide() {
            row.push(c.expires_at.map(|at| at.to_string()).unwrap_or_default());
            row.push(c.actor.clone());
        }
        table.row(row);
    }
    table
}

/// The other side: by name, or how many there are.
fn with(conversation: &ConversationSummary) -> String {
    match conversation.parties.as_slice() {
        [one] => one.name.clone(),
        many => format!("{} participants", many.len()),
    }
}

async fn show(client: &NodeClient, output: Output, id: &str) -> Result<ExitStatus, Stop> {
    let query = ConversationQuery { id: id.to_owned() };
    let detail: ConversationDetail = client.get("/v1/conversation", &query).await?;
    if output.format == Format::Mermaid {
        write_stdout(&chart::mermaid(&detail.messages))?;
    } else {
        output.document(&detail, || text(&detail))?;
    }
    output.unanswered(&detail.unanswered);
    Ok(ExitStatus::Done)
}

fn text(detail: &ConversationDetail) -> String {
    let mut text = String::new();
    for side in &detail.sides {
        let outcome = side.outcome.as_deref().unwrap_or("open");
        let line = format!(
            "{} {} {}: {}, {outcome}",
            side.protocol, side.role, side.agent, side.state
        );
        writeln!(text, "{}", printable(&line)).expect("a String takes all text");
        for party in &side.parties {
            let line = format!("  {}: {}", party.name, party.state);
            writeln!(text, "{}", printable(&line)).expect("a String takes all text");
        }
    }
    text.push('\n');
    text.push_str(&chart::sequence(&detail.messages));
    if detail.left_out > 0 {
        writeln!(
            text,
            "{} messages between the first one and the others are no longer kept",
            detail.left_out
        )
        .expect("a String takes all text");
    }
    text
}

async fn tail(
    client: &NodeClient,
    output: Output,
    id: Option<&str>,
    limit: Option<usize>,
) -> Result<ExitStatus, Stop> {
    let stream = Stream {
        path: "/v1/conversations",
        query: &(),
        event: "message",
        what: "messages",
        limit,
    };
    let wanted = |message: &ConversationMessage| {
        id.is_none_or(|id| id == message.conversation)
            .then(|| line(message))
    };
    stream.follow(client, output, wanted).await
}

fn line(message: &ConversationMessage) -> String {
    printable(&format!(
        "{} {} {} -> {}: {}",
        message.at,
        message.conversation,
        message.from,
        message.to.join(" "),
        chart::label(message)
    ))
}

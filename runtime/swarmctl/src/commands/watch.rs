//! `--watch`: the same question again and again.

use crate::cli::{Actor, Ams, Command, Context, DeadLetter, Df, Format};
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use std::time::Duration;

/// Refuses to repeat what changes something, what is no question to a node, and what has no end in one JSON document.
pub(crate) fn check(output: Output, command: &Command) -> Result<(), Failure> {
    if !is_read(command) {
        return Err(Failure::usage(
            "--watch is for commands that only read",
            "status, tree, actor ls, actor describe, tool, deadletter ls or deadletter show; events has --follow",
        ));
    }
    if output.format == Format::Json {
        return Err(Failure::usage(
            "what is shown again and again is no single JSON document",
            "-o jsonl",
        ));
    }
    Ok(())
}

fn is_read(command: &Command) -> bool {
    match command {
        Command::Status | Command::NodeCommand(_) | Command::Placement(_) => true,
        Command::Tree(tree) => tree.action.is_none(),
        Command::Actor(actor) => matches!(actor, Actor::Ls(_) | Actor::Describe { .. }),
        Command::Deadletter(letter) => {
            matches!(letter, DeadLetter::Ls | DeadLetter::Show { .. })
        }
        Command::Tool(_) => true,
        Command::Df(df) => matches!(df, Df::Search(_)),
        Command::Ams(Ams::Ls) => true,
        Command::Context(context) => matches!(context, Context::Validate { .. }),
        _ => false,
    }
}

/// Shows until somebody interrupts. The first failure ends it; a later one is told and it goes on, since a node that is
/// watched may well be one that is being restarted.
pub(crate) async fn run(
    output: Output,
    interval: Duration,
    mut show: impl AsyncFnMut(Output) -> Result<ExitStatus, Stop>,
) -> Result<ExitStatus, Stop> {
    show(output.shown_again(true)).await?;
    loop {
        tokio::time::sleep(interval).await;
        match show(output.shown_again(false)).await {
            Ok(_) => {}
            Err(Stop::NobodyReads) => return Err(Stop::NobodyReads),
            Err(Stop::Failure(failure)) => output.failure(&failure),
        }
    }
}

//! From the command line to the exit status.

use crate::agent_threads::no_threads;
use crate::cli::{Cli, Command, Conversation, Format, Global};
use crate::commands;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::{Output, write_stdout};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Runs `swarmctl` with these arguments, the program's name first, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, &arguments),
    };
    let output = Output::new(&cli.global);
    // One thread for what the program itself does: it only waits, for answers, signals and the two ends of a pipe. Agents have
    // threads of their own.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&no_threads(&error));
            return ExitStatus::Failed;
        }
    };
    let status = match runtime.block_on(run(cli, output)) {
        Ok(status) => status,
        Err(Stop::NobodyReads) => ExitStatus::Done,
        Err(Stop::Failure(failure)) => {
            output.failure(&failure);
            failure.exit
        }
    };
    // Threads that read stdin cannot be woken; whatever must be finished was waited for.
    runtime.shutdown_background();
    status
}

async fn run(cli: Cli, output: Output) -> Result<ExitStatus, Stop> {
    let global = &cli.global;
    if global.watch.is_some() {
        commands::watch::check(output, &cli.command)?;
    }
    if output.format == Format::Mermaid
        && !matches!(
            cli.command,
            Command::Conversation(Conversation::Show { .. })
        )
    {
        return Err(Failure::usage(
            "only a conversation is drawn as Mermaid",
            "swarmctl conversation show ID -o mermaid",
        )
        .into());
    }
    match cli.command {
        // These end in their own way when they are interrupted.
        Command::Up(up) => commands::up::run(global, output, &up).await,
        Command::Join(join) => commands::up::join(global, output, *join).await,
        Command::Dispatch(dispatch) => commands::dispatch::run(global, output, *dispatch).await,
        Command::Chaos(chaos) => commands::chaos::run(global, output, &chaos).await,
        command => {
            tokio::select! {
                ended = short(global, output, command) => ended,
                () = interrupted() => Ok(ExitStatus::Interrupted),
            }
        }
    }
}

async fn short(global: &Global, output: Output, command: Command) -> Result<ExitStatus, Stop> {
    match global.watch {
        None => once(global, output, &command).await,
        Some(interval) => {
            commands::watch::run(output, interval, async |output| {
                once(global, output, &command).await
            })
            .await
        }
    }
}

async fn once(global: &Global, output: Output, command: &Command) -> Result<ExitStatus, Stop> {
    match command {
        Command::Status => commands::status::run(global, output).await,
        Command::Tree(tree) => commands::tree::run(global, output, tree).await,
        Command::Actor(actor) => commands::actor::run(global, output, actor).await,
        Command::Events(events) => commands::events::run(global, output, events).await,
        Command::Cfp(cfp) => commands::cfp::run(global, output, cfp).await,
        Command::Conversation(asked) => commands::conversation::run(global, output, asked).await,
        Command::Placement(command) => commands::placement::run(global, output, command).await,
        Command::Deadletter(letter) => commands::dead_letter::run(global, output, letter).await,
        Command::Plan(plan) => commands::apply::plan(global, output, plan).await,
        Command::Apply(apply) => commands::apply::apply(global, output, apply).await,
        Command::Validate(manifest) => commands::manifest::validate(output, manifest),
        Command::Config(config) => commands::config::run(output, config),
        Command::Df(df) => commands::platform::df(global, output, df).await,
        Command::Ams(ams) => commands::platform::ams(global, output, ams).await,
        Command::Context(context) => commands::context::run(global, output, context).await,
        Command::New(new) => commands::new::run(output, new),
        Command::Wasm(wasm) => commands::components::run(global, output, wasm).await,
        Command::Whatif(whatif) => commands::whatif::run(output, whatif).await,
        Command::Journal(journal) => commands::journal::run(global, output, journal).await,
        Command::Acl(acl) => commands::acl::run(acl),
        Command::Tool(tool) => commands::tool::run(global, output, tool).await,
        Command::Mcp(mcp) => commands::mcp::run(global, mcp).await,
        Command::Completions { shell } => {
            write_stdout(&commands::version::completions(*shell))?;
            Ok(ExitStatus::Done)
        }
        Command::Version => commands::version::run(output),
        Command::Token(token) => commands::node::token(global, output, token).await,
        Command::NodeCommand(node) => commands::node::run(global, output, node).await,
        Command::Leave(leave) => commands::node::leave(global, output, *leave).await,
        Command::Keys(keys) => commands::node::keys(global, output, *keys).await,
        Command::Up(_) | Command::Join(_) | Command::Dispatch(_) | Command::Chaos(_) => {
            unreachable!("these are run by themselves")
        }
    }
}

/// Ends when the user or the system interrupts (SIGINT, SIGTERM). Without handlers it never does, and the default of the
/// system applies.
pub(crate) async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Tells what clap has to say: help and version on stdout, mistakes as any other failure.
fn not_parsed(error: &clap::Error, arguments: &[OsString]) -> ExitStatus {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match write_stdout(&error.render().to_string()) {
            Ok(()) => ExitStatus::Done,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Done,
            Err(_) => ExitStatus::Failed,
        };
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Usage and the hint at --help have a line of their own below.
    let message: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("tip:"))
        .collect();
    let command = command_named(arguments);
    let suggested = |kind, prefix: &str| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(format!("{prefix}{word}")),
        Some(ContextValue::Strings(words)) if !words.is_empty() => {
            Some(format!("{prefix}{}", words.join(&format!(" or {prefix}"))))
        }
        _ => None,
    };
    let next_step = suggested(ContextKind::SuggestedSubcommand, &format!("{command} "))
        .or_else(|| suggested(ContextKind::SuggestedArg, ""))
        .or_else(|| suggested(ContextKind::SuggestedValue, ""))
        .unwrap_or_else(|| format!("{command} --help"));
    Output::before_parsing(format_asked_for(arguments))
        .failure(&Failure::usage(message.join("\n"), next_step));
    ExitStatus::Usage
}

/// The format that the arguments ask for, though as a whole they make no sense.
fn format_asked_for(arguments: &[OsString]) -> Format {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let named = |name: &str| match name {
        "json" => Some(Format::Json),
        "jsonl" => Some(Format::Jsonl),
        _ => None,
    };
    let pairs = words.windows(2).filter_map(|pair| match pair {
        ["-o" | "--output", name] => named(name),
        _ => None,
    });
    let joined = words.iter().filter_map(|word| {
        word.strip_prefix("--output=")
            .or_else(|| word.strip_prefix("-o="))
            .or_else(|| word.strip_prefix("-o"))
            .and_then(named)
    });
    let environment = std::env::var("SWARM_OUTPUT").ok();
    pairs
        .chain(joined)
        .next()
        .or_else(|| environment.as_deref().and_then(named))
        .unwrap_or_default()
}

/// The command that the arguments name, as far as they do.
fn command_named(arguments: &[OsString]) -> String {
    use clap::CommandFactory;
    let mut command = Cli::command();
    let mut name = String::from("swarmctl");
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        let Some(next) = command.find_subcommand(word) else {
            continue;
        };
        name = format!("{name} {word}");
        command = next.clone();
    }
    name
}

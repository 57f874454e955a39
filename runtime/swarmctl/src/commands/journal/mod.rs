//! `journal`: what operators do with the journal of a node that is stopped, and what they look at in that of one that runs.

mod remote;
mod rows;

use crate::cli::{Global, Journal, JournalCommand};
use crate::commands::config;
use crate::confirm::confirm;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::words::count;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use swarm_actors::journal::{
    AppendError, Bounds, Damage, Head, Journal as _, JournalError, Seq, StreamName,
};
use swarm_journal::tools::{self, ExportError, Report};
use swarm_journal::{DiskJournal, Options, directory_in};
use swarm_runtime::api::types::{JournalEvent, JournalHead};
use swarm_runtime::data::DataFolder;
use swarm_runtime::manifest::Manifest;

/// What takes longer than this shows how far it is.
const SILENT: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    global: &Global,
    output: Output,
    journal: &Journal,
) -> Result<ExitStatus, Stop> {
    // A node that is named is asked; a folder is looked into. Contexts and the environment name nodes for other commands.
    if global.node.is_some() {
        return remote::run(global, output, journal).await;
    }
    at_rest(global, output, journal)
}

/// Of a node that is stopped.
fn at_rest(global: &Global, output: Output, journal: &Journal) -> Result<ExitStatus, Stop> {
    let directory = directory(journal)?;
    let bar = Bar::new(output);
    match &journal.command {
        JournalCommand::Verify => verify(output, &directory, &bar),
        JournalCommand::Heads => heads(output, &directory),
        JournalCommand::Show { stream, at, limit } => show(output, &directory, stream, *at, *limit),
        JournalCommand::Export { to } => {
            let done = tools::export(&directory, to, &mut |d, a| bar.at(d, a));
            told(
                output,
                "exported",
                to,
                done.map_err(|e| export_failed(&directory, &e))?,
            )
        }
        JournalCommand::Import { from } => {
            // A folder that nodes take for their own.
            if let Some(data) = directory.parent() {
                DataFolder::open(data).map_err(|error| {
                    let message = error.to_string();
                    let next_step = error.next_step();
                    Failure::new(ExitStatus::Refused, "bad-data-folder", message, next_step)
                })?;
            }
            let done = tools::import(from, &directory, &mut |d, a| bar.at(d, a));
            told(
                output,
                "imported",
                &directory,
                done.map_err(|e| export_failed(&directory, &e))?,
            )
        }
        JournalCommand::Truncate { stream, up_to } => {
            truncate(global, output, &directory, stream, *up_to)
        }
        JournalCommand::Compact => compact(output, &directory, &bar),
        JournalCommand::Repair => repair(global, output, &directory, &bar),
    }
}

fn directory(journal: &Journal) -> Result<PathBuf, Failure> {
    let flags = crate::cli::NodeFlags {
        data: journal.data.clone(),
        name: journal.name.clone(),
        ..crate::cli::NodeFlags::default()
    };
    let settings = config::settings(&flags, &Manifest::empty())?;
    Ok(directory_in(&settings.data.value))
}

fn failed(directory: &Path, error: &JournalError) -> Failure {
    let (exit, code, next_step) = match error {
        JournalError::Damaged(_) => (
            ExitStatus::CheckFailed,
            "journal-damaged",
            "swarmctl journal verify; restore a backup, or see what swarmctl journal repair would drop".to_owned(),
        ),
        JournalError::InUse { .. } => (
            ExitStatus::Refused,
            "journal-in-use",
            "stop the node that has it open, or ask it with --node".to_owned(),
        ),
        JournalError::Vanished { .. } => (
            ExitStatus::NotFound,
            "journal-not-found",
            "give the node's data folder with --data DIR".to_owned(),
        ),
        JournalError::DiskFull { .. } => (
            ExitStatus::Failed,
            "disk-full",
            "make room on the disk; nothing that was acknowledged is lost".to_owned(),
        ),
        JournalError::ReadOnly { .. } => (
            ExitStatus::Refused,
            "journal-read-only",
            "check owner, mode and mount of the folder".to_owned(),
        ),
        JournalError::Format { .. } => (
            ExitStatus::Refused,
            "journal-format",
            "use the version of swarmctl that wrote it".to_owned(),
        ),
        JournalError::Io { .. } | JournalError::Stopped(_) | JournalError::Unknown => (
            ExitStatus::Failed,
            "journal-failed",
            "check the disk; swarmctl journal verify".to_owned(),
        ),
    };
    let message = format!("the journal in {}: {error}", directory.display());
    Failure::new(exit, code, message, next_step)
}

/// The same, where the folder was told before.
pub(super) fn stopped_failure(error: &JournalError) -> Failure {
    failed(Path::new("the data folder"), error)
}

fn export_failed(directory: &Path, error: &ExportError) -> Failure {
    let (exit, code, next_step) = match error {
        ExportError::Journal(error) => return failed(directory, error),
        ExportError::NotEmpty(_) => (
            ExitStatus::Refused,
            "not-empty",
            "give an empty or new folder",
        ),
        ExportError::NoExport { .. } => (
            ExitStatus::NotFound,
            "no-export",
            "give the folder that swarmctl journal export made",
        ),
        ExportError::Differs(_) => (
            ExitStatus::CheckFailed,
            "export-differs",
            "take another backup: this one is not whole",
        ),
        ExportError::Io { path, error } => return Failure::file("copy", path, error),
    };
    Failure::new(exit, code, error.to_string(), next_step)
}

pub(super) fn open(directory: &Path) -> Result<DiskJournal, Failure> {
    // Looking must not make a journal where there is none.
    if !directory.join("log").is_dir() {
        let path = directory.to_owned();
        return Err(failed(directory, &JournalError::Vanished { path }));
    }
    DiskJournal::open(directory, Options::default()).map_err(|e| failed(directory, &e))
}

fn stream_name(text: &str) -> Result<StreamName, Failure> {
    StreamName::new(text).map_err(|e| Failure::usage(e.to_string(), "swarmctl journal heads"))
}

fn damage_json(damage: &Damage) -> Value {
    json!({
        "stream": damage.stream.as_ref().map(StreamName::as_str),
        "seq": damage.seq.map(|seq| seq.0),
        "place": damage.place,
        "what": damage.what,
    })
}

fn verify(output: Output, directory: &Path, bar: &Bar) -> Result<ExitStatus, Stop> {
    let report =
        tools::verify(directory, &mut |d, a| bar.at(d, a)).map_err(|e| failed(directory, &e))?;
    bar.clear();
    let value = json!({
        "journal": directory,
        "sound": report.is_sound(),
        "streams": report.heads.len(),
        "events": report.events,
        "segments": report.segments,
        "bytes": report.bytes,
        "closed_in_order": report.is_sealed,
        "torn": report.torn,
        "index": report.had_index,
        "damaged": report.damaged.iter().map(damage_json).collect::<Vec<_>>(),
    });
    output.document(&value, || verify_text(directory, &report))?;
    Ok(if report.is_sound() {
        ExitStatus::Done
    } else {
        ExitStatus::CheckFailed
    })
}

fn verify_text(directory: &Path, report: &Report) -> String {
    let verdict = if report.is_sound() {
        "sound"
    } else {
        "damaged"
    };
    let mut text = format!(
        "{verdict}: {}, {} in {}, {} bytes ({})\n",
        count(report.heads.len() as u64, "stream"),
        count(report.events, "event"),
        count(report.segments, "segment"),
        report.bytes,
        directory.display()
    );
    if let Some(torn) = &report.torn {
        text.push_str(&format!(
            "a write that nobody was told of was cut off, which is no damage: {torn}\n"
        ));
    }
    for damage in &report.damaged {
        text.push_str(&format!("damaged: {damage}\n"));
    }
    text
}

fn heads(output: Output, directory: &Path) -> Result<ExitStatus, Stop> {
    let journal = open(directory)?;
    let mut all: Vec<Head> = Vec::new();
    loop {
        let page = journal
            .heads(all.last().map(|head| &head.stream), 1000)
            .map_err(|e| failed(directory, &e))?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let all: Vec<JournalHead> = all.iter().map(JournalHead::from).collect();
    rows::heads(output, &all)
}

fn show(
    output: Output,
    directory: &Path,
    stream: &str,
    at: Option<u64>,
    limit: usize,
) -> Result<ExitStatus, Stop> {
    let name = stream_name(stream)?;
    let journal = open(directory)?;
    if journal
        .head(&name)
        .map_err(|e| failed(directory, &e))?
        .is_none()
    {
        return Err(Failure::new(
            ExitStatus::NotFound,
            "stream-not-found",
            format!(
                "the journal in {} has no stream {name}",
                directory.display()
            ),
            "swarmctl journal heads",
        )
        .into());
    }
    let bounds = match at {
        Some(at) => Bounds::from(at).to(at),
        None => Bounds::ALL.limit(limit),
    };
    let replay = journal
        .read(&name, bounds)
        .map_err(|e| failed(directory, &e))?;
    if let (Some(at), true) = (at, replay.events.is_empty()) {
        return Err(Failure::new(
            ExitStatus::NotFound,
            "event-not-found",
            format!(
                "stream {name} has no event {at}; its last is {}",
                replay.highest
            ),
            format!("swarmctl journal show {name}"),
        )
        .into());
    }
    let events: Vec<JournalEvent> = replay.events.iter().map(JournalEvent::from).collect();
    rows::events(output, &events)
}

fn told(output: Output, what: &str, to: &Path, done: tools::Exported) -> Result<ExitStatus, Stop> {
    let value = json!({
        "done": what,
        "to": to,
        "streams": done.streams,
        "events": done.events,
        "bytes": done.bytes,
    });
    output.document(&value, || {
        format!(
            "{what} {} with {}, {} bytes, to {}\n",
            count(done.streams, "stream"),
            count(done.events, "event"),
            done.bytes,
            to.display()
        )
    })?;
    Ok(ExitStatus::Done)
}

fn truncate(
    global: &Global,
    output: Output,
    directory: &Path,
    stream: &str,
    up_to: u64,
) -> Result<ExitStatus, Stop> {
    let name = stream_name(stream)?;
    let journal = open(directory)?;
    let head = journal.head(&name).map_err(|e| failed(directory, &e))?;
    let Some(head) = head else {
        return Err(Failure::new(
            ExitStatus::NotFound,
            "stream-not-found",
            format!(
                "the journal in {} has no stream {name}",
                directory.display()
            ),
            "swarmctl journal heads",
        )
        .into());
    };
    // An agent whose first events are gone needs a snapshot that holds them.
    let has_snapshot = journal
        .snapshots(&name)
        .map_err(|e| failed(directory, &e))?
        .iter()
        .any(|snapshot| snapshot.seq.0 >= up_to.min(head.last_seq.0));
    let warning = if has_snapshot {
        ""
    } else {
        "; no snapshot holds what they led to, so that an agent of that name cannot start any more"
    };
    confirm(
        global,
        &format!("truncate stream {name} up to event {up_to} for good{warning}"),
    )?;
    let head = journal.truncate(&name, Seq(up_to)).wait();
    let head = head.map_err(|error| match error {
        AppendError::Journal(error) => failed(directory, &error),
        error => Failure::new(
            ExitStatus::Failed,
            "not-truncated",
            error.to_string(),
            "swarmctl journal verify",
        ),
    })?;
    output.document(&JournalHead::from(&head), || {
        format!(
            "stream {name} is truncated up to event {}; its last is {}\n",
            head.truncated, head.last_seq
        )
    })?;
    Ok(ExitStatus::Done)
}

fn compact(output: Output, directory: &Path, bar: &Bar) -> Result<ExitStatus, Stop> {
    let done = tools::compact(directory, &Options::default(), &mut |d, a| bar.at(d, a))
        .map_err(|e| failed(directory, &e))?;
    bar.clear();
    let value = json!({
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "segments_before": done.segments_before,
        "segments_after": done.segments_after,
    });
    output.document(&value, || {
        format!(
            "compacted {} bytes in {} to {} bytes in {}\n",
            done.bytes_before,
            count(done.segments_before, "segment"),
            done.bytes_after,
            count(done.segments_after, "segment"),
        )
    })?;
    Ok(ExitStatus::Done)
}

fn repair(
    global: &Global,
    output: Output,
    directory: &Path,
    bar: &Bar,
) -> Result<ExitStatus, Stop> {
    let plan = tools::repair(directory, false, &Options::default(), &mut |d, a| {
        bar.at(d, a)
    })
    .map_err(|e| failed(directory, &e))?;
    bar.clear();
    let is_sound = plan.dropped.is_empty() && plan.unknown.is_empty();
    let mut done = plan;
    if !is_sound {
        for dropped in &done.dropped {
            output.note(&format!(
                "stream {} would lose events {} to {}",
                dropped.stream, dropped.from, dropped.to
            ));
        }
        for damage in &done.unknown {
            output.note(&format!(
                "and there is damage that no stream can be named for: {damage}"
            ));
        }
        confirm(
            global,
            &format!(
                "drop these events of the journal in {} for good",
                directory.display()
            ),
        )?;
        done = tools::repair(directory, true, &Options::default(), &mut |d, a| {
            bar.at(d, a)
        })
        .map_err(|e| failed(directory, &e))?;
    }
    let value = json!({
        "dropped": done.dropped.iter().map(|d| json!({
            "stream": d.stream.as_str(),
            "from": d.from.0,
            "to": d.to.0,
        })).collect::<Vec<_>>(),
        "unknown": done.unknown.iter().map(damage_json).collect::<Vec<_>>(),
        "set_aside": done.set_aside,
    });
    output.document(&value, || match &done.set_aside {
        None => "nothing to repair\n".to_owned(),
        Some(path) => format!(
            "repaired: {} lost events; the segments as they were are in {}\n",
            count(done.dropped.len() as u64, "stream"),
            path.display()
        ),
    })?;
    Ok(ExitStatus::Done)
}

/// How far it is, where there is a terminal and it takes longer than a second.
struct Bar {
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Bar {
    fn new(output: Output) -> Self {
        let is_shown = !output.is_quiet() && !output.is_json() && io::stderr().is_terminal();
        let bar = is_shown.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {percent}% of the log") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            begun: Instant::now(),
        }
    }

    fn at(&self, done: u64, all: u64) {
        if let Some(bar) = &self.bar
            && self.begun.elapsed() > SILENT
        {
            bar.set_length(all.max(1));
            bar.set_position(done);
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

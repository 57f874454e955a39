//! Benchmarks of Swarm and of the peers that it is compared with, in one run. See `bench/README.md`.

mod catalog;
mod child;
mod measure;
mod result;
mod rig;
mod runner;
mod sample;
mod subjects;
mod table;
mod workload;

use clap::Parser;
use result::{Figure, figures, verdicts};
use runner::Runner;
use sample::Sample;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use subjects::Subject;
use workload::{Bench, Scale};

/// Measures Swarm beside its peers: CPU and wall time per operation, latencies, memory.
#[derive(Parser)]
#[command(name = "swarm-bench")]
struct Options {
    /// Benches to run: a name, the beginning of several (`ping-pong`), `all`; or `list`.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Print one JSON line for each subject and metric.
    #[arg(long)]
    json: bool,
    /// Print the rows of a Markdown table.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// A small part of the work in two runs, to see that everything runs; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Runs of each subject (default 7; 1 where memory is watched).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Only these subjects.
    #[arg(long, value_name = "SUBJECT")]
    only: Vec<String>,
    /// Also ractor with its default features; builds a second program when first asked for.
    #[arg(long)]
    ractor_default: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == runner::SAMPLE
    {
        child::run(rest);
    }
    let options = Options::parse();
    if options.names.iter().any(|name| name == "list") {
        return print_list(options.json);
    }
    match choose(&options) {
        Ok((benches, only)) => run(&options, &benches, &only),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// The benches and subjects that were named, each bench once.
fn choose(options: &Options) -> Result<(Vec<Bench>, Vec<Subject>), String> {
    let mut benches = Vec::new();
    for name in &options.names {
        let found = catalog::find(name);
        if found.is_empty() {
            let similar = catalog::similar(name);
            let hint = if similar.is_empty() {
                String::new()
            } else {
                format!(", did you mean {}?", similar.join(" or "))
            };
            return Err(format!(
                "no bench is called `{name}`{hint}\ntry: swarm-bench list"
            ));
        }
        benches.extend(
            found
                .into_iter()
                .filter(|bench| !benches.contains(bench))
                .collect::<Vec<_>>(),
        );
    }
    let mut only = Vec::new();
    for name in &options.only {
        let names = || Subject::ALL.map(Subject::name).join(", ");
        only.push(
            Subject::from_name(name)
                .ok_or_else(|| format!("no subject is called `{name}`\ntry: one of {}", names()))?,
        );
    }
    Ok((benches, only))
}

fn print_list(json: bool) -> ExitCode {
    for bench in Bench::ALL {
        let subjects: Vec<&str> = catalog::subjects(bench)
            .iter()
            .map(|subject| subject.name())
            .collect();
        let written = if json {
            let line = serde_json::json!({ "bench": bench.name(), "about": catalog::about(bench), "subjects": subjects });
            write_line(&line.to_string())
        } else {
            write_line(&format!(
                "{:<22} {} ({})",
                bench.name(),
                catalog::about(bench),
                subjects.join(", ")
            ))
        };
        if !written {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn run(options: &Options, benches: &[Bench], only: &[Subject]) -> ExitCode {
    let scale = if options.quick {
        Scale::Quick
    } else {
        Scale::Full
    };
    let mut runner = Runner::new(scale);
    let takes_part = |subject: Subject| only.is_empty() || only.contains(&subject);
    let mut failed = false;
    if options.ractor_default
        && let Err(error) = runner.build_ractor_default()
    {
        eprintln!("error: {error}");
        failed = true;
    }
    let wants_erlang = benches
        .iter()
        .any(|bench| catalog::subjects(*bench).contains(&Subject::Erlang));
    if wants_erlang && takes_part(Subject::Erlang) {
        match runner.compile_erlang() {
            Ok(true) => {}
            Ok(false) => {
                eprintln!("note: erl is not installed, so there is nothing to show for erlang")
            }
            Err(error) => {
                eprintln!("error: {error}");
                failed = true;
            }
        }
    }
    if options.markdown && !write_line(table::MARKDOWN_HEAD) {
        return ExitCode::SUCCESS;
    }
    for bench in benches {
        let runs = options.runs.map_or_else(
            || {
                if options.quick {
                    2
                } else {
                    catalog::runs(*bench)
                }
            },
            usize::from,
        );
        let subjects: Vec<Subject> = catalog::subjects(*bench)
            .iter()
            .copied()
            .filter(|s| takes_part(*s))
            .collect();
        let (figures, complete) = measure(&runner, *bench, &subjects, runs);
        failed |= !complete;
        if !show(options, *bench, &figures) {
            break;
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// All runs of one bench, the subjects taking turns. A subject that fails is left out and said so: the figures of the
/// others stand.
fn measure(
    runner: &Runner,
    bench: Bench,
    subjects: &[Subject],
    runs: usize,
) -> (Vec<Figure>, bool) {
    let mut samples: BTreeMap<Subject, Vec<Sample>> = BTreeMap::new();
    let mut dropped: Vec<Subject> = Vec::new();
    for _ in 0..runs {
        for subject in subjects {
            if dropped.contains(subject) {
                continue;
            }
            match runner.sample(bench, *subject) {
                Ok(Some(sample)) => samples.entry(*subject).or_default().push(sample),
                Ok(None) => {}
                Err(error) => {
                    eprintln!("error: {} of {}: {error}", bench.name(), subject.name());
                    samples.remove(subject);
                    dropped.push(*subject);
                }
            }
        }
    }
    let figures = samples
        .iter()
        .flat_map(|(subject, samples)| figures(bench, *subject, samples))
        .collect();
    (figures, dropped.is_empty())
}

/// False when nobody reads any more.
fn show(options: &Options, bench: Bench, all: &[Figure]) -> bool {
    if options.json {
        return all.iter().all(|figure| {
            write_line(&serde_json::to_string(figure).expect("a figure is plain data"))
        });
    }
    let verdicts = verdicts(bench, all);
    if options.markdown {
        let rows = table::markdown(all, &verdicts);
        return rows.is_empty() || write_line(rows.trim_end());
    }
    write_line(&table::render(bench, all, &verdicts))
}

fn write_line(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from(std::iter::once("swarm-bench").chain(arguments.iter().copied()))
    }

    #[test]
    fn each_bench_is_run_once_however_often_it_is_named() {
        let (benches, only) = choose(&options(&[
            "ping-pong",
            "ping-pong-1",
            "ask",
            "--only",
            "tokio",
        ]))
        .unwrap();
        assert_eq!(benches, [Bench::PingPong1, Bench::PingPong100, Bench::Ask]);
        assert_eq!(only, [Subject::Tokio]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_suggestion() {
        let error = choose(&options(&["fanin"])).unwrap_err();
        assert!(error.contains("did you mean fan-in"), "{error}");
        let error = choose(&options(&["ask", "--only", "akka"])).unwrap_err();
        assert!(error.contains("one of swarm, ractor"), "{error}");
    }
}

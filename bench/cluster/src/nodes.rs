//! Clusters of `swarmctl` processes on this machine: how long until all know of a member that joined, died, left or was cut off, and what
//! a node costs that has nothing to do.

mod partition;
mod process;
mod space;

use crate::Failed;
use crate::machine::{anonymous_kib, cpu_of, loopback_bytes, median};
pub(crate) use partition::run as run_partition;
use process::{Join, Node, State};
pub(crate) use space::{is_relay, relay};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many times each thing is measured that happens to one node.
const TRIALS: usize = 5;
/// How long nothing happens before what that costs is measured, and for how long it is.
const SETTLE: Duration = Duration::from_secs(8);
const IDLE: Duration = Duration::from_secs(30);
const CUT: Duration = Duration::from_secs(30);
/// What takes longer than this ends the bench.
const WITHIN: Duration = Duration::from_secs(120);

/// Names and data folders for nodes, each of its own.
struct Places {
    folder: tempfile::TempDir,
    next: usize,
}

impl Places {
    fn new() -> Result<Self, Failed> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            next: 0,
        })
    }

    fn next(&mut self) -> (String, PathBuf) {
        let name = format!("n{}", self.next);
        self.next += 1;
        let data = self.folder.path().join(&name);
        (name, data)
    }

    /// One more node, once all see it.
    fn refill(&mut self, nodes: &mut Vec<Node>, join: &Join) -> Result<(), Failed> {
        let (name, data) = self.next();
        nodes.push(Node::start_joining(&name, &data, join, None)?.ready()?);
        until_all(&*nodes, are_alive(nodes.len()))?;
        Ok(())
    }
}

/// Waits until all of `nodes` see `what`, looking at each until it does. Looking takes at most half of the time.
fn until_all<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    what: impl Fn(&[(String, State)]) -> bool,
) -> Result<Duration, Failed> {
    let start = Instant::now();
    let mut left: Vec<&Node> = nodes.into_iter().collect();
    while !left.is_empty() {
        let round = Instant::now();
        let mut still = Vec::new();
        for node in left {
            if !what(&node.members()?) {
                still.push(node);
            }
        }
        left = still;
        if start.elapsed() > WITHIN {
            let names: Vec<_> = left.iter().map(|node| node.name.as_str()).collect();
            return Err(format!("not within {WITHIN:?}: {}", names.join(", ")).into());
        }
        if !left.is_empty() {
            std::thread::sleep(round.elapsed().max(Duration::from_millis(10)));
        }
    }
    Ok(start.elapsed())
}

fn are_alive(count: usize) -> impl Fn(&[(String, State)]) -> bool {
    move |members| {
        members
            .iter()
            .filter(|(_, state)| *state == State::Alive)
            .count()
            == count
    }
}

/// Whether none of these is there.
fn are_gone(names: &[String]) -> impl Fn(&[(String, State)]) -> bool + '_ {
    move |members| {
        members.iter().all(|(other, state)| {
            !names.contains(other) || matches!(state, State::Down | State::Left)
        })
    }
}

fn show(what: &str, times: &[Duration], bar: &str) {
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    let max = seconds.iter().copied().fold(0.0, f64::max);
    println!("| {what} | {:.2} | {max:.2} | {bar} |", median(seconds));
}

fn heading(what: &str) {
    println!("\n## {what}\n\n| | median s | max s | bar |\n| --- | --- | --- | --- |");
}

/// A cluster of so many nodes, through its whole life.
pub(crate) fn run(count: usize) -> Result<(), Failed> {
    heading(&format!("{count} nodes"));
    let mut places = Places::new()?;
    let (name, data) = places.next();
    let (first, join) = Node::first(&name, &data, None)?;
    let mut nodes = vec![first];

    let start = Instant::now();
    let mut starting = Vec::new();
    for _ in 1..count {
        let (name, data) = places.next();
        starting.push(Node::start_joining(&name, &data, &join, None)?);
    }
    for joining in starting {
        nodes.push(joining.ready()?);
    }
    until_all(&nodes, are_alive(count))?;
    let bar = if count > 5 { "1.5" } else { "0.5" };
    let what = "join, all started at once, until all see all";
    show(what, &[start.elapsed()], bar);
    let spent = cpu_of_all(&nodes)?.as_secs_f64();
    println!("| CPU seconds of all nodes until then | {spent:.2} | | |");

    std::thread::sleep(SETTLE);
    idle(&nodes)?;

    let mut deaths = Vec::new();
    for _ in 0..TRIALS {
        let mut victim = nodes.pop().ok_or("no nodes")?;
        victim.kill()?;
        deaths.push(until_all(
            &nodes,
            are_gone(std::slice::from_ref(&victim.name)),
        )?);
        places.refill(&mut nodes, &join)?;
    }
    let bar = if count > 5 {
        "4 (p50)"
    } else {
        "3 (p50), 6 (max)"
    };
    show("kill -9 until all say so", &deaths, bar);

    let mut leaves = Vec::new();
    for _ in 0..TRIALS {
        let mut leaver = nodes.pop().ok_or("no nodes")?;
        leaver.terminate()?;
        leaves.push(until_all(
            &nodes,
            are_gone(std::slice::from_ref(&leaver.name)),
        )?);
        leaver.wait()?;
        places.refill(&mut nodes, &join)?;
    }
    show("SIGTERM until all say so", &leaves, "0.5");
    cuts(&nodes)
}

/// One node is cut off for a while, by a fault on purpose, always the same: one that comes back distrusts itself for half a minute, so it is
/// none of those that are to notice the next cut.
fn cuts(nodes: &[Node]) -> Result<(), Failed> {
    let (mut seen, mut healed) = (Vec::new(), Vec::new());
    let (cut, others) = nodes.split_last().ok_or("no nodes")?;
    for _ in 0..TRIALS {
        nodes[0].cut(&cut.name, CUT)?;
        let start = Instant::now();
        let is_seen = are_gone(std::slice::from_ref(&cut.name));
        seen.push(until_all(others, is_seen)?);
        std::thread::sleep(CUT.saturating_sub(start.elapsed()));
        healed.push(until_all(nodes, are_alive(nodes.len()))?);
        std::thread::sleep(SETTLE);
    }
    show("cut off (`chaos cut`) until all say so", &seen, "8 (p50)");
    show("after the cut, until all see all", &healed, "10");
    Ok(())
}

fn cpu_of_all(nodes: &[Node]) -> Result<Duration, Failed> {
    nodes.iter().map(|node| cpu_of(node.pid())).sum()
}

/// What a node costs that has nothing to do.
fn idle(nodes: &[Node]) -> Result<(), Failed> {
    let (bytes, used, start) = (loopback_bytes()?, cpu_of_all(nodes)?, Instant::now());
    std::thread::sleep(IDLE);
    let seconds = start.elapsed().as_secs_f64() * nodes.len() as f64;
    let rate = (loopback_bytes()? - bytes) as f64 / seconds;
    let share = (cpu_of_all(nodes)? - used).as_secs_f64() / seconds * 100.0;
    let memory = nodes
        .iter()
        .map(|node| Ok(anonymous_kib(node.pid())? as f64 / 1024.0))
        .collect::<Result<Vec<_>, Failed>>()?;
    println!("| idle: bytes/s of a node | {rate:.0} | | 600 |");
    println!("| idle: % of a core | {share:.2} | | 1 |");
    println!("| idle: anonymous MiB | {:.1} | | 20 |", median(memory));
    Ok(())
}

//! Clusters of `swarmctl` processes on this machine: how long until all know of a member that joined, died, left or was cut off, and what
//! a node costs that has nothing to do.

mod process;

use crate::Failed;
use crate::machine::{anonymous_kib, cpu_of, loopback_bytes, median};
use process::{Node, State};
use std::time::{Duration, Instant};

/// How many times a death is measured.
const DEATHS: usize = 5;
/// How long nothing happens before what that costs is measured, and for how long it is.
const SETTLE: Duration = Duration::from_secs(8);
const IDLE: Duration = Duration::from_secs(30);
const CUT: Duration = Duration::from_secs(20);

/// Waits until all of `nodes` see `what`, looking at each until it does.
fn until_all(
    nodes: &[Node],
    within: Duration,
    what: impl Fn(&[(String, State)]) -> bool,
) -> Result<Duration, Failed> {
    let start = Instant::now();
    let mut left: Vec<&Node> = nodes.iter().collect();
    while !left.is_empty() {
        let mut still = Vec::new();
        for node in left {
            if !what(&node.members()?) {
                still.push(node);
            }
        }
        left = still;
        if start.elapsed() > within {
            let names: Vec<_> = left.iter().map(|node| node.name.as_str()).collect();
            return Err(format!("not within {within:?}: {}", names.join(", ")).into());
        }
        if !left.is_empty() {
            std::thread::sleep(Duration::from_millis(10));
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

fn is_gone(name: &str) -> impl Fn(&[(String, State)]) -> bool + '_ {
    move |members| {
        members
            .iter()
            .all(|(other, state)| other != name || matches!(state, State::Down | State::Left))
    }
}

fn show(what: &str, times: &[Duration], bar: &str) {
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    let max = seconds.iter().copied().fold(0.0, f64::max);
    println!("| {what} | {:.2} | {max:.2} | {bar} |", median(seconds));
}

/// A cluster of so many nodes, through its whole life.
pub(crate) fn run(count: usize) -> Result<(), Failed> {
    let within = Duration::from_secs(120);
    let folder = tempfile::tempdir()?;
    let data = |n: usize| folder.path().join(format!("n{n}"));
    println!("\n## {count} nodes\n\n| | median s | max s | bar |\n| --- | --- | --- | --- |");
    let mut next = 0;
    let mut called = || {
        next += 1;
        (format!("n{}", next - 1), data(next - 1))
    };
    let (name, place) = called();
    let (first, join) = Node::first(&name, &place)?;
    let mut nodes = vec![first];

    let start = Instant::now();
    let mut starting = Vec::new();
    for _ in 1..count {
        let (name, place) = called();
        starting.push(Node::start_joining(&name, &place, &join)?);
    }
    for joining in starting {
        nodes.push(joining.ready()?);
    }
    until_all(&nodes, within, are_alive(count))?;
    let bar = if count > 5 { "1.5" } else { "0.5" };
    show(
        "join, all started at once, until all see all",
        &[start.elapsed()],
        bar,
    );

    std::thread::sleep(SETTLE);
    idle(&nodes)?;

    let mut deaths = Vec::new();
    for _ in 0..DEATHS {
        let mut victim = nodes.pop().ok_or("no nodes")?;
        victim.kill()?;
        deaths.push(until_all(&nodes, within, is_gone(&victim.name))?);
        let (name, place) = called();
        nodes.push(Node::start_joining(&name, &place, &join)?.ready()?);
        until_all(&nodes, within, are_alive(count))?;
    }
    let bar = if count > 5 {
        "4 (p50)"
    } else {
        "3 (p50), 6 (max)"
    };
    show("kill -9 until all say so", &deaths, bar);

    let mut leaves = Vec::new();
    for _ in 0..DEATHS.min(count.saturating_sub(2)) {
        let mut leaver = nodes.pop().ok_or("no nodes")?;
        leaver.terminate()?;
        leaves.push(until_all(&nodes, within, is_gone(&leaver.name))?);
        leaver.wait()?;
    }
    show("SIGTERM until all say so", &leaves, "0.5");

    let cut = nodes.pop().ok_or("no nodes")?;
    nodes[0].cut(&cut.name, CUT)?;
    let start = Instant::now();
    show(
        "cut off until all say so",
        &[until_all(&nodes, within, is_gone(&cut.name))?],
        "8",
    );
    std::thread::sleep(CUT.saturating_sub(start.elapsed()));
    let alive = nodes.len() + 1;
    nodes.push(cut);
    show(
        "healed until all see all",
        &[until_all(&nodes, within, are_alive(alive))?],
        "10",
    );
    Ok(())
}

/// What a node costs that has nothing to do.
fn idle(nodes: &[Node]) -> Result<(), Failed> {
    let cpu = |nodes: &[Node]| -> Result<Duration, Failed> {
        nodes.iter().map(|node| cpu_of(node.pid())).sum()
    };
    let (bytes, used, start) = (loopback_bytes()?, cpu(nodes)?, Instant::now());
    std::thread::sleep(IDLE);
    let seconds = start.elapsed().as_secs_f64() * nodes.len() as f64;
    let rate = (loopback_bytes()? - bytes) as f64 / seconds;
    let share = (cpu(nodes)? - used).as_secs_f64() / seconds * 100.0;
    let memory = nodes
        .iter()
        .map(|node| Ok(anonymous_kib(node.pid())? as f64 / 1024.0))
        .collect::<Result<Vec<_>, Failed>>()?;
    println!("| idle: bytes/s of a node | {rate:.0} | | 600 |");
    println!("| idle: % of a core | {share:.2} | | 1 |");
    println!("| idle: anonymous MiB | {:.1} | | 20 |", median(memory));
    Ok(())
}

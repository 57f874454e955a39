//! How fast WebAssembly agents are beside bare wasmtime: the same component, the same engine settings, in one run, in turn.
//!
//! `cargo run --release -p swarm-bench-wasm [PART]…`, of `turns`, `answers`, `round-robin`, `lives`, `runaway`, `upgrades`, `idle`, `durable`; all
//! unless some are named. On a loaded machine trust the ratios: both sides take turns, figures are medians.

mod agents;
mod bare;
mod durable;

use agents::{Agents, PATIENCE, host, limits, load, message};
use bare::{Act, Bare};
use std::time::{Duration, Instant};
use swarm_protocols::Performative;
use swarm_wasm::{Class, Limits};

const WORD_COUNT: &[u8] = include_bytes!("../../../examples/guests/word-count/word-count.wasm");
const TALLY: &[u8] = include_bytes!("../../../examples/guests/tally/tally.wasm");

const REPETITIONS: usize = 5;
const TURNS: u32 = 100_000;
const LIVES: u32 = 1000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    println!("| | swarm | bare wasmtime | ratio |\n| --- | --- | --- | --- |");
    runtime.block_on(async {
        if is_wanted("turns") {
            turns().await;
        }
        if is_wanted("answers") {
            answers().await;
        }
        if is_wanted("round-robin") {
            round_robin().await;
        }
        if is_wanted("lives") {
            lives().await;
        }
        if is_wanted("runaway") {
            runaway().await;
        }
        if is_wanted("upgrades") {
            upgrades().await;
        }
        if is_wanted("idle") {
            for class in [Class::Default, Class::Compact] {
                idle(class).await;
            }
        }
        if is_wanted("durable") {
            durable::turns().await;
        }
    });
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 99 / 100]
}

/// The processor time that this process has taken, in microseconds; in steps of 10 ms, so only sums say something.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may contain anything: fields 14 and 15 of the whole.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap_or(f64::NAN) * 10_000.0)
        .sum()
}

/// Wall and processor time of each side, over all repetitions.
#[derive(Default)]
struct Both {
    wall: Vec<f64>,
    cpu: f64,
    turns: f64,
}

impl Both {
    fn add(&mut self, begun: Instant, cpu_before: f64, turns: u32) {
        self.wall.push(micros(begun.elapsed()) / f64::from(turns));
        self.cpu += cpu() - cpu_before;
        self.turns += f64::from(turns);
    }
}

fn rows(name: &str, swarm: Both, bare: Both) {
    row(
        &format!("{name}: processor time"),
        "µs",
        swarm.cpu / swarm.turns,
        bare.cpu / bare.turns,
    );
    row(
        &format!("{name}: wall time"),
        "µs",
        median(swarm.wall),
        median(bare.wall),
    );
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn row(name: &str, unit: &str, swarm: f64, bare: f64) {
    let ratio = swarm / bare;
    println!("| {name} | {swarm:.2} {unit} | {bare:.2} {unit} | {ratio:.2} |");
}

fn row_alone(name: &str, value: String) {
    println!("| {name} | {value} | | |");
}

/// A message of 64 bytes that is not answered: into the mailbox, out of it, the turn, its commit. Bare: the call alone.
async fn turns() {
    let limits = limits(Class::Default);
    let host = host();
    let agents = Agents::start(load(&host, WORD_COUNT, Class::Default, &limits), limits, 1).await;
    let agent = agents.agent(1);
    let content = [b'x'; 64];
    let engine = Bare::new(WORD_COUNT).expect("it compiles");
    let mut instance = engine.start().await.expect("it starts");
    let told = bare::message(Act::Inform, &content);
    let (mut ours, mut theirs) = (Both::default(), Both::default());
    for _ in 0..REPETITIONS {
        let (begun, before) = (Instant::now(), cpu());
        for _ in 0..TURNS {
            let message = message(Performative::Inform, &content);
            agent.send_acl(message).await.expect("it is taken");
        }
        while agent.mailbox_depth() > 0 {
            tokio::task::yield_now().await;
        }
        ours.add(begun, before, TURNS);
        let (begun, before) = (Instant::now(), cpu());
        for _ in 0..TURNS {
            assert!(instance.tell(&told).await.expect("no trap"));
        }
        theirs.add(begun, before, TURNS);
    }
    rows("message and turn, 64 B", ours, theirs);
}

/// An order that is answered: ask, turn with JSON on both sides, answer. Bare: the call, whose answer is dropped.
async fn answers() {
    let limits = limits(Class::Default);
    let host = host();
    let agents = Agents::start(load(&host, TALLY, Class::Default, &limits), limits, 1).await;
    let agent = agents.agent(1);
    let engine = Bare::new(TALLY).expect("it compiles");
    let mut instance = engine.start().await.expect("it starts");
    let told = bare::message(Act::Request, b"\"total\"");
    let (mut ours, mut theirs) = (Both::default(), Both::default());
    let turns = TURNS / 10;
    for _ in 0..REPETITIONS {
        let (begun, before) = (Instant::now(), cpu());
        for _ in 0..turns {
            let asked = message(Performative::Request, b"\"total\"");
            agent.ask_acl(asked, PATIENCE).await.expect("an answer");
        }
        ours.add(begun, before, turns);
        let (begun, before) = (Instant::now(), cpu());
        for _ in 0..turns {
            assert!(instance.tell(&told).await.expect("no trap"));
        }
        theirs.add(begun, before, turns);
    }
    assert!(instance.store.data().answers > 0);
    rows("ask and answer, one at a time", ours, theirs);
}

/// The same message to 1000 agents in turn.
async fn round_robin() {
    const AGENTS: u32 = 1000;
    let limits = limits(Class::Default);
    let host = host();
    host.reserve(Class::Default, AGENTS).expect("there is room");
    let component = load(&host, WORD_COUNT, Class::Default, &limits);
    let agents = Agents::start(component, limits, AGENTS).await;
    let all = agents.all();
    let content = [b'x'; 64];
    let engine = Bare::new(WORD_COUNT).expect("it compiles");
    let mut instances = Vec::new();
    for _ in 0..AGENTS - 50 {
        instances.push(engine.start().await.expect("it starts"));
    }
    let told = bare::message(Act::Inform, &content);
    let (mut ours, mut theirs) = (Both::default(), Both::default());
    for _ in 0..REPETITIONS {
        let (begun, before) = (Instant::now(), cpu());
        for turn in 0..TURNS {
            let agent = &all[(turn % AGENTS) as usize];
            let message = message(Performative::Inform, &content);
            agent.send_acl(message).await.expect("it is taken");
        }
        for agent in &all {
            while agent.mailbox_depth() > 0 {
                tokio::task::yield_now().await;
            }
        }
        ours.add(begun, before, TURNS);
        let (begun, before) = (Instant::now(), cpu());
        for turn in 0..TURNS as usize {
            let at = turn % instances.len();
            assert!(instances[at].tell(&told).await.expect("no trap"));
        }
        theirs.add(begun, before, TURNS);
    }
    rows("1000 agents in turn", ours, theirs);
}

/// From a crash to the first answer of the next life, and from nothing to a life that is ready. Bare: trap, drop, instance,
/// on-start, one message; and instance and on-start.
async fn lives() {
    let limits = limits(Class::Default);
    let host = host();
    let agents = Agents::start(load(&host, WORD_COUNT, Class::Default, &limits), limits, 1).await;
    let agent = agents.agent(1);
    let trap = br#"{"task":"trap","input":"x"}"#;
    let engine = Bare::new(WORD_COUNT).expect("it compiles");
    let mut instance = engine.start().await.expect("it starts");
    let (bare_trap, bare_hello) = (
        bare::message(Act::Request, trap),
        bare::message(Act::Request, br#"{"task":"seen"}"#),
    );
    let (mut ours, mut theirs, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_blocks, mut their_blocks) = (Both::default(), Both::default());
    for _ in 0..REPETITIONS {
        let (block, before) = (Instant::now(), cpu());
        for _ in 0..LIVES {
            let begun = Instant::now();
            agent
                .send_acl(message(Performative::Request, trap))
                .await
                .expect("it is taken");
            let hello = message(Performative::Request, br#"{"task":"seen"}"#);
            agent.ask_acl(hello, PATIENCE).await.expect("an answer");
            ours.push(micros(begun.elapsed()));
        }
        our_blocks.add(block, before, LIVES);
        let (block, before) = (Instant::now(), cpu());
        for _ in 0..LIVES {
            let begun = Instant::now();
            assert!(instance.tell(&bare_trap).await.is_err());
            drop(instance);
            let starting = Instant::now();
            instance = engine.start().await.expect("it starts");
            starts.push(micros(starting.elapsed()));
            assert!(instance.tell(&bare_hello).await.expect("no trap"));
            theirs.push(micros(begun.elapsed()));
        }
        their_blocks.add(block, before, LIVES);
    }
    row(
        "crash to the next answer, p50",
        "µs",
        median(ours.clone()),
        median(theirs.clone()),
    );
    row(
        "crash to the next answer, p99",
        "µs",
        p99(ours),
        p99(theirs),
    );
    rows("crash to the next answer", our_blocks, their_blocks);

    const AGENTS: u32 = 900;
    let limits = agents::limits(Class::Default);
    let component = load(&host, WORD_COUNT, Class::Default, &limits);
    let mut each = Vec::new();
    for _ in 0..REPETITIONS {
        let (component, limits) = (component.clone(), limits.clone());
        let begun = Instant::now();
        let started = Agents::start(component, limits, AGENTS).await;
        each.push(micros(begun.elapsed()) / f64::from(AGENTS));
        started.system.stop_tree(PATIENCE).await;
    }
    row(
        "start of an agent, of 900 in a tree",
        "µs",
        median(each),
        median(starts),
    );
}

/// How long after its limit a loop without end is over.
async fn runaway() {
    let limits = Limits {
        turn_cpu: Duration::from_millis(20),
        ..limits(Class::Default)
    };
    let host = host();
    let agents = Agents::start(load(&host, WORD_COUNT, Class::Default, &limits), limits, 1).await;
    let agent = agents.agent(1);
    let mut late = Vec::new();
    for _ in 0..50 {
        let hello = message(Performative::Request, br#"{"task":"seen"}"#);
        agent.ask_acl(hello, PATIENCE).await.expect("an answer");
        let down = agent.monitor();
        let begun = Instant::now();
        agent
            .send_acl(message(Performative::Request, br#"{"task":"loop"}"#))
            .await
            .expect("it is taken");
        down.await.expect("it is told");
        late.push(micros(begun.elapsed().saturating_sub(Duration::from_millis(20))) / 1000.0);
    }
    let value = format!(
        "p50 {:.1} ms, p99 {:.1} ms",
        median(late.clone()),
        p99(late)
    );
    row_alone("runaway loop: over after its 20 ms by", value);
}

/// How long messages wait for an upgrade.
async fn upgrades() {
    let limits = limits(Class::Default);
    let host = host();
    let component = load(&host, TALLY, Class::Default, &limits);
    let agents = Agents::start(component.clone(), limits, 1).await;
    let agent = agents.agent(1);
    let pad = message(Performative::Request, br#"{"pad":65536}"#);
    agent.ask_acl(pad, PATIENCE).await.expect("an answer");
    let mut pauses = Vec::new();
    for _ in 0..LIVES {
        let upgraded = swarm_wasm::upgrade(&agent, component.clone(), 0, PATIENCE).await;
        let upgraded = upgraded.expect("it takes its own state");
        assert_eq!(upgraded.state_bytes, 16 + 65_536);
        pauses.push(micros(upgraded.pause));
    }
    let value = format!(
        "p50 {:.0} µs, p99 {:.0} µs",
        median(pauses.clone()),
        p99(pauses)
    );
    row_alone("upgrade, 64 KiB of state: messages wait", value);
}

/// What an agent that has handled one message takes while it waits.
async fn idle(class: Class) {
    const AGENTS: u32 = 5000;
    let limits = limits(class);
    let host = host();
    host.reserve(class, AGENTS).expect("there is room");
    let component = load(&host, WORD_COUNT, class, &limits);
    let before = memory();
    let agents = Agents::start(component, limits, AGENTS).await;
    for agent in agents.all() {
        let hello = message(Performative::Request, br#"{"task":"seen"}"#);
        agent.ask_acl(hello, PATIENCE).await.expect("an answer");
    }
    let after = memory();
    let each = |at: usize| (after[at] - before[at]) / f64::from(AGENTS);
    let value = format!("{:.1} KiB, page tables {:.1} KiB", each(0), each(1));
    row_alone(&format!("idle agent of class {class}, of 5000"), value);
}

/// VmRSS and VmPTE of this process, in KiB.
fn memory() -> [f64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmRSS:", "VmPTE:"].map(|key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.trim().strip_suffix("kB"));
        number
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(f64::NAN)
    })
}

//! Durable agents over the disk journal.

use crate::measure::{CELL, REPETITIONS, median, process_seconds, resident};
use serde::{Deserialize, Serialize};
use std::path::Path as Directory;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_actors::durable::{Decider, Decision, Durability, DurableRef, DurableSpec, Form, Stored};
use swarm_actors::{Failure, System, SystemOptions};
use swarm_journal::{DiskJournal, Options};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{SupervisorFlags, SupervisorSpec};

const AGENTS: u32 = 16_384;

struct Sum;

#[derive(Serialize, Deserialize)]
struct Add(u64);

#[derive(Clone, Serialize, Deserialize)]
struct Added(u64, Vec<u8>);

impl Stored for Added {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for Sum {
    type State = u64;
    type Command = Add;
    type Event = Added;
    type Answer = u64;

    fn decide(
        &self,
        sum: &u64,
        Add(n): Add,
        turn: &mut Decision<'_, Self>,
    ) -> Result<u64, Failure> {
        if n > 0 {
            turn.record(Added(n, vec![7; 190]));
        }
        Ok(sum + n)
    }

    fn evolve(&self, sum: &mut u64, Added(n, _): &Added) {
        *sum += n;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn node(directory: &Directory, agents: u32) -> (System, Vec<DurableRef<Sum>>) {
    let journal = DiskJournal::open(directory, Options::default()).expect("it opens");
    let durability = Durability::new(Arc::new(journal));
    let system = System::new(SystemOptions::new(Name::new("bench").expect("a name"), 1));
    let specs = DurableSpec::new("sum", Sum, &durability)
        .expect("a name")
        .map(|spec| spec.sleep_after(Duration::from_secs(3600)))
        .replicas(&system, agents);
    let tree = SupervisorSpec::new(SupervisorFlags::default(), specs);
    system.start_tree(tree).await.expect("it starts");
    let agents = (1..=agents)
        .map(|n| Path::new(&format!("/sum-{n}")).expect("a path"))
        .map(|path| DurableRef::find(&system, &path).expect("it is there"))
        .collect();
    (system, agents)
}

/// As many turns in flight as there are agents, and what the journal alone does with as many appends in flight to as many streams.
pub fn turns(directory: &Directory) {
    const TURNS_EACH: u32 = 12;
    let cells = (0..REPETITIONS)
        .map(|_| crate::journal::run(directory, u64::from(AGENTS), AGENTS as usize, CELL));
    let alone = median(cells.map(|cell| cell.rate).collect());
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    println!("\n## Durable agents\n\n| what | value |\n| --- | --- |");
    println!("| the journal alone, {AGENTS} appends in flight | {alone:.0}/s |");
    runtime().block_on(async {
        let begun = Instant::now();
        let (system, agents) = node(directory.path(), AGENTS).await;
        println!(
            "| {AGENTS} agents started | {} ms |",
            begun.elapsed().as_millis()
        );
        for (turns, what) in [
            (1, "first, which reads each stream"),
            (TURNS_EACH, "then, one behind the other"),
        ] {
            let (begun, cpu) = (Instant::now(), process_seconds());
            let asks: Vec<_> = agents
                .iter()
                .cloned()
                .map(|agent| {
                    tokio::spawn(async move {
                        for _ in 0..turns {
                            agent
                                .ask(Add(1), Duration::from_secs(60))
                                .await
                                .expect("an answer");
                        }
                    })
                })
                .collect();
            for ask in asks {
                ask.await.expect("no panic");
            }
            let done = f64::from(AGENTS * turns);
            let rate = done / begun.elapsed().as_secs_f64();
            let each = (process_seconds() - cpu) * 1e6 / done;
            println!(
                "| durable turns, {AGENTS} in flight, {what} | {rate:.0}/s, {:.2} of the journal alone; {each:.1} µs of processor each |",
                rate / alone
            );
        }
        system.stop_tree(Duration::from_secs(60)).await;
    });
}

/// What very many agents take.
#[derive(Clone, Copy, Debug)]
pub struct Many {
    /// Until all of them were started, for the first time.
    pub started: Duration,
    /// Resident bytes of each of those asleep. None of them has a stream yet.
    pub asleep_bytes: f64,
    /// Resident bytes of each of those awake, beside that.
    pub awake_bytes: f64,
}

/// Very many agents, of which one in a hundred is awake: how long their start takes, and what they hold.
pub fn many(directory: &Directory, agents: u32) -> Many {
    let awake = (agents / 100).max(1);
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    println!("\n## {agents} durable agents\n\n| what | value |\n| --- | --- |");
    runtime().block_on(async {
        let (begun, before, cpu) = (Instant::now(), resident(), process_seconds());
        let journal = DiskJournal::open(directory.path(), Options::default()).expect("it opens");
        let durability = Durability::new(Arc::new(journal));
        let system = System::new(SystemOptions::new(Name::new("bench").expect("a name"), 1));
        let specs = DurableSpec::new("sum", Sum, &durability)
            .expect("a name")
            .replicas(&system, agents);
        let tree = SupervisorSpec::new(SupervisorFlags::default(), specs);
        system.start_tree(tree).await.expect("it starts");
        let started = begun.elapsed();
        println!(
            "| started | {} ms; {:.1} s of processor |",
            started.as_millis(),
            process_seconds() - cpu
        );
        let asleep_bytes = (resident() - before) / f64::from(agents);
        println!("| resident, each of those asleep | {asleep_bytes:.0} bytes |");
        let (begun, before) = (Instant::now(), resident());
        let step = (agents / awake).max(1);
        let asks: Vec<_> = (1..=agents)
            .step_by(step as usize)
            .map(|n| Path::new(&format!("/sum-{n}")).expect("a path"))
            .map(|path| DurableRef::<Sum>::find(&system, &path).expect("it is there"))
            .map(|agent| {
                tokio::spawn(async move { agent.ask(Add(1), Duration::from_secs(60)).await })
            })
            .collect();
        let awake = asks.len();
        for ask in asks {
            ask.await.expect("no panic").expect("an answer");
        }
        println!(
            "| {awake} of them woken, each with a commit | {} ms |",
            begun.elapsed().as_millis()
        );
        let awake_bytes = (resident() - before) / awake as f64;
        println!("| resident, each of those awake, beside that | {awake_bytes:.0} bytes |");
        system.stop_tree(Duration::from_secs(60)).await;
        Many {
            started,
            asleep_bytes,
            awake_bytes,
        }
    })
}

/// How long an agent that is not in memory takes to answer: 500 events behind no snapshot.
pub fn wake(directory: &Directory) {
    const WOKEN: u32 = 1000;
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    runtime().block_on(async {
        {
            let (system, agents) = node(directory.path(), WOKEN).await;
            for _ in 0..499 {
                let asks: Vec<_> = agents
                    .iter()
                    .cloned()
                    .map(|agent| {
                        tokio::spawn(
                            async move { agent.ask(Add(1), Duration::from_secs(60)).await },
                        )
                    })
                    .collect();
                for ask in asks {
                    ask.await.expect("no panic").expect("an answer");
                }
            }
            for agent in &agents {
                agent.agent().any().kill();
            }
            system.stop_tree(Duration::from_secs(60)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (system, agents) = node(directory.path(), WOKEN).await;
        let (reading, writing) = agents.split_at(agents.len() / 2);
        for (agents, n, what) in [
            (reading, 0, "answered"),
            (writing, 1, "answered after a commit"),
        ] {
            let mut times = Vec::new();
            for agent in agents {
                let begun = Instant::now();
                agent
                    .ask(Add(n), Duration::from_secs(60))
                    .await
                    .expect("an answer");
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[(times.len() as f64 * share) as usize];
            println!("| woken (499 events) and {what}, p50 | {:.2} ms |", at(0.5));
            println!("| the same, p99 | {:.2} ms |", at(0.99));
        }
        system.stop_tree(Duration::from_secs(60)).await;
    });
}

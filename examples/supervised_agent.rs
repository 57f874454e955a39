//! An agent that crashes in the middle of its work: what it had sent in that turn is not sent, what was queued is handled by
//! its next life, and its address never changes.
//!
//! `cargo run -p swarm-examples --example supervised_agent`

use std::error::Error;
use std::time::Duration;
use swarm_actors::{
    Agent, AgentRef, AgentSpec, Failure, Message, ReplyTo, System, SystemOptions, Turn,
    install_panic_hook,
};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{SupervisorFlags, SupervisorSpec};

/// Adds up what it is told.
#[derive(Default)]
struct Tally {
    total: u64,
}

enum Told {
    Add(u64),
    Total(ReplyTo<u64>),
}

impl Message for Told {}

impl Agent for Tally {
    type Message = Told;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, told: Told) -> Result<(), Failure> {
        match told {
            Told::Add(n) => self.total += n,
            Told::Total(reply) => turn.reply(reply, self.total),
        }
        Ok(())
    }
}

/// Tells the tally each number, and then falls over the unlucky one.
struct Counter {
    tally: AgentRef<Told>,
}

struct Number(u64);

impl Message for Number {}

impl Agent for Counter {
    type Message = Number;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, number: Number) -> Result<(), Failure> {
        turn.send(&self.tally, Told::Add(number.0));
        assert_ne!(number.0, 13, "unlucky");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    install_panic_hook();
    let system = System::new(SystemOptions::new(Name::new("example")?, 1));
    let tree = system
        .start_tree(SupervisorSpec::new(
            SupervisorFlags::default(),
            vec![AgentSpec::new("tally", Tally::default)?.child(&system)],
        ))
        .await?;
    let tally: AgentRef<Told> = system
        .lookup_typed(&Path::new("/tally")?)
        .ok_or("the tally was started")?;
    let to = tally.clone();
    let counter = AgentSpec::new("counter", move || Counter { tally: to.clone() })?;
    tree.start_child(counter.child(&system)).await?;
    let counter: AgentRef<Number> = system
        .lookup_typed(&Path::new("/counter")?)
        .ok_or("the counter was started")?;

    for n in 1..=20 {
        counter.send(Number(n)).await?;
    }
    counter.any().drain().await;
    let total = tally.ask(Told::Total, Duration::from_secs(1)).await?;
    println!("1 + … + 20 without the unlucky one: {total}");
    println!("the counter is in life {} now", counter.any().incarnation());
    for crash in system.crash_reports() {
        println!("{} crashed: {}", crash.path, crash.reason);
    }
    for letter in system.dead_letters().list() {
        println!(
            "dead letter {} for {}: {}",
            letter.id,
            letter.receiver,
            letter.cause.as_str()
        );
    }
    assert_eq!(total, 210 - 13);
    system.stop_tree(Duration::from_secs(5)).await;
    Ok(())
}

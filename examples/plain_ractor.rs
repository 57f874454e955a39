//! Swarm's supervisors restart ractor actors that know nothing of Swarm.
//!
//! ractor tells a supervisor that an actor has ended and leaves the rest to it. Here two plain actors stand under a
//! `rest_for_one` supervisor: when the first falls, the second, which was started after it and may rest on it, is stopped in
//! order and both are started again.
//!
//! `cargo run -p swarm-examples --example plain_ractor`

use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use swarm_supervisors::plain::PlainActor;
use swarm_supervisors::{ChildSpec, Env, Strategy, SupervisorFlags, SupervisorSpec, start_root};

/// Divides a hundred, and panics when it is asked to divide by zero.
struct Divider;

struct Divide {
    by: u32,
    reply: ractor::RpcReplyPort<u32>,
}

impl Actor for Divider {
    type Msg = Divide;
    type State = ();
    type Arguments = &'static str;

    async fn pre_start(
        &self,
        _: ActorRef<Divide>,
        name: &'static str,
    ) -> Result<(), ActorProcessingErr> {
        println!("  {name} starts");
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Divide>,
        ask: Divide,
        _: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let _ = ask.reply.send(100 / ask.by);
        Ok(())
    }
}

fn divider(name: &'static str) -> Arc<PlainActor<Divide>> {
    Arc::new(PlainActor::new(move |link| {
        Actor::spawn_linked(None, Divider, name, link)
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (first, second) = (divider("first"), divider("second"));
    let flags = SupervisorFlags::new(Strategy::RestForOne).intensity(3, Duration::from_secs(5));
    let children = vec![
        ChildSpec::new("first".parse()?, first.clone()),
        ChildSpec::new("second".parse()?, second.clone()),
    ];
    println!("the tree starts");
    let root = start_root(Env::seeded(1), SupervisorSpec::new(flags, children)).await?;

    println!("100 / 0, please");
    let before = (first.actor(), second.actor());
    if let Some(actor) = &before.0 {
        let answer = ractor::call!(actor, |reply| Divide { by: 0, reply });
        println!(
            "  no answer: {}",
            if answer.is_err() { "it fell" } else { "?" }
        );
    }
    // Both have new lives once the supervisor is through with them.
    let fresh = |old: &Option<ActorRef<Divide>>, new: Option<ActorRef<Divide>>| {
        new.filter(|new| old.as_ref().is_none_or(|old| old.get_id() != new.get_id()))
    };
    let actor = loop {
        match (
            fresh(&before.0, first.actor()),
            fresh(&before.1, second.actor()),
        ) {
            (Some(first), Some(_)) => break first,
            _ => tokio::task::yield_now().await,
        }
    };
    println!(
        "100 / 4 = {}",
        ractor::call!(actor, |reply| Divide { by: 4, reply })?
    );

    println!("the tree stops: {}", root.shutdown().await);
    Ok(())
}

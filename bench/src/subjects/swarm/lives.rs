//! Starting, crashing, killing, sleeping: what the lives of agents cost.

use super::{Ended, find, find_all, flags, replicas, spec, tree as start_tree};
use crate::measure::{Meter, Spent, resident_bytes};
use crate::rig::{Countdown, CrashClock, silence_panics};
use crate::sample::Sample;
use crate::subjects::figures::{
    growth_sample, idle_sample, restart_sample, rounds_sample, start_sample,
};
use crate::workload::{BRANCHES, LEAVES, VICTIMS, warm_up};
use std::time::Duration;
use swarm_actors::{Agent, AgentRef, AgentSpec, Failure, Init, Message, System, Turn};
use swarm_protocols::{ExitReason, Name};
use swarm_supervisors::{ChildSpec, SupervisorSpec};

struct Fragile(CrashClock);

enum Push {
    Crash,
    Probe,
}

impl Message for Push {}

impl Agent for Fragile {
    type Message = Push;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: Push) -> Ended {
        match message {
            Push::Crash => self.0.crash(),
            Push::Probe => self.0.recovered(),
        }
        Ok(())
    }
}

async fn fragile(clock: &CrashClock) -> (System, AgentRef<Push>) {
    let clock = clock.clone();
    let system = replicas(1, move || {
        let clock = clock.clone();
        spec(move || Fragile(clock.clone()))
    })
    .await;
    let agent = find(&system, 1);
    (system, agent)
}

/// The messages wait in the mailbox: nobody else has to run between a crash and the next.
async fn crash_and_recover(agent: &AgentRef<Push>, clock: &CrashClock, crashes: u64) -> Spent {
    clock.expect(crashes);
    let meter = Meter::start();
    for _ in 0..crashes {
        agent
            .send(Push::Crash)
            .await
            .expect("the mailbox outlives a crash");
        agent
            .send(Push::Probe)
            .await
            .expect("the mailbox outlives a crash");
    }
    clock.wait().await;
    meter.stop()
}

pub(super) async fn restart(crashes: u64) -> Sample {
    silence_panics();
    let clock = CrashClock::new();
    let (_system, agent) = fragile(&clock).await;
    crash_and_recover(&agent, &clock, warm_up(crashes)).await;
    let spent = crash_and_recover(&agent, &clock, crashes).await;
    restart_sample(spent, crashes, clock.recoveries())
}

pub(super) async fn flat_restarts(crashes: u64) -> Sample {
    silence_panics();
    let clock = CrashClock::new();
    let (_system, agent) = fragile(&clock).await;
    crash_and_recover(&agent, &clock, warm_up(crashes)).await;
    let before = resident_bytes();
    let spent = crash_and_recover(&agent, &clock, crashes).await;
    let lives = agent.any().incarnation().0;
    assert_eq!(
        lives,
        crashes + warm_up(crashes) + 1,
        "a restart was lost or doubled"
    );
    growth_sample(before, resident_bytes(), spent, crashes)
}

struct Idle(Countdown);

struct Work;

impl Message for Work {}

impl Agent for Idle {
    type Message = Work;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, Work: Work) -> Ended {
        self.0.hit();
        Ok(())
    }
}

async fn idle(
    count: u64,
    handled: &Countdown,
    form: fn(AgentSpec<Idle>) -> AgentSpec<Idle>,
) -> System {
    let handled = handled.clone();
    replicas(count, move || {
        let handled = handled.clone();
        form(spec(move || Idle(handled.clone())))
    })
    .await
}

pub(super) async fn start(agents: u64, at_once: bool) -> Sample {
    let round = async |agents: u64| {
        let handled = Countdown::new(0);
        let meter = Meter::start();
        let form = if at_once {
            |spec: AgentSpec<Idle>| spec.eager(true)
        } else {
            |spec| spec
        };
        let system = idle(agents, &handled, form).await;
        let spent = meter.stop();
        std::mem::forget(system);
        spent
    };
    round(warm_up(agents)).await;
    start_sample(round(agents).await, agents)
}

/// Each agent has handled one message, as those of the other subjects have.
pub(super) async fn idle_awake(agents: u64) -> Sample {
    let round = async |agents: u64| {
        let handled = Countdown::new(agents);
        let system = idle(agents, &handled, |spec| spec).await;
        for number in 1..=agents {
            find::<Work>(&system, number)
                .send(Work)
                .await
                .expect("the agent lives");
        }
        handled.wait().await;
        system
    };
    let warm = round(warm_up(agents)).await;
    let before = resident_bytes();
    let all = round(agents).await;
    idle_sample(before, resident_bytes(), agents, (warm, all))
}

/// Started, supervised, and never needed so far.
pub(super) async fn idle_asleep(agents: u64) -> Sample {
    let handled = Countdown::new(0);
    let warm = idle(warm_up(agents), &handled, |spec| spec).await;
    let before = resident_bytes();
    let all = idle(agents, &handled, |spec| spec).await;
    idle_sample(before, resident_bytes(), agents, (warm, all))
}

/// Says that it is up.
struct Victim(Countdown);

impl Agent for Victim {
    type Message = Work;

    async fn init(&mut self, _: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        self.0.hit();
        Ok(Init::Ready)
    }

    async fn handle(&mut self, _: &mut Turn<'_, Self>, Work: Work) -> Ended {
        Ok(())
    }
}

pub(super) async fn kill(rounds: usize) -> Sample {
    let mut spent = Vec::new();
    for round in 0..=rounds {
        let up = Countdown::new(VICTIMS as u64);
        let victim = up.clone();
        let system = replicas(VICTIMS as u64, move || {
            let up = victim.clone();
            spec(move || Victim(up.clone())).eager(true)
        })
        .await;
        up.wait().await;
        let victims: Vec<_> = find_all::<Work>(&system, VICTIMS as u64)
            .iter()
            .map(AgentRef::any)
            .collect();
        up.reset(VICTIMS as u64);
        let meter = Meter::start();
        for victim in &victims {
            victim.kill();
        }
        up.wait().await;
        let took = meter.stop();
        system.stop_tree(Duration::from_secs(60)).await;
        if round > 0 {
            spent.push(took);
        }
    }
    rounds_sample(Sample::default(), "all-back", &spent)
}

pub(super) async fn tree(rounds: usize) -> Sample {
    let (start, stop) = trees(rounds, false).await;
    let sample = rounds_sample(Sample::default(), "start", &start);
    let sample = rounds_sample(sample, "stop", &stop);
    let (start, stop) = trees(rounds, true).await;
    let sample = rounds_sample(sample, "start-at-once", &start);
    rounds_sample(sample, "stop-at-once", &stop)
}

async fn trees(rounds: usize, at_once: bool) -> (Vec<Spent>, Vec<Spent>) {
    let mut spent = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let up = Countdown::new((BRANCHES * LEAVES) as u64);
        let shared = up.clone();
        let meter = Meter::start();
        let branches = move |system: &System| {
            (1..=BRANCHES)
                .map(|n| branch(system, n, &shared, at_once))
                .collect()
        };
        let system = start_tree(branches).await;
        up.wait().await;
        let started = meter.stop();
        let meter = Meter::start();
        system.stop_tree(Duration::from_secs(60)).await;
        let stopped = meter.stop();
        if round > 0 {
            spent.0.push(started);
            spent.1.push(stopped);
        }
    }
    spent
}

fn branch(system: &System, number: usize, up: &Countdown, at_once: bool) -> ChildSpec {
    let (system, up) = (system.clone(), up.clone());
    let init = move || {
        let up = up.clone();
        let leaves = spec(move || Victim(up.clone()))
            .eager(at_once)
            .replicas(&system, LEAVES as u32);
        Ok::<_, ExitReason>(Some(SupervisorSpec::new(flags(), leaves)))
    };
    let id = Name::new(&format!("branch-{number}")).expect("made of letters and digits");
    ChildSpec::supervisor(id, init)
}

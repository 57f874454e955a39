//! Starting, crashing, killing: what ractor pays for the lives of its actors.

use super::{Ended, spawn};
use crate::measure::{Meter, Spent, resident_bytes};
use crate::rig::{Countdown, CrashClock, silence_panics};
use crate::sample::Sample;
use crate::subjects::figures::{
    growth_sample, idle_sample, restart_sample, rounds_sample, start_sample,
};
use crate::workload::{BRANCHES, LEAVES, VICTIMS, warm_up};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

struct Fragile;

enum Push {
    Crash,
    Probe,
}

impl Actor for Fragile {
    type Msg = Push;
    type State = CrashClock;
    type Arguments = CrashClock;

    async fn pre_start(
        &self,
        _: ActorRef<Push>,
        clock: CrashClock,
    ) -> Result<CrashClock, ActorProcessingErr> {
        Ok(clock)
    }

    async fn handle(&self, _: ActorRef<Push>, message: Push, clock: &mut CrashClock) -> Ended {
        match message {
            Push::Crash => clock.crash(),
            Push::Probe => clock.recovered(),
        }
        Ok(())
    }
}

/// Starts a new actor for each that failed, and sends it what would wait in a mailbox that outlives a crash.
struct Respawner;

#[derive(Clone)]
struct Current {
    clock: CrashClock,
    actor: Arc<Mutex<Option<ActorRef<Push>>>>,
}

impl Current {
    fn set(&self, actor: ActorRef<Push>) {
        *self.actor.lock().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    fn get(&self) -> ActorRef<Push> {
        self.actor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .expect("set by the supervisor")
    }
}

impl Actor for Respawner {
    type Msg = ();
    type State = Current;
    type Arguments = Current;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        current: Current,
    ) -> Result<Current, ActorProcessingErr> {
        let (actor, _) =
            Fragile::spawn_linked(None, Fragile, current.clock.clone(), myself.get_cell()).await?;
        current.set(actor);
        Ok(current)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        current: &mut Current,
    ) -> Ended {
        if let SupervisionEvent::ActorFailed(..) = event {
            let (actor, _) =
                Fragile::spawn_linked(None, Fragile, current.clock.clone(), myself.get_cell())
                    .await?;
            current.set(actor.clone());
            let left = current.clock.left();
            actor.send_message(Push::Probe)?;
            if left > 1 {
                actor.send_message(Push::Crash)?;
            }
        }
        Ok(())
    }
}

async fn crash_and_recover(current: &Current, crashes: u64) -> Spent {
    current.clock.expect(crashes);
    let meter = Meter::start();
    current
        .get()
        .send_message(Push::Crash)
        .expect("the actor lives");
    current.clock.wait().await;
    meter.stop()
}

pub(super) async fn restart(crashes: u64) -> Sample {
    silence_panics();
    let current = Current {
        clock: CrashClock::new(),
        actor: Arc::default(),
    };
    let _supervisor = spawn(Respawner, current.clone()).await;
    crash_and_recover(&current, warm_up(crashes)).await;
    let spent = crash_and_recover(&current, crashes).await;
    restart_sample(spent, crashes, current.clock.recoveries())
}

pub(super) async fn flat_restarts(crashes: u64) -> Sample {
    silence_panics();
    let current = Current {
        clock: CrashClock::new(),
        actor: Arc::default(),
    };
    let _supervisor = spawn(Respawner, current.clone()).await;
    crash_and_recover(&current, warm_up(crashes)).await;
    let before = resident_bytes();
    let spent = crash_and_recover(&current, crashes).await;
    growth_sample(before, resident_bytes(), spent, crashes)
}

struct Idle;

impl Actor for Idle {
    type Msg = u64;
    type State = Countdown;
    type Arguments = Countdown;

    async fn pre_start(
        &self,
        _: ActorRef<u64>,
        done: Countdown,
    ) -> Result<Countdown, ActorProcessingErr> {
        Ok(done)
    }

    async fn handle(&self, _: ActorRef<u64>, _: u64, done: &mut Countdown) -> Ended {
        done.hit();
        Ok(())
    }
}

/// Starts idle children from inside its own turn and keeps them.
struct Nursery;

impl Actor for Nursery {
    type Msg = (u64, Countdown, Countdown);
    type State = Vec<ActorRef<u64>>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        children: &mut Self::State,
    ) -> Ended {
        let (count, started, handled) = message;
        children.reserve(count as usize);
        for _ in 0..count {
            let (child, _) =
                Idle::spawn_linked(None, Idle, handled.clone(), myself.get_cell()).await?;
            children.push(child);
            started.hit();
        }
        Ok(())
    }
}

pub(super) async fn start(agents: u64) -> Sample {
    let round = async |agents: u64| {
        let nursery = spawn(Nursery, ()).await;
        let started = Countdown::new(agents);
        let meter = Meter::start();
        nursery
            .send_message((agents, started.clone(), Countdown::new(0)))
            .expect("the supervisor lives");
        started.wait().await;
        meter.stop()
    };
    round(warm_up(agents)).await;
    start_sample(round(agents).await, agents)
}

pub(super) async fn idle(agents: u64) -> Sample {
    let warm = idle_children(warm_up(agents)).await;
    let before = resident_bytes();
    let all = idle_children(agents).await;
    idle_sample(before, resident_bytes(), agents, (warm, all))
}

async fn idle_children(count: u64) -> ActorRef<(u64, Countdown, Countdown)> {
    let nursery = spawn(Nursery, ()).await;
    let (started, handled) = (Countdown::new(count), Countdown::new(count));
    nursery
        .send_message((count, started.clone(), handled.clone()))
        .expect("the supervisor lives");
    started.wait().await;
    for child in nursery.get_children() {
        child.send_message(1_u64).expect("the child lives");
    }
    handled.wait().await;
    nursery
}

/// Starts each child again when it is gone, in its slot.
struct Ward;

#[derive(Clone)]
struct Patients {
    up: Countdown,
    cells: Arc<Mutex<Vec<ActorCell>>>,
}

impl Actor for Ward {
    type Msg = ();
    type State = (Patients, HashMap<ActorId, usize>);
    type Arguments = Patients;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        patients: Patients,
    ) -> Result<Self::State, ActorProcessingErr> {
        let mut slots = HashMap::new();
        for slot in 0..VICTIMS {
            let (child, _) =
                Victim::spawn_linked(None, Victim, patients.up.clone(), myself.get_cell()).await?;
            slots.insert(child.get_id(), slot);
            patients
                .cells
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(child.get_cell());
        }
        Ok((patients, slots))
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Ended {
        let (patients, slots) = state;
        let (SupervisionEvent::ActorTerminated(gone, ..) | SupervisionEvent::ActorFailed(gone, _)) =
            event
        else {
            return Ok(());
        };
        if let Some(slot) = slots.remove(&gone.get_id()) {
            let (child, _) =
                Victim::spawn_linked(None, Victim, patients.up.clone(), myself.get_cell()).await?;
            slots.insert(child.get_id(), slot);
            patients
                .cells
                .lock()
                .unwrap_or_else(PoisonError::into_inner)[slot] = child.get_cell();
            patients.up.hit();
        }
        Ok(())
    }
}

struct Victim;

impl Actor for Victim {
    type Msg = ();
    type State = Countdown;
    type Arguments = Countdown;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        up: Countdown,
    ) -> Result<Countdown, ActorProcessingErr> {
        Ok(up)
    }
}

pub(super) async fn kill(rounds: usize) -> Sample {
    let mut spent = Vec::new();
    for round in 0..=rounds {
        let patients = Patients {
            up: Countdown::new(VICTIMS as u64),
            cells: Arc::default(),
        };
        let ward = spawn(Ward, patients.clone()).await;
        let cells = patients
            .cells
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let meter = Meter::start();
        for cell in cells {
            cell.kill();
        }
        patients.up.wait().await;
        let took = meter.stop();
        ward.stop(None);
        if round > 0 {
            spent.push(took);
        }
    }
    rounds_sample(Sample::default(), "all-back", &spent)
}

/// The root of the tree, or one of its branches.
struct Branch;

impl Actor for Branch {
    type Msg = ();
    type State = ();
    type Arguments = (usize, Countdown);

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        (depth, up): (usize, Countdown),
    ) -> Result<(), ActorProcessingErr> {
        if depth == 0 {
            for _ in 0..LEAVES {
                Victim::spawn_linked(None, Victim, up.clone(), myself.get_cell()).await?;
                up.hit();
            }
        } else {
            for _ in 0..BRANCHES {
                // A future that contains itself needs a box.
                Box::pin(Branch::spawn_linked(
                    None,
                    Branch,
                    (depth - 1, up.clone()),
                    myself.get_cell(),
                ))
                .await?;
            }
        }
        Ok(())
    }
}

/// Only the start: ractor ends the children of a supervisor by killing them, in no order.
pub(super) async fn tree(rounds: usize) -> Sample {
    let mut spent = Vec::new();
    for round in 0..=rounds {
        let up = Countdown::new((BRANCHES * LEAVES) as u64);
        let meter = Meter::start();
        let (root, ended) = Branch::spawn(None, Branch, (1, up.clone()))
            .await
            .expect("the tree starts");
        up.wait().await;
        let took = meter.stop();
        root.stop(None);
        ended.await.expect("the root ends");
        if round > 0 {
            spent.push(took);
        }
    }
    rounds_sample(Sample::default(), "start", &spent)
}

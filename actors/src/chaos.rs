//! Chaos: faults at a stated rate against a part of a running system, and a report of whether everything came back.
//!
//! Which agent is hit when by what follows from the seed, as far as the agents that are there do.

use crate::dead_letters::DeathCause;
use crate::fault::{Fault, When};
use crate::info::ActorState;
use crate::reference::AnyRef;
use crate::system::System;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_protocols::{Name, Path};

/// The highest rate, in faults per second.
pub const RATE_MAX: f64 = 10_000.0;
/// The lowest rate: one fault in a day.
pub const RATE_MIN: f64 = 1.0 / 86_400.0;
/// The longest run, and the longest grace.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a slow turn is slowed, and how long a full mailbox stays full.
const FAULT_LASTS: Duration = Duration::from_millis(200);

/// Whom a run is aimed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// All agents at or below a place in the tree.
    Path(Path),
    /// The members of a group.
    Group(Name),
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Killed at once.
    Kill,
    /// A turn panics.
    Panic,
    /// A turn never ends by itself; the turn deadline has to.
    Hang,
    /// A turn takes 200 ms longer.
    Slow,
    /// The mailbox seems full for 200 ms.
    Full,
}

/// What the run is expected to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Every agent that was hit is alive at the end, in a later life where the fault ends lives.
    Restarts,
    /// No message was lost: no new dead letter.
    NoLoss,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChaosPlan {
    /// Whom it is aimed at.
    pub target: Target,
    /// What is done; one of these at random each time. Not empty.
    pub faults: Vec<FaultKind>,
    /// Faults per second, from [`RATE_MIN`] to [`RATE_MAX`].
    pub rate: f64,
    /// How long faults are injected, at most [`DURATION_MAX`].
    pub duration: Duration,
    /// What choices follow from.
    pub seed: u64,
    /// What is checked at the end.
    pub expect: Vec<Expectation>,
    /// How long after the last fault everything may take to come back, at most [`DURATION_MAX`].
    pub grace: Duration,
}

/// Why a plan is not carried out. Nothing was done; the same plan fails again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChaosError {
    /// The rate is too low or too high.
    #[error("the rate must be between {RATE_MIN} and {RATE_MAX} per second, not {0}")]
    BadRate(f64),
    /// The duration is 0 or too long.
    #[error("the duration must be above 0 and at most {DURATION_MAX:?}, not {0:?}")]
    BadDuration(Duration),
    /// There is no fault in the plan.
    #[error("a plan needs at least one fault")]
    NoFault,
    /// Nobody is there to be hit.
    #[error("there is no agent at {0:?}")]
    NoTarget(Target),
}

/// What a run did and found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChaosReport {
    /// How often each fault was injected.
    pub injected: BTreeMap<FaultKind, u64>,
    /// How many agents were hit.
    pub hit: usize,
    /// How many new lives began among those that were hit.
    pub restarts: u64,
    /// Agents that were hit and are not alive at the end.
    pub missing: Vec<Path>,
    /// How many messages became dead letters, by cause.
    pub lost: BTreeMap<String, u64>,
    /// The expectations that do not hold.
    pub failed: Vec<Expectation>,
    /// How long it took, until everything was back or the grace was over, in milliseconds.
    pub took_ms: u64,
}

impl ChaosReport {
    /// Whether all expectations hold.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }
}

impl ChaosPlan {
    /// Checks the numbers of the plan.
    ///
    /// # Errors
    /// [`ChaosError`].
    pub fn check(&self) -> Result<(), ChaosError> {
        if !(self.rate >= RATE_MIN && self.rate <= RATE_MAX) {
            return Err(ChaosError::BadRate(self.rate));
        }
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            return Err(ChaosError::BadDuration(self.duration));
        }
        if self.grace > DURATION_MAX {
            return Err(ChaosError::BadDuration(self.grace));
        }
        if self.faults.is_empty() {
            return Err(ChaosError::NoFault);
        }
        Ok(())
    }

    fn agents(&self, system: &System) -> Vec<AnyRef> {
        match &self.target {
            Target::Group(name) => system.group(name),
            Target::Path(path) => {
                let mut agents: Vec<AnyRef> = system
                    .agents()
                    .into_iter()
                    .filter(|agent| agent.path().is_within(path))
                    .collect();
                agents.sort_by(|a, b| a.path().cmp(b.path()));
                agents
            }
        }
    }
}

/// Carries a plan out: injects faults until its time is over or `stop` is ready, waits until everything is back, and
/// reports. When the future is dropped no further fault is injected; mailboxes that seem full may stay so for a moment.
///
/// # Errors
/// [`ChaosError`]; nothing was done then.
pub async fn run(
    system: &System,
    plan: &ChaosPlan,
    stop: impl Future<Output = ()>,
) -> Result<ChaosReport, ChaosError> {
    run_counted(system, plan, stop, &AtomicU64::new(0)).await
}

/// The same, counting every fault in `injected` as it is injected, for those who want to watch.
///
/// # Errors
/// [`ChaosError`]; nothing was done then.
pub async fn run_counted(
    system: &System,
    plan: &ChaosPlan,
    stop: impl Future<Output = ()>,
    injected: &AtomicU64,
) -> Result<ChaosReport, ChaosError> {
    plan.check()?;
    if plan.agents(system).is_empty() {
        return Err(ChaosError::NoTarget(plan.target.clone()));
    }
    let began = tokio::time::Instant::now();
    let dead_before = system.dead_letters().total();
    let mut strikes = Strikes {
        random: fastrand::Rng::with_seed(plan.seed),
        injected: BTreeMap::new(),
        hit: BTreeMap::new(),
    };
    let injecting = async {
        let end = began + plan.duration;
        let gap = Duration::from_secs_f64(1.0 / plan.rate);
        let mut at = began + gap;
        while at <= end {
            tokio::time::sleep_until(at).await;
            if strikes.strike(system, plan).await {
                injected.fetch_add(1, Ordering::Relaxed);
            }
            at += gap;
        }
    };
    tokio::select! {
        () = injecting => {}
        () = stop => {}
    }
    let settled = strikes.settle(plan.grace).await;
    let lost = lost_since(system, dead_before);
    let lost_any = lost.values().any(|count| *count > 0);
    let failed = plan
        .expect
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|expectation| match expectation {
            Expectation::Restarts => !settled.is_empty(),
            Expectation::NoLoss => lost_any,
        })
        .collect();
    Ok(ChaosReport {
        hit: strikes.hit.len(),
        restarts: strikes.restarts(),
        injected: strikes.injected,
        missing: settled,
        lost,
        failed,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

struct Strikes {
    random: fastrand::Rng,
    injected: BTreeMap<FaultKind, u64>,
    /// By path: the agent, its life before the first hit, and the life that it must have outgrown.
    hit: BTreeMap<Path, Hit>,
}

struct Hit {
    agent: AnyRef,
    first: u64,
    outgrow: u64,
}

impl Strikes {
    /// Hits one agent, if there is one to hit.
    async fn strike(&mut self, system: &System, plan: &ChaosPlan) -> bool {
        let agents: Vec<AnyRef> = plan
            .agents(system)
            .into_iter()
            .filter(|agent| agent.is_alive() && agent.state() != ActorState::Starting)
            .collect();
        if agents.is_empty() {
            // All are being restarted: this stroke falls on nobody.
            return false;
        }
        let agent = agents[self.random.usize(..agents.len())].clone();
        let kind = plan.faults[self.random.usize(..plan.faults.len())];
        let life = agent.incarnation().0;
        let ends_life = match kind {
            FaultKind::Kill => {
                agent.kill();
                true
            }
            FaultKind::Panic => agent.inject(Fault::Panic, When::Now),
            FaultKind::Hang => agent.inject(Fault::Hang, When::Now),
            FaultKind::Slow => {
                agent.inject(Fault::Slow(FAULT_LASTS), When::Now);
                false
            }
            FaultKind::Full => {
                agent.inject(Fault::Full(true), When::Now);
                let clogged = agent.clone();
                // Ends by itself; a mailbox must be opened even when the run is dropped.
                tokio::spawn(async move {
                    tokio::time::sleep(FAULT_LASTS).await;
                    clogged.inject(Fault::Full(false), When::Now);
                });
                false
            }
        };
        *self.injected.entry(kind).or_default() += 1;
        let hit = self.hit.entry(agent.path().clone()).or_insert(Hit {
            agent,
            first: life,
            outgrow: 0,
        });
        if ends_life {
            hit.outgrow = life;
        }
        true
    }

    /// Waits until every agent that was hit is back; those that are not.
    async fn settle(&self, grace: Duration) -> Vec<Path> {
        let deadline = tokio::time::Instant::now() + grace;
        loop {
            let missing: Vec<Path> = self
                .hit
                .values()
                .filter(|hit| !hit.agent.is_alive() || hit.agent.incarnation().0 <= hit.outgrow)
                .map(|hit| hit.agent.path().clone())
                .collect();
            if missing.is_empty() || tokio::time::Instant::now() >= deadline {
                return missing;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn restarts(&self) -> u64 {
        self.hit
            .values()
            .map(|hit| hit.agent.incarnation().0.saturating_sub(hit.first))
            .sum()
    }
}

/// New dead letters by cause. Those that were pushed out of the store meanwhile count as `evicted`.
fn lost_since(system: &System, before: u64) -> BTreeMap<String, u64> {
    let mut lost: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = 0;
    for letter in system.dead_letters().list() {
        if letter.id > before {
            seen += 1;
            let cause: &DeathCause = &letter.cause;
            *lost.entry(cause.as_str().to_owned()).or_default() += 1;
        }
    }
    let evicted = system.dead_letters().total().saturating_sub(before + seen);
    if evicted > 0 {
        lost.insert("evicted".to_owned(), evicted);
    }
    lost
}

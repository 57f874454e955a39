//! Deployments: new code for one agent or for many, by a strategy, watched, and taken back when it does badly.
//!
//! The course (`course.rs`) decides, as a function of what has happened and of the time; here that is carried out: agents are told, what they
//! say and what is counted of their turns is handed back. Deployments live in memory: with the node they are over, and its
//! agents begin with what the manifest says.

mod course;
mod rules;

pub use course::{Outcome, Phase, Place};
pub use rules::{BadRules, Rules, Strategy};

use crate::digest::Digest;
use crate::host::Component;
use crate::trial::{Observed, Trial};
use crate::upgrade::{UpgradeError, Verdict, settle, upgrade_held};
use course::{Action, Course, Event};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::AnyRef;
use swarm_protocols::Path;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the counts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long an agent has to do what it is told: what is in its mailbox comes first.
const OBEY_WITHIN: Duration = Duration::from_secs(60);
/// Deployments that run at the same time.
pub const RUNNING_MAX: usize = 8;
/// Deployments that are remembered; the oldest that is over goes first.
pub const REMEMBERED_MAX: usize = 64;

/// An agent that is to have new code, and the code, loaded for its class, grants and limits.
pub struct Target {
    /// The agent.
    pub agent: AnyRef,
    /// The code.
    pub component: Component,
}

/// What is known of a deployment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its number on this node.
    pub id: u64,
    /// The new code.
    pub digest: Digest,
    /// Its rules.
    pub rules: Rules,
    /// How long it has run, or ran.
    pub elapsed: Duration,
    /// What it is about.
    pub phase: Phase,
    /// Each agent, and where it is.
    pub agents: Vec<(Path, Place)>,
    /// What was seen of the new code.
    pub seen: Observed,
}

/// Why a deployment was not begun. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// There is nobody to have it.
    #[error("there is no agent to have it")]
    Nobody,
    /// The rules.
    #[error(transparent)]
    Rules(#[from] BadRules),
    /// An agent is in another deployment. Abort that, or wait for it.
    #[error("{path} is in deployment {id}, which is not over")]
    Busy {
        /// The agent.
        path: Path,
        /// The other one.
        id: u64,
    },
    /// As many run as may.
    #[error("{RUNNING_MAX} deployments run already")]
    TooMany,
}

/// The deployments of a node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Deployments(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    last: u64,
    known: BTreeMap<u64, Known>,
}

struct Known {
    report: watch::Receiver<Report>,
    abort: watch::Sender<bool>,
}

impl Known {
    fn is_over(&self) -> bool {
        matches!(self.report.borrow().phase, Phase::Over(_))
    }
}

impl Deployments {
    /// Begins a deployment of `digest`, on the current tokio runtime. It goes on by itself.
    ///
    /// # Errors
    /// [`NotBegun`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn begin(
        &self,
        digest: Digest,
        targets: Vec<Target>,
        rules: Rules,
    ) -> Result<Report, NotBegun> {
        rules.check()?;
        if targets.is_empty() {
            return Err(NotBegun::Nobody);
        }
        let mut table = self.0.lock();
        table.make_room(&targets)?;
        table.last += 1;
        let paths: Vec<Path> = targets.iter().map(|t| t.agent.path().clone()).collect();
        let (course, actions) = Course::begin(rules.clone(), targets.len(), Duration::ZERO);
        let first = Report {
            id: table.last,
            digest,
            rules,
            elapsed: Duration::ZERO,
            phase: course.phase.clone(),
            agents: paths.into_iter().zip(course.places.clone()).collect(),
            seen: Observed::default(),
        };
        let (tell, report) = watch::channel(first.clone());
        let (abort, aborted) = watch::channel(false);
        let restarts_max = first.rules.restarts_max;
        let trials = targets.iter().map(|_| Arc::new(Trial::new(restarts_max)));
        let run = Run {
            trials: trials.collect(),
            targets: Arc::new(targets),
            course,
            restarts_max,
            probation: first.rules.probation,
            begun: Instant::now(),
            running: JoinSet::new(),
            tell,
        };
        table.known.insert(first.id, Known { report, abort });
        drop(table);
        tokio::spawn(run.play_out(actions, aborted));
        Ok(first)
    }

    /// All that are remembered, the latest last.
    #[must_use]
    pub fn list(&self) -> Vec<Report> {
        let table = self.0.lock();
        let reports = table.known.values();
        reports.map(|known| known.report.borrow().clone()).collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Report> {
        let table = self.0.lock();
        let known = table.known.get(&id)?;
        Some(known.report.borrow().clone())
    }

    /// Has a deployment taken back, as far as it is not over, and waits for its end. None if there is none of that number.
    pub async fn abort(&self, id: u64) -> Option<Report> {
        let mut report = {
            let table = self.0.lock();
            let known = table.known.get(&id)?;
            known.abort.send_replace(true);
            known.report.clone()
        };
        // An error means that the runtime of its task has ended; the last report stands.
        let _ = report
            .wait_for(|report| matches!(report.phase, Phase::Over(_)))
            .await;
        let last = report.borrow().clone();
        Some(last)
    }
}

impl std::fmt::Debug for Deployments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.lock().known.keys()).finish()
    }
}

impl Table {
    fn make_room(&mut self, targets: &[Target]) -> Result<(), NotBegun> {
        let mut running = 0;
        for (id, known) in self.known.iter().filter(|(_, known)| !known.is_over()) {
            running += 1;
            let report = known.report.borrow();
            let is_in = |target: &&Target| {
                let mut paths = report.agents.iter().map(|(path, _)| path);
                paths.any(|path| path == target.agent.path())
            };
            if let Some(target) = targets.iter().find(is_in) {
                let path = target.agent.path().clone();
                return Err(NotBegun::Busy { path, id: *id });
            }
        }
        if running >= RUNNING_MAX {
            return Err(NotBegun::TooMany);
        }
        while self.known.len() >= REMEMBERED_MAX {
            let over = self.known.iter().find(|(_, known)| known.is_over());
            match over.map(|(id, _)| *id) {
                Some(id) => drop(self.known.remove(&id)),
                None => return Err(NotBegun::TooMany),
            }
        }
        Ok(())
    }
}

/// A deployment while it runs.
struct Run {
    targets: Arc<Vec<Target>>,
    trials: Vec<Arc<Trial>>,
    course: Course,
    restarts_max: u64,
    probation: u32,
    begun: Instant,
    /// What agents were told, until they have done it: the agent, and whether the course waits for it.
    running: JoinSet<(usize, bool, Result<(), String>)>,
    tell: watch::Sender<Report>,
}

impl Run {
    async fn play_out(mut self, actions: Vec<Action>, mut aborted: watch::Receiver<bool>) {
        self.carry_out(actions);
        let mut is_aborted = false;
        while !self.course.is_over() || !self.running.is_empty() {
            let event = tokio::select! {
                Some(done) = self.running.join_next() => match done {
                    Ok((agent, true, done)) => Some(Event::Done(agent, done)),
                    // One that nobody waits for, or a task that the runtime has dropped.
                    Ok((_, false, _)) | Err(_) => None,
                },
                // When the table is gone nobody can abort it any more.
                Ok(_) = aborted.wait_for(|abort| *abort), if !is_aborted => {
                    is_aborted = true;
                    Some(Event::Abort)
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let seen = self.trials.iter().map(|trial| trial.observed());
                    Some(Event::Seen(seen.collect()))
                }
            };
            if let Some(event) = event {
                let actions = self.course.handle(event, self.begun.elapsed());
                self.carry_out(actions);
            }
            self.report();
        }
    }

    fn report(&self) {
        self.tell.send_modify(|report| {
            if !matches!(report.phase, Phase::Over(_)) {
                report.elapsed = self.begun.elapsed();
            }
            report.phase = if self.running.is_empty() || !self.course.is_over() {
                self.course.phase.clone()
            } else {
                report.phase.clone()
            };
            for ((_, told), place) in report.agents.iter_mut().zip(&self.course.places) {
                told.clone_from(place);
            }
            report.seen = self.course.total();
        });
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            let (Action::Change(at)
            | Action::Follow(at)
            | Action::Leave(at)
            | Action::Keep(at)
            | Action::Back(at)) = action;
            if matches!(action, Action::Change(_) | Action::Follow(_)) {
                self.trials[at] = Arc::new(Trial::new(self.restarts_max));
            }
            let trial = self.trials[at].clone();
            let (targets, probation) = (self.targets.clone(), self.probation);
            let is_waited_for = !matches!(action, Action::Leave(_) | Action::Keep(_));
            self.running.spawn(async move {
                let Target { agent, component } = &targets[at];
                let done = perform(action, agent, component, probation, trial).await;
                (at, is_waited_for, done.map_err(|error| error.to_string()))
            });
        }
    }
}

async fn perform(
    action: Action,
    agent: &AnyRef,
    component: &Component,
    probation: u32,
    trial: Arc<Trial>,
) -> Result<(), UpgradeError> {
    let verdict = match action {
        Action::Change(_) => {
            let (component, held) = (component.clone(), Some(trial.clone()));
            let upgraded = upgrade_held(agent, component, probation, held, OBEY_WITHIN).await;
            if let Err(UpgradeError::NoAnswer(_)) = &upgraded {
                // The order still waits in its mailbox, or is being obeyed: it is void, or undone by what comes behind it.
                trial.give_up();
                let _ = settle(agent, Verdict::Back, OBEY_WITHIN).await;
            }
            return upgraded.map(drop);
        }
        Action::Follow(_) => Verdict::Follow(component.clone(), trial.clone()),
        Action::Leave(_) => Verdict::Leave,
        Action::Keep(_) => Verdict::Keep,
        Action::Back(_) => Verdict::Back,
    };
    let is_back = matches!(verdict, Verdict::Back);
    match settle(agent, verdict, OBEY_WITHIN).await {
        Err(error) if is_back && error != UpgradeError::NotWasm(agent.path().clone()) => {
            // It runs on with the new code: it cannot read its state, or does not come to hear of it. Its next life runs
            // the old code, from its beginning.
            trial.give_up();
            agent.kill();
            Ok(())
        }
        settled => settled,
    }
}

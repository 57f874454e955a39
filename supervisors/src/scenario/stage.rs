//! What happened, who is running, and what is due: the world around the scripted children.

use crate::report::{Context, Observer, Report};
use crate::scenario::STEPS_MAX;
use crate::scenario::actors::ScriptedChild;
use crate::supervisor::SupervisorRef;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use swarm_protocols::{ExitReason, Path};
use tokio::sync::Notify;
use tokio::time::Instant;

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds since the start.
    pub t: u64,
    /// What happened.
    pub event: StepEvent,
    /// To whom: a path without the leading slash; `/` is the root.
    pub id: String,
    /// In which life; absent for results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// Why, for ends and failed starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StepReason>,
    /// The reply, for results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEvent {
    /// The start function is entered.
    Start,
    /// It returned, and the child runs.
    Started,
    /// It returned, and the child does not run.
    StartFailed,
    /// The child was told to stop by its supervisor.
    Stopping,
    /// The child ended.
    Exited,
    /// A supervisor is about to end because there were more restarts than it bears.
    GaveUp,
    /// A call was answered.
    Result,
}

/// Why a child ended or did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepReason {
    /// It was done.
    Normal,
    /// It stopped in an orderly way.
    Shutdown,
    /// It failed.
    Crash,
    /// It was killed.
    Killed,
    /// Its start failed.
    Error,
    /// It did not want to run.
    Ignore,
}

impl StepReason {
    pub(super) fn of(reason: &ExitReason) -> Self {
        match reason {
            ExitReason::Normal => Self::Normal,
            ExitReason::Shutdown(_) => Self::Shutdown,
            ExitReason::Killed => Self::Killed,
            ExitReason::Error(_)
            | ExitReason::Panic(_)
            | ExitReason::Limit(_)
            | ExitReason::NoProc
            | ExitReason::Unreachable => Self::Crash,
        }
    }
}

/// The world of one run. All of it happens on one thread; the locks are there because supervisors could live on several.
pub(super) struct Stage {
    origin: Instant,
    scenes: Mutex<Scenes>,
    /// Something is due that may be earlier than what was due before, or the run is over.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Scenes {
    steps: Vec<Step>,
    /// Nothing is noted any more.
    closed: bool,
    too_many: bool,
    workers: HashMap<String, Arc<ScriptedChild>>,
    supervisors: HashMap<String, SupervisorRef>,
    instances: HashMap<String, Arc<super::actors::Role>>,
    /// Children that will have stopped by then.
    due: BTreeMap<(Instant, u64), Arc<ScriptedChild>>,
    serial: u64,
}

impl Stage {
    pub(super) fn new(origin: Instant) -> Arc<Self> {
        Arc::new(Self {
            origin,
            scenes: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn origin(&self) -> Instant {
        self.origin
    }

    pub(super) fn note(
        &self,
        event: StepEvent,
        id: &str,
        incarnation: Option<u64>,
        reason: Option<StepReason>,
        value: Option<serde_json::Value>,
    ) {
        let elapsed = self.origin.elapsed().as_millis();
        let mut scenes = self.scenes.lock();
        if scenes.closed {
            return;
        }
        if scenes.steps.len() == STEPS_MAX {
            scenes.closed = true;
            scenes.too_many = true;
            self.changed.notify_one();
            return;
        }
        scenes.steps.push(Step {
            t: u64::try_from(elapsed).unwrap_or(u64::MAX),
            event,
            id: id.to_owned(),
            incarnation,
            reason,
            value,
        });
    }

    pub(super) fn steps(&self) -> usize {
        self.scenes.lock().steps.len()
    }

    pub(super) fn had_too_many(&self) -> bool {
        self.scenes.lock().too_many
    }

    /// Ends the taking of notes and hands them out.
    pub(super) fn close(&self) -> Vec<Step> {
        let mut scenes = self.scenes.lock();
        scenes.closed = true;
        std::mem::take(&mut scenes.steps)
    }

    pub(super) fn enter(&self, child: Arc<ScriptedChild>) {
        self.scenes
            .lock()
            .workers
            .insert(child.id().to_owned(), child);
    }

    pub(super) fn leave(&self, child: &ScriptedChild) {
        let mut scenes = self.scenes.lock();
        if let Some(current) = scenes.workers.get(child.id())
            && std::ptr::eq(&raw const **current, child)
        {
            scenes.workers.remove(child.id());
        }
    }

    pub(super) fn enter_supervisor(&self, id: &str, supervisor: SupervisorRef) {
        self.scenes
            .lock()
            .supervisors
            .insert(id.to_owned(), supervisor);
    }

    pub(super) fn worker(&self, id: &str) -> Option<Arc<ScriptedChild>> {
        self.scenes.lock().workers.get(id).cloned()
    }

    pub(super) fn supervisor(&self, id: &str) -> Option<SupervisorRef> {
        self.scenes
            .lock()
            .supervisors
            .get(id)
            .filter(|supervisor| supervisor.is_alive())
            .cloned()
    }

    /// The role of an instance of a template: a new one for a new instance, the same one over its restarts.
    pub(super) fn role_of_instance(
        &self,
        id: &str,
        is_new: bool,
        make: impl FnOnce() -> super::actors::Role,
    ) -> Arc<super::actors::Role> {
        let mut scenes = self.scenes.lock();
        if !is_new && let Some(role) = scenes.instances.get(id) {
            return role.clone();
        }
        let role = Arc::new(make());
        scenes.instances.insert(id.to_owned(), role.clone());
        role
    }

    pub(super) fn schedule(&self, at: Instant, child: Arc<ScriptedChild>) {
        let mut scenes = self.scenes.lock();
        let serial = scenes.serial;
        scenes.serial += 1;
        scenes.due.insert((at, serial), child);
        self.changed.notify_one();
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.scenes.lock().due.keys().next().map(|(at, _)| *at)
    }

    /// The children whose time to stop is over, in the order in which it is.
    pub(super) fn take_due(&self, now: Instant) -> Vec<Arc<ScriptedChild>> {
        let mut scenes = self.scenes.lock();
        let later = scenes.due.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut scenes.due, later);
        due.into_values().collect()
    }
}

/// A path as the steps show it.
pub(super) fn step_id(path: &Path) -> &str {
    if path.is_root() {
        path.as_str()
    } else {
        path.as_str().trim_start_matches('/')
    }
}

impl Observer for Stage {
    fn report(&self, report: &Report) {
        match report {
            Report::Supervisor(report) if report.context == Context::Shutdown => self.note(
                StepEvent::GaveUp,
                step_id(&report.supervisor),
                Some(report.supervisor_pid.incarnation.0),
                None,
                None,
            ),
            Report::SupervisorStopping { supervisor, pid } => self.note(
                StepEvent::Stopping,
                step_id(supervisor),
                Some(pid.incarnation.0),
                None,
                None,
            ),
            Report::SupervisorEnded {
                supervisor,
                pid,
                reason,
            } => self.note(
                StepEvent::Exited,
                step_id(supervisor),
                Some(pid.incarnation.0),
                Some(StepReason::of(reason)),
                None,
            ),
            Report::Supervisor(_) | Report::Progress(_) | Report::SupervisorStarted { .. } => {}
        }
    }
}

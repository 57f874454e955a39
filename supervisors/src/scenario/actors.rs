//! The scripted children and the start functions that make them.

use crate::child::{Child, StartChild, StartError, Started};
use crate::scenario::format::{ChildScript, StartWord, SupervisorScript};
use crate::scenario::stage::{Stage, StepEvent, StepReason, step_id};
use crate::spec::{ChildSpec, ChildType, SupervisorSpec};
use crate::supervisor::{Link, SupervisorChild};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use swarm_protocols::{ExitReason, Incarnation, Name, NameError, Pid};
use tokio::time::Instant;

/// A start function that follows a script.
pub(super) struct ScriptedStart {
    stage: Arc<Stage>,
    script: Arc<ChildScript>,
    /// Over all lives; none for a template, whose instances each have their own.
    role: Option<Role>,
}

/// What one child plays over all its lives.
pub(super) struct Role {
    starts: AtomicUsize,
    supervisor: Option<SupervisorChild>,
}

impl Role {
    fn new(stage: &Arc<Stage>, script: &ChildScript) -> Result<Self, NameError> {
        let supervisor = match &script.supervisor {
            Some(nested) => Some(SupervisorChild::new(supervisor_spec(stage, nested)?)),
            None => None,
        };
        Ok(Self {
            starts: AtomicUsize::new(0),
            supervisor,
        })
    }
}

/// The root, as a child of whoever plays the scenario.
pub(super) fn root_start(
    stage: &Arc<Stage>,
    script: &SupervisorScript,
) -> Result<ScriptedStart, NameError> {
    let script = ChildScript {
        id: String::new(),
        restart: crate::scenario::RestartWord::Temporary,
        shutdown: None,
        significant: false,
        start: vec![StartWord::Ok],
        stop_ms: 0,
        supervisor: Some(Box::new(script.clone())),
    };
    Ok(ScriptedStart {
        stage: stage.clone(),
        role: Some(Role::new(stage, &script)?),
        script: Arc::new(script),
    })
}

/// What a scripted supervisor looks after.
fn supervisor_spec(
    stage: &Arc<Stage>,
    script: &SupervisorScript,
) -> Result<SupervisorSpec, NameError> {
    let is_template = script.strategy == crate::scenario::StrategyWord::SimpleOneForOne;
    let children = script
        .children
        .iter()
        .map(|child| child_spec(stage, child, &child.id, is_template))
        .collect::<Result<_, _>>()?;
    Ok(SupervisorSpec::new(script.flags(), children))
}

pub(super) fn child_spec(
    stage: &Arc<Stage>,
    script: &ChildScript,
    id: &str,
    is_template: bool,
) -> Result<ChildSpec, NameError> {
    let start = ScriptedStart {
        stage: stage.clone(),
        script: Arc::new(script.clone()),
        role: if is_template {
            None
        } else {
            Some(Role::new(stage, script)?)
        },
    };
    let child_type = if script.supervisor.is_some() {
        ChildType::Supervisor
    } else {
        ChildType::Worker
    };
    let mut spec = ChildSpec::new(Name::new(id)?, Arc::new(start))
        .child_type(child_type)
        .restart(script.restart.into())
        .significant(script.significant);
    if let Some(shutdown) = script.shutdown {
        spec = spec.shutdown(shutdown.into());
    }
    Ok(spec)
}

impl StartChild for ScriptedStart {
    fn start(&self, link: Link) -> BoxFuture<'_, Result<Started, StartError>> {
        Box::pin(async move {
            match &self.role {
                Some(role) => self.play(role, link).await,
                None => {
                    let id = step_id(link.path()).to_owned();
                    let is_new = link.previous().is_none();
                    let made = Role::new(&self.stage, &self.script).map_err(|error| {
                        StartError::Failed(ExitReason::error_text(error.to_string()))
                    })?;
                    let role = self.stage.role_of_instance(&id, is_new, || made);
                    self.play(&role, link).await
                }
            }
        })
    }
}

impl ScriptedStart {
    async fn play(&self, role: &Role, link: Link) -> Result<Started, StartError> {
        if self.stage.had_too_many() {
            // The run is over; whoever waits for this start is about to be dropped.
            std::future::pending::<()>().await;
        }
        let id = step_id(link.path()).to_owned();
        let nth = role.starts.fetch_add(1, Ordering::Relaxed);
        let outcome = self
            .script
            .start
            .get(nth)
            .or(self.script.start.last())
            .copied()
            .unwrap_or(StartWord::Ok);
        let previous = link.previous().map(|child| child.pid());
        let pid = Pid {
            address: previous.map_or_else(|| link.env().address(), |pid| pid.address),
            incarnation: previous.map_or(Incarnation(1), |pid| pid.incarnation.next()),
        };
        let note = |event, reason| {
            self.stage
                .note(event, &id, Some(pid.incarnation.0), reason, None);
        };
        note(StepEvent::Start, None);
        match outcome {
            StartWord::Error => {
                note(StepEvent::StartFailed, Some(StepReason::Error));
                Err(StartError::Failed(ExitReason::error_text("error")))
            }
            StartWord::Ignore => {
                note(StepEvent::StartFailed, Some(StepReason::Ignore));
                Err(StartError::Ignore)
            }
            StartWord::Ok => match &role.supervisor {
                Some(supervisor) => match supervisor.start(link).await {
                    Ok(started) => {
                        note(StepEvent::Started, None);
                        if let Some(supervisor) = started.child.supervisor() {
                            self.stage.enter_supervisor(&id, supervisor);
                        }
                        Ok(started)
                    }
                    Err(error) => {
                        note(StepEvent::StartFailed, Some(StepReason::Error));
                        Err(error)
                    }
                },
                None => {
                    note(StepEvent::Started, None);
                    let child = ScriptedChild::new(self, id, pid, link);
                    self.stage.enter(child.clone());
                    Ok(Started {
                        child: Arc::new(Handle(child)),
                        info: None,
                    })
                }
            },
        }
    }
}

/// A child that does nothing but live, stop and end.
pub(super) struct ScriptedChild {
    stage: Arc<Stage>,
    id: String,
    pid: Pid,
    link: Link,
    stop: Duration,
    ended: AtomicBool,
}

impl ScriptedChild {
    fn new(start: &ScriptedStart, id: String, pid: Pid, link: Link) -> Arc<Self> {
        Arc::new(Self {
            stage: start.stage.clone(),
            id,
            pid,
            link,
            stop: Duration::from_millis(start.script.stop_ms),
            ended: AtomicBool::new(false),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Ends this life, if it has not ended yet.
    pub(super) fn exit(&self, reason: ExitReason) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stage.leave(self);
        self.stage.note(
            StepEvent::Exited,
            &self.id,
            Some(self.pid.incarnation.0),
            Some(StepReason::of(&reason)),
            None,
        );
        self.link.exited(self.pid, reason);
    }
}

struct Handle(Arc<ScriptedChild>);

impl Child for Handle {
    fn pid(&self) -> Pid {
        self.0.pid
    }

    fn signal(&self) {
        let child = &self.0;
        if child.ended.load(Ordering::Acquire) {
            return;
        }
        child.stage.note(
            StepEvent::Stopping,
            &child.id,
            Some(child.pid.incarnation.0),
            None,
            None,
        );
        if child.stop.is_zero() {
            child.exit(ExitReason::SHUTDOWN);
        } else {
            let at = Instant::now() + child.stop;
            child.stage.schedule(at, child.clone());
        }
    }

    fn kill(&self) {
        self.0.exit(ExitReason::Killed);
    }
}

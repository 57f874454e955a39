//! Other code for a durable agent that runs, and the way back from it.

use super::plan::{Changed, Probation};
use super::{DurableGuest, GuestState};
use crate::host::Component;
use crate::inspect::World;
use crate::trial::Trial;
use crate::upgrade::{Order, Settlement, UpgradeError, Upgraded, Verdict};
use std::sync::Arc;
use swarm_actors::Turn;
use swarm_actors::durable::{DurableAgent, state_at};
use swarm_actors::journal::{Seq, StreamName};
use swarm_protocols::{ExitReason, Path};
use tokio::time::Instant;

impl DurableGuest {
    pub(super) async fn obey(
        &self,
        state: &mut GuestState,
        order: Order,
        turn: &mut Turn<'_, DurableAgent<Self>>,
    ) {
        let Order {
            component,
            probation,
            trial,
            reply,
        } = order;
        let outcome = self.upgrade(state, component, probation, trial).await;
        if outcome.is_ok() && state.before.is_none() {
            publish(
                turn,
                "upgrade-kept",
                &state.life.component().inspection().digest.to_string(),
            );
        }
        turn.reply(reply, outcome);
    }

    /// Changes to other code, at the state that it makes of the journal; or says why not, and nothing has changed.
    async fn upgrade(
        &self,
        state: &mut GuestState,
        component: Component,
        probation: u32,
        trial: Option<Arc<Trial>>,
    ) -> Result<Upgraded, UpgradeError> {
        if trial.as_ref().is_some_and(|trial| trial.is_given_up()) {
            return Err(UpgradeError::NoAnswer("the order came too late".to_owned()));
        }
        let begun = Instant::now();
        let (before, path) = (state.life.component().clone(), state.path.clone());
        let from = before.inspection().digest;
        let to = component.inspection().digest;
        let (mut next, _) = self.read(&path, &component).await?;
        let saved = next.life.snapshot().await.map_err(UpgradeError::Restore)?;
        let is_watched = probation > 0 || trial.is_some();
        if let Some(trial) = &trial {
            trial.life();
        }
        let probation = is_watched.then(|| Probation {
            before,
            left: probation,
            trial: trial.clone(),
        });
        self.0.change(
            &path,
            Changed {
                component,
                probation,
            },
        );
        let old = std::mem::replace(&mut state.life, next.life);
        state.before = is_watched.then(|| Box::new(old));
        state.trial = trial;
        Ok(Upgraded {
            from,
            to,
            state_version: saved.version,
            state_bytes: saved.bytes.len(),
            pause: begun.elapsed(),
        })
    }

    /// The agent's state as other code makes it of what the journal holds, and up to which event that is.
    async fn read(
        &self,
        path: &Path,
        component: &Component,
    ) -> Result<(GuestState, Seq), UpgradeError> {
        let error = |why: String| UpgradeError::Restore(ExitReason::error_text(why));
        if component.inspection().world != World::Durable {
            let world = component.inspection().world.as_str();
            let why = ExitReason::error_text(format!("it is of {world}, the agent is durable"));
            return Err(UpgradeError::Start(why));
        }
        let Some(durability) = &self.0.durability else {
            return Err(error("it does not run".to_owned()));
        };
        let stream = StreamName::new(path.as_str()).map_err(|e| error(e.to_string()))?;
        let (journal, plan) = (
            durability.journal().clone(),
            self.0.with_code(component.clone()),
        );
        let reader = DurableGuest::new(plan);
        let read = tokio::task::spawn_blocking(move || state_at(&reader, &*journal, &stream, None));
        match read.await {
            Ok(Ok(then)) => Ok((then.state, then.seq)),
            Ok(Err(failed)) => Err(error(failed.to_string())),
            Err(gone) => Err(error(gone.to_string())),
        }
    }

    /// Makes an instance that a call has broken anew, from the journal. If that fails too, the next turn says so.
    pub(super) async fn mend(&self, state: &mut GuestState) {
        if state.life.is_whole().is_err() {
            let component = state.life.component().clone();
            if let Ok((fresh, _)) = self.read(&state.path, &component).await {
                state.life = fresh.life;
            }
        }
    }

    /// The code before takes over, where it is or, if it is not at the journal's state, where it comes to from there.
    pub(super) async fn take_back(
        &self,
        state: &mut GuestState,
        reason: &ExitReason,
        needs_reading: bool,
    ) -> Result<(), ExitReason> {
        let Some(before) = state.before.take() else {
            return Err(reason.clone());
        };
        let (path, component) = (state.path.clone(), before.component().clone());
        let life = if needs_reading {
            drop(before);
            let read = self.read(&path, &component).await;
            read.map_err(|error| ExitReason::error_text(error.to_string()))?
                .0
                .life
        } else {
            *before
        };
        state.life = life;
        if let Some(trial) = state.trial.take() {
            trial.rolled_back();
        }
        let settled = Changed {
            component,
            probation: None,
        };
        self.0.change(&path, settled);
        tracing::warn!(%path, %reason, "an upgrade is rolled back");
        if let Some(system) = self.0.system() {
            system.publish_custom(Some(path), "upgrade-rolled-back", &reason.to_string());
        }
        Ok(())
    }

    /// The new code is the agent's code from now on.
    pub(super) fn keep(&self, state: &mut GuestState) {
        state.before = None;
        state.trial = None;
        let component = state.life.component().clone();
        let digest = component.inspection().digest.to_string();
        let path = state.path.clone();
        let settled = Changed {
            component,
            probation: None,
        };
        self.0.change(&path, settled);
        if let Some(system) = self.0.system() {
            system.publish_custom(Some(path), "upgrade-kept", &digest);
        }
    }

    pub(super) async fn settle(
        &self,
        state: &mut GuestState,
        settlement: Settlement,
        turn: &mut Turn<'_, DurableAgent<Self>>,
    ) {
        let outcome = match settlement.verdict {
            Verdict::Keep => {
                if state.before.is_some() {
                    self.keep(state);
                }
                Ok(())
            }
            // Code that is not on probation is the agent's own already.
            Verdict::Back if state.before.is_some() => {
                let told = ExitReason::error_text("taken back");
                let taken = self.take_back(state, &told, false).await;
                taken.map_err(UpgradeError::Restore)
            }
            Verdict::Back | Verdict::Leave => Ok(()),
            Verdict::Follow(..) => Err(UpgradeError::Start(ExitReason::error_text(
                "a durable agent has no shadow: use direct or canary",
            ))),
        };
        turn.reply(settlement.reply, outcome);
    }
}

fn publish(turn: &Turn<'_, DurableAgent<DurableGuest>>, name: &str, detail: &str) {
    let path = Some(turn.path().clone());
    turn.system().publish_custom(path, name, detail);
}

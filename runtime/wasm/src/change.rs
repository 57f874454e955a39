//! What an agent does when its code is changed, kept, taken back, or followed by a shadow.

use crate::agent::{GuestAgent, ended, moment};
use crate::bindings::Volatile;
use crate::host::Component;
use crate::life::{Life, Moment};
use crate::shadow::{Entry, Shadow};
use crate::trial::Trial;
use crate::upgrade::{Fallback, Held, Order, Running, Settlement, UpgradeError, Upgraded, Verdict};
use std::sync::Arc;
use swarm_actors::{Failure, Turn};
use swarm_protocols::ExitReason;
use tokio::time::Instant;

/// The code before, and what is known of the change.
struct Exchanged {
    old: Option<Life>,
    timer_last: u64,
    upgraded: Upgraded,
}

impl GuestAgent {
    pub(crate) async fn obey(
        &mut self,
        turn: &mut Turn<'_, Self>,
        order: Order,
    ) -> Result<(), Failure> {
        let Order {
            component,
            probation,
            trial,
            reply,
        } = order;
        let outcome = self.upgrade(turn, component, probation, trial).await?;
        turn.reply(reply, outcome);
        Ok(())
    }

    /// Changes to other code, or says why not. An error when the old code did not survive being asked for its state.
    async fn upgrade(
        &mut self,
        turn: &mut Turn<'_, Self>,
        component: Component,
        probation: u32,
        trial: Option<Arc<Trial>>,
    ) -> Result<Result<Upgraded, UpgradeError>, Failure> {
        if trial.as_ref().is_some_and(|trial| trial.is_given_up()) {
            let late = "the order came too late".to_owned();
            return Ok(Err(UpgradeError::NoAnswer(late)));
        }
        let exchanged = match self.exchange(turn, &component).await? {
            Ok(exchanged) => exchanged,
            Err(error) => return Ok(Err(error)),
        };
        let before = exchanged.old.as_ref().map(|life| life.component().clone());
        self.fallback = exchanged.old.map(|life| {
            Box::new(Fallback {
                life,
                left: probation,
                timer_last: exchanged.timer_last,
            })
        });
        match (trial, before) {
            (Some(trial), Some(before)) => {
                trial.life();
                self.trial = Some(trial.clone());
                let held = Some(Held { before, trial });
                let running = Running { component, held };
                let mut upgraded = self.plan.upgraded.lock();
                upgraded.insert(turn.path().clone(), running);
            }
            _ if probation == 0 => self.promote(turn),
            _ => {}
        }
        Ok(Ok(exchanged.upgraded))
    }

    /// Puts other code into the place of the present one, with its state.
    async fn exchange(
        &mut self,
        turn: &mut Turn<'_, Self>,
        component: &Component,
    ) -> Result<Result<Exchanged, UpgradeError>, Failure> {
        let begun = Instant::now();
        let asked = moment(turn);
        let old = self.life()?;
        let state = match old.snapshot(asked).await {
            Ok(state) => state,
            Err(reason) => {
                old.is_whole().map_err(|_| ended(reason.clone()))?;
                return Ok(Err(UpgradeError::Snapshot(reason)));
            }
        };
        let (timers, timer_last) = (old.sandbox().timers, old.sandbox().timer_last);
        let from = old.component().inspection().digest;
        let seat = self.seat(turn);
        let mut new = match Life::<Volatile>::begin(component, seat, moment(turn)).await {
            Ok(new) => new,
            Err(reason) => return Ok(Err(UpgradeError::Start(reason))),
        };
        new.sandbox().timers = timers;
        new.sandbox().timer_last = timer_last;
        if let Err(reason) = new.on_start(&self.plan.config).await {
            return Ok(Err(UpgradeError::Start(reason)));
        }
        if let Err(reason) = new.restore(&state).await {
            return Ok(Err(UpgradeError::Restore(reason)));
        }
        new.sandbox().records_tools = self.shadow.is_some();
        let old = self.life.replace(new);
        self.commit(turn)?;
        Ok(Ok(Exchanged {
            old,
            timer_last,
            upgraded: Upgraded {
                from,
                to: component.inspection().digest,
                state_version: state.version,
                state_bytes: state.bytes.len(),
                pause: begun.elapsed(),
            },
        }))
    }

    /// A turn of code on probation went well.
    pub(crate) fn count_probation(&mut self, turn: &mut Turn<'_, Self>) {
        if let Some(fallback) = &mut self.fallback
            && fallback.left > 0
        {
            fallback.left -= 1;
            // While somebody watches, that somebody decides, and the way back stays open.
            if fallback.left == 0 && self.trial.is_none() {
                self.promote(turn);
            }
        }
    }

    /// The new code is the agent's code from now on.
    fn promote(&mut self, turn: &mut Turn<'_, Self>) {
        self.fallback = None;
        self.trial = None;
        if let Some(life) = &self.life {
            let component = life.component().clone();
            let digest = component.inspection().digest.to_string();
            let path = turn.path().clone();
            let running = Running::settled(component);
            self.plan.upgraded.lock().insert(path.clone(), running);
            turn.system()
                .publish_custom(Some(path), "upgrade-kept", &digest);
        }
    }

    /// Takes the code before the upgrade, with its state; timers that the new code had set are gone.
    pub(crate) fn roll_back(&mut self, turn: &mut Turn<'_, Self>, reason: &ExitReason) {
        let Some(mut fallback) = self.fallback.take() else {
            return;
        };
        let late: Vec<u64> = self
            .timers
            .range(fallback.timer_last + 1..)
            .map(|(id, _)| *id)
            .collect();
        let mut timer_last = fallback.timer_last;
        for id in late {
            timer_last = timer_last.max(id);
            if let Some((timer, _)) = self.timers.remove(&id) {
                turn.cancel(timer);
            }
        }
        let timers = u32::try_from(self.timers.len()).unwrap_or(u32::MAX);
        let sandbox = fallback.life.sandbox();
        sandbox.timers = timers;
        // A timer that has fired already does not come to the old code under another's name.
        sandbox.timer_last = timer_last;
        if let Some(trial) = self.trial.take() {
            trial.rolled_back();
            let running = Running::settled(fallback.life.component().clone());
            let mut upgraded = self.plan.upgraded.lock();
            upgraded.insert(turn.path().clone(), running);
        }
        self.life = Some(fallback.life);
        let (path, reason) = (turn.path().clone(), reason.to_string());
        tracing::warn!(%path, %reason, "an upgrade is rolled back");
        turn.system()
            .publish_custom(Some(path), "upgrade-rolled-back", &reason);
    }

    pub(crate) async fn settle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        settlement: Settlement,
    ) -> Result<(), Failure> {
        let outcome = match settlement.verdict {
            Verdict::Keep => {
                if self.trial.is_some() {
                    self.promote(turn);
                }
                Ok(())
            }
            Verdict::Back => self.back(turn).await?,
            Verdict::Follow(component, trial) => self.follow(turn, &component, trial).await?,
            Verdict::Leave => {
                self.leave();
                Ok(())
            }
        };
        turn.reply(settlement.reply, outcome);
        Ok(())
    }

    /// Goes back to the code before, if that is not what runs.
    async fn back(
        &mut self,
        turn: &mut Turn<'_, Self>,
    ) -> Result<Result<(), UpgradeError>, Failure> {
        let before = {
            let mut upgraded = self.plan.upgraded.lock();
            let Some(running) = upgraded.get_mut(turn.path()) else {
                return Ok(Ok(()));
            };
            let Some(held) = running.held.take() else {
                return Ok(Ok(()));
            };
            // Whatever comes of it, the next life runs the old code.
            running.component = held.before.clone();
            held.before
        };
        let told = ExitReason::error_text("taken back");
        match self.exchange(turn, &before).await? {
            Ok(_) => {
                self.trial = None;
                self.fallback = None;
                let (path, reason) = (turn.path().clone(), told.to_string());
                turn.system()
                    .publish_custom(Some(path), "upgrade-rolled-back", &reason);
                Ok(Ok(()))
            }
            // It cannot read what the new code keeps.
            Err(_) if self.fallback.is_some() => {
                self.roll_back(turn, &told);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Has new code follow this one, with its state.
    async fn follow(
        &mut self,
        turn: &mut Turn<'_, Self>,
        component: &Component,
        trial: Arc<Trial>,
    ) -> Result<Result<(), UpgradeError>, Failure> {
        let asked = moment(turn);
        let own = self.life()?;
        let state = match own.snapshot(asked).await {
            Ok(state) => state,
            Err(reason) => {
                own.is_whole().map_err(|_| ended(reason.clone()))?;
                return Ok(Err(UpgradeError::Snapshot(reason)));
            }
        };
        let seat = self.seat(turn);
        let mut life = match Life::<Volatile>::begin(component, seat, moment(turn)).await {
            Ok(life) => life,
            Err(reason) => return Ok(Err(UpgradeError::Start(reason))),
        };
        // From here on it has no effects: no tools, no lines in the log, and what it asks for is dropped.
        life.sandbox().replay(Vec::new());
        if let Err(reason) = life.on_start(&self.plan.config).await {
            return Ok(Err(UpgradeError::Start(reason)));
        }
        if let Err(reason) = life.restore(&state).await {
            return Ok(Err(UpgradeError::Restore(reason)));
        }
        self.life()?.sandbox().records_tools = true;
        self.shadow = Some(Box::new(Shadow { life, trial }));
        Ok(Ok(()))
    }

    /// Has the shadow do the turn that was just done.
    pub(crate) async fn be_followed(&mut self, entry: Entry, moment: Moment) {
        if let (Some(shadow), Some(life)) = (&mut self.shadow, &mut self.life)
            && !shadow.follow(entry, moment, life.sandbox()).await
        {
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.shadow = None;
        if let Some(life) = &mut self.life {
            life.sandbox().records_tools = false;
        }
    }
}

//! A guest as an agent.

use crate::grants::Grants;
use crate::host::Component;
use crate::kept::{self, Stores};
use crate::life::{Life, Moment};
use crate::limits::Limits;
use crate::sandbox::{Effect, Seat};
use crate::upgrade::{Fallback, Order, UpgradeError, Upgraded};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{Agent, EndWith, Failure, Init, Message, TimerId, Turn};
use swarm_protocols::{AclMessage, ExitReason, Limit, Path, Performative};
use tokio::time::Instant;

/// What all lives of all agents of one spec have in common.
pub struct Plan {
    component: Component,
    config: String,
    grants: Arc<Grants>,
    limits: Arc<Limits>,
    stores: Mutex<Stores>,
    /// The code of agents that were upgraded, by path.
    upgraded: Mutex<BTreeMap<Path, Component>>,
}

impl Plan {
    /// A plan. `config` is the JSON object that `on-start` gets.
    #[must_use]
    pub fn new(component: Component, config: String, grants: Grants, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            component,
            config,
            grants: Arc::new(grants),
            limits: Arc::new(limits),
            stores: Mutex::default(),
            upgraded: Mutex::default(),
        })
    }

    /// The behaviour of one life.
    #[must_use]
    pub fn agent(self: &Arc<Self>) -> GuestAgent {
        GuestAgent {
            plan: self.clone(),
            life: None,
            fallback: None,
            timers: BTreeMap::new(),
        }
    }
}

/// What a guest agent is told besides ACL messages.
pub enum GuestMessage {
    /// A timer of the guest has fired.
    Fired {
        /// The guest's name for it.
        timer: u64,
        /// What it was set with.
        tag: u64,
    },
    /// It is to run other code; see [`upgrade`](crate::upgrade()).
    Upgrade(Box<Order>),
}

impl Message for GuestMessage {
    fn copy(&self) -> Option<Self> {
        match self {
            Self::Fired { timer, tag } => Some(Self::Fired {
                timer: *timer,
                tag: *tag,
            }),
            Self::Upgrade(_) => None,
        }
    }
}

/// An agent whose behaviour is a WebAssembly component.
///
/// Each life has a store and an instance of its own, made in `init` and dropped with the life. An error that the guest returns
/// ends it with `error`, a trap with `panic`, a breach of its limits with `limit(which)`.
pub struct GuestAgent {
    plan: Arc<Plan>,
    life: Option<Life>,
    /// The code before the last upgrade, while that is on probation.
    fallback: Option<Box<Fallback>>,
    /// The guest's timers that are set: the runtime's name for each, and whether it fires again.
    timers: BTreeMap<u64, (TimerId, bool)>,
}

fn ended(reason: ExitReason) -> Failure {
    Box::new(EndWith(reason))
}

fn moment(turn: &Turn<'_, GuestAgent>) -> Moment {
    Moment {
        now: Instant::now(),
        now_ms: turn.system().wall_ms(),
        random: turn.random(),
    }
}

impl GuestAgent {
    fn life(&mut self) -> Result<&mut Life, Failure> {
        let missing = || ended(ExitReason::error_text("the guest was not started"));
        self.life.as_mut().ok_or_else(missing)
    }

    /// Hands what the guest has asked for in this turn to the runtime, in its order.
    fn commit(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
        let sandbox = self.life()?.sandbox();
        let mut effects = std::mem::take(&mut sandbox.turn.effects);
        let draft = std::mem::take(&mut sandbox.turn.draft);
        let kept = sandbox.kept.clone();
        let mut freed = 0;
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(to, message) => turn.send_acl(&to, message),
                Effect::Answer(message) => turn.answer(message),
                Effect::After {
                    id,
                    milliseconds,
                    tag,
                    repeats,
                } => self.set_timer(turn, id, milliseconds, tag, repeats)?,
                Effect::Cancel(id) => {
                    if let Some((timer, _)) = self.timers.remove(&id) {
                        turn.cancel(timer);
                        freed += 1;
                    }
                }
            }
        }
        if !draft.is_empty() {
            turn.on_commit(move || kept::apply(&kept, draft));
        }
        let sandbox = self.life()?.sandbox();
        sandbox.timers -= freed;
        // The buffer is used again.
        sandbox.turn.effects = effects;
        Ok(())
    }

    fn set_timer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        id: u64,
        milliseconds: u64,
        tag: u64,
        repeats: bool,
    ) -> Result<(), Failure> {
        let after = Duration::from_millis(milliseconds);
        let fired = move || GuestMessage::Fired { timer: id, tag };
        let set = if repeats {
            turn.schedule_every(after, fired)
        } else {
            turn.schedule(after, fired())
        };
        let timer = set.map_err(|_| ended(ExitReason::Limit(Limit::Timers)))?;
        self.timers.insert(id, (timer, repeats));
        Ok(())
    }
}

/// What a guest is entered for.
#[derive(Clone)]
enum Entry {
    Message(Arc<AclMessage>),
    Timer { timer: u64, tag: u64 },
}

impl GuestAgent {
    /// One turn of the guest. Code on probation that fails is replaced by the code before it, which does the turn again.
    async fn enter(&mut self, turn: &mut Turn<'_, Self>, entry: Entry) -> Result<(), Failure> {
        let again = self.fallback.is_some().then(|| entry.clone());
        match (self.enter_once(turn, entry).await, again) {
            (Ok(()), _) => self.count_probation(turn),
            (Err(reason), None) => return Err(ended(reason)),
            (Err(reason), Some(entry)) => {
                self.roll_back(turn, &reason);
                self.enter_once(turn, entry).await.map_err(ended)?;
            }
        }
        self.commit(turn)
    }

    async fn enter_once(
        &mut self,
        turn: &mut Turn<'_, Self>,
        entry: Entry,
    ) -> Result<(), ExitReason> {
        let moment = moment(turn);
        let missing = || ExitReason::error_text("the guest was not started");
        let life = self.life.as_mut().ok_or_else(missing)?;
        match entry {
            Entry::Message(message) => life.on_message(message, moment).await,
            Entry::Timer { timer, tag } => life.on_timer(timer, tag, moment).await,
        }
    }

    fn seat(&self, turn: &Turn<'_, Self>) -> Seat {
        Seat {
            limits: self.plan.limits.clone(),
            grants: self.plan.grants.clone(),
            system: turn.system().downgrade(),
            path: turn.path().clone(),
            aid: turn.aid(),
            kept: self.plan.stores.lock().of(turn.path(), turn.system()),
        }
    }

    /// Changes to other code, or says why not. An error when the old code did not survive being asked for its state.
    async fn upgrade(
        &mut self,
        turn: &mut Turn<'_, Self>,
        component: Component,
        probation: u32,
    ) -> Result<Result<Upgraded, UpgradeError>, Failure> {
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
        let mut new = match Life::begin(&component, seat, moment(turn)).await {
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
        let old = self.life.replace(new);
        self.fallback = old.map(|life| {
            Box::new(Fallback {
                life,
                left: probation,
                timer_last,
            })
        });
        self.commit(turn)?;
        if probation == 0 {
            self.promote(turn);
        }
        Ok(Ok(Upgraded {
            from,
            to: component.inspection().digest,
            state_version: state.version,
            state_bytes: state.bytes.len(),
            pause: begun.elapsed(),
        }))
    }

    /// A turn of code on probation went well.
    fn count_probation(&mut self, turn: &mut Turn<'_, Self>) {
        if let Some(fallback) = &mut self.fallback {
            fallback.left = fallback.left.saturating_sub(1);
            if fallback.left == 0 {
                self.promote(turn);
            }
        }
    }

    /// The new code is the agent's code from now on.
    fn promote(&mut self, turn: &mut Turn<'_, Self>) {
        self.fallback = None;
        if let Some(life) = &self.life {
            let component = life.component().clone();
            let digest = component.inspection().digest.to_string();
            let path = turn.path().clone();
            self.plan.upgraded.lock().insert(path.clone(), component);
            turn.system()
                .publish_custom(Some(path), "upgrade-kept", &digest);
        }
    }

    /// Takes the code before the upgrade, with its state; timers that the new code had set are gone.
    fn roll_back(&mut self, turn: &mut Turn<'_, Self>, reason: &ExitReason) {
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
        self.life = Some(fallback.life);
        let (path, reason) = (turn.path().clone(), reason.to_string());
        tracing::warn!(%path, %reason, "an upgrade is rolled back");
        turn.system()
            .publish_custom(Some(path), "upgrade-rolled-back", &reason);
    }
}

impl Agent for GuestAgent {
    type Message = GuestMessage;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let upgraded = self.plan.upgraded.lock().get(turn.path()).cloned();
        let component = upgraded.unwrap_or_else(|| self.plan.component.clone());
        let begun = Life::begin(&component, self.seat(turn), moment(turn)).await;
        let plan = self.plan.clone();
        let life = self.life.insert(begun.map_err(ended)?);
        life.on_start(&plan.config).await.map_err(ended)?;
        self.commit(turn)?;
        Ok(Init::Ready)
    }

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: GuestMessage,
    ) -> Result<(), Failure> {
        match message {
            GuestMessage::Fired { timer, tag } => {
                if let Some((_, false)) = self.timers.get(&timer) {
                    self.timers.remove(&timer);
                    self.life()?.sandbox().timers -= 1;
                }
                self.enter(turn, Entry::Timer { timer, tag }).await
            }
            GuestMessage::Upgrade(order) => {
                let Order {
                    component,
                    probation,
                    reply,
                } = *order;
                let outcome = self.upgrade(turn, component, probation).await?;
                turn.reply(reply, outcome);
                Ok(())
            }
        }
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let most = self.plan.limits.message_bytes;
        let bytes = message.content.as_ref().map_or(0, Vec::len) as u64;
        if bytes <= most {
            return self.enter(turn, Entry::Message(message)).await;
        }
        // Somebody else's doing: the guest does not pay for it with its life.
        if message.performative != Performative::Failure {
            let mut answer = message.reply(Performative::Failure);
            let text = format!("{{\"error\":\"the message has {bytes} bytes, {most} are taken\"}}");
            answer.content = Some(text.into_bytes());
            turn.answer(answer);
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: &ExitReason) {
        if let Some(life) = &mut self.life {
            let moment = Moment {
                now: Instant::now(),
                now_ms: life.sandbox().turn.now_ms,
                random: life.sandbox().turn.random,
            };
            // What it says and what it asks for here goes nowhere: there is no turn to commit.
            if let Err(reason) = life.on_stop(&reason.to_string(), moment).await {
                tracing::warn!(path = %life.sandbox().path, %reason, "a guest failed while it stopped");
            }
        }
    }
}

//! A guest as an agent.

use crate::grants::Grants;
use crate::host::Component;
use crate::kept::{self, Stores};
use crate::life::{Life, Moment};
use crate::limits::Limits;
use crate::sandbox::{Effect, Seat};
use crate::shadow::{Entry, Shadow};
use crate::trial::Trial;
use crate::upgrade::{Fallback, Order, Running, Settlement};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{Agent, EndWith, Failure, Init, Message, TimerId, Turn};
use swarm_protocols::{AclMessage, ExitReason, Limit, Path, Performative};
use swarm_tools::{Access, Caller, Tools};
use tokio::time::Instant;

/// What all lives of all agents of one spec have in common.
pub struct Plan {
    component: Component,
    pub(crate) config: String,
    grants: Arc<Grants>,
    limits: Arc<Limits>,
    tools: Option<Tools>,
    stores: Mutex<Stores>,
    /// The code of agents that were upgraded, by path.
    pub(crate) upgraded: Mutex<BTreeMap<Path, Running>>,
}

impl Plan {
    /// A plan. `config` is the JSON object that `on-start` gets.
    #[must_use]
    pub fn new(component: Component, config: String, grants: Grants, limits: Limits) -> Arc<Self> {
        Self::with_tools(component, config, grants, limits, None)
    }

    /// A plan for agents that call tools of this registry, as far as their grants go. Without one every call is denied.
    #[must_use]
    pub fn with_tools(
        component: Component,
        config: String,
        grants: Grants,
        limits: Limits,
        tools: Option<Tools>,
    ) -> Arc<Self> {
        Arc::new(Self {
            tools,
            component,
            config,
            grants: Arc::new(grants),
            limits: Arc::new(limits),
            stores: Mutex::default(),
            upgraded: Mutex::default(),
        })
    }

    /// What the agent at `path` may do with the tools, if anything.
    fn access(&self, path: &Path) -> Option<Access> {
        let tools = self.tools.as_ref()?;
        let granted = &self.grants.tools;
        let caller = Caller::agent(path);
        (!granted.is_empty()).then(|| Access::new(tools.clone(), caller, granted.clone()))
    }

    /// The behaviour of one life.
    #[must_use]
    pub fn agent(self: &Arc<Self>) -> GuestAgent {
        GuestAgent {
            plan: self.clone(),
            life: None,
            fallback: None,
            trial: None,
            shadow: None,
            timers: BTreeMap::new(),
        }
    }

    /// What the next life of the agent at `path` runs, and what counts its turns if the code is new. Called once for each life.
    fn code_of(&self, path: &Path) -> (Component, Option<Arc<Trial>>) {
        let mut upgraded = self.upgraded.lock();
        let Some(running) = upgraded.get_mut(path) else {
            return (self.component.clone(), None);
        };
        match &running.held {
            Some(held) if !held.trial.life() => {
                let before = held.before.clone();
                *running = Running::settled(before.clone());
                (before, None)
            }
            held => {
                let trial = held.as_ref().map(|held| held.trial.clone());
                (running.component.clone(), trial)
            }
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
    /// What is to become of code that it was given; see [`deployment`](crate::deployment).
    Settle(Box<Settlement>),
}

impl Message for GuestMessage {
    fn copy(&self) -> Option<Self> {
        match self {
            Self::Fired { timer, tag } => Some(Self::Fired {
                timer: *timer,
                tag: *tag,
            }),
            Self::Upgrade(_) | Self::Settle(_) => None,
        }
    }
}

/// An agent whose behaviour is a WebAssembly component.
///
/// Each life has a store and an instance of its own, made in `init` and dropped with the life. An error that the guest returns
/// ends it with `error`, a trap with `panic`, a breach of its limits with `limit(which)`.
pub struct GuestAgent {
    pub(crate) plan: Arc<Plan>,
    pub(crate) life: Option<Life>,
    /// The code before the last upgrade, while there may be a way back to it.
    pub(crate) fallback: Option<Box<Fallback>>,
    /// Counts the turns of new code.
    pub(crate) trial: Option<Arc<Trial>>,
    /// New code that follows this one.
    pub(crate) shadow: Option<Box<Shadow>>,
    /// The guest's timers that are set: the runtime's name for each, and whether it fires again.
    pub(crate) timers: BTreeMap<u64, (TimerId, bool)>,
}

pub(crate) fn ended(reason: ExitReason) -> Failure {
    Box::new(EndWith(reason))
}

pub(crate) fn moment(turn: &Turn<'_, GuestAgent>) -> Moment {
    let now = Instant::now();
    Moment {
        now,
        now_ms: turn.system().wall_ms(),
        random: turn.random(),
        deadline: turn.deadline().and_then(|within| now.checked_add(within)),
    }
}

impl GuestAgent {
    pub(crate) fn life(&mut self) -> Result<&mut Life, Failure> {
        let missing = || ended(ExitReason::error_text("the guest was not started"));
        self.life.as_mut().ok_or_else(missing)
    }

    /// Hands what the guest has asked for in this turn to the runtime, in its order.
    pub(crate) fn commit(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
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

impl GuestAgent {
    /// One turn of the guest. Code on probation that fails is replaced by the code before it, which does the turn again.
    async fn enter(&mut self, turn: &mut Turn<'_, Self>, entry: Entry) -> Result<(), Failure> {
        let moment = moment(turn);
        let is_on_probation = self.fallback.as_ref().is_some_and(|code| code.left > 0);
        let again = is_on_probation.then(|| entry.clone());
        let followed = self.shadow.is_some().then(|| entry.clone());
        match (self.enter_counted(moment, entry).await, again) {
            (Ok(()), _) => self.count_probation(turn),
            (Err(reason), None) => return Err(ended(reason)),
            (Err(reason), Some(entry)) => {
                self.roll_back(turn, &reason);
                self.enter_counted(moment, entry).await.map_err(ended)?;
            }
        }
        if let Some(entry) = followed {
            self.be_followed(entry, moment).await;
        }
        self.commit(turn)
    }

    async fn enter_counted(&mut self, moment: Moment, entry: Entry) -> Result<(), ExitReason> {
        let missing = || ExitReason::error_text("the guest was not started");
        let life = self.life.as_mut().ok_or_else(missing)?;
        let ended = entry.into(life, moment).await;
        if let Some(trial) = &self.trial {
            trial.turn(moment.now.elapsed(), ended.is_ok());
        }
        ended
    }

    pub(crate) fn seat(&self, turn: &Turn<'_, Self>) -> Seat {
        Seat {
            limits: self.plan.limits.clone(),
            grants: self.plan.grants.clone(),
            system: turn.system().downgrade(),
            path: turn.path().clone(),
            aid: turn.aid(),
            kept: self.plan.stores.lock().of(turn.path(), turn.system()),
            tools: self.plan.access(turn.path()),
        }
    }
}

impl Agent for GuestAgent {
    type Message = GuestMessage;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let (component, trial) = self.plan.code_of(turn.path());
        self.trial = trial;
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
            GuestMessage::Upgrade(order) => self.obey(turn, *order).await,
            GuestMessage::Settle(settlement) => self.settle(turn, *settlement).await,
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
                deadline: None,
            };
            // What it says and what it asks for here goes nowhere: there is no turn to commit.
            if let Err(reason) = life.on_stop(&reason.to_string(), moment).await {
                tracing::warn!(path = %life.sandbox().path, %reason, "a guest failed while it stopped");
            }
        }
    }
}

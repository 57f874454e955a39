//! A guest as an agent.

use crate::grants::Grants;
use crate::host::Component;
use crate::kept::{self, Stores};
use crate::life::{Life, Moment};
use crate::limits::Limits;
use crate::sandbox::{Effect, Seat};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{Agent, EndWith, Failure, Init, Message, TimerId, Turn};
use swarm_protocols::{AclMessage, ExitReason, Limit, Performative};
use tokio::time::Instant;

/// What all lives of all agents of one spec have in common.
pub struct Plan {
    component: Component,
    config: String,
    grants: Arc<Grants>,
    limits: Arc<Limits>,
    stores: Mutex<Stores>,
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
        })
    }

    /// The behaviour of one life.
    #[must_use]
    pub fn agent(self: &Arc<Self>) -> GuestAgent {
        GuestAgent {
            plan: self.clone(),
            life: None,
            timers: BTreeMap::new(),
        }
    }
}

/// What a guest agent is told besides ACL messages; only its own timers are.
#[derive(Clone, Copy, Debug)]
pub enum GuestMessage {
    /// A timer of the guest has fired.
    Fired {
        /// The guest's name for it.
        timer: u64,
        /// What it was set with.
        tag: u64,
    },
}

impl Message for GuestMessage {
    fn copy(&self) -> Option<Self> {
        Some(*self)
    }
}

/// An agent whose behaviour is a WebAssembly component.
///
/// Each life has a store and an instance of its own, made in `init` and dropped with the life. An error that the guest returns
/// ends it with `error`, a trap with `panic`, a breach of its limits with `limit(which)`.
pub struct GuestAgent {
    plan: Arc<Plan>,
    life: Option<Life>,
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
        let fired = GuestMessage::Fired { timer: id, tag };
        let set = if repeats {
            turn.schedule_every(after, move || fired)
        } else {
            turn.schedule(after, fired)
        };
        let timer = set.map_err(|_| ended(ExitReason::Limit(Limit::Timers)))?;
        self.timers.insert(id, (timer, repeats));
        Ok(())
    }
}

impl Agent for GuestAgent {
    type Message = GuestMessage;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let plan = self.plan.clone();
        let kept = plan.stores.lock().of(turn.path(), turn.system());
        let seat = Seat {
            limits: plan.limits.clone(),
            grants: plan.grants.clone(),
            system: turn.system().downgrade(),
            path: turn.path().clone(),
            aid: turn.aid(),
            kept,
        };
        let begun = Life::begin(&plan.component, seat, moment(turn)).await;
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
        let GuestMessage::Fired { timer, tag } = message;
        if let Some((_, false)) = self.timers.get(&timer) {
            self.timers.remove(&timer);
            self.life()?.sandbox().timers -= 1;
        }
        let moment = moment(turn);
        let done = self.life()?.on_timer(timer, tag, moment).await;
        done.map_err(ended)?;
        self.commit(turn)
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let most = self.plan.limits.message_bytes;
        let bytes = message.content.as_ref().map_or(0, Vec::len) as u64;
        if bytes > most {
            // Somebody else's doing: the guest does not pay for it with its life.
            if message.performative != Performative::Failure {
                let mut answer = message.reply(Performative::Failure);
                let text =
                    format!("{{\"error\":\"the message has {bytes} bytes, {most} are taken\"}}");
                answer.content = Some(text.into_bytes());
                turn.answer(answer);
            }
            return Ok(());
        }
        let moment = moment(turn);
        let done = self.life()?.on_message(message, moment).await;
        done.map_err(ended)?;
        self.commit(turn)
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

//! Components as durable agents.
//!
//! What makes an agent durable is `swarm_actors::durable`'s; here a component is made into what that runs. A life is an instance
//! whose state comes from the journal: from the newest snapshot that the component takes, and the events behind it, each applied
//! under the limits of a turn and without name, clock, chance or messages. It leaves memory with the agent.
//!
//! New code is proven against the journal: it takes over with the state that *it* makes of what is written. While it is on
//! probation the code before it follows: it is given every event before that is written, and code that writes what it cannot
//! read is taken back. So there is a way back at any time, and nothing is lost on it.

mod change;
mod command;
mod event;
mod plan;

pub use command::GuestCommand;
pub use event::GuestEvent;
pub use plan::DurablePlan;

use crate::bindings::durable::Durable;
use crate::bindings::swarm::agent::types::{Event, SavedState};
use crate::life::{Life, Moment};
use crate::sandbox::Effect;
use crate::trial::Trial;
use crate::upgrade::{Order, Settlement};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;
use swarm_actors::durable::{
    Asker, CodecError, Decision, DurableAgent, DurableBehaviour, Written, wait,
};
use swarm_actors::journal::{EventData, StreamName};
use swarm_actors::{EndWith, Failure, Turn};
use swarm_protocols::{AclMessage, ExitReason, Limit, Path};
use tokio::time::Instant;

/// The most bytes of one event; a journal takes no more.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// Timers of one turn have numbers from its own number times this on.
const TIMERS_PER_TURN_MAX: u64 = 1 << 16;

/// A durable agent whose code is a WebAssembly component, as `swarm_actors` runs it.
pub struct DurableGuest(Arc<DurablePlan>);

/// A durable guest's state: an instance, and the one that it may have to give way to.
pub struct GuestState {
    pub(crate) path: Path,
    pub(crate) life: Life<Durable>,
    /// The code before the last upgrade, at the same state, while the new one is on probation.
    pub(crate) before: Option<Box<Life<Durable>>>,
    pub(crate) trial: Option<Arc<Trial>>,
    /// How many events of the turn under way the code before has applied already, and this one not yet.
    pub(crate) ahead: usize,
}

/// An event that a guest has decided.
pub struct Decided(Event);

/// A snapshot's bytes. Frozen, version 1.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    bytes: Vec<u8>,
}

/// A state as the guest encodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedState {
    /// The version of the encoding.
    pub version: u32,
    /// The state.
    pub bytes: Vec<u8>,
}

fn ended(reason: ExitReason) -> Failure {
    Box::new(EndWith(reason))
}

impl DurableGuest {
    /// An agent of this plan.
    #[must_use]
    pub fn new(plan: Arc<DurablePlan>) -> Self {
        Self(plan)
    }

    /// A state in the guest's own encoding.
    ///
    /// # Errors
    /// What the guest says, or how it ended.
    pub async fn encoded(&self, state: &mut GuestState) -> Result<EncodedState, ExitReason> {
        let SavedState { version, bytes } = state.life.snapshot().await?;
        Ok(EncodedState { version, bytes })
    }

    /// The same where a thread may block.
    ///
    /// # Errors
    /// What the guest says, or how it ended.
    pub fn encoded_blocking(&self, state: &mut GuestState) -> Result<EncodedState, ExitReason> {
        wait(self.encoded(state))
    }

    async fn begun(&self, path: Path) -> Result<GuestState, ExitReason> {
        let code = self.0.code_of(&path);
        let life = self.0.begin(&path, &code.component).await?;
        let (mut before, mut trial) = (None, None);
        if let Some(probation) = code.probation {
            before = Some(Box::new(self.0.begin(&path, &probation.before).await?));
            trial = probation.trial;
        }
        Ok(GuestState {
            path,
            life,
            before,
            trial,
            ahead: 0,
        })
    }

    /// What the code decides, or the code before it, should it not be able to.
    async fn decided(
        &self,
        state: &mut GuestState,
        command: &GuestCommand,
        turn: &Decision<'_, Self>,
    ) -> Result<Vec<Event>, ExitReason> {
        let begun = Instant::now();
        let mut outcome = enter(&mut state.life, command, turn).await;
        if let Some(trial) = &state.trial {
            trial.turn(begun.elapsed(), outcome.is_ok());
        }
        if state.before.is_none() {
            return outcome;
        }
        let spoiled = match &outcome {
            Err(reason) => Some((reason.clone(), false)),
            Ok(events) => unreadable(state, events).await.map(|why| (why, true)),
        };
        match spoiled {
            Some((reason, needs_reading)) => {
                self.take_back(state, &reason, needs_reading).await?;
                outcome = enter(&mut state.life, command, turn).await;
            }
            None if self.0.is_proven(&state.path) => self.keep(state),
            None => state.ahead = outcome.as_ref().map_or(0, Vec::len),
        }
        outcome
    }
}

/// Gives the code before what the new one wants to be written. Why it does not take it, if so: it is not at the same state then.
async fn unreadable(state: &mut GuestState, events: &[Event]) -> Option<ExitReason> {
    let before = state.before.as_mut()?;
    for event in events {
        if let Err(reason) = before.apply(event, true).await {
            let kind = crate::trap::printable(&event.kind);
            return Some(ExitReason::error_text(format!(
                "the code before does not read event {kind} version {}: {reason}",
                event.version
            )));
        }
    }
    None
}

async fn enter(
    life: &mut Life<Durable>,
    command: &GuestCommand,
    turn: &Decision<'_, DurableGuest>,
) -> Result<Vec<Event>, ExitReason> {
    let moment = Moment {
        now: Instant::now(),
        now_ms: turn.now_ms(),
        random: turn.random(),
        deadline: None,
    };
    let sandbox = life.sandbox();
    sandbox.timers = u32::try_from(turn.timers()).unwrap_or(u32::MAX);
    sandbox.timer_last = turn.number().saturating_mul(TIMERS_PER_TURN_MAX);
    let events = match command {
        GuestCommand::Message(message) => life.on_message(message.clone(), moment).await?,
        GuestCommand::Timer { timer, tag, .. } => life.on_timer(*timer, *tag, moment).await?,
    };
    check(life, &events)?;
    Ok(events)
}

/// Whether a turn's events can be written.
fn check(life: &mut Life<Durable>, events: &[Event]) -> Result<(), ExitReason> {
    for event in events {
        if let Some(fault) = event::fault(event) {
            return Err(ExitReason::error_text(fault));
        }
        if event.data.len() > EVENT_BYTES_MAX {
            return Err(ExitReason::error_text(format!(
                "an event has at most {EVENT_BYTES_MAX} bytes"
            )));
        }
        let bytes = event.data.len() + event.kind.len() + 64;
        if !life.sandbox().takes_bytes(bytes as u64) {
            return Err(ExitReason::Limit(Limit::HostBytes));
        }
    }
    Ok(())
}

fn timer_key(timer: u64) -> String {
    format!("guest-{timer}")
}

/// Hands what the guest has asked for in this turn to the decision, in its order. What is left are answers.
fn hand_over(
    state: &mut GuestState,
    command: &GuestCommand,
    turn: &mut Decision<'_, DurableGuest>,
) -> Vec<AclMessage> {
    if let GuestCommand::Timer {
        timer,
        every_ms: Some(every_ms),
        ..
    } = command
    {
        let at_ms = turn.now_ms().saturating_add(*every_ms);
        turn.schedule(&timer_key(*timer), at_ms, command);
    }
    let mut answers = Vec::new();
    let sandbox = state.life.sandbox();
    let mut effects = std::mem::take(&mut sandbox.turn.effects);
    for effect in effects.drain(..) {
        match effect {
            Effect::Send(to, message) if to.is_remote() => turn.tell_acl(to, message),
            Effect::Send(to, message) => turn.send_acl(&to.path().clone(), &message),
            Effect::Answer(message) => answers.push(message),
            Effect::After {
                id,
                milliseconds,
                tag,
                repeats,
            } => {
                let at_ms = turn.now_ms().saturating_add(milliseconds);
                let fired = GuestCommand::Timer {
                    timer: id,
                    tag,
                    // One that is always due would leave room for nothing else.
                    every_ms: repeats.then_some(milliseconds.max(1)),
                };
                turn.schedule(&timer_key(id), at_ms, &fired);
            }
            Effect::Cancel(id) => turn.cancel(&timer_key(id)),
        }
    }
    // The buffer is used again.
    sandbox.turn.effects = effects;
    answers
}

impl DurableBehaviour for DurableGuest {
    type State = GuestState;
    type Command = GuestCommand;
    type Event = Decided;
    type Answer = Vec<AclMessage>;

    const STATE_VERSION: u16 = 1;
    const BLOCKS: bool = true;
    const DECIDING_SPOILS: bool = true;

    async fn begin(&self, stream: &StreamName) -> Result<GuestState, Failure> {
        let path = Path::new(stream.as_str())?;
        self.begun(path).await.map_err(ended)
    }

    async fn restore(
        &self,
        stream: &StreamName,
        bytes: &[u8],
    ) -> Result<Option<GuestState>, Failure> {
        let Ok(Saved { version, bytes }) = postcard::from_bytes(bytes) else {
            return Ok(None);
        };
        let mut state = self.begin(stream).await?;
        let saved = SavedState { version, bytes };
        if state.life.restore(&saved).await.is_err() {
            return Ok(None);
        }
        if let Some(before) = &mut state.before
            && before.restore(&saved).await.is_err()
        {
            // It reads every event that was written since, so an older snapshot will do for both.
            return Ok(None);
        }
        Ok(Some(state))
    }

    async fn save(&self, state: &mut GuestState) -> Option<Vec<u8>> {
        let saved = match self.encoded(state).await {
            Ok(saved) => saved,
            Err(reason) => {
                let path = &state.path;
                tracing::warn!(%path, %reason, "a guest gives no snapshot");
                self.mend(state).await;
                return None;
            }
        };
        let (bytes, most) = (saved.bytes.len() as u64, self.0.limits.host_bytes);
        if bytes > most {
            let path = &state.path;
            tracing::warn!(%path, bytes, most, "a guest's snapshot is longer than it may be");
            return None;
        }
        let saved = Saved {
            version: saved.version,
            bytes: saved.bytes,
        };
        postcard::to_stdvec(&saved).ok()
    }

    async fn decide(
        &self,
        state: &mut GuestState,
        command: GuestCommand,
        turn: &mut Decision<'_, Self>,
    ) -> Result<Vec<AclMessage>, Failure> {
        if let GuestCommand::Message(message) = &command
            && let Some(answer) = too_long(message, self.0.limits.message_bytes)
        {
            return Ok(answer.into_iter().collect());
        }
        let events = self.decided(state, &command, turn).await.map_err(ended)?;
        let answers = hand_over(state, &command, turn);
        for event in events {
            turn.record(Decided(event));
        }
        Ok(answers)
    }

    async fn evolve(
        &self,
        state: &mut GuestState,
        Decided(event): &Decided,
    ) -> Result<(), Failure> {
        let was_ahead = state.ahead > 0;
        state.ahead = state.ahead.saturating_sub(1);
        if was_ahead && state.before.is_none() {
            // The code before has taken over in this very turn, and has applied this already.
            return Ok(());
        }
        match state.life.apply(event, false).await {
            Ok(()) => Ok(()),
            Err(reason) if state.before.is_some() => {
                let taken = self.take_back(state, &reason, false).await;
                taken.map_err(ended)
            }
            Err(reason) => Err(ended(reason)),
        }
    }

    async fn replay(&self, state: &mut GuestState, event: Written<'_>) -> Result<(), CodecError> {
        let event = event::read(event)?;
        let refused = |reason: ExitReason| CodecError::Refused(reason.to_string());
        if let Some(before) = &mut state.before {
            before.apply(&event, true).await.map_err(refused)?;
        }
        match state.life.apply(&event, true).await {
            Ok(()) => Ok(()),
            Err(reason) if state.before.is_some() => {
                self.take_back(state, &reason, false).await.map_err(refused)
            }
            Err(reason) => Err(refused(reason)),
        }
    }

    fn write(&self, Decided(event): &Decided) -> Result<EventData, CodecError> {
        event::write(event)
    }

    fn write_command(command: &GuestCommand) -> Result<Vec<u8>, CodecError> {
        command::write(command)
            .ok_or_else(|| CodecError::NotEncoded("a guest's command has no bytes".to_owned()))
    }

    fn read_command(payload: &[u8]) -> Option<GuestCommand> {
        command::read(payload)
    }

    fn acl_command(&self, message: &Arc<AclMessage>) -> Option<GuestCommand> {
        Some(GuestCommand::Message(message.clone()))
    }

    fn acl_answers(&self, _: &AclMessage, answers: Vec<AclMessage>, _: Asker) -> Vec<AclMessage> {
        answers
    }

    async fn aside(
        &self,
        state: &mut GuestState,
        message: Box<dyn Any + Send>,
        turn: &mut Turn<'_, DurableAgent<Self>>,
    ) -> Result<(), Failure> {
        match message.downcast::<Order>() {
            Ok(order) => {
                self.obey(state, *order, turn).await;
                Ok(())
            }
            Err(message) => {
                if let Ok(settlement) = message.downcast::<Settlement>() {
                    self.settle(state, *settlement, turn).await;
                }
                Ok(())
            }
        }
    }

    async fn stop(&self, state: &mut GuestState, reason: &ExitReason) {
        if let Err(reason) = state.life.on_stop(&reason.to_string()).await {
            let path = &state.path;
            tracing::warn!(%path, %reason, "a guest failed while it stopped");
        }
    }
}

/// The answer to a message that is longer than the guest takes: somebody else's doing, the guest does not pay for it with its life.
/// None when it is not; an empty one when nobody is to be told.
fn too_long(message: &AclMessage, most: u64) -> Option<Option<AclMessage>> {
    use swarm_protocols::Performative;
    let bytes = message.content.as_ref().map_or(0, Vec::len) as u64;
    if bytes <= most {
        return None;
    }
    if message.performative == Performative::Failure {
        return Some(None);
    }
    let mut answer = message.reply(Performative::Failure);
    let text = format!("{{\"error\":\"the message has {bytes} bytes, {most} are taken\"}}");
    answer.content = Some(text.into_bytes());
    Some(Some(answer))
}

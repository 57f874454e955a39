//! What a developer writes: the steps of a saga; and what a participant is given to answer with.

use super::agent::SagaCommand;
use super::machine::Outcome;
use crate::durable::{CodecError, Decider, Decision, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use swarm_protocols::Path;

/// A kind of saga: which steps there are, whom they are asked of, and how they are undone. All of it must be the same functions
/// of their arguments always, for as long as a saga of this kind is open.
pub trait Saga: Send + Sync + Sized + 'static {
    /// What one saga is about. Its bytes are in the journal.
    type Input: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// How many steps a saga has. Kept from its beginning on.
    fn steps(&self, input: &Self::Input) -> u32;

    /// Asks for a step (counted from 0), by [`StepRequest::ask`]. Nobody is asked: the step is performed.
    fn perform(&self, input: &Self::Input, step: u32, request: &mut StepRequest);

    /// Asks for a step to be undone. Nobody is asked, the default: there is nothing to undo.
    fn compensate(&self, input: &Self::Input, step: u32, request: &mut StepRequest) {
        let _ = (input, step, request);
    }

    /// How long a step may take before it is given up; `None`, the default: for ever.
    fn deadline(&self, input: &Self::Input, step: u32) -> Option<Duration> {
        let _ = (input, step);
        None
    }

    /// Tells somebody that a saga has ended, once and in order like every message between durable agents. By default nobody.
    /// The request's ticket is of no use then: what is told is not answered.
    fn ended(&self, input: &Self::Input, outcome: &Outcome, request: &mut StepRequest) {
        let _ = (input, outcome, request);
    }
}

/// What a participant answers with. It travels in the participant's own command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTicket {
    /// The saga.
    pub saga: String,
    /// The step, from 0.
    pub step: u32,
    /// Whether the step is to be undone.
    pub is_undo: bool,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepAnswer {
    /// Which one.
    pub ticket: StepTicket,
    /// Why it was refused; `None` when it was done.
    pub refused: Option<String>,
}

impl StepTicket {
    /// Tells the saga that it is done, in the same write as what was done. Only in the turn that the request came with.
    pub fn done<D: Decider>(self, turn: &mut Decision<'_, D>) {
        self.answer(turn, None);
    }

    /// Tells the saga that it is not done and will not be. Only in the turn that the request came with.
    pub fn refuse<D: Decider>(self, turn: &mut Decision<'_, D>, why: &str) {
        self.answer(turn, Some(why.to_owned()));
    }

    fn answer<D: Decider>(self, turn: &mut Decision<'_, D>, refused: Option<String>) {
        let Some(saga) = turn.from().cloned() else {
            // Whoever has sent this has no outbox, and is no saga.
            return;
        };
        let ticket = self;
        // Its bytes are the same for sagas of all kinds.
        let command = SagaCommand::<()>::Answered(StepAnswer { ticket, refused });
        turn.send_bytes(&saga, encode(&command));
    }
}

/// Whom a step is asked of, and with what.
#[derive(Debug)]
pub struct StepRequest {
    ticket: StepTicket,
    asked: Option<(Path, Result<Vec<u8>, CodecError>)>,
}

impl StepRequest {
    pub(super) fn new(saga: &str, step: u32, is_undo: bool) -> Self {
        Self {
            ticket: StepTicket {
                saga: saga.to_owned(),
                step,
                is_undo,
            },
            asked: None,
        }
    }

    /// What the participant is to answer with: part of the command that it is sent.
    #[must_use]
    pub fn ticket(&self) -> StepTicket {
        self.ticket.clone()
    }

    /// Asks the durable agent at `to`. A step asks one agent: a second call replaces the first.
    pub fn ask<To: Decider>(&mut self, to: &Path, command: &To::Command) {
        self.asked = Some((to.clone(), encode(command)));
    }

    pub(super) fn into_asked(self) -> Option<(Path, Result<Vec<u8>, CodecError>)> {
        self.asked
    }
}

//! The durable agent that carries sagas out.

use super::machine::{
    Outcome, Progress, SAGA_ID_BYTES_MAX, SAGAS_OPEN_MAX, SagaEvent, SagaRecord, SagaRecords,
    Trouble, Why,
};
use super::plan::{Saga, StepAnswer, StepRequest};
use crate::agent::Failure;
use crate::durable::{Decider, Decision};
use serde::{Deserialize, Serialize};
use swarm_protocols::Path;

/// The decider of a durable agent that carries out sagas of one kind, any number of them one after the other and up to
/// [`SAGAS_OPEN_MAX`] at once.
#[derive(Clone, Debug)]
pub struct Sagas<S>(pub S);

/// What it can be told. Frozen: answers stand first, so that their bytes are the same for all kinds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SagaCommand<I> {
    /// A participant says what became of a step.
    Answered(StepAnswer),
    /// Begin a saga, unless there is one with that id.
    Begin {
        /// Its id: 1 to [`SAGA_ID_BYTES_MAX`] bytes.
        id: String,
        /// What it is about.
        input: I,
    },
    /// Say where a saga is.
    Tell {
        /// Which one.
        id: String,
    },
    /// A step's deadline has come; only from a timer of its own.
    Overdue {
        /// Which saga.
        id: String,
        /// Which step.
        step: u32,
    },
}

/// What an asker is told.
pub type SagaAnswer = Result<SagaStatus, SagaRefused>;

/// Where a saga is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaStatus {
    /// It is under way.
    Open(Progress),
    /// It has ended.
    Ended(Outcome),
    /// Nothing is known of it: it was never begun, or has been forgotten.
    Unknown,
}

/// Why a saga was not begun. Nothing has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SagaRefused {
    /// As many are under way as can be. Try again later.
    #[error("{SAGAS_OPEN_MAX} sagas are under way, as many as can be at once")]
    Busy,
    /// Its id is too long, or empty.
    #[error("the id of a saga has 1 to {SAGA_ID_BYTES_MAX} bytes")]
    BadId,
}

impl<S: Saga> Decider for Sagas<S> {
    type State = SagaRecords<S::Input>;
    type Command = SagaCommand<S::Input>;
    type Event = SagaEvent<S::Input>;
    type Answer = SagaAnswer;

    fn decide(
        &self,
        state: &Self::State,
        command: Self::Command,
        turn: &mut Decision<'_, Self>,
    ) -> Result<SagaAnswer, Failure> {
        match command {
            SagaCommand::Begin { id, input } => Ok(self.begin(state, id, input, turn)),
            SagaCommand::Tell { id } => Ok(Ok(status(state, &id))),
            SagaCommand::Answered(answer) => {
                let id = answer.ticket.saga.clone();
                self.answered(state, answer, turn);
                Ok(Ok(status(state, &id)))
            }
            SagaCommand::Overdue { id, step } => {
                if let Some(record) = state.open.get(&id)
                    && record.progress == Progress::Performing(step)
                {
                    let trouble = Trouble {
                        step,
                        why: Why::Overdue,
                    };
                    self.fail(id.clone(), record.clone(), trouble, turn);
                }
                Ok(Ok(status(state, &id)))
            }
        }
    }

    fn evolve(&self, state: &mut Self::State, event: &Self::Event) {
        state.evolve(event);
    }
}

fn status<I: Clone>(state: &SagaRecords<I>, id: &str) -> SagaStatus {
    match state.open.get(id) {
        Some(record) => SagaStatus::Open(record.progress),
        None => state
            .outcome(id)
            .cloned()
            .map_or(SagaStatus::Unknown, SagaStatus::Ended),
    }
}

impl<S: Saga> Sagas<S> {
    fn begin(
        &self,
        state: &SagaRecords<S::Input>,
        id: String,
        input: S::Input,
        turn: &mut Decision<'_, Self>,
    ) -> SagaAnswer {
        let known = status(state, &id);
        if known != SagaStatus::Unknown {
            return Ok(known);
        }
        if id.is_empty() || id.len() > SAGA_ID_BYTES_MAX {
            return Err(SagaRefused::BadId);
        }
        if state.open.len() >= SAGAS_OPEN_MAX {
            return Err(SagaRefused::Busy);
        }
        let steps = self.0.steps(&input);
        turn.record(SagaEvent::Begun {
            id: id.clone(),
            input: input.clone(),
            steps,
        });
        let record = self.drive(&id, SagaRecord::new(input, steps), turn);
        Ok(match record.outcome() {
            Some(outcome) => SagaStatus::Ended(outcome),
            None => SagaStatus::Open(record.progress),
        })
    }

    /// Whom the step that a saga is at is asked of.
    fn asked_of(&self, id: &str, record: &SagaRecord<S::Input>) -> Option<Path> {
        let mut request = StepRequest::new(id, 0, false);
        match record.progress {
            Progress::Performing(step) => self.0.perform(&record.input, step, &mut request),
            Progress::Compensating(step) => self.0.compensate(&record.input, step, &mut request),
            Progress::Ended => {}
        }
        request.into_asked().map(|(to, _)| to)
    }

    /// What is not the answer to what was asked last is late, or comes from somebody else, and changes nothing.
    fn answered(
        &self,
        state: &SagaRecords<S::Input>,
        answer: StepAnswer,
        turn: &mut Decision<'_, Self>,
    ) {
        let StepAnswer { ticket, refused } = answer;
        let (id, step) = (ticket.saga, ticket.step);
        let Some(record) = state.open.get(&id) else {
            return;
        };
        let mut record = record.clone();
        if self.asked_of(&id, &record).as_ref() != turn.from() {
            return;
        }
        match (record.progress, ticket.is_undo, refused) {
            (Progress::Performing(at), false, None) if at == step => {
                record.performed(step);
                turn.cancel(&timer(&id, step));
                let id_of_event = id.clone();
                turn.record(SagaEvent::Performed {
                    id: id_of_event,
                    step,
                });
                self.drive(&id, record, turn);
            }
            (Progress::Performing(at), false, Some(why)) if at == step => {
                turn.cancel(&timer(&id, step));
                let why = Why::Refused(why);
                self.fail(id, record, Trouble { step, why }, turn);
            }
            (Progress::Compensating(at), true, refused) if at == step => {
                record.compensated(step, refused.is_none());
                turn.record(SagaEvent::Compensated {
                    id: id.clone(),
                    step,
                    refused,
                });
                self.drive(&id, record, turn);
            }
            _ => {}
        }
    }

    fn fail(
        &self,
        id: String,
        mut record: SagaRecord<S::Input>,
        trouble: Trouble,
        turn: &mut Decision<'_, Self>,
    ) {
        record.failed(trouble.clone());
        turn.record(SagaEvent::Failed {
            id: id.clone(),
            trouble,
        });
        self.drive(&id, record, turn);
    }

    /// Asks for what is to be done next. What needs nobody is done here and now.
    fn drive(
        &self,
        id: &str,
        mut record: SagaRecord<S::Input>,
        turn: &mut Decision<'_, Self>,
    ) -> SagaRecord<S::Input> {
        loop {
            match record.progress {
                Progress::Performing(step) => {
                    let mut request = StepRequest::new(id, step, false);
                    self.0.perform(&record.input, step, &mut request);
                    if let Some((to, bytes)) = request.into_asked() {
                        turn.send_bytes(&to, bytes);
                        self.set_deadline(id, &record.input, step, turn);
                        return record;
                    }
                    let id = id.to_owned();
                    turn.record(SagaEvent::Performed { id, step });
                    record.performed(step);
                }
                Progress::Compensating(step) => {
                    let mut request = StepRequest::new(id, step, true);
                    self.0.compensate(&record.input, step, &mut request);
                    if let Some((to, bytes)) = request.into_asked() {
                        turn.send_bytes(&to, bytes);
                        return record;
                    }
                    turn.record(SagaEvent::Compensated {
                        id: id.to_owned(),
                        step,
                        refused: None,
                    });
                    record.compensated(step, true);
                }
                Progress::Ended => {
                    if let Some(outcome) = record.outcome() {
                        let mut request = StepRequest::new(id, record.steps, false);
                        self.0.ended(&record.input, &outcome, &mut request);
                        if let Some((to, bytes)) = request.into_asked() {
                            turn.send_bytes(&to, bytes);
                        }
                    }
                    return record;
                }
            }
        }
    }

    fn set_deadline(&self, id: &str, input: &S::Input, step: u32, turn: &mut Decision<'_, Self>) {
        if let Some(within) = self.0.deadline(input, step) {
            let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            let overdue = SagaCommand::Overdue {
                id: id.to_owned(),
                step,
            };
            let at_ms = turn.now_ms().saturating_add(within);
            turn.schedule(&timer(id, step), at_ms, &overdue);
        }
    }
}

/// The key of a step's deadline.
fn timer(id: &str, step: u32) -> String {
    format!("{id}#{step}")
}

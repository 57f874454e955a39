//! Sagas: work in steps over several durable agents, in which what was done is undone, in reverse order, when a step fails.
//!
//! There is no lock and no transaction over several agents: each step is one turn of one agent, and others see what it did before
//! the saga has ended. What is promised instead: a saga that was begun ends, *completed* or *undone*, whatever is killed. It is a
//! record of a durable agent ([`Sagas`]), so it is resumed after a crash at the step where it was; its requests go through that
//! agent's outbox and are applied once; its deadlines are durable timers.
//!
//! - A step is *performed* when its participant says so ([`StepTicket::done`]). The next one begins with the same journal write.
//! - A step that is *refused* ([`StepTicket::refuse`]) did nothing; the steps before it are undone, the last one first.
//! - A step that is *overdue* may have been done or be done later, so it is undone as well: its participant gets the
//!   compensation behind the request, because messages between two durable agents keep their order.
//! - A compensation has no deadline and is sent until it is answered. It must be harmless where the step was refused. One that is
//!   refused is noted in the outcome; the others are undone all the same.
//!
//! After Garcia-Molina and Salem, *Sagas* (SIGMOD 1987), with backward recovery only.

mod agent;
mod machine;
mod plan;

pub use agent::{SagaAnswer, SagaCommand, SagaRefused, SagaStatus, Sagas};
pub use machine::{
    Outcome, Progress, SAGA_ID_BYTES_MAX, SAGAS_ENDED_KEPT, SAGAS_OPEN_MAX, SagaEvent, SagaRecord,
    SagaRecords, Trouble, Why,
};
pub use plan::{Saga, StepAnswer, StepRequest, StepTicket};

//! "What happens when this child dies?", answered before it does: plays a script of exits, failed starts and calls
//! against a tree, on the real supervisors, with scripted children, in virtual time.
//!
//! ```
//! use swarm_supervisors::scenario::{Scenario, StepEvent, run};
//!
//! let scenario = Scenario::from_json(
//!     r#"{"supervisor": {"strategy": "rest_for_one",
//!                        "children": [{"id": "db"}, {"id": "cache"}, {"id": "web"}]},
//!         "script": [{"at_ms": 10, "exit": "cache", "reason": "crash"}]}"#,
//! )?;
//! let restarted: Vec<String> = run(&scenario)?
//!     .into_iter()
//!     .filter(|step| step.t == 10 && step.event == StepEvent::Started)
//!     .map(|step| step.id)
//!     .collect();
//! assert_eq!(restarted, ["cache", "web"]);
//! # Ok::<(), swarm_supervisors::scenario::ScenarioError>(())
//! ```

mod actors;
mod format;
mod play;
mod stage;

pub use format::{
    AutoShutdownWord, CallScript, CallWord, ChildScript, Entry, ExitWord, Happening, RestartWord,
    Scenario, ShutdownWord, StartWord, StrategyWord, SupervisorScript,
};
pub use play::run;
pub use stage::{Step, StepEvent, StepReason};

use crate::spec::SpecError;
use swarm_protocols::NameError;

/// The longest time that a scenario may name, in milliseconds: eleven days and a half.
pub const MS_MAX: u64 = 1_000_000_000;

/// The most steps that a run may have. A scenario with an intensity of millions and a start that always fails would
/// otherwise fill the memory before its supervisor gives up.
pub const STEPS_MAX: usize = 1_000_000;

/// Why a scenario could not be played. The same scenario fails again.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It is not JSON, or not of the form of a scenario.
    #[error("not a scenario: {0}")]
    Form(#[from] serde_json::Error),
    /// An id is not a name.
    #[error("{at}: {id:?} is not an id: {cause}")]
    Id {
        /// Where in the scenario.
        at: String,
        /// The offending id.
        id: String,
        /// What is wrong with it.
        #[source]
        cause: NameError,
    },
    /// The flags and children of a supervisor do not fit together.
    #[error("supervisor {supervisor}: {cause}")]
    Spec {
        /// Which supervisor.
        supervisor: String,
        /// What is wrong with it.
        #[source]
        cause: SpecError,
    },
    /// A part is missing or does not belong there.
    #[error("{at}: {problem}")]
    Part {
        /// Where in the scenario.
        at: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A time is longer than scenarios may be.
    #[error("{at}: at most {MS_MAX} ms, not {ms}")]
    TooLong {
        /// Where in the scenario.
        at: String,
        /// The offending time.
        ms: u64,
    },
    /// The run was ended because it did not come to an end by itself.
    #[error(
        "more than {STEPS_MAX} steps: lower the intensity of the supervisor that restarts without end"
    )]
    TooManySteps,
    /// The player itself failed, which is a bug in it.
    #[error("the player failed: {0}")]
    Player(String),
}

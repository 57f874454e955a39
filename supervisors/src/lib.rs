//! OTP supervision: who restarts whom, when, how often, and who goes down with whom.
//!
//! A pure decision [`core`], written row by row after OTP's `supervisor`, and the ractor actors that carry it out. It
//! drives children through one trait, [`StartChild`], and knows nothing of agents, messages or clusters. Plain ractor
//! actors are supervised through [`plain::PlainActor`], which has an example.
//!
//! - [`start_root`] starts a tree from a [`SupervisorInit`]; dropping its [`Root`] kills it.
//! - [`SupervisorRef`] is a running supervisor: children are started, stopped, listed and counted through it.
//! - [`Env`] is what a tree gets from outside: clock, addresses, chance, and the [`Observer`] of its reports.
//! - `scenario` (feature `scenario`) plays what would happen, on the same supervisors.
//!
//! Guaranteed is what the conformance table says (`docs/otp-conformance.md`), each row by a test of its number. Not
//! guaranteed: the order in which `simple_one_for_one` instances stop, and that a killed child's code has stopped running
//! when it does not yield: its life is over, and what it still does is its own affair.
//!
//! # What cannot be written down
//!
//! Some mistakes that OTP finds when a supervisor starts are found by the compiler. A negative intensity (S10):
//!
//! ```compile_fail
//! # use swarm_supervisors::SupervisorFlags;
//! # use std::time::Duration;
//! let flags = SupervisorFlags::default().intensity(-1, Duration::from_secs(5));
//! ```
//!
//! A child spec without a start function (S27):
//!
//! ```compile_fail
//! # use swarm_supervisors::ChildSpec;
//! let spec = ChildSpec::new("a".parse().unwrap());
//! ```
//!
//! A restart type that does not exist, and a shutdown that is no time (S28):
//!
//! ```compile_fail
//! # use swarm_supervisors::Restart;
//! let restart = Restart::Prmanent;
//! ```
//!
//! ```compile_fail
//! # use swarm_supervisors::Shutdown;
//! let shutdown = Shutdown::Timeout(-10);
//! ```
//!
//! An init that returns something else than a spec, nothing, or a reason (S03):
//!
//! ```compile_fail
//! # use swarm_supervisors::{Env, start_root};
//! let root = start_root(Env::seeded(1), || "junk");
//! ```

mod child;
mod contain;
pub mod core;
mod env;
pub mod plain;
mod report;
#[cfg(feature = "scenario")]
pub mod scenario;
mod spec;
pub mod supervisor;

pub use child::{Child, Disposition, Info, StartChild, StartError, Started};
pub use env::Env;
pub use report::{
    Context, FormatLimits, Level, Observer, Offender, OffenderPid, ProgressReport, Report,
    ReportReason, SupervisorReport, TracingObserver,
};
pub use spec::{
    AutoShutdown, Backoff, ChildSpec, ChildType, Restart, Shutdown, SpecError, Strategy,
    SupervisorFlags, SupervisorInit, SupervisorSpec, Window, check_childspecs,
};
pub use supervisor::{
    Args, CallError, ChildEntry, ChildKey, ChildStarted, ChildState, Counts, Link, Root, SpecView,
    SupervisorChild, SupervisorRef, start_root, start_root_at,
};

//! OTP supervision: who restarts whom, when, how often, and who goes down with whom.
//!
//! A pure decision core, written row by row after OTP's `supervisor`, and the ractor actors that carry it out. It drives
//! children through one trait, [`StartChild`], and knows nothing of agents, messages or clusters.

mod child;
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
    SupervisorChild, SupervisorRef, start_root,
};

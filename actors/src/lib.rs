//! Agents: named, addressed, supervised units with a mailbox that outlives their crashes.
//!
//! A developer writes an [`Agent`] and describes it with an [`AgentSpec`]; a supervisor of `swarm-supervisors` starts it in
//! a [`System`]. Its *cell* (address, mailbox, name, groups) stays while one life of its behaviour follows the other. Each
//! message is handled in a [`Turn`], whose effects take place all at once when it ends well, and not at all when it crashes.

mod agent;
mod alarms;
mod ask;
mod cell;
pub mod chaos;
pub mod conversation;
mod dead_letters;
pub mod durable;
mod error_class;
mod events;
mod fault;
mod gateway;
mod groups;
mod hooks;
mod info;
pub mod journal;
mod letter;
pub mod lifecycle;
mod mailbox;
mod outgoing;
mod panics;
pub mod platform;
pub mod projection;
mod recorder;
mod reference;
mod registry;
mod remote;
pub mod saga;
mod services;
mod signal;
mod spec;
pub mod state;
mod sync;
mod sync_plain;
mod system;
pub mod testkit;
mod timers;
mod transport;
mod turn;
mod watchdog;

pub use agent::{Agent, EndWith, Failure, Init, Message, NoMessage};
pub use ask::{AskError, ReplyTo};
pub use cell::core::BONDS_PER_AGENT_MAX;
pub use dead_letters::{
    DEAD_LETTER_BYTES_MAX, DEAD_LETTERS_DEFAULT, DeadLetter, DeadLetters, DeathCause, ReplayError,
};
pub use error_class::{Classify, ErrorClass, ErrorKind, Recovery, Severity};
pub use events::{EVENT_HISTORY_DEFAULT, Event, EventStream, What};
pub use fault::{FAULTS_PER_AGENT_MAX, Fault, When};
pub use gateway::AclGateway;
pub use hooks::{Admission, AdmissionHook, Hooks, TurnEnd, TurnHook, TurnView};
pub use info::{ActorDetail, ActorInfo, ActorState};
pub use letter::LetterKind;
pub use panics::install_panic_hook;
pub use recorder::{CrashReport, FLIGHT_RECORDER_ENTRIES, FlightRecord, SpecRecord};
pub use reference::{AgentRef, AnyRef, NotSent, SendError, SendOptions};
pub use remote::codec::MessageCodec;
pub use services::{SERVICES_PATH, is_service};
pub use signal::{Down, Exit, GroupChange, MonitorId, NameNews, WatchEvent, Watched};
pub use spec::{
    AgentSpec, MAILBOX_CAPACITY_DEFAULT, MailboxOptions, OnCrash, OnNameConflict, Placement,
    WhenFull,
};
pub use system::{CRASH_REPORTS_DEFAULT, SEND_LIMIT_DEFAULT, System, SystemOptions, WeakSystem};
pub use timers::{TIMERS_PER_AGENT_MAX, TimerId};
pub use transport::{NotCarried, Parcel, Place, Transport, Window};
pub use turn::{EFFECTS_PER_TURN_MAX, Turn, TurnError};
pub use watchdog::{STUCK_AFTER, WATCHDOG_INTERVAL_DEFAULT, Watchdog};

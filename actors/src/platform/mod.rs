//! The two agents that FIPA wants on every platform: the AMS and the DF (FIPA SC00023K, fipa.md e).
//!
//! What they answer is decided in `swarm_protocols::platform`; here they are supervised agents, registered as `ams` and `df`,
//! in the node's own tree (see [`SERVICES_PATH`](crate::SERVICES_PATH)). What the DF knows lies outside of its behaviour: a
//! crash loses no entry and no subscription.
//!
//! Whoever sends is taken for what the system knows of it, not for what the message says: an agent of this node by its
//! address, an agent of another platform by where the message came in. What each may change is told by [`Rights`].

mod ams;
mod asker;
mod df;

pub use ams::AmsMessage;
pub use asker::{Asker, OwnAlone, Rights};
pub use df::DfMessage;

use crate::ask::AskError;
use crate::reference::AgentRef;
use crate::spec::AgentSpec;
use crate::system::System;
use ams::AmsAgent;
use df::{DfAgent, Memory};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::platform::{Df, DfLimits};
use swarm_protocols::{AclMessage, Aid, Name, Timestamp};
use swarm_supervisors::{StartError, SupervisorFlags, SupervisorSpec};

/// How the platform's agents are set up.
#[derive(Clone)]
pub struct PlatformOptions {
    /// The platform's name: what follows the `@` of its agents.
    pub name: String,
    /// What the DF takes at most.
    pub df: DfLimits,
    /// Who may change what.
    pub rights: Arc<dyn Rights>,
}

impl PlatformOptions {
    /// A platform whose agents change what is their own and nobody else does.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            df: DfLimits::default(),
            rights: Arc::new(OwnAlone::default()),
        }
    }
}

/// The running AMS and DF, for whoever operates the node: what is asked through this may do everything.
#[derive(Clone)]
pub struct Platform {
    name: Arc<str>,
    ams: AgentRef<AmsMessage>,
    df: AgentRef<DfMessage>,
}

impl Platform {
    /// Starts both, as the system's [services](System::start_services).
    ///
    /// # Errors
    /// Why they did not start: another agent is registered as `ams` or `df`, or services run already.
    ///
    /// # Panics
    /// Never: the names are names.
    pub async fn start(system: &System, options: PlatformOptions) -> Result<Self, StartError> {
        let (ams, df) = (name("ams"), name("df"));
        let aid = |local: &Name| Aid::named(format!("{local}@{}", options.name));
        let memory = Arc::new(Memory::new(Df::new(aid(&df), options.df.clone())));
        let df_agent = {
            let (options, memory) = (options.clone(), memory);
            let make = move || DfAgent::new(options.clone(), memory.clone());
            AgentSpec::new("df", make).expect("it is a name")
        };
        let ams_agent = {
            let (options, aid) = (options.clone(), aid(&ams));
            let make = move || AmsAgent::new(options.clone(), aid.clone());
            AgentSpec::new("ams", make).expect("it is a name")
        };
        let children = vec![
            ams_agent.kind("ams").registered(ams.clone()).child(system),
            df_agent.kind("df").registered(df.clone()).child(system),
        ];
        let flags = SupervisorFlags::default().intensity(10, Duration::from_secs(10));
        let spec = SupervisorSpec::new(flags, children);
        system.start_services(spec).await?;
        match (typed(system, &ams), typed(system, &df)) {
            (Some(ams), Some(df)) => Ok(Self {
                name: options.name.into(),
                ams,
                df,
            }),
            // Gone again before they were seen: as a start that failed.
            _ => Err(StartError::Failed(swarm_protocols::ExitReason::error_text(
                "the platform's agents ended at once",
            ))),
        }
    }

    /// The platform's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the DF with all rights.
    ///
    /// # Errors
    /// [`AskError`]; whether it was done is unknown after a time-out.
    pub async fn ask_df(
        &self,
        message: AclMessage,
        within: Duration,
    ) -> Result<AclMessage, AskError> {
        let message = Box::new(message);
        let ask = |reply| DfMessage::Operator { message, reply };
        self.df.ask(ask, within).await
    }

    /// Asks the AMS with all rights.
    ///
    /// # Errors
    /// [`AskError`]; whether it was done is unknown after a time-out.
    pub async fn ask_ams(
        &self,
        message: AclMessage,
        within: Duration,
    ) -> Result<AclMessage, AskError> {
        let message = Box::new(message);
        let ask = |reply| AmsMessage::Operator { message, reply };
        self.ams.ask(ask, within).await
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("it is a name")
}

fn typed<M: crate::Message>(system: &System, name: &Name) -> Option<AgentRef<M>> {
    system.whereis(name)?.typed()
}

/// The system's wall clock, as FIPA's dates have it.
fn now(system: &System) -> Timestamp {
    let millis = i64::try_from(system.wall_ms()).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)
}

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
pub use df::{BadEntry, DfMessage};

use crate::ask::AskError;
use crate::reference::AgentRef;
use crate::spec::AgentSpec;
use crate::system::{System, WeakSystem};
use ams::AmsAgent;
use df::{DfAgent, Memory};
use std::collections::BTreeMap;
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
    memory: Arc<Memory>,
    clock: WeakSystem,
}

impl Platform {
    /// Starts both, as the system's [services](System::start_services). The system's agents are called by the platform's name
    /// from then on.
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
            let (options, memory) = (options.clone(), memory.clone());
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
        // Services that run refuse a second platform before this.
        let _ = system.platform_slot().set(options.name.clone());
        match (typed(system, &ams), typed(system, &df)) {
            (Some(ams), Some(df)) => Ok(Self {
                name: options.name.into(),
                ams,
                df,
                memory,
                clock: system.downgrade(),
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

    /// A number that is another one whenever an entry of this node's DF was made, changed or removed.
    #[must_use]
    pub fn df_revision(&self) -> u64 {
        self.memory.revision()
    }

    /// What this node's DF has entered itself, by the names of the agents, as SL: for the DFs of the platform's other nodes.
    #[must_use]
    pub fn df_entries(&self) -> BTreeMap<String, String> {
        self.memory.entries()
    }

    /// The DF of another node of the platform, `node`, has entered or changed `agent`, or removed it (`None`): searches find it from now on,
    /// and subscribers are told.
    ///
    /// # Errors
    /// [`BadEntry`]: the entry is no `df-agent-description` of that agent. Nothing was changed.
    pub fn df_hear(&self, node: &str, agent: &str, entry: Option<&str>) -> Result<(), BadEntry> {
        let Some(system) = self.clock.upgrade() else {
            return Ok(());
        };
        if self.memory.hear(node, agent, entry, now(&system))? {
            // Full, or between two lives: it says with its next turn what is to be said.
            let _ = self.df.try_send(DfMessage::Due);
        }
        Ok(())
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

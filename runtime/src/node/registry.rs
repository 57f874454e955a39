//! The native behaviours of a program: what the word in `behaviour = "…"` stands for.

use crate::manifest::{self, BehaviourCatalogue, ConfigFault, OnCrash, TurnDeadline, WhenFull};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_actors::{Agent, AgentSpec, MailboxOptions, Placement, System};
use swarm_supervisors::ChildSpec;

/// The behaviours that a program has. Made once, at its start, and handed to the node; nothing is registered behind its back.
///
/// ```
/// # use swarm_runtime::node::Behaviours;
/// # use swarm_actors::{Agent, Failure, NoMessage, Turn};
/// struct Quiet;
///
/// impl Agent for Quiet {
///     type Message = NoMessage;
///     async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
///         match message {}
///     }
/// }
///
/// let behaviours = Behaviours::new().with("quiet", "says nothing", |_config| Ok(|| Quiet));
/// assert_eq!(behaviours.list().collect::<Vec<_>>(), [("quiet", "says nothing")]);
/// ```
#[derive(Clone, Default)]
pub struct Behaviours {
    known: BTreeMap<&'static str, Known>,
}

#[derive(Clone)]
struct Known {
    about: &'static str,
    factory: Arc<dyn Factory>,
}

/// A behaviour whose Rust type has been forgotten.
trait Factory: Send + Sync {
    fn check(&self, config: &Value) -> Result<(), ConfigFault>;
    fn specs(
        &self,
        agent: &manifest::Agent,
        system: &System,
    ) -> Result<Vec<ChildSpec>, ConfigFault>;
}

struct Configured<F>(F);

impl<F, M, A> Factory for Configured<F>
where
    F: Fn(&Value) -> Result<M, ConfigFault> + Send + Sync,
    M: Fn() -> A + Send + Sync + 'static,
    A: Agent,
{
    fn check(&self, config: &Value) -> Result<(), ConfigFault> {
        (self.0)(config).map(drop)
    }

    fn specs(
        &self,
        agent: &manifest::Agent,
        system: &System,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        let make = (self.0)(&agent.config)?;
        let id = agent
            .path
            .name()
            .expect("only supervisors stand at the root");
        let mut spec = AgentSpec::new(id.as_str(), make)
            .expect("a part of a path is a name")
            .restart(agent.child.restart)
            .shutdown(agent.child.shutdown)
            .significant(agent.child.significant)
            .mailbox(mailbox(agent.mailbox))
            .groups(agent.groups.clone());
        if let Some(delay) = agent.child.restart_delay {
            spec = spec.restart_delay(delay);
        }
        if let Some(timeout) = agent.child.start_timeout {
            spec = spec.start_timeout(timeout);
        }
        if let Some(name) = &agent.registered {
            spec = spec.registered(name.clone());
        }
        if let Some(idle) = agent.sleep_after {
            spec = spec.sleep_after(idle);
        }
        if agent.dedicated {
            spec = spec.placement(Placement::Dedicated);
        }
        match agent.turn_deadline {
            TurnDeadline::Default => {}
            TurnDeadline::Within(deadline) => spec = spec.turn_deadline(Some(deadline)),
            TurnDeadline::Unlimited => spec = spec.turn_deadline(None),
        }
        Ok(match agent.replicas {
            None => vec![spec.child(system)],
            Some(replicas) => spec.replicas(system, replicas),
        })
    }
}

fn mailbox(mailbox: manifest::Mailbox) -> MailboxOptions {
    MailboxOptions {
        capacity: mailbox.capacity,
        when_full: match mailbox.when_full {
            WhenFull::Wait => swarm_actors::WhenFull::Wait,
            WhenFull::Fail => swarm_actors::WhenFull::Fail,
            WhenFull::DropOldest => swarm_actors::WhenFull::DropOldest,
        },
        on_crash: match mailbox.on_crash {
            OnCrash::Keep => swarm_actors::OnCrash::Keep,
            OnCrash::Drop => swarm_actors::OnCrash::Drop,
        },
        redeliver: mailbox.redeliver,
        ..MailboxOptions::default()
    }
}

impl Behaviours {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These and `name`. `configure` gets the agent's `config` from the manifest (an object, empty unless given), refuses
    /// what it does not know, and returns what makes the behaviour of each life. A name that is there already is replaced.
    #[must_use]
    pub fn with<F, M, A>(mut self, name: &'static str, about: &'static str, configure: F) -> Self
    where
        F: Fn(&Value) -> Result<M, ConfigFault> + Send + Sync + 'static,
        M: Fn() -> A + Send + Sync + 'static,
        A: Agent,
    {
        let factory = Arc::new(Configured(configure));
        self.known.insert(name, Known { about, factory });
        self
    }

    /// All names with what they are for, sorted.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.known.iter().map(|(name, known)| (*name, known.about))
    }

    /// The child specs of a declared agent: one, or one for each replica.
    pub(super) fn specs(
        &self,
        agent: &manifest::Agent,
        system: &System,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        match self.known.get(agent.behaviour.as_str()) {
            Some(known) => known.factory.specs(agent, system),
            None => Err(ConfigFault {
                key: None,
                message: format!(
                    "there is no behaviour {:?} in this program",
                    agent.behaviour.as_str()
                ),
                suggestion: None,
            }),
        }
    }
}

impl BehaviourCatalogue for Behaviours {
    fn names(&self) -> Vec<&str> {
        self.known.keys().copied().collect()
    }

    fn check(&self, name: &str, config: &Value) -> Result<(), ConfigFault> {
        match self.known.get(name) {
            Some(known) => known.factory.check(config),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Behaviours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

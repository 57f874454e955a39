//! The native behaviours of a program: what the word in `behaviour = "…"` stands for.

use super::past::{Historian, PastState};
use super::upgrades::Upgrades;
use crate::manifest::component::{Class, Wasm};
use crate::manifest::{
    self, BehaviourCatalogue, Code, ConfigFault, OnCrash, TurnDeadline, WhenFull,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use swarm_actors::durable::{
    self, CodecError, Decider, Durability, DurableBehaviour, DurableSpec, Form, RecoveryFailed,
    SnapshotPolicy, Stored,
};
use swarm_actors::journal::{Journal, Recorded, Seq, StreamName};
use swarm_actors::projection::{Projection, ProjectionAgent};
use swarm_actors::{Agent, AgentSpec, MailboxOptions, Placement, System};
use swarm_journal::DiskJournal;
use swarm_protocols::{AclMessage, Name, Performative};
use swarm_supervisors::ChildSpec;
use swarm_tools::Tools;

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
    components: Option<Arc<dyn Components>>,
    /// The journal of the node that these run on, once it is open.
    durability: Arc<OnceLock<Durability>>,
    disk: Arc<OnceLock<DiskJournal>>,
    /// Held by whoever opens it.
    opening: Arc<tokio::sync::Mutex<()>>,
}

/// What runs WebAssembly agents, for a program that does.
pub trait Components: Send + Sync {
    /// Looks at a component without compiling it: whether it is one, and imports no more than it is granted.
    ///
    /// # Errors
    /// [`ConfigFault`], whose key is one of the agent's own.
    fn check(&self, wasm: &Wasm) -> Result<(), ConfigFault>;

    /// Makes room for so many agents of each class.
    ///
    /// # Errors
    /// [`ConfigFault`] when they do not fit; says how many do.
    fn reserve(&self, agents: &BTreeMap<Class, u64>) -> Result<(), ConfigFault>;

    /// Compiles an agent's component and gives its child specs. Its agents call the node's `tools`, as far as they are granted;
    /// durable ones keep what happens in the node's journal.
    /// May block for seconds.
    ///
    /// # Errors
    /// [`ConfigFault`] when the component cannot be run.
    fn specs(
        &self,
        agent: &manifest::Agent,
        wasm: &Wasm,
        system: &System,
        tools: &Tools,
        durability: Option<&Durability>,
    ) -> Result<Vec<ChildSpec>, ConfigFault>;

    /// What reads the past of a durable agent; none when it has none. Compiles its component; may block for seconds.
    fn historian(
        &self,
        wasm: &Wasm,
        config: &Value,
    ) -> Option<Result<Box<dyn Historian>, ConfigFault>> {
        let _ = (wasm, config);
        None
    }

    /// Compiles a component and checks its types, as a start would.
    ///
    /// # Errors
    /// [`ConfigFault`] when the component cannot be run.
    fn compile(&self, wasm: &Wasm) -> Result<(), ConfigFault>;

    /// What changes the code of agents that run. Nothing does unless it says so.
    fn upgrades(&self) -> Option<&dyn Upgrades> {
        None
    }
}

#[derive(Clone)]
struct Known {
    about: &'static str,
    factory: Arc<dyn Factory>,
}

/// A behaviour whose Rust type has been forgotten.
trait Factory: Send + Sync {
    /// Whether its agents are durable.
    fn is_durable(&self) -> bool {
        false
    }

    /// Whether its agents need the node's journal.
    fn needs_journal(&self) -> bool {
        self.is_durable()
    }

    fn check(&self, config: &Value) -> Result<(), ConfigFault>;

    /// What reads the past of its agents; none when they have none.
    fn historian(&self, config: &Value) -> Option<Result<Box<dyn Historian>, ConfigFault>> {
        let _ = config;
        None
    }

    fn specs(
        &self,
        agent: &manifest::Agent,
        system: &System,
        durability: Option<&Durability>,
    ) -> Result<Vec<ChildSpec>, ConfigFault>;
}

/// A decider that is not at work.
struct Retrospect<D>(D);

impl<D: Decider> Historian for Retrospect<D> {
    fn state_at(
        &self,
        journal: &dyn Journal,
        stream: &StreamName,
        at: Option<Seq>,
    ) -> Result<PastState, RecoveryFailed> {
        let then = durable::state_at(&self.0, journal, stream, at)?;
        Ok(PastState {
            seq: then.seq,
            // A map with keys that are no text is all that JSON has no form for.
            state: serde_json::to_value(&then.state)
                .unwrap_or_else(|error| Value::String(error.to_string())),
        })
    }

    fn event(&self, recorded: &Recorded) -> Result<Vec<Value>, CodecError> {
        let form = Form {
            type_id: recorded.data.type_id,
            version: recorded.data.version,
        };
        let events = D::Event::read(form, &recorded.data.payload)?;
        events
            .iter()
            .map(|event| {
                serde_json::to_value(event)
                    .map_err(|error| CodecError::NotEncoded(error.to_string()))
            })
            .collect()
    }
}

struct Configured<F>(F);

struct Durable<F>(F);

struct Projected<F>(F);

impl<F, P> Factory for Projected<F>
where
    F: Fn(&Value) -> Result<P, ConfigFault> + Send + Sync,
    P: Projection + Clone,
{
    fn needs_journal(&self) -> bool {
        true
    }

    fn check(&self, config: &Value) -> Result<(), ConfigFault> {
        (self.0)(config).map(drop)
    }

    fn specs(
        &self,
        agent: &manifest::Agent,
        system: &System,
        durability: Option<&Durability>,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        let projection = (self.0)(&agent.config)?;
        let durability = durability.ok_or_else(no_journal)?.clone();
        if agent.replicas.is_some() {
            return Err(ConfigFault {
                key: Some("replicas".to_owned()),
                message: "a projection is one agent: replicas would save the same view".to_owned(),
                suggestion: Some("leave it out".to_owned()),
            });
        }
        // Names of streams begin with no slash but those of agents.
        let name = agent.path.as_str().trim_start_matches('/').to_owned();
        let make = move || {
            ProjectionAgent::new(projection.clone(), &name, &durability).answering(tell_view)
        };
        Ok(specs_of(agent, "projection", make, system))
    }
}

/// A view as JSON, to whoever asks.
fn tell_view<V: Serialize>(view: &V, message: &AclMessage) -> AclMessage {
    match message.performative {
        Performative::Request | Performative::QueryRef => {
            let mut answer = message.reply(Performative::Inform);
            answer.language = Some("application/json".into());
            // A map with keys that are no text is all that JSON has no form for.
            answer.content = serde_json::to_vec(view).ok();
            answer
        }
        _ => message.reply(Performative::NotUnderstood),
    }
}

fn no_journal() -> ConfigFault {
    ConfigFault {
        key: None,
        message: "this node has no journal for a durable agent".to_owned(),
        suggestion: Some("swarmctl up --data DIR".to_owned()),
    }
}

impl<F, D> Factory for Durable<F>
where
    F: Fn(&Value) -> Result<D, ConfigFault> + Send + Sync,
    D: Decider,
{
    fn is_durable(&self) -> bool {
        true
    }

    fn check(&self, config: &Value) -> Result<(), ConfigFault> {
        (self.0)(config).map(drop)
    }

    fn historian(&self, config: &Value) -> Option<Result<Box<dyn Historian>, ConfigFault>> {
        let decider = (self.0)(config);
        Some(decider.map(|decider| Box::new(Retrospect(decider)) as Box<_>))
    }

    fn specs(
        &self,
        agent: &manifest::Agent,
        system: &System,
        durability: Option<&Durability>,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        let fault = |message: &str, suggestion: &str| ConfigFault {
            key: None,
            message: message.to_owned(),
            suggestion: Some(suggestion.to_owned()),
        };
        let decider = (self.0)(&agent.config)?;
        let durability = durability.ok_or_else(no_journal)?;
        if agent.mailbox.when_full == WhenFull::DropOldest {
            return Err(fault(
                "a durable agent's mailbox drops nothing",
                "when_full = \"wait\"",
            ));
        }
        let spec = DurableSpec::new(id_of(agent).as_str(), decider, durability)
            .expect("a part of a path is a name")
            .map(|spec| as_declared(spec, agent));
        Ok(children_of(spec, agent, system))
    }
}

/// The child specs of a declared durable agent, one or one for each replica.
///
/// # Errors
/// [`ConfigFault`] on a node without a journal.
pub fn durable_specs_of<B: DurableBehaviour>(
    agent: &manifest::Agent,
    kind: &'static str,
    behaviour: B,
    snapshots: SnapshotPolicy,
    system: &System,
    durability: Option<&Durability>,
) -> Result<Vec<ChildSpec>, ConfigFault> {
    let durability = durability.ok_or_else(no_journal)?;
    let id = id_of(agent);
    let spec = DurableSpec::with_snapshots(id.as_str(), behaviour, durability, snapshots)
        .expect("a part of a path is a name")
        .map(|spec| as_declared(spec.kind(kind), agent));
    Ok(children_of(spec, agent, system))
}

fn children_of<B: DurableBehaviour>(
    spec: DurableSpec<B>,
    agent: &manifest::Agent,
    system: &System,
) -> Vec<ChildSpec> {
    match agent.replicas {
        None => vec![spec.child(system)],
        Some(replicas) => spec.replicas(system, replicas),
    }
}

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
        _: Option<&Durability>,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        Ok(specs_of(agent, "native", (self.0)(&agent.config)?, system))
    }
}

/// The child specs of a declared agent, one or one for each replica, whose lives are made by `make`.
pub fn specs_of<M, A>(
    agent: &manifest::Agent,
    kind: &'static str,
    make: M,
    system: &System,
) -> Vec<ChildSpec>
where
    M: Fn() -> A + Send + Sync + 'static,
    A: Agent,
{
    let spec = AgentSpec::new(id_of(agent).as_str(), make)
        .expect("a part of a path is a name")
        .kind(kind);
    let spec = as_declared(spec, agent);
    match agent.replicas {
        None => vec![spec.child(system)],
        Some(replicas) => spec.replicas(system, replicas),
    }
}

fn id_of(agent: &manifest::Agent) -> Name {
    agent
        .path
        .name()
        .expect("only supervisors stand at the root")
}

/// The spec with all that the manifest says of the agent.
fn as_declared<A: Agent>(spec: AgentSpec<A>, agent: &manifest::Agent) -> AgentSpec<A> {
    let mut spec = spec
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
        spec = spec
            .registered(name.clone())
            .on_name_conflict(agent.on_name_conflict);
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
    spec
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

    /// These and a durable `name`. `configure` gets the agent's `config` as for [`Behaviours::with`] and returns its decider.
    /// A node whose manifest has such agents keeps a journal in its data folder.
    #[must_use]
    pub fn with_durable<F, D>(
        mut self,
        name: &'static str,
        about: &'static str,
        configure: F,
    ) -> Self
    where
        F: Fn(&Value) -> Result<D, ConfigFault> + Send + Sync + 'static,
        D: Decider,
    {
        let factory = Arc::new(Durable(configure));
        self.known.insert(name, Known { about, factory });
        self
    }

    /// These and a projection `name` of the node's journal. `configure` gets the agent's `config` as for [`Behaviours::with`]. Its
    /// agent answers a `request` or `query-ref` with the view as JSON.
    #[must_use]
    pub fn with_projection<F, P>(
        mut self,
        name: &'static str,
        about: &'static str,
        configure: F,
    ) -> Self
    where
        F: Fn(&Value) -> Result<P, ConfigFault> + Send + Sync + 'static,
        P: Projection + Clone,
    {
        let factory = Arc::new(Projected(configure));
        self.known.insert(name, Known { about, factory });
        self
    }

    /// Whether agents of that behaviour need the node's journal.
    pub(super) fn needs_journal(&self, agent: &manifest::Agent) -> bool {
        match &agent.code {
            Code::Native(behaviour) => {
                let known = self.known.get(behaviour.as_str());
                known.is_some_and(|known| known.factory.needs_journal())
            }
            Code::Wasm(wasm) => wasm.durable.is_some(),
        }
    }

    /// The same for another node: with a journal of its own.
    pub(super) fn for_a_node(mut self) -> Self {
        self.durability = Arc::default();
        self.disk = Arc::default();
        self.opening = Arc::default();
        self
    }

    /// What reads the past of that agent; none when it has none.
    pub(super) fn historian(
        &self,
        agent: &manifest::Agent,
    ) -> Option<Result<Box<dyn Historian>, ConfigFault>> {
        match &agent.code {
            Code::Native(behaviour) => {
                let known = self.known.get(behaviour.as_str())?;
                known.factory.historian(&agent.config)
            }
            Code::Wasm(wasm) => match self.components() {
                Ok(components) => components.historian(wasm, &agent.config),
                Err(fault) => Some(Err(fault)),
            },
        }
    }

    /// Where the node's durable agents keep what happens.
    pub(super) fn durability(&self) -> &OnceLock<Durability> {
        &self.durability
    }

    /// The same journal as what it is: a disk's.
    pub(super) fn disk(&self) -> &OnceLock<DiskJournal> {
        &self.disk
    }

    /// Held by whoever opens the journal.
    pub(super) fn opening(&self) -> &tokio::sync::Mutex<()> {
        &self.opening
    }

    /// These, and WebAssembly agents.
    #[must_use]
    pub fn with_components(mut self, components: Arc<dyn Components>) -> Self {
        self.components = Some(components);
        self
    }

    pub(super) fn upgrades(&self) -> Option<&dyn Upgrades> {
        self.components.as_deref()?.upgrades()
    }

    pub(super) fn components(&self) -> Result<&dyn Components, ConfigFault> {
        self.components.as_deref().ok_or_else(|| ConfigFault {
            key: Some("wasm".to_owned()),
            message: "this program runs no WebAssembly agents".to_owned(),
            suggestion: None,
        })
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
        tools: &Tools,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        let behaviour = match &agent.code {
            Code::Native(behaviour) => behaviour,
            Code::Wasm(wasm) => {
                let durability = self.durability.get();
                return self
                    .components()?
                    .specs(agent, wasm, system, tools, durability);
            }
        };
        match self.known.get(behaviour.as_str()) {
            Some(known) => known.factory.specs(agent, system, self.durability.get()),
            None => Err(ConfigFault {
                key: None,
                message: format!(
                    "there is no behaviour {:?} in this program",
                    behaviour.as_str()
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

    fn is_durable(&self, name: &str) -> bool {
        let known = self.known.get(name);
        known.is_some_and(|known| known.factory.is_durable())
    }

    fn check_wasm(&self, wasm: &Wasm) -> Result<(), ConfigFault> {
        self.components()?.check(wasm)
    }
}

impl std::fmt::Debug for Behaviours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

//! How a protocol actor is described.

use super::actor::{ProtocolActor, Setup};
use super::book::ConversationBook;
use super::message::{Ear, Prompt};
use super::speaker::{Negotiator, Speaker};
use crate::agent::Message;
use crate::spec::{AgentSpec, MailboxOptions};
use crate::system::System;
use std::sync::Arc;
use swarm_protocols::interaction::Terms;
use swarm_protocols::{Name, NameError};
use swarm_supervisors::ChildSpec;

/// What becomes of the conversations that an agent takes part in when it crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAgentCrash {
    /// They fail at once, and the other sides are told. For agents that lose their state with their life.
    #[default]
    Fail,
    /// They go on with the next life, which finds the questions that were not answered in its mailbox. For agents that keep
    /// their state.
    Continue,
}

/// How many messages a protocol actor's mailbox holds: the answers to one call to as many participants as there may be, and
/// as many again.
const MAILBOX_CAPACITY: u32 = 4096;

/// A protocol actor for one agent.
pub struct ProtocolSpec {
    setup: Setup,
    id: Name,
    registered: Name,
    groups: Vec<Name>,
}

impl ProtocolSpec {
    /// A protocol actor that speaks for the agent `agent`, its sibling in the tree, under the registered name `name`. Its own
    /// id is `AGENT.protocol`. `M` is the agent's message type.
    ///
    /// # Errors
    /// [`NameError`] when one of the names is none, or is too long with its suffix.
    pub fn for_sibling<M: Message + From<Prompt>>(
        agent: &str,
        name: &str,
        book: &ConversationBook,
    ) -> Result<Self, NameError> {
        let agent = Name::new(agent)?;
        let id = Name::new(&format!("{agent}.protocol"))?;
        let find = move |system: &System, own: &swarm_protocols::Path| {
            let path = own.parent()?.child(&agent);
            let agent = system.lookup_typed::<M>(&path)?;
            Some(Arc::new(Ear(agent)) as _)
        };
        Ok(Self {
            setup: Setup::new(book, Some(Arc::new(find))),
            id,
            registered: Name::new(name)?,
            groups: Vec::new(),
        })
    }

    /// A protocol actor without an agent: it opens conversations for callers that are no agents and refuses those of others.
    ///
    /// # Errors
    /// [`NameError`] when `name` is none.
    pub fn alone(name: &str, book: &ConversationBook) -> Result<Self, NameError> {
        Ok(Self {
            setup: Setup::new(book, None),
            id: Name::new(name)?,
            registered: Name::new(name)?,
            groups: Vec::new(),
        })
    }

    /// The terms of the conversations that others open with the agent.
    #[must_use]
    pub fn terms(mut self, terms: Terms) -> Self {
        self.setup.terms = terms;
        self
    }

    /// What becomes of them when the agent crashes.
    #[must_use]
    pub fn on_agent_crash(mut self, on_crash: OnAgentCrash) -> Self {
        self.setup.on_crash = on_crash;
        self
    }

    /// Whether the agent is told how conversations ended in which it takes part. Default true.
    #[must_use]
    pub fn tell_ends(mut self, tell: bool) -> Self {
        self.setup.tell_ends = tell;
        self
    }

    /// Groups that it joins: calls to a group reach its protocol actors.
    #[must_use]
    pub fn groups(mut self, groups: Vec<Name>) -> Self {
        self.groups = groups;
        self
    }

    /// The agent's spec, for further settings.
    #[must_use]
    pub fn agent_spec(self) -> AgentSpec<ProtocolActor> {
        let setup = self.setup;
        AgentSpec::new(self.id.as_str(), move || ProtocolActor::new(setup.clone()))
            .expect("the id is a name")
            .registered(self.registered)
            .groups(self.groups)
            .kind("protocol")
            .mailbox(MailboxOptions {
                capacity: MAILBOX_CAPACITY,
                // What a crashed turn did not finish is a duplicate where it did.
                redeliver: 1,
                ..MailboxOptions::default()
            })
    }

    /// The child spec. Goes behind its agent's in the supervisor's list.
    #[must_use]
    pub fn child(self, system: &System) -> ChildSpec {
        self.agent_spec().child(system)
    }
}

/// The child specs of an agent that only negotiates and of its protocol actor, in this order: `ID` and `ID.protocol`, the
/// latter registered as `ID`.
///
/// # Errors
/// [`NameError`] when `id` is no name.
pub(super) fn pair<N: Negotiator>(
    system: &System,
    id: &str,
    book: &ConversationBook,
    make: impl Fn() -> N + Send + Sync + 'static,
) -> Result<Vec<ChildSpec>, NameError> {
    let agent = AgentSpec::new(id, move || Speaker::new(make()))?.child(system);
    let protocol = ProtocolSpec::for_sibling::<Prompt>(id, id, book)?.child(system);
    Ok(vec![agent, protocol])
}

//! The agent management system: who is on the platform, and in which state.

use super::talk;
use crate::acl::{AclMessage, Aid, Performative, Reading, Timestamp};
use crate::sl::Term;
use crate::sl::management::{
    self, Act, Action, AgentState, AmsAgentDescription, ApDescription, ApService, Description,
    Reason, SearchConstraints,
};

/// The most results of one search, whatever it asks for.
const RESULTS_MAX: usize = 1000;

/// What an AMS answers from. It keeps nothing: the agents that are there are told to it with each message.
#[derive(Clone, Debug)]
pub struct Ams {
    aid: Aid,
    platform: String,
}

/// What a message to an AMS leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmsAsked {
    /// An answer, if the message is to be answered at all.
    Answer(Option<AclMessage>),
    /// A change of an agent's life; the answer follows from how it went.
    Change(AmsChange),
}

/// A change that is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmsChange {
    /// Of whom.
    pub agent: Aid,
    /// To what.
    pub change: Change,
    action: Action,
}

/// What is to become of an agent (fipa.md e.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Its messages wait.
    Suspend,
    /// It goes on.
    Resume,
    /// It ends.
    Terminate,
}

impl Ams {
    /// The AMS of the platform of that name, speaking as `aid`.
    #[must_use]
    pub fn new(aid: Aid, platform: impl Into<String>) -> Self {
        Self {
            aid,
            platform: platform.into(),
        }
    }

    /// Takes a message. `agents` are those on the platform; `services` is how it can be reached from others; `may` says
    /// whether the message's sender may bring that change about.
    #[must_use]
    pub fn on_message<'a>(
        &self,
        message: &AclMessage,
        agents: impl Iterator<Item = AmsAgentDescription> + 'a,
        services: &[ApService],
        may: impl Fn(&Aid, Change) -> bool,
        now: Timestamp,
    ) -> AmsAsked {
        match message.performative {
            Performative::Request => {}
            // What others answer to nothing that was asked of them is not answered.
            Performative::Agree
            | Performative::Inform
            | Performative::Refuse
            | Performative::Failure
            | Performative::NotUnderstood => return AmsAsked::Answer(None),
            other => {
                let reason = Reason::UnsupportedAct(other.to_string());
                return AmsAsked::Answer(talk::reason(&self.aid, message, None, &reason));
            }
        }
        let action = match talk::action(message, &Reading::at(now)) {
            Ok(action) => action,
            Err(reason) => {
                return AmsAsked::Answer(talk::reason(&self.aid, message, None, &reason));
            }
        };
        match self.act(&action, agents, services, may) {
            Ok(Done::Told(content)) => AmsAsked::Answer(Some(talk::answer(
                &self.aid,
                message,
                Performative::Inform,
                &content,
            ))),
            Ok(Done::Change(agent, change)) => AmsAsked::Change(AmsChange {
                agent,
                change,
                action,
            }),
            Err(reason) => {
                AmsAsked::Answer(talk::reason(&self.aid, message, Some(&action), &reason))
            }
        }
    }

    /// The answer after a change: done, or why not.
    #[must_use]
    pub fn changed(
        &self,
        message: &AclMessage,
        change: &AmsChange,
        outcome: Result<(), String>,
    ) -> AclMessage {
        let (performative, content) = match outcome {
            Ok(()) => (Performative::Inform, management::done(&change.action)),
            Err(why) => {
                let reason = Reason::InternalError(why);
                let content = management::failed(&change.action, &reason);
                (Performative::Failure, content)
            }
        };
        talk::answer(&self.aid, message, performative, &content)
    }

    fn act(
        &self,
        action: &Action,
        mut agents: impl Iterator<Item = AmsAgentDescription>,
        services: &[ApService],
        may: impl Fn(&Aid, Change) -> bool,
    ) -> Result<Done, Reason> {
        match &action.act {
            Act::Search {
                template: Description::Ams(template),
                constraints,
            } => {
                let found = agents
                    .filter(|agent| agent.matches(template))
                    .take(wanted(constraints))
                    .map(|agent| agent.term());
                Ok(Done::Told(management::result(action, found.collect())))
            }
            Act::GetDescription => {
                let description = ApDescription {
                    name: Some(self.platform.clone()),
                    services: services.to_vec(),
                };
                Ok(Done::Told(management::result(
                    action,
                    vec![description.term()],
                )))
            }
            Act::Register(Description::Ams(entry)) => {
                let name = named(entry)?;
                // Agents come to be by their supervisors, and are here from then on.
                if agents.any(|agent| agent.name.as_ref() == Some(&name)) {
                    Err(Reason::AlreadyRegistered)
                } else {
                    Err(Reason::Unauthorised)
                }
            }
            Act::Deregister(Description::Ams(entry)) => {
                self.change(named(entry)?, Change::Terminate, agents, may)
            }
            Act::Modify(Description::Ams(entry)) => {
                let name = named(entry)?;
                let state = entry.state.ok_or_else(|| Reason::MissingParameter {
                    object: "ams-agent-description".to_owned(),
                    parameter: "state".to_owned(),
                })?;
                let change = match state {
                    AgentState::Suspended => Change::Suspend,
                    AgentState::Active => Change::Resume,
                    AgentState::Initiated
                    | AgentState::Waiting
                    | AgentState::Transit
                    | AgentState::Latent => {
                        return Err(Reason::UnrecognisedParameterValue {
                            object: "ams-agent-description".to_owned(),
                            parameter: "state".to_owned(),
                        });
                    }
                };
                self.change(name, change, agents, may)
            }
            Act::Register(Description::Df(_))
            | Act::Deregister(Description::Df(_))
            | Act::Modify(Description::Df(_))
            | Act::Search {
                template: Description::Df(_),
                ..
            } => Err(Reason::UnrecognisedValue("df-agent-description".to_owned())),
        }
    }

    fn change(
        &self,
        name: Aid,
        change: Change,
        mut agents: impl Iterator<Item = AmsAgentDescription>,
        may: impl Fn(&Aid, Change) -> bool,
    ) -> Result<Done, Reason> {
        // Rights come first: who may not change an agent is not told either whether there is one.
        if !may(&name, change) {
            return Err(Reason::Unauthorised);
        }
        if !agents.any(|agent| agent.name.as_ref() == Some(&name)) {
            return Err(Reason::NotRegistered);
        }
        Ok(Done::Change(name, change))
    }
}

enum Done {
    Told(Vec<Term>),
    Change(Aid, Change),
}

fn named(entry: &AmsAgentDescription) -> Result<Aid, Reason> {
    entry.name.clone().ok_or_else(|| Reason::MissingParameter {
        object: "ams-agent-description".to_owned(),
        parameter: "name".to_owned(),
    })
}

/// 1 unless the search says otherwise, all for a negative number (fipa.md e.1).
fn wanted(constraints: &SearchConstraints) -> usize {
    let asked = constraints.max_results.unwrap_or(1);
    usize::try_from(asked).map_or(RESULTS_MAX, |asked| asked.min(RESULTS_MAX))
}

//! The AMS as an agent.

use super::asker::{Asker, Asking, is_ours};
use super::{PlatformOptions, now};
use crate::agent::{Agent, Failure, Message};
use crate::ask::ReplyTo;
use crate::info::ActorState;
use crate::system::System;
use crate::turn::Turn;
use std::collections::HashMap;
use std::sync::Arc;
use swarm_protocols::platform::{Ams, AmsAsked, AmsChange, Change};
use swarm_protocols::sl::management::{AgentState, AmsAgentDescription, ApService};
use swarm_protocols::{AclMessage, Aid, Path};
use tokio::task::JoinSet;

/// How many agents may be on their way out at the AMS's behest at once; more are refused for the moment.
const TERMINATING_MAX: usize = 64;

/// What the AMS is told besides ACL messages.
#[derive(Debug)]
pub enum AmsMessage {
    /// The operator asks; see [`Platform::ask_ams`](super::Platform::ask_ams).
    Operator {
        /// What.
        message: Box<AclMessage>,
        /// Where the answer goes.
        reply: ReplyTo<AclMessage>,
    },
    /// An agent that was to be terminated is.
    Terminated(Box<Terminated>),
}

impl Message for AmsMessage {}

/// How the termination of an agent went.
#[derive(Debug)]
pub struct Terminated {
    asked: Arc<AclMessage>,
    change: AmsChange,
    reply: Option<ReplyTo<AclMessage>>,
    outcome: Result<(), String>,
}

pub(super) struct AmsAgent {
    options: PlatformOptions,
    ams: Ams,
    /// Stops under way. They end with this life: what a supervisor has begun to stop it stops all the same.
    terminating: JoinSet<()>,
}

impl AmsAgent {
    pub(super) fn new(options: PlatformOptions, aid: Aid) -> Self {
        Self {
            ams: Ams::new(aid, options.name.clone()),
            options,
            terminating: JoinSet::new(),
        }
    }

    fn take(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
        asker: Asker,
        port: Option<ReplyTo<AclMessage>>,
    ) {
        let system = turn.system().clone();
        let asking = Asking {
            asker,
            platform: &self.options.name,
            system: system.clone(),
        };
        let may = |agent: &Aid, change| asking.may_change(&*self.options.rights, agent, change);
        let services = services(&system);
        let asked = self.ams.on_message(
            &message,
            residents(&system, &self.options.name),
            &services,
            may,
            now(&system),
        );
        match asked {
            AmsAsked::Answer(Some(answer)) => say(turn, port, answer),
            AmsAsked::Answer(None) => {}
            AmsAsked::Change(change) => self.change(turn, message, change, port),
        }
    }

    fn change(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
        change: AmsChange,
        port: Option<ReplyTo<AclMessage>>,
    ) {
        let agent = is_ours(&change.agent, &self.options.name, turn.system())
            .then(|| turn.system().agent_of(&change.agent))
            .flatten();
        let outcome = match (agent, change.change) {
            (None, _) => Err("it is gone".to_owned()),
            (Some(agent), Change::Suspend) => done(agent.pause()),
            (Some(agent), Change::Resume) => done(agent.resume()),
            (Some(agent), Change::Terminate) => {
                while self.terminating.try_join_next().is_some() {}
                if self.terminating.len() < TERMINATING_MAX {
                    let path = agent.path().clone();
                    self.terminate(turn, path, message, change, port);
                    return;
                }
                Err("too many agents are being terminated".to_owned())
            }
        };
        let answer = self.ams.changed(&message, &change, outcome);
        say(turn, port, answer);
    }

    /// Beside the turn: an agent may take its shutdown time, and the AMS has others to answer.
    fn terminate(
        &mut self,
        turn: &mut Turn<'_, Self>,
        path: Path,
        asked: Arc<AclMessage>,
        change: AmsChange,
        port: Option<ReplyTo<AclMessage>>,
    ) {
        let (system, me) = (turn.system().downgrade(), turn.me());
        let reply = port.or_else(|| turn.defer_answer());
        self.terminating.spawn(async move {
            let Some(system) = system.upgrade() else {
                return;
            };
            let outcome = system.stop(&path).await.map_err(|error| error.to_string());
            let terminated = Terminated {
                asked,
                change,
                reply,
                outcome,
            };
            // An AMS that is gone answers nothing any more; whoever asked is told so by the end of the ask.
            let _ = me.send(AmsMessage::Terminated(Box::new(terminated))).await;
        });
    }
}

fn done(is_done: bool) -> Result<(), String> {
    if is_done {
        Ok(())
    } else {
        Err("it is not running".to_owned())
    }
}

fn say(turn: &mut Turn<'_, AmsAgent>, port: Option<ReplyTo<AclMessage>>, answer: AclMessage) {
    match port {
        Some(to) => turn.reply(to, answer),
        None => turn.answer(answer),
    }
}

impl Agent for AmsAgent {
    type Message = AmsMessage;

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: AmsMessage,
    ) -> Result<(), Failure> {
        match message {
            AmsMessage::Operator { message, reply } => {
                self.take(turn, Arc::new(*message), Asker::Operator, Some(reply));
            }
            AmsMessage::Terminated(terminated) => {
                let Terminated {
                    asked,
                    change,
                    reply,
                    outcome,
                } = *terminated;
                let answer = self.ams.changed(&asked, &change, outcome);
                match reply {
                    Some(to) => turn.reply(to, answer),
                    None => turn.send_to_receivers(answer),
                }
            }
        }
        Ok(())
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let asker = Asker::of(turn, &message, &self.options.name);
        self.take(turn, message, asker, None);
        Ok(())
    }
}

/// The agents of this node as an AMS describes them, in the order of their paths. Nothing is listed before the first is asked
/// for: most messages ask for none.
fn residents(system: &System, platform: &str) -> impl Iterator<Item = AmsAgentDescription> {
    std::iter::once_with(move || described(system, platform)).flatten()
}

fn described(system: &System, platform: &str) -> Vec<AmsAgentDescription> {
    let registered = system.registered().into_iter();
    let names: HashMap<Path, String> = registered
        .map(|(name, agent)| (agent.path().clone(), name.to_string()))
        .collect();
    let mut agents = system.agents();
    agents.extend(system.service_agents());
    agents.sort_by(|a, b| a.path().cmp(b.path()));
    let described = agents.into_iter().filter_map(|agent| {
        let state = state_of(agent.info().state)?;
        let local = match names.get(agent.path()) {
            Some(name) => name.as_str(),
            None => agent.path().as_str(),
        };
        Some(AmsAgentDescription {
            name: Some(Aid::named(format!("{local}@{platform}"))),
            ownership: None,
            state: Some(state),
        })
    });
    described.collect()
}

/// The name and type of FIPA's HTTP transport.
const HTTP_TRANSPORT: &str = "fipa.mts.mtp.http.std";

/// How the platform can be reached from others.
fn services(system: &System) -> Vec<ApService> {
    let addresses = system.gateway_addresses();
    if addresses.is_empty() {
        return Vec::new();
    }
    vec![ApService {
        name: Some(HTTP_TRANSPORT.to_owned()),
        service_type: Some(HTTP_TRANSPORT.to_owned()),
        addresses,
    }]
}

/// The state of FIPA's life cycle that a real one is (fipa.md e.4); none for an agent that is no more.
fn state_of(state: ActorState) -> Option<AgentState> {
    match state {
        ActorState::Starting | ActorState::Restarting | ActorState::Stopped => {
            Some(AgentState::Initiated)
        }
        ActorState::Running | ActorState::Draining => Some(AgentState::Active),
        // Its next message wakes it.
        ActorState::Asleep => Some(AgentState::Waiting),
        ActorState::Paused => Some(AgentState::Suspended),
        ActorState::Ended => None,
    }
}

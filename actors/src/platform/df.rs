//! The DF as an agent.

use super::asker::{Asker, Asking};
use super::{PlatformOptions, now};
use crate::agent::{Agent, Failure, Init, Message};
use crate::ask::ReplyTo;
use crate::reference::AnyRef;
use crate::signal::{WatchEvent, Watched};
use crate::system::System;
use crate::timers::TimerId;
use crate::turn::Turn;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_protocols::acl::Reading;
use swarm_protocols::platform::{Df, DfOut, SearchKey};
use swarm_protocols::sl::management::DfAgentDescription;
use swarm_protocols::{AclMessage, Address, Aid, Timestamp, sl};

/// What the DF is told besides ACL messages.
#[derive(Debug)]
pub enum DfMessage {
    /// The operator asks; see [`Platform::ask_df`](super::Platform::ask_df).
    Operator {
        /// What.
        message: Box<AclMessage>,
        /// Where the answer goes.
        reply: ReplyTo<AclMessage>,
    },
    /// A lease or a search's patience is over, or there is something to say of other nodes' entries.
    Due,
}

impl Message for DfMessage {}

/// What another node's DF is said to have entered is no entry of that agent. Sending it again fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no df-agent-description of that agent")]
pub struct BadEntry;

/// How many notifications of other nodes' entries wait for the DF's next turn. Further ones are dropped: a subscriber that is
/// so far behind searches again.
const UNSAID_MAX: usize = 65_536;

/// What outlives the DF's behaviour.
pub(super) struct Memory(Mutex<Remembered>);

struct Remembered {
    df: Df,
    /// Agents of this node whose end is to be heard of, with all the AIDs that may stand for them.
    watched: BTreeMap<Address, Vec<Aid>>,
    /// What subscribers are to be told of other nodes' entries.
    unsaid: Vec<AclMessage>,
}

impl Memory {
    pub(super) fn new(df: Df) -> Self {
        Self(Mutex::new(Remembered {
            df,
            watched: BTreeMap::new(),
            unsaid: Vec::new(),
        }))
    }

    pub(super) fn revision(&self) -> u64 {
        self.0.lock().df.revision()
    }

    pub(super) fn entries(&self) -> BTreeMap<String, String> {
        let memory = self.0.lock();
        let named = memory.df.entries().filter_map(|entry| {
            // What was read can be written.
            let text = sl::write_term(&entry.term()).ok()?;
            Some((entry.name.as_ref()?.name.to_string(), text))
        });
        named.collect()
    }

    /// Takes in what another node's DF has entered; whether there is something to say now.
    pub(super) fn hear(
        &self,
        node: &str,
        agent: &str,
        entry: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, BadEntry> {
        let entry = entry.map(|text| read(text, agent, now)).transpose()?;
        let mut memory = self.0.lock();
        let out = memory.df.hear(node, &Aid::named(agent), entry);
        let room = UNSAID_MAX.saturating_sub(memory.unsaid.len());
        memory.unsaid.extend(out.sends.into_iter().take(room));
        Ok(!memory.unsaid.is_empty())
    }
}

pub(super) struct DfAgent {
    options: PlatformOptions,
    memory: Arc<Memory>,
    /// Who waits for the answer to a search that goes on elsewhere. Bounded by the searches under way.
    waiting: BTreeMap<SearchKey, ReplyTo<AclMessage>>,
    timer: Option<TimerId>,
}

/// Where the answer to the message at hand goes.
enum Port {
    /// Wherever this turn's answer goes.
    Turn,
    Operator(ReplyTo<AclMessage>),
}

impl DfAgent {
    pub(super) fn new(options: PlatformOptions, memory: Arc<Memory>) -> Self {
        Self {
            options,
            memory,
            waiting: BTreeMap::new(),
            timer: None,
        }
    }

    fn take(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: &AclMessage,
        asker: Asker,
        port: Port,
    ) -> Result<(), Failure> {
        let from = match (&asker, &message.sender) {
            (Asker::Agent(_), Some(aid)) => turn.system().agent_of(aid),
            _ => None,
        };
        let asking = Asking {
            asker,
            platform: &self.options.name,
            system: turn.system().clone(),
        };
        let may = |agent: &Aid| asking.may_enter(&*self.options.rights, agent);
        let out = {
            let mut memory = self.memory.0.lock();
            memory.df.on_message(message, may, now(turn.system()))
        };
        if let Some(agent) = from {
            self.watch(turn, &agent)?;
        }
        self.say(turn, out, port);
        self.arm(turn)
    }

    /// An agent that may have anything here is watched, so that it goes with the agent.
    fn watch(&self, turn: &mut Turn<'_, Self>, agent: &AnyRef) -> Result<(), Failure> {
        let is_watched = {
            let memory = self.memory.0.lock();
            memory.watched.contains_key(&agent.address())
        };
        if !is_watched {
            turn.watch(agent)?;
            let aids = aids_of(agent, turn.system(), &self.options.name);
            let mut memory = self.memory.0.lock();
            memory.watched.insert(agent.address(), aids);
        }
        Ok(())
    }

    /// Tells subscribers of other nodes' entries.
    fn say_unsaid(&self, turn: &mut Turn<'_, Self>) {
        let unsaid = std::mem::take(&mut self.memory.0.lock().unsaid);
        for message in unsaid {
            turn.send_to_receivers(message);
        }
    }

    fn say(&mut self, turn: &mut Turn<'_, Self>, out: DfOut, port: Port) {
        match (out.reply, out.pending, port) {
            (Some(reply), _, Port::Turn) => turn.answer(reply),
            (Some(reply), _, Port::Operator(to)) => turn.reply(to, reply),
            (None, Some(key), Port::Turn) => {
                // Nobody waits where the message was sent and not asked: then the answer is a message as well.
                self.waiting
                    .extend(turn.defer_answer().map(|port| (key, port)));
            }
            (None, Some(key), Port::Operator(to)) => {
                self.waiting.insert(key, to);
            }
            (None, None, _) => {}
        }
        for (key, answer) in out.finished {
            match self.waiting.remove(&key) {
                Some(to) => turn.reply(to, answer),
                None => turn.send_to_receivers(answer),
            }
        }
        for message in out.sends {
            turn.send_to_receivers(message);
        }
    }

    /// Sets the one timer to what is due next.
    fn arm(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
        if let Some(timer) = self.timer.take() {
            turn.cancel(timer);
        }
        let due = self.memory.0.lock().df.next_deadline();
        if let Some(due) = due {
            let after = due.saturating_since(now(turn.system()));
            self.timer = Some(turn.schedule(after, DfMessage::Due)?);
        }
        Ok(())
    }
}

impl Agent for DfAgent {
    type Message = DfMessage;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        // The last life's watches and timer went with it.
        let watched = self.memory.0.lock().watched.clone();
        for (address, aids) in watched {
            let mut agents = aids.iter().filter_map(|aid| turn.system().agent_of(aid));
            match agents.find(|agent| agent.address() == address) {
                Some(agent) => turn.watch(&agent)?,
                None => self.forget(turn, address),
            }
        }
        self.arm(turn)?;
        Ok(Init::Ready)
    }

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: DfMessage,
    ) -> Result<(), Failure> {
        self.say_unsaid(turn);
        match message {
            DfMessage::Operator { message, reply } => {
                self.take(turn, &message, Asker::Operator, Port::Operator(reply))
            }
            DfMessage::Due => {
                let out = self.memory.0.lock().df.on_time(now(turn.system()));
                self.say(turn, out, Port::Turn);
                self.arm(turn)
            }
        }
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        self.say_unsaid(turn);
        let asker = Asker::of(turn, &message, &self.options.name);
        self.take(turn, &message, asker, Port::Turn)
    }

    async fn on_watch(
        &mut self,
        turn: &mut Turn<'_, Self>,
        watched: Watched,
    ) -> Result<(), Failure> {
        if matches!(watched.event, WatchEvent::Ended { .. }) {
            self.forget(turn, watched.address);
            self.arm(turn)?;
        }
        Ok(())
    }
}

impl DfAgent {
    fn forget(&mut self, turn: &mut Turn<'_, Self>, address: Address) {
        let aids = self.memory.0.lock().watched.remove(&address);
        for aid in aids.unwrap_or_default() {
            let out = self.memory.0.lock().df.forget(&aid);
            self.say(turn, out, Port::Turn);
        }
    }
}

fn read(text: &str, agent: &str, now: Timestamp) -> Result<DfAgentDescription, BadEntry> {
    let reading = Reading::at(now);
    let term = sl::parse_term(text.as_bytes(), &reading).map_err(|_| BadEntry)?;
    let entry = DfAgentDescription::read(&term, &reading).map_err(|_| BadEntry)?;
    let is_of_agent = entry.name.as_ref().is_some_and(|aid| aid.name == agent);
    if is_of_agent {
        Ok(entry)
    } else {
        Err(BadEntry)
    }
}

/// All AIDs that mean an agent of this node: by its registered name or its path, with either name of the platform or none.
fn aids_of(agent: &AnyRef, system: &System, platform: &str) -> Vec<Aid> {
    let registered = system.registered().into_iter();
    let names = registered
        .filter(|(_, holder)| holder.address() == agent.address())
        .map(|(name, _)| name.to_string());
    names
        .chain([agent.path().to_string()])
        .flat_map(|local| {
            [
                format!("{local}@{platform}"),
                format!("{local}@{}", system.node()),
                local,
            ]
        })
        .map(Aid::named)
        .collect()
}

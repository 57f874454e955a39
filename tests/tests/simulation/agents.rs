//! The agents of a simulated node.

use crate::diary::{Diary, Process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_actors::conversation::Negotiator;
use swarm_actors::{
    Agent, AgentRef, AnyRef, Down, Exit, Failure, Message, MessageCodec, MonitorId, NoMessage, Turn,
};
use swarm_protocols::interaction::Decision;
use swarm_protocols::{AclMessage, Address};

/// A numbered note from one process to another.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) from: u64,
    pub(crate) number: u64,
}

impl Message for Note {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("simulation.note", 1))
    }
}

/// Takes notes, and lets itself be monitored and linked to.
pub(crate) struct Hand {
    pub(crate) me: Process,
    pub(crate) diary: Diary,
}

impl Agent for Hand {
    type Message = Note;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, note: Note) -> Result<(), Failure> {
        let pair = (Process::of(note.from), self.me);
        self.diary.by(self.me, |pages| {
            pages.received.entry(pair).or_default().push(note.number);
        });
        Ok(())
    }

    async fn on_exit(&mut self, _: &mut Turn<'_, Self>, _: Exit) -> Result<(), Failure> {
        Ok(())
    }
}

/// What a caller is told to do. Never leaves its node.
pub(crate) enum Do {
    /// Send so many notes.
    Send(AgentRef<Note>, Process, u64),
    Monitor(AnyRef, u64),
    Link(AnyRef, u64),
}

impl Message for Do {}

/// Speaks to hands on other nodes.
pub(crate) struct Caller {
    pub(crate) me: Process,
    pub(crate) diary: Diary,
    pub(crate) monitors: BTreeMap<MonitorId, u64>,
    pub(crate) links: BTreeMap<Address, u64>,
}

impl Caller {
    fn fired(&self, key: u64) {
        self.diary.by(self.me, |pages| {
            if let Some(bond) = pages.bonds.get_mut(&key) {
                bond.fired += 1;
            }
        });
    }
}

impl Agent for Caller {
    type Message = Do;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, order: Do) -> Result<(), Failure> {
        match order {
            Do::Send(to, process, count) => {
                let from = self.me.number();
                for _ in 0..count {
                    let number = self.diary.write(|pages| {
                        let sent = pages.sent.entry((self.me, process)).or_default();
                        *sent += 1;
                        *sent
                    });
                    turn.send(&to, Note { from, number });
                }
            }
            Do::Monitor(target, key) => {
                let id = turn.monitor(&target)?;
                self.monitors.insert(id, key);
            }
            Do::Link(target, key) => {
                turn.link(&target)?;
                self.links.insert(target.address(), key);
            }
        }
        Ok(())
    }

    async fn on_down(&mut self, _: &mut Turn<'_, Self>, down: Down) -> Result<(), Failure> {
        if let Some(key) = self.monitors.get(&down.monitor) {
            self.fired(*key);
        }
        Ok(())
    }

    async fn on_exit(&mut self, _: &mut Turn<'_, Self>, exit: Exit) -> Result<(), Failure> {
        if let Some(key) = self.links.get(&exit.pid.address) {
            self.fired(*key);
        }
        Ok(())
    }
}

/// Has a name of class cluster and nothing to do.
pub(crate) struct Boss;

impl Agent for Boss {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, never: NoMessage) -> Result<(), Failure> {
        match never {}
    }
}

/// Does what it is asked in conversations.
pub(crate) struct Clerk;

impl Negotiator for Clerk {
    async fn bid(&mut self, _: &AclMessage, _: Option<i64>) -> Result<Decision, Failure> {
        Ok(Decision::Propose {
            content: b"1".to_vec(),
            price: None,
            holds_for: None,
        })
    }

    async fn perform(&mut self, _: &AclMessage) -> Result<Decision, Failure> {
        Ok(Decision::Done(b"done".to_vec()))
    }
}

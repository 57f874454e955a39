//! The agent around a durable behaviour, as the runtime runs it. Asleep it is next to nothing.

use super::behaviour::{Asker, DurableBehaviour};
use super::durability::Durability;
use super::facts::Facts;
use super::life::Life;
use super::reference::{DurableMessage, Kind};
use super::spec::SnapshotPolicy;
use crate::agent::{Agent, Failure, Init};
use crate::journal::{Class, JournalError, StreamName};
use crate::sync_plain::Mutex;
use crate::turn::Turn;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason, Path, Performative};

/// What all lives of the agents of one spec share.
pub(super) struct Shared<D> {
    pub(super) behaviour: D,
    pub(super) durability: Durability,
    pub(super) snapshots: SnapshotPolicy,
    pub(super) trouble: Mutex<Trouble>,
}

/// What a life leaves to the next one. Entries go when the trouble is over.
#[derive(Default)]
pub(super) struct Trouble {
    /// Agents whose stream cannot be read, and why: the next start is declined.
    pub(super) held: BTreeMap<Path, String>,
    /// Agents whose last life could not apply what it had written: the next start looks whether its stream can be read at all,
    /// so that one that cannot be costs its supervisor one restart and no more.
    pub(super) suspects: BTreeSet<Path>,
    /// How many lives began to handle a message, by agent and message.
    pub(super) begun: BTreeMap<(Path, String), u32>,
}

impl<D> Shared<D> {
    pub(super) fn new(behaviour: D, durability: Durability, snapshots: SnapshotPolicy) -> Self {
        Self {
            behaviour,
            durability,
            snapshots,
            trouble: Mutex::default(),
        }
    }
}

/// A durable agent, as the runtime runs it. Made by [`DurableSpec`](super::DurableSpec).
pub struct DurableAgent<D: DurableBehaviour> {
    shared: Arc<Shared<D>>,
    /// None while it sleeps and waits for no timer: a node may have a million of these.
    life: Option<Box<Life<D>>>,
}

impl<D: DurableBehaviour> DurableAgent<D> {
    pub(super) fn new(shared: Arc<Shared<D>>) -> Self {
        Self { shared, life: None }
    }

    /// Its life, for a turn that begins.
    fn life(&mut self, turn: &Turn<'_, Self>) -> Result<&mut Life<D>, Failure> {
        let stream = match &self.life {
            Some(life) => life.stream.clone(),
            None => StreamName::new(turn.path().as_str())?,
        };
        let shared = &self.shared;
        let life = self
            .life
            .get_or_insert_with(|| Box::new(Life::new(shared.clone(), stream)));
        life.last_ms = turn.system().wall_ms();
        Ok(life)
    }
}

impl<D: DurableBehaviour> Agent for DurableAgent<D> {
    type Message = DurableMessage;

    /// Looks at the stream's head only: a node may have a million of these. The rest is read with the first message.
    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let path = turn.path().clone();
        let (held, is_suspect) = {
            let mut trouble = self.shared.trouble.lock();
            (trouble.held.remove(&path), trouble.suspects.remove(&path))
        };
        if let Some(why) = held {
            turn.system().publish_custom(Some(path), "held", &why);
            return Ok(Init::Ignore);
        }
        let stream = StreamName::new(path.as_str())?;
        match self.shared.durability.journal().head(&stream) {
            Ok(head) => {
                if let Some(wake_at) = head.and_then(|head| head.wake_at_ms) {
                    let after = wake_at.saturating_sub(turn.system().wall_ms());
                    let message = DurableMessage(Kind::Tick);
                    let id = turn.schedule(Duration::from_millis(after), message)?;
                    let mut life = Life::new(self.shared.clone(), stream);
                    life.tick = Some((id, wake_at));
                    self.life = Some(Box::new(life));
                }
                if is_suspect && let Err(failure) = self.life(turn)?.wake(turn).await {
                    let held = self.shared.trouble.lock().held.remove(&path);
                    let Some(why) = held else {
                        return Err(failure);
                    };
                    turn.system().publish_custom(Some(path), "held", &why);
                    return Ok(Init::Ignore);
                }
                Ok(Init::Ready)
            }
            Err(JournalError::Damaged(damage)) => {
                turn.system()
                    .publish_custom(Some(path), "held", &damage.to_string());
                Ok(Init::Ignore)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: DurableMessage,
    ) -> Result<(), Failure> {
        let life = self.life(turn)?;
        life.wake(turn).await?;
        match message.0 {
            Kind::Command(letter) => life.command(turn, *letter).await,
            Kind::Delivery { from, seq, payload } => life.delivery(turn, from, seq, &payload).await,
            Kind::Settled { by, up_to } => {
                life.is_settled(turn, &by, up_to);
                Ok(())
            }
            Kind::Tick => life.tick(turn).await,
            Kind::Aside(message) => {
                let shared = life.shared.clone();
                let state = &mut life.awake()?.state;
                shared.behaviour.aside(state, message, turn).await
            }
        }
    }

    /// An ACL message is a command without an id.
    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let shared = self.shared.clone();
        match shared.behaviour.acl_command(&message) {
            Some(command) => {
                let life = self.life(turn)?;
                life.wake(turn).await?;
                let facts = Facts::default();
                let done = life
                    .run(turn, command, facts, None, Class::Durable, None)
                    .await;
                if let (Some(answer), _) = done? {
                    let answers = shared
                        .behaviour
                        .acl_answers(&message, answer, Asker::Volatile);
                    for answer in answers {
                        turn.answer(answer);
                    }
                }
            }
            None => match message.performative {
                Performative::NotUnderstood | Performative::Failure => {}
                _ => turn.answer(message.reply(Performative::NotUnderstood)),
            },
        }
        Ok(())
    }

    fn on_sleep(&mut self) {
        let Some(life) = &mut self.life else {
            return;
        };
        life.fall_asleep();
        if life.tick.is_none() {
            self.life = None;
        }
    }

    async fn terminate(&mut self, reason: &ExitReason) {
        if let Some(life) = &mut self.life {
            life.end(reason).await;
        }
    }
}

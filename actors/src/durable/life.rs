//! A durable agent's turns: recovers, decides, commits, evolves.

use super::acl;
use super::agent::{DurableAgent, Shared};
use super::awake::Awake;
use super::behaviour::{Asker, DurableBehaviour};
use super::decider::Decision;
use super::facts::{Facts, Turned};
use super::outbox::RESEND_FIRST;
use super::reference::{CommandError, Done, Kind, Letter};
use crate::agent::Failure;
use crate::journal::{
    Append, AppendError, Appended, Class, CommandId, Expected, JournalError, Seq, StreamName,
};
use crate::timers::TimerId;
use crate::turn::Turn;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swarm_protocols::{AclMessage, Incarnation, Path};

/// How many due timers one turn handles.
const TIMERS_PER_TURN: usize = 16;
/// A message of another durable agent, or a timer, that has ended so many lives is consumed without being handled.
const LIVES_PER_MESSAGE: u32 = 3;

/// What an agent has while it is awake, or waits for a timer.
pub(super) struct Life<D: DurableBehaviour> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) stream: StreamName,
    pub(super) awake: Option<Box<Awake<D>>>,
    /// When the next tick is due, in milliseconds since 1970.
    pub(super) tick: Option<(TimerId, u64)>,
    pub(super) resend: Duration,
    pub(super) resend_at_ms: Option<u64>,
    /// What was settled and is not in the journal yet: it goes with the next batch.
    pub(super) settled: BTreeMap<String, u64>,
    /// When its last turn began.
    pub(super) last_ms: u64,
}

/// Who sent the command of a turn, where that was another durable agent.
pub(super) struct Origin {
    from: Path,
    /// The message that the command was made of.
    message: Option<Arc<AclMessage>>,
}

/// Calls a recovery off when nobody waits for it any more.
struct CallOff(Arc<AtomicBool>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a commit led to.
pub(super) enum Committed {
    Written,
    Repeat(Appended),
}

impl<D: DurableBehaviour> Life<D> {
    pub(super) fn new(shared: Arc<Shared<D>>, stream: StreamName) -> Self {
        Self {
            shared,
            stream,
            awake: None,
            tick: None,
            resend: RESEND_FIRST,
            resend_at_ms: None,
            settled: BTreeMap::new(),
            last_ms: 0,
        }
    }

    /// Its state, read from the journal if it is not in memory.
    pub(super) async fn wake(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
    ) -> Result<(), Failure> {
        if self.awake.is_some() {
            return Ok(());
        }
        let stream = self.stream.clone();
        let shared = self.shared.clone();
        if turn.incarnation() > Incarnation(1) {
            // What the last life had under way is written before this is answered.
            let journal = shared.durability.journal();
            if let Err(error) = journal.truncate(&stream, Seq(0)).await
                && !matches!(error, AppendError::Journal(JournalError::Damaged(_)))
            {
                return Err(error.into());
            }
        }
        let theirs = (shared.clone(), stream.clone());
        let called_off = CallOff(Arc::default());
        let is_called_off = called_off.0.clone();
        let recovered = shared
            .durability
            .recover(&stream, D::BLOCKS, move |journal| {
                Awake::recover(
                    &theirs.0.behaviour,
                    journal,
                    &theirs.1,
                    None,
                    &is_called_off,
                )
            })
            .await;
        drop(called_off);
        match recovered {
            Ok(awake) => {
                let has_outbox = awake.ledger.outbox_len() > 0;
                self.awake = Some(Box::new(awake));
                if has_outbox {
                    self.resend(turn);
                }
                self.arm(turn);
                Ok(())
            }
            Err(error) => {
                if error.is_final() {
                    let why = error.to_string();
                    self.shared
                        .trouble
                        .lock()
                        .held
                        .insert(turn.path().clone(), why);
                }
                Err(error.into())
            }
        }
    }

    pub(super) fn awake(&mut self) -> Result<&mut Awake<D>, Failure> {
        self.awake
            .as_deref_mut()
            .ok_or_else(|| "it is asleep".into())
    }

    /// Decides about one command and writes what that leads to.
    pub(super) async fn run(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
        command: D::Command,
        facts: Facts,
        id: Option<CommandId>,
        class: Class,
        origin: Option<Origin>,
    ) -> Result<(Option<D::Answer>, Committed), Failure> {
        let (now_ms, random) = (turn.system().wall_ms(), turn.random());
        let shared = self.shared.clone();
        let awake = self.awake()?;
        let (from, message) = match origin {
            Some(origin) => (Some(origin.from), origin.message),
            None => (None, None),
        };
        let mut decision = Decision {
            events: Vec::new(),
            told: Vec::new(),
            last_batch: awake.last_batch,
            facts,
            ledger: &awake.ledger,
            failed: None,
            now_ms,
            random,
            from,
        };
        let decided = shared
            .behaviour
            .decide(&mut awake.state, command, &mut decision);
        let mut answer = Some(decided.await?);
        if let (Some(from), Some(message)) = (decision.from.clone(), message)
            && let Some(answer) = answer.take()
        {
            let answers = shared
                .behaviour
                .acl_answers(&message, answer, Asker::Durable);
            for answer in answers {
                decision.send_acl(&from, &answer);
            }
        }
        if let Some(overrun) = decision.failed {
            return Err(overrun.into());
        }
        let (events, facts, told) = (decision.events, decision.facts, decision.told);
        let committed = self.commit(turn, events, facts, id, class).await;
        if D::DECIDING_SPOILS && !matches!(committed, Ok(Committed::Written)) {
            self.awake = None;
        }
        let committed = committed?;
        if matches!(committed, Committed::Written) {
            for (to, message) in told {
                turn.send_acl(&to, message);
            }
        }
        Ok((answer, committed))
    }

    /// The one place where a turn's events and facts become real.
    pub(super) async fn commit(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
        events: Vec<D::Event>,
        mut facts: Facts,
        id: Option<CommandId>,
        class: Class,
    ) -> Result<Committed, Failure> {
        let shared = self.shared.clone();
        let stream = self.stream.clone();
        facts.settled = self
            .settled
            .iter()
            .map(|(by, seq)| (by.clone(), *seq))
            .collect();
        if events.is_empty() && facts.is_empty() && id.is_none() {
            return Ok(Committed::Written);
        }
        let awake = self.awake()?;
        let mut data = Vec::with_capacity(events.len());
        for event in &events {
            data.push(shared.behaviour.write(event)?);
        }
        let append = Append {
            stream,
            expected: Expected::Exact(Seq(awake.last_seq)),
            command: id,
            epoch: shared.durability.epoch(),
            events: data,
            facts: super::codec::encode(&facts)?,
            wake_at_ms: awake.ledger.wake_after(&facts),
            class,
        };
        let bytes: usize = append.bytes();
        let appended = shared.durability.journal().append(append).await?;
        if appended.is_repeat {
            return Ok(Committed::Repeat(appended));
        }
        for event in &events {
            if let Err(failure) = shared.behaviour.evolve(&mut awake.state, event).await {
                let suspect = turn.path().clone();
                shared.trouble.lock().suspects.insert(suspect);
                return Err(failure);
            }
        }
        awake.ledger.apply(&facts);
        awake.last_seq = appended.last.0;
        awake.last_batch = appended.batch;
        awake.events += events.len() as u64;
        awake.bytes += bytes as u64;
        self.settled.clear();
        let to_send: Vec<_> = facts
            .sent
            .iter()
            .map(|out| (out.to.clone(), out.seq))
            .collect();
        for (to, seq) in &to_send {
            self.deliver(turn, to, *seq);
        }
        if self.resend_at_ms.is_none() && self.awake()?.ledger.outbox_len() > 0 {
            self.wait_for_settlement(turn);
        }
        self.snapshot_if_due(turn.system().wall_ms()).await;
        self.arm(turn);
        Ok(Committed::Written)
    }

    pub(super) async fn command(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
        letter: Letter,
    ) -> Result<(), Failure> {
        let Letter {
            command,
            id,
            class,
            reply,
        } = letter;
        let Ok(command) = command.downcast::<D::Command>() else {
            if let Some(reply) = reply {
                turn.reply(reply, Err(CommandError::WrongType));
            }
            return Ok(());
        };
        match self
            .run(turn, *command, Facts::default(), id, class, None)
            .await
        {
            Ok((answer, committed)) => {
                let done = match (committed, answer) {
                    (Committed::Repeat(appended), _) => Some(Done::Before(appended)),
                    (Committed::Written, Some(answer)) => Some(Done::Now(Box::new(answer) as _)),
                    // Only what came from a durable agent is answered by its outbox.
                    (Committed::Written, None) => None,
                };
                if let (Some(reply), Some(done)) = (reply, done) {
                    turn.reply(reply, Ok(done));
                }
                Ok(())
            }
            Err(failure) => match failure.downcast::<AppendError>() {
                // Refused, and nothing has happened: the agent is as it was.
                Ok(error)
                    if !error.is_outcome_unknown()
                        && !matches!(
                            *error,
                            AppendError::Conflict { .. } | AppendError::Fenced { .. }
                        ) =>
                {
                    if let Some(reply) = reply {
                        turn.reply(reply, Err(CommandError::Append(*error)));
                    }
                    Ok(())
                }
                // The next life finds out what is in the journal.
                Ok(error) => Err(error),
                Err(failure) => Err(failure),
            },
        }
    }

    pub(super) async fn delivery(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
        from: Path,
        seq: u64,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let awake = self.awake()?;
        match awake.ledger.turned(from.as_str(), seq) {
            Turned::Next => {
                let facts = Facts {
                    consumed: Some((from.as_str().to_owned(), seq)),
                    ..Facts::default()
                };
                let name = format!("message {seq} of {from}");
                let (command, message) = self.read_delivery(turn, &from, payload);
                let origin = Origin {
                    from: from.clone(),
                    message,
                };
                self.handle_once(turn, command, facts, &name, Some(origin))
                    .await?;
            }
            Turned::Again => {}
            Turned::TooEarly => return Ok(()),
        }
        let up_to = self.awake()?.ledger.applied(from.as_str());
        let by = turn.path().clone();
        Self::tell(turn, from.as_str(), Kind::Settled { by, up_to });
        Ok(())
    }

    /// The command that a payload is, and the ACL message that it was, if it was one.
    pub(super) fn read_delivery(
        &self,
        turn: &Turn<'_, DurableAgent<D>>,
        from: &Path,
        payload: &[u8],
    ) -> (Option<D::Command>, Option<Arc<AclMessage>>) {
        if !acl::is_one(payload) {
            return (D::read_command(payload), None);
        }
        let Some(mut message) = acl::read(payload) else {
            return (None, None);
        };
        if message.sender.is_none() {
            message.sender = turn.system().lookup(from).map(|sender| sender.aid());
        }
        let message = Arc::new(message);
        (self.shared.behaviour.acl_command(&message), Some(message))
    }

    /// Handles what must be consumed in the end: if it has ended too many lives, or cannot be read, it is consumed unhandled.
    pub(super) async fn handle_once(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
        command: Option<D::Command>,
        mut facts: Facts,
        name: &str,
        origin: Option<Origin>,
    ) -> Result<(), Failure> {
        let key = (turn.path().clone(), name.to_owned());
        let shared = self.shared.clone();
        let lives = {
            let mut trouble = shared.trouble.lock();
            let lives = trouble.begun.entry(key.clone()).or_default();
            *lives += 1;
            *lives
        };
        match command {
            Some(command) if lives <= LIVES_PER_MESSAGE => {
                self.run(turn, command, facts, None, Class::Durable, origin)
                    .await?;
            }
            unreadable_or_poison => {
                let why = match unreadable_or_poison {
                    None => "it is no command of this agent",
                    Some(_) => "it has ended too many lives",
                };
                facts.is_dead = true;
                self.commit(turn, Vec::new(), facts, None, Class::Durable)
                    .await?;
                let detail = format!("{name}: {why}");
                let path = Some(turn.path().clone());
                turn.system()
                    .publish_custom(path, "durable-dead-letter", &detail);
            }
        }
        shared.trouble.lock().begun.remove(&key);
        Ok(())
    }

    pub(super) async fn tick(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
    ) -> Result<(), Failure> {
        self.tick = None;
        let now_ms = turn.system().wall_ms();
        for _ in 0..TIMERS_PER_TURN {
            let due = self
                .awake()?
                .ledger
                .due(now_ms)
                .map(|(key, payload)| (key.to_owned(), D::read_command(payload)));
            let Some((key, command)) = due else {
                break;
            };
            let facts = Facts {
                fired: Some(key.clone()),
                ..Facts::default()
            };
            self.handle_once(turn, command, facts, &format!("timer {key}"), None)
                .await?;
        }
        if self
            .resend_at_ms
            .is_some_and(|at| at <= turn.system().wall_ms())
        {
            self.resend(turn);
        }
        self.arm(turn);
        Ok(())
    }
}

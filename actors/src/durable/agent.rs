//! The agent around a decider: recovers, decides, commits, evolves, sends.

use super::awake::Awake;
use super::codec::{Stored, decode};
use super::decider::{Decider, Decision};
use super::durability::Durability;
use super::facts::{Facts, Turned};
use super::reference::{CommandError, Done, DurableMessage, Kind, Letter};
use super::spec::SnapshotPolicy;
use crate::agent::{Agent, Failure, Init};
use crate::journal::{
    Append, AppendError, Appended, Class, CommandId, Criteria, EventData, Expected, JournalError,
    Seq, StreamName,
};
use crate::sync_plain::Mutex;
use crate::timers::TimerId;
use crate::turn::Turn;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason, Incarnation, Path, Performative};

/// How long a message waits to be settled before it is sent again; then twice as long, and so on.
const RESEND_FIRST: Duration = Duration::from_millis(200);
/// The longest of these waits.
const RESEND_MAX: Duration = Duration::from_secs(30);
/// How many messages are sent again at once.
const RESENT_AT_ONCE: usize = 64;
/// How many due timers one turn handles.
const TIMERS_PER_TURN: usize = 16;
/// A message of another durable agent, or a timer, that has ended so many lives is consumed without being handled.
const LIVES_PER_MESSAGE: u32 = 3;

/// What all lives of the agents of one spec share.
pub(super) struct Shared<D> {
    decider: D,
    durability: Durability,
    snapshots: SnapshotPolicy,
    trouble: Mutex<Trouble>,
}

/// What a life leaves to the next one. Entries go when the trouble is over.
#[derive(Default)]
struct Trouble {
    /// Agents whose stream cannot be read, and why: the next start is declined.
    held: BTreeMap<Path, String>,
    /// How many lives began to handle a message, by agent and message.
    begun: BTreeMap<(Path, String), u32>,
}

impl<D> Shared<D> {
    pub(super) fn new(decider: D, durability: Durability, snapshots: SnapshotPolicy) -> Self {
        Self {
            decider,
            durability,
            snapshots,
            trouble: Mutex::default(),
        }
    }
}

/// A durable agent, as the runtime runs it. Made by [`DurableSpec`](super::DurableSpec).
pub struct DurableAgent<D: Decider> {
    shared: Arc<Shared<D>>,
    stream: Option<StreamName>,
    awake: Option<Box<Awake<D>>>,
    /// When the next tick is due, in milliseconds since 1970.
    tick: Option<(TimerId, u64)>,
    resend: Duration,
    resend_at_ms: Option<u64>,
    /// What was settled and is not in the journal yet: it goes with the next batch.
    settled: BTreeMap<String, u64>,
    /// When its last turn began.
    last_ms: u64,
}

/// What a commit led to.
enum Committed {
    Written,
    Repeat(Appended),
}

impl<D: Decider> DurableAgent<D> {
    pub(super) fn new(shared: Arc<Shared<D>>) -> Self {
        Self {
            shared,
            stream: None,
            awake: None,
            tick: None,
            resend: RESEND_FIRST,
            resend_at_ms: None,
            settled: BTreeMap::new(),
            last_ms: 0,
        }
    }

    fn stream(&self) -> Result<StreamName, Failure> {
        self.stream
            .clone()
            .ok_or_else(|| "its init did not run".into())
    }

    /// Its state, read from the journal if it is not in memory.
    async fn wake(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
        if self.awake.is_some() {
            return Ok(());
        }
        let stream = self.stream()?;
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
        let recovered = shared
            .durability
            .recover(&stream, move |journal| {
                Awake::recover(&theirs.0.decider, journal, &theirs.1, None)
            })
            .await;
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

    fn awake(&mut self) -> Result<&mut Awake<D>, Failure> {
        self.awake
            .as_deref_mut()
            .ok_or_else(|| "it is asleep".into())
    }

    /// Decides about one command and writes what that leads to.
    async fn run(
        &mut self,
        turn: &mut Turn<'_, Self>,
        command: D::Command,
        facts: Facts,
        id: Option<CommandId>,
        class: Class,
        from: Option<Path>,
    ) -> Result<(D::Answer, Committed), Failure> {
        let (now_ms, random) = (turn.system().wall_ms(), turn.random());
        let shared = self.shared.clone();
        let awake = self.awake()?;
        let mut decision = Decision {
            events: Vec::new(),
            facts,
            ledger: &awake.ledger,
            failed: None,
            now_ms,
            random,
            from,
        };
        let answer = shared
            .decider
            .decide(&awake.state, command, &mut decision)?;
        if let Some(overrun) = decision.failed {
            return Err(overrun.into());
        }
        let (events, facts) = (decision.events, decision.facts);
        let committed = self.commit(turn, events, facts, id, class).await?;
        Ok((answer, committed))
    }

    /// The one place where a turn's events and facts become real.
    async fn commit(
        &mut self,
        turn: &mut Turn<'_, Self>,
        events: Vec<D::Event>,
        mut facts: Facts,
        id: Option<CommandId>,
        class: Class,
    ) -> Result<Committed, Failure> {
        let shared = self.shared.clone();
        let stream = self.stream()?;
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
            let form = event.form();
            data.push(EventData {
                type_id: form.type_id,
                version: form.version,
                tags: shared.decider.tags(event),
                meta: Vec::new(),
                payload: event.encode()?,
            });
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
            shared.decider.evolve(&mut awake.state, event);
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
        if !to_send.is_empty() && self.resend_at_ms.is_none() {
            self.wait_for_settlement(turn);
        }
        self.snapshot_if_due(turn.system().wall_ms());
        self.arm(turn);
        Ok(Committed::Written)
    }

    /// Sends one message of the outbox, if its receiver is there and has room. If not, it is sent again later.
    fn deliver(&self, turn: &mut Turn<'_, Self>, to: &str, seq: u64) {
        let Some(awake) = &self.awake else {
            return;
        };
        let Some(payload) = awake.ledger.payload(to, seq) else {
            return;
        };
        let payload: Arc<[u8]> = payload.into();
        let from = turn.path().clone();
        Self::tell(turn, to, Kind::Delivery { from, seq, payload });
    }

    fn tell(turn: &mut Turn<'_, Self>, to: &str, kind: Kind) {
        let receiver = Path::new(to)
            .ok()
            .and_then(|path| turn.system().lookup_typed(&path));
        if let Some(receiver) = receiver {
            // What finds no room now is sent again.
            drop(turn.try_send(&receiver, DurableMessage(kind)));
        }
    }

    fn wait_for_settlement(&mut self, turn: &Turn<'_, Self>) {
        let wait = u64::try_from(self.resend.as_millis()).unwrap_or(u64::MAX);
        self.resend_at_ms = Some(turn.system().wall_ms() + wait);
    }

    /// Sends what is not settled again, the oldest of each receiver first.
    fn resend(&mut self, turn: &mut Turn<'_, Self>) {
        let Some(awake) = &self.awake else {
            return;
        };
        let due: Vec<(String, u64)> = awake
            .ledger
            .outbox()
            .take(RESENT_AT_ONCE)
            .map(|(to, seq, _)| (to.to_owned(), seq))
            .collect();
        if due.is_empty() {
            self.resend_at_ms = None;
            self.resend = RESEND_FIRST;
            return;
        }
        for (to, seq) in due {
            self.deliver(turn, &to, seq);
        }
        self.wait_for_settlement(turn);
        self.resend = (self.resend * 2).min(RESEND_MAX);
    }

    /// Sets the one timer of this life to what comes first: a timer of the agent's, or sending again.
    fn arm(&mut self, turn: &mut Turn<'_, Self>) {
        let timer = self
            .awake
            .as_ref()
            .and_then(|awake| awake.ledger.next_timer());
        let next = [timer, self.resend_at_ms].into_iter().flatten().min();
        if self.tick.map(|(_, at)| at) == next {
            return;
        }
        if let Some((id, _)) = self.tick.take() {
            turn.cancel(id);
        }
        if let Some(at) = next {
            let after = at.saturating_sub(turn.system().wall_ms());
            // An agent of this kind has one timer.
            if let Ok(id) = turn.schedule(Duration::from_millis(after), DurableMessage(Kind::Tick))
            {
                self.tick = Some((id, at));
            }
        }
    }

    fn snapshot_if_due(&mut self, now_ms: u64) {
        let policy = self.shared.snapshots;
        let is_due = self
            .awake
            .as_ref()
            .is_some_and(|awake| awake.events >= policy.events || awake.bytes >= policy.bytes);
        if is_due {
            self.snapshot(now_ms);
        }
    }

    /// Hands a snapshot to the journal; nobody waits for it. What it and the one before it replace may go.
    fn snapshot(&mut self, now_ms: u64) {
        let (shared, Some(stream)) = (self.shared.clone(), self.stream.clone()) else {
            return;
        };
        let Some(awake) = &mut self.awake else {
            return;
        };
        let before = awake.snapshot;
        let Some(snapshot) = awake.take_snapshot(&stream, now_ms) else {
            return;
        };
        let journal = shared.durability.journal();
        // The journal takes these in order; a snapshot that fails only makes the next recovery longer.
        drop(journal.save_snapshot(snapshot));
        if let Some(before) = before {
            if let Some(older) = before.checked_sub(1) {
                drop(journal.delete_snapshots(&stream, Criteria::up_to(Seq(older))));
            }
            if shared.snapshots.compacts {
                let (journal, durability) = (journal.clone(), shared.durability.clone());
                durability.off_turn(move || drop(journal.truncate(&stream, Seq(before))));
            }
        }
    }

    async fn command(&mut self, turn: &mut Turn<'_, Self>, letter: Letter) -> Result<(), Failure> {
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
                if let Some(reply) = reply {
                    let done = match committed {
                        Committed::Written => Done::Now(Box::new(answer) as Box<_>),
                        Committed::Repeat(appended) => Done::Before(appended),
                    };
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

    async fn delivery(
        &mut self,
        turn: &mut Turn<'_, Self>,
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
                let command = decode::<D::Command>(payload);
                self.handle_once(turn, command, facts, &name, Some(from.clone()))
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

    /// Handles what must be consumed in the end: if it has ended too many lives, or cannot be read, it is consumed unhandled.
    async fn handle_once(
        &mut self,
        turn: &mut Turn<'_, Self>,
        command: Option<D::Command>,
        mut facts: Facts,
        name: &str,
        from: Option<Path>,
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
                self.run(turn, command, facts, None, Class::Durable, from)
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

    async fn tick(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
        self.tick = None;
        let now_ms = turn.system().wall_ms();
        for _ in 0..TIMERS_PER_TURN {
            let due = self
                .awake()?
                .ledger
                .due(now_ms)
                .map(|(key, payload)| (key.to_owned(), decode::<D::Command>(payload)));
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

    fn is_settled(&mut self, turn: &mut Turn<'_, Self>, by: &Path, up_to: u64) {
        let Some(awake) = &mut self.awake else {
            return;
        };
        if awake.ledger.settle(by.as_str(), up_to) {
            self.settled.insert(by.as_str().to_owned(), up_to);
            self.resend = RESEND_FIRST;
            if awake.ledger.outbox_len() == 0 {
                self.resend_at_ms = None;
            } else {
                self.wait_for_settlement(turn);
            }
            self.arm(turn);
        }
    }

    /// What is to be in the journal before this agent leaves memory.
    fn leave(&mut self, now_ms: u64) -> Option<crate::journal::Receipt<Appended, AppendError>> {
        let is_due = self
            .awake
            .as_ref()
            .is_some_and(|awake| awake.events >= self.shared.snapshots.at_rest.max(1));
        let mut receipt = None;
        if let (Some(awake), Some(stream), false) =
            (&self.awake, &self.stream, self.settled.is_empty())
        {
            let facts = Facts {
                settled: std::mem::take(&mut self.settled).into_iter().collect(),
                ..Facts::default()
            };
            if let Ok(bytes) = super::codec::encode(&facts) {
                let append = Append {
                    expected: Expected::Exact(Seq(awake.last_seq)),
                    facts: bytes,
                    wake_at_ms: awake.ledger.wake_after(&facts),
                    epoch: self.shared.durability.epoch(),
                    ..Append::new(stream.clone(), Vec::new())
                };
                receipt = Some(self.shared.durability.journal().append(append));
            }
        }
        if is_due {
            self.snapshot(now_ms);
        }
        receipt
    }
}

impl<D: Decider> Agent for DurableAgent<D> {
    type Message = DurableMessage;

    /// Looks at the stream's head only: a node may have a million of these. The rest is read with the first message.
    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let path = turn.path().clone();
        let held = self.shared.trouble.lock().held.remove(&path);
        if let Some(why) = held {
            turn.system().publish_custom(Some(path), "held", &why);
            return Ok(Init::Ignore);
        }
        let stream = StreamName::new(path.as_str())?;
        match self.shared.durability.journal().head(&stream) {
            Ok(head) => {
                self.stream = Some(stream);
                if let Some(wake_at) = head.and_then(|head| head.wake_at_ms) {
                    let after = wake_at.saturating_sub(turn.system().wall_ms());
                    let message = DurableMessage(Kind::Tick);
                    let id = turn.schedule(Duration::from_millis(after), message)?;
                    self.tick = Some((id, wake_at));
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
        self.last_ms = turn.system().wall_ms();
        self.wake(turn).await?;
        match message.0 {
            Kind::Command(letter) => self.command(turn, *letter).await,
            Kind::Delivery { from, seq, payload } => self.delivery(turn, from, seq, &payload).await,
            Kind::Settled { by, up_to } => {
                self.is_settled(turn, &by, up_to);
                Ok(())
            }
            Kind::Tick => self.tick(turn).await,
        }
    }

    /// An ACL message is a command without an id.
    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        self.last_ms = turn.system().wall_ms();
        let shared = self.shared.clone();
        match shared.decider.acl_command(&message) {
            Some(command) => {
                self.wake(turn).await?;
                let facts = Facts::default();
                let done = self
                    .run(turn, command, facts, None, Class::Durable, None)
                    .await;
                let (answer, _) = done?;
                turn.answer(shared.decider.acl_answer(&message, answer));
            }
            None => match message.performative {
                Performative::NotUnderstood | Performative::Failure => {}
                _ => turn.answer(message.reply(Performative::NotUnderstood)),
            },
        }
        Ok(())
    }

    fn on_sleep(&mut self) {
        // Nobody waits for what this writes: what is read later is read behind it.
        drop(self.leave(self.last_ms));
        self.awake = None;
    }

    async fn terminate(&mut self, _: &ExitReason) {
        if let Some(receipt) = self.leave(self.last_ms) {
            drop(receipt.await);
        }
    }
}

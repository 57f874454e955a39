//! The agent around a decider: recovers, decides, commits, evolves, sends.

use super::acl;
use super::awake::Awake;
use super::behaviour::{Asker, DurableBehaviour};
use super::decider::Decision;
use super::durability::Durability;
use super::facts::{Facts, Turned};
use super::reference::{CommandError, Done, DurableMessage, Kind, Letter};
use super::spec::SnapshotPolicy;
use super::wait::wait;
use crate::agent::{Agent, Failure, Init};
use crate::journal::{
    Append, AppendError, Appended, Class, CommandId, Criteria, Expected, JournalError, Seq,
    StreamName,
};
use crate::sync_plain::Mutex;
use crate::timers::TimerId;
use crate::turn::Turn;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    behaviour: D,
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

/// Who sent the command of a turn, where that was another durable agent.
struct Origin {
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
enum Committed {
    Written,
    Repeat(Appended),
}

impl<D: DurableBehaviour> DurableAgent<D> {
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
            shared.behaviour.evolve(&mut awake.state, event).await?;
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

    /// Sends one message of the outbox, if its receiver is there and has room. If not, it is sent again later.
    fn deliver(&mut self, turn: &mut Turn<'_, Self>, to: &str, seq: u64) {
        let Some(awake) = &mut self.awake else {
            return;
        };
        let Some(payload) = awake.ledger.payload(to, seq) else {
            return;
        };
        let receiver = Path::new(to).ok();
        let Some(receiver) = receiver.and_then(|path| turn.system().lookup(&path)) else {
            return;
        };
        if let Some(durable) = receiver.typed() {
            let payload: Arc<[u8]> = payload.into();
            let from = turn.path().clone();
            let delivery = DurableMessage(Kind::Delivery { from, seq, payload });
            // What finds no room now is sent again.
            drop(turn.try_send(&durable, delivery));
        } else if awake.ledger.is_first_to(to, seq)
            && let Some(mut message) = acl::read(payload)
        {
            // It is on record already, so it need not wait for the end of the turn. A volatile receiver settles by having room.
            message.sender.get_or_insert_with(|| turn.aid());
            if receiver.try_send_acl(message).is_ok() {
                awake.ledger.settle(to, seq);
                self.settled.insert(to.to_owned(), seq);
            }
        }
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
        if self
            .awake
            .as_ref()
            .is_none_or(|awake| awake.ledger.outbox_len() == 0)
        {
            self.resend_at_ms = None;
            return;
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

    async fn snapshot_if_due(&mut self, now_ms: u64) {
        let policy = self.shared.snapshots;
        let is_due = self
            .awake
            .as_ref()
            .is_some_and(|awake| awake.events >= policy.events || awake.bytes >= policy.bytes);
        if is_due && let (Some(stream), Some(awake)) = (&self.stream, &mut self.awake) {
            snapshot(&self.shared, stream, awake, now_ms).await;
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
    fn read_delivery(
        &self,
        turn: &Turn<'_, Self>,
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
    async fn handle_once(
        &mut self,
        turn: &mut Turn<'_, Self>,
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

    async fn tick(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
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

    /// What is to be in the journal before this agent leaves memory, besides a snapshot.
    fn leave(&mut self) -> Option<crate::journal::Receipt<Appended, AppendError>> {
        let (Some(awake), Some(stream), false) =
            (&self.awake, &self.stream, self.settled.is_empty())
        else {
            return None;
        };
        let facts = Facts {
            settled: std::mem::take(&mut self.settled).into_iter().collect(),
            ..Facts::default()
        };
        let append = Append {
            expected: Expected::Exact(Seq(awake.last_seq)),
            facts: super::codec::encode(&facts).ok()?,
            wake_at_ms: awake.ledger.wake_after(&facts),
            epoch: self.shared.durability.epoch(),
            ..Append::new(stream.clone(), Vec::new())
        };
        Some(self.shared.durability.journal().append(append))
    }

    /// Whether it has changed enough for a snapshot before it leaves memory.
    fn is_snapshot_due_at_rest(&self) -> bool {
        let at_rest = self.shared.snapshots.at_rest.max(1);
        self.awake
            .as_ref()
            .is_some_and(|awake| awake.events >= at_rest)
    }
}

/// Hands a snapshot to the journal; nobody waits for it. What it and the one before it replace may go.
async fn snapshot<D: DurableBehaviour>(
    shared: &Shared<D>,
    stream: &StreamName,
    awake: &mut Awake<D>,
    now_ms: u64,
) {
    let before = awake.snapshot;
    let Some(snapshot) = awake.take_snapshot(&shared.behaviour, stream, now_ms).await else {
        return;
    };
    let journal = shared.durability.journal();
    // The journal takes these in order; a snapshot that fails only makes the next recovery longer.
    drop(journal.save_snapshot(snapshot));
    if let Some(before) = before {
        if let Some(older) = before.checked_sub(1) {
            drop(journal.delete_snapshots(stream, Criteria::up_to(Seq(older))));
        }
        if shared.snapshots.compacts {
            let (journal, durability) = (journal.clone(), shared.durability.clone());
            let stream = stream.clone();
            durability.off_turn(false, move || drop(journal.truncate(&stream, Seq(before))));
        }
    }
}

impl<D: DurableBehaviour> Agent for DurableAgent<D> {
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
            Kind::Aside(message) => {
                let shared = self.shared.clone();
                let state = &mut self.awake()?.state;
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
        self.last_ms = turn.system().wall_ms();
        let shared = self.shared.clone();
        match shared.behaviour.acl_command(&message) {
            Some(command) => {
                self.wake(turn).await?;
                let facts = Facts::default();
                let done = self
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
        // Nobody waits for what this writes: what is read later is read behind it.
        drop(self.leave());
        let (is_due, now_ms) = (self.is_snapshot_due_at_rest(), self.last_ms);
        if let (Some(mut awake), Some(stream), true) =
            (self.awake.take(), self.stream.clone(), is_due)
        {
            let (shared, durability) = (self.shared.clone(), self.shared.durability.clone());
            if D::BLOCKS {
                durability.off_turn(true, move || {
                    wait(snapshot(&shared, &stream, &mut awake, now_ms));
                });
            } else {
                wait(snapshot(&shared, &stream, &mut awake, now_ms));
            }
        }
    }

    async fn terminate(&mut self, reason: &ExitReason) {
        let receipt = self.leave();
        if self.is_snapshot_due_at_rest()
            && let (Some(stream), Some(awake)) = (&self.stream, &mut self.awake)
        {
            snapshot(&self.shared, stream, awake, self.last_ms).await;
        }
        if let Some(awake) = &mut self.awake {
            self.shared.behaviour.stop(&mut awake.state, reason).await;
        }
        if let Some(receipt) = receipt {
            drop(receipt.await);
        }
    }
}

//! References: what holds an agent's address and can be sent to. They stay valid over restarts.

use crate::agent::Message;
use crate::ask::{AclAsker, AskError, ReplyTo, ask_pair, held_ask_pair};
use crate::cell::core::{CellCore, Watcher};
use crate::info::ActorInfo;
use crate::letter::{Body, Extra, Letter};
use crate::mailbox::{Gate, Reservation};
use crate::remote::{Desk, RemoteCell};
use crate::signal::{Down, Exit, NameNews, Signal, WatchEvent};
use crate::spec::{OnNameConflict, WhenFull};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use swarm_protocols::{
    AclMessage, Address, ExitReason, Extensions, Incarnation, Path, Pid, Priority, TraceContext,
};
use tokio::sync::oneshot;

/// Why a message was not taken. `message` is the message itself, unless it had already been taken over when the receiver
/// closed: then it is a dead letter.
#[derive(thiserror::Error)]
#[error("{why}")]
pub struct SendError<M> {
    /// Why.
    pub why: NotSent,
    /// The message, handed back.
    pub message: Option<M>,
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("why", &self.why)
            .field("message", &self.message.is_some())
            .finish()
    }
}

impl<M> From<Bounced<M>> for SendError<M> {
    fn from(Bounced { why, letter }: Bounced<M>) -> Self {
        Self {
            why,
            message: letter.and_then(message_of),
        }
    }
}

/// Why a message was not sent. Nothing was handled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The mailbox is full, and the send was not to wait. Retry later.
    #[error("the mailbox is full")]
    Full,
    /// The agent is stopped or being drained. Retry once it runs again.
    #[error("the agent takes no messages now")]
    Refused,
    /// The agent has ended for good. Retrying is of no use.
    #[error("the agent has ended")]
    Ended,
    /// A hook refused the message. Retrying the same is of no use.
    #[error("refused by a hook: {0}")]
    Rejected(String),
    /// The agent's node cannot be reached. Retry when it can.
    #[error("the agent's node cannot be reached")]
    Unreachable,
    /// It cannot be sent to another node: too large, or of a type without a codec. Retrying the same is of no use.
    #[error("cannot be sent to another node: {0}")]
    NotCarried(String),
}

impl NotSent {
    pub(crate) fn at_gate(gate: Gate) -> Self {
        match gate {
            Gate::Open | Gate::Refusing => Self::Refused,
            Gate::Closed => Self::Ended,
        }
    }
}

impl From<NotSent> for AskError {
    fn from(why: NotSent) -> Self {
        match why {
            NotSent::Full => Self::Full,
            NotSent::Refused | NotSent::Rejected(_) | NotSent::NotCarried(_) => Self::Refused,
            NotSent::Unreachable => Self::Unreachable,
            NotSent::Ended => Self::NoProc,
        }
    }
}

/// How a single message is sent. The default is: normal priority, no expiry, the receiver's own policy when it is full.
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    /// Which messages it may overtake.
    pub priority: Priority,
    /// What happens when the mailbox is full; `None` for the receiver's own policy.
    pub when_full: Option<WhenFull>,
    /// It is not handled any more after this time from now, and becomes a dead letter `expired`.
    pub expires_in: Option<Duration>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// What travels along unread.
    pub extensions: Extensions,
}

/// A letter that was not taken, and why. There is none when it had been taken over before.
pub(crate) struct Bounced<M> {
    pub(crate) why: NotSent,
    pub(crate) letter: Option<Letter<M>>,
}

/// A cell as those see it who know its message type. Where a letter is handed over in a slot, that is empty once the letter
/// was taken.
pub(crate) trait Receive<M>: AnyCell {
    /// Past the hooks and into the mailbox, without waiting: the way of most letters.
    fn post(&self, letter: Letter<M>, when_full: Option<WhenFull>) -> Result<(), Bounced<M>>;
    /// Puts the letter in without waiting.
    fn push(
        &self,
        letter: &mut Option<Letter<M>>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent>;
    /// Puts letters in as long as they are taken, without waiting; they were admitted. What is left was not taken.
    fn push_all(&self, letters: &mut VecDeque<Letter<M>>);
    /// Puts it in at the cost of the oldest. Not for callers that hold a seat's lock.
    fn push_over(&self, letter: &mut Option<Letter<M>>) -> Result<(), NotSent>;
    /// Puts it in, or waits in line with it. The ticket is for `poll_ticket` and `cancel`.
    fn wait(&self, letter: &mut Option<Letter<M>>, waker: &Waker) -> Result<Option<u64>, NotSent>;
    fn poll_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>>;
    fn cancel(&self, ticket: u64) -> Option<Letter<M>>;
    fn reserve(&self) -> Result<Reservation, NotSent>;
    fn unreserve(&self, reservation: Reservation);
    fn push_reserved(
        &self,
        reservation: Reservation,
        letter: &mut Option<Letter<M>>,
    ) -> Result<(), NotSent>;
    /// Hooks, where there are any. Must be asked once per letter, before it is pushed.
    fn admit(&self, letter: &Letter<M>) -> Result<(), NotSent>;
    fn when_full(&self) -> WhenFull;
    /// Makes a dead letter of it.
    fn bury(&self, letter: Letter<M>, cause: crate::DeathCause);
    fn to_any(self: Arc<Self>) -> Arc<dyn AnyCell>;
}

/// A cell as those see it who don't.
pub(crate) trait AnyCell: Send + Sync + 'static {
    fn core(&self) -> &CellCore;
    /// Whether it stands for a cell of another node.
    fn remote(&self) -> Option<&RemoteCell> {
        None
    }
    /// Where letters from other nodes are laid; none if it stands for a cell of another node itself.
    fn desk(self: Arc<Self>) -> Option<Box<dyn Desk>>;
    fn push_acl(
        &self,
        letter: &mut Option<AclLetter>,
        when_full: Option<WhenFull>,
    ) -> Result<(), NotSent>;
    fn wait_acl(
        &self,
        letter: &mut Option<AclLetter>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent>;
    fn poll_acl_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>>;
    fn cancel_any(&self, ticket: u64);
    fn admit_acl(&self, letter: &AclLetter) -> Result<(), NotSent>;
    fn bury_acl(&self, letter: AclLetter, cause: crate::DeathCause);
    fn default_when_full(&self) -> WhenFull;
    /// For one life of it; dropped when that is over.
    fn signal_to(&self, life: Incarnation, signal: Signal);
    /// It will never be started again: somebody else takes its place.
    fn discard(&self);
    fn kill(&self, reason: ExitReason);
    fn pause(&self) -> bool;
    fn resume(&self) -> bool;
    fn refuse(&self, refusing: bool);
    /// What is to become of it when it loses its name.
    fn on_name_conflict(&self) -> OnNameConflict {
        OnNameConflict::KeepLocal
    }
    /// Takes no messages any more, and sends on what it has. How many.
    fn send_on(&self, to: &AnyRef) -> usize {
        let _ = to;
        0
    }
    fn depth(&self) -> u64;
    fn inject(&self, injected: crate::fault::Injected) -> bool;
    fn is_settled(&self) -> bool;
    fn info(&self) -> ActorInfo;
    fn detail(&self) -> crate::ActorDetail;
    fn aid(&self) -> swarm_protocols::Aid;
    /// Its shell did nothing for a while: whether it has been reported as stuck by now.
    fn stands_still(&self, still: &crate::watchdog::Still<'_>) -> bool;
    /// Its mailbox was full: whether that may be reported again.
    fn is_half_empty(&self) -> bool;
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// Its typed reference, an `AgentRef` of its own message type; anything else where only another node knows that.
    fn typed_reference(self: Arc<Self>) -> Box<dyn Any>;
}

/// An ACL letter: it fits every agent.
pub(crate) type AclLetter = Letter<std::convert::Infallible>;

/// A reference to an agent that takes messages of type `M`. Cheap to clone; equal when the address is.
pub struct AgentRef<M>(pub(crate) Arc<dyn Receive<M>>);

impl<M> Clone for AgentRef<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: 'static> fmt::Debug for AgentRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentRef({})", self.0.core().path)
    }
}

impl<M: 'static> PartialEq for AgentRef<M> {
    fn eq(&self, other: &Self) -> bool {
        self.0.core().address == other.0.core().address
    }
}

impl<M: 'static> Eq for AgentRef<M> {}

impl<M: Message> AgentRef<M> {
    /// Sends a message, and waits when the mailbox is full and the receiver's policy says so. When the future is dropped
    /// while it waits, the message is not sent.
    ///
    /// # Errors
    /// [`SendError`] says why the message was not taken, and has it.
    pub async fn send(&self, message: M) -> Result<(), SendError<M>> {
        match self.post(message) {
            Ok(()) => Ok(()),
            // Boxed, so that a send that need not wait does not make room for this.
            Err(bounced) => Box::pin(self.not_at_once(bounced, None)).await,
        }
    }

    /// Sends a message with options.
    ///
    /// # Errors
    /// As [`AgentRef::send`].
    pub async fn send_with(&self, message: M, options: SendOptions) -> Result<(), SendError<M>> {
        let when_full = options.when_full;
        let letter = self.letter(message, options);
        match self.0.post(letter, when_full) {
            Ok(()) => Ok(()),
            Err(bounced) => Box::pin(self.not_at_once(bounced, when_full)).await,
        }
    }

    /// Sends a message if there is room now. Never waits.
    ///
    /// # Errors
    /// As [`AgentRef::send`], and [`NotSent::Full`] when there is no room.
    pub fn try_send(&self, message: M) -> Result<(), SendError<M>> {
        let letter = Letter::new(Body::Message(message), 0);
        self.0
            .post(letter, Some(WhenFull::Fail))
            .map_err(SendError::from)
    }

    /// Asks: sends the message that `make` makes around a place for the answer, and waits for the answer, at most
    /// `within` from now, the wait for room included; a deadline of 5 s or more is kept to a hundredth of a second, as far as
    /// the watchdog's thread runs in time. Fails at once when the callee ends for good, or when the turn that
    /// handles the request crashes. When the future is dropped the request may still be handled.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
        within: Duration,
    ) -> Result<T, AskError> {
        self.ask_stamped(make, within, |letter| letter).await
    }

    /// The same with a letter that says more, such as who asks.
    pub(crate) async fn ask_stamped<T: Send + 'static>(
        &self,
        make: impl FnOnce(ReplyTo<T>) -> M,
        within: Duration,
        stamp: impl FnOnce(Letter<M>) -> Letter<M>,
    ) -> Result<T, AskError> {
        let (port, hold, answer) = held_ask_pair();
        let mut letter = stamp(Letter::new(Body::Message(make(port)), 0));
        letter.ask = Some(hold);
        match self.0.post(letter, None) {
            Ok(()) => answer.within(&self.0.core().system, within).await,
            Err(bounced) => {
                let waits = async {
                    self.not_at_once(bounced, None).await.map_err(|e| e.why)?;
                    answer.await
                };
                Box::pin(tokio::time::timeout(within, waits))
                    .await
                    .unwrap_or(Err(AskError::Timeout { within }))
            }
        }
    }

    /// The same agent, its message type forgotten.
    #[must_use]
    pub fn any(&self) -> AnyRef {
        AnyRef(self.0.clone().to_any())
    }

    /// Its place in the tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.core().path
    }

    /// Its address: stable over restarts.
    #[must_use]
    pub fn address(&self) -> Address {
        self.0.core().address
    }

    #[inline]
    fn post(&self, message: M) -> Result<(), Bounced<M>> {
        self.0.post(Letter::new(Body::Message(message), 0), None)
    }

    fn letter(&self, message: M, options: SendOptions) -> Letter<M> {
        self.0.core().letter(Body::Message(message), options)
    }

    /// What its receiver did not take at once makes room for itself or waits, where the policy says so.
    async fn not_at_once(
        &self,
        Bounced { why, mut letter }: Bounced<M>,
        when_full: Option<WhenFull>,
    ) -> Result<(), SendError<M>> {
        let why = match why {
            NotSent::Full => match when_full.unwrap_or_else(|| self.0.when_full()) {
                WhenFull::Wait => return self.wait_letter(letter).await,
                WhenFull::Fail => NotSent::Full,
                WhenFull::DropOldest => match self.0.push_over(&mut letter) {
                    Ok(()) => return Ok(()),
                    Err(why) => why,
                },
            },
            why => why,
        };
        Err(SendError::from(Bounced { why, letter }))
    }

    async fn wait_letter(&self, letter: Option<Letter<M>>) -> Result<(), SendError<M>> {
        let mut line = InLine {
            cell: &*self.0,
            letter,
            ticket: None,
        };
        poll_fn(|cx| line.poll(cx.waker())).await
    }
}

/// A sender that waits in line. Leaves it when it is dropped.
struct InLine<'a, M: 'static> {
    cell: &'a dyn Receive<M>,
    letter: Option<Letter<M>>,
    ticket: Option<u64>,
}

impl<M: 'static> InLine<'_, M> {
    fn poll(&mut self, waker: &Waker) -> Poll<Result<(), SendError<M>>> {
        if self.letter.is_some() {
            match self.cell.wait(&mut self.letter, waker) {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(Some(ticket)) => {
                    self.ticket = Some(ticket);
                    return Poll::Pending;
                }
                Err(why) => {
                    return Poll::Ready(Err(SendError {
                        why,
                        message: self.letter.take().and_then(message_of),
                    }));
                }
            }
        }
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Ok(()));
        };
        self.cell.poll_ticket(ticket, waker).map(|entered| {
            self.ticket = None;
            entered.map_err(|gate| SendError {
                why: NotSent::at_gate(gate),
                message: None,
            })
        })
    }
}

impl<M: 'static> Drop for InLine<'_, M> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            drop(self.cell.cancel(ticket));
        }
    }
}

fn message_of<M>(letter: Letter<M>) -> Option<M> {
    match letter.body {
        Body::Message(message) | Body::Timer(_, message) => Some(message),
        Body::Acl(_) | Body::Signal(..) => None,
    }
}

/// A reference to an agent of whatever message type. Every agent takes ACL messages.
#[derive(Clone)]
pub struct AnyRef(pub(crate) Arc<dyn AnyCell>);

impl fmt::Debug for AnyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyRef({})", self.0.core().path)
    }
}

impl PartialEq for AnyRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.core().address == other.0.core().address
    }
}

impl Eq for AnyRef {}

impl AnyRef {
    /// Its place in the tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.core().path
    }

    /// Its address: stable over restarts.
    #[must_use]
    pub fn address(&self) -> Address {
        self.0.core().address
    }

    /// Its present life, or the last one when it has none.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.0.core().pid()
    }

    /// Its present life's number; 0 before the first.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.pid().incarnation
    }

    /// Whether a life is going on.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.core().is_alive()
    }

    /// Whether it is on another node that has not answered lately: what is asked of it may take until there is a verdict on that node.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.0.remote().is_some_and(|remote| remote.is_doubtful())
    }

    /// Whether it is on another node.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.0.remote().is_some()
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> crate::ActorState {
        self.0.core().state()
    }

    /// What is shown of it in a list.
    #[must_use]
    pub fn info(&self) -> ActorInfo {
        self.0.info()
    }

    /// Its AID: `NAME@NODE`, with its registered name or else its path's last name.
    #[must_use]
    pub fn aid(&self) -> swarm_protocols::Aid {
        self.0.aid()
    }

    /// All that can be shown of it.
    #[must_use]
    pub fn detail(&self) -> crate::ActorDetail {
        self.0.detail()
    }

    /// How many messages are queued.
    #[must_use]
    pub fn mailbox_depth(&self) -> u64 {
        self.0.depth()
    }

    /// What its spec says is to become of it when another agent of the cluster has its name; `KeepLocal` of an agent of another node.
    #[must_use]
    pub fn on_name_conflict(&self) -> OnNameConflict {
        self.0.on_name_conflict()
    }

    /// Tells it what has become of its name. Dropped when no life is going on.
    pub fn tell_of_name(&self, news: NameNews) {
        let life = self.incarnation();
        self.0.signal_to(life, Signal::Name(news));
    }

    /// Takes no further messages, and sends those that are queued to another agent, in order, each waiting for room as any send out of a
    /// turn; asks among them are answered from there. Messages of a type that does not travel become dead letters `refused`. Says how
    /// many were sent on. Until its next start; of no effect on an agent of another node.
    pub fn send_on(&self, to: &Self) -> usize {
        self.0.send_on(to)
    }

    /// The same agent with its message type, if it is of that type. Of an agent of another node only that node knows its type: any
    /// that has a codec is taken, and a message of another type becomes a dead letter there.
    #[must_use]
    pub fn typed<M: Message>(&self) -> Option<AgentRef<M>> {
        if self.0.remote().is_some() {
            let remote = self.0.clone().as_any().downcast::<RemoteCell>().ok()?;
            return remote.typed();
        }
        let typed = self.0.clone().typed_reference();
        typed.downcast::<AgentRef<M>>().ok().map(|boxed| *boxed)
    }

    /// Sends an ACL message; as [`AgentRef::send`], but a send that is given up while it waits becomes a dead letter.
    ///
    /// # Errors
    /// [`NotSent`].
    pub async fn send_acl(&self, message: AclMessage) -> Result<(), NotSent> {
        let letter = self.0.core().plain_letter(Body::Acl(Arc::new(message)));
        self.send_acl_letter(letter).await
    }

    /// Sends an ACL message if there is room now. Never waits.
    ///
    /// # Errors
    /// [`NotSent`].
    pub fn try_send_acl(&self, message: AclMessage) -> Result<(), NotSent> {
        let letter = self.0.core().plain_letter(Body::Acl(Arc::new(message)));
        self.0.admit_acl(&letter)?;
        self.0.push_acl(&mut Some(letter), Some(WhenFull::Fail))
    }

    /// Sends an ACL message and waits for the answer that the agent gives with
    /// [`Turn::answer`](crate::Turn::answer); otherwise as [`AgentRef::ask`].
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask_acl(
        &self,
        message: AclMessage,
        within: Duration,
    ) -> Result<AclMessage, AskError> {
        let letter = self.0.core().plain_letter(Body::Acl(Arc::new(message)));
        self.ask_letter(letter, within).await
    }

    pub(crate) async fn ask_letter(
        &self,
        mut letter: AclLetter,
        within: Duration,
    ) -> Result<AclMessage, AskError> {
        let (port, answer) = ask_pair();
        letter.ask = Some(AclAsker(port).into());
        match tokio::time::timeout(within, async {
            self.send_acl_letter(letter).await?;
            answer.await
        })
        .await
        {
            Ok(answer) => answer,
            Err(_) => Err(AskError::Timeout { within }),
        }
    }

    async fn send_acl_letter(&self, letter: AclLetter) -> Result<(), NotSent> {
        self.0.admit_acl(&letter)?;
        let mut letter = Some(letter);
        match self.0.push_acl(&mut letter, None) {
            Ok(()) => Ok(()),
            Err(NotSent::Full) if self.0.default_when_full() == WhenFull::Wait => {
                let mut line = AclInLine {
                    cell: &*self.0,
                    letter,
                    ticket: None,
                };
                poll_fn(|cx| line.poll(cx.waker())).await
            }
            Err(why) => Err(why),
        }
    }

    /// Sends an exit signal, as OTP's `exit/2`: `killed` ends it at once, `normal` is ignored, any other reason arrives as
    /// an exit message, which ends an agent that does not trap it.
    pub fn exit(&self, reason: ExitReason) {
        match reason {
            ExitReason::Normal => {}
            ExitReason::Killed => self.kill(),
            reason => {
                let pid = Pid {
                    address: Address(0),
                    incarnation: Incarnation(0),
                };
                self.signal_to(self.incarnation(), Signal::Exit(Exit { pid, reason }));
            }
        }
    }

    /// Ends the present life at once, without cleanup. Its supervisor decides whether there is another. While an init runs,
    /// the start fails with `killed` at the init's next await.
    pub fn kill(&self) {
        self.0.kill(ExitReason::Killed);
    }

    /// Suspends it: messages queue up, the supervisor can still stop it. False when it was paused or is not alive.
    pub fn pause(&self) -> bool {
        self.0.pause()
    }

    /// Lets a paused agent go on. False when it was not paused.
    pub fn resume(&self) -> bool {
        self.0.resume()
    }

    /// Refuses new messages and waits until those that are queued are handled. When the future is dropped before that,
    /// the agent takes messages again. Afterwards it goes on refusing until its supervisor stops and starts it.
    pub async fn drain(&self) {
        struct Undo<'a>(&'a AnyRef, bool);
        impl Drop for Undo<'_> {
            fn drop(&mut self) {
                if self.1 {
                    self.0.0.refuse(false);
                }
            }
        }
        self.0.refuse(true);
        let mut undo = Undo(self, true);
        while !self.0.is_settled() {
            // Waiting for the end of turns is not on anybody's fast path: a poll is simpler than one more waker per turn.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        undo.1 = false;
    }

    /// Makes it misbehave, for tests. False when it is not alive, or has more faults waiting than one agent may.
    pub fn inject(&self, fault: crate::fault::Fault, when: crate::fault::When) -> bool {
        self.0.inject(crate::fault::Injected { fault, when })
    }

    /// Resolves with the end of the present life: with `noproc` at once when there is none.
    #[must_use]
    pub fn monitor(&self) -> oneshot::Receiver<Down> {
        let (sender, receiver) = oneshot::channel();
        let core = self.0.core();
        self.set_monitor(core.system.monitor_id(), Watcher::Outside(sender));
        receiver
    }

    /// Follows the cell over restarts: each restart and the final end, until the receiver is dropped. At most 64 events
    /// wait in the channel; when it is full, further ones are left out. A cell that has ended for good tells so at once.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::mpsc::Receiver<WatchEvent> {
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        self.set_watch(Watcher::Stream(sender));
        receiver
    }

    pub(crate) fn signal_to(&self, life: Incarnation, signal: Signal) {
        self.0.signal_to(life, signal);
    }
}

struct AclInLine<'a> {
    cell: &'a dyn AnyCell,
    letter: Option<AclLetter>,
    ticket: Option<u64>,
}

impl AclInLine<'_> {
    fn poll(&mut self, waker: &Waker) -> Poll<Result<(), NotSent>> {
        if self.letter.is_some() {
            match self.cell.wait_acl(&mut self.letter, waker) {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(Some(ticket)) => {
                    self.ticket = Some(ticket);
                    return Poll::Pending;
                }
                Err(why) => return Poll::Ready(Err(why)),
            }
        }
        let Some(ticket) = self.ticket else {
            return Poll::Ready(Ok(()));
        };
        self.cell.poll_acl_ticket(ticket, waker).map(|entered| {
            self.ticket = None;
            entered.map_err(NotSent::at_gate)
        })
    }
}

impl Drop for AclInLine<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.cell.cancel_any(ticket);
        }
    }
}

impl<M> Letter<M> {
    pub(crate) fn set_options(&mut self, options: SendOptions, now_ms: u64) {
        self.priority = options.priority;
        if options.expires_in.is_some() || options.trace.is_some() || !options.extensions.is_empty()
        {
            self.extra = Some(Box::new(Extra {
                expires_at_ms: options.expires_in.map(|d| {
                    now_ms.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
                }),
                trace: options.trace,
                extensions: options.extensions,
            }));
        }
    }
}

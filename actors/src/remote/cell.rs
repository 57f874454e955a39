//! The cell that stands for one of another node.

use super::codec::{Exported, PendingAsk, exporting};
use super::far::Far;
use super::scratch;
use super::wire::{Acl, Content, LetterNote, Note, Opaque, encode};
use crate::agent::Message;
use crate::ask::{AskError, AskHold};
use crate::cell::core::CellCore;
use crate::dead_letters::{Corpse, DeathCause};
use crate::info::{ActorDetail, ActorInfo, ActorState};
use crate::letter::{Body, Letter, LetterKind};
use crate::mailbox::{Gate, Reservation};
use crate::reference::{AclLetter, AgentRef, AnyCell, AnyRef, Bounced, NotSent, Receive};
use crate::signal::{Signal, WatchEvent};
use crate::spec::WhenFull;
use crate::sync_plain::Mutex;
use crate::system::System;
use crate::transport::{NotCarried, Parcel};
use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use swarm_protocols::{AclMessage, Address, ExitReason, Incarnation, Path};

pub(crate) struct RemoteCell {
    core: CellCore,
    pub(super) far: Arc<Far>,
    /// Letters whose senders wait for room, encoded. Each sender waits with one at a time.
    line: Mutex<BTreeMap<u64, Encoded>>,
    next_ticket: AtomicU64,
}

/// A letter ready to go.
struct Encoded {
    parcel: Parcel,
    asks: Vec<u64>,
    kind: LetterKind,
    message_type: &'static str,
}

/// An ACL ask of this node.
struct AclAsk(AskHold);

impl PendingAsk for AclAsk {
    fn answered(self: Box<Self>, outcome: Result<&[u8], AskError>) {
        match outcome.map(postcard::from_bytes::<AclMessage>) {
            Ok(Ok(message)) => match self.0.acl_port() {
                Some(port) => port.send(message),
                None => self.0.fail(AskError::NoReply),
            },
            Ok(Err(_)) => self.0.fail(AskError::NoReply),
            Err(error) => self.0.fail(error),
        }
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl RemoteCell {
    pub(crate) fn new(system: System, far: Arc<Far>, address: Address, path: Path) -> Arc<Self> {
        let core = CellCore::new(address, path, system);
        // As far as is known here; what ends it is told.
        core.set_state(ActorState::Running);
        Arc::new(Self {
            core,
            far,
            line: Mutex::new(BTreeMap::new()),
            next_ticket: AtomicU64::new(1),
        })
    }

    /// Whether its node has not answered lately.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.far.is_doubtful()
    }

    pub(crate) fn typed<M: Message>(self: Arc<Self>) -> Option<AgentRef<M>> {
        M::codec()?;
        Some(AgentRef(self))
    }

    /// Makes bytes of a letter and notes the asks in it.
    fn encode<M: Message>(&self, letter: &Letter<M>) -> Result<Encoded, NotSent> {
        let system = &self.core.system;
        let mut typed = Vec::new();
        let (content, exported) = match &letter.body {
            Body::Acl(message) => {
                let port = letter.ask.as_ref().and_then(AskHold::acl_port);
                let mut exported = Exported::default();
                let ask = port.map(|port| {
                    let id = system.monitor_id().0;
                    let hold: AskHold = crate::ask::AclAsker(port).into();
                    exported.0.push((id, Box::new(AclAsk(hold))));
                    id
                });
                let message = Acl::Lent(message);
                (Content::Acl { message, ask }, exported)
            }
            Body::Message(message) => {
                let codec = M::codec().ok_or_else(|| {
                    NotSent::NotCarried("messages of its type have no codec".to_owned())
                })?;
                let (body, exported) = exporting(system.clone(), || codec.encode(message));
                typed = body.map_err(NotSent::NotCarried)?;
                let content = Content::Typed {
                    name: codec.name.into(),
                    version: codec.version,
                    body: Opaque(Cow::Borrowed(&typed)),
                };
                (content, exported)
            }
            Body::Timer(..) | Body::Signal(..) => {
                return Err(NotSent::NotCarried("not a message".to_owned()));
            }
        };
        let asks: Vec<u64> = exported.0.iter().map(|(id, _)| *id).collect();
        let extra = letter.extra.as_deref();
        let note = Note::Letter(LetterNote {
            priority: letter.priority,
            expires_in_ms: extra
                .and_then(|extra| extra.expires_at_ms)
                .map(|at| at.saturating_sub(self.core.system.now_ms())),
            trace: extra.and_then(|extra| extra.trace),
            extensions: extra
                .map(|extra| extra.extensions.clone())
                .filter(|extensions| !extensions.is_empty()),
            content,
        });
        let encoded = Encoded {
            parcel: Parcel {
                sender: letter.sender.address().unwrap_or(Address(0)),
                receiver: self.core.address,
                body: encode(&note),
            },
            asks,
            kind: letter.body.kind(),
            message_type: std::any::type_name::<M>(),
        };
        scratch::keep(typed);
        if !self.far.note_asks(exported) {
            return Err(NotSent::Full);
        }
        Ok(encoded)
    }

    #[expect(
        clippy::result_large_err,
        reason = "the error is the letter itself, handed back"
    )]
    fn hand_over(
        &self,
        mut encoded: Encoded,
        waker: Option<&Waker>,
    ) -> Result<(), (NotSent, Encoded)> {
        let (why, parcel) = match self.far.carry(encoded.parcel, waker) {
            Ok(()) => return Ok(()),
            Err(NotCarried::Full(parcel)) => (NotSent::Full, parcel),
            Err(NotCarried::Unreachable(parcel)) => (NotSent::Unreachable, parcel),
            Err(NotCarried::TooLarge(parcel)) => {
                let why = format!("{} bytes are too large for a message", parcel.body.len());
                (NotSent::NotCarried(why), parcel)
            }
        };
        encoded.parcel = parcel;
        Err((why, encoded))
    }

    fn push_any<M: Message>(&self, letter: &mut Option<Letter<M>>) -> Result<(), NotSent> {
        let Some(own) = letter else { return Ok(()) };
        let encoded = self.encode(own)?;
        match self.hand_over(encoded, None) {
            Ok(()) => {
                *letter = None;
                Ok(())
            }
            Err((why, encoded)) => {
                self.far.forget_asks(&encoded.asks);
                Err(why)
            }
        }
    }

    fn wait_any<M: Message>(
        &self,
        letter: &mut Option<Letter<M>>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent> {
        let Some(own) = letter else { return Ok(None) };
        let encoded = self.encode(own)?;
        match self.hand_over(encoded, Some(waker)) {
            Ok(()) => {
                *letter = None;
                Ok(None)
            }
            Err((NotSent::Full, encoded)) => {
                *letter = None;
                let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
                self.line.lock().insert(ticket, encoded);
                Ok(Some(ticket))
            }
            Err((why, encoded)) => {
                self.far.forget_asks(&encoded.asks);
                Err(why)
            }
        }
    }

    fn poll_line(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        let Some(encoded) = self.line.lock().remove(&ticket) else {
            return Poll::Ready(Ok(()));
        };
        match self.hand_over(encoded, Some(waker)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err((NotSent::Full, encoded)) => {
                self.line.lock().insert(ticket, encoded);
                Poll::Pending
            }
            Err((_, encoded)) => {
                self.bury_encoded(encoded, DeathCause::Unreachable);
                Poll::Ready(Err(Gate::Closed))
            }
        }
    }

    fn cancel_line(&self, ticket: u64) {
        let waiting = self.line.lock().remove(&ticket);
        if let Some(encoded) = waiting {
            self.bury_encoded(encoded, DeathCause::Overloaded);
        }
    }

    fn bury_encoded(&self, encoded: Encoded, cause: DeathCause) {
        let failure = if cause == DeathCause::Unreachable {
            AskError::Unreachable
        } else {
            AskError::Full
        };
        for ask in &encoded.asks {
            self.far.answered(*ask, Err(failure.clone()));
        }
        self.core.system.bury(Corpse {
            cause,
            receiver: self.core.path.clone(),
            sender: Some(encoded.parcel.sender).filter(|sender| *sender != Address(0)),
            kind: encoded.kind,
            message_type: encoded.message_type,
            priority: swarm_protocols::Priority::Normal,
            acl: None,
            kept: None,
        });
    }

    fn bury_letter<M: Message>(&self, mut letter: Letter<M>, cause: DeathCause) {
        if let Some(ask) = letter.ask.take() {
            ask.fail(match &cause {
                DeathCause::Overloaded | DeathCause::DroppedOldest => AskError::Full,
                DeathCause::Refused | DeathCause::Rejected(_) => AskError::Refused,
                DeathCause::Unreachable => AskError::Unreachable,
                _ => AskError::NoProc,
            });
        }
        let acl = match &letter.body {
            Body::Acl(acl) => Some(acl.clone()),
            _ => None,
        };
        self.core.system.bury(Corpse {
            cause,
            receiver: self.core.path.clone(),
            sender: letter.sender.address(),
            kind: letter.body.kind(),
            message_type: std::any::type_name::<M>(),
            priority: letter.priority,
            acl,
            kept: None,
        });
    }
}

/// As an ACL letter has no message of any type, one of a type without a codec carries it.
impl Message for std::convert::Infallible {}

impl AnyCell for RemoteCell {
    fn core(&self) -> &CellCore {
        &self.core
    }

    fn remote(&self) -> Option<&RemoteCell> {
        Some(self)
    }

    fn desk(self: Arc<Self>) -> Option<Box<dyn super::Desk>> {
        // Nothing is delivered to what stands for somebody else.
        None
    }

    fn push_acl(&self, letter: &mut Option<AclLetter>, _: Option<WhenFull>) -> Result<(), NotSent> {
        self.push_any(letter)
    }

    fn wait_acl(
        &self,
        letter: &mut Option<AclLetter>,
        waker: &Waker,
    ) -> Result<Option<u64>, NotSent> {
        self.wait_any(letter, waker)
    }

    fn poll_acl_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        self.poll_line(ticket, waker)
    }

    fn cancel_any(&self, ticket: u64) {
        self.cancel_line(ticket);
    }

    fn admit_acl(&self, _: &AclLetter) -> Result<(), NotSent> {
        // Hooks look at what enters a mailbox: on the receiver's node.
        Ok(())
    }

    fn bury_acl(&self, letter: AclLetter, cause: DeathCause) {
        self.bury_letter(letter, cause);
    }

    fn default_when_full(&self) -> WhenFull {
        WhenFull::Wait
    }

    /// News of an actor here, for one there.
    fn signal_to(&self, _: Incarnation, signal: Signal) {
        let to = self.core.address;
        match signal {
            Signal::Down(down) => {
                let known = self.far.state.lock().take_monitored(down.monitor);
                if let Some((id, _)) = known {
                    let note = Note::Down {
                        id,
                        incarnation: down.pid.incarnation,
                        reason: down.reason,
                    };
                    self.far.tell(down.pid.address, to, &note);
                }
            }
            Signal::Exit(exit) if exit.pid.address == Address(0) => {
                let reason = exit.reason;
                self.far.tell(Address(0), to, &Note::Order { reason });
            }
            Signal::Exit(exit) => {
                let from = exit.pid.address;
                self.far.state.lock().links.remove(&(from, to));
                let note = Note::Exit {
                    incarnation: exit.pid.incarnation,
                    reason: exit.reason,
                };
                self.far.tell(from, to, &note);
            }
            Signal::Watch(watched) => {
                let note = match watched.event {
                    WatchEvent::Restarted { incarnation } => Note::Restarted { incarnation },
                    WatchEvent::Ended { reason } => {
                        self.far.state.lock().watched.remove(&watched.address);
                        Note::Ended { reason }
                    }
                };
                self.far.tell(watched.address, to, &note);
            }
            // Groups and names are followed on each node by itself.
            Signal::Group(_) | Signal::Name(_) => {}
        }
    }

    fn discard(&self) {}

    fn kill(&self, reason: ExitReason) {
        self.far
            .tell(Address(0), self.core.address, &Note::Order { reason });
    }

    fn pause(&self) -> bool {
        false
    }

    fn resume(&self) -> bool {
        false
    }

    fn refuse(&self, _: bool) {}

    fn depth(&self) -> u64 {
        0
    }

    fn inject(&self, _: crate::fault::Injected) -> bool {
        false
    }

    fn is_settled(&self) -> bool {
        true
    }

    fn info(&self) -> ActorInfo {
        ActorInfo {
            path: self.core.path.clone(),
            kind: "remote".to_owned(),
            state: self.core.state(),
            node: self.far.node.clone(),
            groups: Vec::new(),
            restarts: 0,
            mailbox: 0,
            address: self.core.address,
            incarnation: self.core.pid().incarnation,
            began_ms: 0,
            turns: 0,
            mailbox_ms: 0,
        }
    }

    fn detail(&self) -> ActorDetail {
        ActorDetail {
            info: self.info(),
            behaviour: "remote".to_owned(),
            registered: None,
            capacity: 0,
            waiting_senders: self.line.lock().len(),
            stashed: 0,
            timers: 0,
            outgoing: 0,
            links: Vec::new(),
            current: None,
            recorder: Vec::new(),
            last_exit: None,
            last_crash: None,
        }
    }

    fn aid(&self) -> swarm_protocols::Aid {
        let node = &self.far.node;
        let local = self.core.path.name();
        swarm_protocols::Aid::named(match local {
            Some(local) => format!("{local}@{node}"),
            None => format!("root@{node}"),
        })
    }

    fn typed_reference(self: Arc<Self>) -> Box<dyn Any> {
        Box::new(())
    }

    fn stands_still(&self, _: &crate::watchdog::Still<'_>) -> bool {
        false
    }

    fn is_half_empty(&self) -> bool {
        true
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl<M: Message> Receive<M> for RemoteCell {
    fn post(&self, letter: Letter<M>, _: Option<WhenFull>) -> Result<(), Bounced<M>> {
        let mut letter = Some(letter);
        self.push_any(&mut letter)
            .map_err(|why| Bounced { why, letter })
    }

    fn push(&self, letter: &mut Option<Letter<M>>, _: Option<WhenFull>) -> Result<(), NotSent> {
        self.push_any(letter)
    }

    // Only letters of other nodes come in numbers, and none is for what stands for somebody else.
    fn push_all(&self, _: &mut VecDeque<Letter<M>>) {}

    fn push_over(&self, _: &mut Option<Letter<M>>) -> Result<(), NotSent> {
        // What lies in a mailbox of another node is not pushed out from here.
        Err(NotSent::Full)
    }

    fn wait(&self, letter: &mut Option<Letter<M>>, waker: &Waker) -> Result<Option<u64>, NotSent> {
        self.wait_any(letter, waker)
    }

    fn poll_ticket(&self, ticket: u64, waker: &Waker) -> Poll<Result<(), Gate>> {
        self.poll_line(ticket, waker)
    }

    fn cancel(&self, ticket: u64) -> Option<Letter<M>> {
        self.cancel_line(ticket);
        None
    }

    fn reserve(&self) -> Result<Reservation, NotSent> {
        // No place can be reserved so far away; without room at the commit it becomes a dead letter.
        Ok(Reservation::elsewhere())
    }

    fn unreserve(&self, _: Reservation) {}

    fn push_reserved(&self, _: Reservation, letter: &mut Option<Letter<M>>) -> Result<(), NotSent> {
        self.push_any(letter)
    }

    fn admit(&self, _: &Letter<M>) -> Result<(), NotSent> {
        Ok(())
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Wait
    }

    fn bury(&self, letter: Letter<M>, cause: DeathCause) {
        self.bury_letter(letter, cause);
    }

    fn to_any(self: Arc<Self>) -> Arc<dyn AnyCell> {
        self
    }
}

impl From<Arc<RemoteCell>> for AnyRef {
    fn from(cell: Arc<RemoteCell>) -> Self {
        Self(cell)
    }
}

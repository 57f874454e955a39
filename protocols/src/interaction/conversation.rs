//! One side of one conversation: the machine of its protocol and role, and the rules that are common to all (fipa.md d, head).

use super::event::{Action, End, Event, Notice, Outcome};
use super::frame::{Frame, Step};
use super::machine::Machine;
use super::opening::{CONTENT_BYTES_MAX, NotOpened, Opening, OpeningError, Rules, Terms};
use super::peer::Peer;
use super::protocol::{Protocol, Role};
use super::{achieve, auction, broker, commit, contract_net, dialogue};
use crate::acl::{AclMessage, Aid, ConversationId, Performative, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The version of the serialized form that this build writes.
pub const CONVERSATION_VERSION: u16 = 1;

/// One side of one conversation, from its first message until it is forgotten.
///
/// A pure state machine: [`Conversation::on`] takes what happened and the time, and gives back what is to be done. It is a
/// value: whoever drives it may store it after each step and go on from there after a crash; a message that it handles a
/// second time is a duplicate to its receivers (fipa.md a.2, R9). No input panics; what has no place changes nothing and comes
/// back as a [`Notice`]. It ends by itself when `expires_in` was set, at the latest then.
///
/// Its size is bounded: by its participants (at most 1024, one kept message of at most 16 MiB each), and by the last 64 marks
/// (or four per participant) by which duplicates are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    version: u16,
    frame: Frame,
    machine: Machines,
    expires_at: Option<Timestamp>,
    linger: Duration,
    armed: Option<Timestamp>,
    ended: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    outcome: Outcome,
    at: Timestamp,
    forget_at: Timestamp,
    is_forgotten: bool,
}

/// Each protocol's each role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Machines {
    Asker(achieve::Initiator),
    Asked(achieve::Participant),
    Contractor(contract_net::Initiator),
    Bidder(contract_net::Participant),
    Auctioneer(auction::Initiator),
    Buyer(auction::Participant),
    Broker(broker::Broker),
    Coordinator(commit::Coordinator),
    Voter(commit::Participant),
    Speaker(dialogue::Initiator),
    Listener(dialogue::Participant),
}

impl Machines {
    fn get(&self) -> &dyn Machine {
        match self {
            Self::Asker(machine) => machine,
            Self::Asked(machine) => machine,
            Self::Contractor(machine) => machine,
            Self::Bidder(machine) => machine,
            Self::Auctioneer(machine) => machine,
            Self::Buyer(machine) => machine,
            Self::Broker(machine) => machine,
            Self::Coordinator(machine) => machine,
            Self::Voter(machine) => machine,
            Self::Speaker(machine) => machine,
            Self::Listener(machine) => machine,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Machine {
        match self {
            Self::Asker(machine) => machine,
            Self::Asked(machine) => machine,
            Self::Contractor(machine) => machine,
            Self::Bidder(machine) => machine,
            Self::Auctioneer(machine) => machine,
            Self::Buyer(machine) => machine,
            Self::Broker(machine) => machine,
            Self::Coordinator(machine) => machine,
            Self::Voter(machine) => machine,
            Self::Speaker(machine) => machine,
            Self::Listener(machine) => machine,
        }
    }
}

impl Conversation {
    /// Opens a conversation: the initiator's side, and what it says first.
    ///
    /// # Errors
    /// [`OpeningError`]; nothing was made.
    pub fn start(opening: &Opening, now: Timestamp) -> Result<(Self, Vec<Action>), OpeningError> {
        opening.check()?;
        let mut frame = Frame::initiator(
            opening.id.clone(),
            opening.rules.protocol(),
            opening.initiator.clone(),
            &opening.about,
        );
        frame.remember_for(opening.participants.len());
        let mut out = Vec::with_capacity(opening.participants.len() + 1);
        let mut step = Step {
            frame: &mut frame,
            now,
            out: &mut out,
        };
        let machine = match opening.rules {
            Rules::Request
            | Rules::QueryIf
            | Rules::QueryRef
            | Rules::RequestWhen
            | Rules::Brokering
            | Rules::Recruiting
            | Rules::Subscribe
            | Rules::Propose => Machines::Asker(achieve::Initiator::start(opening, &mut step)),
            Rules::ContractNet | Rules::IteratedContractNet { .. } => {
                Machines::Contractor(contract_net::Initiator::start(opening, &mut step))
            }
            Rules::EnglishAuction(_) | Rules::DutchAuction(_) => {
                Machines::Auctioneer(auction::Initiator::start(opening, &mut step))
            }
            Rules::TwoPhaseCommit { .. } => {
                Machines::Coordinator(commit::Coordinator::start(opening, &mut step))
            }
            Rules::Dialogue(_) => Machines::Speaker(dialogue::Initiator::start(opening, &mut step)),
        };
        let mut conversation = Self {
            version: CONVERSATION_VERSION,
            frame,
            machine,
            expires_at: opening.expires_in.map(|time| now.saturating_add(time)),
            linger: opening.linger,
            armed: None,
            ended: None,
        };
        conversation.conclude(now, &mut out);
        Ok((conversation, out))
    }

    /// Opens the participant's side with a message whose conversation-id is not known here; `me` is who it was sent to.
    ///
    /// # Errors
    /// [`NotOpened`] when it opens nothing; [`unopened`](super::unopened) is what to answer.
    pub fn open(
        call: &Arc<AclMessage>,
        me: Aid,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), NotOpened> {
        let protocol = Protocol::opened_by(call).ok_or(NotOpened::UnexpectedAct)?;
        let id = call
            .conversation_id
            .clone()
            .ok_or(NotOpened::NoConversationId)?;
        let peer = Peer::of(call).ok_or(NotOpened::NoSender)?;
        if call.content.as_ref().map_or(0, Vec::len) > CONTENT_BYTES_MAX {
            return Err(NotOpened::TooLarge);
        }
        let mut frame = Frame::participant(id, protocol, me, call);
        frame.is_duplicate(call);
        let mut out = Vec::with_capacity(2);
        let mut step = Step {
            frame: &mut frame,
            now,
            out: &mut out,
        };
        let step = &mut step;
        let machine = match protocol {
            Protocol::Request
            | Protocol::Query
            | Protocol::RequestWhen
            | Protocol::Subscribe
            | Protocol::Propose => {
                Machines::Asked(achieve::Participant::open(protocol, peer, call, step))
            }
            Protocol::ContractNet | Protocol::IteratedContractNet => {
                Machines::Bidder(contract_net::Participant::open(protocol, peer, call, step))
            }
            Protocol::EnglishAuction | Protocol::DutchAuction => {
                Machines::Buyer(auction::Participant::open(peer, call, step))
            }
            Protocol::Brokering | Protocol::Recruiting => {
                Machines::Broker(broker::Broker::open(protocol, peer, call, step))
            }
            Protocol::TwoPhaseCommit => Machines::Voter(commit::Participant::open(
                peer,
                call,
                terms.inquire_after,
                step,
            )),
            Protocol::Dialogue => Machines::Listener(dialogue::Participant::open(
                peer,
                call,
                terms.dialogue,
                step,
            )),
        };
        let mut conversation = Self {
            version: CONVERSATION_VERSION,
            frame,
            machine,
            expires_at: terms.expires_in.map(|time| now.saturating_add(time)),
            linger: terms.linger,
            armed: None,
            ended: None,
        };
        conversation.conclude(now, &mut out);
        Ok((conversation, out))
    }

    /// Takes what happened, and says what is to be done, in order.
    #[must_use = "what is to be done is not done yet"]
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut out = Vec::new();
        self.step(event, now, &mut out);
        self.conclude(now, &mut out);
        out
    }

    fn step(&mut self, event: Event, now: Timestamp, out: &mut Vec<Action>) {
        let is_open = self.ended.is_none();
        let mut step = Step {
            frame: &mut self.frame,
            now,
            out,
        };
        let step = &mut step;
        let machine = self.machine.get_mut();
        match event {
            Event::Received(message) => {
                if !belongs(&step.frame.id, &message) {
                    step.notice(Notice::OtherConversation);
                } else if step.frame.is_duplicate(&message) {
                    step.notice(Notice::Duplicate);
                } else if message.content.as_ref().map_or(0, Vec::len) > CONTENT_BYTES_MAX {
                    step.notice(Notice::TooLarge);
                    if !matches!(
                        message.performative,
                        Performative::NotUnderstood | Performative::Failure
                    ) {
                        step.answer(
                            &message,
                            Performative::NotUnderstood,
                            b"((content) (content-too-large))",
                        );
                    }
                } else if is_open {
                    machine.received(step, &message);
                } else {
                    machine.late(step, &message);
                }
            }
            Event::Local(decision) if is_open => machine.decide(step, decision),
            Event::Local(decision) => step.notice(Notice::Misplaced(decision.as_str())),
            Event::Deadline => {
                if is_open {
                    if self.expires_at.is_some_and(|at| at <= now) {
                        let end = match self.frame_role() {
                            Role::Initiator => End::TimedOut,
                            Role::Participant => End::Abandoned,
                        };
                        self.abandon(now, out, end);
                    } else if machine.due().is_some_and(|due| due <= now) {
                        machine.deadline(step);
                    }
                }
            }
            Event::ParticipantDown { participant, .. } if is_open => {
                machine.down(step, &participant);
            }
            Event::AgentDown(_) if is_open => machine.abandon(step, End::Abandoned),
            Event::ParticipantDown { .. } | Event::AgentDown(_) => {}
        }
    }

    fn frame_role(&self) -> Role {
        self.frame.role
    }

    fn abandon(&mut self, now: Timestamp, out: &mut Vec<Action>, end: End) {
        let mut step = Step {
            frame: &mut self.frame,
            now,
            out,
        };
        self.machine.get_mut().abandon(&mut step, end);
    }

    /// After every step: has it ended, and when is it to be woken next?
    fn conclude(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.ended.is_none()
            && let Some(outcome) = self.machine.get().outcome()
        {
            let linger_until = now.saturating_add(self.linger);
            self.ended = Some(Ended {
                outcome: outcome.clone(),
                at: now,
                // Whoever was given time may still use it.
                forget_at: linger_until,
                is_forgotten: false,
            });
            out.push(Action::Outcome(outcome));
        }
        let due = match &mut self.ended {
            None => self
                .expires_at
                .into_iter()
                .chain(self.machine.get().due())
                .min(),
            Some(ended) if ended.is_forgotten => None,
            Some(ended) if !self.machine.get().may_be_forgotten() => {
                ended.forget_at = ended
                    .forget_at
                    .max(now.saturating_add(self.linger.max(Duration::from_secs(1))));
                Some(ended.forget_at)
            }
            Some(ended) if ended.forget_at <= now => {
                ended.is_forgotten = true;
                out.push(Action::Forget);
                None
            }
            Some(ended) => Some(ended.forget_at),
        };
        if due != self.armed {
            self.armed = due;
            out.push(Action::Arm(due));
        }
    }

    /// Says the failure of this side to all who are owed something, and ends: for a driver that cannot go on with it. What it
    /// says depends on nothing but the record.
    #[must_use = "what is to be done is not done yet"]
    pub fn give_up(&mut self, now: Timestamp) -> Vec<Action> {
        let mut out = Vec::new();
        if self.ended.is_none() {
            self.abandon(now, &mut out, End::Abandoned);
        }
        self.conclude(now, &mut out);
        out
    }

    /// The version of the build that made it. A reader refuses those that it does not know.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The conversation-id.
    #[must_use]
    pub fn id(&self) -> &ConversationId {
        &self.frame.id
    }

    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.frame.protocol
    }

    /// Which side this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.frame.role
    }

    /// Who is on this side.
    #[must_use]
    pub fn me(&self) -> &Aid {
        &self.frame.me
    }

    /// The state's name, as the protocol's table has it; `ended` after the end.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.ended.is_some() {
            "ended"
        } else {
            self.machine.get().state()
        }
    }

    /// Who takes part on the other side, and in which state each is as seen from here.
    #[must_use]
    pub fn parties(&self) -> Vec<(&Aid, &'static str)> {
        self.machine.get().parties()
    }

    /// How it ended; `None` while it is open.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.ended.as_ref().map(|ended| &ended.outcome)
    }

    /// When it ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.ended.as_ref().map(|ended| ended.at)
    }

    /// When it is to be woken next: the time last armed.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.armed
    }

    /// When it ends at the latest, where that was set.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether nobody suffers when it is forgotten before its time. Not so a commit that was not acknowledged: to forget it
    /// is to abort it.
    #[must_use]
    pub fn may_be_forgotten(&self) -> bool {
        self.ended.is_some() && self.machine.get().may_be_forgotten()
    }

    /// Lets go of the messages of a conversation that has ended, those of its outcome among them: what is left can still
    /// answer late messages. For drivers that keep many.
    pub fn release(&mut self) {
        if let Some(ended) = &mut self.ended {
            for part in &mut ended.outcome.parts {
                part.message = None;
            }
            self.machine.get_mut().release();
        }
    }

    /// Whether nothing will be answered any more.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.is_forgotten)
    }
}

/// Whether a message is of this conversation, or of one that a broker opened below it (`ID/N`).
fn belongs(id: &str, message: &AclMessage) -> bool {
    message.conversation_id.as_deref().is_some_and(|other| {
        other == id
            || other
                .strip_prefix(id)
                .is_some_and(|rest| rest.starts_with('/'))
    })
}

/// The conversation that a broker's sub-conversation belongs to: `ID` of `ID/N`. For drivers that look records up by id.
#[must_use]
pub fn parent_id(id: &str) -> Option<&str> {
    let (parent, n) = id.rsplit_once('/')?;
    (!n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit())).then_some(parent)
}

//! Steps a record, and does what its machine says.

use super::actor::ProtocolActor;
use super::book::{Count, Followed};
use super::message::{Asked, Prompt};
use super::nodes::leaving_for;
use super::record::Unsent;
use super::view::MessageView;
use crate::gateway::Route;
use crate::info::ActorState;
use crate::reference::AnyRef;
use crate::turn::Turn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use swarm_protocols::interaction::{
    Action, Decision, Event, News, Notice, Outcome, Protocol, Question, Role,
};
use swarm_protocols::{AclMessage, Aid, ConversationId, Name, Performative, Timestamp};

impl ProtocolActor {
    /// Steps one record. A machine that panics ends its conversation with failure to all sides, and no other.
    pub(super) fn step(&mut self, turn: &mut Turn<'_, Self>, id: &ConversationId, event: Event) {
        let now = self.now(turn);
        if let Event::Received(message) = &event {
            self.show(id, message, now, true);
        }
        let stepped = {
            let mut records = self.table().records.lock();
            let Some(record) = records.get_mut(id) else {
                return;
            };
            let max = self.setup.book.limits().messages;
            if let Event::Received(message) = &event {
                record.messages.note(message, now, true, max);
            }
            let is_to_crash = std::mem::take(&mut record.is_to_crash);
            let stepped = catch_unwind(AssertUnwindSafe(|| {
                assert!(!is_to_crash, "told to");
                record.machine.on(event, now)
            }))
            .or_else(|_| {
                // What the step left is not to be gone on with, but it still knows who is owed something.
                catch_unwind(AssertUnwindSafe(|| record.machine.give_up(now))).inspect(|_| {
                    self.setup.book.count(Count::Crashed);
                })
            });
            if let Ok(actions) = &stepped {
                record.messages.note_said(actions, now, max);
                records.keep_unsent(actions);
            }
            stepped
        };
        match stepped {
            Ok(actions) => self.carry_out(turn, id, actions, now),
            Err(_) => self.bury(turn, id),
        }
    }

    /// A record that cannot even say goodbye: whoever has said something in it is told that it failed.
    fn bury(&mut self, turn: &mut Turn<'_, Self>, id: &ConversationId) {
        self.setup.book.count(Count::Crashed);
        let (heard, was_open) = {
            let mut records = self.table().records.lock();
            let heard = records.get_mut(id).map(|record| record.messages.heard());
            (heard.unwrap_or_default(), records.remove_crashed(id))
        };
        if was_open {
            self.setup.book.give_place_back();
        }
        for message in heard {
            let mut failure = message.reply(Performative::Failure);
            failure.content = Some(b"(internal-error)".to_vec());
            self.answer(turn, failure);
        }
    }

    /// Does what a machine says. What it sends is noted, and kept as unsent, by now.
    pub(super) fn carry_out(
        &mut self,
        turn: &mut Turn<'_, Self>,
        id: &ConversationId,
        actions: Vec<Action>,
        now: Timestamp,
    ) {
        for action in actions {
            match action {
                Action::Send(message) => self.send(turn, id, &message, now),
                Action::Ask(question) => self.ask(turn, id, question),
                Action::Tell(news) => self.tell(turn, id, news),
                Action::Arm(at) => self.rearm(id, at),
                Action::Outcome(outcome) => self.end(turn, id, outcome),
                Action::Notice(notice) => self.count(&notice),
                Action::Forget => self.table().records.lock().forget(id),
            }
        }
    }

    /// Shows a message to those who follow.
    pub(super) fn show(
        &self,
        id: &ConversationId,
        message: &Arc<AclMessage>,
        now: Timestamp,
        is_received: bool,
    ) {
        if let Some(path) = &self.path {
            self.setup.book.publish(|| Followed {
                conversation: id.clone(),
                agent: path.clone(),
                message: MessageView::of(message, now.as_millis(), is_received),
                is_first: !is_received || !self.is_seen_elsewhere(message),
            });
        }
    }

    /// Whether another protocol actor of this node has sent it.
    fn is_seen_elsewhere(&self, message: &AclMessage) -> bool {
        message.sender.as_ref().is_some_and(|sender| {
            let place = self.table().places.get(&sender.name);
            place.is_some_and(|place| self.setup.book.is_protocol_actor(&place))
        })
    }

    fn send(
        &mut self,
        turn: &mut Turn<'_, Self>,
        id: &ConversationId,
        message: &Arc<AclMessage>,
        now: Timestamp,
    ) {
        self.show(id, message, now, false);
        for receiver in &message.receiver {
            match self.find(turn, receiver) {
                Route::Here(place) => {
                    turn.pass_acl(&place, leaving_for(&place, message));
                    self.watch(turn, &place);
                }
                // Its failures come back as messages of the ams; there only deadlines tell of a death.
                Route::Abroad(gateway) => {
                    turn.forward(gateway, (**message).clone(), receiver.clone());
                }
                Route::Nowhere => {
                    let failure = undeliverable(message, receiver, turn.system().node());
                    self.pending
                        .push_back((id.clone(), Event::Received(Arc::new(failure))));
                }
            }
        }
    }

    /// Answers a message outside of any conversation of this side.
    pub(super) fn answer(&mut self, turn: &mut Turn<'_, Self>, mut answer: AclMessage) {
        answer.sender = Some(self.me.clone());
        let answer = Arc::new(answer);
        let unsent = Unsent::Said(answer.clone());
        self.table().records.lock().unsent.push(unsent);
        self.say(turn, &answer);
    }

    /// Sends a message to those of its receivers that there are: nobody is left to be told of the others.
    pub(super) fn say(&mut self, turn: &mut Turn<'_, Self>, message: &Arc<AclMessage>) {
        for receiver in &message.receiver {
            match self.find(turn, receiver) {
                Route::Here(place) => turn.pass_acl(&place, leaving_for(&place, message)),
                Route::Abroad(gateway) => {
                    turn.forward(gateway, (**message).clone(), receiver.clone());
                }
                Route::Nowhere => {}
            }
        }
    }

    /// Where an agent is: by the name under which it is registered on this node, or by the way to its platform.
    pub(super) fn find(&mut self, turn: &Turn<'_, Self>, aid: &Aid) -> Route {
        let is_there =
            |place: &AnyRef| !matches!(place.state(), ActorState::Ended | ActorState::Stopped);
        let known = self.table().places.get(&aid.name).filter(is_there);
        if let Some(place) = known {
            return Route::Here(place);
        }
        let system = turn.system();
        // Without a way out, a name on another platform is nobody's.
        let is_ours = aid.platform().is_none_or(|platform| {
            platform.eq_ignore_ascii_case(system.node().as_str())
                || system.gateway().read().is_some()
        });
        match system.route(aid) {
            Route::Here(place) if is_ours && is_there(&place) => {
                self.table().places.note(aid.name.clone(), place.clone());
                Route::Here(place)
            }
            Route::Here(_) | Route::Nowhere => Route::Nowhere,
            abroad @ Route::Abroad(_) => abroad,
        }
    }

    fn ask(&mut self, turn: &mut Turn<'_, Self>, id: &ConversationId, question: Question) {
        let (answers, asked) = {
            let mut records = self.setup.table_records();
            let Some(record) = records.get_mut(id) else {
                return;
            };
            record.questions += 1;
            let answers = record.outside.as_ref().and_then(|o| o.answers.clone());
            let asked = Asked {
                conversation: id.clone(),
                question,
                number: record.questions,
                life: record.life,
                to: turn.me(),
            };
            if answers.is_none() && self.listener.is_some() {
                records.unsent.push(Unsent::Asked(asked.clone()));
            }
            (answers, asked)
        };
        if let Some(answers) = answers {
            let decision = catch_unwind(AssertUnwindSafe(|| answers(&asked.question)))
                .unwrap_or(Some(Decision::Cancel));
            if let Some(decision) = decision {
                self.pending.push_back((id.clone(), Event::Local(decision)));
            }
            return;
        }
        let Some(listener) = self.listener.clone() else {
            let decision = Decision::Refuse(b"(no-agent)".to_vec());
            self.pending.push_back((id.clone(), Event::Local(decision)));
            return;
        };
        listener.prompt(turn, Prompt::Asked(asked));
    }

    fn tell(&mut self, turn: &mut Turn<'_, Self>, id: &ConversationId, news: News) {
        if let Some(listener) = self.listener_of(id) {
            let prompt = Prompt::Told {
                conversation: id.clone(),
                news,
            };
            listener.prompt(turn, prompt);
        }
    }

    /// The agent, unless the conversation is somebody else's.
    fn listener_of(&self, id: &ConversationId) -> Option<Arc<dyn super::message::Listener>> {
        let is_agents = self
            .table()
            .records
            .lock()
            .get_mut(id)
            .is_some_and(|record| record.outside.is_none());
        self.listener.clone().filter(|_| is_agents)
    }

    fn rearm(&mut self, id: &ConversationId, at: Option<Timestamp>) {
        let Some(before) = self.table().records.lock().arm(id, at) else {
            return;
        };
        if let Some(before) = before {
            self.dues.remove(&(before, id.clone()));
        }
        if let Some(at) = at {
            self.dues.insert((at, id.clone()));
        }
    }

    fn end(&mut self, turn: &mut Turn<'_, Self>, id: &ConversationId, outcome: Outcome) {
        tracing::debug!(conversation = %id, end = outcome.end.as_str(), "conversation ended");
        self.setup.book.give_place_back();
        let (ended, is_told, dropped) = {
            let mut records = self.setup.table_records();
            let dropped = records.note_end(id);
            let Some(record) = records.get_mut(id) else {
                return;
            };
            record.machine.release();
            let is_told = self.setup.tell_ends || record.machine.role() == Role::Initiator;
            let ended = record.outside.as_mut().map(|outside| outside.ended.take());
            (ended, is_told, dropped)
        };
        for (id, at) in dropped {
            self.dues.remove(&(at, id));
        }
        if let Some(ended) = ended {
            if let Some(ended) = ended {
                turn.reply(ended, Ok(outcome));
            }
        } else if is_told && let Some(listener) = self.listener.clone() {
            let prompt = Prompt::Ended {
                conversation: id.clone(),
                outcome,
            };
            listener.prompt(turn, prompt);
        }
    }

    fn count(&self, notice: &Notice) {
        self.setup.book.count(match notice {
            Notice::OutOfSequence
            | Notice::Stranger
            | Notice::OtherConversation
            | Notice::TooLarge => Count::OutOfSequence,
            Notice::Duplicate => Count::Duplicate,
            Notice::Late => Count::Late,
            // The agent's own affair.
            Notice::Misplaced(_) => return,
        });
    }
}

/// The platform's word that a message has no receiver (fipa.md a.2, R7), to the one who sent it.
fn undeliverable(message: &AclMessage, receiver: &Aid, node: &Name) -> AclMessage {
    let sender = message.sender.as_ref().map_or("", |aid| aid.name.as_str());
    let content = format!(
        "((action (agent-identifier :name {sender}) (ACLMessage)) (MTS-error (agent-identifier :name {}) \"Agent not found\"))",
        receiver.name
    );
    AclMessage {
        sender: Some(Aid::named(format!("ams@{node}"))),
        receiver: message.sender.iter().cloned().collect(),
        content: Some(content.into_bytes()),
        protocol: message.protocol.clone(),
        conversation_id: message.conversation_id.clone(),
        in_reply_to: message.reply_with.clone(),
        ..AclMessage::new(Performative::Failure)
    }
}

/// No, in the words of the protocol that a call would have opened. An auction takes silence for it.
pub(super) fn refusal(call: &AclMessage, protocol: Protocol) -> Option<AclMessage> {
    let act = match protocol {
        Protocol::Request
        | Protocol::Query
        | Protocol::RequestWhen
        | Protocol::ContractNet
        | Protocol::IteratedContractNet
        | Protocol::Brokering
        | Protocol::Recruiting
        | Protocol::Subscribe
        | Protocol::Dialogue => Performative::Refuse,
        Protocol::Propose => Performative::RejectProposal,
        Protocol::TwoPhaseCommit => Performative::Disconfirm,
        Protocol::EnglishAuction | Protocol::DutchAuction => return None,
    };
    let mut answer = call.reply(act);
    answer.content = Some(b"(not-available)".to_vec());
    Some(answer)
}

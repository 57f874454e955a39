//! A record that has ended: what late messages and lookers need of it, in one piece of a few hundred bytes.
//!
//! Most records that are kept have ended, and nobody speaks of them again. Whole they would be many small pieces, and the next
//! conversations would run in memory that was last used as many conversations ago as there are records.

use super::log::{Log, Logged};
use super::record::{Outside, Record};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use swarm_protocols::interaction::{Conversation, PRICE_PARAMETER};
use swarm_protocols::{AclMessage, Aid, Incarnation, Performative, Timestamp};

/// See the module.
pub(super) struct Packed {
    /// When it is to be woken next.
    pub(super) due: Option<Timestamp>,
    /// When it is woken, as the actor knows it.
    pub(super) armed: Option<Timestamp>,
    bytes: Box<[u8]>,
    /// The messages that are not in there, in order: others have them too.
    shared: Vec<Arc<AclMessage>>,
}

/// What of a record is no message, and no machine.
#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    opened: Timestamp,
    life: Option<Incarnation>,
    questions: u32,
    is_from_outside: bool,
    left_out: u64,
    #[serde(borrow)]
    log: Vec<Entry<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    at: Timestamp,
    is_received: bool,
    bytes: usize,
    /// `None` for the next one of those that are shared.
    #[serde(borrow)]
    said: Option<Said<'a>>,
}

/// What can be seen of a message.
#[derive(Serialize, Deserialize)]
struct Said<'a> {
    act: Performative,
    from: Option<&'a str>,
    to: Option<&'a str>,
    content: Option<&'a [u8]>,
    price: Option<&'a str>,
    reply_with: Option<&'a str>,
    in_reply_to: Option<&'a str>,
    reply_by: Option<Timestamp>,
}

/// Of more bytes than this, or to several, a message stays as it is: it is shared with the other sides.
const CONTENT_PACKED_MAX: usize = 256;
/// How much room to pack in is kept.
const SCRATCH_KEPT_MAX: usize = 64 << 10;

impl Packed {
    /// Packs a record, whose machine has let go of its messages. `None` when it cannot be: it stays as it is then.
    pub(super) fn of(record: &Record, scratch: &mut Vec<u8>) -> Option<Self> {
        let mut shared = Vec::new();
        let mut log = Vec::with_capacity(record.messages.kept.len());
        for logged in &record.messages.kept {
            let said = Said::of(&logged.message);
            if said.is_none() {
                if shared.is_empty() {
                    shared.reserve_exact(1);
                }
                shared.push(logged.message.clone());
            }
            log.push(Entry {
                at: logged.at,
                is_received: logged.is_received,
                bytes: logged.bytes,
                said,
            });
        }
        let rest = Rest {
            opened: record.opened,
            life: record.life,
            questions: record.questions,
            is_from_outside: record.outside.is_some(),
            left_out: record.messages.left_out,
            log,
        };
        let mut written = std::mem::take(scratch);
        written.clear();
        let written = postcard::to_extend(&(&record.machine, &rest), written).ok()?;
        let bytes = written.as_slice().into();
        if written.capacity() <= SCRATCH_KEPT_MAX {
            *scratch = written;
        }
        Some(Self {
            due: record.machine.due(),
            armed: record.armed,
            bytes,
            shared,
        })
    }

    /// The record as it was, but for what nobody looks at in its messages. `None` never happens to what [`Packed::of`] made.
    pub(super) fn unpack(&self) -> Option<Record> {
        let (machine, rest): (Conversation, Rest<'_>) = postcard::from_bytes(&self.bytes).ok()?;
        let mut shared = self.shared.iter();
        let mut kept = VecDeque::with_capacity(rest.log.len());
        for entry in rest.log {
            let message = match entry.said {
                Some(said) => Arc::new(said.message(&machine)),
                None => shared.next()?.clone(),
            };
            kept.push_back(Logged {
                at: entry.at,
                is_received: entry.is_received,
                message,
                bytes: entry.bytes,
            });
        }
        Some(Record {
            machine,
            opened: rest.opened,
            life: rest.life,
            questions: rest.questions,
            armed: self.armed,
            is_to_crash: false,
            messages: Log {
                kept,
                left_out: rest.left_out,
            },
            outside: rest.is_from_outside.then(|| {
                Box::new(Outside {
                    answers: None,
                    ended: None,
                })
            }),
        })
    }
}

impl<'a> Said<'a> {
    fn of(message: &'a AclMessage) -> Option<Self> {
        let content = message.content.as_deref();
        if message.receiver.len() > 1 || content.is_some_and(|c| c.len() > CONTENT_PACKED_MAX) {
            return None;
        }
        Some(Self {
            act: message.performative,
            from: message.sender.as_ref().map(|aid| aid.name.as_str()),
            to: message.receiver.first().map(|aid| aid.name.as_str()),
            content,
            price: message.user_parameter(PRICE_PARAMETER),
            reply_with: message.reply_with.as_deref(),
            in_reply_to: message.in_reply_to.as_deref(),
            reply_by: message.reply_by,
        })
    }

    fn message(self, machine: &Conversation) -> AclMessage {
        let price = self
            .price
            .map(|price| (PRICE_PARAMETER.to_owned(), price.to_owned()));
        AclMessage {
            sender: self.from.map(Aid::named),
            receiver: self.to.map(Aid::named).into_iter().collect(),
            content: self.content.map(<[u8]>::to_vec),
            protocol: Some(machine.protocol().token().into()),
            conversation_id: Some(machine.id().clone()),
            reply_with: self.reply_with.map(Into::into),
            in_reply_to: self.in_reply_to.map(Into::into),
            reply_by: self.reply_by,
            user_parameters: price.into_iter().collect(),
            ..AclMessage::new(self.act)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_protocols::Path;
    use swarm_protocols::interaction::{Decision, Event, Terms};

    fn call(content: Vec<u8>) -> Arc<AclMessage> {
        Arc::new(AclMessage {
            sender: Some(Aid::named("caller@here")),
            receiver: vec![Aid::named("a@here"), Aid::named("b@here")],
            content: Some(content),
            protocol: Some("fipa-contract-net".into()),
            conversation_id: Some("c1".into()),
            reply_with: Some("i1".into()),
            ..AclMessage::new(Performative::Cfp)
        })
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).expect("in range")
    }

    /// A bid that was withdrawn, with what was said in it.
    fn ended(call: &Arc<AclMessage>, is_from_outside: bool) -> Record {
        let terms = Terms::default();
        let (mut machine, actions) =
            Conversation::open(call, Aid::named("a@here"), &terms, at(1)).expect("a call");
        let mut messages = Log::default();
        messages.note(call, at(1), true, 8);
        messages.note_said(&actions, at(1), 8);
        let bid = Decision::Propose {
            content: b"42".to_vec(),
            price: Some(7),
            holds_for: None,
        };
        for (now, event) in [
            (2, Event::Local(bid)),
            (3, Event::AgentDown(swarm_protocols::ExitReason::NoProc)),
        ] {
            let actions = machine.on(event, at(now));
            messages.note_said(&actions, at(now), 8);
        }
        assert!(machine.outcome().is_some(), "{machine:?}");
        machine.release();
        Record {
            machine,
            opened: at(1),
            life: Some(Incarnation(3)),
            questions: 2,
            armed: Some(at(9)),
            is_to_crash: false,
            messages,
            outside: is_from_outside.then(|| {
                Box::new(Outside {
                    answers: None,
                    ended: None,
                })
            }),
        }
    }

    #[test]
    fn what_is_unpacked_does_and_shows_what_the_record_did() {
        let path = Path::new("/a.protocol").expect("a path");
        let mut scratch = Vec::new();
        for (content, is_from_outside) in [(vec![], false), (vec![b'x'; 5000], true)] {
            let record = ended(&call(content), is_from_outside);
            assert!(record.messages.kept.len() > 2, "bid and failure are kept");
            let packed = Packed::of(&record, &mut scratch).expect("packed");
            assert_eq!(packed.shared.len(), 1, "the call is the others' too");
            assert!(packed.bytes.len() < 512, "{}", packed.bytes.len());
            let again = packed.unpack().expect("sound");
            assert_eq!(again.machine, record.machine);
            assert_eq!(again.view(&path, true), record.view(&path, true));
            let parts = |r: &Record| (r.opened, r.life, r.questions, r.armed, r.outside.is_some());
            assert_eq!(parts(&again), parts(&record));
            assert_eq!(packed.due, record.machine.due());
        }
    }
}

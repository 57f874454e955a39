//! Letters that arrive for one receiver without anything in between.

use super::codec::{Answering, Held, HeldAsk, importing};
use super::desk::Desk;
use super::far::{Far, Remotes};
use super::wire::{Content, LetterNote};
use crate::agent::Message;
use crate::ask::{AclAsker, AskError, AskHold, ReplyTo};
use crate::dead_letters::{Corpse, DeathCause};
use crate::letter::{Body, Extra, Letter, LetterKind};
use crate::system::System;
use crate::transport::{Parcel, Window};
use std::sync::Arc;
use swarm_protocols::{AclMessage, Address, Path, Priority};

/// How many letters are decoded before the first of them is handled.
const LETTERS_MAX: u32 = 256;

/// What was received in one go, as far as it is for one receiver.
pub(super) struct Run<'a> {
    pub(super) system: &'a System,
    pub(super) remotes: &'a Remotes,
    pub(super) far: &'a Arc<Far>,
    pub(super) window: &'a Arc<dyn Window>,
    /// For whom, and how many.
    begun: Option<(Address, Box<dyn Desk>, u32)>,
    /// An empty one, of who got something last.
    cleared: Option<(Address, Box<dyn Desk>)>,
    /// Whose address was noted last.
    learned: Option<Address>,
    held: Option<Arc<Held>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        system: &'a System,
        remotes: &'a Remotes,
        far: &'a Arc<Far>,
        window: &'a Arc<dyn Window>,
    ) -> Self {
        Self {
            system,
            remotes,
            far,
            window,
            begun: None,
            cleared: None,
            learned: None,
            held: None,
        }
    }

    /// Notes where the sender is.
    pub(super) fn learn(&mut self, sender: Address) {
        if self.learned != Some(sender) {
            self.learned = Some(sender);
            self.remotes.learn(sender, &self.far.node);
        }
    }

    pub(super) fn letter(&mut self, parcel: &Parcel, letter: LetterNote<'_>) {
        let hold = self.hold(parcel);
        let receiver = parcel.receiver;
        let arriving = Arriving {
            sender: parcel.sender,
            receiver,
            letter,
            far: self.far,
            system: self.system,
            hold,
        };
        if let Some((known, desk, count)) = &mut self.begun
            && *known == receiver
            && *count < LETTERS_MAX
        {
            *count += 1;
            desk.lay(arriving);
            return;
        }
        self.end();
        match self.desk_of(receiver) {
            Some(mut desk) => {
                desk.lay(arriving);
                self.begun = Some((receiver, desk, 1));
            }
            None => arriving.refuse(),
        }
    }

    fn desk_of(&mut self, receiver: Address) -> Option<Box<dyn Desk>> {
        match self.cleared.take() {
            Some((known, desk)) if known == receiver => Some(desk),
            _ => self.system.find_local(receiver)?.0.desk(),
        }
    }

    /// They enter the mailbox, before anything that came behind them.
    pub(super) fn end(&mut self) {
        let Some((receiver, mut desk, _)) = self.begun.take() else {
            return;
        };
        let parking = &self.remotes.parking;
        if !parking.is_waited_for(receiver) && desk.enter() {
            self.cleared = Some((receiver, desk));
            return;
        }
        let delivery = move || (!desk.enter()).then(|| desk.wait());
        let node = &self.far.node;
        parking.deliver(self.remotes.runtime(), node, receiver, delivery);
    }

    /// Keeps a letter in the window. Mostly one is like the last.
    fn hold(&mut self, parcel: &Parcel) -> AskHold {
        let bytes = parcel.body.len();
        let held = match &self.held {
            Some(held) if held.receiver == parcel.receiver && held.bytes == bytes => held.clone(),
            _ => {
                let held = Arc::new(Held {
                    window: self.window.clone(),
                    receiver: parcel.receiver,
                    bytes,
                });
                self.held.insert(held).clone()
            }
        };
        AskHold::on(held)
    }
}

/// A letter from another node, as it came, for a cell whose type is not known here.
pub(crate) struct Arriving<'a> {
    sender: Address,
    receiver: Address,
    letter: LetterNote<'a>,
    far: &'a Arc<Far>,
    system: &'a System,
    hold: AskHold,
}

impl Arriving<'_> {
    /// As a letter of the receiver's type; a dead letter for `path`, when it is none.
    pub(super) fn into_letter<M: Message>(self, path: &Path) -> Option<Letter<M>> {
        let answering = self.answering();
        let extra = extra(self.system, &self.letter);
        let (body, ask) = match self.letter.content {
            Content::Acl { message, ask } => {
                let ask = ask.map(|id| acl_asker(id, answering));
                (Body::Acl(message.into_message()), ask)
            }
            Content::Typed {
                name,
                version,
                body,
            } => {
                let decoded = M::codec()
                    .ok_or_else(|| "the agent takes no messages from other nodes".to_owned())
                    .map(|codec| importing(answering, || codec.decode(&name, version, &body.0)));
                match decoded {
                    Ok((Ok(message), ask)) => (Body::Message(message), ask),
                    Ok((Err(why), ask)) => {
                        if let Some(ask) = ask {
                            ask.fail(AskError::Refused);
                        }
                        bury(self.system, self.sender, self.letter.priority, path, why);
                        return None;
                    }
                    Err(why) => {
                        bury(self.system, self.sender, self.letter.priority, path, why);
                        return None;
                    }
                }
            }
        };
        let mut letter = Letter::new(body, self.system.coarse_ms());
        letter.sender = self.sender.into();
        letter.priority = self.letter.priority;
        letter.extra = extra;
        letter.ask = Some(match ask {
            None => self.hold,
            Some(ask) => AskHold::of(HeldAsk {
                ask,
                _held: self.hold,
            }),
        });
        Some(letter)
    }

    fn answering(&self) -> Answering {
        Answering {
            far: self.far.clone(),
            from: self.receiver,
            to: self.sender,
        }
    }

    /// There is nobody to take it.
    fn refuse(self) {
        let answering = self.answering();
        let (kind, acl, message_type) = match self.letter.content {
            Content::Acl { message, ask } => {
                if let Some(id) = ask {
                    answering.answer(id, Err(AskError::NoProc));
                }
                (LetterKind::Acl, Some(message.into_message()), "acl")
            }
            // What asks in it cannot be read; who asked learns it by its deadline.
            Content::Typed { .. } => (LetterKind::Message, None, "remote"),
        };
        self.system.bury(Corpse {
            cause: DeathCause::NoReceiver,
            receiver: super::arrive::unknown_path(self.receiver),
            sender: Some(self.sender).filter(|sender| *sender != Address(0)),
            kind,
            message_type,
            priority: self.letter.priority,
            acl,
            kept: None,
        });
    }
}

/// A native message that its receiver cannot read.
fn bury(system: &System, sender: Address, priority: Priority, path: &Path, why: String) {
    system.bury(Corpse {
        cause: DeathCause::Rejected(why),
        receiver: path.clone(),
        sender: Some(sender).filter(|sender| *sender != Address(0)),
        kind: LetterKind::Message,
        message_type: "remote",
        priority,
        acl: None,
        kept: None,
    });
}

fn extra(system: &System, letter: &LetterNote<'_>) -> Option<Box<Extra>> {
    let has_extra =
        letter.expires_in_ms.is_some() || letter.trace.is_some() || letter.extensions.is_some();
    has_extra.then(|| {
        Box::new(Extra {
            expires_at_ms: letter
                .expires_in_ms
                .map(|left| system.now_ms().saturating_add(left)),
            trace: letter.trace,
            extensions: letter.extensions.clone().unwrap_or_default(),
        })
    })
}

fn acl_asker(id: u64, answering: Answering) -> AskHold {
    // The letter's own hold is the asker that is made of the port.
    let (port, _hold) = ReplyTo::forwarding(move |outcome: Result<AclMessage, AskError>| {
        let encoded = outcome
            .and_then(|message| postcard::to_allocvec(&message).map_err(|_| AskError::NoReply));
        answering.answer(id, encoded);
    });
    AclAsker(port).into()
}

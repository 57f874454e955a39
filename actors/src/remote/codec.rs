//! Native messages as bytes. A message type that has a codec can be sent to other nodes; local sends never use it.
//!
//! A place for an answer ([`ReplyTo`]) in a message becomes a number on the way out, and on the other node a place whose answer
//! travels back under that number. While a message is being encoded or decoded, a thread-local cell holds what serde gives no way to
//! pass along; it is empty before and after.

use super::far::Far;
use super::scratch;
use super::wire::{Failure, Note, Opaque};
use crate::ask::{AskError, AskHold, AskSlot, ReplyTo};
use crate::system::System;
use crate::transport::Window;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::sync::Arc;
use swarm_protocols::Address;

enum Encode<M> {
    /// Appends to a buffer, which is empty.
    Into(fn(&M, Vec<u8>) -> Result<Vec<u8>, String>),
    Own(fn(&M) -> Result<Vec<u8>, String>),
}

/// How messages of type `M` become bytes and come back.
pub struct MessageCodec<M> {
    pub(crate) name: &'static str,
    pub(crate) version: u16,
    encode: Encode<M>,
    pub(crate) decode: fn(u16, &[u8]) -> Result<M, String>,
}

impl<M: Serialize + DeserializeOwned> MessageCodec<M> {
    /// Postcard, under a name that all nodes know the type by and the version of its shape. A message of another version is refused
    /// by the receiver's node: a type that reads older shapes gives its own functions ([`MessageCodec::new`]).
    #[must_use]
    pub fn postcard(name: &'static str, version: u16) -> Self {
        Self {
            name,
            version,
            encode: Encode::Into(|message, buffer| {
                postcard::to_extend(message, buffer).map_err(|error| error.to_string())
            }),
            decode: |_, bytes| postcard::from_bytes(bytes).map_err(|error| error.to_string()),
        }
    }
}

impl<M> MessageCodec<M> {
    /// With functions of one's own. `decode` is given the version that the sender wrote, also those that are not `version`; it must
    /// not panic on any bytes.
    #[must_use]
    pub fn new(
        name: &'static str,
        version: u16,
        encode: fn(&M) -> Result<Vec<u8>, String>,
        decode: fn(u16, &[u8]) -> Result<M, String>,
    ) -> Self {
        Self {
            name,
            version,
            encode: Encode::Own(encode),
            decode,
        }
    }

    /// The message as bytes, in a buffer of [`scratch`] where that is of use.
    pub(super) fn encode(&self, message: &M) -> Result<Vec<u8>, String> {
        match self.encode {
            Encode::Into(encode) => encode(message, scratch::take()),
            Encode::Own(encode) => encode(message),
        }
    }

    /// Whether it reads what is called `name`, in `version`.
    pub(crate) fn decode(&self, name: &str, version: u16, bytes: &[u8]) -> Result<M, String> {
        if name != self.name {
            return Err(format!("a message of type {name}, not {}", self.name));
        }
        (self.decode)(version, bytes)
    }
}

/// An ask that waits for an answer from another node.
pub(crate) trait PendingAsk: Send {
    fn answered(self: Box<Self>, outcome: Result<&[u8], AskError>);
    /// Nobody waits any more.
    fn is_over(&self) -> bool;
}

struct TypedAsk<T>(ReplyTo<T>);

impl<T: DeserializeOwned + Send + 'static> PendingAsk for TypedAsk<T> {
    fn answered(self: Box<Self>, outcome: Result<&[u8], AskError>) {
        match outcome.map(postcard::from_bytes) {
            Ok(Ok(value)) => self.0.send(value),
            Ok(Err(_)) => self.0.fail(AskError::NoReply),
            Err(error) => self.0.fail(error),
        }
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

/// What a message that is being encoded has in the way of places for answers.
#[derive(Default)]
pub(crate) struct Exported(pub(crate) Vec<(u64, Box<dyn PendingAsk>)>);

struct Exporting {
    /// Whose numbers they get.
    system: System,
    exported: Exported,
}

/// Sends the answers to asks of another node back.
#[derive(Clone)]
pub(super) struct Answering {
    pub(super) far: Arc<Far>,
    /// The agent here that was asked.
    pub(super) from: Address,
    /// Who asks.
    pub(super) to: Address,
}

impl Answering {
    /// Under the number `ask` of the other node.
    pub(super) fn answer(&self, ask: u64, outcome: Result<Vec<u8>, AskError>) {
        let outcome = outcome
            .map(Opaque::from)
            .map_err(|error| Failure::from(&error));
        let note = Note::Answer { ask, outcome };
        self.far.tell(self.from, self.to, &note);
    }
}

struct Importing {
    answering: Answering,
    hold: Option<AskHold>,
}

thread_local! {
    static EXPORTING: RefCell<Option<Exporting>> = const { RefCell::new(None) };
    static IMPORTING: RefCell<Option<Importing>> = const { RefCell::new(None) };
}

/// Runs `encode`, in which places for answers are given numbers by the system.
pub(super) fn exporting<T>(system: System, encode: impl FnOnce() -> T) -> (T, Exported) {
    let exporting = Exporting {
        system,
        exported: Exported::default(),
    };
    let _outer = Restore(&EXPORTING, EXPORTING.replace(Some(exporting)));
    let encoded = encode();
    let exported = EXPORTING
        .take()
        .map_or_else(Exported::default, |exporting| exporting.exported);
    (encoded, exported)
}

/// Runs `decode`, in which places for answers answer through `answering`. Also gives the runtime's hold on the first of them.
pub(super) fn importing<T>(
    answering: Answering,
    decode: impl FnOnce() -> T,
) -> (T, Option<AskHold>) {
    let importing = Importing {
        answering,
        hold: None,
    };
    let _outer = Restore(&IMPORTING, IMPORTING.replace(Some(importing)));
    let decoded = decode();
    let hold = IMPORTING.take().and_then(|importing| importing.hold);
    (decoded, hold)
}

/// Puts back what was there, whatever happens.
struct Restore<T: 'static>(
    &'static std::thread::LocalKey<RefCell<Option<T>>>,
    Option<T>,
);

impl<T> Drop for Restore<T> {
    fn drop(&mut self) {
        let before = self.1.take();
        self.0.replace(before);
    }
}

/// The number of a place for an answer, in the message that is being encoded on this thread.
pub(crate) fn export_port<T: DeserializeOwned + Send + 'static>(port: &ReplyTo<T>) -> Option<u64> {
    EXPORTING.with_borrow_mut(|exporting| {
        let exporting = exporting.as_mut()?;
        let id = exporting.system.monitor_id().0;
        let ask = Box::new(TypedAsk(port.clone()));
        exporting.exported.0.push((id, ask));
        Some(id)
    })
}

/// A place for an answer that goes back under this number, in the message that is being decoded on this thread.
pub(crate) fn import_port<T: Serialize + Send + 'static>(id: u64) -> Option<ReplyTo<T>> {
    IMPORTING.with_borrow_mut(|importing| {
        let importing = importing.as_mut()?;
        let answering = importing.answering.clone();
        let (port, hold) = ReplyTo::forwarding(move |outcome: Result<T, AskError>| {
            let encoded = outcome
                .and_then(|value| postcard::to_allocvec(&value).map_err(|_| AskError::NoReply));
            answering.answer(id, encoded);
        });
        importing.hold.get_or_insert(hold);
        Some(port)
    })
}

/// A place for an answer can be part of a message that crosses nodes, if the answer can.
impl<T: Serialize + DeserializeOwned + Send + 'static> Serialize for ReplyTo<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match export_port(self) {
            Some(id) => serializer.serialize_u64(id),
            None => Err(serde::ser::Error::custom(
                "a place for an answer is only serialized on its way to another node",
            )),
        }
    }
}

impl<'de, T: Serialize + DeserializeOwned + Send + 'static> Deserialize<'de> for ReplyTo<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = u64::deserialize(deserializer)?;
        import_port(id).ok_or_else(|| {
            serde::de::Error::custom(
                "a place for an answer is only read where it arrives from another node",
            )
        })
    }
}

/// Keeps letters in their senders' window until their turns are over: one for all letters of one size that a receiver gets in a row, each
/// of which lets go of it once.
pub(super) struct Held {
    pub(super) window: Arc<dyn Window>,
    pub(super) receiver: Address,
    pub(super) bytes: usize,
}

impl AskSlot for Held {
    fn fail(&self, _: AskError) {}

    fn let_go(&self) {
        self.window.release(self.receiver, self.bytes);
    }

    fn publish(&self) {}

    fn unstage(&self) {}

    fn is_over(&self) -> bool {
        false
    }
}

/// The same for a letter in which somebody asks.
pub(super) struct HeldAsk {
    pub(super) ask: AskHold,
    pub(super) _held: AskHold,
}

impl AskSlot for HeldAsk {
    fn fail(&self, error: AskError) {
        self.ask.fail(error);
    }

    // What it has goes when it is dropped.
    fn let_go(&self) {}

    // Answers are staged with ports.
    fn publish(&self) {}

    fn unstage(&self) {}

    fn acl_port(&self) -> Option<ReplyTo<swarm_protocols::AclMessage>> {
        self.ask.acl_port()
    }

    fn is_over(&self) -> bool {
        false
    }
}

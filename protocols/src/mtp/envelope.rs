//! The envelope around a message between platforms.

use crate::acl::{Aid, Timestamp};

/// What the transport knows of a message (FIPA SC00067F). Not to be confused with [`Envelope`](crate::Envelope), which
/// is Swarm's own and travels between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportEnvelope {
    /// Whom the message is meant for.
    pub to: Vec<Aid>,
    /// Who sent it.
    pub from: Option<Aid>,
    /// Anything.
    pub comments: Option<String>,
    /// The form of the message, such as `fipa.acl.rep.string.std`.
    pub acl_representation: Option<String>,
    /// How many bytes the message has; advisory.
    pub payload_length: Option<u64>,
    /// The charset of the message.
    pub payload_encoding: Option<String>,
    /// When it was sent.
    pub date: Option<Timestamp>,
    /// Who still has to get this copy.
    pub intended_receiver: Vec<Aid>,
    /// Who has passed it on, in their order.
    pub received: Vec<Received>,
}

/// What one who passed a message on has stamped on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The URL of whoever stamped.
    pub by: Option<String>,
    /// Where it came from.
    pub from: Option<String>,
    /// When it came.
    pub date: Option<Timestamp>,
    /// An id of the stamp.
    pub id: Option<String>,
    /// By what transport.
    pub via: Option<String>,
}

impl TransportEnvelope {
    /// Who is to get the message here: the intended receivers, or where there are none, whom it is addressed to.
    #[must_use]
    pub fn recipients(&self) -> &[Aid] {
        if self.intended_receiver.is_empty() {
            &self.to
        } else {
            &self.intended_receiver
        }
    }

    /// Whether a transport with that URL has passed it on before: then it goes round in circles.
    #[must_use]
    pub fn was_received_by(&self, url: &str) -> bool {
        self.received
            .iter()
            .any(|stamp| stamp.by.as_deref() == Some(url))
    }
}

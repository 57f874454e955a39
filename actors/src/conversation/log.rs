//! The messages of a record, to be looked at.

use std::collections::VecDeque;
use std::sync::Arc;
use swarm_protocols::interaction::Action;
use swarm_protocols::{AclMessage, Timestamp};

/// The first message and the latest.
#[derive(Default)]
pub(super) struct Log {
    pub(super) kept: VecDeque<Logged>,
    pub(super) left_out: u64,
}

pub(super) struct Logged {
    pub(super) at: Timestamp,
    pub(super) is_received: bool,
    pub(super) message: Arc<AclMessage>,
    /// How many bytes its content had.
    pub(super) bytes: usize,
}

/// How many bytes of a message's content are kept to be looked at. Of a longer one a copy without the rest is kept.
const CONTENT_KEPT_MAX: usize = 4096;

impl Log {
    pub(super) fn note(
        &mut self,
        message: &Arc<AclMessage>,
        at: Timestamp,
        is_received: bool,
        max: usize,
    ) {
        if max == 0 {
            self.left_out += 1;
            return;
        }
        if self.kept.len() >= max {
            // The first one says what it was all about.
            self.kept.remove(usize::from(max > 1));
            self.left_out += 1;
        }
        if self.kept.capacity() == 0 {
            self.kept.reserve_exact(2);
        }
        let bytes = message.content.as_ref().map_or(0, Vec::len);
        let message = if bytes <= CONTENT_KEPT_MAX {
            message.clone()
        } else {
            Arc::new(beginning_of(message))
        };
        self.kept.push_back(Logged {
            at,
            is_received,
            message,
            bytes,
        });
    }
}

impl Log {
    /// Notes what a machine says.
    pub(super) fn note_said(&mut self, actions: &[Action], at: Timestamp, max: usize) {
        for action in actions {
            if let Action::Send(message) = action {
                self.note(message, at, false, max);
            }
        }
    }

    pub(super) fn heard(&self) -> Vec<Arc<AclMessage>> {
        self.kept
            .iter()
            .filter(|logged| logged.is_received)
            .map(|logged| logged.message.clone())
            .collect()
    }
}

/// A message with no more of its content than is kept.
fn beginning_of(message: &AclMessage) -> AclMessage {
    AclMessage {
        sender: message.sender.clone(),
        receiver: message.receiver.clone(),
        content: message
            .content
            .as_ref()
            .map(|content| content[..content.len().min(CONTENT_KEPT_MAX)].to_vec()),
        protocol: message.protocol.clone(),
        conversation_id: message.conversation_id.clone(),
        reply_with: message.reply_with.clone(),
        in_reply_to: message.in_reply_to.clone(),
        reply_by: message.reply_by,
        ..AclMessage::new(message.performative)
    }
}

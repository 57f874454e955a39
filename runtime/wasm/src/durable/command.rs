//! What a durable guest can be told: a message, or that a timer of its own has fired.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use swarm_protocols::AclMessage;

/// One turn's input.
#[derive(Clone, Debug)]
pub enum GuestCommand {
    /// A message.
    Message(Arc<AclMessage>),
    /// A timer has fired.
    Timer {
        /// The guest's name for it.
        timer: u64,
        /// What it was set with.
        tag: u64,
        /// After how long it fires again, in milliseconds, if it does.
        every_ms: Option<u64>,
    },
}

/// A command's bytes. Frozen: variants and fields are only added behind the others.
#[derive(Serialize, Deserialize)]
enum Kept {
    Message(Box<AclMessage>),
    Timer {
        timer: u64,
        tag: u64,
        every_ms: Option<u64>,
    },
}

pub(super) fn write(command: &GuestCommand) -> Option<Vec<u8>> {
    let kept = match command {
        GuestCommand::Message(message) => Kept::Message(Box::new((**message).clone())),
        GuestCommand::Timer {
            timer,
            tag,
            every_ms,
        } => Kept::Timer {
            timer: *timer,
            tag: *tag,
            every_ms: *every_ms,
        },
    };
    postcard::to_stdvec(&kept).ok()
}

pub(super) fn read(payload: &[u8]) -> Option<GuestCommand> {
    let (kept, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(match kept {
        Kept::Message(message) => GuestCommand::Message(Arc::new(*message)),
        Kept::Timer {
            timer,
            tag,
            every_ms,
        } => GuestCommand::Timer {
            timer,
            tag,
            every_ms,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_timer_is_frozen() {
        let timer = GuestCommand::Timer {
            timer: 300,
            tag: 7,
            every_ms: Some(5),
        };
        let golden = [1, 0xac, 2, 7, 1, 5];
        assert_eq!(write(&timer).unwrap(), golden);
        assert!(matches!(
            read(&golden),
            Some(GuestCommand::Timer {
                timer: 300,
                tag: 7,
                every_ms: Some(5)
            })
        ));
        assert!(read(&[1, 0xac, 2, 7, 1, 5, 0]).is_none());
        assert!(read(&[9]).is_none());
    }
}

//! ACL messages in an outbox: how they are told from commands there. Pure.

use super::codec::{CodecError, decode, encode};
use swarm_protocols::{AclMessage, Performative};

/// What a payload begins with that is an ACL message and no command. No command of an enum type begins so, and of no number: a
/// postcard number has no more than ten such bytes. A command that does begin so is refused by whoever would send it.
const MARK: [u8; 16] = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffacl\x01";

/// A message as a payload.
pub(super) fn write(message: &AclMessage) -> Result<Vec<u8>, CodecError> {
    let mut payload = MARK.to_vec();
    payload.extend(encode(message)?);
    Ok(payload)
}

/// Whether a payload is meant to be an ACL message.
pub(super) fn is_one(payload: &[u8]) -> bool {
    payload.starts_with(&MARK)
}

/// The message that a payload is; none if it is a command, or nothing at all.
pub(super) fn read(payload: &[u8]) -> Option<AclMessage> {
    decode(payload.strip_prefix(MARK.as_slice())?)
}

/// Whether a message ends something that its receiver began, so that nobody waits for an answer to it.
pub(super) fn is_answer(message: &AclMessage) -> bool {
    message.in_reply_to.is_some()
        || matches!(
            message.performative,
            Performative::Inform
                | Performative::Failure
                | Performative::NotUnderstood
                | Performative::Refuse
                | Performative::Agree
                | Performative::Confirm
                | Performative::Disconfirm
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_from_every_command_that_can_be_sent() {
        let mut message = AclMessage::new(Performative::Request);
        message.content = Some(vec![0, 255]);
        let payload = write(&message).expect("bytes");
        assert_eq!(read(&payload), Some(message));
        assert!(is_one(&payload));
        for command in [vec![], vec![0xff; 10], MARK[..15].to_vec()] {
            assert!(!is_one(&command));
            assert_eq!(read(&command), None);
        }
        assert_eq!(read(&MARK), None, "cut off");
    }

    #[test]
    fn the_form_is_frozen() {
        let mut message = AclMessage::new(Performative::Inform);
        message.content = Some(b"x".to_vec());
        let payload = write(&message).expect("bytes");
        assert_eq!(payload[..16], MARK);
        let golden = [7, 0, 0, 0, 1, 1, b'x', 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(payload[16..], golden);
    }
}

//! The messages of names. Versioned, bounded, parsed whole.

use super::entry::Key;
use super::log::Written;
use crate::identity::BootId;
use serde::{Deserialize, Serialize};

/// The first byte, which tells messages of names from other broadcasts.
const MARK: u8 = b'n';
/// The format that is written. Descriptions came with it; without them it is the one before, which is read too.
pub(super) const VERSION: u8 = 2;
/// The format of nodes that speak wire version 1.
pub(super) const VERSION_BEFORE: u8 = 1;
/// The wire version with which the present format came.
const SPOKEN_SINCE: u16 = 2;
/// The most entries in one delta. With names of full length it is 160 KiB, with usual ones 25.
pub(super) const DELTA_ENTRIES_MAX: usize = 512;
/// About how long a delta gets at most. Descriptions may be long.
pub(super) const DELTA_BYTES_MAX: usize = 256 * 1024;
/// The longest AID that has a description.
pub(super) const AID_BYTES_MAX: usize = 1024;
/// The longest description. It has to fit into a delta by itself.
pub(super) const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// The most nodes in one digest or pull.
pub(super) const OWNERS_MAX: usize = 65_536;

/// Why bytes are no message of names. Nothing took effect; the same bytes fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesWireError {
    /// There is not even a version.
    #[error("the message is empty")]
    Empty,
    /// It is a message of something else.
    #[error("the message is not one of names")]
    Foreign,
    /// Another version.
    #[error("version {found} of the message is neither {VERSION_BEFORE} nor {VERSION}")]
    Version {
        /// The version it says.
        found: u8,
    },
    /// It does not parse.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    /// It says that it has more than may be, or goes on behind its end.
    #[error("the message is longer than it may be")]
    TooLong,
}

/// How far a copy of one node's entries goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) owner: BootId,
    pub(super) version: u64,
}

/// A part of one node's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delta {
    pub(super) owner: BootId,
    /// The sender's floor for this owner.
    pub(super) floor: u64,
    /// What the receiver had said that it knows.
    pub(super) from: u64,
    /// What it knows with this.
    pub(super) upto: u64,
    pub(super) entries: Vec<Written>,
    /// Whether there is more behind `upto`.
    pub(super) more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// The sender has written. With the entries when they are few, without when the receiver had better fetch them.
    Written {
        delta: Delta,
        is_whole: bool,
    },
    /// A digest of all that the sender knows. Whoever knows something else answers with what it knows.
    Check {
        digest: u64,
    },
    /// All that the sender knows.
    Digest {
        known: Vec<Known>,
        wants_answer: bool,
    },
    /// What the sender wants the rest of.
    Pull {
        known: Vec<Known>,
    },
    Delta(Delta),
}

pub(super) fn encode(message: &Message) -> Vec<u8> {
    postcard::to_extend(message, vec![MARK, VERSION]).unwrap_or_default()
}

/// Whether a broadcast is a message of names.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    bytes.first() == Some(&MARK)
}

/// A message of this node, for one that speaks this wire version: what it does not know is left out. None when it is no message of names.
#[must_use]
pub fn spoken(bytes: Vec<u8>, wire: u16) -> Option<Vec<u8>> {
    if wire >= SPOKEN_SINCE {
        return Some(bytes);
    }
    let (mut message, _) = decode(&bytes).ok()?;
    if let Message::Written { delta, .. } | Message::Delta(delta) = &mut message {
        delta
            .entries
            .retain(|(_, key, _)| !matches!(key, Key::Description(_)));
    }
    Some(postcard::to_extend(&message, vec![MARK, VERSION_BEFORE]).unwrap_or_default())
}

/// The message, and the format in which it was written.
pub(super) fn decode(bytes: &[u8]) -> Result<(Message, u8), NamesWireError> {
    let (format, body) = match bytes {
        [] | [MARK] => return Err(NamesWireError::Empty),
        [MARK, format @ VERSION_BEFORE..=VERSION, body @ ..] => (*format, body),
        [MARK, found, ..] => return Err(NamesWireError::Version { found: *found }),
        [_, ..] => return Err(NamesWireError::Foreign),
    };
    let (message, rest) = postcard::take_from_bytes::<Message>(body)?;
    let is_bounded = match &message {
        Message::Written { delta, .. } | Message::Delta(delta) => {
            delta.entries.len() <= DELTA_ENTRIES_MAX
        }
        Message::Digest { known, .. } | Message::Pull { known } => known.len() <= OWNERS_MAX,
        Message::Check { .. } => true,
    };
    if rest.is_empty() && is_bounded {
        Ok((message, format))
    } else {
        Err(NamesWireError::TooLong)
    }
}

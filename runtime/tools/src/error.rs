//! How a call of a tool fails.

use std::fmt;
use std::time::Duration;

/// Why a call brought no answer. The set is closed: a host maps each kind to what its agents understand.
///
/// Texts may hold what a tool or its server wrote, at most [`REASON_BYTES_MAX`] bytes of it and without control
/// characters; they never repeat the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// There is no tool of that name now. Nothing was done; it may come (back) with its server.
    #[error("there is no tool {tool}")]
    Unknown {
        /// The name.
        tool: String,
    },
    /// The caller's grants do not cover this. Nothing was done; trying again is no use.
    #[error("denied: {reason}")]
    Denied {
        /// What is not granted.
        reason: String,
    },
    /// The input is not what the tool takes. Nothing was done; trying again is no use.
    #[error("invalid input{}{at}: {problem}", if at.is_empty() { "" } else { " at " })]
    InvalidInput {
        /// The place in the input, as a JSON pointer (RFC 6901); empty for the input as a whole.
        at: String,
        /// What is wrong there.
        problem: String,
    },
    /// The input or the answer is larger than it may be. A too large input did nothing; after a too large answer the tool
    /// has done its work.
    #[error("the {side} has more than {bytes_max} bytes")]
    TooLarge {
        /// Which of them.
        side: Side,
        /// How many bytes it may have.
        bytes_max: u64,
    },
    /// The deadline passed. The tool may or may not have done its work.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// More calls at once, or more idempotency keys, than there may be. Nothing was done; try again later.
    #[error("overloaded: {reason}")]
    Overloaded {
        /// What is full.
        reason: String,
    },
    /// The idempotency key was used for a call of another tool or with another input. Nothing was done.
    #[error("the idempotency key was used for another call")]
    KeyReused,
    /// The tool tried, or could not try, and says how it went wrong.
    #[error("{reason}")]
    Failed {
        /// How.
        reason: String,
        /// Whether something may have been done.
        effect: Effect,
    },
}

/// What a call that failed may have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the call may be made again.
    None,
    /// Perhaps all of it, perhaps nothing.
    Possible,
}

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What goes in.
    Input,
    /// What comes out.
    Answer,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Answer => "answer",
        })
    }
}

/// How much of a foreign text an error carries, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

impl ToolError {
    /// [`ToolError::InvalidInput`].
    #[must_use]
    pub fn invalid(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::InvalidInput {
            at: at.into(),
            problem: problem.into(),
        }
    }

    /// [`ToolError::Denied`].
    #[must_use]
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::Denied {
            reason: reason.into(),
        }
    }

    /// [`ToolError::Failed`] with nothing done.
    #[must_use]
    pub fn not_tried(reason: impl fmt::Display) -> Self {
        Self::Failed {
            reason: plain(&reason.to_string()),
            effect: Effect::None,
        }
    }

    /// [`ToolError::Failed`] with something perhaps done.
    #[must_use]
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed {
            reason: plain(&reason.to_string()),
            effect: Effect::Possible,
        }
    }

    /// What the call may have done.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::Unknown { .. }
            | Self::Denied { .. }
            | Self::InvalidInput { .. }
            | Self::Overloaded { .. }
            | Self::KeyReused
            | Self::TooLarge {
                side: Side::Input, ..
            } => Effect::None,
            Self::TimedOut { .. }
            | Self::TooLarge {
                side: Side::Answer, ..
            } => Effect::Possible,
            Self::Failed { effect, .. } => *effect,
        }
    }

    /// The kind in one stable word, for records, metrics and the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown",
            Self::Denied { .. } => "denied",
            Self::InvalidInput { .. } => "invalid-input",
            Self::TooLarge { .. } => "too-large",
            Self::TimedOut { .. } => "timed-out",
            Self::Overloaded { .. } => "overloaded",
            Self::KeyReused => "key-reused",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A text from elsewhere, cut, with control characters replaced.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if plain.len() + c.len_utf8() > REASON_BYTES_MAX {
            plain.push('…');
            break;
        }
        plain.push(if c.is_control() { ' ' } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_and_carries_no_control_characters() {
        assert_eq!(plain("a\n\x1b[31mb"), "a  [31mb");
        let long = plain(&"ä".repeat(REASON_BYTES_MAX));
        assert!(
            long.len() <= REASON_BYTES_MAX + '…'.len_utf8(),
            "{}",
            long.len()
        );
    }
}

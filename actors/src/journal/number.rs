//! The numbers of a journal, each a type of its own.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of an event in its stream. The first is 1; 0 stands for none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

/// The number of an event in its journal. The first is 1; 0 stands for none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

/// The how-many-eth owner of a stream writes. A stream takes nothing from an epoch below its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// Names a command, so that it takes effect once however often it is sent. Its upper 48 bits say when it was issued
/// (milliseconds since 1970), the rest is random: so a repeat that comes after the [window](crate::journal::COMMAND_WINDOW)
/// is recognised as too old instead of being done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u128);

impl CommandId {
    /// A command issued at that time; `random` tells it from the others of the same millisecond (its lower 80 bits count).
    #[must_use]
    pub fn new(issued_at_ms: u64, random: u128) -> Self {
        Self(u128::from(issued_at_ms & 0xffff_ffff_ffff) << 80 | (random & ((1 << 80) - 1)))
    }

    /// When it was issued, in milliseconds since 1970.
    #[must_use]
    pub fn issued_at_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

impl Seq {
    /// The number behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

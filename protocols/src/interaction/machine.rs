//! What the conversation asks of each machine.

use super::event::{Decision, End, Notice, Outcome};
use super::frame::Step;
use crate::acl::{AclMessage, Aid, Timestamp};
use std::sync::Arc;

/// One protocol's one role. Only called while the conversation is open, except `late`.
pub(super) trait Machine {
    /// A message of this conversation, seen for the first time.
    fn received(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>);

    /// The same after the end.
    fn late(&mut self, step: &mut Step<'_>, message: &Arc<AclMessage>) {
        let _ = message;
        step.notice(Notice::Late);
    }

    /// The agent has decided.
    fn decide(&mut self, step: &mut Step<'_>, decision: Decision);

    /// The time may have come for something.
    fn deadline(&mut self, step: &mut Step<'_>);

    /// The other side has ended, or one of several.
    fn down(&mut self, step: &mut Step<'_>, who: &Aid);

    /// This side gives up: all that are still owed something are told. `end` is how the open parts end on this side.
    fn abandon(&mut self, step: &mut Step<'_>, end: End);

    /// When `deadline` is to be called.
    fn due(&self) -> Option<Timestamp>;

    /// How it ended; `None` while it is open.
    fn outcome(&self) -> Option<Outcome>;

    /// Whether nobody could suffer from this side's forgetting it. A commit that was not acknowledged must be remembered: to
    /// forget it means that it was aborted.
    fn may_be_forgotten(&self) -> bool {
        true
    }

    /// Lets go of the messages that were kept: after the end they are of no use to it.
    fn release(&mut self);

    /// The state's name in the protocol's table.
    fn state(&self) -> &'static str;

    /// Who takes part on the other side, and in which state each is.
    fn parties(&self) -> Vec<(&Aid, &'static str)>;
}

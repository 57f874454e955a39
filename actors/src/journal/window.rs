//! Which commands a stream has seen.

use super::{Appended, CommandId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// For how long a repeated command is recognised after it was issued. Later it is refused as too old.
pub const COMMAND_WINDOW: Duration = Duration::from_secs(600);

/// How many commands of one stream are known at once. With more within the window the oldest are forgotten early, and all
/// that were issued before them are too old from then on.
pub const COMMANDS_PER_STREAM_MAX: usize = 1024;

/// What a command wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Effect {
    first: u64,
    last: u64,
    position: u64,
    batch: u64,
}

/// The commands that a stream has seen and must not see again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// By id, and so by the time of issue.
    seen: BTreeMap<u128, Effect>,
    /// Commands issued at or before this are not known any more, whatever the window says.
    floor_ms: u64,
}

pub(crate) enum Known {
    New,
    Repeat(Appended),
    TooOld,
}

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    pub(crate) fn look_up(&self, command: CommandId, now_ms: u64) -> Known {
        if let Some(effect) = self.seen.get(&command.0) {
            return Known::Repeat(Appended {
                first: super::Seq(effect.first),
                last: super::Seq(effect.last),
                position: super::Position(effect.position),
                batch: effect.batch,
                is_repeat: true,
            });
        }
        let issued = command.issued_at_ms();
        if issued <= self.floor_ms || issued < oldest(now_ms) {
            Known::TooOld
        } else {
            Known::New
        }
    }

    pub(crate) fn note(&mut self, command: CommandId, appended: &Appended, now_ms: u64) {
        let effect = Effect {
            first: appended.first.0,
            last: appended.last.0,
            position: appended.position.0,
            batch: appended.batch,
        };
        self.seen.insert(command.0, effect);
        self.forget(now_ms);
    }

    /// Lets go of what would be too old anyway. Depends on what was noted and on `now_ms` only, so that a replay ends with
    /// the same window.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        let oldest = oldest(now_ms);
        while let Some(first) = self.seen.first_entry() {
            let issued = CommandId(*first.key()).issued_at_ms();
            let is_over_full = self.seen.len() > COMMANDS_PER_STREAM_MAX;
            if issued >= oldest && !is_over_full {
                break;
            }
            self.floor_ms = self.floor_ms.max(issued);
            self.seen.pop_first();
        }
    }
}

fn oldest(now_ms: u64) -> u64 {
    now_ms.saturating_sub(COMMAND_WINDOW.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::{Position, Seq};
    use super::*;

    fn appended(n: u64) -> Appended {
        Appended {
            first: Seq(n),
            last: Seq(n),
            position: Position(n),
            batch: n,
            is_repeat: false,
        }
    }

    fn is_too_old(window: &Window, command: CommandId, now_ms: u64) -> bool {
        matches!(window.look_up(command, now_ms), Known::TooOld)
    }

    #[test]
    fn a_repeat_has_the_first_answer_until_it_is_too_old() {
        let mut window = Window::default();
        let command = CommandId::new(1_000_000, 7);
        window.note(command, &appended(3), 1_000_100);
        assert!(
            matches!(window.look_up(command, 1_500_000), Known::Repeat(a) if a.first == Seq(3) && a.is_repeat)
        );
        window.forget(1_600_001);
        assert!(is_too_old(&window, command, 1_600_001));
    }

    #[test]
    fn what_is_forgotten_for_want_of_room_is_refused_and_not_done_twice() {
        let mut window = Window::default();
        for n in 0..=COMMANDS_PER_STREAM_MAX as u64 {
            window.note(
                CommandId::new(1_000_000 + n, 0),
                &appended(n + 1),
                1_001_000,
            );
        }
        assert!(is_too_old(&window, CommandId::new(1_000_000, 0), 1_001_000));
        assert!(!is_too_old(
            &window,
            CommandId::new(1_000_001, 0),
            1_001_000
        ));
    }
}

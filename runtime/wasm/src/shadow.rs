//! A shadow: new code that is given each message that the agent handles. What it asks for is compared with what the agent's own
//! code asks for, and dropped.

use crate::life::{Life, Moment};
use crate::sandbox::{Effect, Sandbox};
use crate::trap::printable;
use crate::trial::Trial;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason};
use tokio::time::Instant;

/// How long a shadow's turn may take where the agent's turns have no deadline.
const TURN_TIME_MAX: Duration = Duration::from_secs(10);

/// A life of the new code beside the agent's.
pub(crate) struct Shadow {
    pub(crate) life: Life,
    pub(crate) trial: Arc<Trial>,
}

/// What a guest is entered for.
#[derive(Clone)]
pub(crate) enum Entry {
    Message(Arc<AclMessage>),
    Timer { timer: u64, tag: u64 },
}

impl Entry {
    pub(crate) async fn into(self, life: &mut Life, moment: Moment) -> Result<(), ExitReason> {
        match self {
            Self::Message(message) => life.on_message(message, moment).await,
            Self::Timer { timer, tag } => life.on_timer(timer, tag, moment).await,
        }
    }
}

impl Shadow {
    /// Has the shadow do the turn that the agent's own code has just done, with the same inputs, and compares. False when it
    /// cannot go on. It takes half of what is left of the turn at most.
    pub(crate) async fn follow(&mut self, entry: Entry, moment: Moment, own: &mut Sandbox) -> bool {
        let begun = Instant::now();
        let left = moment.deadline.map_or(TURN_TIME_MAX, |end| {
            end.saturating_duration_since(begun) / 2
        });
        let sandbox = self.life.sandbox();
        sandbox.timer_last = own.timer_last_at_begin();
        sandbox.timers = own.timers_at_begin();
        sandbox.replay(std::mem::take(&mut own.turn.tool_calls));
        let turn = tokio::time::timeout(left, entry.into(&mut self.life, moment));
        let ended = match turn.await {
            Ok(ended) => ended,
            Err(_) => Err(ExitReason::error_text("it took too long")),
        };
        self.trial.turn(begun.elapsed(), ended.is_ok());
        match ended {
            Ok(()) => {
                let difference = difference(own, self.life.sandbox());
                self.trial.compared(difference);
                true
            }
            Err(reason) => {
                let text = format!("it failed: {reason}");
                self.trial.compared(Some(printable(&text)));
                self.life.is_whole().is_ok()
            }
        }
    }
}

/// In what the effects of two turns differ, in words; nothing if they don't.
fn difference(own: &Sandbox, new: &Sandbox) -> Option<String> {
    let (own, new) = (&own.turn, &new.turn);
    for (at, (mine, theirs)) in own.effects.iter().zip(&new.effects).enumerate() {
        if !is_same(mine, theirs) {
            let (mine, theirs) = (told(mine), told(theirs));
            return Some(format!("effect {}: {mine}, and not {theirs}", at + 1));
        }
    }
    let (mine, theirs) = (own.effects.len(), new.effects.len());
    if mine != theirs {
        return Some(format!("{mine} effects, and not {theirs}"));
    }
    (own.draft != new.draft).then(|| "other changes of the store".to_owned())
}

fn is_same(mine: &Effect, theirs: &Effect) -> bool {
    match (mine, theirs) {
        (Effect::Send(to, message), Effect::Send(other, said)) => {
            to.address() == other.address() && message == said
        }
        (Effect::Answer(message), Effect::Answer(said)) => message == said,
        (
            Effect::After {
                milliseconds,
                tag,
                repeats,
                ..
            },
            Effect::After {
                milliseconds: other_milliseconds,
                tag: other_tag,
                repeats: other_repeats,
                ..
            },
        ) => (milliseconds, tag, repeats) == (other_milliseconds, other_tag, other_repeats),
        (Effect::Cancel(timer), Effect::Cancel(other)) => timer == other,
        _ => false,
    }
}

/// An effect in a few words.
fn told(effect: &Effect) -> String {
    let said = |message: &AclMessage| {
        let content = String::from_utf8_lossy(message.content.as_deref().unwrap_or_default());
        let content: String = content.chars().take(80).collect();
        format!("{} {}", message.performative, printable(&content))
    };
    match effect {
        Effect::Send(to, message) => format!("a message to {}: {}", to.path(), said(message)),
        Effect::Answer(message) => format!("the answer {}", said(message)),
        Effect::After { milliseconds, .. } => format!("a timer of {milliseconds} ms"),
        Effect::Cancel(timer) => format!("the end of timer {timer}"),
    }
}

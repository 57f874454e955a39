//! What was said before: the latest turns word for word, the earlier ones in a summary that does not grow.

use crate::interaction::opening::DialogueRules;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voice {
    /// Who opened the dialogue.
    Initiator,
    /// The other.
    Participant,
}

/// What was said in one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// Who said it.
    pub speaker: Voice,
    /// What.
    pub content: Vec<u8>,
}

/// How many bytes of a turn's beginning its line in the summary has.
const LINE_BYTES: usize = 80;

/// What was said in a dialogue. Its size is bounded by the dialogue's rules, however long the dialogue is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The earlier turns, a line each that begins as the turn did; the earliest lines go first.
    pub summary: String,
    /// How many turns are no longer kept word for word.
    pub summarised: u32,
    /// The latest turns, oldest first.
    pub recent: VecDeque<Utterance>,
    verbatim: u32,
    summary_bytes: u32,
}

impl Context {
    pub(super) fn new(rules: DialogueRules) -> Self {
        Self {
            summary: String::new(),
            summarised: 0,
            recent: VecDeque::new(),
            verbatim: rules.verbatim,
            summary_bytes: rules.summary_bytes,
        }
    }

    /// Notes a turn; one that is then too old goes into the summary.
    pub(super) fn note(&mut self, speaker: Voice, content: &[u8]) {
        self.recent.push_back(Utterance {
            speaker,
            content: content.to_vec(),
        });
        while self.recent.len() > self.verbatim as usize {
            if let Some(turn) = self.recent.pop_front() {
                self.summarise(&turn);
            }
        }
    }

    fn summarise(&mut self, turn: &Utterance) {
        self.summarised = self.summarised.saturating_add(1);
        let text = String::from_utf8_lossy(&turn.content);
        let mut line = String::from(match turn.speaker {
            Voice::Initiator => "initiator: ",
            Voice::Participant => "participant: ",
        });
        for word in text.split_whitespace() {
            if line.len() + word.len() > LINE_BYTES {
                line.push('…');
                break;
            }
            line.push_str(word);
            line.push(' ');
        }
        self.summary.push_str(line.trim_end());
        self.summary.push('\n');
        let limit = self.summary_bytes as usize;
        while self.summary.len() > limit {
            let first_line = self
                .summary
                .find('\n')
                .map_or(self.summary.len(), |at| at + 1);
            self.summary.drain(..first_line);
        }
    }
}

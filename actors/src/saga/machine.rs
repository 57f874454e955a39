//! The records of sagas, as a pure function of their events. Of the plan it knows nothing: what an event led to once it leads to
//! always, whatever has become of the plan since.

use crate::durable::{Form, Stored};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// How many sagas of one agent may be under way at once. One more is refused.
pub const SAGAS_OPEN_MAX: usize = 1024;
/// Of how many ended sagas the outcome is kept; of more, the oldest are forgotten, and one of their ids would be a new saga.
pub const SAGAS_ENDED_KEPT: usize = 4096;
/// How long a saga's id may be.
pub const SAGA_ID_BYTES_MAX: usize = 256;

/// Where a saga is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// This step was asked for.
    Performing(u32),
    /// This step is being undone.
    Compensating(u32),
    /// It is over.
    Ended,
}

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All steps were performed.
    Completed,
    /// A step failed, and what was done before it was undone.
    Undone(Trouble),
    /// A step failed, and not everything could be undone: somebody has to look.
    NotUndone {
        /// What failed first.
        trouble: Trouble,
        /// The steps whose compensation was refused, in the order of refusal.
        steps: Vec<u32>,
    },
}

/// Which step failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The step, from 0.
    pub step: u32,
    /// Why.
    pub why: Why,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Its participant refused it, for this reason.
    Refused(String),
    /// It was not answered by its deadline.
    Overdue,
}

/// What happens to sagas. Form 1, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SagaEvent<I> {
    /// One began, with that many steps.
    Begun {
        /// Its id.
        id: String,
        /// What it is about.
        input: I,
        /// How many steps it has.
        steps: u32,
    },
    /// A step was performed.
    Performed {
        /// Whose.
        id: String,
        /// Which.
        step: u32,
    },
    /// A step failed.
    Failed {
        /// Whose.
        id: String,
        /// Which and why.
        trouble: Trouble,
    },
    /// A step was undone, or there was nothing to undo, or that was refused.
    Compensated {
        /// Whose.
        id: String,
        /// Which.
        step: u32,
        /// Why it was not undone.
        refused: Option<String>,
    },
}

impl<I> Stored for SagaEvent<I>
where
    I: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

/// One saga that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRecord<I> {
    /// What it is about.
    pub input: I,
    /// How many steps it has.
    pub steps: u32,
    /// Where it is.
    pub progress: Progress,
    /// What failed first.
    pub trouble: Option<Trouble>,
    /// The steps whose compensation was refused.
    pub not_undone: Vec<u32>,
}

/// All sagas of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaRecords<I> {
    /// Those under way, by id; at most [`SAGAS_OPEN_MAX`].
    pub open: BTreeMap<String, SagaRecord<I>>,
    /// How the last [`SAGAS_ENDED_KEPT`] ended, the oldest first.
    pub ended: VecDeque<(String, Outcome)>,
}

impl<I> Default for SagaRecords<I> {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            ended: VecDeque::new(),
        }
    }
}

impl<I> SagaRecord<I> {
    pub(super) fn new(input: I, steps: u32) -> Self {
        let progress = if steps == 0 {
            Progress::Ended
        } else {
            Progress::Performing(0)
        };
        Self {
            input,
            steps,
            progress,
            trouble: None,
            not_undone: Vec::new(),
        }
    }

    /// A step of it was performed.
    pub(super) fn performed(&mut self, step: u32) {
        if self.progress == Progress::Performing(step) {
            self.progress = if step + 1 < self.steps {
                Progress::Performing(step + 1)
            } else {
                Progress::Ended
            };
        }
    }

    /// A step of it failed.
    pub(super) fn failed(&mut self, trouble: Trouble) {
        if self.progress != Progress::Performing(trouble.step) {
            return;
        }
        self.progress = match trouble.why {
            // It did nothing.
            Why::Refused(_) => Self::before(trouble.step),
            // It may have been done, or be done yet.
            Why::Overdue => Progress::Compensating(trouble.step),
        };
        self.trouble = Some(trouble);
    }

    /// A step of it was undone, or not.
    pub(super) fn compensated(&mut self, step: u32, is_undone: bool) {
        if self.progress == Progress::Compensating(step) {
            if !is_undone {
                self.not_undone.push(step);
            }
            self.progress = Self::before(step);
        }
    }

    fn before(step: u32) -> Progress {
        match step.checked_sub(1) {
            Some(before) => Progress::Compensating(before),
            None => Progress::Ended,
        }
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        if self.progress != Progress::Ended {
            return None;
        }
        Some(match &self.trouble {
            None => Outcome::Completed,
            Some(trouble) if self.not_undone.is_empty() => Outcome::Undone(trouble.clone()),
            Some(trouble) => Outcome::NotUndone {
                trouble: trouble.clone(),
                steps: self.not_undone.clone(),
            },
        })
    }
}

impl<I: Clone> SagaRecords<I> {
    /// How the saga of that id ended, as far as that is remembered.
    #[must_use]
    pub fn outcome(&self, id: &str) -> Option<&Outcome> {
        let mut ended = self.ended.iter().rev();
        ended.find(|(ended, _)| ended == id).map(|(_, how)| how)
    }

    /// Applies an event that is in the journal.
    pub(super) fn evolve(&mut self, event: &SagaEvent<I>) {
        let id = match event {
            SagaEvent::Begun { id, input, steps } => {
                let record = SagaRecord::new(input.clone(), *steps);
                self.open.insert(id.clone(), record);
                id
            }
            SagaEvent::Performed { id, step } => {
                self.change(id, |record| record.performed(*step));
                id
            }
            SagaEvent::Failed { id, trouble } => {
                self.change(id, |record| record.failed(trouble.clone()));
                id
            }
            SagaEvent::Compensated { id, step, refused } => {
                self.change(id, |record| record.compensated(*step, refused.is_none()));
                id
            }
        };
        if let Some(outcome) = self.open.get(id).and_then(SagaRecord::outcome) {
            self.open.remove(id);
            self.ended.push_back((id.clone(), outcome));
            if self.ended.len() > SAGAS_ENDED_KEPT {
                self.ended.pop_front();
            }
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut SagaRecord<I>)) {
        if let Some(record) = self.open.get_mut(id) {
            change(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Answer {
        Done,
        Refused,
        Overdue,
    }

    fn answers() -> impl Strategy<Value = Vec<Answer>> {
        let answer = prop_oneof![
            5 => Just(Answer::Done),
            2 => Just(Answer::Refused),
            1 => Just(Answer::Overdue),
        ];
        proptest::collection::vec(answer, 40)
    }

    proptest! {
        /// Steps go up from 0, compensations down from where it failed, none is left out, and it ends.
        #[test]
        fn a_saga_goes_up_then_down_and_ends(steps in 0..8_u32, answers in answers()) {
            let mut record = SagaRecord::new((), steps);
            let (mut up, mut down) = (Vec::new(), Vec::new());
            let mut failed = None;
            for answer in answers {
                match (record.progress, answer) {
                    (Progress::Ended, _) => break,
                    (Progress::Performing(step), Answer::Done) => {
                        up.push(step);
                        record.performed(step);
                    }
                    (Progress::Performing(step), answer) => {
                        let why = match answer {
                            Answer::Overdue => Why::Overdue,
                            _ => Why::Refused(String::new()),
                        };
                        failed = Some((step, why == Why::Overdue));
                        record.failed(Trouble { step, why });
                    }
                    (Progress::Compensating(step), answer) => {
                        down.push(step);
                        // Late answers and deadlines of steps change nothing any more.
                        let before = record.clone();
                        record.performed(step);
                        record.failed(Trouble { step, why: Why::Overdue });
                        prop_assert_eq!(&record, &before);
                        record.compensated(step, matches!(answer, Answer::Done));
                    }
                }
            }
            prop_assert!(record.outcome().is_some(), "{:?}", record);
            prop_assert_eq!(&up, &(0..up.len() as u32).collect::<Vec<_>>());
            let undone_from = match failed {
                None => {
                    prop_assert_eq!(up.len() as u32, steps);
                    0
                }
                Some((step, is_overdue)) => step + u32::from(is_overdue),
            };
            prop_assert_eq!(down, (0..undone_from).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_form_of_version_1_is_frozen() {
        let event = |event: &SagaEvent<u8>| crate::durable::encode(event).expect("bytes");
        let id = || "a".to_owned();
        let begun = SagaEvent::Begun {
            id: id(),
            input: 9,
            steps: 3,
        };
        assert_eq!(event(&begun), [0, 1, b'a', 9, 3]);
        let performed = SagaEvent::Performed { id: id(), step: 2 };
        assert_eq!(event(&performed), [1, 1, b'a', 2]);
        let why = Why::Refused("no".to_owned());
        let failed = SagaEvent::Failed {
            id: id(),
            trouble: Trouble { step: 2, why },
        };
        assert_eq!(event(&failed), [2, 1, b'a', 2, 0, 2, b'n', b'o']);
        let undone = SagaEvent::Compensated {
            id: id(),
            step: 1,
            refused: None,
        };
        assert_eq!(event(&undone), [3, 1, b'a', 1, 0]);
    }

    #[test]
    fn of_ended_sagas_the_last_are_remembered() {
        let mut records = SagaRecords::default();
        for n in 0..=SAGAS_ENDED_KEPT {
            let id = n.to_string();
            records.evolve(&SagaEvent::Begun {
                id,
                input: (),
                steps: 0,
            });
        }
        assert!(records.open.is_empty());
        assert_eq!(records.outcome("0"), None);
        assert_eq!(records.outcome("1"), Some(&Outcome::Completed));
    }
}

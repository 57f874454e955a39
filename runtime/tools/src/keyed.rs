//! Idempotency keys: calls with the same key are the same call.
//!
//! A pure store: what time it is comes as an argument. A key belongs to one caller. It is kept while its call runs and for
//! the window after that; the promise holds for all of that time, so a full store refuses new keys instead of forgetting
//! old ones.

use crate::error::ToolError;
use crate::name::{Caller, ToolName};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How a call ended: the answer with its size in bytes.
pub(crate) type Ended = Result<(Value, usize), ToolError>;
/// The end of a call, once there is one.
pub(crate) type Ending = watch::Receiver<Option<Arc<Ended>>>;

/// The bounds of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyBounds {
    pub(crate) window: Duration,
    pub(crate) keys_max: usize,
    pub(crate) keys_per_caller_max: usize,
    pub(crate) bytes_max: usize,
}

/// A caller's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyOf {
    pub(crate) caller: Caller,
    pub(crate) key: Arc<str>,
}

/// All keys in use.
#[derive(Debug)]
pub(crate) struct KeyedCalls {
    bounds: KeyBounds,
    entries: BTreeMap<KeyOf, Entry>,
    /// When finished ones may be forgotten; the number keeps those of one instant apart.
    expiries: BTreeMap<(Instant, u64), KeyOf>,
    per_caller: BTreeMap<Caller, usize>,
    /// The sum over all entries.
    bytes: usize,
    finished: u64,
}

#[derive(Debug)]
struct Entry {
    tool: ToolName,
    input: Value,
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Running(Ending),
    Done(Arc<Ended>),
}

/// What becomes of a call with a key.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is the first: it is to be made.
    First,
    /// It is being made.
    Running(Ending),
    /// It was made.
    Done(Arc<Ended>),
}

impl KeyedCalls {
    pub(crate) fn new(bounds: KeyBounds) -> Self {
        Self {
            bounds,
            entries: BTreeMap::new(),
            expiries: BTreeMap::new(),
            per_caller: BTreeMap::new(),
            bytes: 0,
            finished: 0,
        }
    }

    /// Decides about a call. For [`Admission::First`], `ending` is kept for those who repeat it, and [`KeyedCalls::finish`]
    /// must follow.
    pub(crate) fn admit(
        &mut self,
        key: &KeyOf,
        (tool, input, bytes): (&ToolName, &Value, usize),
        ending: Ending,
        now: Instant,
    ) -> Result<Admission, ToolError> {
        self.forget_expired(now);
        if let Some(entry) = self.entries.get(key) {
            if entry.tool != *tool || entry.input != *input {
                return Err(ToolError::KeyReused);
            }
            return Ok(match &entry.state {
                State::Running(ending) => Admission::Running(ending.clone()),
                State::Done(ended) => Admission::Done(ended.clone()),
            });
        }
        let of_caller = self.per_caller.get(&key.caller).copied().unwrap_or(0);
        if of_caller >= self.bounds.keys_per_caller_max
            || self.entries.len() >= self.bounds.keys_max
            || self.bytes + bytes > self.bounds.bytes_max
        {
            return Err(ToolError::Overloaded {
                reason: format!(
                    "the store of idempotency keys is full; each is kept for {:?}",
                    self.bounds.window
                ),
            });
        }
        self.bytes += bytes;
        *self.per_caller.entry(key.caller.clone()).or_default() += 1;
        let entry = Entry {
            tool: tool.clone(),
            input: input.clone(),
            bytes,
            state: State::Running(ending),
        };
        self.entries.insert(key.clone(), entry);
        Ok(Admission::First)
    }

    /// Keeps how a call ended. A call that did nothing leaves its key free.
    pub(crate) fn finish(&mut self, key: &KeyOf, ended: Arc<Ended>, now: Instant) {
        let nothing_done = matches!(&*ended, Err(error) if error.effect() == crate::Effect::None);
        if nothing_done {
            return self.forget(key);
        }
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let answer_bytes = ended.as_ref().as_ref().map_or(0, |(_, bytes)| *bytes);
        entry.state = if self.bytes + answer_bytes > self.bounds.bytes_max {
            State::Done(Arc::new(Err(ToolError::failed(
                "this call was made before; its answer was too large to be kept",
            ))))
        } else {
            self.bytes += answer_bytes;
            entry.bytes += answer_bytes;
            State::Done(ended)
        };
        self.finished += 1;
        let until = now + self.bounds.window;
        self.expiries.insert((until, self.finished), key.clone());
    }

    fn forget_expired(&mut self, now: Instant) {
        while let Some(((until, _), _)) = self.expiries.first_key_value()
            && *until <= now
        {
            if let Some((_, key)) = self.expiries.pop_first() {
                self.forget(&key);
            }
        }
    }

    fn forget(&mut self, key: &KeyOf) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        self.bytes -= entry.bytes;
        if let Some(count) = self.per_caller.get_mut(&key.caller) {
            *count -= 1;
            if *count == 0 {
                self.per_caller.remove(&key.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BOUNDS: KeyBounds = KeyBounds {
        window: Duration::from_secs(60),
        keys_max: 3,
        keys_per_caller_max: 2,
        bytes_max: 100,
    };

    fn key(caller: &str, key: &str) -> KeyOf {
        KeyOf {
            caller: Caller::new(caller).expect("a caller"),
            key: key.into(),
        }
    }

    fn admit(
        calls: &mut KeyedCalls,
        key: &KeyOf,
        input: Value,
        now: Instant,
    ) -> Result<Admission, ToolError> {
        let tool = ToolName::new("t").expect("a name");
        calls.admit(key, (&tool, &input, 10), watch::channel(None).1, now)
    }

    fn answer(bytes: usize) -> Arc<Ended> {
        Arc::new(Ok((json!(1), bytes)))
    }

    #[test]
    fn within_the_window_the_first_answer_comes_again_and_after_it_the_call_is_new() {
        let (mut calls, now) = (KeyedCalls::new(BOUNDS), Instant::now());
        let k = key("/a", "k");
        assert!(matches!(
            admit(&mut calls, &k, json!(1), now),
            Ok(Admission::First)
        ));
        assert!(matches!(
            admit(&mut calls, &k, json!(1), now),
            Ok(Admission::Running(_))
        ));
        calls.finish(&k, answer(1), now);
        let late = now + BOUNDS.window - Duration::from_nanos(1);
        assert!(matches!(
            admit(&mut calls, &k, json!(1), late),
            Ok(Admission::Done(_))
        ));
        assert!(matches!(
            admit(&mut calls, &k, json!(2), late),
            Err(ToolError::KeyReused)
        ));
        assert!(matches!(
            admit(&mut calls, &k, json!(2), now + BOUNDS.window),
            Ok(Admission::First)
        ));
    }

    #[test]
    fn another_callers_key_is_another_key() {
        let (mut calls, now) = (KeyedCalls::new(BOUNDS), Instant::now());
        assert!(matches!(
            admit(&mut calls, &key("/a", "k"), json!(1), now),
            Ok(Admission::First)
        ));
        assert!(matches!(
            admit(&mut calls, &key("/b", "k"), json!(2), now),
            Ok(Admission::First)
        ));
    }

    #[test]
    fn a_full_store_refuses_new_keys_and_forgets_no_old_one() {
        let (mut calls, now) = (KeyedCalls::new(BOUNDS), Instant::now());
        for k in ["1", "2"] {
            assert!(matches!(
                admit(&mut calls, &key("/a", k), json!(1), now),
                Ok(Admission::First)
            ));
            calls.finish(&key("/a", k), answer(1), now);
        }
        assert!(matches!(
            admit(&mut calls, &key("/a", "3"), json!(1), now),
            Err(ToolError::Overloaded { .. })
        ));
        assert!(matches!(
            admit(&mut calls, &key("/b", "1"), json!(1), now),
            Ok(Admission::First)
        ));
        assert!(matches!(
            admit(&mut calls, &key("/c", "1"), json!(1), now),
            Err(ToolError::Overloaded { .. })
        ));
        assert!(matches!(
            admit(&mut calls, &key("/a", "1"), json!(1), now),
            Ok(Admission::Done(_))
        ));
    }

    #[test]
    fn a_call_that_did_nothing_leaves_its_key_free() {
        let (mut calls, now) = (KeyedCalls::new(BOUNDS), Instant::now());
        let k = key("/a", "k");
        assert!(matches!(
            admit(&mut calls, &k, json!(1), now),
            Ok(Admission::First)
        ));
        calls.finish(&k, Arc::new(Err(ToolError::not_tried("down"))), now);
        assert!(matches!(
            admit(&mut calls, &k, json!(1), now),
            Ok(Admission::First)
        ));
        assert_eq!((calls.bytes, calls.per_caller.len()), (10, 1));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_not_given_again_nor_is_the_call_made_again() {
        let (mut calls, now) = (KeyedCalls::new(BOUNDS), Instant::now());
        let k = key("/a", "k");
        assert!(matches!(
            admit(&mut calls, &k, json!(1), now),
            Ok(Admission::First)
        ));
        calls.finish(&k, answer(91), now);
        let Ok(Admission::Done(ended)) = admit(&mut calls, &k, json!(1), now) else {
            panic!("not done");
        };
        assert!(matches!(
            &*ended,
            Err(ToolError::Failed {
                effect: crate::Effect::Possible,
                ..
            })
        ));
        assert_eq!(calls.bytes, 10);
    }
}

//! Dropping what belongs to somebody else.
//!
//! A spec, its arguments and the handle of a child hold values that the supervisor knows nothing of. That their drop may
//! panic is the child's affair, and must not end the supervisor, let alone the others that are dropped with it.

use crate::child::Child;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A value whose drop may panic without consequences. The panic hook has its say, that is all.
#[derive(Clone)]
pub struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    /// Takes charge of a value.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Gives it back, and the trouble with it.
    pub fn into_inner(mut self) -> T {
        self.0.take().expect(TAKEN)
    }
}

/// How a supervisor holds on to a child.
pub(crate) type HeldChild = Contained<Arc<dyn Child>>;

const TAKEN: &str = "the value is taken out only when its holder goes";

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(TAKEN)
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
            // What a panic carries may panic in turn when it is dropped; what that carries is not given the chance.
            if let Err(payload) = dropped
                && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
            {
                std::mem::forget(payload);
            }
        }
    }
}

impl<T> std::fmt::Debug for Contained<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contained")
    }
}

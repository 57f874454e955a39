//! The lock and the atomics that the mailbox is built from, so that loom can put its own in their place.

#[cfg(not(swarm_loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(swarm_loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

#[cfg(swarm_loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// loom's mutex with parking_lot's face: it is never poisoned.
#[cfg(swarm_loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(swarm_loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

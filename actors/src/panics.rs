//! Panics of agents: turned into exit reasons, with their place and, now and then, their stack.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use swarm_protocols::{ExitReason, PanicReport};

thread_local! {
    /// Whether this thread runs an agent's code now, so that a panic is somebody's to handle.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// What the hook saw of the panic that is unwinding on this thread.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

struct Seen {
    location: Option<String>,
    backtrace: Option<Arc<Backtrace>>,
}

/// How many stacks are captured in a second at most; further panics go without, as a capture costs many microseconds.
const BACKTRACES_PER_SECOND: u64 = 20;

/// Installs a panic hook for the whole process: a panic in an agent's code is no longer printed but becomes part of its
/// exit reason, with place and stack; any other panic goes to the hook that was installed before.
///
/// For programs, not for libraries: a process has one hook. Without it agents' panics are contained all the same, but
/// printed, and their reason has the message only.
pub fn install_panic_hook() {
    let before = std::panic::take_hook();
    let start = Instant::now();
    let spent = AtomicU64::new(0);
    std::panic::set_hook(Box::new(move |info| {
        if IS_GUARDED.get() {
            note(info, start, &spent);
        } else {
            before(info);
        }
    }));
}

fn note(info: &PanicHookInfo<'_>, start: Instant, spent: &AtomicU64) {
    // High half: the second; low half: how many were captured in it.
    let second = start.elapsed().as_secs();
    let seen = spent.load(Ordering::Relaxed);
    let taken = if seen >> 32 == second {
        seen & 0xffff_ffff
    } else {
        0
    };
    let backtrace = (taken < BACKTRACES_PER_SECOND).then(|| {
        spent.store(second << 32 | (taken + 1), Ordering::Relaxed);
        Arc::new(Backtrace::force_capture())
    });
    SEEN.set(Some(Seen {
        location: info.location().map(ToString::to_string),
        backtrace,
    }));
}

/// Marks this thread as running an agent's code while it lives.
pub(crate) struct Guard(bool);

impl Guard {
    pub(crate) fn enter() -> Self {
        Self(IS_GUARDED.replace(true))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        IS_GUARDED.set(self.0);
    }
}

/// The exit reason for a caught panic.
pub(crate) fn reason(payload: Box<dyn Any + Send>) -> ExitReason {
    let message = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => {
                // Dropping a foreign payload may itself panic.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
                "a panic whose payload is not text".to_owned()
            }
        },
    };
    let seen = SEEN.take();
    let (location, backtrace) = seen.map_or((None, None), |s| (s.location, s.backtrace));
    ExitReason::Panic(Arc::new(PanicReport {
        message,
        location,
        backtrace,
        frames: Vec::new(),
    }))
}

/// Drops a value whose `Drop` is an agent's code.
pub(crate) fn drop_guarded<T>(value: T) {
    if std::mem::needs_drop::<T>() {
        let _guard = Guard::enter();
        if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)))
        {
            tracing::warn!(reason = %reason(payload), "an agent's state panicked when it was dropped");
        }
    }
}

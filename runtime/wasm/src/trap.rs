//! From what wasmtime reports to the reason of an agent's end.

use crate::frames::Frames;
use std::fmt;
use std::sync::Arc;
use swarm_protocols::{ExitReason, Limit, PanicReport};
use wasmtime::{Trap, WasmBacktrace};

/// How long a frame's name may be, in characters.
const FRAME_CHARACTERS_MAX: usize = 200;

/// The error that host code ends a guest with when it goes beyond a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breach(pub(crate) Limit);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}", self.0)
    }
}

impl std::error::Error for Breach {}

/// The reason for an error out of a call. `refused` is the resource that the guest was refused in this turn, if any: a guest that
/// crashes after its memory was refused has run out of memory, whatever it crashed with.
pub(crate) fn reason(
    error: &wasmtime::Error,
    refused: Option<Limit>,
    names: &Frames,
) -> ExitReason {
    if let Some(breach) = error.downcast_ref::<Breach>() {
        return ExitReason::Limit(breach.0);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => return ExitReason::Limit(Limit::Stack),
        Some(Trap::OutOfFuel | Trap::Interrupt) => return ExitReason::Limit(Limit::Cpu),
        _ => {}
    }
    if let Some(limit) = refused {
        return ExitReason::Limit(limit);
    }
    let trace = error.downcast_ref::<WasmBacktrace>();
    let frames = trace.map_or_else(Vec::new, |trace| names.texts(trace));
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls") {
        return ExitReason::Limit(Limit::HostBytes);
    }
    ExitReason::Panic(Arc::new(PanicReport {
        message: printable(&cause),
        location: frames.iter().find(|frame| !is_of_runtime(frame)).cloned(),
        backtrace: None,
        frames,
    }))
}

/// Frames that say how Rust panics, not where.
fn is_of_runtime(frame: &str) -> bool {
    const RUNTIME: [&str; 6] = ["core::", "std::", "<std", "alloc::", "__rust", "rust_"];
    frame
        .split_once('!')
        .is_some_and(|(_, name)| RUNTIME.iter().any(|begin| name.starts_with(begin)))
}

/// A guest's text on one line, with nothing in it that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let text: String = text.chars().take(FRAME_CHARACTERS_MAX).collect();
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_not_in_the_runtime_and_reads_on_one_line() {
        assert!(is_of_runtime("w.wasm!std::panicking::panic_handler"));
        assert!(!is_of_runtime("w.wasm!guest::f"));
        assert_eq!(printable("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
    }
}

//! One run of a tool.

use crate::error::{Side, ToolError};
use crate::keyed::Ended;
use crate::registry::Known;
use crate::schema::bytes_of;
use crate::tool::Call;
use futures_util::FutureExt;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use tokio::time::Instant;

/// Runs a tool within its bounds. Nothing waits for a slot: a queue here would only hide the overload.
pub(crate) async fn run(known: &Known, input: Value, call: Call) -> Ended {
    let Ok(_slot) = known.slots.try_acquire() else {
        return Err(ToolError::Overloaded {
            reason: format!(
                "{} calls of {} run already",
                known.limits.calls_max, known.name
            ),
        });
    };
    let deadline = call.deadline;
    let within = deadline.duration_since(Instant::now());
    // A tool's value is shared by all its calls, so it must be ready for another one of them to have failed.
    let answer = AssertUnwindSafe(known.tool.call(input, call)).catch_unwind();
    let answer = match tokio::time::timeout_at(deadline, answer).await {
        Err(_) => return Err(ToolError::TimedOut { after: within }),
        Ok(Err(_)) => return Err(ToolError::failed("the tool panicked")),
        Ok(Ok(answer)) => answer?,
    };
    let bytes_max = known.limits.answer_bytes_max;
    match bytes_of(&answer, bytes_max) {
        Some(bytes) => Ok((answer, bytes)),
        None => Err(ToolError::TooLarge {
            side: Side::Answer,
            bytes_max: bytes_max as u64,
        }),
    }
}

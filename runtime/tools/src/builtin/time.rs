//! What time it is.

use crate::error::ToolError;
use crate::tool::{Call, Tool};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The tool `time`: the time of day of the node, as milliseconds since 1970 UTC and as text (RFC 3339). As exact as the
/// node's clock, which may be set back.
#[derive(Clone, Debug)]
pub struct Time<F = fn() -> Timestamp> {
    now: F,
}

impl Time {
    /// By the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: Timestamp::now,
        }
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Fn() -> Timestamp> Time<F> {
    /// By another clock.
    #[must_use]
    pub fn with_clock(now: F) -> Self {
        Self { now }
    }
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Tool for Time<F> {
    fn about(&self) -> &str {
        "Tells the time of day of the node: `unix_ms` (milliseconds since 1970 UTC) and `utc` (RFC 3339)."
    }

    fn schema(&self) -> Value {
        json!({"type": "object", "additionalProperties": false})
    }

    async fn call(&self, _input: Value, _call: Call) -> Result<Value, ToolError> {
        let now = (self.now)();
        let utc = format!("{now:.3}");
        Ok(json!({"unix_ms": now.as_millisecond(), "utc": utc}))
    }
}

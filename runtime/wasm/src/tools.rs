//! The import `tools`: the node's tools, as far as they are granted. What holds for every call is the affair of `swarm-tools`;
//! here a call is fitted into its turn.

use crate::bindings::swarm::agent::tools::{Host, Options, Tool};
use crate::bindings::swarm::agent::types::Error;
use crate::sandbox::{Sandbox, ToolCall};
use crate::trap::printable;
use std::time::Duration;
use swarm_protocols::Limit;
use swarm_tools::{CallOptions, ToolError};
use tokio::time::Instant;
use wasmtime::Result;

/// Tools that a guest is told of at most; a server may offer hundreds, each with a schema.
const TOOLS_TOLD_MAX: usize = 512;

impl Host for Sandbox {
    fn available(&mut self) -> Result<Vec<Tool>> {
        let Some(access) = &self.tools else {
            return Ok(Vec::new());
        };
        // What is told goes through the host's memory and into the guest's.
        let mut room = self.limits.host_bytes;
        let mut told = Vec::new();
        for info in access.available().into_iter().take(TOOLS_TOLD_MAX) {
            let schema = info.schema.to_string();
            let bytes = (info.name.len() + info.about.len() + schema.len()) as u64;
            let Some(left) = room.checked_sub(bytes) else {
                break;
            };
            room = left;
            told.push(Tool {
                name: info.name,
                about: info.about,
                schema,
            });
        }
        Ok(told)
    }

    async fn call(
        &mut self,
        name: String,
        input: String,
        options: Options,
    ) -> Result<std::result::Result<String, Error>> {
        let Some(access) = self.tools.clone() else {
            return self.refuse(Limit::SendRate, Error::Denied);
        };
        // A call goes out as a message does.
        if !self.takes_sends(1) {
            return self.refuse(Limit::SendRate, Error::Overloaded);
        }
        let answer = match &mut self.replayed {
            Some(replayed) => match replayed.pop_front() {
                Some(call) if call.name == name && call.input == input => call.answer,
                _ => Err(Error::Failed("a shadow calls no tools".to_owned())),
            },
            None => {
                let options = CallOptions {
                    within: Some(self.tool_time(options.within, Instant::now())),
                    idempotency_key: options.idempotency_key,
                };
                let answer = access.call_json(&name, &input, options).await;
                self.within_bounds(answer)
            }
        };
        if self.records_tools && self.takes_bytes(bytes_of(&name, &input, &answer)) {
            self.turn.tool_calls.push(ToolCall {
                name,
                input,
                answer: answer.clone(),
            });
        }
        match answer {
            // Somebody who asks for it again and again is after something.
            Err(Error::Denied) => self.refuse(Limit::SendRate, Error::Denied),
            answer => Ok(answer),
        }
    }
}

impl Sandbox {
    fn within_bounds(
        &self,
        answer: std::result::Result<String, ToolError>,
    ) -> std::result::Result<String, Error> {
        let most = self.limits.host_bytes;
        match answer {
            Ok(answer) if answer.len() as u64 > most => Err(Error::TooLarge(most)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(to_guest(&error)),
        }
    }

    /// How long a call may take: as long as the guest wants, but no longer than its limit and nine tenths of what is left of
    /// the turn, so that it hears of a call that is late while it can still say so.
    fn tool_time(&self, wanted_ms: Option<u64>, now: Instant) -> Duration {
        let most = self.limits.tool_time;
        let most = wanted_ms.map_or(most, |wanted| most.min(Duration::from_millis(wanted)));
        match self.turn.deadline {
            Some(deadline) => most.min(deadline.saturating_duration_since(now).mul_f64(0.9)),
            None => most,
        }
    }
}

fn bytes_of(name: &str, input: &str, answer: &std::result::Result<String, Error>) -> u64 {
    let answered = answer.as_ref().map_or(0, String::len);
    (name.len() + input.len() + answered + 64) as u64
}

/// The error in the contract's words; docs/tools.md has the table.
fn to_guest(error: &ToolError) -> Error {
    match error {
        ToolError::Unknown { .. } => Error::NotFound,
        ToolError::Denied { .. } => Error::Denied,
        ToolError::InvalidInput { .. } | ToolError::KeyReused => {
            Error::Invalid(printable(&error.to_string()))
        }
        ToolError::TooLarge { bytes_max, .. } => Error::TooLarge(*bytes_max),
        ToolError::TimedOut { .. } => Error::TimedOut,
        ToolError::Overloaded { .. } => Error::Overloaded,
        ToolError::Failed { .. } => Error::Failed(printable(&error.to_string())),
    }
}

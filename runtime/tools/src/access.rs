//! The way that every call goes.

use crate::audit::Recording;
use crate::error::{Side, ToolError};
use crate::grant::Grants;
use crate::keyed::{Admission, Ended, Ending, KeyOf};
use crate::name::Caller;
use crate::registry::{Known, Tools};
use crate::run::run;
use crate::schema::bytes_of;
use crate::tool::{Call, ToolInfo};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;

/// What one caller can do with a registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    tools: Tools,
    caller: Caller,
    grants: Arc<Grants>,
}

/// What a caller may say about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How long to wait at most; the tool has a bound of its own, and a default. Zero is over at once.
    pub within: Option<Duration>,
    /// Calls of this caller with the same key are one call: while it runs, and for the registry's window after that, a
    /// repetition gets its answer (or its error, if it may have done something) and nothing is done again. The same key
    /// with another tool or input is refused. A call with a key goes on when its caller has gone, until its deadline.
    /// 1 to [`KEY_BYTES_MAX`] bytes.
    pub idempotency_key: Option<String>,
}

impl Access {
    /// The tools of `tools`, for `caller`, as far as `grants` go.
    #[must_use]
    pub fn new(tools: Tools, caller: Caller, grants: Grants) -> Self {
        Self {
            tools,
            caller,
            grants: Arc::new(grants),
        }
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The granted tools that there are now, sorted by name. They can change at any time: servers come and go.
    #[must_use]
    pub fn available(&self) -> Vec<ToolInfo> {
        self.tools
            .infos(|name| self.grants.for_tool(name).is_some())
    }

    /// Calls a tool. When the returned future is dropped, so is the call, unless it has an idempotency key.
    ///
    /// # Errors
    /// [`ToolError`]; each kind says whether something was done and whether to try again.
    pub async fn call(
        &self,
        tool: &str,
        input: Value,
        options: CallOptions,
    ) -> Result<Value, ToolError> {
        let bytes = bytes_of(&input, usize::MAX).unwrap_or(usize::MAX);
        self.called(tool, bytes, || Ok(input), options).await
    }

    /// Calls a tool with an input in JSON; the answer is JSON, too.
    ///
    /// # Errors
    /// As [`Access::call`]; a text that is no JSON, or nested deeper than 127 levels, is
    /// [`ToolError::InvalidInput`].
    pub async fn call_json(
        &self,
        tool: &str,
        input: &str,
        options: CallOptions,
    ) -> Result<String, ToolError> {
        let parse = || {
            serde_json::from_str(input)
                .map_err(|error| ToolError::invalid("", format!("no JSON: {error}")))
        };
        let answer = self.called(tool, input.len(), parse, options).await?;
        Ok(answer.to_string())
    }

    async fn called(
        &self,
        tool: &str,
        input_bytes: usize,
        input: impl FnOnce() -> Result<Value, ToolError>,
        options: CallOptions,
    ) -> Result<Value, ToolError> {
        let recording = Recording::begin(self.tools.clone(), &self.caller, tool, input_bytes);
        let admitted = self.admit(tool, input_bytes, input, &options);
        let (known, input, call) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                recording.end(Err(&error));
                return Err(error);
            }
        };
        match options.idempotency_key {
            None => {
                let ended = run(&known, input, call).await;
                recording.end(ended.as_ref().map(|(_, bytes)| *bytes));
                ended.map(|(answer, _)| answer)
            }
            Some(key) => {
                self.call_keyed(&key, (known, input, input_bytes, call), recording)
                    .await
            }
        }
    }

    /// Everything that is checked before a tool hears of a call.
    fn admit(
        &self,
        tool: &str,
        input_bytes: usize,
        input: impl FnOnce() -> Result<Value, ToolError>,
        options: &CallOptions,
    ) -> Result<(Arc<Known>, Value, Call), ToolError> {
        // First of all: who may not call something does not learn whether it exists.
        let Some(arguments) = self.grants.for_tool(tool) else {
            return Err(ToolError::denied("this tool is not granted"));
        };
        let Some(known) = self.tools.find(tool) else {
            return Err(ToolError::Unknown {
                tool: tool.to_owned(),
            });
        };
        if input_bytes > known.limits.input_bytes_max {
            return Err(ToolError::TooLarge {
                side: Side::Input,
                bytes_max: known.limits.input_bytes_max as u64,
            });
        }
        let input = input()?;
        known.schema.check(&input)?;
        if let Some(key) = &options.idempotency_key
            && !(1..=KEY_BYTES_MAX).contains(&key.len())
        {
            return Err(ToolError::invalid(
                "",
                format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes"),
            ));
        }
        let call = Call {
            caller: self.caller.clone(),
            tool: known.name.clone(),
            arguments: arguments.clone(),
            deadline: Instant::now() + known.limits.within(options.within),
            idempotency_key: options.idempotency_key.clone(),
        };
        Ok((known, input, call))
    }

    async fn call_keyed(
        &self,
        key: &str,
        (known, input, input_bytes, call): (Arc<Known>, Value, usize, Call),
        recording: Recording,
    ) -> Result<Value, ToolError> {
        let key = KeyOf {
            caller: self.caller.clone(),
            key: key.into(),
        };
        let (end, ending) = watch::channel(None);
        let admission = self.tools.0.keyed.lock().admit(
            &key,
            (&known.name, &input, input_bytes),
            ending.clone(),
            Instant::now(),
        );
        let deadline = call.deadline;
        match admission {
            Err(error) => {
                recording.end(Err(&error));
                Err(error)
            }
            Ok(Admission::First) => {
                let unfinished = Unfinished {
                    tools: self.tools.clone(),
                    key,
                    end,
                };
                let closing = self.tools.0.closing.clone();
                self.tools.0.running.spawn(async move {
                    let ended = tokio::select! {
                        biased;
                        () = closing.cancelled() => Err(ToolError::failed("the node is stopping")),
                        ended = run(&known, input, call) => ended,
                    };
                    recording.end(ended.as_ref().map(|(_, bytes)| *bytes));
                    unfinished.finish(ended);
                });
                answer_of(&*end_of(ending).await)
            }
            Ok(Admission::Running(ending)) => {
                let within = deadline.duration_since(Instant::now());
                let ended = match tokio::time::timeout_at(deadline, end_of(ending)).await {
                    Ok(ended) => ended,
                    Err(_) => Arc::new(Err(ToolError::TimedOut { after: within })),
                };
                repeated(&ended, recording)
            }
            Ok(Admission::Done(ended)) => repeated(&ended, recording),
        }
    }
}

fn repeated(ended: &Ended, recording: Recording) -> Result<Value, ToolError> {
    recording.end_repeated(ended.as_ref().map(|(_, bytes)| *bytes));
    answer_of(ended)
}

fn answer_of(ended: &Ended) -> Result<Value, ToolError> {
    ended
        .as_ref()
        .map(|(answer, _)| answer.clone())
        .map_err(Clone::clone)
}

/// Waits for the end of a call with a key, which comes in any case: see [`Unfinished`].
async fn end_of(mut ending: Ending) -> Arc<Ended> {
    match ending.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(ended)) => ended.clone(),
        _ => Arc::new(Err(cut_off())),
    }
}

fn cut_off() -> ToolError {
    ToolError::failed("the call was cut off")
}

/// A call with a key that has been begun. However its task ends, the key is not left as running for ever.
struct Unfinished {
    tools: Tools,
    key: KeyOf,
    end: watch::Sender<Option<Arc<Ended>>>,
}

impl Unfinished {
    fn finish(self, ended: Ended) {
        self.settle(Arc::new(ended));
    }

    fn settle(&self, ended: Arc<Ended>) {
        // In this order: who sees the end finds the key settled.
        let mut keyed = self.tools.0.keyed.lock();
        keyed.finish(&self.key, ended.clone(), Instant::now());
        drop(keyed);
        self.end.send_replace(Some(ended));
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.end.borrow().is_none() {
            self.settle(Arc::new(Err(cut_off())));
        }
    }
}

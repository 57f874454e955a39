//! What a tool is.

use crate::error::ToolError;
use crate::grant::Arguments;
use crate::name::{Caller, ToolName};
use serde::Serialize;
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// Something that agents may call by name.
///
/// Its code is trusted: it runs in the node, on the caller's tokio runtime. A call that never yields holds a worker thread
/// and cannot be cut off; everything else that can go wrong with a tool (panic, no answer, an answer without end) costs
/// that call only.
pub trait Tool: Send + Sync + 'static {
    /// What it does, for those who choose among tools: one or two sentences.
    fn about(&self) -> &str;

    /// The JSON schema of the input (draft 2020-12 unless it names another). Asked once, at registration.
    fn schema(&self) -> Value;

    /// The bounds of its calls. Asked once, at registration.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Checks the arguments of a grant, when a manifest is checked. Takes none unless overridden.
    ///
    /// # Errors
    /// [`BadArguments`] says which key is wrong.
    fn check_arguments(&self, arguments: &Arguments) -> Result<(), BadArguments> {
        BadArguments::unless_only(arguments, &[])
    }

    /// Does it. `input` is valid for [`Tool::schema`].
    ///
    /// Dropped at the deadline, and, for a call without an idempotency key, when its caller ends; at the next await, that is.
    /// An error says with its [`effect`](ToolError::effect) whether the call may be made again.
    fn call(
        &self,
        input: Value,
        call: Call,
    ) -> impl Future<Output = Result<Value, ToolError>> + Send;
}

/// The circumstances of one call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// What is called.
    pub tool: ToolName,
    /// What the caller's grant says about this tool.
    pub arguments: Arguments,
    /// When the call is given up.
    pub deadline: Instant,
    /// The caller's key, for a tool that can pass it on.
    pub idempotency_key: Option<String>,
}

/// What is wrong with the arguments of a grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct BadArguments {
    /// Which argument.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl BadArguments {
    /// About `key`, with no suggestion.
    #[must_use]
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
            suggestion: None,
        }
    }

    /// Refuses any key but `known`.
    ///
    /// # Errors
    /// About the first key that is not.
    pub fn unless_only(arguments: &Arguments, known: &[&str]) -> Result<(), Self> {
        match arguments.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Self {
                key: key.clone(),
                problem: "unknown argument".to_owned(),
                suggestion: (!known.is_empty()).then(|| format!("one of {}", known.join(", "))),
            }),
        }
    }
}

/// The bounds of a tool's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a call may take when its caller does not say. 10 s.
    pub within_default: Duration,
    /// How long a call may take at most; a caller who asks for more gets this. 60 s.
    pub within_max: Duration,
    /// How many calls may run at once, of all callers; the next one is `overloaded`. 16.
    pub calls_max: usize,
    /// How many bytes the input may have as JSON. 256 KiB.
    pub input_bytes_max: usize,
    /// How many bytes the answer may have as JSON. 1 MiB.
    pub answer_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            within_default: Duration::from_secs(10),
            within_max: Duration::from_secs(60),
            calls_max: 16,
            input_bytes_max: 256 * 1024,
            answer_bytes_max: 1024 * 1024,
        }
    }
}

impl Limits {
    /// How long a call may take whose caller asks for `wanted`.
    pub(crate) fn within(&self, wanted: Option<Duration>) -> Duration {
        wanted.unwrap_or(self.within_default).min(self.within_max)
    }
}

/// A tool, as its callers see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: String,
    /// The JSON schema of the input.
    pub schema: Value,
}

/// A tool whose type has been forgotten.
pub(crate) trait AnyTool: Send + Sync {
    fn check_arguments(&self, arguments: &Arguments) -> Result<(), BadArguments>;
    fn call(&self, input: Value, call: Call) -> Calling<'_>;
}

pub(crate) type Calling<'t> = Pin<Box<dyn Future<Output = Result<Value, ToolError>> + Send + 't>>;

impl<T: Tool> AnyTool for T {
    fn check_arguments(&self, arguments: &Arguments) -> Result<(), BadArguments> {
        Tool::check_arguments(self, arguments)
    }

    fn call(&self, input: Value, call: Call) -> Calling<'_> {
        // An async block, so that code before the first await, too, runs where a panic is caught.
        Box::pin(async move { Tool::call(self, input, call).await })
    }
}

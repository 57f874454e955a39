//! The tools of a node.

use crate::audit::{AuditRecord, AuditRing};
use crate::grant::Arguments;
use crate::keyed::{KeyBounds, KeyedCalls};
use crate::name::{BadName, ToolName, ToolPattern};
use crate::schema::{BadSchema, InputSchema};
use crate::tool::{AnyTool, BadArguments, Limits, Tool, ToolInfo};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many tools there may be.
const TOOLS_MAX: usize = 4096;
/// How much of a tool's description is kept, in bytes: a server may say anything.
const ABOUT_BYTES_MAX: usize = 4096;

/// The bounds of a registry.
#[derive(Clone, Copy, Debug)]
pub struct ToolsOptions {
    /// How many records of calls are kept; beyond that the oldest go. 1024.
    pub records_max: usize,
    /// How long an idempotency key is kept after its call has ended. 10 minutes.
    pub key_window: Duration,
    /// How many keys are kept at most; a call with a new key beyond that is `overloaded`. 4096.
    pub keys_max: usize,
    /// How many of them one caller may have. 256.
    pub keys_per_caller_max: usize,
    /// How many bytes their inputs and answers may have together. 16 MiB.
    pub key_bytes_max: usize,
}

impl Default for ToolsOptions {
    fn default() -> Self {
        Self {
            records_max: 1024,
            key_window: Duration::from_secs(600),
            keys_max: 4096,
            keys_per_caller_max: 256,
            key_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Why a tool is not registered. The registry is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// It cannot have that name.
    #[error("{name:?} is no name for a tool: {problem}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        #[source]
        problem: BadName,
    },
    /// There is one of that name.
    #[error("there is a tool {name} already")]
    Taken {
        /// The name.
        name: ToolName,
    },
    /// Its schema cannot be used.
    #[error("the schema of {name}: {problem}")]
    Schema {
        /// The tool.
        name: ToolName,
        /// What is wrong with the schema.
        #[source]
        problem: BadSchema,
    },
    /// There are 4096 tools already.
    #[error("more than {TOOLS_MAX} tools")]
    TooMany,
}

/// The tools of a node, and the records of their calls. Cheap to clone; all clones are the same registry.
#[derive(Clone)]
pub struct Tools(pub(crate) Arc<Registry>);

pub(crate) struct Registry {
    known: RwLock<BTreeMap<ToolName, Arc<Known>>>,
    pub(crate) keyed: Mutex<KeyedCalls>,
    audit: Mutex<AuditRing>,
    /// Calls with a key, which go on when their caller has gone.
    pub(crate) running: TaskTracker,
    pub(crate) closing: CancellationToken,
}

/// A registered tool.
pub(crate) struct Known {
    pub(crate) name: ToolName,
    pub(crate) info: ToolInfo,
    pub(crate) limits: Limits,
    pub(crate) schema: InputSchema,
    pub(crate) slots: Semaphore,
    pub(crate) tool: Box<dyn AnyTool>,
}

impl Known {
    pub(crate) fn new(
        name: ToolName,
        limits: Limits,
        tool: impl Tool,
    ) -> Result<Self, RegisterError> {
        let schema = tool.schema();
        let compiled = InputSchema::new(&schema).map_err(|problem| RegisterError::Schema {
            name: name.clone(),
            problem,
        })?;
        let mut about = tool.about().to_owned();
        about.truncate(about.floor_char_boundary(ABOUT_BYTES_MAX));
        Ok(Self {
            info: ToolInfo {
                name: name.to_string(),
                about,
                schema,
            },
            name,
            limits,
            schema: compiled,
            slots: Semaphore::new(limits.calls_max.min(Semaphore::MAX_PERMITS)),
            tool: Box::new(tool),
        })
    }
}

impl Tools {
    /// A registry without tools.
    #[must_use]
    pub fn new(options: ToolsOptions) -> Self {
        Self(Arc::new(Registry {
            known: RwLock::default(),
            keyed: Mutex::new(KeyedCalls::new(KeyBounds {
                window: options.key_window,
                keys_max: options.keys_max,
                keys_per_caller_max: options.keys_per_caller_max,
                bytes_max: options.key_bytes_max,
            })),
            audit: Mutex::new(AuditRing::new(options.records_max)),
            running: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Adds a native tool.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register(&self, name: &str, tool: impl Tool) -> Result<(), RegisterError> {
        let limits = tool.limits();
        self.register_with(name, limits, tool)
    }

    /// Adds a native tool with other bounds than its own.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register_with(
        &self,
        name: &str,
        limits: Limits,
        tool: impl Tool,
    ) -> Result<(), RegisterError> {
        let name = ToolName::new(name).map_err(|problem| RegisterError::Name {
            name: name.to_owned(),
            problem,
        })?;
        let known = Known::new(name.clone(), limits, tool)?;
        let mut all = self.0.known.write();
        if all.contains_key(&name) {
            return Err(RegisterError::Taken { name });
        }
        if all.len() >= TOOLS_MAX {
            return Err(RegisterError::TooMany);
        }
        all.insert(name, Arc::new(known));
        Ok(())
    }

    /// Takes a tool away. Calls that run go on. Returns whether there was one.
    pub fn unregister(&self, name: &str) -> bool {
        ToolName::new(name).is_ok_and(|name| self.0.known.write().remove(&name).is_some())
    }

    /// All tools, sorted by name.
    #[must_use]
    pub fn list(&self) -> Vec<ToolInfo> {
        let known = self.0.known.read();
        known.values().map(|known| known.info.clone()).collect()
    }

    /// Checks a grant against the tools that there are now: that its arguments are what the tools that it names take.
    /// Tools that come later are not known yet, so a grant that names none is accepted.
    ///
    /// # Errors
    /// What the first tool that does not take them says.
    pub fn check_grant(
        &self,
        pattern: &ToolPattern,
        arguments: &Arguments,
    ) -> Result<(), BadArguments> {
        let named: Vec<_> = {
            let known = self.0.known.read();
            let named = known
                .values()
                .filter(|known| pattern.matches(known.name.as_str()));
            named.cloned().collect()
        };
        named
            .iter()
            .try_for_each(|known| known.tool.check_arguments(arguments))
    }

    /// The latest calls, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<AuditRecord> {
        self.0.audit.lock().list()
    }

    /// Ends the calls that go on without their callers, and waits for that. New calls with a key fail from now on.
    pub async fn close(&self) {
        self.0.closing.cancel();
        self.0.running.close();
        self.0.running.wait().await;
    }

    /// Replaces all tools of a server at once. Calls of the old ones go on. Returns how many there are now: as many as the
    /// bound of all tools leaves room for.
    #[cfg(feature = "mcp")]
    pub(crate) fn replace(&self, server: &swarm_protocols::Name, tools: Vec<Known>) -> usize {
        let prefix = format!("{server}/");
        let mut all = self.0.known.write();
        all.retain(|name, _| !name.as_str().starts_with(&prefix));
        let room = TOOLS_MAX.saturating_sub(all.len());
        let before = all.len();
        for tool in tools.into_iter().take(room) {
            all.insert(tool.name.clone(), Arc::new(tool));
        }
        all.len() - before
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Known>> {
        let name = ToolName::new(name).ok()?;
        self.0.known.read().get(&name).cloned()
    }

    /// The tools whose names satisfy `wanted`.
    pub(crate) fn infos(&self, wanted: impl Fn(&str) -> bool) -> Vec<ToolInfo> {
        let known = self.0.known.read();
        let wanted = known.values().filter(|known| wanted(known.name.as_str()));
        wanted.map(|known| known.info.clone()).collect()
    }

    pub(crate) fn record(&self, record: AuditRecord) {
        let record = self.0.audit.lock().push(record).clone();
        tracing::info!(
            target: "swarm_tools::audit",
            number = record.number,
            caller = record.caller.as_str(),
            tool = record.tool,
            took_us = u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
            outcome = record.outcome.word(),
            repeated = record.repeated,
            input_bytes = record.input_bytes,
            answer_bytes = record.answer_bytes,
            "tool call"
        );
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.known.read().keys()).finish()
    }
}

//! A server under supervision: connected, listed, watched, and connected again.

use super::backoff::Backoff;
use super::remote::RemoteTool;
use super::session::{self, Session, TOOLS_MAX};
use super::spec::McpSpec;
use crate::name::ToolName;
use crate::registry::{Known, Tools};
use parking_lot::RwLock;
use rmcp::model::Tool as Listed;
use rmcp::service::{Peer, RoleClient};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Name;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

/// A list that changes more often is read again this often at most.
const RELIST_EVERY: Duration = Duration::from_secs(1);
/// How many tools that cannot be used are named.
const LEFT_OUT_MAX: usize = 32;

/// An MCP server that is kept connected, with its tools in a registry as `NAME/tool`.
///
/// It is started again with a growing delay (0.5 s to 30 s) as often as it dies, is not there, or does not answer a ping
/// after a call of it went unanswered. While it is down its tools stay listed, and calls of them fail at once with nothing
/// done. Dropped, it is ended (a child process is killed) and its tools leave the registry.
#[derive(Debug)]
pub struct McpServer {
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
    task: Option<AbortOnDropHandle<()>>,
}

/// What is known of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpStatus {
    /// How it is doing.
    pub state: McpState,
    /// What it calls itself, with its version, once it has said so.
    pub implementation: Option<String>,
    /// How many of its tools are in the registry.
    pub tools: usize,
    /// Tools of it that cannot be used; the first 32.
    pub left_out: Vec<LeftOut>,
    /// How often it was started, or connected to.
    pub attempts: u64,
}

/// How a server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpState {
    /// It is being started, or connected to.
    Connecting,
    /// Its tools can be called.
    Up,
    /// It is waited for.
    Down {
        /// Why.
        reason: String,
        /// How long until the next attempt, from the moment it went down.
        retry_in: Duration,
    },
    /// It was ended.
    Stopped,
}

/// A tool that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name at the server, cut to a bound.
    pub tool: String,
    /// Why.
    pub reason: String,
}

/// What the server's task and its tools share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) slots: Semaphore,
    /// A call went unanswered.
    pub(super) suspected: Notify,
    status: watch::Sender<McpStatus>,
    peer: RwLock<Option<Peer<RoleClient>>>,
}

impl Shared {
    /// The connection, while there is one.
    pub(super) fn peer(&self) -> Option<Peer<RoleClient>> {
        self.peer.read().clone()
    }

    pub(super) fn why_down(&self) -> String {
        let name = &self.name;
        match &self.status.borrow().state {
            McpState::Down { reason, .. } => format!("the server {name} is down: {reason}"),
            McpState::Connecting => format!("the server {name} is being started"),
            McpState::Up | McpState::Stopped => format!("the server {name} is gone"),
        }
    }

    fn set(&self, state: McpState) {
        match &state {
            McpState::Down { reason, retry_in } => {
                tracing::warn!(server = %self.name, reason, ?retry_in, "MCP server down");
            }
            McpState::Up => tracing::info!(server = %self.name, "MCP server up"),
            McpState::Connecting | McpState::Stopped => {}
        }
        self.status.send_modify(|status| {
            status.attempts += u64::from(state == McpState::Connecting);
            status.state = state;
        });
    }
}

impl McpServer {
    /// Starts it. Returns at once; [`McpServer::settled`] waits for the first outcome.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(spec: McpSpec, tools: Tools) -> Self {
        let (status, _) = watch::channel(McpStatus {
            state: McpState::Connecting,
            implementation: None,
            tools: 0,
            left_out: Vec::new(),
            attempts: 0,
        });
        let shared = Arc::new(Shared {
            name: spec.name.clone(),
            slots: Semaphore::new(spec.calls_max.min(Semaphore::MAX_PERMITS)),
            suspected: Notify::new(),
            status,
            peer: RwLock::new(None),
        });
        let stop = CancellationToken::new();
        let life = Life {
            spec,
            tools,
            shared: shared.clone(),
            stop: stop.clone(),
        };
        Self {
            shared,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            task: Some(AbortOnDropHandle::new(tokio::spawn(life.run()))),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// What is known of it.
    #[must_use]
    pub fn status(&self) -> McpStatus {
        self.shared.status.borrow().clone()
    }

    /// Changes of its status.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<McpStatus> {
        self.shared.status.subscribe()
    }

    /// Waits until it is up for the first time, or has failed to come up.
    pub async fn settled(&self) -> McpStatus {
        let mut status = self.watch();
        let settled = status.wait_for(|s| s.state != McpState::Connecting).await;
        // The sender lives as long as this does.
        settled.map_or_else(|_| self.status(), |status| status.clone())
    }

    /// Ends it in order: its input is closed, then it is asked, then it is killed; at most six seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A task that was cut off has ended, too.
            let _ = task.await;
        }
    }
}

/// The task of a server.
struct Life {
    spec: McpSpec,
    tools: Tools,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Life {
    async fn run(self) {
        // Also when this task is cut off.
        let _withdrawn = Withdrawn(&self.tools, &self.shared);
        let mut backoff = Backoff::default();
        loop {
            self.shared.set(McpState::Connecting);
            let begun = Instant::now();
            let Some(reason) = self.live().await else {
                break;
            };
            let retry_in = backoff.after(begun.elapsed(), fastrand::f64());
            self.shared.set(McpState::Down { reason, retry_in });
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(retry_in) => {}
            }
        }
    }

    /// One connection, from its beginning to its end. Returns why it ended; nothing if it was to stop.
    async fn live(&self) -> Option<String> {
        let changed = Arc::new(Notify::new());
        let session = tokio::select! {
            () = self.stop.cancelled() => return None,
            session = session::connect(&self.spec, changed.clone()) => session,
        };
        let Session { service, process } = match session {
            Ok(session) => session,
            Err(reason) => return Some(reason),
        };
        let peer = service.peer().clone();
        let cancel = service.cancellation_token();
        let closed = service.waiting();
        tokio::pin!(closed);
        let reason = tokio::select! {
            () = self.stop.cancelled() => None,
            reason = self.watch_over(&peer, &changed) => Some(reason),
            _ = &mut closed => Some("it closed the connection".to_owned()),
        };
        *self.shared.peer.write() = None;
        cancel.cancel();
        if let Some(process) = process {
            process.end().await;
        }
        reason
    }

    /// Keeps the registry up to date. Returns why the server is not worth the name.
    async fn watch_over(&self, peer: &Peer<RoleClient>, changed: &Notify) -> String {
        if let Some(info) = peer.peer_info().and_then(|info| info.server_info.clone()) {
            let text = crate::error::plain(&format!("{} {}", info.name, info.version));
            let set = |status: &mut McpStatus| status.implementation = Some(text);
            self.shared.status.send_modify(set);
        }
        if let Err(reason) = self.list(peer).await {
            return reason;
        }
        *self.shared.peer.write() = Some(peer.clone());
        self.shared.set(McpState::Up);
        let mut relist_at = Instant::now();
        loop {
            let relist = async {
                changed.notified().await;
                tokio::time::sleep_until(relist_at).await;
            };
            let checked = tokio::select! {
                () = relist => {
                    let listed = self.list(peer).await;
                    relist_at = Instant::now() + RELIST_EVERY;
                    listed
                }
                () = self.shared.suspected.notified() => session::ping(peer).await,
            };
            if let Err(reason) = checked {
                return reason;
            }
        }
    }

    async fn list(&self, peer: &Peer<RoleClient>) -> Result<(), String> {
        let listed = session::list(peer).await?;
        let mut left_out = Vec::new();
        let mut known = Vec::new();
        for (at, tool) in listed.into_iter().enumerate() {
            let name = tool.name.to_string();
            let made = if at < TOOLS_MAX {
                self.known(tool)
            } else {
                Err(format!("more than {TOOLS_MAX} tools"))
            };
            match made {
                Ok(tool) => known.push(tool),
                Err(reason) => left_out.push(LeftOut {
                    tool: crate::error::plain(&name),
                    reason,
                }),
            }
        }
        for LeftOut { tool, reason } in &left_out {
            tracing::warn!(server = %self.shared.name, tool, reason, "MCP tool left out");
        }
        left_out.truncate(LEFT_OUT_MAX);
        let tools = self.tools.replace(&self.shared.name, known);
        self.shared.status.send_modify(|status| {
            status.tools = tools;
            status.left_out = left_out;
        });
        Ok(())
    }

    fn known(&self, listed: Listed) -> Result<Known, String> {
        let name = ToolName::new(&format!("{}/{}", self.shared.name, listed.name))
            .map_err(|bad| bad.to_string())?;
        let remote = RemoteTool {
            shared: self.shared.clone(),
            name: listed.name.to_string(),
            about: listed.description.unwrap_or_default().into_owned(),
            schema: Value::Object(Arc::unwrap_or_clone(listed.input_schema)),
        };
        Known::new(name, self.spec.limits, remote).map_err(|bad| bad.to_string())
    }
}

/// Takes a server's tools out of the registry at its end.
struct Withdrawn<'l>(&'l Tools, &'l Shared);

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        *self.1.peer.write() = None;
        self.0.replace(&self.1.name, Vec::new());
        self.1.status.send_modify(|status| status.tools = 0);
        self.1.set(McpState::Stopped);
    }
}

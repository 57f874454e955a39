//! The node's tools: what its manifest declares, registered and kept running.

use crate::manifest::{Bounds, BuiltIn, McpSettings, ToolSettings};
use parking_lot::Mutex;
use swarm_protocols::Name;
use swarm_tools::builtin::{KeyValue, Time};
use swarm_tools::fetch::HttpFetch;
use swarm_tools::mcp::{McpServer, McpStatus, Reach};
use swarm_tools::{RegisterError, Tool, Tools, ToolsOptions};

/// A registry, and the MCP servers behind it.
pub(super) struct NodeTools {
    pub(super) registry: Tools,
    declared: Vec<McpSettings>,
    servers: Mutex<Vec<Served>>,
}

/// A declared server.
enum Served {
    Running(McpServer),
    /// Was not started.
    Refused(McpRefused),
}

/// Why a declared MCP server was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpRefused {
    /// Which.
    pub name: Name,
    /// Why.
    pub reason: String,
}

impl NodeTools {
    /// With the built-in tools that are declared; servers come with [`NodeTools::start`].
    pub(super) fn new(settings: &ToolSettings) -> Self {
        let registry = Tools::new(ToolsOptions::default());
        for tool in &settings.built_in {
            let registered = match tool.which {
                BuiltIn::Time => register(&registry, tool.which, tool.bounds, Time::new()),
                BuiltIn::KeyValue => {
                    register(&registry, tool.which, tool.bounds, KeyValue::default())
                }
                BuiltIn::HttpFetch => {
                    register(&registry, tool.which, tool.bounds, HttpFetch::new())
                }
            };
            if let Err(error) = registered {
                // Names and schemas are ours, and a manifest names each once.
                tracing::error!(%error, "a built-in tool is missing");
            }
        }
        Self {
            registry,
            declared: settings.servers.clone(),
            servers: Mutex::default(),
        }
    }

    /// Starts the servers, unless they run. Does not wait for them: until one is there, calls of it say so.
    pub(super) fn start(&self) {
        let mut servers = self.servers.lock();
        if servers.is_empty() {
            let starting = self.declared.iter().map(|declared| self.serve(declared));
            *servers = starting.collect();
        }
    }

    fn serve(&self, declared: &McpSettings) -> Served {
        let mut spec = declared.spec.clone();
        if let (Reach::Http { bearer, .. }, Some(variable)) =
            (&mut spec.reach, &declared.bearer_env)
        {
            let token = std::env::var(variable).ok();
            // What else could go into a header unseen.
            match token.filter(|token| token.bytes().all(|b| (0x21..0x7f).contains(&b))) {
                Some(token) if !token.is_empty() => *bearer = Some(token),
                _ => {
                    let reason = format!("the environment variable {variable} holds no token");
                    tracing::error!(server = %spec.name, reason, "MCP server not started");
                    return Served::Refused(McpRefused {
                        name: spec.name,
                        reason,
                    });
                }
            }
        }
        Served::Running(McpServer::start(spec, self.registry.clone()))
    }

    /// Ends the servers, all at once, and the calls that go on by themselves.
    pub(super) async fn stop(&self) {
        let servers = std::mem::take(&mut *self.servers.lock());
        let stops = servers.into_iter().filter_map(|served| match served {
            Served::Running(server) => Some(server.stop()),
            Served::Refused(_) => None,
        });
        futures_util::future::join_all(stops).await;
        self.registry.close().await;
    }

    /// Each declared server with what is known of it.
    pub(super) fn servers(&self) -> Vec<Result<(Name, McpStatus), McpRefused>> {
        let servers = self.servers.lock();
        let told = servers.iter().map(|served| match served {
            Served::Running(server) => Ok((server.name().clone(), server.status())),
            Served::Refused(refused) => Err(refused.clone()),
        });
        told.collect()
    }
}

fn register(
    registry: &Tools,
    which: BuiltIn,
    bounds: Bounds,
    tool: impl Tool,
) -> Result<(), RegisterError> {
    let limits = bounds.over(tool.limits());
    registry.register_with(which.name(), limits, tool)
}

//! One connection to a server: from the handshake to its list of tools.

use super::process::Process;
use super::spec::{McpSpec, Reach};
use super::web::Web;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, Implementation, PaginatedRequestParams,
    PingRequest, Tool as Listed,
};
use rmcp::service::{NotificationContext, Peer, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a server may take to start and shake hands. Some are downloaded first.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// How long its list of tools may take.
const LISTING: Duration = Duration::from_secs(20);
/// How long a ping may take.
const PING: Duration = Duration::from_secs(5);
/// How many pages a list may have.
const PAGES_MAX: usize = 64;
/// How many tools of one server are taken.
pub(super) const TOOLS_MAX: usize = 512;
/// The longest message that a server may send, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Hears what a server says by itself.
pub(super) struct Ear {
    changed: Arc<Notify>,
}

impl ClientHandler for Ear {
    fn get_info(&self) -> ClientConfig {
        let me = Implementation::new("swarm", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), me)
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// A connection.
pub(super) struct Session {
    pub(super) service: RunningService<RoleClient, Ear>,
    /// The child, for a server that is one. After the service, so that its input is closed before it is killed.
    pub(super) process: Option<Process>,
}

/// Connects and shakes hands. `changed` is told when the server's list of tools changes.
pub(super) async fn connect(spec: &McpSpec, changed: Arc<Notify>) -> Result<Session, String> {
    let ear = Ear { changed };
    match &spec.reach {
        Reach::Command { program, .. } => {
            let (process, stdout, stdin) = Process::start(&spec.name, &spec.reach)
                .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
            let transport =
                AsyncRwTransport::new(stdout, stdin).with_max_line_length(MESSAGE_BYTES_MAX);
            let service = within(HANDSHAKE, "the handshake", ear.serve(transport)).await;
            match service {
                Ok(service) => Ok(Session {
                    service,
                    process: Some(process),
                }),
                Err(reason) => {
                    process.end().await;
                    Err(reason)
                }
            }
        }
        Reach::Http { url, bearer, trust } => {
            let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                .max_sse_event_size(MESSAGE_BYTES_MAX);
            config.auth_header.clone_from(bearer);
            let web = Web::new(trust.clone());
            let transport = StreamableHttpClientTransport::with_client(web, config);
            let service = within(HANDSHAKE, "the handshake", ear.serve(transport)).await?;
            Ok(Session {
                service,
                process: None,
            })
        }
    }
}

/// All tools that the server lists, as far as the bounds go.
pub(super) async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Listed>, String> {
    let pages = async {
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = peer.list_tools(Some(params)).await?;
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() > TOOLS_MAX {
                break;
            }
        }
        Ok::<_, rmcp::ServiceError>(tools)
    };
    within(LISTING, "the list of tools", pages).await
}

/// Whether the server answers at all.
pub(super) async fn ping(peer: &Peer<RoleClient>) -> Result<(), String> {
    let ping = peer.send_request(ClientRequest::PingRequest(PingRequest::default()));
    within(PING, "a ping", ping).await.map(drop)
}

async fn within<T, E: std::fmt::Display>(
    time: Duration,
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done.map_err(|error| format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: no answer within {time:?}")),
    }
}

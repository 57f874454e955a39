//! The server: threads of its own with a tokio runtime of their own, so that agents which hold all of their workers cannot
//! keep it from answering.

use super::fanout::{self, LocalAnswers};
use super::guard;
use super::handlers::{
    actors, chaos, components, conversations, dead_letters, events, health, jobs, journal,
    manifest, messages, nodes, placement, platform, tools, tree, verbs, wasm,
};
use crate::dispatch::{Desk, DurableRuns};
use crate::node::Node;
use axum::Router;
use axum::routing::{MethodRouter, delete, get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};

/// How long answers that are under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Connections that may wait to be accepted. Beyond it the system lets clients wait for seconds before they try again.
const BACKLOG: u32 = 1024;
/// Threads that answer. With two, a probe does not wait behind the listing of a million actors.
const WORKERS: usize = 2;

/// What every handler has. Cheap to clone.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) node: Node,
    /// Where it answers.
    pub(super) address: SocketAddr,
    /// Becomes true when the server stops, for answers that have no end of their own.
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) chaos: Arc<chaos::Runs>,
    /// Which workers have a job, for all jobs that come this way.
    pub(super) desk: Desk,
    pub(super) room: Arc<jobs::Room>,
    /// The durable runs that come this way.
    pub(super) runs: Arc<DurableRuns>,
}

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

/// Why the API cannot be served. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not one of this machine's.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The server's thread or runtime could not be started.
    #[error("cannot start the API's thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl ServeError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Bind { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse => {
                "another node may be running: `swarmctl status` asks it; or choose another address with --api 127.0.0.1:0".to_owned()
            }
            Self::Bind { .. } => "choose an address of this machine with --api 127.0.0.1:PORT".to_owned(),
            Self::Thread(_) => "look at the limits of the process (ulimit -u, ulimit -n)".to_owned(),
        }
    }
}

impl ApiServer {
    /// Binds `address` (port 0 lets the system choose) and answers for `node` from then on.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start(node: Node, address: SocketAddr) -> Result<Self, ServeError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("swarm-api")
            .enable_all()
            .build()
            .map_err(ServeError::Thread)?;
        let bound = {
            let _entered = runtime.enter();
            listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)))
        };
        let (address, listener) = match bound {
            Ok(bound) => bound,
            Err(cause) => {
                // Dropping a runtime waits for its threads, which a caller inside another one may not.
                runtime.shutdown_background();
                return Err(ServeError::Bind { address, cause });
            }
        };
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let api = Api {
            node,
            address,
            stopping,
            chaos: Arc::default(),
            desk: Desk::default(),
            room: Arc::default(),
            runs: Arc::default(),
        };
        std::thread::Builder::new()
            .name("swarm-api".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve(listener, api)) {
                    tracing::error!(%error, "the API has ended");
                }
                runtime.shutdown_background();
                // Whoever waits may have gone away.
                let _ = end.send(());
            })
            .map_err(ServeError::Thread)?;
        Ok(Self {
            address,
            stop,
            ended,
        })
    }

    /// Where it answers: with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, lets the ones under way end for a bounded time, and waits for that.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // An error means that the thread is gone, which is what is waited for.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A node that is started again at once finds connections of the last one in their final wait.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn serve(listener: TcpListener, api: Api) -> std::io::Result<()> {
    let mut stopping = api.stopping.clone();
    let mut cut = api.stopping.clone();
    // Kept here: it answers other members for as long as the server does.
    let others = LocalAnswers::new(handlers().with_state(api.clone()));
    api.node.answer_members_with(&others);
    let server = axum::serve(listener, router(api)).with_graceful_shutdown(async move {
        // True, or its sender is gone: either way it is over.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    let deadline = async move {
        let _ = cut.wait_for(|stop| *stop).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = server => ended,
        () = deadline => Ok(()),
    }
}

fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    vec![
        ("/livez", get(health::live)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(health::metrics)),
        ("/openapi.json", get(health::openapi)),
        ("/v1/status", get(health::status)),
        ("/v1/tree", get(tree::tree)),
        ("/v1/tree/start", post(tree::start)),
        ("/v1/actors", get(actors::list)),
        ("/v1/actor", get(actors::show)),
        ("/v1/actor/send", post(messages::send)),
        ("/v1/actor/call", post(messages::call)),
        ("/v1/actor/kill", post(actors::kill)),
        ("/v1/actor/stop", post(actors::stop)),
        ("/v1/actor/restart", post(actors::restart)),
        ("/v1/actor/pause", post(actors::pause)),
        ("/v1/actor/resume", post(actors::resume)),
        ("/v1/events", get(events::events)),
        (
            "/v1/dead-letters",
            get(dead_letters::list).delete(dead_letters::purge_all),
        ),
        (
            "/v1/dead-letters/{id}",
            get(dead_letters::show).delete(dead_letters::purge),
        ),
        ("/v1/dead-letters/{id}/replay", post(dead_letters::replay)),
        ("/v1/chaos", post(chaos::start)),
        (
            "/v1/chaos/{id}",
            get(chaos::show).merge(delete(chaos::stop)),
        ),
        ("/v1/jobs", post(jobs::perform)),
        ("/v1/runs/{run}", delete(jobs::end_run)),
        ("/v1/actor/history", get(journal::history)),
        ("/v1/actor/state", get(journal::state)),
        ("/v1/journal/heads", get(journal::heads)),
        ("/v1/journal/events", get(journal::events)),
        ("/v1/journal/verify", post(journal::verify)),
        ("/v1/journal/export", post(journal::export)),
        ("/v1/nodes", get(nodes::list)),
        ("/v1/nodes/rtt", get(verbs::rtt)),
        ("/v1/nodes/reachability", get(verbs::reachability)),
        ("/v1/nodes/evict", post(verbs::evict)),
        ("/v1/nodes/chaos", post(verbs::chaos)),
        ("/v1/keys/rotate", post(verbs::rotate)),
        ("/v1/drain", post(verbs::drain)),
        ("/v1/leave", post(nodes::leave)),
        ("/v1/tokens", get(nodes::tokens).post(nodes::create_token)),
        ("/v1/tokens/{id}", delete(nodes::revoke_token)),
        ("/v1/manifest", get(manifest::show).post(manifest::apply)),
        ("/v1/placement", get(placement::show)),
        ("/v1/conversations", get(conversations::list)),
        ("/v1/conversation", get(conversations::show)),
        ("/v1/cfp", post(conversations::cfp)),
        ("/v1/tools", get(tools::list)),
        ("/v1/tools/calls", get(tools::calls)),
        ("/v1/components", get(wasm::kept).post(components::keep)),
        ("/v1/components/fetch", post(components::fetch)),
        (
            "/v1/components/{digest}",
            get(components::content).merge(delete(wasm::discard)),
        ),
        ("/v1/deployments", get(wasm::deployments).post(wasm::deploy)),
        (
            "/v1/deployments/{id}",
            get(wasm::deployment).merge(delete(wasm::abort)),
        ),
        ("/v1/ams", get(platform::residents)),
        (
            "/v1/df",
            get(platform::search)
                .post(platform::register)
                .delete(platform::deregister),
        ),
    ]
}

/// What is answered, to whomever may ask.
fn handlers() -> Router<Api> {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .fallback(health::unknown_path)
        .method_not_allowed_fallback(health::wrong_method)
        .layer(axum::middleware::from_fn(guard::answered_in_any_case))
}

fn router(api: Api) -> Router {
    handlers()
        .layer(axum::middleware::from_fn_with_state(
            api.clone(),
            fanout::to_named_node,
        ))
        .layer(axum::middleware::from_fn(guard::local_programs_only))
        .with_state(api)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_exactly_the_paths_that_there_are() {
        let described: serde_json::Value =
            serde_json::from_str(super::super::OPENAPI).expect("the description is JSON");
        let mut described: Vec<_> = described["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .cloned()
            .collect();
        let mut served: Vec<_> = routes()
            .iter()
            .map(|(path, _)| (*path).to_owned())
            .collect();
        described.sort();
        served.sort();
        assert_eq!(described, served);
    }
}

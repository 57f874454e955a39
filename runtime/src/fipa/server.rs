//! Listening, on threads of its own, so that stuck agents cannot keep it from answering.

use super::acc::Acc;
use super::counts::{Counts, count};
use super::inbound::{self, PATH};
use super::tls::{HANDSHAKE_TIME_MAX, Tls, TlsError, TlsFiles};
use super::url::PeerUrl;
use crate::node::Node;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::WeakSystem;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};

/// How long a connection may wait for the head of a request: also how long one stays open that nothing comes on. JADE's
/// own server waits as long.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long requests that are under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// How long nothing is accepted when the system has no more files to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many connections are told at a time that there is no room. Beyond it they are closed without a word.
const REFUSALS_MAX: usize = 32;
/// How long that may take.
const REFUSAL_TIME_MAX: Duration = Duration::from_millis(500);
/// Threads.
const WORKERS: usize = 2;
/// How many connections are served at a time unless told otherwise.
const CONNECTIONS_DEFAULT: usize = 256;

/// How the transport is set up.
#[derive(Clone, Debug)]
pub struct FipaOptions {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What others are told to write to. Needed where it listens on all addresses; otherwise it follows from `listen`.
    pub public: Option<PeerUrl>,
    /// The name of this platform: what follows the `@` of its agents.
    pub platform: String,
    /// How many connections are served at a time. Beyond it a new one is answered with 503 and closed. Default 256.
    pub connections_max: usize,
    /// What TLS is set up from. Default: messages come in the clear, and the system's authorities are believed.
    pub tls: TlsFiles,
}

impl FipaOptions {
    /// The defaults.
    #[must_use]
    pub fn new(listen: SocketAddr, platform: impl Into<String>) -> Self {
        Self {
            listen,
            public: None,
            platform: platform.into(),
            connections_max: CONNECTIONS_DEFAULT,
            tls: TlsFiles::default(),
        }
    }
}

/// The running transport. Dropping it stops it without waiting.
pub struct FipaServer {
    acc: Acc,
    system: WeakSystem,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

/// Why it was not started. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not one of this machine's.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// It listens on all addresses, and none of them was said to be the one for others.
    #[error("{0} is every address of this machine; others need one")]
    NoPublicAddress(SocketAddr),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A thread or its runtime could not be started.
    #[error("cannot start the transport's threads: {0}")]
    Thread(#[source] std::io::Error),
}

impl FipaServer {
    /// Listens for `node`, and lets its agents write to those of other platforms, from now on. Blocks for as long as binding
    /// takes.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(node: &Node, options: FipaOptions) -> Result<Self, StartError> {
        if options.public.is_none() && options.listen.ip().is_unspecified() {
            return Err(StartError::NoPublicAddress(options.listen));
        }
        let tls = Tls::load(&options.tls)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("swarm-fipa")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let bound = runtime.block_on(async {
            let listener = TcpListener::bind(options.listen).await?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = bound.map_err(|cause| StartError::Bind {
            address: options.listen,
            cause,
        })?;
        let url = match &options.public {
            Some(url) => url.to_string(),
            None if tls.acceptor().is_some() => format!("https://{address}{PATH}"),
            None => format!("http://{address}{PATH}"),
        };
        let system = node.system();
        let acc = Acc::new(system, options, tls, url, runtime.handle().clone());
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let serving = acc.clone();
        std::thread::Builder::new()
            .name("swarm-fipa".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, serving, stopping));
                runtime.shutdown_background();
                // Whoever waits may have gone away.
                let _ = end.send(());
            })
            .map_err(StartError::Thread)?;
        system.set_acl_gateway(Some(Arc::new(acc.clone())));
        node.count_fipa(acc.counters().clone());
        Ok(Self {
            acc,
            system: system.downgrade(),
            stop,
            ended,
        })
    }

    /// Where others write to.
    #[must_use]
    pub fn url(&self) -> &str {
        self.acc.url()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.acc.counters().read()
    }

    /// Takes and sends no more messages, lets requests under way end for a bounded time, and waits for that. Messages that
    /// wait to be sent are lost.
    pub async fn stop(mut self) {
        self.close();
        // An error means that the thread is gone, which is what is waited for.
        let _ = (&mut self.ended).await;
    }

    fn close(&self) {
        if let Some(system) = self.system.upgrade() {
            system.set_acl_gateway(None);
        }
        self.stop.send_replace(true);
    }
}

impl Drop for FipaServer {
    fn drop(&mut self) {
        self.close();
    }
}

async fn serve(listener: TcpListener, acc: Acc, stopping: watch::Receiver<bool>) {
    let connections_max = acc.options().connections_max;
    let room = Arc::new(Semaphore::new(connections_max));
    let turned_away = Arc::new(Semaphore::new(REFUSALS_MAX));
    let mut stop = stopping.clone();
    let accepting = async {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a FIPA connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = room.clone().try_acquire_owned() else {
                count(&acc.counters().connections_refused);
                if let Ok(place) = turned_away.clone().try_acquire_owned() {
                    tokio::spawn(async move {
                        turn_away(stream).await;
                        drop(place);
                    });
                }
                continue;
            };
            count(&acc.counters().connections);
            let connection = connection(stream, acc.clone(), stopping.clone());
            tokio::spawn(async move {
                connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopped(&mut stop) => {}
    }
    // All places are free when all connections have ended.
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(DRAIN, room.acquire_many(all)).await;
}

/// Resolves once it is over.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // True, or its sender is gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Says that there is no room, and closes.
async fn turn_away(mut stream: TcpStream) {
    let no = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 31\r\nConnection: close\r\n\r\ntoo many connections are open\r\n";
    let writing = async {
        stream.write_all(no).await?;
        stream.shutdown().await
    };
    // A peer that does not read it does not hear it.
    let _ = tokio::time::timeout(REFUSAL_TIME_MAX, writing).await;
}

async fn connection(stream: TcpStream, acc: Acc, stopping: watch::Receiver<bool>) {
    // An answer is one write; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acc.tls().acceptor().cloned() else {
        return exchange(stream, acc, stopping).await;
    };
    match tokio::time::timeout(HANDSHAKE_TIME_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => exchange(stream, acc, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a FIPA connection was not secured"),
        Err(_) => tracing::debug!("a FIPA connection was not secured in time"),
    }
}

/// Answers the requests of one connection.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    acc: Acc,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let acc = acc.clone();
        async move { Ok::<_, Infallible>(inbound::answer(acc, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a FIPA connection ended");
    }
}

//! Connections, plain and with TLS.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Whose certificates are believed.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those of the machine's own trust store, read at the first use.
    #[default]
    System,
    /// Those that lead to one of these certificates (DER), and no others.
    These(Vec<CertificateDer<'static>>),
}

/// Opens connections.
#[derive(Debug, Default)]
pub(crate) struct Connector {
    trust: Trust,
    tls: OnceCell<Tls>,
}

#[derive(Clone)]
struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Why there is no connection. No request was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect: {0}")]
    Tcp(std::io::Error),
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    #[error("the trust store: {0}")]
    Trust(String),
    #[error("{0}")]
    Http(hyper::Error),
}

/// A connection for one request. Dropped, it is closed, an answer that is being read included.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortOnDropHandle<()>,
}

impl Connection {
    /// Sends the request. The handle must be kept as long as the body is read.
    pub(crate) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), hyper::Error> {
        let response = self.sender.send_request(request).await?;
        Ok((response, self.driver))
    }
}

impl Connector {
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            trust,
            tls: OnceCell::new(),
        }
    }

    /// Connects to the first of `addresses` that answers; with TLS if `tls_name` says whom the certificate must name.
    pub(crate) async fn open(
        &self,
        addresses: &[SocketAddr],
        tls_name: Option<&str>,
    ) -> Result<Connection, ConnectError> {
        let tcp = TcpStream::connect(addresses)
            .await
            .map_err(ConnectError::Tcp)?;
        // A latency option; without it requests work as well.
        let _ = tcp.set_nodelay(true);
        let Some(name) = tls_name else {
            return speak(tcp).await;
        };
        // Brackets are the URL's way to write an address.
        let name = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name)
            .map_err(|error| ConnectError::Tls(std::io::Error::other(error)))?;
        let tls = self.tls.get_or_try_init(|| tls(self.trust.clone())).await?;
        let stream = tls.0.connect(name, tcp).await.map_err(ConnectError::Tls)?;
        speak(stream).await
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, ConnectError> {
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ConnectError::Http)?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    });
    Ok(Connection {
        sender,
        driver: AbortOnDropHandle::new(driver),
    })
}

async fn tls(trust: Trust) -> Result<Tls, ConnectError> {
    let roots = match trust {
        Trust::These(certificates) => roots_of(certificates),
        // Reads files.
        Trust::System => {
            tokio::task::spawn_blocking(|| roots_of(rustls_native_certs::load_native_certs().certs))
                .await
                .map_err(|error| ConnectError::Trust(error.to_string()))?
        }
    };
    if roots.is_empty() {
        return Err(ConnectError::Trust("it has no certificates".to_owned()));
    }
    // Named here, as a library must not choose for the whole process.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Trust(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls(TlsConnector::from(Arc::new(config))))
}

fn roots_of(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Stores of old machines hold certificates that cannot be read; the others count.
    let _ = roots.add_parsable_certificates(certificates);
    roots
}

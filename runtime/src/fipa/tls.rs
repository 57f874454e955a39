//! TLS 1.3 for the transport: the platform's own certificate, and whom it believes.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long a peer may take for its part of a handshake.
pub(super) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// The files that TLS is set up from, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The platform's certificate with those above it, and its private key. With them it takes messages by `https` alone.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Authorities that are believed besides the system's, when messages go to an `https` address.
    pub roots: Option<PathBuf>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has no certificate or no private key in PEM.
    #[error("{}: {cause}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// What the files hold cannot be used: a key of another certificate, an algorithm that is not known.
    #[error("{}: {cause}", file.display())]
    Unusable {
        /// The certificate's file, or that of the authorities.
        file: PathBuf,
        /// What TLS says.
        cause: rustls::Error,
    },
}

/// Both sides of TLS.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: Option<TlsAcceptor>,
    connector: TlsConnector,
}

impl Tls {
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let acceptor = match &files.own {
            Some((chain, key)) => Some(TlsAcceptor::from(Arc::new(server(chain, key)?))),
            None => None,
        };
        Ok(Self {
            acceptor,
            connector: TlsConnector::from(Arc::new(client(files.roots.as_deref())?)),
        })
    }

    /// For those who connect to this platform; none where it takes messages in the clear.
    pub(super) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.acceptor.as_ref()
    }

    /// Secures a connection to `host`.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> std::io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error: InvalidDnsNameError| std::io::Error::other(error))?;
        let secured = self.connector.connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(secured)))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn bad(file: &Path, cause: impl ToString) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        cause: cause.to_string(),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| bad(file, error))?;
    let all: Result<Vec<_>, _> = read.collect();
    match all {
        Ok(all) if all.is_empty() => Err(bad(file, "there is no certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(bad(file, error)),
    }
}

fn server(chain: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let unusable = |cause| TlsError::Unusable {
        file: chain.to_owned(),
        cause,
    };
    let certificates = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error))?;
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)
}

fn client(file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system without authorities of its own believes those of the file, or none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = file {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|cause| TlsError::Unusable {
                file: file.to_owned(),
                cause,
            })?;
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|cause| TlsError::Unusable {
            file: file.unwrap_or(Path::new("")).to_owned(),
            cause,
        })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A connection to a peer, secured or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The connection below.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

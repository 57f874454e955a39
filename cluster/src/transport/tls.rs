//! The network between machines: TCP with TLS 1.3, both sides with a certificate.

use super::network::{Connection, DialError, Dialled, Incoming, Network, Purpose};
use crate::security::{ALPN_JOIN, Credentials, describe};
use rustls::CommonState;
use std::io::ErrorKind;
use std::net::SocketAddr;
use swarm_protocols::Name;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// TCP with TLS. Addresses are `HOST:PORT`.
pub struct TlsNetwork {
    listener: TcpListener,
    credentials: Credentials,
}

impl TlsNetwork {
    /// Listens at `listen`.
    ///
    /// # Errors
    /// When the system does not let it listen there: taken, or not an address of this host.
    pub async fn bind(listen: SocketAddr, credentials: Credentials) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        Ok(Self {
            listener,
            credentials,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The name that the other side's certificate has. The chain was verified in the handshake.
fn proved(state: &CommonState) -> Option<Name> {
    let own = state.peer_certificates()?.first()?;
    describe(own).ok()?.node
}

fn dial_error(address: &str, error: &std::io::Error) -> DialError {
    let (address, why) = (address.to_owned(), error.to_string());
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (
            Some(
                rustls::Error::InvalidCertificate(_)
                | rustls::Error::AlertReceived(_)
                | rustls::Error::NoCertificatesPresented,
            ),
            _,
        ) => DialError::Untrusted { address, why },
        (Some(_), _) => DialError::NotAPeer { address, why },
        (None, ErrorKind::ConnectionRefused) => DialError::Refused { address },
        (None, ErrorKind::UnexpectedEof) => DialError::NotAPeer { address, why },
        (None, _) => DialError::Unreachable { address, why },
    }
}

impl Network for TlsNetwork {
    fn dial<'a>(&'a self, address: &'a str) -> Dialled<'a, Result<Connection, DialError>> {
        Box::pin(async move {
            let failed = |error: std::io::Error| dial_error(address, &error);
            let tcp = TcpStream::connect(address).await.map_err(failed)?;
            tcp.set_nodelay(true).map_err(failed)?;
            let config = self.credentials.current().client.clone();
            let stream = TlsConnector::from(config)
                .connect(crate::security::join::server_name(), tcp)
                .await
                .map_err(failed)?;
            let peer = proved(stream.get_ref().1);
            if peer.is_none() {
                return Err(DialError::Untrusted {
                    address: address.to_owned(),
                    why: "its certificate names no node".to_owned(),
                });
            }
            Ok(Connection {
                stream: Box::new(stream),
                purpose: Purpose::Link,
                peer,
            })
        })
    }

    fn accept(&self) -> Dialled<'_, std::io::Result<Incoming>> {
        Box::pin(async move {
            let (tcp, from) = self.listener.accept().await?;
            let config = self.credentials.current().server.clone();
            Ok(Incoming {
                from: Some(from.ip()),
                handshake: Box::pin(welcome(tcp, from, config)),
            })
        })
    }
}

async fn welcome(
    tcp: TcpStream,
    from: SocketAddr,
    config: std::sync::Arc<rustls::ServerConfig>,
) -> Result<Connection, DialError> {
    let address = from.to_string();
    let failed = |error: std::io::Error| dial_error(&address, &error);
    tcp.set_nodelay(true).map_err(failed)?;
    let stream = TlsAcceptor::from(config)
        .accept(tcp)
        .await
        .map_err(failed)?;
    let state = stream.get_ref().1;
    let wants_to_join = state.alpn_protocol() == Some(ALPN_JOIN);
    let peer = proved(state);
    if wants_to_join {
        return Ok(Connection {
            stream: Box::new(stream),
            purpose: Purpose::Join,
            peer: None,
        });
    }
    if peer.is_none() {
        return Err(DialError::Untrusted {
            address,
            why: "it has shown no certificate".to_owned(),
        });
    }
    Ok(Connection {
        stream: Box::new(stream),
        purpose: Purpose::Link,
        peer,
    })
}

//! What a node shows and trusts at present. Replaced while links run.

use super::certificate::{CertificateError, Described, NodeCertificate, certificates_from_pem};
use super::verify::Verifier;
use parking_lot::RwLock;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use swarm_protocols::Name;

/// The protocol that a peer link speaks, as TLS names it.
pub const ALPN_LINK: &[u8] = b"swarm/1";
/// The protocol of those who want to join.
pub const ALPN_JOIN: &[u8] = b"swarm-join/1";

/// How many roots are trusted at once at most: the present one, the next, and some to spare.
const ROOTS_MAX: usize = 8;

/// The certificate that a node shows and the roots that it trusts. Cheap to clone; all clones change together. New connections use
/// what is current; those that are open go on.
#[derive(Clone)]
pub struct Credentials(Arc<RwLock<Arc<Current>>>);

/// One state of [`Credentials`].
pub struct Current {
    /// What it shows.
    pub certificate: NodeCertificate,
    /// What its own certificate says.
    pub described: Described,
    /// The node that it names.
    pub node: Name,
    /// Whom it trusts, in DER.
    pub roots: Vec<Vec<u8>>,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Credentials {
    /// With this certificate, trusting these roots (DER).
    ///
    /// # Errors
    /// [`CertificateError`] when they cannot be used.
    pub fn new(
        certificate: NodeCertificate,
        roots: Vec<Vec<u8>>,
    ) -> Result<Self, CertificateError> {
        let current = Current::new(certificate, roots)?;
        Ok(Self(Arc::new(RwLock::new(Arc::new(current)))))
    }

    /// From one's own PKI: certificate chain, key and roots in PEM. The certificate must name the node, by its first DNS name or its
    /// common name.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(chain: &[u8], key: &[u8], roots: &[u8]) -> Result<Self, CertificateError> {
        let certificate = NodeCertificate::from_pem(chain, key)?;
        let roots = certificates_from_pem(roots)?;
        Self::new(
            certificate,
            roots.iter().map(|root| root.to_vec()).collect(),
        )
    }

    /// The present state.
    #[must_use]
    pub fn current(&self) -> Arc<Current> {
        self.0.read().clone()
    }

    /// From now on this certificate and these roots.
    ///
    /// # Errors
    /// [`CertificateError`]; all is as it was then.
    pub fn replace(
        &self,
        certificate: NodeCertificate,
        roots: Vec<Vec<u8>>,
    ) -> Result<(), CertificateError> {
        let current = Arc::new(Current::new(certificate, roots)?);
        *self.0.write() = current;
        Ok(())
    }
}

impl Current {
    fn new(certificate: NodeCertificate, roots: Vec<Vec<u8>>) -> Result<Self, CertificateError> {
        let malformed = |error: rustls::Error| CertificateError::Malformed(error.to_string());
        if roots.is_empty() || roots.len() > ROOTS_MAX {
            let why = format!("{} roots; 1 to {ROOTS_MAX} can be trusted", roots.len());
            return Err(CertificateError::Malformed(why));
        }
        let described = certificate.describe()?;
        let node = described.node.clone().ok_or(CertificateError::NoName)?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            store
                .add(CertificateDer::from(root.clone()))
                .map_err(malformed)?;
        }
        let provider = provider();
        // All roots are shown beside the certificate: a joining node looks for the one that its token names.
        let mut chain = certificate.chain.clone();
        for root in &roots {
            if !chain.iter().any(|known| known.as_ref() == root.as_slice()) {
                chain.push(CertificateDer::from(root.clone()));
            }
        }
        let by_key = |error: rustls::Error| CertificateError::Key(error.to_string());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store.clone()), provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(malformed)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), certificate.key.clone_key())
            .map_err(by_key)?;
        server.alpn_protocols = vec![ALPN_LINK.to_vec(), ALPN_JOIN.to_vec()];
        // Every connection shows a certificate that holds now.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(malformed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                trust: store,
                provider,
            }))
            .with_client_auth_cert(chain, certificate.key.clone_key())
            .map_err(by_key)?;
        client.alpn_protocols = vec![ALPN_LINK.to_vec()];
        client.resumption = Resumption::disabled();
        Ok(Self {
            certificate,
            described,
            node,
            roots,
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }
}

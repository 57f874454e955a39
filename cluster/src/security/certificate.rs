//! Certificates of nodes: what they say, and what is needed to use one.

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use swarm_protocols::Name;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// How a certificate of the cluster's own authority names a node: `swarm://CLUSTER/NODE`, the cluster's id in hexadecimal.
pub(super) const URI_SCHEME: &str = "swarm://";

/// Why something is no usable certificate. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a certificate, or not one that this can read.
    #[error("not a certificate: {0}")]
    Malformed(String),
    /// It does not say which node it is for: neither a `swarm://` URI, nor a DNS name, nor a common name that is a node's name.
    #[error("the certificate names no node")]
    NoName,
    /// The key is not one, or does not belong to the certificate.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// The request to sign is not one, or is not signed by its key.
    #[error("not a certificate request: {0}")]
    Request(String),
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The node that it names.
    pub node: Option<Name>,
    /// The cluster that it names, in those of a cluster's own authority.
    pub cluster: Option<u128>,
    /// From when it holds, in seconds since 1970 UTC.
    pub not_before: u64,
    /// Until when it holds, in seconds since 1970 UTC.
    pub not_after: u64,
}

/// Reads what a certificate says. Checks no signature.
///
/// The node is the one of a `swarm://CLUSTER/NODE` URI; in a certificate of somebody's own PKI the first DNS name, else the common name.
///
/// # Errors
/// [`CertificateError::Malformed`].
pub fn describe(der: &[u8]) -> Result<Described, CertificateError> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| CertificateError::Malformed(error.to_string()))?;
    let seconds = |at: x509_parser::time::ASN1Time| u64::try_from(at.timestamp()).unwrap_or(0);
    let (mut node, mut cluster) = (None, None);
    let names = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| &extension.value.general_names);
    for general in names.into_iter().flatten() {
        match general {
            GeneralName::URI(uri) => {
                if let Some((of, name)) = parse_uri(uri) {
                    (node, cluster) = (Some(name), Some(of));
                    break;
                }
            }
            GeneralName::DNSName(dns) if node.is_none() => node = Name::new(dns).ok(),
            _ => {}
        }
    }
    if node.is_none() {
        node = certificate
            .subject()
            .iter_common_name()
            .find_map(|cn| cn.as_str().ok().and_then(|cn| Name::new(cn).ok()));
    }
    Ok(Described {
        node,
        cluster,
        not_before: seconds(certificate.validity().not_before),
        not_after: seconds(certificate.validity().not_after),
    })
}

fn parse_uri(uri: &str) -> Option<(u128, Name)> {
    let (cluster, node) = uri.strip_prefix(URI_SCHEME)?.split_once('/')?;
    let cluster = u128::from_str_radix(cluster, 16).ok()?;
    Some((cluster, Name::new(node).ok()?))
}

/// The SHA-256 of a certificate, as tokens name an authority.
#[must_use]
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// A node's private key, made here. It never leaves the node.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// A new key (ECDSA on P-256).
    ///
    /// # Errors
    /// [`CertificateError::Key`] when the system gives no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        KeyPair::generate()
            .map(Self)
            .map_err(|error| CertificateError::Key(error.to_string()))
    }

    /// A request to certify this key for a node of that name. What else a certificate says is up to the authority.
    ///
    /// # Errors
    /// [`CertificateError::Request`].
    pub fn request(&self, node: &Name) -> Result<Vec<u8>, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, node.as_str());
        params
            .serialize_request(&self.0)
            .map(|request| request.der().to_vec())
            .map_err(|error| CertificateError::Request(error.to_string()))
    }

    /// With its certificate.
    #[must_use]
    pub fn certified(self, chain: Vec<Vec<u8>>) -> NodeCertificate {
        NodeCertificate {
            chain: chain.into_iter().map(CertificateDer::from).collect(),
            key: PrivatePkcs8KeyDer::from(self.0.serialize_der()).into(),
        }
    }
}

/// A node's certificate with its key.
pub struct NodeCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for NodeCertificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl NodeCertificate {
    /// From PEM texts: the node's certificate first, then those between it and the root; and its key.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = certificates_from_pem(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CertificateError::Key(error.to_string()))?;
        Ok(Self { chain, key })
    }

    /// The certificates, the node's own first, in DER.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(AsRef::as_ref)
    }

    /// The private key, in DER. For the file in which the node keeps it, and nothing else.
    #[must_use]
    pub fn secret_key(&self) -> &[u8] {
        self.key.secret_der()
    }

    /// From what [`NodeCertificate::chain`] and [`NodeCertificate::secret_key`] gave.
    ///
    /// # Errors
    /// [`CertificateError::Key`].
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, CertificateError> {
        let key = PrivateKeyDer::try_from(key)
            .map_err(|error| CertificateError::Key(error.to_owned()))?;
        Ok(Self {
            chain: chain.into_iter().map(CertificateDer::from).collect(),
            key,
        })
    }

    /// What the node's own certificate says.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn describe(&self) -> Result<Described, CertificateError> {
        let own = self
            .chain
            .first()
            .ok_or_else(|| CertificateError::Malformed("there is none".to_owned()))?;
        describe(own)
    }
}

/// All certificates of a PEM text.
pub(super) fn certificates_from_pem(
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| CertificateError::Malformed(error.to_string()))?;
    if all.is_empty() {
        return Err(CertificateError::Malformed("no certificate in it".into()));
    }
    Ok(all)
}

//! The cluster's own certificate authority.

use super::certificate::{CertificateError, NodeCertificate, NodeKey, URI_SCHEME, describe};
use super::{Vault, VaultError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use std::time::Duration;
use swarm_protocols::Name;

/// How long a node's certificate lives. Short, so that a stolen one is soon worth nothing; renewed long before its end.
pub const NODE_CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority lives unless it is rotated: ten years.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How far a certificate reaches back, for nodes whose clocks are behind.
const REACH_BACK_SECONDS: i64 = 120;

/// The authority: its certificate and its key.
pub struct Authority {
    cluster: u128,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

fn own(error: &rcgen::Error) -> CertificateError {
    CertificateError::Malformed(error.to_string())
}

fn moment(seconds: i64) -> Result<time::OffsetDateTime, CertificateError> {
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| CertificateError::Malformed("a time beyond all calendars".to_owned()))
}

fn seconds(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

impl Authority {
    /// A new authority for a cluster, with a new key. `now` is in seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`CertificateError`], when the system gives no randomness.
    pub fn generate(
        cluster: u128,
        cluster_name: &Name,
        now: u64,
    ) -> Result<Self, CertificateError> {
        let key = KeyPair::generate().map_err(|e| own(&e))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "swarm");
        params
            .distinguished_name
            .push(DnType::CommonName, cluster_name.as_str());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = moment(seconds(now) - REACH_BACK_SECONDS)?;
        params.not_after = moment(seconds(now + AUTHORITY_LIFE.as_secs()))?;
        let root = params.self_signed(&key).map_err(|e| own(&e))?;
        Ok(Self {
            cluster,
            root: root.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The cluster that it is for.
    #[must_use]
    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    /// Its certificate, in DER: what other nodes trust.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Certifies the key of a request for a node of that name. Of the request only the key is used. Gives the chain to present: the
    /// node's certificate, then the root.
    ///
    /// # Errors
    /// [`CertificateError::Request`] when it is no request or was not signed by its key.
    pub fn certify(
        &self,
        node: &Name,
        request: &[u8],
        now: u64,
        life: Duration,
    ) -> Result<Vec<Vec<u8>>, CertificateError> {
        let request = CertificateSigningRequestDer::from(request);
        let request = CertificateSigningRequestParams::from_der(&request)
            .map_err(|error| CertificateError::Request(error.to_string()))?;
        self.sign(node, &request.public_key, now, life)
    }

    fn sign(
        &self,
        node: &Name,
        key: &impl PublicKeyData,
        now: u64,
        life: Duration,
    ) -> Result<Vec<Vec<u8>>, CertificateError> {
        let uri = format!("{URI_SCHEME}{:032x}/{node}", self.cluster);
        let uri = uri
            .try_into()
            .map_err(|_| CertificateError::Request("the name makes no URI".to_owned()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, node.as_str());
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = moment(seconds(now) - REACH_BACK_SECONDS)?;
        params.not_after = moment(seconds(now.saturating_add(life.as_secs())))?;
        let signed = params.signed_by(key, &self.issuer).map_err(|e| own(&e))?;
        Ok(vec![signed.der().to_vec(), self.root.to_vec()])
    }

    /// A new key with a certificate for a node: for the node that holds this authority.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn issue(
        &self,
        node: &Name,
        now: u64,
        life: Duration,
    ) -> Result<NodeCertificate, CertificateError> {
        let key = NodeKey::generate()?;
        let request = key.request(node)?;
        let chain = self.certify(node, &request, now, life)?;
        Ok(key.certified(chain))
    }

    /// The authority with its key, sealed: to keep, or to hand to another voter over a link.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn seal(&self, vault: &Vault) -> Result<Vec<u8>, VaultError> {
        let key = self.issuer.key().serialize_der();
        let plain = (self.cluster, self.root.as_ref(), key.as_slice());
        let plain = postcard::to_allocvec(&plain).map_err(|_| VaultError::Damaged)?;
        vault.seal(&plain)
    }

    /// What [`Authority::seal`] made.
    ///
    /// # Errors
    /// [`VaultError`]: another key, or damaged.
    pub fn open(sealed: &[u8], vault: &Vault) -> Result<Self, VaultError> {
        let plain = vault.open(sealed)?;
        let (cluster, root, key): (u128, Vec<u8>, Vec<u8>) =
            postcard::from_bytes(&plain).map_err(|_| VaultError::Damaged)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(key),
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )
        .map_err(|_| VaultError::Damaged)?;
        let root = CertificateDer::from(root);
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(|_| VaultError::Damaged)?;
        Ok(Self {
            cluster,
            root,
            issuer,
        })
    }

    /// Until when its root holds, in seconds since 1970 UTC.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        describe(&self.root).map_or(0, |described| described.not_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn name(text: &str) -> Name {
        Name::new(text).expect("valid")
    }

    fn authority() -> Authority {
        Authority::generate(7, &name("test"), NOW).expect("generates")
    }

    #[test]
    fn a_certificate_says_its_node_its_cluster_and_its_term() {
        let certificate = authority()
            .issue(&name("node_a-1.x"), NOW, NODE_CERTIFICATE_LIFE)
            .expect("issues");
        let described = certificate.describe().expect("reads");
        assert_eq!(described.node, Some(name("node_a-1.x")));
        assert_eq!(described.cluster, Some(7));
        assert_eq!(described.not_after, NOW + NODE_CERTIFICATE_LIFE.as_secs());
        assert!(described.not_before < NOW);
    }

    #[test]
    fn a_sealed_authority_opens_with_its_key_only_and_still_signs() {
        let vault = Vault::with_key(&[1; 32]);
        let authority = authority();
        let mut sealed = authority.seal(&vault).expect("seals");
        let opened = Authority::open(&sealed, &vault).expect("opens");
        assert_eq!(opened.root(), authority.root());
        assert!(opened.issue(&name("b"), NOW, NODE_CERTIFICATE_LIFE).is_ok());
        assert_eq!(
            Authority::open(&sealed, &Vault::with_key(&[2; 32])).err(),
            Some(VaultError::WrongKey)
        );
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert_eq!(
            Authority::open(&sealed, &vault).err(),
            Some(VaultError::WrongKey)
        );
        assert!(Authority::open(&sealed[..5], &vault).is_err());
    }

    #[test]
    fn a_request_that_its_key_did_not_sign_is_refused() {
        let mut request = NodeKey::generate()
            .and_then(|key| key.request(&name("a")))
            .expect("makes one");
        let last = request.len() - 1;
        request[last] ^= 1;
        assert!(matches!(
            authority().certify(&name("a"), &request, NOW, NODE_CERTIFICATE_LIFE),
            Err(CertificateError::Request(_))
        ));
        assert!(matches!(
            authority().certify(&name("a"), b"nonsense", NOW, NODE_CERTIFICATE_LIFE),
            Err(CertificateError::Request(_))
        ));
    }
}

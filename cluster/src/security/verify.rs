//! How a node checks the certificate of one that it dials.

use super::certificate::fingerprint;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// Whom a node that dials trusts.
pub(crate) trait Trust: fmt::Debug + Send + Sync {
    /// Whether the certificate `own`, shown with others, holds now. Whatever host it is met at: nodes have names of their own, which the
    /// link compares after the handshake.
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), Error>;
}

/// Asks that of each certificate, and checks who has its key.
#[derive(Debug)]
pub(crate) struct Verifier<T> {
    pub(crate) trust: T,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl<T: Trust> ServerCertVerifier for Verifier<T> {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.judge(own, shown, now, &self.provider)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Trusts every certificate that one of these roots has signed.
impl Trust for RootCertStore {
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own)?,
            self,
            shown,
            now,
            provider.signature_verification_algorithms.all,
        )
    }
}

/// What a joining node saw of the certificate that it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinnedVerdict {
    /// The authority of the token has signed it.
    Trusted,
    /// The authority of the token is not among what was shown.
    OtherAuthority,
    /// It is not valid yet, or not any more, by this node's clock.
    NotInTerm,
    /// Its signature is wrong.
    Invalid,
}

/// Trusts the one root whose fingerprint the token names, which the other side shows with its own certificate.
#[derive(Debug)]
pub(crate) struct PinnedRoot {
    pub(crate) fingerprint: [u8; 32],
    /// What was seen, for an error that says what is wrong.
    pub(crate) verdict: Mutex<Option<PinnedVerdict>>,
}

impl Trust for PinnedRoot {
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), Error> {
        let pinned = shown
            .iter()
            .find(|certificate| fingerprint(certificate) == self.fingerprint);
        let Some(pinned) = pinned else {
            *self.verdict.lock() = Some(PinnedVerdict::OtherAuthority);
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let outcome = roots.judge(own, shown, now, provider);
        *self.verdict.lock() = Some(match &outcome {
            Ok(()) => PinnedVerdict::Trusted,
            Err(Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => PinnedVerdict::NotInTerm,
            Err(_) => PinnedVerdict::Invalid,
        });
        outcome
    }
}

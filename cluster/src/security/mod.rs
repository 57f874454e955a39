//! Who may be a node of the cluster: its authority, certificates, tokens to join with, and the exchange that admits a node.
//!
//! The cluster has a certificate authority of its own ([`Authority`]), made by the first node. Nodes that may vote keep its key, sealed
//! ([`Vault`]). A node proves who it is with a certificate that names it ([`NodeCertificate`]); those of the cluster's own authority live
//! 24 hours and are renewed when a third of their life is left ([`watch`]). Those who have a PKI give files instead.
//!
//! A [`JoinToken`] lets a node without a certificate get one ([`join`]). Nothing here is logged that would let somebody in: secrets
//! have no text form but the one that is asked for by name.

mod authority;
mod certificate;
mod credentials;
pub mod join;
mod token;
mod vault;
mod verify;
pub mod watch;

pub use authority::{AUTHORITY_LIFE, Authority, NODE_CERTIFICATE_LIFE};
pub use certificate::{
    CertificateError, Described, NodeCertificate, NodeKey, describe, fingerprint,
};
pub use credentials::{ALPN_JOIN, ALPN_LINK, Credentials, Current};
pub use token::{
    JoinToken, TokenError, TokenGrant, TokenId, TokenInfo, TokenRefusal, TokenStore, TokenTerms,
};
pub use vault::{Vault, VaultError};

pub(crate) use verify::{PinnedRoot, PinnedVerdict, Verifier};

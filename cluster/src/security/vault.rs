//! Sealing what a node keeps on disk and nobody else should read.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{hkdf, pbkdf2};
use std::num::NonZeroU32;

/// The first byte of what is sealed.
const VERSION: u8 = 1;
/// How often a passphrase is hashed: what makes guessing it slow.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");
/// What the sealed bytes are bound to.
const CONTEXT: &[u8] = b"swarm-vault-1";

/// Why something was not sealed or opened. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Sealed with another key, or changed since.
    #[error("sealed with another key, or changed since")]
    WrongKey,
    /// Not what a vault makes, or of a version that this build does not know.
    #[error("damaged, or made by a newer version")]
    Damaged,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// A key to seal with (ChaCha20-Poly1305).
pub struct Vault(LessSafeKey);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

impl Vault {
    /// With a random key of the node's own, kept in a file that only it may read.
    #[must_use]
    pub fn with_key(key: &[u8; 32]) -> Self {
        let mut derived = [0; 32];
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, CONTEXT)
            .extract(key)
            .expand(&[CONTEXT], KeyLength)
            .and_then(|okm| okm.fill(&mut derived));
        debug_assert!(filled.is_ok(), "32 bytes are within what HKDF gives");
        Self::from_derived(&derived)
    }

    /// With a passphrase. Takes a good part of a second, on purpose; `salt` is the cluster's id, say.
    #[must_use]
    pub fn with_passphrase(passphrase: &str, salt: &[u8]) -> Self {
        let mut derived = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            salt,
            passphrase.as_bytes(),
            &mut derived,
        );
        Self::from_derived(&derived)
    }

    fn from_derived(derived: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, derived)
            .expect("a key of this algorithm has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `plain`: a version byte, a random nonce, and what only this key opens.
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| VaultError::NoRandomness)?;
        let mut body = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(CONTEXT),
                &mut body,
            )
            .map_err(|_| VaultError::Damaged)?;
        let mut out = vec![VERSION];
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&body);
        Ok(out)
    }

    /// Opens what [`Vault::seal`] made.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let Some((&VERSION, rest)) = sealed.split_first() else {
            return Err(VaultError::Damaged);
        };
        let Some((nonce, body)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(VaultError::Damaged);
        };
        let mut body = body.to_vec();
        let plain = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(CONTEXT),
                &mut body,
            )
            .map_err(|_| VaultError::WrongKey)?;
        Ok(plain.to_vec())
    }
}

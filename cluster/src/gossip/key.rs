//! The keys of gossip, and how they are rotated without a gap: install the new one everywhere, use it, remove the old one.

use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;

/// The most keys of a ring: what is used, what comes next, and room for a rotation that was not finished.
pub const KEYS_MAX: usize = 8;
const KEY_BYTES: usize = 32;
const RING_VERSION: u8 = 1;

/// A secret that all nodes of a cluster share. Its text form never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct GossipKey([u8; KEY_BYTES]);

impl GossipKey {
    /// A key from 32 secret bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A key from the system's source of randomness; none when that fails.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The secret itself, for the vault that keeps it and the link that hands it to a node that joins.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What the key is called in packets and on the command line. It tells nothing about the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.0);
        let mut id = [0; 4];
        for (to, from) in id.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        KeyId(u32::from_be_bytes(id))
    }
}

impl fmt::Debug for GossipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GossipKey({})", self.id())
    }
}

/// The name of a key: the first four bytes of its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Why the ring stays as it is. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no room. Remove a key first.
    #[error("the key ring is full, it holds {KEYS_MAX} keys")]
    Full,
    /// No key of that name is installed. Install it first.
    #[error("no key {id} is installed")]
    Unknown {
        /// The name.
        id: KeyId,
    },
    /// The key seals this node's packets. Use another one first.
    #[error("key {id} is in use")]
    InUse {
        /// The name.
        id: KeyId,
    },
}

/// Bytes that are no key ring of this version. They are not shown: they may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no key ring")]
pub struct MalformedKeyRing {
    /// How many there are.
    pub bytes: usize,
}

/// The keys that open packets, and the one of them that seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing {
    /// The first seals. Never empty.
    keys: Vec<(KeyId, GossipKey)>,
}

impl KeyRing {
    /// A ring with one key, which is used.
    #[must_use]
    pub fn new(key: GossipKey) -> Self {
        Self {
            keys: vec![(key.id(), key)],
        }
    }

    /// Adds a key that opens packets from now on and seals none. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`KeyRingError::Full`].
    pub fn install(&mut self, key: GossipKey) -> Result<KeyId, KeyRingError> {
        let id = key.id();
        if self.get(id).is_some() {
            return Ok(id);
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(KeyRingError::Full);
        }
        self.keys.push((id, key));
        Ok(id)
    }

    /// Seals with this key from now on. Every node must have installed it before any node uses it.
    ///
    /// # Errors
    /// [`KeyRingError::Unknown`].
    pub fn use_key(&mut self, id: KeyId) -> Result<(), KeyRingError> {
        let place = self.keys.iter().position(|(other, _)| *other == id);
        let place = place.ok_or(KeyRingError::Unknown { id })?;
        self.keys.swap(0, place);
        Ok(())
    }

    /// Forgets a key. Packets that it sealed open no more.
    ///
    /// # Errors
    /// [`KeyRingError::Unknown`], [`KeyRingError::InUse`].
    pub fn remove(&mut self, id: KeyId) -> Result<(), KeyRingError> {
        if self.in_use() == id {
            return Err(KeyRingError::InUse { id });
        }
        if self.get(id).is_none() {
            return Err(KeyRingError::Unknown { id });
        }
        self.keys.retain(|(other, _)| *other != id);
        Ok(())
    }

    /// The name of the key that seals.
    #[must_use]
    pub fn in_use(&self) -> KeyId {
        self.keys.first().map_or(KeyId(0), |(id, _)| *id)
    }

    /// The names of all keys, the one in use first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// All keys, the one in use first: what a node that joins is given.
    pub fn keys(&self) -> impl Iterator<Item = &GossipKey> {
        self.keys.iter().map(|(_, key)| key)
    }

    /// All keys in bytes, the one in use first: for the vault, and for the answer to a node that joins. Secret.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![RING_VERSION];
        for (_, key) in &self.keys {
            bytes.extend_from_slice(&key.0);
        }
        bytes
    }

    /// The ring that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`MalformedKeyRing`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedKeyRing> {
        let malformed = MalformedKeyRing { bytes: bytes.len() };
        let Some((&RING_VERSION, keys)) = bytes.split_first() else {
            return Err(malformed);
        };
        let (keys, rest) = keys.as_chunks::<KEY_BYTES>();
        let (Some((first, others)), []) = (keys.split_first(), rest) else {
            return Err(malformed);
        };
        let mut ring = Self::new(GossipKey(*first));
        for key in others {
            ring.install(GossipKey(*key)).map_err(|_| malformed)?;
        }
        Ok(ring)
    }

    pub(super) fn get(&self, id: KeyId) -> Option<&GossipKey> {
        let found = self.keys.iter().find(|(other, _)| *other == id);
        found.map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> GossipKey {
        GossipKey::new([byte; 32])
    }

    #[test]
    fn a_rotation_is_install_use_remove_in_that_order() {
        let mut ring = KeyRing::new(key(1));
        let (old, new) = (key(1).id(), key(2).id());
        assert_eq!(ring.use_key(new), Err(KeyRingError::Unknown { id: new }));
        assert_eq!(ring.install(key(2)), Ok(new));
        assert_eq!(ring.in_use(), old);
        assert_eq!(ring.remove(old), Err(KeyRingError::InUse { id: old }));
        assert_eq!(ring.use_key(new), Ok(()));
        assert_eq!(ring.remove(old), Ok(()));
        assert_eq!(ring.remove(old), Err(KeyRingError::Unknown { id: old }));
        assert_eq!(ring.ids().collect::<Vec<_>>(), [new]);
    }

    #[test]
    fn a_full_ring_says_so_and_takes_a_known_key_again() {
        let mut ring = KeyRing::new(key(0));
        for byte in 1..KEYS_MAX as u8 {
            ring.install(key(byte)).expect("there is room");
        }
        assert_eq!(ring.install(key(99)), Err(KeyRingError::Full));
        assert_eq!(ring.install(key(3)), Ok(key(3).id()));
        assert_eq!(ring.ids().count(), KEYS_MAX);
    }

    #[test]
    fn a_ring_survives_its_bytes_and_nothing_else_is_one() {
        let mut ring = KeyRing::new(key(3));
        ring.install(key(1)).expect("there is room");
        let bytes = ring.to_bytes();
        assert_eq!(KeyRing::from_bytes(&bytes), Ok(ring));
        for bad in [&bytes[..40], &bytes[..1], &[], &bytes[1..]] {
            assert!(KeyRing::from_bytes(bad).is_err());
        }
        assert!(
            KeyRing::from_bytes(&[1; 1 + 32 * 9]).is_ok(),
            "one key nine times is one key"
        );
        let many: Vec<u8> = std::iter::once(1)
            .chain((0..9).flat_map(|byte| [byte; 32]))
            .collect();
        assert!(KeyRing::from_bytes(&many).is_err());
    }

    #[test]
    fn no_text_form_shows_a_key() {
        let shown = format!("{:?} {:?}", key(0xab), KeyRing::new(key(0xab)));
        assert!(
            !shown.contains("171") && !shown.to_lowercase().contains("abab"),
            "{shown}"
        );
        assert_ne!(GossipKey::generate(), GossipKey::generate());
    }
}

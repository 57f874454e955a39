//! Sealing and opening packets.
//!
//! A packet is version (1), key name (4), sender's boot id (16), number (8), ciphertext, tag (16). The AEAD is ChaCha20-Poly1305. Its key is
//! HKDF-SHA256 of the ring's key and the sender's boot id, its nonce the packet's number: no two processes share a key, and no process uses
//! a number twice. All that stands before the ciphertext is authenticated, and so is the receiver's boot id, which is not sent.

use super::key::{GossipKey, KeyId, KeyRing};
use super::window::ReplayWindow;
use crate::identity::BootId;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use std::collections::BTreeMap;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 4 + 16 + 8;
const TAG_BYTES: usize = 16;
/// What sealing adds to a message.
pub const SEAL_BYTES: usize = HEADER_BYTES + TAG_BYTES;
/// The longest packet that is sealed or opened: what fits an Ethernet frame over IPv6.
pub const PACKET_BYTES_MAX: usize = 1452;
/// The most senders whose packets are told apart from replays. When full, the one heard of least lately is forgotten: its old packets would
/// open once more, which membership takes for stale news.
const SENDERS_MAX: usize = 16_384;

/// Why a message was not sealed. No packet was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not fit. Shorten it.
    #[error("a message of {bytes} bytes does not fit a packet of {PACKET_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// This process has numbered 2⁶⁴ packets, or the cipher refused. Restart the process.
    #[error("no further packet can be sealed")]
    Exhausted,
}

/// Why a packet was not opened. Nothing changed, and the sender is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is too short or too long to be one.
    #[error("{bytes} bytes are no packet")]
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// Another version.
    #[error("version {found} of the packet is not {VERSION}")]
    Version {
        /// The version it says.
        found: u8,
    },
    /// Its key is not in the ring: a foreign cluster, or a rotation that this node missed.
    #[error("no key {id} is installed")]
    UnknownKey {
        /// The key it names.
        id: KeyId,
    },
    /// It came before, or is too old to tell.
    #[error("packet {number} of {sender} came before")]
    Replayed {
        /// Who sealed it.
        sender: BootId,
        /// Its number.
        number: u64,
    },
    /// It was changed, was made with another key, or was meant for another process.
    #[error("the packet is not authentic")]
    Forged,
}

/// A packet that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The process that sealed it.
    pub from: BootId,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Seals what this process sends, opens what it receives.
pub struct Sealer {
    me: BootId,
    ring: KeyRing,
    number: u64,
    sealing: Option<(KeyId, LessSafeKey)>,
    senders: BTreeMap<BootId, Sender>,
    /// Grows with each packet: who was heard of least lately has the lowest.
    clock: u64,
}

struct Sender {
    window: ReplayWindow,
    heard: u64,
    key: (KeyId, LessSafeKey),
}

impl Sealer {
    /// For the process `me`. Its boot id must never have been used with the same ring before.
    #[must_use]
    pub fn new(me: BootId, ring: KeyRing) -> Self {
        Self {
            me,
            ring,
            number: 0,
            sealing: None,
            senders: BTreeMap::new(),
            clock: 0,
        }
    }

    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The keys, to rotate them.
    pub fn ring_mut(&mut self) -> &mut KeyRing {
        &mut self.ring
    }

    /// The packet that carries `message` to the process `to`, and only to it.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&mut self, to: BootId, message: &[u8]) -> Result<Vec<u8>, SealError> {
        let length = message.len() + SEAL_BYTES;
        if length > PACKET_BYTES_MAX {
            return Err(SealError::TooLong {
                bytes: message.len(),
            });
        }
        let id = self.ring.in_use();
        if self.sealing.as_ref().is_none_or(|(other, _)| *other != id) {
            let key = self.ring.get(id).ok_or(SealError::Exhausted)?;
            let derived = derive(key, self.me).ok_or(SealError::Exhausted)?;
            self.sealing = Some((id, derived));
        }
        let Some((_, key)) = &self.sealing else {
            return Err(SealError::Exhausted);
        };
        self.number = self.number.checked_add(1).ok_or(SealError::Exhausted)?;
        let mut packet = Vec::with_capacity(length);
        packet.push(VERSION);
        packet.extend_from_slice(&id.0.to_be_bytes());
        packet.extend_from_slice(&self.me.0.to_be_bytes());
        packet.extend_from_slice(&self.number.to_be_bytes());
        let aad = Aad::from(authenticated(&packet, to));
        let mut sealed = message.to_vec();
        key.seal_in_place_append_tag(nonce(self.number), aad, &mut sealed)
            .map_err(|_| SealError::Exhausted)?;
        packet.append(&mut sealed);
        Ok(packet)
    }

    /// What a packet carries, if it was made by a member for this process and has not been opened yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&mut self, packet: &[u8]) -> Result<Opened, OpenError> {
        let head = Head::parse(packet)?;
        let key = self
            .ring
            .get(head.key)
            .ok_or(OpenError::UnknownKey { id: head.key })?;
        let known = self.senders.get(&head.sender);
        if known.is_some_and(|sender| !sender.window.is_new(head.number)) || head.number == 0 {
            return Err(OpenError::Replayed {
                sender: head.sender,
                number: head.number,
            });
        }
        let fresh = match known {
            Some(sender) if sender.key.0 == head.key => None,
            _ => Some(derive(key, head.sender).ok_or(OpenError::Forged)?),
        };
        let cipher = match (&fresh, known) {
            (Some(fresh), _) => fresh,
            (None, Some(sender)) => &sender.key.1,
            (None, None) => return Err(OpenError::Forged),
        };
        let (header, body) = packet.split_at(HEADER_BYTES);
        let aad = Aad::from(authenticated(header, self.me));
        let mut bytes = body.to_vec();
        let length = cipher
            .open_in_place(nonce(head.number), aad, &mut bytes)
            .map_err(|_| OpenError::Forged)?
            .len();
        bytes.truncate(length);
        self.note(head, fresh);
        Ok(Opened {
            from: head.sender,
            bytes,
        })
    }

    /// Remembers an authentic packet. Before this nothing of it had an effect.
    fn note(&mut self, head: Head, fresh: Option<LessSafeKey>) {
        self.clock += 1;
        if let Some(sender) = self.senders.get_mut(&head.sender) {
            sender.window.accept(head.number);
            sender.heard = self.clock;
            if let Some(fresh) = fresh {
                sender.key = (head.key, fresh);
            }
            return;
        }
        let Some(fresh) = fresh else { return };
        if self.senders.len() >= SENDERS_MAX {
            let oldest = self.senders.iter().min_by_key(|(_, sender)| sender.heard);
            if let Some(oldest) = oldest.map(|(boot, _)| *boot) {
                self.senders.remove(&oldest);
            }
        }
        let mut window = ReplayWindow::default();
        window.accept(head.number);
        let sender = Sender {
            window,
            heard: self.clock,
            key: (head.key, fresh),
        };
        self.senders.insert(head.sender, sender);
    }
}

#[derive(Clone, Copy)]
struct Head {
    key: KeyId,
    sender: BootId,
    number: u64,
}

impl Head {
    fn parse(packet: &[u8]) -> Result<Self, OpenError> {
        let bytes = packet.len();
        if !(SEAL_BYTES..=PACKET_BYTES_MAX).contains(&bytes) {
            return Err(OpenError::Length { bytes });
        }
        let short = || OpenError::Length { bytes };
        let (version, rest) = packet.split_first().ok_or_else(short)?;
        if *version != VERSION {
            return Err(OpenError::Version { found: *version });
        }
        let (key, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (sender, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
        let (number, _) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        Ok(Self {
            key: KeyId(u32::from_be_bytes(*key)),
            sender: BootId(u128::from_be_bytes(*sender)),
            number: u64::from_be_bytes(*number),
        })
    }
}

fn derive(key: &GossipKey, sender: BootId) -> Option<LessSafeKey> {
    let salt = Salt::new(HKDF_SHA256, b"swarm gossip 1");
    let secret = salt.extract(key.expose());
    let sender = sender.0.to_be_bytes();
    let info = [sender.as_slice()];
    let derived = secret.expand(&info, &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(derived)))
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(nonce)
}

fn authenticated(header: &[u8], receiver: BootId) -> [u8; HEADER_BYTES + 16] {
    let mut bytes = [0; HEADER_BYTES + 16];
    for (to, from) in bytes
        .iter_mut()
        .zip(header.iter().chain(&receiver.0.to_be_bytes()))
    {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealer(boot: u128, key: u8) -> Sealer {
        Sealer::new(BootId(boot), KeyRing::new(GossipKey::new([key; 32])))
    }

    fn opened(from: u128, bytes: &[u8]) -> Result<Opened, OpenError> {
        Ok(Opened {
            from: BootId(from),
            bytes: bytes.to_vec(),
        })
    }

    #[test]
    fn a_packet_opens_once_at_the_process_it_was_meant_for() {
        let (mut a, mut b, mut c) = (sealer(1, 7), sealer(2, 7), sealer(3, 7));
        let packet = a.seal(BootId(2), b"hello").expect("seals");
        assert_eq!(packet.len(), 5 + SEAL_BYTES);
        assert_eq!(c.open(&packet), Err(OpenError::Forged));
        assert_eq!(b.open(&packet), opened(1, b"hello"));
        let (sender, number) = (BootId(1), 1);
        assert_eq!(b.open(&packet), Err(OpenError::Replayed { sender, number }));
    }

    #[test]
    fn packets_open_in_any_order_within_the_window() {
        let (mut a, mut b) = (sealer(1, 7), sealer(2, 7));
        let packets: Vec<_> = (0..600)
            .map(|_| a.seal(BootId(2), b"x").expect("seals"))
            .collect();
        assert_eq!(b.open(&packets[599]), opened(1, b"x"));
        assert_eq!(b.open(&packets[200]), opened(1, b"x"));
        assert!(matches!(
            b.open(&packets[100]),
            Err(OpenError::Replayed { .. })
        ));
    }

    #[test]
    fn a_foreign_key_and_a_foreign_version_are_named() {
        let (mut a, mut b) = (sealer(1, 8), sealer(2, 7));
        let mut packet = a.seal(BootId(2), b"hello").expect("seals");
        let id = GossipKey::new([8; 32]).id();
        assert_eq!(b.open(&packet), Err(OpenError::UnknownKey { id }));
        packet[0] = 9;
        assert_eq!(b.open(&packet), Err(OpenError::Version { found: 9 }));
        assert_eq!(b.open(&[]), Err(OpenError::Length { bytes: 0 }));
        let bytes = 70_000;
        assert_eq!(b.open(&vec![1; bytes]), Err(OpenError::Length { bytes }));
        assert_eq!(
            a.seal(BootId(2), &vec![1; bytes]),
            Err(SealError::TooLong { bytes })
        );
    }

    #[test]
    fn a_rotation_loses_no_packet() {
        let (mut a, mut b) = (sealer(1, 7), sealer(2, 7));
        let under_way = a.seal(BootId(2), b"old").expect("seals");
        let (old, new) = (a.ring().in_use(), GossipKey::new([9; 32]));
        for node in [&mut a, &mut b] {
            node.ring_mut().install(new.clone()).expect("there is room");
        }
        for node in [&mut a, &mut b] {
            node.ring_mut().use_key(new.id()).expect("installed");
        }
        let next = a.seal(BootId(2), b"new").expect("seals");
        assert_eq!(b.open(&next), opened(1, b"new"));
        assert_eq!(b.open(&under_way), opened(1, b"old"));
        b.ring_mut().remove(old).expect("not in use");
        let late = sealer(1, 7).seal(BootId(2), b"late").expect("seals");
        assert_eq!(b.open(&late), Err(OpenError::UnknownKey { id: old }));
    }

    #[test]
    fn a_forged_packet_does_not_move_the_window() {
        let (mut a, mut b) = (sealer(1, 7), sealer(2, 7));
        let honest = a.seal(BootId(2), b"1").expect("seals");
        assert_eq!(b.open(&honest), opened(1, b"1"));
        let mut forged = a.seal(BootId(2), b"2").expect("seals");
        forged[21..29].copy_from_slice(&u64::MAX.to_be_bytes());
        assert_eq!(b.open(&forged), Err(OpenError::Forged));
        let honest = a.seal(BootId(2), b"3").expect("seals");
        assert_eq!(b.open(&honest), opened(1, b"3"));
    }

    proptest! {
        #[test]
        fn no_changed_bit_and_no_cut_opens(
            message in proptest::collection::vec(any::<u8>(), 0..100),
            bit in any::<proptest::sample::Index>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let (mut a, mut b) = (sealer(1, 7), sealer(2, 7));
            let packet = a.seal(BootId(2), &message).expect("seals");
            let mut changed = packet.clone();
            let bit = bit.index(packet.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(b.open(&changed).is_err());
            prop_assert!(b.open(&packet[..cut.index(packet.len())]).is_err());
            prop_assert!(b.senders.is_empty(), "nothing is remembered of what is not authentic");
            prop_assert_eq!(b.open(&packet), opened(1, &message));
        }

        #[test]
        fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
            let mut b = sealer(2, 7);
            prop_assert!(b.open(&bytes).is_err());
            let mut with_key = vec![VERSION];
            with_key.extend_from_slice(&b.ring().in_use().0.to_be_bytes());
            with_key.extend_from_slice(&bytes);
            prop_assert!(b.open(&with_key).is_err());
        }
    }

    #[test]
    fn what_the_version_before_sealed_opens() {
        let all = include_str!("../../tests/fixtures/wire-1.txt");
        let line = all
            .lines()
            .find_map(|line| line.strip_prefix("gossip-packet "));
        let hex = line.expect("it was recorded").as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let packet: Vec<u8> = hex.chunks(2).map(|pair| byte(pair).expect("hex")).collect();
        assert_eq!(
            sealer(2, 7).open(&packet),
            opened(1, b"a packet of membership")
        );
    }
}

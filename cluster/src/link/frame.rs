//! Frames: what a connection is made of. Each is a length (u32, little endian, of what follows), a kind (one byte), a postcard
//! header, and for chunks the bytes themselves.
//!
//! Decoding is total: any input gives a frame, "not yet", or an error, in time and memory that the length cap bounds; the cap is
//! checked before anything is allocated.

use super::{CHUNK_BYTES, Hello, MESSAGE_BYTES_MAX};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use swarm_protocols::Address;

/// The longest frame, without its length: a full chunk and a generous header.
pub const FRAME_BYTES_MAX: usize = CHUNK_BYTES + 1024;
/// How many receivers one `Released` names at most.
pub const RELEASED_MAX: usize = 32;

const LENGTH_BYTES: usize = 4;
const KIND_HELLO: u8 = 1;
const KIND_CHUNK: u8 = 2;
const KIND_RELEASED: u8 = 3;
const KIND_ACK: u8 = 4;
const KIND_PING: u8 = 5;
const KIND_PONG: u8 = 6;
const KIND_GOODBYE: u8 = 7;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first frame of each side.
    Hello(Box<Hello>),
    /// Something that arrives once, whatever connections break, under its number in this epoch. The first is 1.
    Item(u64, Item),
    /// All items up to this number have been received.
    Ack(u64),
    /// Asks for a pong.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
    /// The last frame: why the connection is being closed.
    Goodbye(Goodbye),
}

/// What is numbered, kept until it is acknowledged, and sent again on the next connection if need be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message or a piece of one.
    Chunk(Chunk),
    /// Mailboxes have taken messages: there is room for more.
    Released(Vec<Released>),
}

/// A message, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Who sent the message.
    pub sender: Address,
    /// Whom it is for.
    pub receiver: Address,
    /// Which piece it is.
    pub part: Part,
    /// The bytes.
    pub bytes: Bytes,
}

/// Which piece of a message a chunk is. The pieces of one message are not mixed with others of the same pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first piece of a message of so many bytes.
    First(u32),
    /// One in between.
    Middle,
    /// The last piece.
    Last,
}

/// So much of what was under way to a receiver has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The receiver.
    pub receiver: [u8; 16],
    /// How many messages.
    pub messages: u32,
    /// What they counted ([`super::Message::weight`]).
    pub bytes: u32,
}

/// Why a side closes a connection on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Goodbye {
    /// There is another connection for this lane, or will be in a moment: both sides dialled at once.
    #[error("another connection is in use")]
    Superseded,
    /// The node shuts down.
    #[error("the node is leaving")]
    Leaving,
    /// No version in common. With what this side speaks, oldest and newest.
    #[error("it speaks link versions {} to {}", .0.0, .0.1)]
    Version((u16, u16)),
    /// It belongs to another cluster.
    #[error("it belongs to another cluster")]
    OtherCluster,
    /// It is not the node that was looked for.
    #[error("it is another node")]
    OtherNode,
    /// The peer is on the deny-list.
    #[error("this node has been evicted")]
    Evicted,
    /// The peer broke the protocol.
    #[error("the protocol was broken")]
    Violation,
}

/// Why bytes are no frame. The connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any frame.
    #[error("a frame of {bytes} bytes, more than {FRAME_BYTES_MAX}")]
    TooLong {
        /// How long it says it is.
        bytes: usize,
    },
    /// No kind that this version knows.
    #[error("a frame of unknown kind {kind}")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// Not what a frame of this kind looks like.
    #[error("a malformed frame of kind {kind}")]
    Malformed {
        /// The kind.
        kind: u8,
    },
}

/// Length, kind, and the longest header of a chunk: a number, two addresses and a part.
const CHUNK_HEAD_MAX: usize = LENGTH_BYTES + 1 + 10 + 32 + 6;

impl Frame {
    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => put(out, KIND_HELLO, hello),
            Self::Item(number, Item::Chunk(chunk)) => put_chunk(
                out,
                *number,
                (chunk.sender, chunk.receiver),
                chunk.part,
                &chunk.bytes,
            ),
            Self::Item(number, Item::Released(released)) => put_released(out, *number, released),
            Self::Ack(number) => put(out, KIND_ACK, number),
            Self::Ping(token) => put(out, KIND_PING, token),
            Self::Pong(token) => put(out, KIND_PONG, token),
            Self::Goodbye(goodbye) => put(out, KIND_GOODBYE, goodbye),
        }
    }

    fn decode(mut frame: Bytes) -> Result<Self, DecodeError> {
        let Some(&kind) = frame.first() else {
            return Err(DecodeError::Malformed { kind: 0 });
        };
        frame.advance(1);
        match kind {
            KIND_HELLO => whole(kind, &frame).map(|hello| Self::Hello(Box::new(hello))),
            KIND_CHUNK => decode_chunk(frame),
            KIND_RELEASED => {
                let (number, released): (u64, Vec<Released>) = whole(kind, &frame)?;
                if released.len() > RELEASED_MAX {
                    return Err(DecodeError::Malformed { kind });
                }
                Ok(Self::Item(number, Item::Released(released)))
            }
            KIND_ACK => whole(kind, &frame).map(Self::Ack),
            KIND_PING => whole(kind, &frame).map(Self::Ping),
            KIND_PONG => whole(kind, &frame).map(Self::Pong),
            KIND_GOODBYE => whole(kind, &frame).map(Self::Goodbye),
            kind => Err(DecodeError::UnknownKind { kind }),
        }
    }
}

fn put<T: Serialize>(out: &mut BytesMut, kind: u8, header: &T) {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u8(kind);
    // Serializing plain data into a buffer that grows cannot fail; a frame cut short would be refused by the other side.
    let mut writer = (&mut *out).writer();
    let written = postcard::to_io(header, &mut writer);
    debug_assert!(written.is_ok(), "plain data serializes");
    let length = u32::try_from(out.len() - start - LENGTH_BYTES).unwrap_or(u32::MAX);
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends the frame of a [`Item::Released`].
pub(super) fn put_released(out: &mut BytesMut, number: u64, released: &[Released]) {
    put(out, KIND_RELEASED, &(number, released));
}

/// Appends the frame of a chunk. By hand, as it is what is written for every message: postcard goes through addresses byte by byte.
pub(super) fn put_chunk(
    out: &mut BytesMut,
    number: u64,
    (sender, receiver): (Address, Address),
    part: Part,
    bytes: &[u8],
) {
    let mut head = [0; CHUNK_HEAD_MAX];
    head[LENGTH_BYTES] = KIND_CHUNK;
    let mut at = put_varint(&mut head, LENGTH_BYTES + 1, number);
    for address in [sender, receiver] {
        head[at..at + 16].copy_from_slice(&address.0.to_le_bytes());
        at += 16;
    }
    (head[at], at) = match part {
        Part::Whole => (0, at + 1),
        Part::First(total) => (1, put_varint(&mut head, at + 1, total.into())),
        Part::Middle => (2, at + 1),
        Part::Last => (3, at + 1),
    };
    let length = u32::try_from(at - LENGTH_BYTES + bytes.len()).unwrap_or(u32::MAX);
    head[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    out.reserve(at + bytes.len());
    out.put_slice(&head[..at]);
    out.put_slice(bytes);
}

/// Writes a number at `at` as postcard does, seven bits to a byte; where it ends.
fn put_varint(to: &mut [u8; CHUNK_HEAD_MAX], mut at: usize, mut number: u64) -> usize {
    while number >= 0x80 {
        to[at] = (number & 0x7f) as u8 | 0x80;
        number >>= 7;
        at += 1;
    }
    to[at] = number as u8;
    at + 1
}

/// All of `bytes` must be one value: what is left over would be a field that nobody checked.
fn whole<'a, T: Deserialize<'a>>(kind: u8, bytes: &'a [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(DecodeError::Malformed { kind }),
    }
}

fn decode_chunk(mut frame: Bytes) -> Result<Frame, DecodeError> {
    let malformed = DecodeError::Malformed { kind: KIND_CHUNK };
    let (number, pair, part, rest) = chunk_header(&frame).ok_or_else(|| malformed.clone())?;
    frame.advance(frame.len() - rest);
    let fits = match part {
        Part::First(total) => {
            let total = total as usize;
            total <= MESSAGE_BYTES_MAX && frame.len() < total
        }
        Part::Whole | Part::Middle | Part::Last => true,
    };
    if !fits || frame.len() > CHUNK_BYTES {
        return Err(malformed);
    }
    Ok(Frame::Item(
        number,
        Item::Chunk(Chunk {
            sender: pair.0,
            receiver: pair.1,
            part,
            bytes: frame,
        }),
    ))
}

/// The number, sender and receiver, and part of a chunk, and how many bytes are left of the frame.
fn chunk_header(frame: &[u8]) -> Option<(u64, (Address, Address), Part, usize)> {
    let (number, rest) = postcard::take_from_bytes(frame).ok()?;
    let (sender, rest) = rest.split_first_chunk()?;
    let (receiver, rest) = rest.split_first_chunk()?;
    let (part, rest) = postcard::take_from_bytes(rest).ok()?;
    let pair = (
        Address(u128::from_le_bytes(*sender)),
        Address(u128::from_le_bytes(*receiver)),
    );
    Some((number, pair, part, rest.len()))
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Where to put what the network gave. Never holds more than one unfinished frame and what was read last.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// [`DecodeError`]: the connection must be closed.
    pub fn frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(DecodeError::TooLong { bytes: length });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        Frame::decode(self.buffer.split_to(length).freeze()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> Vec<Frame> {
        let chunk = |part, bytes: &[u8]| {
            Frame::Item(
                7,
                Item::Chunk(Chunk {
                    sender: Address(0),
                    receiver: Address(u128::MAX),
                    part,
                    bytes: Bytes::copy_from_slice(bytes),
                }),
            )
        };
        vec![
            chunk(Part::Whole, b""),
            chunk(Part::Whole, &[3; CHUNK_BYTES]),
            chunk(Part::First(3), b"ab"),
            chunk(Part::Middle, b"x"),
            chunk(Part::Last, b"y"),
            Frame::Item(
                u64::MAX,
                Item::Released(vec![Released {
                    receiver: [9; 16],
                    messages: 1,
                    bytes: 70,
                }]),
            ),
            Frame::Ack(300),
            Frame::Ping(1),
            Frame::Pong(2),
            Frame::Goodbye(Goodbye::Version((1, 2))),
        ]
    }

    #[test]
    fn a_chunks_header_is_what_postcard_makes_of_its_parts() {
        let (sender, receiver) = (Address(u128::MAX - 7), Address(3));
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            for part in [
                Part::Whole,
                Part::First(0),
                Part::First(u32::MAX),
                Part::Middle,
                Part::Last,
            ] {
                let mut wire = BytesMut::new();
                put_chunk(&mut wire, number, (sender, receiver), part, b"text");
                let header = (
                    number,
                    sender.0.to_le_bytes(),
                    receiver.0.to_le_bytes(),
                    part,
                );
                let mut by_postcard = vec![KIND_CHUNK];
                by_postcard.extend(postcard::to_allocvec(&header).expect("plain data"));
                by_postcard.extend(b"text");
                let length = u32::try_from(by_postcard.len()).expect("short");
                assert_eq!(wire[..4], length.to_le_bytes());
                assert_eq!(wire[4..], by_postcard);
            }
        }
    }

    fn decode_all(bytes: &[u8], step: usize) -> Result<Vec<Frame>, DecodeError> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for piece in bytes.chunks(step.max(1)) {
            decoder.buffer().extend_from_slice(piece);
            while let Some(frame) = decoder.frame()? {
                out.push(frame);
            }
        }
        Ok(out)
    }

    #[test]
    fn frames_survive_the_wire_in_whatever_pieces_they_arrive() {
        let mut wire = BytesMut::new();
        for frame in frames() {
            frame.encode(&mut wire);
        }
        for step in [1, 3, 1000, wire.len()] {
            assert_eq!(decode_all(&wire, step), Ok(frames()));
        }
    }

    #[test]
    fn a_length_beyond_the_cap_is_refused_before_its_bytes_arrive() {
        let mut decoder = Decoder::default();
        decoder.buffer().put_u32_le(u32::MAX);
        assert_eq!(
            decoder.frame(),
            Err(DecodeError::TooLong {
                bytes: u32::MAX as usize
            })
        );
    }

    #[test]
    fn a_first_piece_of_a_message_beyond_the_cap_is_refused() {
        let mut wire = BytesMut::new();
        Frame::Item(
            1,
            Item::Chunk(Chunk {
                sender: Address(1),
                receiver: Address(2),
                part: Part::First(u32::MAX),
                bytes: Bytes::from_static(b"x"),
            }),
        )
        .encode(&mut wire);
        assert_eq!(
            decode_all(&wire, 9),
            Err(DecodeError::Malformed { kind: KIND_CHUNK })
        );
    }

    proptest! {
        #[test]
        fn whatever_bytes_arrive_decoding_ends_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
            step in 1usize..64,
        ) {
            drop(decode_all(&bytes, step));
        }

        #[test]
        fn garbled_and_truncated_frames_are_refused_or_read_as_other_frames(
            which in 0usize..10, at in 0usize..64, flip in 1u8..255, cut in 0usize..64,
        ) {
            let mut wire = BytesMut::new();
            frames()[which].encode(&mut wire);
            let at = at % wire.len();
            wire[at] ^= flip;
            let end = wire.len() - cut.min(wire.len());
            drop(decode_all(&wire[..end], 7));
        }
    }

    /// What a build that spoke wire version 1 wrote, recorded from that build.
    fn recorded(what: &str) -> Vec<u8> {
        let all = include_str!("../../tests/fixtures/wire-1.txt");
        let line = all
            .lines()
            .find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
        let hex = line.expect("it was recorded").as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        hex.chunks(2).map(|pair| byte(pair).expect("hex")).collect()
    }

    #[test]
    fn what_the_version_before_wrote_is_read() {
        use crate::identity::{BootId, NodeId};
        use crate::link::{Goodbye, Lane, Limits};
        let name = |text| swarm_protocols::Name::new(text).expect("valid");
        let hello = Hello {
            versions: (1, 1),
            cluster: 0xc1,
            node: NodeId {
                name: name("n1"),
                boot: BootId(11),
            },
            to: name("n2"),
            lane: Lane::Bulk,
            epoch: 3,
            peer_epoch: 2,
            peer_boot: Some(BootId(22)),
            received: 17,
            limits: Limits::default(),
        };
        let chunk = |part, bytes: &'static [u8]| {
            let (sender, receiver, bytes) = (Address(1), Address(2), Bytes::from_static(bytes));
            Frame::Item(
                7,
                Item::Chunk(Chunk {
                    sender,
                    receiver,
                    part,
                    bytes,
                }),
            )
        };
        let frames = [
            ("frame-hello", Frame::Hello(Box::new(hello))),
            ("frame-whole", chunk(Part::Whole, b"hello")),
            ("frame-first", chunk(Part::First(9), b"ab")),
            ("frame-last", chunk(Part::Last, b"cd")),
            ("frame-ack", Frame::Ack(300)),
            ("frame-ping", Frame::Ping(4)),
            ("frame-pong", Frame::Pong(4)),
            ("frame-goodbye", Frame::Goodbye(Goodbye::Version((1, 1)))),
        ];
        for (what, frame) in frames {
            let mut decoder = Decoder::default();
            decoder.buffer().extend_from_slice(&recorded(what));
            assert_eq!(decoder.frame(), Ok(Some(frame)), "{what}");
        }
    }
}

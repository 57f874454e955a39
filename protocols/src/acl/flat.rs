//! Resolvers as `serde` sees them: one list in which each says how deep it stands.
//!
//! A list within a list would let a few thousand bytes nest so deeply that reading them overflows the stack, which ends
//! the process. This form is read without recursion, and no deeper than text is.

use super::Aid;
use super::codec::Limits;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use thin_vec::ThinVec;

/// One resolver without its own resolvers, which follow it with a greater depth.
#[derive(Serialize, Deserialize)]
struct Flat<'a> {
    depth: usize,
    name: Cow<'a, str>,
    addresses: Cow<'a, [String]>,
    user_slots: Cow<'a, [(String, String)]>,
}

pub(super) fn serialize<S: Serializer>(resolvers: &[Aid], to: S) -> Result<S::Ok, S::Error> {
    let depth_max = Limits::default().depth_max;
    let mut list = Vec::new();
    let mut left: Vec<(usize, &Aid)> = resolvers.iter().rev().map(|aid| (0, aid)).collect();
    while let Some((depth, aid)) = left.pop() {
        if depth >= depth_max {
            return Err(S::Error::custom("resolvers nested too deeply"));
        }
        list.push(Flat {
            depth,
            name: Cow::Borrowed(&aid.name),
            addresses: Cow::Borrowed(&aid.addresses),
            user_slots: Cow::Borrowed(&aid.user_slots),
        });
        left.extend(aid.resolvers.iter().rev().map(|aid| (depth + 1, aid)));
    }
    list.serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ThinVec<Aid>, D::Error> {
    let depth_max = Limits::default().depth_max;
    let list = Vec::<Flat<'_>>::deserialize(from)?;
    // From the innermost out: when one comes, all of its own have come before it, at the depth below.
    let mut waiting: Vec<ThinVec<Aid>> = vec![ThinVec::new()];
    let mut depth_before = None;
    for flat in &list {
        let deepest = depth_before.map_or(0, |before: usize| before + 1);
        if flat.depth > deepest || flat.depth >= depth_max {
            return Err(D::Error::custom("a resolver at a depth where none can be"));
        }
        depth_before = Some(flat.depth);
    }
    for flat in list.into_iter().rev() {
        waiting.resize_with(waiting.len().max(flat.depth + 2), ThinVec::new);
        let mut resolvers = std::mem::take(&mut waiting[flat.depth + 1]);
        resolvers.reverse();
        waiting[flat.depth].push(Aid {
            name: flat.name.into(),
            addresses: flat.addresses.into_owned().into(),
            resolvers,
            user_slots: flat.user_slots.into_owned().into(),
        });
    }
    let mut resolvers = waiting.swap_remove(0);
    resolvers.reverse();
    Ok(resolvers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, resolvers: Vec<Aid>) -> Aid {
        Aid {
            resolvers: resolvers.into(),
            ..Aid::named(name)
        }
    }

    #[test]
    fn resolvers_of_resolvers_read_back_in_their_places() {
        let inner = with("b", vec![Aid::named("c"), with("d", vec![Aid::named("e")])]);
        let aid = with("a", vec![inner, Aid::named("f")]);
        let bytes = postcard::to_allocvec(&aid).expect("to postcard");
        let read: Aid = postcard::from_bytes(&bytes).expect("from postcard");
        assert!(read.is_identical(&aid), "{read:?}");
        let text = serde_json::to_string(&aid).expect("to json");
        let read: Aid = serde_json::from_str(&text).expect("from json");
        assert!(read.is_identical(&aid), "{read:?}");
    }

    #[test]
    fn what_is_nested_too_deeply_is_neither_written_nor_read() {
        let mut deep = Aid::named("a");
        for _ in 0..40 {
            deep = with("a", vec![deep]);
        }
        assert!(postcard::to_allocvec(&deep).is_err());
        for depths in [&[1_u8][..], &[0, 2], &[0, 1, 3]] {
            let entries = depths.iter().flat_map(|depth| [*depth, 1, b'r', 0, 0]);
            let head = [1, b'a', 0, u8::try_from(depths.len()).expect("few")];
            let bytes: Vec<u8> = head.into_iter().chain(entries).chain([0]).collect();
            assert!(postcard::from_bytes::<Aid>(&bytes).is_err(), "{depths:?}");
        }
        let mut long: Vec<u8> = vec![1, b'a', 0, 0xff, 0xff, 0x03];
        for depth in 0..u8::MAX {
            long.extend([depth, 1, b'r', 0, 0]);
        }
        assert!(postcard::from_bytes::<Aid>(&long).is_err());
    }
}

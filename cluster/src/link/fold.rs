//! A hash for addresses.

use std::hash::{BuildHasherDefault, Hasher};

/// Without keys, so that two runs are alike. Nothing depends on the order within these maps, how many entries there are is bounded by
/// [`Limits`](super::Limits), and a peer cannot put any in: each is for something that was sent here.
pub(super) type Fixed = BuildHasherDefault<Fold>;

/// Multiplies what is to be hashed into what was hashed before, and folds the halves. Addresses are random or counted up; both are spread.
#[derive(Default)]
pub(super) struct Fold(u64);

/// An odd number without a pattern: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Fold {
    fn add(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value ^ SPREAD.rotate_left(17)) * u128::from(SPREAD);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(u64::from(*byte));
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.add(value as u64);
        self.add((value >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::hash::BuildHasher;
    use swarm_protocols::Address;

    #[test]
    fn addresses_that_were_counted_up_fall_into_different_places() {
        for shift in [0, 8, 32, 64, 96] {
            let hashes = (0..1024_u128).map(|n| Fixed::default().hash_one(Address(n << shift)));
            let places: BTreeSet<u64> = hashes.map(|hash| hash & 1023).collect();
            assert!(places.len() > 500, "{} places at {shift}", places.len());
        }
    }
}

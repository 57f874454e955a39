//! Which of a sender's packets have been opened: the sliding window of RFC 6479.

const WORDS: u64 = 8;
const WORD_BITS: u64 = 64;
/// How far behind the newest packet one may arrive and still be opened.
pub(super) const WINDOW: u64 = (WORDS - 1) * WORD_BITS;

/// Accepts each number once, in any order, as long as it is not too far behind the highest. Numbers begin with 1.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplayWindow {
    highest: u64,
    seen: [u64; WORDS as usize],
}

impl ReplayWindow {
    /// Whether `number` may be accepted. Changes nothing: a forged packet must not move the window.
    pub(super) fn is_new(&self, number: u64) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            return true;
        }
        let (word, bit) = place(number);
        self.highest - number < WINDOW && self.seen[word] & bit == 0
    }

    pub(super) fn accept(&mut self, number: u64) {
        if number > self.highest {
            let (from, to) = (self.highest / WORD_BITS, number / WORD_BITS);
            for index in from + 1..=to.min(from + WORDS) {
                self.seen[(index % WORDS) as usize] = 0;
            }
            self.highest = number;
        }
        let (word, bit) = place(number);
        self.seen[word] |= bit;
    }
}

fn place(number: u64) -> (usize, u64) {
    let word = (number / WORD_BITS) % WORDS;
    (word as usize, 1 << (number % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_number_is_accepted_once_and_only_near_the_highest(
            numbers in proptest::collection::vec(prop_oneof![0..1500u64, (0..40u64).prop_map(|n| n * 100), Just(u64::MAX)], 0..300)
        ) {
            let mut window = ReplayWindow::default();
            let mut accepted = BTreeSet::new();
            for number in numbers {
                let highest = accepted.last().copied().unwrap_or(0);
                let expected = number > 0
                    && !accepted.contains(&number)
                    && (number > highest || highest - number < WINDOW);
                prop_assert_eq!(window.is_new(number), expected, "{} after {:?}", number, accepted);
                if expected {
                    window.accept(number);
                    accepted.insert(number);
                }
            }
        }
    }
}

//! A set of stream numbers, which are dense from 1: one flag each, and those that are in it.

/// A set whose insertion costs no search. Takes a byte for each number up to the highest that was ever in it.
#[derive(Debug, Default)]
pub(crate) struct NumberSet {
    is_in: Vec<bool>,
    numbers: Vec<u64>,
}

impl NumberSet {
    /// Puts a number in. False when it was in it.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let at = number as usize;
        if at >= self.is_in.len() {
            self.is_in.resize(at + 1, false);
        }
        if std::mem::replace(&mut self.is_in[at], true) {
            return false;
        }
        self.numbers.push(number);
        true
    }

    /// Takes all of them out, in order.
    pub(crate) fn take(&mut self) -> Vec<u64> {
        let mut numbers = std::mem::take(&mut self.numbers);
        for number in &numbers {
            self.is_in[*number as usize] = false;
        }
        numbers.sort_unstable();
        numbers
    }
}

impl FromIterator<u64> for NumberSet {
    fn from_iter<T: IntoIterator<Item = u64>>(numbers: T) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_once_and_in_order() {
        let mut set: NumberSet = [5, 1, 5].into_iter().collect();
        assert!(set.insert(3));
        assert!(!set.insert(1));
        assert_eq!(set.take(), [1, 3, 5]);
        assert!(set.take().is_empty());
        assert!(set.insert(5));
    }
}

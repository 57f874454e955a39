//! News of our own that rides on SWIM's packets until it was sent often enough.

use std::collections::BTreeMap;

/// The most pieces of news kept. When full, what was sent most often gives way: push/pull repairs what was lost by that.
const NEWS_MAX: usize = 1024;

/// How many pieces that do not fit are passed over before a packet is taken for full.
const MISFITS_MAX: usize = 16;

/// Pieces of news by key, each with how often it was sent.
#[derive(Debug)]
pub(super) struct Spread<K> {
    news: BTreeMap<K, Piece>,
    /// The same by how often they were sent, and then by age.
    order: BTreeMap<(u8, u64), K>,
    counter: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    sent: u8,
    number: u64,
}

impl<K: Ord + Clone> Spread<K> {
    pub(super) fn new() -> Self {
        Self {
            news: BTreeMap::new(),
            order: BTreeMap::new(),
            counter: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.news.len()
    }

    /// Begins to spread `bytes`, in place of what was spread under the same key.
    pub(super) fn add(&mut self, key: K, bytes: Vec<u8>) {
        self.remove(&key);
        if self.news.len() >= NEWS_MAX
            && let Some((_, stalest)) = self.order.pop_last()
        {
            self.news.remove(&stalest);
        }
        self.counter += 1;
        self.insert(key, bytes, 0, self.counter);
    }

    /// The least sent pieces that fit into `room` bytes, at most 255 of them; each counts as sent once more, and is dropped after `limit` times.
    pub(super) fn take(&mut self, room: usize, limit: u8) -> Vec<Vec<u8>> {
        let (mut left, mut misfits) = (room, 0);
        let mut chosen = Vec::new();
        for key in self.order.values() {
            let bytes = self.news.get(key).map_or(0, |piece| piece.bytes.len());
            if bytes > left {
                misfits += 1;
                if misfits == MISFITS_MAX {
                    break;
                }
                continue;
            }
            left -= bytes;
            chosen.push(key.clone());
            if chosen.len() == usize::from(u8::MAX) {
                break;
            }
        }
        chosen
            .into_iter()
            .filter_map(|key| self.send(key, limit))
            .collect()
    }

    fn send(&mut self, key: K, limit: u8) -> Option<Vec<u8>> {
        let piece = self.remove(&key)?;
        let sent = piece.sent + 1;
        if sent >= limit {
            return Some(piece.bytes);
        }
        let bytes = piece.bytes.clone();
        self.insert(key, piece.bytes, sent, piece.number);
        Some(bytes)
    }

    fn insert(&mut self, key: K, bytes: Vec<u8>, sent: u8, number: u64) {
        self.order.insert((sent, number), key.clone());
        let piece = Piece {
            bytes,
            sent,
            number,
        };
        self.news.insert(key, piece);
    }

    fn remove(&mut self, key: &K) -> Option<Piece> {
        let piece = self.news.remove(key)?;
        self.order.remove(&(piece.sent, piece.number));
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_sent_as_often_as_the_limit_says() {
        let mut spread = Spread::new();
        spread.add(1, vec![1; 10]);
        for _ in 0..3 {
            assert_eq!(spread.take(100, 3).len(), 1);
        }
        assert!(spread.is_empty());
    }

    #[test]
    fn what_was_sent_least_goes_first_and_what_does_not_fit_waits() {
        let mut spread = Spread::new();
        spread.add(1, vec![1; 60]);
        assert_eq!(spread.take(100, 9), vec![vec![1; 60]]);
        spread.add(2, vec![2; 60]);
        assert_eq!(spread.take(100, 9), vec![vec![2; 60]]);
        assert_eq!(spread.take(120, 9).len(), 2);
    }

    #[test]
    fn a_full_queue_drops_what_was_sent_most() {
        let mut spread = Spread::new();
        spread.add(0, vec![0]);
        spread.take(10, 9);
        for key in 1..=NEWS_MAX {
            spread.add(key, vec![1]);
        }
        assert_eq!(spread.len(), NEWS_MAX);
        assert!(!spread.news.contains_key(&0));
    }
}

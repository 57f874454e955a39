//! The processes that an operator has thrown out.

use crate::identity::BootId;
use std::collections::{BTreeSet, VecDeque};

/// The most boot ids kept. When full, the oldest is forgotten: its certificate has run out long before 4096 further evictions.
pub(super) const DENIED_MAX: usize = 4096;

/// Boot ids that nobody in the cluster listens to any more. It only grows (up to its bound), so two lists merge by union.
#[derive(Debug, Default)]
pub(super) struct Denied {
    boots: BTreeSet<BootId>,
    order: VecDeque<BootId>,
}

impl Denied {
    pub(super) fn contains(&self, boot: BootId) -> bool {
        !self.boots.is_empty() && self.boots.contains(&boot)
    }

    /// False when it was there already.
    pub(super) fn insert(&mut self, boot: BootId) -> bool {
        if !self.boots.insert(boot) {
            return false;
        }
        self.order.push_back(boot);
        if self.order.len() > DENIED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.boots.remove(&oldest);
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = BootId> {
        self.order.iter().copied()
    }

    pub(super) fn digest(&self) -> u64 {
        self.boots.iter().fold(0, |sum, boot| {
            sum ^ super::peer::mix(boot.0 as u64 ^ (boot.0 >> 64) as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_forgets_the_oldest() {
        let mut denied = Denied::default();
        for boot in 0..=DENIED_MAX as u128 {
            assert!(denied.insert(BootId(boot)));
        }
        assert!(!denied.insert(BootId(1)));
        assert!(!denied.contains(BootId(0)) && denied.contains(BootId(DENIED_MAX as u128)));
        assert_eq!(denied.iter().count(), DENIED_MAX);
    }
}

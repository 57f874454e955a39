//! One suspicion: who holds it, and when it becomes a verdict (Lifeguard's LHA-Suspicion, and what a refused connection adds).

use super::{Parameters, Peer};
use crate::identity::BootId;
use std::collections::BTreeSet;
use std::time::Duration;

/// By how much poor health prolongs a suspicion at most where there are two members only. Each answer that does not come makes the health
/// worse and nobody can vouch for it, so that the score says no more than the suspicion itself.
const PAIR_FACTOR_MAX: u32 = 2;

/// A member that did not answer, and what speaks against it so far.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    pub(super) peer: Peer,
    /// SWIM's incarnation that is suspected; a higher one refutes.
    pub(super) incarnation: u16,
    pub(super) since: Duration,
    /// Added when this node itself stood still: what it did not hear then proves nothing.
    pub(super) stalled: Duration,
    /// Whether this node probed it in vain, rather than being told.
    pub(super) first_hand: bool,
    /// The earliest timer that is armed for it.
    pub(super) armed: Option<Duration>,
    suspected_by: BTreeSet<BootId>,
    refused_by: BTreeSet<BootId>,
}

impl Suspicion {
    pub(super) fn new(peer: Peer, incarnation: u16, since: Duration) -> Self {
        Self {
            peer,
            incarnation,
            since,
            stalled: Duration::ZERO,
            first_hand: false,
            armed: None,
            suspected_by: BTreeSet::new(),
            refused_by: BTreeSet::new(),
        }
    }

    /// Notes that `by` suspects it too, and whether its host refused `by` a connection. False when that is nothing new.
    ///
    /// Bounded: more than `confirmations` others make no difference, so they are not kept, and not passed on.
    pub(super) fn confirm(&mut self, by: BootId, refused: bool, parameters: &Parameters) -> bool {
        let bound = parameters.confirmations + 1;
        let mut news = self.suspected_by.len() < bound && self.suspected_by.insert(by);
        if refused && self.refused_by.len() < bound {
            news |= self.refused_by.insert(by);
        }
        news
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refused_by.is_empty()
    }

    /// When it becomes a verdict. `members` counts this node and the suspect, `others` those that could confirm it, as they are neither and
    /// not suspected themselves; `factor` is this node's local health.
    pub(super) fn deadline(
        &self,
        members: usize,
        others: usize,
        factor: u32,
        parameters: &Parameters,
    ) -> Duration {
        let confirmed = self.suspected_by.len().saturating_sub(1);
        let after = if self.is_refused() && (confirmed > 0 || others == 0) {
            if others == 0 {
                parameters.probe_period
            } else {
                parameters.refused_grace
            }
        } else {
            self.unanswered(confirmed, others, members, factor, parameters)
        };
        // Those who were only told leave the verdict to those who saw, unless these are gone.
        let after = if self.first_hand || self.is_refused() {
            after
        } else {
            after.mul_f64(1.25)
        };
        self.since + after + self.stalled
    }

    fn unanswered(
        &self,
        confirmed: usize,
        others: usize,
        members: usize,
        factor: u32,
        parameters: &Parameters,
    ) -> Duration {
        let (shortest, longest) = parameters.suspicion(members);
        let wanted = parameters.confirmations.min(others);
        if wanted == 0 {
            let most = if members == 2 {
                PAIR_FACTOR_MAX
            } else {
                u32::MAX
            };
            return shortest * factor.min(most);
        }
        if confirmed >= wanted {
            return shortest;
        }
        let share = 1.0 - ((confirmed + 1) as f64).ln() / ((wanted + 1) as f64).ln();
        shortest + (longest - shortest).mul_f64(share) * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeId;
    use crate::membership::Profile;
    use swarm_protocols::Name;

    fn suspicion(by: &[(u128, bool)]) -> Suspicion {
        let node = NodeId {
            name: Name::new("b").expect("valid"),
            boot: BootId(99),
        };
        let peer = Peer::new(node, 1, ([127, 0, 0, 1], 1).into());
        let mut suspicion = Suspicion::new(peer, 0, Duration::from_secs(100));
        suspicion.first_hand = true;
        for (boot, refused) in by {
            suspicion.confirm(BootId(*boot), *refused, &Profile::Lan.parameters());
        }
        suspicion
    }

    fn check(by: &[(u128, bool)], members: usize, factor: u32, seconds: f64) {
        let parameters = Profile::Lan.parameters();
        let after = suspicion(by).deadline(members, members.saturating_sub(2), factor, &parameters)
            - Duration::from_secs(100);
        assert!(
            (after.as_secs_f64() - seconds).abs() < 0.01,
            "{by:?} among {members}: {after:?}, expected {seconds} s"
        );
    }

    #[test]
    fn each_confirmation_shortens_a_suspicion_down_to_its_shortest() {
        check(&[(1, false)], 10, 1, 18.0);
        check(&[(1, false), (2, false)], 10, 1, 8.536);
        check(&[(1, false), (2, false), (3, false)], 10, 1, 3.0);
        check(&[(1, false), (2, false), (3, false)], 32, 1, 4.515);
    }

    #[test]
    fn the_same_witness_counts_once() {
        check(&[(1, false), (1, false), (1, false)], 10, 1, 18.0);
    }

    #[test]
    fn a_refused_connection_needs_one_confirmation_and_silence_all_of_them() {
        check(&[(1, true)], 10, 1, 18.0);
        check(&[(1, true), (2, false)], 10, 1, 0.25);
        check(&[(1, false), (2, true)], 10, 1, 0.25);
        check(&[(1, true)], 2, 1, 1.0);
        check(&[(1, false)], 2, 1, 3.0);
    }

    #[test]
    fn a_node_in_poor_health_waits_longer_unless_enough_others_agree() {
        check(&[(1, false)], 10, 4, 63.0);
        check(&[(1, false)], 2, 4, 6.0);
        check(&[(1, false), (2, false), (3, false)], 10, 4, 3.0);
    }

    #[test]
    fn nobody_waits_for_those_that_are_suspected_themselves() {
        let parameters = Profile::Lan.parameters();
        let after = |by: &[(u128, bool)], others, factor| {
            let deadline = suspicion(by).deadline(3, others, factor, &parameters);
            deadline - Duration::from_secs(100)
        };
        // The third one could confirm it, or is silent too.
        assert_eq!(after(&[(1, false)], 1, 8), Duration::from_secs(123));
        assert_eq!(after(&[(1, false)], 0, 8), Duration::from_secs(24));
        assert_eq!(after(&[(1, true)], 0, 8), Duration::from_secs(1));
    }

    #[test]
    fn hearsay_waits_a_quarter_longer_than_those_who_saw() {
        let parameters = Profile::Lan.parameters();
        let mut told = suspicion(&[(1, false)]);
        told.first_hand = false;
        let seen = suspicion(&[(1, false)]);
        assert!(told.deadline(10, 8, 1, &parameters) > seen.deadline(10, 8, 1, &parameters));
    }

    #[test]
    fn witnesses_beyond_those_that_count_are_not_kept() {
        let mut suspicion = suspicion(&[(1, false), (2, false), (3, false)]);
        let parameters = Profile::Lan.parameters();
        assert!(!suspicion.confirm(BootId(4), false, &parameters));
        assert_eq!(suspicion.suspected_by.len(), 3);
    }
}

//! How patient membership is. Four profiles, one table of their parameters.

use std::time::Duration;

/// A named set of [`Parameters`]. `docs/cluster.md` has the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// One data centre. The default.
    #[default]
    Lan,
    /// Between data centres: slow to judge, sparing with packets.
    Wan,
    /// One machine: round trips far below a millisecond.
    Local,
    /// Tests and demonstrations: a quarter of the times of `lan`, four times its packets, and more false verdicts under loss.
    Fast,
}

impl Profile {
    /// The parameters of this profile.
    #[must_use]
    pub fn parameters(self) -> Parameters {
        let lan = Parameters {
            probe_period: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            relays: 3,
            suspicion_periods: 3,
            suspicion_slack: 6,
            confirmations: 2,
            refused_grace: Duration::from_millis(250),
            gossip_interval: Duration::from_millis(100),
            gossip_fanout: 3,
            retransmit: 4,
            reconnect_interval: Duration::from_secs(3),
            exchange_interval: Duration::from_secs(2),
            settle: Duration::from_millis(400),
            remember_down: Duration::from_secs(24 * 3600),
            packet_bytes: 1152,
        };
        match self {
            Self::Lan => lan,
            Self::Wan => Parameters {
                probe_period: Duration::from_secs(5),
                probe_timeout: Duration::from_secs(3),
                suspicion_periods: 4,
                refused_grace: Duration::from_secs(1),
                gossip_interval: Duration::from_millis(500),
                gossip_fanout: 4,
                reconnect_interval: Duration::from_secs(10),
                exchange_interval: Duration::from_secs(10),
                settle: Duration::from_secs(2),
                ..lan
            },
            Self::Local => Parameters {
                probe_timeout: Duration::from_millis(200),
                suspicion_periods: 2,
                refused_grace: Duration::from_millis(100),
                gossip_interval: Duration::from_millis(50),
                retransmit: 3,
                reconnect_interval: Duration::from_secs(2),
                exchange_interval: Duration::from_secs(1),
                settle: Duration::from_millis(200),
                ..lan
            },
            Self::Fast => Parameters {
                probe_period: Duration::from_millis(250),
                probe_timeout: Duration::from_millis(100),
                suspicion_periods: 4,
                refused_grace: Duration::from_millis(50),
                gossip_interval: Duration::from_millis(50),
                reconnect_interval: Duration::from_secs(1),
                exchange_interval: Duration::from_millis(500),
                settle: Duration::from_millis(200),
                ..lan
            },
        }
    }
}

/// Every number that membership goes by. Nodes of one cluster should agree on them; nothing breaks when they differ, but the more hasty
/// node then judges the more patient ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// How often one member is probed. Every member is probed once in each round over all members, in random order.
    pub probe_period: Duration,
    /// How long a direct answer may take before relays and the peer link are tried. Below half of `probe_period` or so: what comes after
    /// it has to end within the period.
    pub probe_timeout: Duration,
    /// How many members are asked to probe indirectly, and to verify a refused connection.
    pub relays: usize,
    /// The shortest suspicion, in probe periods, for up to ten members; it grows with the decimal logarithm of their number.
    pub suspicion_periods: u32,
    /// How many times longer a suspicion lasts that nobody else confirms.
    pub suspicion_slack: u32,
    /// How many confirmations by others make a suspicion as short as it gets.
    pub confirmations: usize,
    /// How long a suspect whose host refused a connection has to speak up before one confirmation ends it.
    pub refused_grace: Duration,
    /// How often news is passed on while there is any. An idle cluster does not gossip.
    pub gossip_interval: Duration,
    /// To how many members at a time.
    pub gossip_fanout: usize,
    /// How often one piece of news is sent by one node: this times the number of decimal digits of the number of members.
    pub retransmit: u8,
    /// How often members that are down are written to, so that a healed partition is noticed: each about once by all members together, at
    /// most eight by one node.
    pub reconnect_interval: Duration,
    /// The shortest time between two full exchanges that this node begins.
    pub exchange_interval: Duration,
    /// How long this node's view must have stood still before a differing digest is taken for lost news.
    pub settle: Duration,
    /// How long a member that is down is remembered. One that left is forgotten after a minute.
    pub remember_down: Duration,
    /// The most bytes in one packet, before it is sealed. Sealing adds 45; 1197 fit any IPv6 path unfragmented.
    pub packet_bytes: usize,
}

impl Parameters {
    /// The shortest and the longest suspicion among `members` (this node included).
    #[must_use]
    pub fn suspicion(&self, members: usize) -> (Duration, Duration) {
        let scale = (members.max(1) as f64).log10().max(1.0);
        let shortest = (self.probe_period * self.suspicion_periods).mul_f64(scale);
        (shortest, shortest * self.suspicion_slack)
    }

    /// How often one piece of news is sent among `members`.
    #[must_use]
    pub fn transmissions(&self, members: usize) -> u8 {
        let digits = (members + 1).max(2).ilog10() as u8 + 1;
        self.retransmit.saturating_mul(digits).max(1)
    }
}

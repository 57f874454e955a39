//! The one place that drives foca. It collects what foca wants done, and keeps from it what would do harm.
//!
//! foca gives the rules of SWIM: probes, relays, refutation, dissemination. Its verdict timer never reaches it: a suspicion becomes a verdict
//! in `core`, and foca is told the outcome. So its handler for that timer, which tells members that refuted in time that they are down, is
//! never run.

use super::profile::Parameters;
use super::{Peer, peer};
use foca::{
    Config, Foca, Header, Member, Message, NoCustomBroadcast, OwnedNotification, PeriodicParams,
    PostcardCodec, State, Timer,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

/// What foca wants done, in order within each kind.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) packets: Vec<(Peer, Vec<u8>)>,
    pub(super) timers: Vec<(Timer<Peer>, Duration)>,
    pub(super) notes: Vec<OwnedNotification<Peer>>,
}

impl Wishes {
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.timers.is_empty() && self.notes.is_empty()
    }
}

impl foca::Runtime<Peer> for Wishes {
    fn notify(&mut self, notification: foca::Notification<'_, Peer>) {
        self.notes.push(notification.to_owned());
    }

    fn send_to(&mut self, to: Peer, data: &[u8]) {
        self.packets.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Peer>, after: Duration) {
        self.timers.push((event, after));
    }
}

/// The head and the updates of a packet's SWIM part.
pub(super) struct Parsed {
    pub(super) header: Header<Peer>,
    pub(super) updates: Vec<Member<Peer>>,
}

pub(super) struct Swim {
    foca: Foca<Peer, PostcardCodec, SmallRng, NoCustomBroadcast>,
    config: Config,
    wishes: Wishes,
}

impl Swim {
    pub(super) fn new(me: Peer, parameters: &Parameters, seed: u64) -> Self {
        let config = config(parameters);
        let rng = SmallRng::seed_from_u64(seed);
        Self {
            foca: Foca::new(me, config.clone(), rng, PostcardCodec),
            config,
            wishes: Wishes::default(),
        }
    }

    pub(super) fn me(&self) -> &Peer {
        self.foca.identity()
    }

    /// The number of members, without this node.
    pub(super) fn others(&self) -> usize {
        self.foca.num_members()
    }

    /// Every member that is known, down ones too, without this node.
    pub(super) fn records(&self) -> impl Iterator<Item = &Member<Peer>> {
        self.foca.iter_membership_state()
    }

    /// The members, without this node.
    pub(super) fn active(&self) -> impl Iterator<Item = &Member<Peer>> {
        self.foca.iter_members()
    }

    /// What is known of the place (the name) of `peer`.
    pub(super) fn record(&self, peer: &Peer) -> Option<&Member<Peer>> {
        use foca::Identity;
        let place = peer.addr();
        self.records().find(|record| record.id().addr() == place)
    }

    pub(super) fn backlog(&self) -> usize {
        self.foca.updates_backlog()
    }

    pub(super) fn take_wishes(&mut self) -> Wishes {
        std::mem::take(&mut self.wishes)
    }

    /// Hands a packet over. What foca refuses has no effect (and was parsed before, so this does not happen with honest peers).
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let _refused = self.foca.handle_data(bytes, &mut self.wishes);
    }

    pub(super) fn timer(&mut self, timer: Timer<Peer>) {
        let _stale = self.foca.handle_timer(timer, &mut self.wishes);
    }

    pub(super) fn apply(&mut self, updates: Vec<Member<Peer>>, pass_on: bool) {
        let _encode = self
            .foca
            .apply_many(updates.into_iter(), pass_on, &mut self.wishes);
    }

    pub(super) fn announce(&mut self, to: Peer) {
        let _encode = self.foca.announce(to, &mut self.wishes);
    }

    pub(super) fn rename(&mut self, me: Peer) {
        let _same = self.foca.change_identity(me, &mut self.wishes);
    }

    /// Sets how often an update is passed on. The other parameters cannot change while foca runs.
    pub(super) fn set_transmissions(&mut self, transmissions: u8) {
        let Some(transmissions) = NonZeroU8::new(transmissions) else {
            return;
        };
        if transmissions != self.config.max_transmissions {
            self.config.max_transmissions = transmissions;
            let _never = self.foca.set_config(self.config.clone());
        }
    }

    /// A digest of the members as this node sees them, itself with `incarnation` included. Equal views have equal digests.
    pub(super) fn digest(&self, incarnation: u16) -> u64 {
        let mine = digest_of(self.me(), incarnation);
        self.active().fold(mine, |sum, member| {
            sum ^ digest_of(member.id(), member.incarnation())
        })
    }
}

fn digest_of(member: &Peer, incarnation: u16) -> u64 {
    peer::mix(member.tag().wrapping_add(u64::from(incarnation)))
}

/// Reads the SWIM part of a packet; none when it is malformed.
pub(super) fn parse(bytes: &[u8]) -> Option<Parsed> {
    let (header, mut rest) = postcard::take_from_bytes::<Header<Peer>>(bytes).ok()?;
    let mut updates = Vec::new();
    if let Some((count, after)) = rest.split_first_chunk::<2>() {
        rest = after;
        for _ in 0..u16::from_be_bytes(*count) {
            let (update, after) = postcard::take_from_bytes::<Member<Peer>>(rest).ok()?;
            updates.push(update);
            rest = after;
        }
    }
    rest.is_empty().then_some(Parsed { header, updates })
}

/// Writes the SWIM part of a packet, as foca would; none when it cannot be encoded.
pub(super) fn write(header: &Header<Peer>, updates: &[Member<Peer>]) -> Option<Vec<u8>> {
    let mut bytes = postcard::to_allocvec(header).ok()?;
    if !updates.is_empty() {
        bytes.extend_from_slice(&u16::try_from(updates.len()).ok()?.to_be_bytes());
        for update in updates {
            bytes = postcard::to_extend(update, bytes).ok()?;
        }
    }
    Some(bytes)
}

/// The head of a packet that foca made.
pub(super) fn header(bytes: &[u8]) -> Option<Header<Peer>> {
    postcard::take_from_bytes(bytes)
        .ok()
        .map(|(header, _)| header)
}

/// The answer that foca would have had from `from`, had it come.
pub(super) fn answer(from: Peer, incarnation: u16, to: Peer, probe: u8) -> Option<Vec<u8>> {
    let header = Header {
        src: from,
        src_incarnation: incarnation,
        dst: to,
        message: Message::Ack(probe),
    };
    write(&header, &[])
}

pub(super) fn is_active(state: State) -> bool {
    match state {
        State::Alive | State::Suspect => true,
        State::Down => false,
    }
}

/// The most bytes of SWIM in one packet; the rest is for news of our own. Three identities with names of full length fit.
const SWIM_BYTES: usize = 800;

fn config(parameters: &Parameters) -> Config {
    let fanout = NonZeroUsize::new(parameters.gossip_fanout).unwrap_or(NonZeroUsize::MIN);
    Config {
        probe_period: parameters.probe_period,
        probe_rtt: parameters.probe_timeout,
        num_indirect_probes: NonZeroUsize::new(parameters.relays).unwrap_or(NonZeroUsize::MIN),
        max_transmissions: NonZeroU8::new(parameters.transmissions(1)).unwrap_or(NonZeroU8::MIN),
        // Never reaches foca again, see the module's documentation.
        suspect_to_down_after: parameters.probe_period,
        remove_down_after: Some(parameters.remember_down),
        max_packet_size: NonZeroUsize::new(SWIM_BYTES).unwrap_or(NonZeroUsize::MIN),
        notify_down_members: true,
        // Push/pull finds members, and `core` writes to those that are down.
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams {
            frequency: parameters.gossip_interval,
            num_members: fanout,
        }),
    }
}

//! The state of membership and its one entrance, [`Membership::handle`].

use super::changes::{Departed, Exit};
use super::denied::Denied;
use super::event::{Change, Decision, Event, LinkProbe};
use super::health::LocalHealth;
use super::probing::{Probing, Purpose};
use super::profile::Parameters;
use super::spread::Spread;
use super::suspicion::Suspicion;
use super::swim::{self, Swim};
use super::timers::Timers;
use super::wire;
use super::{Peer, exchange::Join};
use crate::identity::BootId;
use foca::{Header, Member, Message, Timer};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long a member that left is remembered: long enough for stale news of it to die out.
const REMEMBER_LEFT: Duration = Duration::from_secs(60);

/// Who is a member, as one node sees it: a function of (state, event, now). No clock, no socket, no task.
///
/// `now` is the time since an origin of the caller's choice, by a clock that never goes back. Each call returns what is to be done, in order;
/// [`next_wake`](Self::next_wake) says when [`Event::Tick`] is due.
pub struct Membership {
    pub(super) parameters: Parameters,
    pub(super) swim: Swim,
    pub(super) now: Duration,
    pub(super) health: LocalHealth,
    pub(super) phase: Phase,
    pub(super) join: Join,
    pub(super) probing: Option<Probing>,
    pub(super) link_probes: BTreeMap<LinkProbe, Purpose>,
    pub(super) link_probe_counter: u64,
    /// By place: there is one member of a name.
    pub(super) suspicions: BTreeMap<u64, Suspicion>,
    /// By place.
    pub(super) departed: BTreeMap<u64, Departed>,
    /// Since when those are members again that were held for down, by place: for as long as their word on others is doubted. Bounded by
    /// the members.
    pub(super) healed: BTreeMap<u64, Duration>,
    pub(super) denied: Denied,
    pub(super) spread: Spread<News>,
    /// SWIM's incarnation of this node, read off what foca sends.
    pub(super) incarnation: u16,
    pub(super) exchanged_at: Option<Duration>,
    /// Which rival was told of last.
    pub(super) name_taken_by: Option<BootId>,
    pub(super) counters: Counters,
    pub(super) out: Vec<Decision>,
    pub(super) rng: SmallRng,
    pub(super) timers: Timers<Due>,
    /// When `handle` was last called: what was due before and comes only now came late.
    pub(super) seen_at: Duration,
    pub(super) digest: u64,
    pub(super) digest_since: Duration,
    pub(super) digest_is_stale: bool,
    /// Why the member of a place is about to go, while foca is told.
    pub(super) exits: BTreeMap<u64, Exit>,
    /// foca's gossip timer, kept back while there is no news.
    pub(super) parked_gossip: Option<Timer<Peer>>,
    pub(super) gossip_is_armed: bool,
    pub(super) reconnect_is_armed: bool,
    /// The place of the member that is down and was written to last. At first any: nodes begin at different ones.
    pub(super) reconnected_to: u64,
    pub(super) broadcast_counter: u64,
    pub(super) heard: BTreeSet<(BootId, u64)>,
    pub(super) heard_order: VecDeque<(BootId, u64)>,
}

/// This node's own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A first node, or one that was not told to join.
    Alone,
    Joining,
    Member,
    Leaving,
    Departed,
}

/// What a piece of news is about; a newer piece with the same key takes its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Confirm(BootId, BootId),
    Left(BootId),
    Evicted(BootId),
    Broadcast(BootId, u64),
}

pub(super) enum Due {
    Swim(Timer<Peer>),
    Suspicion(Peer, u16),
    Gossip,
    Reconnect,
    Join,
    Departed,
}

/// What went wrong or was refused, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets and exchanges that did not parse.
    pub malformed: u64,
    /// Packets and exchanges whose content names another sender than their seal or certificate.
    pub forged: u64,
    /// Packets and exchanges of processes that were thrown out.
    pub denied: u64,
    /// Broadcasts longer than allowed.
    pub broadcasts_refused: u64,
    /// Verdicts on an older incarnation, which were ignored.
    pub stale_verdicts: u64,
    /// Suspicions that began here.
    pub suspicions: u64,
    /// Suspicions of this node that it refuted.
    pub refutations: u64,
    /// Times that this node found that it had stood still.
    pub stalls: u64,
    /// Full exchanges that this node began.
    pub exchanges: u64,
}

impl Membership {
    /// The membership of the node `me`, which knows nobody yet. `seed` drives every random choice.
    #[must_use]
    pub fn new(me: Peer, parameters: Parameters, seed: u64, now: Duration) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self {
            swim: Swim::new(me, &parameters, seed ^ 0x5eed),
            parameters,
            now,
            health: LocalHealth::default(),
            phase: Phase::Alone,
            join: Join::default(),
            probing: None,
            link_probes: BTreeMap::new(),
            link_probe_counter: 0,
            suspicions: BTreeMap::new(),
            departed: BTreeMap::new(),
            healed: BTreeMap::new(),
            denied: Denied::default(),
            spread: Spread::new(),
            incarnation: 0,
            exchanged_at: None,
            name_taken_by: None,
            counters: Counters::default(),
            out: Vec::new(),
            reconnected_to: rng.random(),
            rng,
            timers: Timers::new(),
            seen_at: now,
            digest: 0,
            digest_since: now,
            digest_is_stale: true,
            exits: BTreeMap::new(),
            parked_gossip: None,
            gossip_is_armed: false,
            reconnect_is_armed: false,
            broadcast_counter: 0,
            heard: BTreeSet::new(),
            heard_order: VecDeque::new(),
        }
    }

    /// Takes `members` for alive, without asking or telling anybody: for a node that knows them from elsewhere.
    ///
    /// Whoever of them is gone is found out by probing. The time for n members grows with n².
    pub fn assume(
        &mut self,
        members: impl IntoIterator<Item = Peer>,
        now: Duration,
    ) -> Vec<Decision> {
        self.now = self.now.max(now);
        let updates = members
            .into_iter()
            .filter(|peer| peer.name() != self.me().name())
            .map(Member::alive)
            .collect();
        self.swim.apply(updates, false);
        self.drain();
        self.arm_periodic();
        std::mem::take(&mut self.out)
    }

    /// Takes `event` in at `now` and says what to do about it. Never panics, whatever the bytes in `event` are.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Decision> {
        if self.phase == Phase::Departed {
            return Vec::new();
        }
        self.now = self.now.max(now);
        self.notice_stall();
        self.trust_the_healed();
        match event {
            Event::Packet { from, bytes } => self.packet(from, &bytes),
            Event::Link { from, bytes } => self.link(&from, &bytes),
            Event::LinkVerdict { probe, verdict } => self.link_verdict(probe, verdict),
            Event::LinkLost { node } => self.link_lost(&node),
            Event::Tick => self.tick(),
            Event::Join { contacts } => self.begin_join(contacts),
            Event::Seek { contact } => self.seek(contact),
            Event::Leave => self.leave(),
            Event::Evict { boot } => self.deny(boot),
            Event::Broadcast { payload } => self.broadcast(payload),
        }
        self.drain();
        self.arm_periodic();
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due next; none when nothing is.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        match self.phase {
            Phase::Departed => None,
            _ => self.timers.next(),
        }
    }

    /// This node, as it is named now. Its generation grows when it was declared down and comes back.
    #[must_use]
    pub fn me(&self) -> &Peer {
        self.swim.me()
    }

    /// How far this node trusts its own opinion.
    #[must_use]
    pub fn health(&self) -> LocalHealth {
        self.health
    }

    /// What was refused so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The number of members that are alive or suspect, this node included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.swim.others() + 1
    }

    /// Timers and news that are waiting: what grows when something is wrong.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.timers.len() + self.spread.len() + self.swim.backlog()
    }

    fn tick(&mut self) {
        while let Some((_, due)) = self.timers.pop(self.now) {
            match due {
                Due::Swim(timer) => self.swim_timer(timer),
                Due::Suspicion(suspect, incarnation) => self.judge(&suspect, incarnation),
                Due::Gossip => self.gossip(),
                Due::Reconnect => self.reconnect(),
                Due::Join => self.try_join(),
                Due::Departed => {
                    self.phase = Phase::Departed;
                    self.out.push(Decision::Tell(Change::Departed));
                    return;
                }
            }
            self.drain();
        }
    }

    fn swim_timer(&mut self, timer: Timer<Peer>) {
        if self.phase == Phase::Leaving {
            return;
        }
        match &timer {
            Timer::ProbeRandomMember(_) => self.conclude_probe(),
            Timer::SendIndirectProbe { probed_id, .. } => self.fall_back(&probed_id.clone()),
            Timer::RemoveDown(peer) => self.forget(&peer.clone()),
            Timer::ChangeSuspectToDown { .. }
            | Timer::PeriodicAnnounce(_)
            | Timer::PeriodicAnnounceDown(_)
            | Timer::PeriodicGossip(_) => {}
        }
        self.swim.timer(timer);
    }

    /// Carries out what foca wants, until it wants nothing more.
    pub(super) fn drain(&mut self) {
        loop {
            let wishes = self.swim.take_wishes();
            if wishes.is_empty() {
                return;
            }
            for note in wishes.notes {
                self.note(note);
            }
            for (timer, after) in wishes.timers {
                self.schedule(timer, after);
            }
            for (to, bytes) in wishes.packets {
                self.send_swim(to, &bytes);
            }
        }
    }

    fn schedule(&mut self, timer: Timer<Peer>, after: Duration) {
        let after = match &timer {
            // Lifeguard: a node in poor health probes more slowly and waits longer for answers.
            Timer::ProbeRandomMember(_) | Timer::SendIndirectProbe { .. } => {
                after * self.health.factor()
            }
            Timer::ChangeSuspectToDown {
                member_id,
                incarnation,
                ..
            } => {
                let me = self.me().boot();
                return self.suspect(member_id, *incarnation, Some(me), false, true);
            }
            Timer::PeriodicGossip(_) => {
                self.parked_gossip = Some(timer);
                return;
            }
            Timer::RemoveDown(peer) => match self.departed.get(&peer.place()).map(|d| d.exit) {
                Some(Exit::Left) => REMEMBER_LEFT,
                _ => after,
            },
            Timer::PeriodicAnnounce(_) | Timer::PeriodicAnnounceDown(_) => after,
        };
        self.timers.arm(self.now + after, Due::Swim(timer));
    }

    pub(super) fn tell(&mut self, change: Change) {
        self.out.push(Decision::Tell(change));
    }

    /// Wraps what foca sends into a packet and adds what news of our own fits.
    fn send_swim(&mut self, to: Peer, bytes: &[u8]) {
        let Some(header) = swim::header(bytes) else {
            return;
        };
        if header.src == *self.me() && header.src_incarnation > self.incarnation {
            self.incarnation = header.src_incarnation;
            self.counters.refutations += 1;
            self.health.worse(1);
            self.digest_is_stale = true;
        }
        self.watch_probe(&header);
        let mut items = Vec::new();
        if !matches!(header.message, Message::Announce | Message::TurnUndead) {
            items.extend(self.buddy_warning(&to));
            let used =
                items.iter().map(Vec::len).sum::<usize>() + bytes.len() + wire::PACKET_HEADER_BYTES;
            let room = self.parameters.packet_bytes.saturating_sub(used);
            let limit = self.parameters.transmissions(self.size());
            items.extend(self.spread.take(room, limit));
        }
        self.send(to, &items, bytes);
    }

    pub(super) fn send(&mut self, to: Peer, items: &[Vec<u8>], swim: &[u8]) {
        let digest = self.digest();
        let bytes = wire::encode_packet(digest, items, swim);
        self.out.push(Decision::Send { to, bytes });
    }

    /// Sends a packet of SWIM that foca does not send by itself.
    pub(super) fn send_header(&mut self, to: &Peer, message: Message<Peer>) {
        let header = Header {
            src: self.me().clone(),
            src_incarnation: self.incarnation,
            dst: to.clone(),
            message,
        };
        if let Some(bytes) = swim::write(&header, &[]) {
            self.send(to.clone(), &[], &bytes);
        }
    }

    /// A digest of this node's view. Recomputed only after something changed it.
    pub(super) fn digest(&mut self) -> u64 {
        if self.digest_is_stale {
            self.digest_is_stale = false;
            let digest = self.swim.digest(self.incarnation) ^ self.denied.digest();
            if digest != self.digest {
                self.digest = digest;
                self.digest_since = self.now;
            }
        }
        self.digest
    }

    pub(super) fn digest_changes(&mut self) {
        self.digest_is_stale = true;
    }

    /// How long the view has stood still.
    pub(super) fn settled_for(&self) -> Duration {
        self.now.saturating_sub(self.digest_since)
    }

    /// What was due long ago and comes only now: this node stood still, and what it did not hear meanwhile proves nothing.
    fn notice_stall(&mut self) {
        let due = self.timers.next().map(|next| next.max(self.seen_at));
        self.seen_at = self.now;
        let late = due.map_or(Duration::ZERO, |due| self.now.saturating_sub(due));
        if late < self.parameters.probe_timeout {
            return;
        }
        self.counters.stalls += 1;
        self.health.worse(1);
        for suspicion in self.suspicions.values_mut() {
            suspicion.stalled += late;
        }
        self.void_probe();
    }

    pub(super) fn arm_suspicion(&mut self, at: Duration, suspect: &Peer, incarnation: u16) {
        let due = Due::Suspicion(suspect.clone(), incarnation);
        self.timers.arm(at.max(self.now), due);
    }

    pub(super) fn arm_join(&mut self, at: Duration) {
        self.timers.arm(at, Due::Join);
    }
}

//! The state of membership and its one entrance, [`Membership::handle`].

use super::denied::Denied;
use super::event::{Arrival, Change, Decision, DownCause, Event, LinkProbe};
use super::health::LocalHealth;
use super::probing::{Probing, Purpose};
use super::profile::Parameters;
use super::spread::Spread;
use super::suspicion::Suspicion;
use super::swim::{self, Swim};
use super::timers::Timers;
use super::wire::{self, BROADCAST_BYTES_MAX, Item};
use super::{Peer, exchange::Join};
use crate::identity::{BootId, NodeId};
use foca::{Header, Member, Message, OwnedNotification, State, Timer};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a member that left is remembered: long enough for stale news of it to die out.
const REMEMBER_LEFT: Duration = Duration::from_secs(60);
/// The most members that are down or left that are remembered. When full, the one that is gone longest is forgotten.
const DEPARTED_MAX: usize = 4096;
/// The most broadcasts remembered as heard. When full, the oldest is forgotten and could be delivered again.
const HEARD_MAX: usize = 8192;
/// For how many gossip intervals a leaving node says goodbye.
const GOODBYES: u32 = 4;

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
    pub(super) denied: Denied,
    pub(super) spread: Spread<News>,
    /// SWIM's incarnation of this node, read off what foca sends.
    pub(super) incarnation: u16,
    pub(super) exchanged_at: Option<Duration>,
    /// Which rival was told of last.
    pub(super) name_taken_by: Option<BootId>,
    pub(super) counters: Counters,
    pub(super) out: Vec<Decision>,
    rng: SmallRng,
    timers: Timers<Due>,
    /// When `handle` was last called: what was due before and comes only now came late.
    seen_at: Duration,
    digest: u64,
    digest_since: Duration,
    digest_is_stale: bool,
    /// Why the member of a place is about to go, while foca is told.
    exits: BTreeMap<u64, Exit>,
    /// foca's gossip timer, kept back while there is no news.
    parked_gossip: Option<Timer<Peer>>,
    gossip_is_armed: bool,
    reconnect_is_armed: bool,
    broadcast_counter: u64,
    heard: BTreeSet<(BootId, u64)>,
    heard_order: VecDeque<(BootId, u64)>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Down(DownCause),
    Left,
}

/// A member that is down or left.
#[derive(Clone, Debug)]
pub(super) struct Departed {
    pub(super) peer: Peer,
    pub(super) exit: Exit,
    since: Duration,
}

/// What a piece of news is about; a newer piece with the same key takes its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Confirm(BootId, BootId),
    Left(BootId),
    Evicted(BootId),
    Broadcast(BootId, u64),
}

enum Due {
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

/// A member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Which.
    pub node: NodeId,
    /// Where.
    pub address: SocketAddr,
    /// Which life of its membership.
    pub generation: u64,
    /// SWIM's incarnation, raised by each refutation.
    pub incarnation: u16,
    /// How it is.
    pub state: MemberState,
}

/// How a member is, in this node's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It did not answer lately. It is still a member.
    Suspect,
    /// It is gone.
    Down,
    /// It said goodbye.
    Left,
}

impl Membership {
    /// The membership of the node `me`, which knows nobody yet. `seed` drives every random choice.
    #[must_use]
    pub fn new(me: Peer, parameters: Parameters, seed: u64, now: Duration) -> Self {
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
            denied: Denied::default(),
            spread: Spread::new(),
            incarnation: 0,
            exchanged_at: None,
            name_taken_by: None,
            counters: Counters::default(),
            out: Vec::new(),
            rng: SmallRng::seed_from_u64(seed),
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
        match event {
            Event::Packet { from, bytes } => self.packet(from, &bytes),
            Event::Link { from, bytes } => self.link(&from, &bytes),
            Event::LinkVerdict { probe, verdict } => self.link_verdict(probe, verdict),
            Event::LinkLost { node } => self.link_lost(&node),
            Event::Tick => self.tick(),
            Event::Join { contacts } => self.begin_join(contacts),
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

    /// Every member that this node knows, itself included, in order of names.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        let mut members: Vec<_> = self
            .swim
            .records()
            .map(|record| view(record.id(), record.incarnation(), self.state_of(record)))
            .collect();
        members.push(view(
            self.me(),
            self.incarnation,
            match self.phase {
                Phase::Leaving | Phase::Departed => MemberState::Left,
                _ => MemberState::Alive,
            },
        ));
        members.sort_by(|a, b| a.node.cmp(&b.node));
        members
    }

    pub(super) fn state_of(&self, record: &Member<Peer>) -> MemberState {
        match record.state() {
            State::Alive => MemberState::Alive,
            State::Suspect => MemberState::Suspect,
            State::Down => match self.departed.get(&record.id().place()).map(|d| d.exit) {
                Some(Exit::Left) => MemberState::Left,
                _ => MemberState::Down,
            },
        }
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

    fn note(&mut self, note: OwnedNotification<Peer>) {
        self.digest_is_stale = true;
        match note {
            OwnedNotification::MemberUp(peer) => self.came(&peer),
            OwnedNotification::MemberDown(peer) => self.went(peer),
            OwnedNotification::Rename(old, new) => self.renamed(&old, &new),
            OwnedNotification::Rejoin(me) => {
                self.incarnation = 0;
                self.health.worse(1);
                self.tell(Change::Renewed {
                    node: me.node().clone(),
                    generation: me.generation(),
                });
            }
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Defunct => {}
        }
    }

    fn came(&mut self, peer: &Peer) {
        self.suspicions.remove(&peer.place());
        let arrival = match self.departed.remove(&peer.place()) {
            None => Arrival::New,
            Some(before) if before.peer.boot() == peer.boot() => Arrival::Healed,
            Some(_) => Arrival::Restarted,
        };
        if self.phase == Phase::Alone {
            self.phase = Phase::Member;
        }
        self.resize();
        self.tell(Change::Alive {
            node: peer.node().clone(),
            address: peer.address(),
            arrival,
        });
    }

    fn went(&mut self, peer: Peer) {
        self.suspicions.remove(&peer.place());
        self.resize();
        let node = peer.node().clone();
        let exit = self
            .exits
            .remove(&peer.place())
            .unwrap_or(Exit::Down(DownCause::Hearsay));
        self.remember_departed(peer, exit);
        self.tell(match exit {
            Exit::Left => Change::Left { node },
            Exit::Down(cause) => Change::Down { node, cause },
        });
    }

    fn renamed(&mut self, old: &Peer, new: &Peer) {
        if self.departed.contains_key(&old.place()) {
            return; // foca says next that it is up.
        }
        self.suspicions.remove(&old.place());
        if old.boot() == new.boot() {
            return self.tell(Change::Renewed {
                node: new.node().clone(),
                generation: new.generation(),
            });
        }
        self.tell(Change::Down {
            node: old.node().clone(),
            cause: DownCause::Replaced,
        });
        self.tell(Change::Alive {
            node: new.node().clone(),
            address: new.address(),
            arrival: Arrival::Restarted,
        });
    }

    fn remember_departed(&mut self, peer: Peer, exit: Exit) {
        let departed = Departed {
            peer,
            exit,
            since: self.now,
        };
        self.departed.insert(departed.peer.place(), departed);
        if self.departed.len() > DEPARTED_MAX
            && let Some(oldest) = self.departed.values().min_by_key(|d| d.since)
        {
            let oldest = oldest.peer.clone();
            self.forget(&oldest);
            self.swim.timer(Timer::RemoveDown(oldest));
        }
    }

    fn forget(&mut self, peer: &Peer) {
        if self
            .departed
            .get(&peer.place())
            .is_some_and(|departed| departed.peer == *peer)
        {
            self.departed.remove(&peer.place());
        }
    }

    /// Tells foca and the world that `peer` is gone.
    pub(super) fn end(&mut self, peer: &Peer, incarnation: u16, exit: Exit, pass_on: bool) {
        self.drain();
        self.exits.insert(peer.place(), exit);
        self.swim.apply(
            vec![Member::new(peer.clone(), incarnation, State::Down)],
            pass_on,
        );
        self.drain();
        self.exits.remove(&peer.place());
    }

    fn resize(&mut self) {
        let transmissions = self.parameters.transmissions(self.size());
        self.swim.set_transmissions(transmissions);
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

    /// Up to `count` members at random that `wanted` lets through.
    pub(super) fn choose(&mut self, count: usize, wanted: impl Fn(&Peer) -> bool) -> Vec<Peer> {
        let mut chosen: Vec<Peer> = Vec::with_capacity(count);
        let mut seen = 0;
        for member in self.swim.active() {
            if !wanted(member.id()) {
                continue;
            }
            seen += 1;
            if chosen.len() < count {
                chosen.push(member.id().clone());
            } else {
                let place = self.rng.random_range(0..seen);
                if let Some(slot) = chosen.get_mut(place) {
                    *slot = member.id().clone();
                }
            }
        }
        chosen
    }

    fn arm_periodic(&mut self) {
        let has_news = self.swim.backlog() > 0 || !self.spread.is_empty();
        if has_news && !self.gossip_is_armed && self.swim.others() > 0 {
            self.gossip_is_armed = true;
            let at = self.now + self.parameters.gossip_interval;
            self.timers.arm(at, Due::Gossip);
        }
        if !self.reconnect_is_armed && self.departed.values().any(|d| self.is_missed(d)) {
            self.reconnect_is_armed = true;
            let at = self.now + self.parameters.reconnect_interval;
            self.timers.arm(at, Due::Reconnect);
        }
    }

    fn gossip(&mut self) {
        self.gossip_is_armed = false;
        if self.swim.backlog() > 0
            && let Some(timer) = self.parked_gossip.take()
        {
            return self.swim.timer(timer);
        }
        self.spread_to(self.parameters.gossip_fanout);
    }

    /// Sends news of our own to `fanout` members at random, in packets of their own.
    fn spread_to(&mut self, fanout: usize) {
        let room = self.parameters.packet_bytes - wire::PACKET_HEADER_BYTES;
        let limit = self.parameters.transmissions(self.size());
        for to in self.choose(fanout, |_| true) {
            let items = self.spread.take(room, limit);
            if items.is_empty() {
                return;
            }
            self.send(to, &items, &[]);
        }
    }

    fn is_missed(&self, departed: &Departed) -> bool {
        departed.exit != Exit::Left && !self.denied.contains(departed.peer.boot())
    }

    /// Writes to one member that is down: if it lives, it answers, and both find out what they missed.
    fn reconnect(&mut self) {
        self.reconnect_is_armed = false;
        let missed: Vec<Peer> = self
            .departed
            .values()
            .filter(|departed| self.is_missed(departed))
            .map(|departed| departed.peer.clone())
            .collect();
        if !missed.is_empty() {
            let chosen = self.rng.random_range(0..missed.len());
            self.swim.announce(missed[chosen].clone());
        }
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

    fn leave(&mut self) {
        if self.phase == Phase::Leaving {
            return;
        }
        self.phase = Phase::Leaving;
        let me = self.me().clone();
        self.spread
            .add(News::Left(me.boot()), Item::Left { peer: me }.encode());
        self.spread_to(self.parameters.gossip_fanout.max(3));
        let at = self.now + self.parameters.gossip_interval * GOODBYES;
        self.timers.arm(at, Due::Departed);
    }

    pub(super) fn deny(&mut self, boot: BootId) {
        if !self.denied.insert(boot) {
            return;
        }
        self.digest_changes();
        self.spread
            .add(News::Evicted(boot), Item::Evicted { boot }.encode());
        if boot == self.me().boot() {
            return self.tell(Change::Evicted);
        }
        let record = self.swim.active().find(|m| m.id().boot() == boot).cloned();
        if let Some(record) = record {
            let exit = Exit::Down(DownCause::Evicted);
            self.end(record.id(), record.incarnation(), exit, true);
        }
    }

    fn broadcast(&mut self, payload: Vec<u8>) {
        if payload.len() > BROADCAST_BYTES_MAX {
            self.counters.broadcasts_refused += 1;
            return;
        }
        self.broadcast_counter += 1;
        let (origin, number) = (self.me().boot(), self.broadcast_counter);
        let item = Item::Broadcast {
            origin,
            number,
            payload,
        };
        self.spread
            .add(News::Broadcast(origin, number), item.encode());
    }

    /// Whether the broadcast `number` of `origin` is new to this node.
    pub(super) fn hears(&mut self, origin: BootId, number: u64) -> bool {
        if origin == self.me().boot() || !self.heard.insert((origin, number)) {
            return false;
        }
        self.heard_order.push_back((origin, number));
        if self.heard_order.len() > HEARD_MAX
            && let Some(oldest) = self.heard_order.pop_front()
        {
            self.heard.remove(&oldest);
        }
        true
    }

    pub(super) fn arm_suspicion(&mut self, at: Duration, suspect: &Peer, incarnation: u16) {
        let due = Due::Suspicion(suspect.clone(), incarnation);
        self.timers.arm(at.max(self.now), due);
    }

    pub(super) fn arm_join(&mut self, at: Duration) {
        self.timers.arm(at, Due::Join);
    }
}

fn view(peer: &Peer, incarnation: u16, state: MemberState) -> MemberView {
    MemberView {
        node: peer.node().clone(),
        address: peer.address(),
        generation: peer.generation(),
        incarnation,
        state,
    }
}

//! What is said to others without being asked: news, words to those that are down, goodbyes, evictions, broadcasts.

use super::Peer;
use super::changes::{Departed, Exit};
use super::core::{Due, Membership, News, Phase};
use super::event::{Change, DownCause};
use super::wire::{self, BROADCAST_BYTES_MAX, Item};
use crate::identity::BootId;
use rand::RngExt;

/// The most broadcasts remembered as heard. When full, the oldest is forgotten and could be delivered again.
const HEARD_MAX: usize = 8192;
/// To how many members that are down one node writes at once: less than 500 bytes a second in profile lan, headers included.
const RECONNECTS_MAX: usize = 8;
/// For how many gossip intervals a leaving node says goodbye.
const GOODBYES: u32 = 4;

impl Membership {
    pub(super) fn arm_periodic(&mut self) {
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

    pub(super) fn gossip(&mut self) {
        self.gossip_is_armed = false;
        if self.swim.backlog() > 0
            && let Some(timer) = self.parked_gossip.take()
        {
            return self.swim.timer(timer);
        }
        self.spread_to(self.parameters.gossip_fanout);
    }

    /// Sends news of our own to `fanout` members at random, in packets of their own.
    pub(super) fn spread_to(&mut self, fanout: usize) {
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

    pub(super) fn is_missed(&self, departed: &Departed) -> bool {
        departed.exit != Exit::Left && !self.denied.contains(departed.peer.boot())
    }

    /// Writes to members that are down: who lives answers, and both find out what they missed.
    ///
    /// They have their turns, and there are as many at a time as it takes for all members together to write to each about once an interval.
    /// So those that never come back do not keep this node from those that do.
    pub(super) fn reconnect(&mut self) {
        self.reconnect_is_armed = false;
        let missed: Vec<u64> = self
            .departed
            .iter()
            .filter(|(_, departed)| self.is_missed(departed))
            .map(|(place, _)| *place)
            .collect();
        let count = missed.len().div_ceil(self.size()).min(RECONNECTS_MAX);
        let next = missed.partition_point(|place| *place <= self.reconnected_to);
        for place in missed.iter().cycle().skip(next).take(count) {
            self.reconnected_to = *place;
            if let Some(peer) = self.departed.get(place).map(|d| d.peer.clone()) {
                self.swim.announce(peer);
            }
        }
    }

    pub(super) fn leave(&mut self) {
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

    pub(super) fn broadcast(&mut self, payload: Vec<u8>) {
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
}

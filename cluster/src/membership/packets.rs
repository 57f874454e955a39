//! What comes in a packet: checked against its sender, filtered, and then given to foca.

use super::Peer;
use super::changes::Exit;
use super::core::{Membership, News, Phase};
use super::event::{Change, Decision};
use super::swim::{self, Parsed};
use super::wire::{self, Item};
use crate::identity::BootId;
use foca::{Member, Message, State};

impl Membership {
    pub(super) fn packet(&mut self, from: BootId, bytes: &[u8]) {
        let Ok(packet) = wire::decode_packet(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        if self.denied.contains(from) {
            return self.refuse_denied(from);
        }
        if self.phase == Phase::Leaving {
            return; // What it would answer could be taken for a sign of life.
        }
        let parsed = match packet.swim {
            [] => None,
            swim => match swim::parse(swim) {
                Some(parsed) => Some(parsed),
                None => {
                    self.counters.malformed += 1;
                    return;
                }
            },
        };
        if let Some(parsed) = &parsed
            && parsed.header.src.boot() != from
        {
            self.counters.forged += 1;
            return;
        }
        for item in packet.items {
            self.item(item);
        }
        if let Some(parsed) = parsed {
            self.swim_packet(parsed, packet.swim, packet.digest);
        }
    }

    fn swim_packet(&mut self, parsed: Parsed, bytes: &[u8], digest: u64) {
        let Parsed { header, updates } = parsed;
        let from = header.src.boot();
        if header.src.name() == self.me().name() {
            return self.rival(&header.src);
        }
        if self.has_left(&header.src) || self.is_superseded(&header.src) {
            return;
        }
        if header.dst.boot() == self.me().boot()
            && header.dst != *self.me()
            && header.message != Message::Announce
        {
            // It does not know yet that this node was renewed, and foca would not answer.
            return self.send_header(&header.src, Message::Gossip);
        }
        if let Message::PingReq { probe_number, .. } = header.message {
            let receipt = Item::Receipt {
                probe: probe_number,
            };
            self.send(header.src.clone(), &[receipt.encode()], &[]);
        }
        self.watch_answer(&header);
        if !updates.is_empty() || header.src_incarnation > 0 {
            self.digest_changes();
        }
        let doubts_verdicts = self.comes_back(&header.src);
        let (verdicts, updates): (Vec<_>, Vec<_>) = updates
            .into_iter()
            .partition(|u| doubts_verdicts && u.state() == State::Down && u.id() != self.me());
        let rumoured: Vec<(Peer, u16)> = updates
            .iter()
            .filter(|update| update.state() == State::Suspect)
            .map(|update| (update.id().clone(), update.incarnation()))
            .collect();
        let heard_of: Vec<Peer> = match self.suspicions.is_empty() {
            true => Vec::new(),
            false => std::iter::once(&header.src)
                .chain(updates.iter().map(Member::id))
                .cloned()
                .collect(),
        };
        let told = updates.len() + verdicts.len();
        let (own, updates): (Vec<_>, Vec<_>) =
            updates.into_iter().partition(|u| u.id() == self.me());
        let kept: Vec<Member<Peer>> = updates.into_iter().filter(|u| self.believes(u)).collect();
        if kept.len() == told {
            self.swim.receive(bytes);
        } else if let Some(bytes) = swim::write(&header, &kept) {
            self.swim.receive(&bytes);
        }
        self.drain();
        for update in own {
            self.hear_of_self(&update);
        }
        self.forget_refuted(&heard_of);
        self.begin_rumoured(&rumoured);
        for verdict in &verdicts {
            self.suspect(
                verdict.id(),
                verdict.incarnation(),
                Some(from),
                false,
                false,
            );
        }
        self.compare_views(&header.src, digest);
    }

    /// What others say of this node, in exactly this generation. After the first word that makes it renew itself the others are about another.
    pub(super) fn hear_of_self(&mut self, update: &Member<Peer>) {
        if update.id() == self.me() && update.state() != State::Alive {
            self.swim.apply(vec![update.clone()], true);
            self.drain();
        }
    }

    /// Whether foca may hear of this update, which is not about this node.
    fn believes(&mut self, update: &Member<Peer>) -> bool {
        let peer = update.id();
        if peer.name() == self.me().name() {
            if peer.boot() != self.me().boot() && swim::is_active(update.state()) {
                self.rival(peer);
            }
            return false;
        }
        if swim::is_active(update.state()) {
            return !self.denied.contains(peer.boot()) && !self.has_left(peer);
        }
        // foca lets a verdict on any incarnation stand, one that was refuted too, and keeps those on members that it never knew.
        match self.active_incarnation(peer) {
            Some(incarnation) if incarnation > update.incarnation() => {
                self.counters.stale_verdicts += 1;
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Whether this node holds `peer` for down, or did so moments ago: it was cut off, so its verdicts on others are of that time. They count
    /// as suspicions, as those from an exchange do.
    fn comes_back(&self, peer: &Peer) -> bool {
        let is_down = self
            .departed
            .get(&peer.place())
            .is_some_and(|departed| departed.peer.boot() == peer.boot());
        is_down || self.healed.contains_key(&peer.place())
    }

    /// Whether this very process said goodbye: no generation of it comes back.
    pub(super) fn has_left(&self, peer: &Peer) -> bool {
        self.departed
            .get(&peer.place())
            .is_some_and(|d| d.exit == Exit::Left && d.peer.boot() == peer.boot())
    }

    /// Whether a live process of the same name beats `peer`, which is then told. foca would tell it to renew itself, until it wins.
    fn is_superseded(&mut self, peer: &Peer) -> bool {
        let holder = self.swim.record(peer).filter(|record| {
            record.id().boot() != peer.boot()
                && swim::is_active(record.state())
                && record.id().beats(peer)
        });
        let Some(holder) = holder.map(|record| record.id().clone()) else {
            return false;
        };
        let superseded = Item::Superseded { by: holder };
        self.send(peer.clone(), &[superseded.encode()], &[]);
        true
    }

    /// Another process has this node's name. The higher of the two stays, on every node alike.
    pub(super) fn rival(&mut self, rival: &Peer) {
        if self.phase != Phase::Member {
            return;
        }
        if rival.beats(self.me()) {
            if self.name_taken_by != Some(rival.boot()) {
                self.name_taken_by = Some(rival.boot());
                self.tell(Change::NameTaken {
                    by: rival.node().clone(),
                    address: rival.address(),
                    answers: true,
                });
            }
            return;
        }
        let superseded = Item::Superseded {
            by: self.me().clone(),
        };
        self.send(rival.clone(), &[superseded.encode()], &[]);
    }

    fn refuse_denied(&mut self, from: BootId) {
        self.counters.denied += 1;
        let known = self
            .swim
            .records()
            .map(Member::id)
            .find(|peer| peer.boot() == from)
            .cloned();
        if let Some(peer) = known {
            self.send(peer, &[Item::Evicted { boot: from }.encode()], &[]);
        }
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Confirm {
                suspect,
                incarnation,
                by,
                refused,
            } => self.suspect(&suspect, incarnation, Some(by), refused, false),
            Item::Suspected {
                generation,
                incarnation,
            } => {
                if generation == self.me().generation() {
                    self.hear_of_own_suspicion(incarnation);
                }
            }
            Item::Verify {
                suspect,
                incarnation,
                by,
            } => self.verify(suspect, incarnation, by),
            Item::Receipt { probe } => self.watch_receipt(probe),
            Item::Left { peer } => self.hear_of_leave(&peer),
            Item::Evicted { boot } => self.deny(boot),
            Item::Superseded { by } => {
                if by.name() == self.me().name() && by.boot() != self.me().boot() {
                    self.rival(&by);
                }
            }
            Item::Broadcast {
                origin,
                number,
                payload,
            } => {
                if self.hears(origin, number) {
                    let item = Item::Broadcast {
                        origin,
                        number,
                        payload: payload.clone(),
                    };
                    self.spread
                        .add(News::Broadcast(origin, number), item.encode());
                    self.out.push(Decision::Deliver { origin, payload });
                }
            }
        }
    }

    /// `peer` says goodbye. The news travels as such only, so that nobody takes it for a crash.
    pub(super) fn hear_of_leave(&mut self, peer: &Peer) {
        if peer.name() == self.me().name() {
            return;
        }
        let Some(incarnation) = self.active_incarnation(peer) else {
            return;
        };
        let news = Item::Left { peer: peer.clone() };
        self.spread.add(News::Left(peer.boot()), news.encode());
        self.end(peer, incarnation, Exit::Left, false);
    }
}

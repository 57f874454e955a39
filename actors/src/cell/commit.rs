//! The commit of a turn: where what it asked for begins to be real.

use super::*;

impl<A: Agent> Cell<A> {
    /// Commits a turn's effects: the one place where they begin to be real. Those that can be delivered at once are; from
    /// the first that can't, the rest waits in the outgoing queue.
    pub(crate) fn commit(&self, seat: &mut Seat<A>, effects: &mut Effects<A::Message>) {
        let Effects {
            list, cancelled, ..
        } = effects;
        for effect in list.drain(..) {
            match effect {
                Effect::Send(to, message, extra) => self.commit_send(seat, to, message, extra),
                Effect::Answer(answer) => {
                    if seat.outgoing.is_empty() {
                        answer.publish();
                    } else {
                        let publish = OutCall(Some(move || answer.publish()));
                        seat.outgoing.push_back(Box::new(publish));
                    }
                }
                Effect::Out(mut out) => {
                    if !seat.outgoing.is_empty() || !out.deliver() {
                        seat.outgoing.push_back(out);
                    }
                }
                other => self.apply(seat, other, cancelled),
            }
        }
    }

    #[inline]
    fn commit_send(
        &self,
        seat: &mut Seat<A>,
        to: AgentRef<A::Message>,
        message: A::Message,
        extra: Option<Box<Extra>>,
    ) {
        let mut letter = Letter::new(Body::Message(message), 0);
        letter.sender = self.core.address.into();
        letter.extra = extra;
        let is_clear = seat.outgoing.is_empty() && self.core.system.hooks().admission.is_empty();
        let letter = if is_clear {
            match to.0.post(letter, None) {
                Err(Bounced {
                    letter: Some(letter),
                    ..
                }) => letter,
                Ok(()) | Err(_) => return,
            }
        } else {
            letter.at_ms = self.core.system.coarse_ms();
            letter
        };
        let mut out: Box<dyn Outgoing> = Box::new(OutLetter::new(to, letter, None));
        if !seat.outgoing.is_empty() || !out.deliver() {
            seat.outgoing.push_back(out);
        }
    }

    fn apply(
        &self,
        seat: &mut Seat<A>,
        effect: Effect<A::Message>,
        cancelled: &mut Vec<Scheduled<A::Message>>,
    ) {
        let core = &self.core;
        let Some(me) = self.reference() else {
            return;
        };
        match effect {
            Effect::Out(_) | Effect::Send(..) | Effect::Answer(_) => {}
            Effect::Monitor(id, target) => {
                core.note_monitoring(id, target.clone());
                let watcher = core::Watcher::Agent(me, core.pid().incarnation);
                target.set_monitor(id, watcher);
            }
            Effect::Demonitor(id) => {
                if let Some(target) = core.take_monitoring(id) {
                    target.end_monitor(id);
                }
            }
            Effect::Link(target) => {
                if target == me {
                    return;
                }
                // The own side first: an end of the other one then finds both.
                let (life, theirs) = (core.pid().incarnation, target.pid().incarnation);
                core.link(&target, theirs);
                if !target.set_link(&me, life) {
                    core.unlink(target.address());
                    me.signal_to(
                        life,
                        Signal::Exit(crate::signal::Exit {
                            pid: target.pid(),
                            reason: ExitReason::NoProc,
                        }),
                    );
                }
            }
            Effect::Unlink(target) => {
                core.unlink(target.address());
                target.end_link(core.address);
            }
            Effect::Watch(target) => {
                target.end_watch(core.address);
                let watcher = core::Watcher::Agent(me, core.pid().incarnation);
                core.note_watching(target.clone());
                target.set_watch(watcher);
            }
            Effect::Unwatch(target) => {
                target.end_watch(core.address);
                core.forget_watching(target.address());
            }
            Effect::Join(group) => self.join(&group, &me),
            Effect::Leave(group) => {
                if let Some(left) = core.system.groups_table().leave(&group, core.address) {
                    if left == 0 {
                        core.forget_group(&group);
                    }
                    core.system.event(
                        Some(core),
                        What::Left {
                            group: group.clone(),
                        },
                    );
                }
            }
            Effect::MonitorGroup(group) => {
                core.note_group_monitor(&group);
                let members = core.system.groups_table().monitor(&group, me.clone());
                for (member, count) in members {
                    me.signal_to(
                        core.pid().incarnation,
                        Signal::Group(crate::signal::GroupChange {
                            group: group.clone(),
                            address: member.address(),
                            count,
                            joined: true,
                        }),
                    );
                }
            }
            Effect::DemonitorGroup(group) => {
                core.forget_group_monitor(&group);
                core.system.groups_table().demonitor(&group, core.address);
            }
            Effect::HandedOver(name) => {
                let (system, address) = (core.system.clone(), core.address);
                let tell = move || {
                    if let Some(remotes) = system.remotes() {
                        remotes.transport().handed_over(&name, address);
                    }
                };
                // Behind what it sent.
                if seat.outgoing.is_empty() {
                    tell();
                } else {
                    seat.outgoing.push_back(Box::new(OutCall(Some(tell))));
                }
            }
            Effect::Schedule(id, at, what) => {
                seat.rare().timers.insert(id, Armed { at, what });
                core.system.timers().arm(at, id, self.this.clone());
            }
            Effect::Cancel(id) => {
                let rare = seat.rare();
                rare.fired.remove(&id);
                if let Some(armed) = rare.timers.remove(&id) {
                    core.system.timers().disarm(armed.at, id);
                    cancelled.push(armed.what);
                }
            }
            Effect::Stash(mut letter) => {
                // Who asked goes on waiting for it.
                letter.ask = seat.desk().current.as_mut().and_then(|c| c.ask.take());
                seat.rare().stash.push_back(letter);
            }
            Effect::UnstashAll => self.unstash(seat),
        }
    }

    pub(crate) fn join(&self, group: &swarm_protocols::Name, me: &AnyRef) {
        self.core.note_group(group);
        self.core.system.groups_table().join(group, me);
        self.core.system.event(
            Some(&self.core),
            What::Joined {
                group: group.clone(),
            },
        );
    }

    pub(crate) fn unstash(&self, seat: &mut Seat<A>) {
        let Some(rare) = &mut seat.rare else {
            return;
        };
        while let Some(letter) = rare.stash.pop_back() {
            self.mailbox().put_back(&mut seat.ready, letter);
        }
    }

    /// Commits what a turn has asked for so far; for an ask in its midst. False when its shell was fenced off: its effects
    /// are dropped.
    pub(crate) fn commit_early(&self, epoch: u64, effects: &mut Effects<A::Message>) -> bool {
        let mut seat = self.seat.lock();
        if seat.epoch == epoch {
            self.commit(&mut seat, effects);
            drop(seat);
            effects.drop_cancelled();
            true
        } else {
            drop(seat);
            effects.clear();
            false
        }
    }
}

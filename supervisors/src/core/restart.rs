//! What follows when a child ended by itself.

use super::{Action, Activity, Core, Retry, SlotKey, StartWhy, State, TimerId, stop};
use crate::child::Disposition;
use crate::env::mix;
use crate::report::{Context, ReportReason};
use crate::spec::{AutoShutdown, Backoff, Restart, Strategy};
use std::time::Duration;
use swarm_protocols::ExitReason;

impl Core {
    /// A child ended without having been told to.
    pub(super) fn on_own_end(&mut self, key: SlotKey, reason: ExitReason) {
        let slot = self.slots.at_mut(key);
        slot.state = State::Stopped;
        slot.exited = None;
        let restart = slot.restart();
        let clean = reason.is_clean();
        if restart == Restart::Permanent || !clean {
            let offender = Self::offender(self.slots.at(key));
            self.report(
                Context::ChildTerminated,
                ReportReason::Exit(reason),
                offender,
            );
        }
        match restart {
            Restart::Permanent => self.restart_or_delay(key),
            Restart::Transient if !clean => self.restart_or_delay(key),
            Restart::Transient | Restart::Temporary => self.end_for_good(key),
        }
    }

    /// A child ended and is not restarted; where it is significant, that may end the supervisor.
    fn end_for_good(&mut self, key: SlotKey) {
        let slot = self.slots.at(key);
        let significant = slot.recipe.significant;
        if self.is_simple() || slot.is_temporary() {
            self.remove(key);
        } else {
            self.settle(key, Disposition::Ended);
        }
        let shut_down = match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => significant,
            // One that is between two attempts counts as there (S146).
            AutoShutdown::AllSignificant => {
                significant
                    && !self
                        .slots
                        .in_order()
                        .any(|(_, slot)| slot.recipe.significant && slot.state != State::Stopped)
            }
        };
        if shut_down {
            self.exit(ExitReason::SHUTDOWN);
        }
    }

    fn restart_or_delay(&mut self, key: SlotKey) {
        match self.slots.at(key).recipe.restart_delay() {
            None => self.restart(key),
            Some(backoff) => {
                let now = self.now;
                let delays = self.slots.at_mut(key).delays.get_or_insert_default();
                if now.saturating_sub(delays.started_at) > backoff.cap {
                    delays.attempts = 0;
                }
                self.settle(key, Disposition::Restarting);
                self.delay(key, backoff);
            }
        }
    }

    /// Restarts a child and whoever goes with it, if that is not one restart too many.
    fn restart(&mut self, key: SlotKey) {
        if !self
            .window
            .admit(self.now, &self.flags, &mut self.slots.steps)
        {
            self.give_up(key);
            return;
        }
        if self.slots.at(key).disposition != Some(Disposition::Restarting) {
            self.settle(key, Disposition::Restarting);
        }
        let slot = self.slots.at_mut(key);
        slot.state = State::Stopped;
        let seq = slot.seq;
        match self.flags.strategy {
            Strategy::OneForOne | Strategy::SimpleOneForOne => self.start(key, StartWhy::Restart),
            Strategy::RestForOne => self.sweep(stop::Sweep::from(
                seq + 1,
                stop::AfterSweep::Group {
                    offender: key,
                    from: seq,
                },
            )),
            Strategy::OneForAll => self.sweep(stop::Sweep::all(stop::AfterSweep::Group {
                offender: key,
                from: 0,
            })),
        }
    }

    fn give_up(&mut self, key: SlotKey) {
        let offender = Self::offender(self.slots.at(key));
        self.report(
            Context::Shutdown,
            ReportReason::ReachedMaxRestartIntensity,
            offender,
        );
        if self.is_simple() {
            self.remove(key);
        } else {
            self.slots.at_mut(key).state = State::Stopped;
        }
        self.exit(ExitReason::SHUTDOWN);
    }

    /// A restart did not work: there will be another attempt, after whatever else is waiting.
    pub(super) fn try_again(&mut self, key: SlotKey) {
        self.activity = Activity::Idle;
        let slot = self.slots.at_mut(key);
        if let Some(backoff) = slot.recipe.restart_delay() {
            self.delay(key, backoff);
            return;
        }
        slot.state = State::Restarting;
        let retry = if self.flags.strategy == Strategy::SimpleOneForOne {
            Retry::Instance {
                slot: key,
                life: slot.life,
            }
        } else {
            Retry::Named(slot.name.clone())
        };
        self.act(Action::Retry(retry));
    }

    pub(super) fn on_retry(&mut self, retry: &Retry) {
        let found = match retry {
            Retry::Named(name) => self.slots.by_name(name),
            Retry::Instance { slot, life } => self
                .slots
                .get(*slot)
                .is_some_and(|s| s.life == *life)
                .then_some(*slot),
        };
        // Whoever was terminated, or restarted with its group, meanwhile is not meant any more.
        if let Some(key) = found
            && self.slots.at(key).state == State::Restarting
        {
            self.restart(key);
        }
    }

    fn delay(&mut self, key: SlotKey, backoff: Backoff) {
        let delays = self.slots.at_mut(key).delays.get_or_insert_default();
        let attempts = delays.attempts;
        delays.attempts = attempts.saturating_add(1);
        let chance = mix(self.jitter_seed, self.jitters);
        self.jitters += 1;
        let timer = self.set_timer(delay_of(backoff, attempts, chance));
        let slot = self.slots.at_mut(key);
        slot.state = State::Delayed;
        slot.delays.get_or_insert_default().timer = Some(timer);
        self.delays.insert(timer, key);
    }

    /// The attempt that waits, if one does, is not made.
    pub(super) fn cancel_delay(&mut self, key: SlotKey) {
        let slot = self.slots.at_mut(key);
        if slot.state == State::Delayed
            && let Some(timer) = slot.delays.as_mut().and_then(|delays| delays.timer.take())
        {
            self.delays.remove(&timer);
            self.act(Action::CancelTimer(timer));
        }
    }

    pub(super) fn on_delay_over(&mut self, timer: TimerId) {
        // A timer that was cancelled after it had fired is not known any more.
        if let Some(key) = self.delays.remove(&timer) {
            self.restart(key);
        }
    }
}

fn delay_of(backoff: Backoff, attempts: u32, chance: u64) -> Duration {
    let whole = backoff
        .initial
        .saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX))
        .min(backoff.cap);
    // The upper 53 bits of a random word, as a fraction below one.
    let fraction = (chance >> 11) as f64 / (1_u64 << 53) as f64;
    whole.mul_f64((1.0 - backoff.jitter * fraction).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_doubles_up_to_its_cap_and_jitter_only_shortens_it() {
        let backoff = Backoff {
            initial: Duration::from_millis(100),
            cap: Duration::from_secs(1),
            jitter: 0.0,
        };
        let delays: Vec<u128> = (0..6)
            .map(|n| delay_of(backoff, n, u64::MAX).as_millis())
            .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(delay_of(backoff, 200, 0), Duration::from_secs(1));
        let half = Backoff {
            jitter: 0.5,
            ..backoff
        };
        assert_eq!(delay_of(half, 0, 0), Duration::from_millis(100));
        assert!(delay_of(half, 0, u64::MAX) >= Duration::from_millis(50));
    }
}

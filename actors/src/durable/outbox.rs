//! What a life has to send, and when: the outbox until it is settled, and the one timer that wakes it for that or for its own.

use super::acl;
use super::agent::DurableAgent;
use super::behaviour::DurableBehaviour;
use super::life::Life;
use super::reference::{DurableMessage, Kind};
use crate::turn::Turn;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Path;

/// How long a message waits to be settled before it is sent again; then twice as long, and so on.
pub(super) const RESEND_FIRST: Duration = Duration::from_millis(200);
/// The longest of these waits.
const RESEND_MAX: Duration = Duration::from_secs(30);
/// How many messages are sent again at once.
const RESENT_AT_ONCE: usize = 64;

impl<D: DurableBehaviour> Life<D> {
    /// Sends one message of the outbox, if its receiver is there and has room. If not, it is sent again later.
    pub(super) fn deliver(&mut self, turn: &mut Turn<'_, DurableAgent<D>>, to: &str, seq: u64) {
        let Some(awake) = &mut self.awake else {
            return;
        };
        let Some(payload) = awake.ledger.payload(to, seq) else {
            return;
        };
        let receiver = Path::new(to).ok();
        let Some(receiver) = receiver.and_then(|path| turn.system().lookup(&path)) else {
            return;
        };
        if let Some(durable) = receiver.typed() {
            let payload: Arc<[u8]> = payload.into();
            let from = turn.path().clone();
            let delivery = DurableMessage(Kind::Delivery { from, seq, payload });
            // What finds no room now is sent again.
            drop(turn.try_send(&durable, delivery));
        } else if awake.ledger.is_first_to(to, seq)
            && let Some(mut message) = acl::read(payload)
        {
            // It is on record already, so it need not wait for the end of the turn. A volatile receiver settles by having room.
            message.sender.get_or_insert_with(|| turn.aid());
            if receiver.try_send_acl(message).is_ok() {
                awake.ledger.settle(to, seq);
                self.settled.insert(to.to_owned(), seq);
            }
        }
    }

    pub(super) fn tell(turn: &mut Turn<'_, DurableAgent<D>>, to: &str, kind: Kind) {
        let receiver = Path::new(to)
            .ok()
            .and_then(|path| turn.system().lookup_typed(&path));
        if let Some(receiver) = receiver {
            // What finds no room now is sent again.
            drop(turn.try_send(&receiver, DurableMessage(kind)));
        }
    }

    pub(super) fn wait_for_settlement(&mut self, turn: &Turn<'_, DurableAgent<D>>) {
        let wait = u64::try_from(self.resend.as_millis()).unwrap_or(u64::MAX);
        self.resend_at_ms = Some(turn.system().wall_ms() + wait);
    }

    /// Sends what is not settled again, the oldest of each receiver first.
    pub(super) fn resend(&mut self, turn: &mut Turn<'_, DurableAgent<D>>) {
        let Some(awake) = &self.awake else {
            return;
        };
        let due: Vec<(String, u64)> = awake
            .ledger
            .outbox()
            .take(RESENT_AT_ONCE)
            .map(|(to, seq, _)| (to.to_owned(), seq))
            .collect();
        if due.is_empty() {
            self.resend_at_ms = None;
            self.resend = RESEND_FIRST;
            return;
        }
        for (to, seq) in due {
            self.deliver(turn, &to, seq);
        }
        if self
            .awake
            .as_ref()
            .is_none_or(|awake| awake.ledger.outbox_len() == 0)
        {
            self.resend_at_ms = None;
            return;
        }
        self.wait_for_settlement(turn);
        self.resend = (self.resend * 2).min(RESEND_MAX);
    }

    /// Sets the one timer of this life to what comes first: a timer of the agent's, or sending again.
    pub(super) fn arm(&mut self, turn: &mut Turn<'_, DurableAgent<D>>) {
        let timer = self
            .awake
            .as_ref()
            .and_then(|awake| awake.ledger.next_timer());
        let next = [timer, self.resend_at_ms].into_iter().flatten().min();
        if self.tick.map(|(_, at)| at) == next {
            return;
        }
        if let Some((id, _)) = self.tick.take() {
            turn.cancel(id);
        }
        if let Some(at) = next {
            let after = at.saturating_sub(turn.system().wall_ms());
            // An agent of this kind has one timer.
            if let Ok(id) = turn.schedule(Duration::from_millis(after), DurableMessage(Kind::Tick))
            {
                self.tick = Some((id, at));
            }
        }
    }

    pub(super) fn is_settled(
        &mut self,
        turn: &mut Turn<'_, DurableAgent<D>>,
        by: &Path,
        up_to: u64,
    ) {
        let Some(awake) = &mut self.awake else {
            return;
        };
        if awake.ledger.settle(by.as_str(), up_to) {
            self.settled.insert(by.as_str().to_owned(), up_to);
            self.resend = RESEND_FIRST;
            if awake.ledger.outbox_len() == 0 {
                self.resend_at_ms = None;
            } else {
                self.wait_for_settlement(turn);
            }
            self.arm(turn);
        }
    }
}

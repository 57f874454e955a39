//! What one life of a guest has to do with: its limits, what its turn has asked for, and how much of it.

use crate::bindings::swarm::agent::types::Error;
use crate::grants::Grants;
use crate::kept::{Draft, Store};
use crate::life::Moment;
use crate::limits::Limits;
use crate::trap::Breach;
use std::collections::VecDeque;
use std::sync::Arc;
use swarm_actors::{AnyRef, WeakSystem};
use swarm_protocols::{AclMessage, Limit, Path};
use swarm_tools::Access;
use tokio::time::Instant;
use wasmtime::ResourceLimiter;

/// How often a guest may go on asking for what it was refused, in one turn, before that ends its life.
const REFUSALS_PER_TURN_MAX: u32 = 64;

/// What a turn asks for, in order.
pub(crate) enum Effect {
    Send(AnyRef, AclMessage),
    Answer(AclMessage),
    After {
        id: u64,
        milliseconds: u64,
        tag: u64,
        repeats: bool,
    },
    Cancel(u64),
}

/// A call of a tool, and what came of it.
pub(crate) struct ToolCall {
    pub(crate) name: String,
    pub(crate) input: String,
    pub(crate) answer: Result<String, Error>,
}

/// The data of an agent's store.
pub(crate) struct Sandbox {
    pub(crate) limits: Arc<Limits>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) system: WeakSystem,
    pub(crate) path: Path,
    pub(crate) aid: swarm_protocols::Aid,
    pub(crate) kept: Store,
    /// The node's tools, as far as they are granted; none where it has none for guests.
    pub(crate) tools: Option<Access>,
    pub(crate) turn: TurnState,
    /// Whether what tools answer is noted, for a shadow.
    pub(crate) records_tools: bool,
    /// Of a shadow: what tools have answered to the code that it follows. A shadow calls none itself and logs nothing.
    pub(crate) replayed: Option<VecDeque<ToolCall>>,
    /// Whether this is no turn, so that nothing may be asked for and nothing found out: a durable agent's state must come from
    /// its events alone.
    pub(crate) is_still: bool,
    /// Whether what is logged goes nowhere: at a replay it was said before.
    pub(crate) is_silent: bool,
    /// How many timers are set; the agent keeps it.
    pub(crate) timers: u32,
    pub(crate) timer_last: u64,
    sends: Bucket,
    log: Bucket,
    /// Keeps the epoch moving while this runs.
    pub(crate) engine: Arc<crate::engine::AgentEngine>,
}

/// What belongs to the turn that runs.
#[derive(Default)]
pub(crate) struct TurnState {
    /// The message that is handled.
    pub(crate) message: Option<Arc<AclMessage>>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) draft: Draft,
    /// The bytes that the turn has the host keep.
    pub(crate) bytes: u64,
    pub(crate) now_ms: u64,
    pub(crate) random: u64,
    /// When it is cut off.
    pub(crate) deadline: Option<Instant>,
    /// The bytes of the store as the turn found it, once somebody has asked.
    pub(crate) kept_bytes: Option<u64>,
    /// The calls of tools, where they are noted.
    pub(crate) tool_calls: Vec<ToolCall>,
    /// The timers as the turn found them.
    timers_at_begin: (u32, u64),
    /// Steps of a millisecond that it has run.
    pub(crate) ticks: u64,
    refusals: u32,
    /// The resource limit that was refused to it, should it not survive that.
    pub(crate) refused: Option<Limit>,
}

/// A budget that fills with time, up to one second's worth.
struct Bucket {
    per_second: u64,
    left: u64,
    filled: Instant,
}

impl Bucket {
    fn new(per_second: u32, now: Instant) -> Self {
        let per_second = u64::from(per_second);
        Self {
            per_second,
            left: per_second,
            filled: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let elapsed =
            u64::try_from(now.duration_since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let more = elapsed.saturating_mul(self.per_second) / 1_000_000;
        if more > 0 {
            self.left = self.left.saturating_add(more).min(self.per_second);
            self.filled = now;
        }
    }

    fn take(&mut self, amount: u64) -> bool {
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// What a life begins with.
pub(crate) struct Seat {
    pub(crate) limits: Arc<Limits>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) system: WeakSystem,
    pub(crate) path: Path,
    pub(crate) aid: swarm_protocols::Aid,
    pub(crate) kept: Store,
    pub(crate) tools: Option<Access>,
}

impl Sandbox {
    pub(crate) fn new(seat: Seat, engine: Arc<crate::engine::AgentEngine>, now: Instant) -> Self {
        Self {
            sends: Bucket::new(seat.limits.sends_per_second, now),
            log: Bucket::new(seat.limits.log_bytes_per_second, now),
            limits: seat.limits,
            grants: seat.grants,
            system: seat.system,
            path: seat.path,
            aid: seat.aid,
            kept: seat.kept,
            tools: seat.tools,
            turn: TurnState::default(),
            records_tools: false,
            replayed: None,
            is_still: false,
            is_silent: false,
            timers: 0,
            timer_last: 0,
            engine,
        }
    }

    /// Begins a turn: nothing of the last one is left.
    pub(crate) fn begin(&mut self, message: Option<Arc<AclMessage>>, moment: Moment) {
        let Moment {
            now,
            now_ms,
            random,
            deadline,
        } = moment;
        let mut effects = std::mem::take(&mut self.turn.effects);
        effects.clear();
        self.turn = TurnState {
            message,
            effects,
            now_ms,
            random,
            deadline,
            timers_at_begin: (self.timers, self.timer_last),
            ..TurnState::default()
        };
        self.sends.fill(now);
        self.log.fill(now);
    }

    pub(crate) fn timers_at_begin(&self) -> u32 {
        self.turn.timers_at_begin.0
    }

    pub(crate) fn timer_last_at_begin(&self) -> u64 {
        self.turn.timers_at_begin.1
    }

    /// Makes it a shadow's, with the tools' answers of the next turn.
    pub(crate) fn replay(&mut self, calls: Vec<ToolCall>) {
        self.replayed = Some(calls.into());
    }

    /// One more step of a millisecond; an error when that is more than a turn may have.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<()> {
        self.turn.ticks += 1;
        self.engine.wind();
        if u128::from(self.turn.ticks) > self.limits.turn_cpu.as_millis() {
            return Err(Breach(Limit::Cpu).into());
        }
        Ok(())
    }

    /// Refuses a wish, with this error; the life ends when the guest does not take no for an answer.
    pub(crate) fn refuse<T>(
        &mut self,
        limit: Limit,
        error: Error,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.turn.refusals += 1;
        if self.turn.refusals > REFUSALS_PER_TURN_MAX {
            return Err(Breach(limit).into());
        }
        Ok(Err(error))
    }

    /// An error that ends the life unless this is a turn. For imports that cannot say no.
    pub(crate) fn in_a_turn(&self) -> wasmtime::Result<()> {
        if self.is_still {
            return Err(wasmtime::Error::msg(
                "a durable agent asked for its name, the time or a random number outside of on-message and on-timer",
            ));
        }
        Ok(())
    }

    /// Whether so many messages more may go out.
    pub(crate) fn takes_sends(&mut self, count: u64) -> bool {
        self.sends.take(count)
    }

    /// Whether so many bytes more may be logged.
    pub(crate) fn takes_log(&mut self, bytes: u64) -> bool {
        self.log.take(bytes)
    }

    /// Has the host keep so many bytes more for this turn, if it may.
    pub(crate) fn takes_bytes(&mut self, bytes: u64) -> bool {
        let total = self.turn.bytes.saturating_add(bytes);
        let is_within = total <= self.limits.host_bytes;
        if is_within {
            self.turn.bytes = total;
        }
        is_within
    }

    /// The next number of the turn's own sequence (SplitMix64).
    pub(crate) fn random(&mut self) -> u64 {
        self.turn.random = self.turn.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.turn.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl ResourceLimiter for Sandbox {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let is_within = desired as u64 <= self.limits.memory
            && maximum.is_none_or(|maximum| desired <= maximum);
        if !is_within {
            self.turn.refused = Some(Limit::Memory);
        }
        Ok(is_within)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.turn.refused = Some(Limit::Memory);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let is_within = desired <= self.limits.table_elements
            && maximum.is_none_or(|maximum| desired <= maximum);
        if !is_within {
            self.turn.refused = Some(Limit::Table);
        }
        Ok(is_within)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.turn.refused = Some(Limit::Table);
        Ok(())
    }
}

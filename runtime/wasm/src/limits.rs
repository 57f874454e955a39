//! How much an agent may use. What goes beyond ends its life with `limit(which)`.

use crate::class::Class;
use std::time::Duration;

/// An agent's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its linear memory, in bytes. More is refused; a guest that does not survive that ends with `limit(memory)`.
    pub memory: u64,
    /// The elements of each of its tables.
    pub table_elements: usize,
    /// The computing time of one turn, counted in steps of a millisecond while it runs: `limit(cpu)`.
    pub turn_cpu: Duration,
    /// The fuel of one turn (about one unit per instruction), the same on every machine; `None` counts none. `limit(cpu)`.
    pub turn_fuel: Option<u64>,
    /// The content of one message, in bytes, both ways. A longer one that comes in is answered with `failure`; sending one is
    /// refused, and `limit(message-size)` ends a guest that goes on trying.
    pub message_bytes: u64,
    /// Messages out in a second, on average over one second's burst: `limit(send-rate)`.
    pub sends_per_second: u32,
    /// Log text in a second, in bytes: `limit(log-volume)`.
    pub log_bytes_per_second: u32,
    /// What the host keeps for it: the store's keys and values, and what one turn buffers: `limit(host-bytes)`.
    pub host_bytes: u64,
    /// Timers that are set at a time: `limit(timers)`.
    pub timers: u32,
    /// How long one tool call may take.
    pub tool_time: Duration,
}

impl Limits {
    /// What an agent of this class has unless its manifest says otherwise.
    #[must_use]
    pub fn of(class: Class) -> Self {
        let base = Self {
            memory: 16 << 20,
            table_elements: 4096,
            turn_cpu: Duration::from_secs(1),
            turn_fuel: None,
            message_bytes: 1 << 20,
            sends_per_second: 10_000,
            log_bytes_per_second: 64 << 10,
            host_bytes: 8 << 20,
            timers: 64,
            tool_time: Duration::from_secs(10),
        };
        match class {
            Class::Default => base,
            Class::Compact => Self {
                memory: class.memory_max(),
                message_bytes: 64 << 10,
                host_bytes: 256 << 10,
                ..base
            },
            Class::Interpreter => Self {
                memory: 64 << 20,
                table_elements: 65_536,
                turn_cpu: Duration::from_secs(5),
                ..base
            },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(Class::Default)
    }
}

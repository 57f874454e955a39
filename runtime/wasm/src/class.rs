//! Density classes: how much room an agent's memory has, and what that costs.

use std::fmt;
use std::str::FromStr;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What kind of place an agent lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// For compiled guests (Rust, C): 4 GiB of address space each, so that no load needs a bounds check.
    #[default]
    Default,
    /// For very many small agents: 512 KiB of address space each, side by side; loads are checked.
    Compact,
    /// For guests that bring an interpreter (JavaScript, Python): big memories, big tables, many core modules.
    Interpreter,
}

/// A compact agent's memory: what it may grow to, and what it takes of the address space.
pub(crate) const COMPACT_BYTES: usize = 512 << 10;

/// The stack of the host's own that a call runs on. wasm frames have [`WASM_STACK_BYTES`] of it.
const FIBER_STACK_BYTES: usize = 256 << 10;
const WASM_STACK_BYTES: usize = 128 << 10;
/// Interpreters recurse for each call of the language that they interpret.
const INTERPRETER_FIBER_STACK_BYTES: usize = 1 << 20;
const INTERPRETER_WASM_STACK_BYTES: usize = 512 << 10;

/// Linear memories of one agent that brings an interpreter: componentize-qjs makes three, its own and those of the parts that
/// stand for WASI.
pub(crate) const INTERPRETER_MEMORIES: u32 = 4;

/// Mappings that one agent adds to the process: two or three for its memory and two for its call stack.
pub(crate) const MAPPINGS_PER_AGENT: u64 = 6;
/// The same with as many memories as an interpreter may have.
pub(crate) const MAPPINGS_PER_INTERPRETER_AGENT: u64 = 12;
/// A compact agent's memory merges with its neighbours'.
pub(crate) const MAPPINGS_PER_COMPACT_AGENT: u64 = 2;

impl Class {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Default, Self::Compact, Self::Interpreter];

    /// The word that manifests use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Compact => "compact",
            Self::Interpreter => "interpreter",
        }
    }

    /// The most memory that an agent of this class can be granted, in bytes.
    #[must_use]
    pub fn memory_max(self) -> u64 {
        match self {
            Self::Default => 256 << 20,
            Self::Compact => COMPACT_BYTES as u64,
            Self::Interpreter => 1 << 30,
        }
    }

    pub(crate) fn mappings_per_agent(self) -> u64 {
        match self {
            Self::Default => MAPPINGS_PER_AGENT,
            Self::Interpreter => MAPPINGS_PER_INTERPRETER_AGENT,
            Self::Compact => MAPPINGS_PER_COMPACT_AGENT,
        }
    }

    /// The part of the configuration that compiled code depends on. `is_metered`: code counts its fuel.
    pub(crate) fn code_config(self, is_metered: bool) -> Config {
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .consume_fuel(is_metered)
            // The same turn gives the same bits on every machine.
            .cranelift_nan_canonicalization(true)
            .wasm_relaxed_simd(false)
            .wasm_memory64(false)
            .wasm_tail_call(false)
            .wasm_custom_page_sizes(false)
            .wasm_wide_arithmetic(false)
            .shared_memory(false)
            // `wasm_multi_memory(false)` stays unset: compiling nested components panics with it (48.0.8).
            .concurrency_support(false)
            .memory_may_move(false);
        match self {
            Self::Default | Self::Interpreter => {
                config.memory_init_cow(true);
            }
            Self::Compact => {
                config
                    .memory_reservation(COMPACT_BYTES as u64)
                    .memory_guard_size(0)
                    .guard_before_linear_memory(false)
                    .memory_init_cow(false);
            }
        }
        match self {
            Self::Default | Self::Compact => config
                .max_wasm_stack(WASM_STACK_BYTES)
                .async_stack_size(FIBER_STACK_BYTES),
            Self::Interpreter => config
                .max_wasm_stack(INTERPRETER_WASM_STACK_BYTES)
                .async_stack_size(INTERPRETER_FIBER_STACK_BYTES),
        };
        config
    }

    /// The configuration of an engine that has room for so many agents.
    pub(crate) fn config(self, is_metered: bool, agents: u32) -> Config {
        let mut config = self.code_config(is_metered);
        let mut pool = PoolingAllocationConfig::new();
        // A component made by the usual tools is three core instances (itself, shim, fix-up) and two tables; interpreters
        // nest components.
        let (instances, tables, memories, elements) = match self {
            Self::Default | Self::Compact => (8, 4, 1, 4096),
            Self::Interpreter => (64, 16, INTERPRETER_MEMORIES, 65_536),
        };
        pool.total_component_instances(agents)
            .total_core_instances(agents.saturating_mul(instances))
            .total_memories(agents.saturating_mul(memories))
            .total_tables(agents.saturating_mul(tables))
            // A store keeps the stack of its last call, so there is one for each agent.
            .total_stacks(agents)
            .max_core_instances_per_component(instances)
            .max_memories_per_component(memories)
            .max_tables_per_component(tables)
            .max_memory_size(usize::try_from(self.memory_max()).unwrap_or(usize::MAX))
            .table_elements(elements)
            .max_unused_warm_slots(1000);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(Enabled::Yes);
        }
        if self != Self::Compact {
            pool.linear_memory_keep_resident(64 << 10)
                .table_keep_resident(64 << 10);
        }
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of default, compact, interpreter")]
pub struct UnknownClass(String);

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

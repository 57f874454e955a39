//! The peer: the same component in wasmtime with the same settings, called by a loop. No mailbox, no turn, no supervisor; imports
//! are there and do nothing.

#![allow(
    missing_docs,
    reason = "generated from the contract, whose comments are the documentation"
)]
#![allow(unreachable_pub, clippy::all, reason = "generated")]

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Store,
};

wasmtime::component::bindgen!({
    path: "../../actors/wit",
    world: "volatile",
    imports: { default: trappable },
    exports: { default: async },
});

use swarm::agent::types::{Aid, Error, Message, Performative};
use swarm::agent::{clock, log, messaging, random, state, timers, tools, types};

/// What the imports have to do with: the answers are counted, so that they are not optimised away.
#[derive(Default)]
pub(crate) struct Nothing {
    pub(crate) answers: u64,
}

impl types::Host for Nothing {}

impl messaging::Host for Nothing {
    fn me(&mut self) -> Result<Aid> {
        Ok(Aid {
            name: "bench@bench".to_owned(),
            addresses: Vec::new(),
            resolvers: Vec::new(),
            user_slots: Vec::new(),
        })
    }
    fn send(
        &mut self,
        _: messaging::Recipient,
        _: Message,
    ) -> Result<std::result::Result<(), Error>> {
        self.answers += 1;
        Ok(Ok(()))
    }
    fn answer(&mut self, _: Message) -> Result<std::result::Result<(), Error>> {
        self.answers += 1;
        Ok(Ok(()))
    }
}

impl state::Host for Nothing {
    fn get(&mut self, _: String) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    fn set(&mut self, _: String, _: Vec<u8>) -> Result<std::result::Result<(), Error>> {
        Ok(Ok(()))
    }
    fn delete(&mut self, _: String) -> Result<()> {
        Ok(())
    }
    fn keys(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl timers::Host for Nothing {
    fn after(&mut self, _: u64, _: u64) -> Result<std::result::Result<u64, Error>> {
        Ok(Ok(1))
    }
    fn every(&mut self, _: u64, _: u64) -> Result<std::result::Result<u64, Error>> {
        Ok(Ok(1))
    }
    fn cancel(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}

impl clock::Host for Nothing {
    fn now(&mut self) -> Result<u64> {
        Ok(0)
    }
}

impl random::Host for Nothing {
    fn next(&mut self) -> Result<u64> {
        Ok(0)
    }
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        Ok(vec![0; count as usize])
    }
}

impl log::Host for Nothing {
    fn write(&mut self, _: log::Level, _: String) -> Result<std::result::Result<(), Error>> {
        Ok(Ok(()))
    }
}

impl tools::Host for Nothing {
    fn available(&mut self) -> Result<Vec<tools::Tool>> {
        Ok(Vec::new())
    }
    fn call(
        &mut self,
        _: String,
        _: String,
        _: tools::Options,
    ) -> Result<std::result::Result<String, Error>> {
        Ok(Err(Error::Denied))
    }
}

/// An engine and a linked component.
pub(crate) struct Bare {
    engine: Engine,
    pre: VolatilePre<Nothing>,
}

/// One instance, started.
pub(crate) struct Instance {
    pub(crate) store: Store<Nothing>,
    exports: Volatile,
}

impl Bare {
    /// The settings of the default class (runtime/wasm/src/class.rs).
    pub(crate) fn new(component: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .cranelift_nan_canonicalization(true)
            .concurrency_support(false)
            .memory_may_move(false)
            .max_wasm_stack(128 << 10)
            .async_stack_size(256 << 10);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(1000)
            .total_core_instances(8000)
            .total_memories(1000)
            .total_tables(4000)
            .total_stacks(1000)
            .max_memory_size(256 << 20)
            .table_elements(4096)
            .max_unused_warm_slots(1000)
            .linear_memory_keep_resident(64 << 10)
            .table_keep_resident(64 << 10);
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            pool.pagemap_scan(wasmtime::Enabled::Yes);
        }
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let mut linker = Linker::<Nothing>::new(&engine);
        Volatile::add_to_linker::<_, HasSelf<_>>(&mut linker, |nothing| nothing)?;
        let component = Component::new(&engine, component)?;
        let pre = VolatilePre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { engine, pre })
    }

    pub(crate) async fn start(&self) -> Result<Instance> {
        let mut store = Store::new(&self.engine, Nothing::default());
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(u64::MAX / 2);
        let exports = self.pre.instantiate_async(&mut store).await?;
        let mut instance = Instance { store, exports };
        let guest = instance.exports.swarm_agent_lifecycle();
        let started = guest.call_on_start(&mut instance.store, "{}").await?;
        started.map_err(wasmtime::Error::msg)?;
        Ok(instance)
    }
}

impl Instance {
    /// One call; false when the guest returned an error.
    pub(crate) async fn tell(&mut self, message: &Message) -> Result<bool> {
        let guest = self.exports.swarm_agent_lifecycle();
        let told = guest.call_on_message(&mut self.store, message).await?;
        Ok(told.is_ok())
    }
}

/// A message with this content.
pub(crate) fn message(performative: Performative, content: &[u8]) -> Message {
    Message {
        performative,
        sender: None,
        receivers: Vec::new(),
        reply_to: Vec::new(),
        content: Some(content.to_vec()),
        content_type: None,
        language: None,
        encoding: None,
        ontology: None,
        protocol: None,
        conversation_id: None,
        reply_with: None,
        in_reply_to: None,
        reply_by: None,
        user_parameters: Vec::new(),
    }
}

pub(crate) use swarm::agent::types::Performative as Act;

//! What `bindgen!` makes of the contract.
#![allow(
    missing_docs,
    reason = "the contract's own comments are the documentation"
)]
#![allow(unreachable_pub, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../actors/wit",
    world: "volatile",
    imports: {
        "swarm:agent/tools.call": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});

/// The same for durable agents. What both worlds import is the same.
pub(crate) mod durable {
    wasmtime::component::bindgen!({
        path: "../../actors/wit",
        world: "durable",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "swarm:agent/types": super::swarm::agent::types,
            "swarm:agent/messaging": super::swarm::agent::messaging,
            "swarm:agent/timers": super::swarm::agent::timers,
            "swarm:agent/clock": super::swarm::agent::clock,
            "swarm:agent/random": super::swarm::agent::random,
            "swarm:agent/log": super::swarm::agent::log,
        },
    });
}

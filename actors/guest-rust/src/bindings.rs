//! What `wit-bindgen` makes of the contract.
#![allow(
    missing_docs,
    reason = "the contract's own comments are the documentation"
)]
#![allow(clippy::all, reason = "generated")]

wit_bindgen::generate!({
    path: "../wit",
    world: "volatile",
    additional_derives: [PartialEq, Clone],
    pub_export_macro: true,
    export_macro_name: "export_volatile",
    default_bindings_module: "swarm_guest::bindings",
});

/// The same for durable agents; what both worlds share is the same type.
pub mod durable {
    wit_bindgen::generate!({
        path: "../wit",
        world: "durable",
        with: {
            "swarm:agent/types@0.1.0": crate::bindings::swarm::agent::types,
            "swarm:agent/messaging@0.1.0": crate::bindings::swarm::agent::messaging,
            "swarm:agent/timers@0.1.0": crate::bindings::swarm::agent::timers,
            "swarm:agent/clock@0.1.0": crate::bindings::swarm::agent::clock,
            "swarm:agent/random@0.1.0": crate::bindings::swarm::agent::random,
            "swarm:agent/log@0.1.0": crate::bindings::swarm::agent::log,
        },
        pub_export_macro: true,
        export_macro_name: "export_durable",
        default_bindings_module: "swarm_guest::bindings::durable",
    });
}

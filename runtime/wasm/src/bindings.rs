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

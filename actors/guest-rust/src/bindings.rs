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

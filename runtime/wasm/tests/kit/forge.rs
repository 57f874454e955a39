//! Components made to order, of text: what no compiler would make.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test code; each test file uses some of it"
)]

use std::path::PathBuf;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A guest that does nothing, but for what is put into it. All parts are WebAssembly text.
#[derive(Clone)]
pub(crate) struct Forged {
    /// Imports, types, globals, tables, functions, data, start.
    pub(crate) fields: String,
    /// The memory's bounds, in pages.
    pub(crate) memory: String,
    /// The body of `on-start`; its parameters are `$at` and `$length` of the config, it leaves the address of a result.
    pub(crate) on_start: String,
    /// The body of `on-message`; its parameter is `$message`, the address of the record.
    pub(crate) on_message: String,
    /// The body of `snapshot`.
    pub(crate) snapshot: String,
    /// The body of `cabi_realloc`, which finds room for what the host hands over.
    pub(crate) realloc: String,
}

/// Where a result of `ok` lies.
pub(crate) const OK: &str = "i32.const 16";

impl Default for Forged {
    fn default() -> Self {
        Self {
            fields: String::new(),
            memory: "2".to_owned(),
            on_start: OK.to_owned(),
            on_message: OK.to_owned(),
            snapshot: OK.to_owned(),
            // It never gives anything back, and needs no more in a test: what is below 4096 is the guest's own.
            realloc: "(local.set $from (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $from) (local.get $length)))
                (block $fits
                  (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
                  (br_if $fits (i32.ge_s (memory.grow (i32.add (i32.shr_u (local.get $length) (i32.const 16)) (i32.const 1))) (i32.const 0)))
                  unreachable)
                (local.get $from)"
                .to_owned(),
        }
    }
}

impl Forged {
    /// With these fields in the module.
    pub(crate) fn with(fields: &str) -> Self {
        Self {
            fields: fields.to_owned(),
            ..Self::default()
        }
    }

    /// The core module, as text.
    pub(crate) fn text(&self) -> String {
        let Self {
            fields,
            memory,
            on_start,
            on_message,
            snapshot,
            realloc,
        } = self;
        let lifecycle = "swarm:agent/lifecycle@0.1.0";
        format!(
            r#"(module
              {fields}
              (memory (export "memory") {memory})
              (global $free (mut i32) (i32.const 4096))
              (func (export "cabi_realloc") (param $old i32) (param $had i32) (param $align i32) (param $length i32) (result i32)
                (local $from i32) {realloc})
              (func (export "{lifecycle}#on-start") (param $at i32) (param $length i32) (result i32) {on_start})
              (func (export "{lifecycle}#on-message") (param $message i32) (result i32) (local $n i32) {on_message})
              (func (export "{lifecycle}#on-timer") (param i64 i64) (result i32) {OK})
              (func (export "{lifecycle}#on-stop") (param i32 i32))
              (func (export "{lifecycle}#snapshot") (result i32) {snapshot})
              (func (export "{lifecycle}#restore") (param i32 i32 i32) (result i32) {OK})
            )"#
        )
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        component(&self.text(), &contract())
    }
}

/// The contract, as guests copy it.
pub(crate) fn contract() -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../actors/wit/agent.wit");
    std::fs::read_to_string(file).unwrap()
}

/// A component of a core module in text, for the world `volatile` of this contract.
pub(crate) fn component(text: &str, contract: &str) -> Vec<u8> {
    let module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    component_of(module, contract)
}

/// The same of a core module.
pub(crate) fn component_of(mut module: Vec<u8>, contract: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("agent.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some("volatile")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(false)
        .encode()
        .unwrap()
}

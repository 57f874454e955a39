//! What is fuzzed, for libFuzzer and for the plain test that runs the same on changed components.

use swarm_wasm::{Class, Grants, Host, HostOptions, Limits, inspect};

/// Looks at bytes as `swarmctl wasm inspect` does: an answer or a typed error.
pub fn component(bytes: &[u8]) -> bool {
    match inspect(bytes) {
        Ok(found) => {
            assert!(found.imports.len() + found.exports.len() <= 2000);
            assert!(
                found
                    .imports
                    .iter()
                    .all(|import| !import.name.contains(char::is_control))
            );
            assert!(
                found
                    .exports
                    .iter()
                    .all(|export| !export.contains(char::is_control))
            );
            true
        }
        Err(error) => {
            assert!(!error.to_string().contains(['\n', '\u{1b}']));
            false
        }
    }
}

/// Goes the whole way from bytes to a component that can be started. The compiler's panic is an error like others; its time and memory are
/// bounded by the process that a node runs it in, which this is not: so no long input.
pub fn load(host: &Host, class: Class, bytes: &[u8]) -> bool {
    let limits = Limits::of(class);
    match host.load(bytes, class, &Grants::all(), &limits) {
        Ok(component) => {
            assert!(component.inspection().memory <= limits.memory);
            true
        }
        Err(error) => {
            assert!(!error.to_string().contains(['\n', '\u{1b}']));
            false
        }
    }
}

/// A host that keeps nothing.
pub fn host() -> Host {
    Host::new(HostOptions::default()).expect("a host without a folder needs nothing")
}

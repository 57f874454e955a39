#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

use std::sync::LazyLock;
use swarm_wasm::{Class, Host};

static HOST: LazyLock<Host> = LazyLock::new(targets::host);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::load(&HOST, Class::Default, data);
});

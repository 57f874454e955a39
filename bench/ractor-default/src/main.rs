//! The ractor subject once more, with ractor's default features: `__sample BENCH ractor SCALE`, as in the main program.

#![allow(
    dead_code,
    reason = "the modules are shared with the main program, which uses all of them"
)]

#[path = "../../src/child.rs"]
mod child;
#[path = "../../src/measure.rs"]
mod measure;
#[path = "../../src/rig.rs"]
mod rig;
#[path = "../../src/sample.rs"]
mod sample;
mod subjects;
#[path = "../../src/workload.rs"]
mod workload;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    child::run(&arguments);
}

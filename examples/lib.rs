//! Nothing: the examples stand beside this file, each in one of its own. `cargo run -p swarm-examples --example NAME`.

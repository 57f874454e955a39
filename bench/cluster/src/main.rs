//! What links between nodes cost beside a bare TLS connection of the same certificates, and how fast clusters of real processes form,
//! notice deaths and part.
//!
//! `cargo build --release -p swarmctl && cargo run --release -p swarm-bench-cluster -- [PART] [NODES]`; PART is `links`, `nodes` or
//! `partition`, by default the first two; NODES is how many nodes a cluster has, by default 5 and 32. `nodes` and `partition` run the `swarmctl`
//! that lies beside this program. What is sent while nothing happens is read off the loopback device: run it in a network namespace of its own, or on
//! a machine that does nothing else. `partition` makes two network namespaces, so it needs root and `ip`.
//! After `links` one row can be named instead (`sequential`, `in-flight`, `notes`, `bigs`, `mixed`).

mod links;
mod machine;
mod nodes;

use std::error::Error;

/// An error that ends the bench.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [argument] = &arguments[..]
        && nodes::is_relay(argument)
    {
        return nodes::relay();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if let [flag, subject] = &arguments[..]
        && flag == "--child"
    {
        return runtime.block_on(links::child(subject));
    }
    let part = arguments.first().map(String::as_str);
    if let Some(other) = part.filter(|part| !["links", "nodes", "partition"].contains(part)) {
        return Err(format!("there is no part {other}; try: links, nodes, partition").into());
    }
    let sizes = match arguments.get(1).filter(|_| part != Some("links")) {
        Some(nodes) => vec![nodes.parse()?],
        None => vec![5, 32],
    };
    if part.is_none_or(|part| part == "links") {
        runtime.block_on(links::run(arguments.get(1).map(String::as_str)))?;
    }
    for nodes in sizes {
        if part.is_none_or(|part| part == "nodes") {
            nodes::run(nodes)?;
        }
        if part == Some("partition") {
            nodes::run_partition(nodes)?;
        }
    }
    Ok(())
}

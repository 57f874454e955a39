//! Samples that several subjects put together in the same way.

use crate::measure::Spent;
use crate::rig::Histogram;
use crate::sample::{Sample, median, millis, nanos};

/// Resident bytes for each of `agents`. Takes what keeps them alive, so that it is not dropped before the reading.
pub(crate) fn idle_sample<T>(before: u64, after: u64, agents: u64, alive: T) -> Sample {
    let bytes = after.saturating_sub(before) as f64 / agents as f64;
    std::mem::forget(alive);
    Sample::default().with("resident", "bytes/agent", bytes)
}

/// Quantiles of the time from send to turn, with the CPU time of each message.
pub(crate) fn latency_sample(spent: Spent, messages: u64, times: &Histogram) -> Sample {
    assert_eq!(times.count(), messages, "a message was lost or doubled");
    Sample::default()
        .with("p50", "us", times.quantile_micros(0.5))
        .with("p99", "us", times.quantile_micros(0.99))
        .with("p99.9", "us", times.quantile_micros(0.999))
        .with("cpu", "ns/op", nanos(spent.cpu) / messages as f64)
        .with_rate("messages/s", spent, messages)
}

/// Quantiles of the time from a crash to the first message after it, with the CPU time of each restart.
pub(crate) fn restart_sample(spent: Spent, crashes: u64, times: &Histogram) -> Sample {
    assert_eq!(
        times.count(),
        crashes + crate::workload::warm_up(crashes),
        "a crash was not recovered from"
    );
    Sample::default()
        .with("p50", "us", times.quantile_micros(0.5))
        .with("p99", "us", times.quantile_micros(0.99))
        .with("cpu", "ns/op", nanos(spent.cpu) / crashes as f64)
}

/// How fast agents start, with the CPU time of each start.
pub(crate) fn start_sample(spent: Spent, agents: u64) -> Sample {
    Sample::per_op(spent, agents).with_rate("agents/s", spent, agents)
}

/// The middle of several rounds of the same whole thing, named `metric`, in milliseconds.
pub(crate) fn rounds_sample(sample: Sample, metric: &str, rounds: &[Spent]) -> Sample {
    let wall: Vec<f64> = rounds.iter().map(|spent| millis(spent.wall)).collect();
    let cpu: Vec<f64> = rounds.iter().map(|spent| millis(spent.cpu)).collect();
    sample
        .with(metric, "ms", median(&wall))
        .with(&format!("{metric}-cpu"), "ms", median(&cpu))
}

/// How much the resident memory grew over a long run.
pub(crate) fn growth_sample(before: u64, after: u64, spent: Spent, ops: u64) -> Sample {
    let growth = (after as f64 - before as f64) / 1024.0;
    Sample::default()
        .with("growth", "KiB", growth)
        .with("resident", "KiB", after as f64 / 1024.0)
        .with("cpu", "ns/op", nanos(spent.cpu) / ops as f64)
}

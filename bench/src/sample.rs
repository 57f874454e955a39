//! What one run of one subject hands to the process that started it: one JSON line on stdout.

use crate::measure::Spent;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One number of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) value: f64,
}

/// All numbers of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) readings: Vec<Reading>,
}

impl Sample {
    /// CPU and wall time per operation.
    pub(crate) fn per_op(spent: Spent, ops: u64) -> Self {
        let per_op = |time: Duration| nanos(time) / ops as f64;
        Self::default()
            .with("cpu", "ns/op", per_op(spent.cpu))
            .with("wall", "ns/op", per_op(spent.wall))
    }

    /// Adds one reading.
    pub(crate) fn with(mut self, metric: &str, unit: &str, value: f64) -> Self {
        self.readings.push(Reading {
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            value,
        });
        self
    }

    /// Adds operations per second.
    pub(crate) fn with_rate(self, unit: &str, spent: Spent, ops: u64) -> Self {
        self.with("rate", unit, ops as f64 / spent.wall.as_secs_f64())
    }
}

/// A duration in nanoseconds.
pub(crate) fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle of the values; of an even number, the mean of the two in the middle. Zero when there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn times_are_divided_by_the_number_of_operations() {
        let spent = Spent {
            wall: Duration::from_micros(10),
            cpu: Duration::from_micros(20),
        };
        let sample = Sample::per_op(spent, 10).with_rate("ops/s", spent, 10);
        let values: Vec<f64> = sample
            .readings
            .iter()
            .map(|reading| reading.value.round())
            .collect();
        assert_eq!(values, [2000.0, 1000.0, 1_000_000.0]);
    }

    #[test]
    fn a_sample_survives_its_line() {
        let sample = Sample::default().with("cpu", "ns/op", 1.5);
        let line = serde_json::to_string(&sample).unwrap();
        assert_eq!(serde_json::from_str::<Sample>(&line).unwrap(), sample);
    }
}

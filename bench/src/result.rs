//! The runs of one subject put together, and whether the bars hold.

use crate::catalog::{Bar, Limit, bars};
use crate::sample::{Sample, median};
use crate::subjects::Subject;
use crate::workload::Bench;
use serde::Serialize;

/// One metric of one subject over all its runs; the line that `--json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
}

/// The figures of one subject, in the order in which its samples name them.
pub(crate) fn figures(bench: Bench, subject: Subject, samples: &[Sample]) -> Vec<Figure> {
    let Some(first) = samples.first() else {
        return Vec::new();
    };
    first
        .readings
        .iter()
        .map(|reading| {
            let values: Vec<f64> = samples
                .iter()
                .flat_map(|sample| &sample.readings)
                .filter(|other| other.metric == reading.metric)
                .map(|other| other.value)
                .collect();
            Figure {
                bench: bench.name(),
                subject: subject.name(),
                metric: reading.metric.clone(),
                unit: reading.unit.clone(),
                median: rounded(median(&values)),
                min: rounded(values.iter().copied().fold(f64::INFINITY, f64::min)),
                max: rounded(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
                runs: values.len(),
            }
        })
        .collect()
}

/// Three decimals are more than any clock here is worth.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// A bar beside what was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) bar: Bar,
    /// Swarm's median, or its ratio to the peer's.
    pub(crate) measured: f64,
    pub(crate) holds: bool,
}

/// The bars of a bench for which there are figures to judge them by.
pub(crate) fn verdicts(bench: Bench, figures: &[Figure]) -> Vec<Verdict> {
    let median_of = |subject: Subject, metric: &str| {
        figures
            .iter()
            .find(|figure| {
                figure.bench == bench.name()
                    && figure.subject == subject.name()
                    && figure.metric == metric
            })
            .map(|figure| figure.median)
    };
    let judge = |bar: Bar| {
        let own = median_of(Subject::Swarm, bar.metric)?;
        let measured = match bar.peer {
            Some(peer) => own / median_of(peer, bar.metric)?,
            None => own,
        };
        let holds = match bar.limit {
            Limit::Most(limit) => measured <= limit,
            Limit::Least(limit) => measured >= limit,
        };
        Some(Verdict {
            bar,
            measured,
            holds,
        })
    };
    bars(bench).into_iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu: f64) -> Sample {
        Sample::default().with("cpu", "ns/op", cpu)
    }

    #[test]
    fn figures_hold_median_and_extremes_of_all_runs() {
        let figures = figures(
            Bench::Ask,
            Subject::Swarm,
            &[sample(3.0), sample(1.0), sample(2.0004)],
        );
        assert_eq!(figures.len(), 1);
        let figure = &figures[0];
        assert_eq!(
            (figure.median, figure.min, figure.max, figure.runs),
            (2.0, 1.0, 3.0, 3)
        );
        let line = serde_json::to_value(figure).unwrap();
        for (key, value) in [
            ("bench", "ask"),
            ("subject", "swarm"),
            ("metric", "cpu"),
            ("unit", "ns/op"),
        ] {
            assert_eq!(line[key], value);
        }
    }

    #[test]
    fn no_samples_give_no_figures() {
        assert!(figures(Bench::Ask, Subject::Swarm, &[]).is_empty());
    }

    #[test]
    fn a_bar_is_judged_by_the_ratio_of_medians() {
        let judged = |own: f64| {
            let mut all = figures(Bench::Ask, Subject::Swarm, &[sample(own)]);
            all.extend(figures(Bench::Ask, Subject::Ractor, &[sample(100.0)]));
            let verdicts = verdicts(Bench::Ask, &all);
            (verdicts[0].measured, verdicts[0].holds)
        };
        assert_eq!(judged(55.0), (0.55, true));
        assert_eq!(judged(56.0), (0.56, false));
    }

    #[test]
    fn a_bar_without_its_peer_is_not_judged() {
        let all = figures(Bench::Ask, Subject::Swarm, &[sample(1.0)]);
        assert!(verdicts(Bench::Ask, &all).is_empty());
    }
}

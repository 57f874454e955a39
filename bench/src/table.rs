//! The readable form: a table for each bench, with the ratio of Swarm to each peer, and the bars.

use crate::catalog::{Limit, about};
use crate::result::{Figure, Verdict};
use crate::subjects::Subject;
use crate::workload::Bench;
use std::fmt::Write;

/// Renders one bench.
pub(crate) fn render(bench: Bench, figures: &[Figure], verdicts: &[Verdict]) -> String {
    let mut text = format!("{}: {}\n", bench.name(), about(bench));
    let mut metrics: Vec<&str> = Vec::new();
    for figure in figures {
        if !metrics.contains(&figure.metric.as_str()) {
            metrics.push(&figure.metric);
        }
    }
    let mut rows = vec![
        [
            "METRIC", "SUBJECT", "MEDIAN", "MIN", "MAX", "UNIT", "RUNS", "SWARM IS",
        ]
        .map(str::to_owned),
    ];
    for metric in metrics {
        let of_metric = || figures.iter().filter(|figure| figure.metric == metric);
        let own = of_metric().find(|figure| figure.subject == Subject::Swarm.name());
        for figure in of_metric() {
            rows.push([
                figure.metric.clone(),
                figure.subject.to_owned(),
                number(figure.median),
                number(figure.min),
                number(figure.max),
                figure.unit.clone(),
                figure.runs.to_string(),
                ratio(own, figure),
            ]);
        }
    }
    columns(&mut text, &rows);
    for verdict in verdicts {
        let _ = writeln!(text, "  bar: {} {}", verdict.bar.metric, sentence(verdict));
    }
    text
}

/// Renders one bench as rows of a Markdown table, whose head is [`MARKDOWN_HEAD`].
pub(crate) fn markdown(figures: &[Figure], verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    let own = figures
        .iter()
        .filter(|figure| figure.subject == Subject::Swarm.name());
    for own in own {
        let peers = figures
            .iter()
            .filter(|peer| peer.metric == own.metric && peer.subject != own.subject)
            .map(|peer| {
                let value = number(peer.median);
                format!("{} {value} ({})", peer.subject, ratio(Some(own), peer))
            });
        let bars = verdicts
            .iter()
            .filter(|verdict| verdict.bar.metric == own.metric)
            .map(sentence);
        let _ = writeln!(
            text,
            "| {} | {}, {} | {} ({} to {}) | {} | {} |",
            own.bench,
            own.metric,
            own.unit,
            number(own.median),
            number(own.min),
            number(own.max),
            peers.collect::<Vec<_>>().join(", "),
            bars.collect::<Vec<_>>().join(", "),
        );
    }
    text
}

/// What stands above the rows of [`markdown`].
pub(crate) const MARKDOWN_HEAD: &str = "\
| bench | metric | swarm: median (min to max) | peers: median (swarm is) | bar |
| --- | --- | --- | --- | --- |";

fn ratio(own: Option<&Figure>, peer: &Figure) -> String {
    match own {
        Some(own) if own.subject != peer.subject && peer.median > 0.0 => {
            format!("{:.2} x", own.median / peer.median)
        }
        _ => "-".to_owned(),
    }
}

fn sentence(verdict: &Verdict) -> String {
    let (side, limit) = match verdict.bar.limit {
        Limit::Most(limit) => ("at most", limit),
        Limit::Least(limit) => ("at least", limit),
    };
    let (wanted, measured) = match verdict.bar.peer {
        Some(peer) => (
            format!("{limit} x {}", peer.name()),
            format!("{:.2} x", verdict.measured),
        ),
        None => (number(limit), number(verdict.measured)),
    };
    let outcome = if verdict.holds { "holds" } else { "MISSED" };
    format!("{side} {wanted}: {measured}, {outcome}")
}

/// Enough digits to compare by, no more.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// Lines the columns up: words to the left, numbers to the right.
fn columns<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = match column {
                2 | 3 | 4 | 6 | 7 => write!(line, " {cell:>width$}"),
                _ => write!(line, " {cell:<width$}"),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{figures, verdicts};
    use crate::sample::Sample;

    #[test]
    fn the_table_shows_each_subject_the_ratio_and_the_bar() {
        let sample = |value| [Sample::default().with("cpu", "ns/op", value)];
        let mut all = figures(Bench::Ask, Subject::Swarm, &sample(250.0));
        all.extend(figures(Bench::Ask, Subject::Ractor, &sample(1000.0)));
        let text = render(Bench::Ask, &all, &verdicts(Bench::Ask, &all));
        let expected = "\
ask: 100 clients ask one agent; only swarm's have a deadline
  METRIC SUBJECT MEDIAN  MIN  MAX UNIT  RUNS SWARM IS
  cpu    swarm      250  250  250 ns/op    1        -
  cpu    ractor    1000 1000 1000 ns/op    1   0.25 x
  bar: cpu at most 0.55 x ractor: 0.25 x, holds
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_markdown_row_holds_the_same() {
        let sample = |value| [Sample::default().with("cpu", "ns/op", value)];
        let mut all = figures(Bench::Ask, Subject::Swarm, &sample(250.0));
        all.extend(figures(Bench::Ask, Subject::Ractor, &sample(1000.0)));
        let row = markdown(&all, &verdicts(Bench::Ask, &all));
        let expected = "| ask | cpu, ns/op | 250 (250 to 250) | ractor 1000 (0.25 x) | at most 0.55 x ractor: 0.25 x, holds |\n";
        assert_eq!(row, expected);
    }

    #[test]
    fn small_numbers_keep_their_decimals() {
        assert_eq!(number(1.239), "1.24");
        assert_eq!(number(1234.5), "1234");
    }
}

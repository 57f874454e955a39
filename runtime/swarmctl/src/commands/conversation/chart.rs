//! Sequence charts of what was said: in text, and as Mermaid.

use crate::table::printable;
use std::fmt::Write as _;
use swarm_runtime::api::types::ConversationMessage;

/// How many agents have a column of their own. With more, a chart is wider than screens are: it becomes a list.
const COLUMNS_MAX: usize = 8;
/// The least space between two columns.
const GAP: usize = 25;
/// How much of a content is shown.
const CONTENT_SHOWN_MAX: usize = 40;

/// What an arrow is called: the act, its price, the beginning of its content.
pub(super) fn label(message: &ConversationMessage) -> String {
    let mut label = message.act.clone();
    if let Some(price) = &message.price {
        write!(label, " @{price}").expect("a String takes all text");
    }
    let content: String = message.content.chars().take(CONTENT_SHOWN_MAX).collect();
    let is_cut = content.len() < message.content_bytes;
    if !content.is_empty() {
        write!(label, " {content}").expect("a String takes all text");
        if is_cut {
            label.push('…');
        }
    }
    printable(&label)
}

/// The agents, in the order in which they first take part.
fn agents(messages: &[ConversationMessage]) -> Vec<&str> {
    let mut agents: Vec<&str> = Vec::new();
    for message in messages {
        let named = std::iter::once(&message.from).chain(&message.to);
        for name in named {
            if !agents.contains(&name.as_str()) {
                agents.push(name);
            }
        }
    }
    agents
}

/// A column for each agent, a line for each message and receiver; a list where there are too many agents.
pub(super) fn sequence(messages: &[ConversationMessage]) -> String {
    let agents = agents(messages);
    if agents.len() > COLUMNS_MAX {
        return list(messages);
    }
    let columns = columns(&agents);
    let mut text = head(&agents, &columns);
    for message in messages {
        let from = place(&agents, &message.from);
        for to in &message.to {
            let line = arrow(&columns, from, place(&agents, to), &label(message));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

fn place(agents: &[&str], name: &str) -> usize {
    agents.iter().position(|agent| *agent == name).unwrap_or(0)
}

/// Where each agent's line of life is.
fn columns(agents: &[&str]) -> Vec<usize> {
    let mut at = 0;
    let mut columns = Vec::new();
    for (n, agent) in agents.iter().enumerate() {
        let half = printable(agent).chars().count() / 2;
        if n == 0 {
            at = half;
        } else {
            let before = printable(agents[n - 1]).chars().count() / 2;
            at += (before + half + 3).max(GAP);
        }
        columns.push(at);
    }
    columns
}

fn head(agents: &[&str], columns: &[usize]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (agent, at) in agents.iter().zip(columns) {
        let name = printable(agent);
        let start = at.saturating_sub(name.chars().count() / 2);
        while width < start {
            text.push(' ');
            width += 1;
        }
        text.push_str(&name);
        width += name.chars().count();
    }
    text.push('\n');
    text
}

/// The lines of life, and the arrow between two of them with its label on it; what does not fit stands behind.
fn arrow(columns: &[usize], from: usize, to: usize, label: &str) -> String {
    let width = columns.last().copied().unwrap_or(0) + 1;
    let mut line: Vec<char> = vec![' '; width];
    for at in columns {
        line[*at] = '|';
    }
    let (left, right) = (columns[from.min(to)], columns[from.max(to)]);
    if left == right {
        return format!("{} {label} (to itself)", line.iter().collect::<String>());
    }
    line[left + 1..right].fill('-');
    if from < to {
        line[right - 1] = '>';
    } else {
        line[left + 1] = '<';
    }
    let room = (right - left).saturating_sub(7);
    let label: Vec<char> = label.chars().collect();
    let fits = label.len() <= room;
    let shown: Vec<char> = if fits {
        label.clone()
    } else {
        // The act alone is on the arrow.
        label
            .iter()
            .copied()
            .take_while(|c| *c != ' ')
            .take(room)
            .collect()
    };
    let start = left + 3 + (room.saturating_sub(shown.len())) / 2;
    line[start] = ' ';
    for (offset, c) in shown.iter().enumerate() {
        line[start + 1 + offset] = *c;
    }
    line[start + 1 + shown.len()] = ' ';
    let mut text: String = line.into_iter().collect();
    if !fits {
        text.push_str("  ");
        text.extend(label);
    }
    text
}

fn list(messages: &[ConversationMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        let to: Vec<_> = message.to.iter().map(|to| printable(to)).collect();
        writeln!(
            text,
            "{} {} -> {}: {}",
            message.at,
            printable(&message.from),
            to.join(" "),
            label(message)
        )
        .expect("a String takes all text");
    }
    text
}

/// A `sequenceDiagram` for Mermaid.
pub(super) fn mermaid(messages: &[ConversationMessage]) -> String {
    let agents = agents(messages);
    let mut text = String::from("sequenceDiagram\n");
    for (n, agent) in agents.iter().enumerate() {
        writeln!(text, "    participant a{n} as {}", escaped(agent))
            .expect("a String takes all text");
    }
    for message in messages {
        let from = place(&agents, &message.from);
        for to in &message.to {
            writeln!(
                text,
                "    a{from}->>a{}: {}",
                place(&agents, to),
                escaped(&label(message))
            )
            .expect("a String takes all text");
        }
    }
    text
}

/// Without what means something to Mermaid in a line.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            ';' => escaped.push_str("#59;"),
            '#' => escaped.push_str("#35;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_runtime::api::types::Time;

    fn said(act: &str, from: &str, to: &[&str], content: &str) -> ConversationMessage {
        ConversationMessage {
            conversation: "c1".into(),
            at: Time::from_unix_ms(0),
            act: act.into(),
            from: from.into(),
            to: to.iter().map(|to| (*to).to_owned()).collect(),
            content: content.into(),
            content_bytes: content.len(),
            price: None,
        }
    }

    #[test]
    fn a_chart_has_a_column_for_each_agent_and_an_arrow_for_each_receiver() {
        let messages = [
            said("cfp", "boss", &["ann", "bob"], ""),
            said("propose", "bob", &["boss"], "7"),
            said(
                "inform",
                "bob",
                &["boss"],
                "a result that is too long for the arrow",
            ),
        ];
        let chart = sequence(&messages);
        let lines: Vec<_> = chart.lines().collect();
        assert_eq!(lines.len(), 5, "{chart}");
        assert!(lines[0].starts_with("boss"));
        assert!(
            lines[1].contains(" cfp ") && lines[1].contains(">|"),
            "{chart}"
        );
        assert!(lines[2].trim_end().ends_with(">|"), "{chart}");
        assert!(
            lines[3].contains("|<") && lines[3].contains(" propose 7 "),
            "{chart}"
        );
        assert!(lines[4].contains(" inform "), "{chart}");
        assert!(lines[4].contains("too long for the arrow"), "{chart}");
    }

    #[test]
    fn many_agents_are_a_list() {
        let many: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let chart = sequence(&[said("cfp", "boss", &many, "")]);
        assert!(chart.contains("boss -> w0 w1"), "{chart}");
    }

    #[test]
    fn mermaid_names_each_agent_once_and_escapes_what_it_would_read() {
        let text = mermaid(&[
            said("cfp", "boss@n", &["ann@n"], "a;b"),
            said("refuse", "ann@n", &["boss@n"], "#"),
        ]);
        assert_eq!(
            text,
            "sequenceDiagram\n    participant a0 as boss@n\n    participant a1 as ann@n\n    \
             a0->>a1: cfp a#59;b\n    a1->>a0: refuse #35;\n"
        );
    }

    #[test]
    fn nothing_said_and_names_of_any_length_make_a_chart() {
        assert_eq!(sequence(&[]), "\n");
        let long = "n".repeat(100);
        for (from, to) in [
            ("", "a"),
            (long.as_str(), "a"),
            ("a", long.as_str()),
            ("a", "a"),
        ] {
            let chart = sequence(&[said("request", from, &[to], "x")]);
            assert!(chart.contains("request"), "{chart}");
        }
    }
}

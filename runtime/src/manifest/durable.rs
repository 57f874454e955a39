//! What a manifest says about a component that is a durable agent: `durable = true`, or a table with when it is to be saved.

use super::problem::Problems;
use super::reader::{Section, type_of};
use super::wasm::{Grants, size};
use std::ops::Range;
use swarm_actors::durable::SnapshotPolicy;
use toml::de::DeValue;

/// The most events between two snapshots; more makes a wake long.
const EVENTS_MAX: u64 = 1_000_000;

/// Reads the key `durable` of an agent's section, and says where it stands.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<(Range<usize>, Option<SnapshotPolicy>)> {
    let value = section.get("durable")?;
    let span = value.span();
    match value.get_ref() {
        DeValue::Boolean(is_durable) => {
            let policy = is_durable.then(SnapshotPolicy::default);
            Some((span, policy))
        }
        DeValue::Table(_) => {
            let table = section.section(problems, "durable")?;
            Some((span, Some(read_policy(table, problems))))
        }
        other => {
            let message = format!(
                "expected true, or a table of when it is to be saved, found {}",
                type_of(other)
            );
            let suggestion = Some("durable = true".to_owned());
            problems.note(&span, section.key_of("durable"), message, suggestion);
            None
        }
    }
}

fn read_policy(mut table: Section<'_, '_>, problems: &mut Problems<'_>) -> SnapshotPolicy {
    let usual = SnapshotPolicy::default();
    let policy = SnapshotPolicy {
        events: size(&mut table, problems, "events", 1, EVENTS_MAX).unwrap_or(usual.events),
        bytes: size(&mut table, problems, "bytes", 1, 1 << 30).unwrap_or(usual.bytes),
        at_rest: size(&mut table, problems, "at_rest", 1, EVENTS_MAX).unwrap_or(usual.at_rest),
        compacts: table
            .boolean(problems, "compacts")
            .map_or(usual.compacts, |found| found.value),
    };
    table.finish(problems);
    policy
}

/// Notes what a durable component is granted and cannot have.
pub(super) fn check_grants(
    grants: &Grants,
    span: &Range<usize>,
    key: &str,
    problems: &mut Problems<'_>,
) {
    let idle = [
        ("state", grants.state, "its events are what it keeps"),
        (
            "tools",
            !grants.tools.is_empty(),
            "a turn that waits for a tool cannot be one write",
        ),
    ];
    for (grant, is_granted, why) in idle {
        if is_granted {
            let message = format!("impossible together with `durable`: {why}");
            let suggestion = Some(format!("leave out `{grant}`"));
            problems.note(span, format!("{key}.{grant}"), message, suggestion);
        }
    }
}

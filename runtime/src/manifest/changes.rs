//! What makes one tree into another: the plan that `swarmctl plan` shows and `apply` carries out.

use super::tree::{Agent, Child, ChildPolicy, Children, Supervisor};
use std::collections::BTreeMap;
use swarm_protocols::Path;
use swarm_supervisors::Strategy;

/// What is to be done with one declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands.
    pub path: Path,
    /// Whether it is a supervisor; otherwise an agent, or its replicas.
    pub is_supervisor: bool,
    /// What.
    pub change: Change,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new: started.
    Add,
    /// It is gone: stopped and forgotten, with all that is below it.
    Remove,
    /// Taken over without stopping it: how it is supervised, how many there are, where it runs. With the keys that differ.
    Adjust(Vec<&'static str>),
    /// Stopped in order and started with what it is now; its address and its queue stay. With the keys that differ.
    Replace(Vec<&'static str>),
}

enum Declaration<'d> {
    Supervisor(&'d Supervisor),
    /// An agent; whether it is a template.
    Agent(&'d Agent, Option<u32>),
}

/// What has to be done with a running `old` tree so that it is a `new` one. In order of paths, so that parents come before
/// their children; below what is added, removed or replaced as a whole nothing is named.
#[must_use]
pub fn changes(old: &Supervisor, new: &Supervisor) -> Vec<Step> {
    let mut before = BTreeMap::new();
    let mut after = BTreeMap::new();
    list(old, &mut before);
    list(new, &mut after);
    let mut steps: Vec<Step> = Vec::new();
    let mut paths: Vec<&Path> = before.keys().chain(after.keys()).copied().collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        // Parents sort before their children.
        let is_covered = steps.iter().any(|step| {
            let is_whole = matches!(step.change, Change::Remove)
                || step.is_supervisor && matches!(step.change, Change::Add | Change::Replace(_));
            is_whole && path != &step.path && path.is_within(&step.path)
        });
        if is_covered {
            continue;
        }
        let mut add = |is_supervisor: bool, change: Change| {
            steps.push(Step {
                path: path.clone(),
                is_supervisor,
                change,
            });
        };
        let is_supervisor = |d: &Declaration<'_>| matches!(d, Declaration::Supervisor(_));
        match (before.get(path), after.get(path)) {
            (None, None) => {}
            (None, Some(new)) => add(is_supervisor(new), Change::Add),
            (Some(old), None) => add(is_supervisor(old), Change::Remove),
            (Some(Declaration::Supervisor(old)), Some(Declaration::Supervisor(new))) => {
                if let Some(change) = of_supervisors(old, new) {
                    add(true, change);
                }
            }
            (Some(Declaration::Agent(old, was)), Some(Declaration::Agent(new, is))) => {
                if let Some(change) = of_agents((old, *was), (new, *is)) {
                    add(false, change);
                }
            }
            (Some(old), Some(new)) => {
                add(is_supervisor(old), Change::Remove);
                add(is_supervisor(new), Change::Add);
            }
        }
    }
    steps
}

fn list<'d>(supervisor: &'d Supervisor, found: &mut BTreeMap<&'d Path, Declaration<'d>>) {
    found.insert(&supervisor.path, Declaration::Supervisor(supervisor));
    match &supervisor.children {
        Children::Template { agent, instances } => {
            found.insert(&agent.path, Declaration::Agent(agent, Some(*instances)));
        }
        Children::Static(children) => {
            for child in children {
                match child {
                    Child::Supervisor(inner) => list(inner, found),
                    Child::Agent(agent) => {
                        found.insert(&agent.path, Declaration::Agent(agent, None));
                    }
                }
            }
        }
    }
}

/// The keys of a pair of values that differ.
macro_rules! differing {
    ($old:expr, $new:expr, $($key:ident),+) => {{
        let mut keys: Vec<&'static str> = Vec::new();
        $(if $old.$key != $new.$key { keys.push(stringify!($key)); })+
        keys
    }};
}

fn of_policies(old: &ChildPolicy, new: &ChildPolicy) -> Vec<&'static str> {
    differing!(
        old,
        new,
        restart,
        shutdown,
        significant,
        restart_delay,
        start_timeout,
        place
    )
}

fn of_supervisors(old: &Supervisor, new: &Supervisor) -> Option<Change> {
    let mut keys = differing!(
        old.flags,
        new.flags,
        strategy,
        intensity,
        period,
        window,
        auto_shutdown,
        children_max
    );
    keys.extend(of_policies(&old.child, &new.child));
    let is_simple = |s: &Supervisor| s.flags.strategy == Strategy::SimpleOneForOne;
    // A running one cannot become or cease to be one; and it has to go where it is placed.
    let is_other =
        is_simple(old) != is_simple(new) || old.child.place.is_some() != new.child.place.is_some();
    match (keys.is_empty(), is_other) {
        (true, _) => None,
        (false, true) => Some(Change::Replace(keys)),
        (false, false) => Some(Change::Adjust(keys)),
    }
}

fn of_agents(
    (old, was): (&Agent, Option<u32>),
    (new, is): (&Agent, Option<u32>),
) -> Option<Change> {
    let inner = differing!(
        old,
        new,
        code,
        config,
        groups,
        registered,
        on_name_conflict,
        turn_deadline,
        sleep_after,
        dedicated,
        mailbox
    );
    let mut outer = of_policies(&old.child, &new.child);
    if old.replicas != new.replicas || was != is {
        outer.push("replicas");
    }
    let is_elsewhere = old.child.place.is_some() != new.child.place.is_some();
    if !inner.is_empty() || is_elsewhere {
        let keys = inner.into_iter().chain(outer).collect();
        return Some(Change::Replace(keys));
    }
    (!outer.is_empty()).then_some(Change::Adjust(outer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviours;
    use crate::manifest::Manifest;

    fn steps(old: &str, new: &str) -> Vec<String> {
        let parse = |text| Manifest::parse(text, &behaviours::builtin()).expect("a manifest");
        let steps = changes(&parse(old).root, &parse(new).root);
        let text = |step: &Step| match &step.change {
            Change::Add => format!("+ {}", step.path),
            Change::Remove => format!("- {}", step.path),
            Change::Adjust(keys) => format!("~ {} {}", step.path, keys.join(",")),
            Change::Replace(keys) => format!("! {} {}", step.path, keys.join(",")),
        };
        steps.iter().map(text).collect()
    }

    const OLD: &str = r#"
[supervisor."/pool"]
[agent."/pool/a"]
behaviour = "echo"
[agent."/pool/b"]
behaviour = "echo"
replicas = 2
[supervisor."/old"]
[agent."/old/x"]
behaviour = "echo"
"#;

    #[test]
    fn a_tree_that_is_the_same_needs_nothing() {
        assert_eq!(steps(OLD, OLD), Vec::<String>::new());
        assert_eq!(steps("", ""), Vec::<String>::new());
    }

    #[test]
    fn what_differs_is_named_by_place_and_key() {
        let new = r#"
[supervisor."/pool"]
intensity = 7
[agent."/pool/a"]
behaviour = "counter"
shutdown = "1s"
[agent."/pool/b"]
behaviour = "echo"
replicas = 3
[supervisor."/new"]
[agent."/new/x"]
behaviour = "echo"
"#;
        assert_eq!(
            steps(OLD, new),
            [
                "+ /new",
                "- /old",
                "~ /pool intensity",
                "! /pool/a code,shutdown",
                "~ /pool/b replicas"
            ]
        );
    }

    #[test]
    fn what_gets_a_place_or_loses_it_is_replaced() {
        let new = OLD.replace("[agent.\"/pool/b\"]", "[agent.\"/pool/b\"]\nplace = {}");
        assert_eq!(steps(OLD, &new), ["! /pool/b place"]);
        let spread = new.replace("place = {}", "place = { mode = \"spread\" }");
        assert_eq!(steps(&new, &spread), ["~ /pool/b place"]);
        assert_eq!(steps(&new, OLD), ["! /pool/b place"]);
    }
}

//! Random trees with random exits, failed starts and calls behave as the plain model of otp.md's table says.

mod reference {
    pub(crate) mod generate;
    pub(crate) mod model;
}

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::collections::BTreeMap;
use swarm_supervisors::scenario::{Scenario, Step, run};

/// Answers of supervisors that are gone come when their mailbox is thrown away, which is no step of any supervisor: they
/// are compared as a set.
fn split(steps: Vec<Step>) -> (Vec<Step>, Vec<(u64, String)>) {
    let gone = Some(json!({"error": "noproc"}));
    let (noproc, steps): (Vec<Step>, Vec<Step>) =
        steps.into_iter().partition(|step| step.value == gone);
    let mut noproc: Vec<_> = noproc.into_iter().map(|step| (step.t, step.id)).collect();
    noproc.sort();
    (steps, noproc)
}

/// What each supervisor sees: its own steps and those of its children, in order. Two supervisors that work at the same instant
/// and of which neither waits for the other have no order between them, in OTP neither; everything that has one is in some
/// supervisor's view.
fn views(steps: &[Step]) -> BTreeMap<String, Vec<String>> {
    let mut views: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for step in steps {
        let line = serde_json::to_string(step).expect("a step is JSON");
        let id = step.id.clone();
        let parent = match id.rsplit_once('/') {
            _ if id == "/" => None,
            Some((parent, _)) => Some(parent.to_owned()),
            None => Some("/".to_owned()),
        };
        for view in parent.into_iter().chain([id]) {
            views.entry(view).or_default().push(line.clone());
        }
    }
    views
}

fn check(scenario: &Scenario) -> Result<(), TestCaseError> {
    let json = serde_json::to_string(scenario).expect("a scenario is JSON");
    let steps = run(scenario).map_err(|error| TestCaseError::fail(format!("{error}\n{json}")))?;
    let expected = reference::model::play(scenario);
    let (steps, noproc) = split(steps);
    let (expected, expected_noproc) = split(expected);
    let same_views = views(&steps) == views(&expected);
    let lines = |steps: &[Step]| {
        steps
            .iter()
            .map(|step| serde_json::to_string(step).expect("a step is JSON"))
            .collect::<Vec<_>>()
    };
    let (steps, expected) = (lines(&steps), lines(&expected));
    if let Some(n) =
        (0..steps.len().max(expected.len())).find(|n| steps.get(*n) != expected.get(*n))
        && !same_views
    {
        return Err(TestCaseError::fail(format!(
            "step {n} differs\nscenario: {json}\ngot:\n  {}\nexpected:\n  {}",
            steps[n.saturating_sub(12)..].join("\n  "),
            expected[n.saturating_sub(12)..].join("\n  "),
        )));
    }
    prop_assert_eq!(noproc, expected_noproc, "{}", json);
    Ok(())
}

#[test]
fn random_trees_behave_as_the_table_says() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2000);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    if let Err(failure) = runner.run(&reference::generate::scenario(), |scenario| {
        check(&scenario)
    }) {
        panic!("{failure}");
    }
}

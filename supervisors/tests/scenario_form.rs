//! Scenarios as they are written: what is refused and how, and that a run is the same each time.

mod reference {
    pub(crate) mod generate;
}

use proptest::prelude::*;
use serde_json::{Value, json};
use swarm_supervisors::scenario::{Scenario, ScenarioError, run};

fn refused(scenario: &Value) -> String {
    match Scenario::from_json(&scenario.to_string()) {
        Ok(_) => panic!("{scenario} is refused"),
        Err(error) => error.to_string(),
    }
}

fn with_script(entry: Value) -> Value {
    json!({"supervisor": {"children": [{"id": "a"}]}, "script": [entry]})
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (scenario, expected) in [
        (json!({}), "missing field `supervisor`"),
        (
            json!({"supervisor": {}, "scripts": []}),
            "unknown field `scripts`",
        ),
        (
            json!({"supervisor": {"strategy": "all_for_one"}}),
            "unknown variant `all_for_one`",
        ),
        (
            json!({"supervisor": {"children": [{"id": "A"}]}}),
            "\"A\" is not an id",
        ),
        (
            json!({"supervisor": {"children": [{"id": "a"}, {"id": "a"}]}}),
            "supervisor /: two children are called a",
        ),
        (
            json!({"supervisor": {"children": [{"id": "s", "supervisor": {"period_ms": 0}}]}}),
            "supervisor /s: the period of a supervisor must be longer than zero",
        ),
        (
            json!({"supervisor": {"strategy": "simple_one_for_one"}}),
            "takes exactly one child spec, not 0",
        ),
        (
            json!({"supervisor": {"children": [{"id": "a", "significant": true}]}}),
            "significant and permanent",
        ),
        (
            json!({"supervisor": {"children": [{"id": "a", "start": []}]}}),
            "at least one outcome",
        ),
        (
            json!({"supervisor": []}),
            "scenario.supervisor: this must be an object",
        ),
        (
            with_script(json!({"at_ms": 1})),
            "an entry of the script is one of",
        ),
        (
            with_script(json!({"at_ms": 1, "exit": "a"})),
            "an exit needs a reason",
        ),
        (
            with_script(json!({"at_ms": 1, "exit": "", "reason": "crash"})),
            "script[0]",
        ),
        (
            with_script(json!({"at_ms": -1, "exit": "a", "reason": "crash"})),
            "invalid value",
        ),
        (
            with_script(json!({"at_ms": u64::MAX, "shutdown": true})),
            "at most 1000000000 ms",
        ),
        (
            with_script(json!({"at_ms": 1, "shutdown": false})),
            "an entry of the script is one of",
        ),
        (
            with_script(json!({"at_ms": 1, "call": "delete_child"})),
            "script[0]: the id of a child is missing",
        ),
        (
            with_script(json!({"at_ms": 1, "call": "start_child", "id": "b", "spec": {"id": "c"}})),
            "the last part of the id must be the id of the spec",
        ),
        (
            with_script(json!({"at_ms": 1, "call": "which_children", "spec": {"id": "c"}})),
            "only start_child has a spec",
        ),
    ] {
        let error = refused(&scenario);
        assert!(error.contains(expected), "{error:?} says {expected:?}");
    }
}

#[test]
fn a_run_without_end_is_ended() {
    let scenario = json!({
        "supervisor": {"intensity": 4_000_000, "children": [{"id": "a", "start": ["ok", "error"]}]},
        "script": [{"at_ms": 1, "exit": "a", "reason": "crash"}]
    });
    let scenario = Scenario::from_json(&scenario.to_string()).expect("it fits");
    assert!(matches!(run(&scenario), Err(ScenarioError::TooManySteps)));
}

#[tokio::test]
async fn a_scenario_can_be_played_from_within_a_runtime() {
    let scenario = Scenario::from_json(r#"{"supervisor": {}}"#).expect("it fits");
    assert_eq!(run(&scenario).expect("it plays").len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scenario_survives_json_and_gives_the_same_steps_each_time(scenario in reference::generate::scenario()) {
        let text = serde_json::to_string(&scenario).expect("JSON");
        let again = Scenario::from_json(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert_eq!(&again, &scenario);
        prop_assert_eq!(run(&scenario).expect("it plays"), run(&again).expect("it plays"));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", cut in 0..200_usize) {
        let _ = Scenario::from_json(&text);
        let valid = r#"{"supervisor":{"children":[{"id":"a","shutdown":10}]},"script":[{"at_ms":1,"exit":"a","reason":"kill"}]}"#;
        let _ = Scenario::from_json(valid.get(..cut).unwrap_or(valid));
    }
}

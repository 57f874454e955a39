//! `whatif`: the contract of its output. What supervisors do is tested where they live.

mod common;

use common::{example, file, folder, run, run_with_stdin};
use serde_json::json;

const SCENARIO: &str = r#"{"supervisor":{"strategy":"one_for_one","intensity":1,"children":[{"id":"a"},{"id":"b"}]},
  "script":[{"at_ms":10,"exit":"a","reason":"crash"},{"at_ms":20,"call":"which_children"}]}"#;

#[test]
fn every_step_is_a_line_in_the_order_in_which_it_happened() {
    let folder = folder();
    let scenario = file(&folder, "scenario.json", SCENARIO);
    let said = run(&["whatif", &scenario, "-o", "jsonl"]).expect(0);
    let crash = said.lines();
    let at_10: Vec<_> = crash.iter().filter(|step| step["t"] == 10).collect();
    assert_eq!(at_10[0]["event"], "exited");
    assert_eq!(at_10[0]["reason"], "crash");
    assert_eq!(
        (&at_10[1]["event"], &at_10[1]["incarnation"]),
        (&json!("start"), &json!(2))
    );
    let last = crash.last().unwrap();
    assert_eq!(last["event"], "result");
    assert_eq!(last["value"].as_array().unwrap().len(), 2);
    let piped = run_with_stdin(&["whatif", "-", "-o", "json"], SCENARIO)
        .expect(0)
        .json();
    assert_eq!(piped.as_array().unwrap(), &crash);
    assert!(
        run(&["whatif", &scenario])
            .expect(0)
            .stdout
            .starts_with("MS  EVENT")
    );
}

#[test]
fn a_manifest_is_a_scenario_too() {
    let said = run(&[
        "whatif",
        "--manifest",
        &example(),
        "--crash",
        "/pool/worker-2,/tally",
        "-o",
        "jsonl",
    ])
    .expect(0);
    let restarted: Vec<_> = said
        .lines()
        .into_iter()
        .filter(|step| step["event"] == "started" && step["incarnation"] == 2)
        .map(|step| step["id"].clone())
        .collect();
    assert_eq!(restarted, [json!("pool/worker-2"), json!("tally")]);
    run(&["whatif", "--manifest", &example(), "--crash", "/nope"]).expect(3);
    run(&["whatif", "--manifest", &example()]).expect(2);
}

#[test]
fn what_is_no_scenario_is_refused_with_an_example() {
    for text in [
        "",
        "[]",
        "{\"supervisor\":{\"strategi\":1}}",
        "{\"supervisor\":{\"children\":[{\"id\":\"A\"}]}}",
    ] {
        let said = run_with_stdin(&["whatif", "-", "-o", "json"], text).expect(2);
        assert_eq!(said.failure()["code"], "bad-scenario", "{text}");
    }
    run(&["whatif", "/no/such/file"]).expect(3);
    run(&["whatif"]).expect(2);
}

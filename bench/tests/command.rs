//! The command as its callers see it.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_swarm-bench");
    Command::new(program)
        .args(arguments)
        .output()
        .expect("the program starts")
}

#[test]
fn an_unknown_name_ends_with_2_and_says_what_to_try() {
    let output = bench(&["pingpong"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("did you mean ping-pong-1") && stderr.contains("try:"),
        "{stderr}"
    );
}

#[test]
fn no_name_at_all_ends_with_2() {
    assert_eq!(bench(&[]).status.code(), Some(2));
}

#[test]
fn list_names_every_bench_with_its_subjects() {
    let output = bench(&["list"]);
    assert!(output.status.success());
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("kill-1000 ") && line.contains("erlang")),
        "{listed}"
    );
}

#[test]
fn json_has_one_line_for_each_subject_and_metric() {
    let output = bench(&["ask", "--quick", "--runs", "3", "--only", "tokio", "--json"]);
    assert!(output.status.success());
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!(
            (&line["bench"], &line["subject"], &line["runs"]),
            (&"ask".into(), &"tokio".into(), &3.into())
        );
        let value = |key: &str| line[key].as_f64().unwrap();
        assert!(
            value("min") <= value("median")
                && value("median") <= value("max")
                && value("min") > 0.0
        );
        assert!(line["metric"].is_string() && line["unit"].is_string());
    }
}

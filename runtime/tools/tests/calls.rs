//! What is promised about a call, whichever the tool.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use swarm_tools::{
    Access, Call, CallOptions, Caller, Effect, Grants, Limits, Outcome, RegisterError, Side, Tool,
    ToolError, Tools, ToolsOptions,
};
use tokio::sync::Notify;

/// Does what its input says, and counts how often.
#[derive(Clone, Default)]
struct Probe {
    calls: Arc<AtomicUsize>,
    entered: Arc<Notify>,
    go: Arc<Notify>,
}

impl Tool for Probe {
    fn about(&self) -> &str {
        "does what it is told"
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {"do": {"enum": ["answer", "wait", "panic", "fail", "flood", "hang"]}, "secret": {"type": "string"}},
            "required": ["do"],
            "additionalProperties": false
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            calls_max: 2,
            input_bytes_max: 200,
            answer_bytes_max: 100,
            ..Limits::default()
        }
    }

    async fn call(&self, input: Value, _: Call) -> Result<Value, ToolError> {
        let count = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.entered.notify_one();
        match input["do"].as_str() {
            Some("wait") => self.go.notified().await,
            Some("panic") => panic!("as it was told"),
            Some("fail") => return Err(ToolError::not_tried("down")),
            Some("flood") => return Ok(json!("x".repeat(101))),
            Some("hang") => std::future::pending().await,
            _ => {}
        }
        Ok(json!(count))
    }
}

fn probe() -> (Probe, Tools, Access) {
    let tools = Tools::new(ToolsOptions::default());
    let probe = Probe::default();
    tools.register("probe", probe.clone()).expect("registered");
    let access = access(&tools, "/agent", &["probe"]);
    (probe, tools, access)
}

fn access(tools: &Tools, caller: &str, granted: &[&str]) -> Access {
    let caller = Caller::new(caller).expect("a caller");
    let grants = granted
        .iter()
        .try_fold(Grants::new(), |grants, name| grants.with(name));
    Access::new(tools.clone(), caller, grants.expect("grants"))
}

fn keyed(key: &str) -> CallOptions {
    CallOptions {
        idempotency_key: Some(key.to_owned()),
        ..CallOptions::default()
    }
}

fn outcomes(tools: &Tools) -> Vec<(&'static str, bool)> {
    let records = tools.records();
    records
        .iter()
        .map(|r| (r.outcome.word(), r.repeated))
        .collect()
}

#[tokio::test]
async fn what_is_not_granted_is_denied_whether_it_exists_or_not() {
    let (probe, tools, _) = probe();
    let nothing = access(&tools, "/other", &[]);
    assert!(nothing.available().is_empty());
    for name in ["probe", "nothing", "", "\u{1b}[2J", &"x".repeat(100_000)] {
        let denied = nothing
            .call(name, json!({"do": "answer"}), CallOptions::default())
            .await;
        assert!(
            matches!(denied, Err(ToolError::Denied { .. })),
            "{denied:?}"
        );
    }
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    assert!(
        tools
            .records()
            .iter()
            .all(|r| r.tool.len() <= 260 && !r.tool.contains('\u{1b}'))
    );
}

#[tokio::test]
async fn a_granted_tool_that_does_not_exist_is_unknown_until_it_comes() {
    let (probe, tools, _) = probe();
    let access = access(&tools, "/agent", &["later"]);
    let gone = access
        .call("later", json!({"do": "answer"}), CallOptions::default())
        .await;
    assert!(matches!(gone, Err(ToolError::Unknown { .. })), "{gone:?}");
    tools.register("later", probe.clone()).expect("registered");
    assert_eq!(access.available()[0].name, "later");
    let there = access
        .call("later", json!({"do": "answer"}), CallOptions::default())
        .await;
    assert_eq!(there, Ok(json!(1)));
    assert!(matches!(
        tools.register("later", probe),
        Err(RegisterError::Taken { .. })
    ));
    assert!(tools.unregister("later") && !tools.unregister("later"));
}

#[tokio::test]
async fn the_tool_sees_valid_inputs_only() {
    let (probe, _, access) = probe();
    for (text, place) in [
        ("", ""),
        ("{", ""),
        ("[]", ""),
        (r#"{"do": "dance"}"#, "/do"),
        (r#"{"do": "answer", "more": 1}"#, ""),
        (r#"{"do": "answer", "secret": 1}"#, "/secret"),
    ] {
        let wrong = access
            .call_json("probe", text, CallOptions::default())
            .await;
        assert!(
            matches!(&wrong, Err(ToolError::InvalidInput { at, .. }) if at == place),
            "{text}: {wrong:?}"
        );
    }
    let nested = "[".repeat(150) + &"]".repeat(150);
    let wrong = access
        .call_json("probe", &nested[..200], CallOptions::default())
        .await;
    assert!(
        matches!(wrong, Err(ToolError::InvalidInput { .. })),
        "{wrong:?}"
    );
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    let right = access
        .call_json("probe", r#"{"do":"answer"}"#, CallOptions::default())
        .await;
    assert_eq!(right.as_deref(), Ok("1"));
}

#[tokio::test]
async fn input_and_answer_are_bounded() {
    let (probe, _, access) = probe();
    let large = json!({"do": "answer", "secret": "x".repeat(200)});
    let refused = access.call("probe", large, CallOptions::default()).await;
    assert_eq!(
        refused,
        Err(ToolError::TooLarge {
            side: Side::Input,
            bytes_max: 200
        })
    );
    assert_eq!(probe.calls.load(Ordering::SeqCst), 0);
    let flooded = access
        .call("probe", json!({"do": "flood"}), CallOptions::default())
        .await
        .expect_err("too large");
    assert_eq!(
        flooded,
        ToolError::TooLarge {
            side: Side::Answer,
            bytes_max: 100
        }
    );
    assert_eq!(flooded.effect(), Effect::Possible);
}

#[tokio::test]
async fn the_call_beyond_the_bound_is_overloaded_and_a_slot_comes_back() {
    let (probe, _, access) = probe();
    let wait = || {
        tokio::spawn({
            let access = access.clone();
            async move {
                access
                    .call("probe", json!({"do": "wait"}), CallOptions::default())
                    .await
            }
        })
    };
    let waiting = [wait(), wait()];
    while probe.calls.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let third = access
        .call("probe", json!({"do": "answer"}), CallOptions::default())
        .await;
    assert!(
        matches!(third, Err(ToolError::Overloaded { .. })),
        "{third:?}"
    );
    let [first, second] = waiting;
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    let third = access
        .call("probe", json!({"do": "answer"}), CallOptions::default())
        .await;
    assert_eq!(third, Ok(json!(3)));
    probe.go.notify_waiters();
    assert_eq!(second.await.expect("no panic"), Ok(json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_nobody_waits_longer_than_the_tools_bound() {
    let (_, _, access) = probe();
    for (asked, after) in [
        (Some(Duration::from_millis(5)), Duration::from_millis(5)),
        (None, Duration::from_secs(10)),
        (Some(Duration::MAX), Duration::from_secs(60)),
    ] {
        let begun = tokio::time::Instant::now();
        let options = CallOptions {
            within: asked,
            ..CallOptions::default()
        };
        let late = access.call("probe", json!({"do": "hang"}), options).await;
        assert_eq!(late, Err(ToolError::TimedOut { after }));
        // The clock of paused time counts in whole milliseconds.
        assert!(
            begun.elapsed() - after <= Duration::from_millis(1),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_panic_of_a_tool_is_a_failed_call() {
    let (_, _, access) = probe();
    let failed = access
        .call("probe", json!({"do": "panic"}), CallOptions::default())
        .await
        .expect_err("panicked");
    assert_eq!(
        (failed.code(), failed.effect()),
        ("failed", Effect::Possible)
    );
    assert_eq!(
        access
            .call("probe", json!({"do": "answer"}), CallOptions::default())
            .await,
        Ok(json!(2))
    );
}

#[tokio::test]
async fn calls_with_one_key_are_one_call() {
    let (probe, tools, access) = probe();
    let call = |options| access.call("probe", json!({"do": "answer"}), options);
    assert_eq!(call(keyed("k")).await, Ok(json!(1)));
    assert_eq!(call(keyed("k")).await, Ok(json!(1)));
    let other = access
        .call("probe", json!({"do": "flood"}), keyed("k"))
        .await;
    assert_eq!(other, Err(ToolError::KeyReused));
    assert_eq!(call(keyed("l")).await, Ok(json!(2)));
    assert_eq!(probe.calls.load(Ordering::SeqCst), 2);
    assert_eq!(
        outcomes(&tools),
        [
            ("done", false),
            ("done", true),
            ("key-reused", false),
            ("done", false)
        ]
    );
    for bad in ["", &"k".repeat(129)] {
        assert!(matches!(
            call(keyed(bad)).await,
            Err(ToolError::InvalidInput { .. })
        ));
    }
}

#[tokio::test]
async fn a_repetition_while_the_first_runs_waits_for_its_answer() {
    let (probe, _, access) = probe();
    let wait = || {
        tokio::spawn({
            let access = access.clone();
            async move {
                access
                    .call("probe", json!({"do": "wait"}), keyed("k"))
                    .await
            }
        })
    };
    let (first, second) = (wait(), wait());
    probe.entered.notified().await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    probe.go.notify_one();
    assert_eq!(first.await.expect("no panic"), Ok(json!(1)));
    assert_eq!(second.await.expect("no panic"), Ok(json!(1)));
    assert_eq!(probe.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_with_a_key_outlives_its_caller_and_its_repetition_gets_the_answer() {
    let (probe, tools, access) = probe();
    let first = tokio::spawn({
        let access = access.clone();
        async move {
            access
                .call("probe", json!({"do": "wait"}), keyed("k"))
                .await
        }
    });
    probe.entered.notified().await;
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    probe.go.notify_one();
    let again = access
        .call("probe", json!({"do": "wait"}), keyed("k"))
        .await;
    assert_eq!(again, Ok(json!(1)));
    assert_eq!(probe.calls.load(Ordering::SeqCst), 1);
    assert_eq!(outcomes(&tools), [("done", false), ("done", true)]);
}

#[tokio::test]
async fn a_call_without_a_key_ends_with_its_caller_and_is_on_record() {
    let (probe, tools, access) = probe();
    let call = tokio::spawn(async move {
        access
            .call("probe", json!({"do": "hang"}), CallOptions::default())
            .await
    });
    probe.entered.notified().await;
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    assert_eq!(outcomes(&tools), [("abandoned", false)]);
    assert_eq!(tools.records()[0].outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn a_close_ends_what_goes_on_without_its_caller() {
    let (probe, tools, access) = probe();
    let call = tokio::spawn(async move {
        access
            .call("probe", json!({"do": "hang"}), keyed("k"))
            .await
    });
    probe.entered.notified().await;
    tools.close().await;
    let ended = call.await.expect("no panic").expect_err("closed");
    assert_eq!((ended.code(), ended.effect()), ("failed", Effect::Possible));
}

#[tokio::test]
async fn the_record_has_sizes_and_never_the_input() {
    let (_, tools, access) = probe();
    let input = json!({"do": "answer", "secret": "hunter2"});
    let bytes = input.to_string().len() as u64;
    access
        .call("probe", input, keyed("hunter3"))
        .await
        .expect("an answer");
    let wrong = access
        .call("probe", json!({"do": "hunter2"}), CallOptions::default())
        .await
        .expect_err("wrong");
    assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    let records = tools.records();
    assert_eq!(
        (
            records[0].number,
            records[0].input_bytes,
            records[0].answer_bytes
        ),
        (1, bytes, 1)
    );
    assert_eq!(records[0].caller.as_str(), "/agent");
    assert!(!format!("{records:?}").contains("hunter"), "{records:?}");
}

#[tokio::test]
async fn the_ring_keeps_the_latest_records_and_the_numbers_tell_what_is_gone() {
    let tools = Tools::new(ToolsOptions {
        records_max: 2,
        ..ToolsOptions::default()
    });
    let access = access(&tools, "/agent", &[]);
    for _ in 0..5 {
        let _ = access.call("x", json!(1), CallOptions::default()).await;
    }
    let numbers: Vec<_> = tools.records().iter().map(|r| r.number).collect();
    assert_eq!(numbers, [4, 5]);
}

//! The native behaviours that come with the program, under the names that manifests use.

mod answer;
mod counter;
mod durable_counter;
mod echo;
mod event_counts;
mod tasks;
mod text;
mod words;

pub use counter::Counter;
pub use durable_counter::{Count, Counted, DurableCounter};
pub use echo::Echo;
pub use event_counts::{EventCounts, EventCountsView};
pub use tasks::TASKS;
pub use text::TextWorker;
pub use words::{WordCount, WordCounter, count_words};

use crate::manifest::ConfigFault;
use crate::node::Behaviours;
use serde_json::Value;

/// All behaviours of this module: `text`, `echo`, `counter`, `durable-counter` and `event-counts`.
#[must_use]
pub fn builtin() -> Behaviours {
    Behaviours::new()
        .with("text", "does jobs on texts, such as word-count", |config| {
            known_keys(config, &[])?;
            Ok(TextWorker::default)
        })
        .with("echo", "says back what it is told", |config| {
            known_keys(config, &[])?;
            Ok(Echo::default)
        })
        .with_durable(
            "durable-counter",
            "adds numbers, and keeps them in the journal",
            |config| {
                known_keys(config, &[])?;
                Ok(DurableCounter)
            },
        )
        .with_projection(
            "event-counts",
            "counts the events in the node's journal, stream by stream",
            |config| {
                known_keys(config, &[])?;
                Ok(EventCounts)
            },
        )
        .with("counter", "adds numbers; config: { first = 0 }", |config| {
            known_keys(config, &["first"])?;
            let first = match config.get("first") {
                None => 0,
                Some(first) => first.as_i64().ok_or_else(|| ConfigFault {
                    key: Some("first".to_owned()),
                    message: format!("{first} is no whole number"),
                    suggestion: Some("first = 0".to_owned()),
                })?,
            };
            Ok(move || Counter::new(first))
        })
}

/// Refuses keys that a behaviour does not have.
fn known_keys(config: &Value, known: &[&str]) -> Result<(), ConfigFault> {
    let unknown = config
        .as_object()
        .and_then(|object| object.keys().find(|key| !known.contains(&key.as_str())));
    match unknown {
        None => Ok(()),
        Some(key) => Err(ConfigFault {
            key: Some(key.clone()),
            message: "unknown key".to_owned(),
            suggestion: match known {
                [] => Some("leave config out: this behaviour has no settings".to_owned()),
                known => Some(known.join(", ")),
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::BehaviourCatalogue;
    use serde_json::json;
    use std::time::Duration;
    use swarm_actors::{AgentSpec, AnyRef, System, SystemOptions};
    use swarm_protocols::{AclMessage, Name, Path, Performative};
    use swarm_supervisors::{SupervisorFlags, SupervisorSpec};

    #[test]
    fn a_behaviour_refuses_settings_that_it_does_not_have() {
        let builtin = builtin();
        assert!(builtin.check("text", &json!({})).is_ok());
        assert!(builtin.check("text", &json!({"a": 1})).is_err());
        assert!(builtin.check("counter", &json!({"first": 3})).is_ok());
        let fault = builtin
            .check("counter", &json!({"first": "3"}))
            .unwrap_err();
        assert_eq!(fault.key.as_deref(), Some("first"));
    }

    async fn told(act: Performative, content: &str, to: &AnyRef) -> (Performative, String) {
        let mut message = AclMessage::new(act);
        message.content = Some(content.as_bytes().to_vec());
        let answer = to.ask_acl(message, Duration::from_secs(10)).await.unwrap();
        let text = answer.text().unwrap_or_default().to_owned();
        (answer.performative, text)
    }

    #[tokio::test]
    async fn each_behaviour_answers_as_it_says() {
        let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
        let echo = AgentSpec::new("echo", Echo::default).unwrap();
        let counter = AgentSpec::new("counter", || Counter::new(40)).unwrap();
        let text = AgentSpec::new("text", TextWorker::default).unwrap();
        let children = vec![
            echo.child(&system),
            counter.child(&system),
            text.child(&system),
        ];
        let spec = SupervisorSpec::new(SupervisorFlags::default(), children);
        system.start_tree(spec).await.unwrap();
        let at = |path: &str| system.lookup(&Path::new(path).unwrap()).unwrap();
        let (request, inform) = (Performative::Request, Performative::Inform);
        let (failure, cfp) = (Performative::Failure, Performative::Cfp);
        for (path, act, content, answer, text) in [
            (
                "/echo",
                request,
                "any \u{fc} text",
                inform,
                "any \u{fc} text",
            ),
            ("/counter", request, "2", inform, r#"{"count":42}"#),
            ("/counter", request, "null", inform, r#"{"count":42}"#),
            ("/counter", request, "{", failure, "not JSON"),
            (
                "/text",
                request,
                r#"{"task":"upper","input":"a"}"#,
                inform,
                "\"A\"",
            ),
            (
                "/text",
                request,
                r#"{"task":"fail"}"#,
                failure,
                "failed as ordered",
            ),
            ("/text", request, "7", failure, "no {"),
            ("/text", cfp, "{}", Performative::NotUnderstood, ""),
            (
                "/text",
                cfp,
                r#"{"task":"upper"}"#,
                Performative::Propose,
                r#""fitness":0.6666"#,
            ),
            (
                "/text",
                cfp,
                r#"{"task":"paint"}"#,
                Performative::Refuse,
                "unknown task",
            ),
            (
                "/text",
                Performative::AcceptProposal,
                r#"{"task":"upper","input":"b"}"#,
                inform,
                "\"B\"",
            ),
        ] {
            let (said, content) = told(act, content, &at(path)).await;
            assert_eq!(said, answer, "{path} {content}");
            assert!(content.contains(text), "{path} {content}");
        }
    }
}

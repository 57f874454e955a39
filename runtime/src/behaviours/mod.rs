//! The native behaviours that come with the program, under the names that manifests use.

mod answer;
mod counter;
mod echo;
mod tasks;
mod text;
mod words;

pub use counter::Counter;
pub use echo::Echo;
pub use tasks::TASKS;
pub use text::TextWorker;
pub use words::{WordCount, WordCounter, count_words};

use crate::manifest::ConfigFault;
use crate::node::Behaviours;
use serde_json::Value;

/// All behaviours of this module: `text`, `echo` and `counter`.
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
}

//! A worker for `swarmctl dispatch`: counts words as the native `text` behaviour does, and misbehaves when it is told to.

mod misbehave;
mod words;

use serde::Deserialize;
use swarm_guest::{Act, Agent, Message, SavedState, export_agent, messaging, state};

/// Does what a `request` with the content `{"task":…,"input":…}` asks for.
pub struct WordCount {
    /// How many orders this agent has seen, upgrades included; a crash begins at 0 again.
    seen: u64,
}

/// The version of the state that [`WordCount::snapshot`] writes.
const STATE_VERSION: u32 = 1;

#[derive(Deserialize)]
struct Config {
    /// What goes wrong at the start, for tests: `loop`, `trap` or `refuse`.
    #[serde(default, rename = "at-start")]
    at_start: Option<String>,
}

#[derive(Deserialize)]
struct Order {
    task: String,
    #[serde(default)]
    input: Option<String>,
}

impl Agent for WordCount {
    fn on_start(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        match config.at_start.as_deref() {
            Some("refuse") => return Err("refused as configured".to_owned()),
            Some(task) => {
                misbehave::perform(task, "at the start")?;
            }
            None => {}
        }
        Ok(Self { seen: 0 })
    }

    fn on_message(&mut self, message: Message) -> Result<(), String> {
        let answer = match message.performative {
            Act::Request => {
                self.seen += 1;
                let done = message.json::<Order>().and_then(|order| {
                    self.perform(&order.task, order.input.as_deref().unwrap_or_default())
                });
                match done {
                    Ok(output) => json(&message, Act::Inform, output),
                    Err(error) => {
                        let failed = error_object(&error);
                        json(&message, Act::Failure, failed)
                    }
                }
            }
            Act::NotUnderstood | Act::Failure | Act::Inform => return Ok(()),
            _ => message.reply(Act::NotUnderstood),
        };
        messaging::answer(&answer).map_err(|error| error.to_string())
    }

    fn snapshot(&mut self) -> Result<SavedState, String> {
        Ok(SavedState {
            version: STATE_VERSION,
            bytes: self.seen.to_le_bytes().to_vec(),
        })
    }

    fn restore(&mut self, state: SavedState) -> Result<(), String> {
        let bytes = <[u8; 8]>::try_from(state.bytes.as_slice());
        match (state.version, bytes) {
            (STATE_VERSION, Ok(bytes)) => {
                self.seen = u64::from_le_bytes(bytes);
                Ok(())
            }
            (version, _) => Err(format!("cannot read a state of version {version}")),
        }
    }
}

export_agent!(WordCount);

impl WordCount {
    /// Does one task. The tasks that misbehave do not come back, or not unharmed.
    fn perform(&self, task: &str, input: &str) -> Result<String, String> {
        match task {
            "word-count" => Ok(words::count(input).to_json()),
            "upper" => Ok(quoted(&input.to_uppercase())),
            "fail" => Err(format!("failed as ordered: {input}")),
            "seen" => Ok(self.seen.to_string()),
            "visit" => visit(),
            _ => misbehave::perform(task, input),
        }
    }
}

/// Counts in the store, which outlives a crash.
fn visit() -> Result<String, String> {
    let known = state::get("visits").and_then(|bytes| bytes.try_into().ok());
    let visits = known.map_or(0, u64::from_le_bytes) + 1;
    state::set("visits", &visits.to_le_bytes()).map_err(|error| error.to_string())?;
    Ok(visits.to_string())
}

fn json(request: &Message, act: Act, content: String) -> Message {
    let mut answer = request.reply(act);
    answer.language = Some("application/json".to_owned());
    answer.content_type = Some("application/json".to_owned());
    answer.content = Some(content.into_bytes());
    answer
}

fn error_object(text: &str) -> String {
    format!("{{\"error\":{}}}", quoted(text))
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_guest::testkit::Bench;

    fn answer(content: &str) -> (Act, String) {
        let mut bench = Bench::<WordCount>::start("{}").unwrap();
        let told = bench.tell(Message::text(Act::Request, content)).unwrap();
        let answer = &told.answers[0];
        (answer.performative, answer.as_text().unwrap().to_owned())
    }

    #[test]
    fn visits_outlive_a_crash_and_what_was_seen_an_upgrade() {
        let order = |task: &str| Message::text(Act::Request, format!(r#"{{"task":"{task}"}}"#));
        let mut bench = Bench::<WordCount>::start("{}").unwrap();
        let told = |bench: &mut Bench<WordCount>, task| {
            let told = bench.tell(order(task)).unwrap();
            told.answers[0].as_text().unwrap().to_owned()
        };
        assert_eq!(told(&mut bench, "visit"), "1");
        bench.crash("{}").unwrap();
        assert_eq!(told(&mut bench, "visit"), "2");
        bench.upgrade("{}").unwrap();
        assert_eq!(told(&mut bench, "seen"), "2");
        assert!(Bench::<WordCount>::start(r#"{"at-start":"refuse"}"#).is_err());
    }

    #[test]
    fn words_are_counted_and_a_bad_order_is_a_failure() {
        assert_eq!(
            answer(r#"{"task":"word-count","input":"two words\n"}"#),
            (
                Act::Inform,
                r#"{"words":2,"lines":1,"bytes":10}"#.to_owned()
            )
        );
        assert_eq!(answer("7").0, Act::Failure);
        assert_eq!(
            answer(r#"{"task":"fail","input":"a\"b"}"#).1,
            r#"{"error":"failed as ordered: a\"b"}"#
        );
    }
}

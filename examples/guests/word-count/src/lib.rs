//! A worker for `swarmctl dispatch`: counts words as the native `text` behaviour does, and misbehaves when it is told to.

mod misbehave;
mod words;

use serde::Deserialize;
use swarm_guest::{Act, Agent, Message, export_agent, messaging};

/// Does what a `request` with the content `{"task":…,"input":…}` asks for. Keeps nothing from one job to the next.
pub struct WordCount;

#[derive(Deserialize)]
struct Order {
    task: String,
    #[serde(default)]
    input: Option<String>,
}

impl Agent for WordCount {
    fn on_start(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_message(&mut self, message: Message) -> Result<(), String> {
        let answer = match message.performative {
            Act::Request => {
                let done = message.json::<Order>().and_then(|order| {
                    perform(&order.task, order.input.as_deref().unwrap_or_default())
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
}

export_agent!(WordCount);

/// Does one task. The tasks that misbehave do not come back, or not unharmed.
fn perform(task: &str, input: &str) -> Result<String, String> {
    match task {
        "word-count" => Ok(words::count(input).to_json()),
        "upper" => Ok(quoted(&input.to_uppercase())),
        "fail" => Err(format!("failed as ordered: {input}")),
        _ => misbehave::perform(task, input),
    }
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

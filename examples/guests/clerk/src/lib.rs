//! An agent that has tools do its work: it calls what a message tells it to and passes on what comes back.

use serde::Deserialize;
use serde_json::Value;
use swarm_guest::tools::{self, Options};
use swarm_guest::{Act, Agent, Error, Message, export_agent, messaging};

/// Takes `request` messages of the form `{"tool": …, "input": …}`; without a tool it tells which ones it has.
pub struct Clerk;

#[derive(Deserialize)]
struct Order {
    #[serde(default)]
    tool: Option<String>,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    within_ms: Option<u64>,
    /// How often to make the call.
    #[serde(default)]
    times: Option<u64>,
    /// Crashes once the tool has done it.
    #[serde(default)]
    crash: bool,
}

impl Agent for Clerk {
    fn on_start(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_message(&mut self, message: Message) -> Result<(), String> {
        if message.performative != Act::Request {
            return Ok(());
        }
        let answer = match message.json::<Order>().map(perform) {
            Ok(Ok(answer)) => message.reply(Act::Inform).with_json(&answer)?,
            Ok(Err(error)) => message.reply(Act::Failure).with_json(&error.to_string())?,
            Err(error) => message.reply(Act::NotUnderstood).with_json(&error)?,
        };
        messaging::answer(&answer).map_err(|error| error.to_string())
    }
}

export_agent!(Clerk);

fn perform(order: Order) -> Result<Value, Error> {
    let Some(tool) = order.tool else {
        let names = tools::available().into_iter().map(|tool| tool.name.into());
        return Ok(Value::Array(names.collect()));
    };
    let options = Options {
        within: order.within_ms,
        idempotency_key: order.key,
    };
    let mut last = Ok(Value::Null);
    for _ in 0..order.times.unwrap_or(1) {
        last = tools::call_json(&tool, &order.input, &options);
    }
    assert!(!order.crash, "crashed as ordered, after the call");
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_guest::testkit::Bench;

    fn told(bench: &mut Bench<Clerk>, order: &str) -> (Act, String) {
        let told = bench.tell(Message::text(Act::Request, order)).unwrap();
        let answer = &told.answers[0];
        (answer.performative, answer.as_text().unwrap().to_owned())
    }

    #[test]
    fn it_passes_on_what_the_tool_says() {
        let mut bench = Bench::<Clerk>::start("{}").unwrap();
        bench.answer_tool(Ok(r#"{"utc":"now"}"#.to_owned()));
        let order = r#"{"tool":"time","input":{}}"#;
        let said = (Act::Inform, r#"{"utc":"now"}"#.to_owned());
        assert_eq!(told(&mut bench, order), said);
        bench.answer_tool(Err(Error::Denied));
        assert_eq!(told(&mut bench, order).0, Act::Failure);
        assert_eq!(told(&mut bench, "7").0, Act::NotUnderstood);
    }
}

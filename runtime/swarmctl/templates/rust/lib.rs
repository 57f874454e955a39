//! An agent that says back what it is told, and how often it was told something.

use swarm_guest::{Act, Agent, Message, SavedState, export_agent, messaging};

/// What this agent keeps from one message to the next.
pub struct Echo {
    told: u64,
}

impl Agent for Echo {
    fn on_start(_config: &str) -> Result<Self, String> {
        Ok(Self { told: 0 })
    }

    fn on_message(&mut self, message: Message) -> Result<(), String> {
        if message.performative != Act::Request {
            return Ok(());
        }
        self.told += 1;
        let said = message.as_text().unwrap_or_default();
        let answer = format!("{said} ({})", self.told);
        let answer = Message {
            content: Some(answer.into_bytes()),
            ..message.reply(Act::Inform)
        };
        messaging::answer(&answer).map_err(|error| error.to_string())
    }

    fn snapshot(&mut self) -> Result<SavedState, String> {
        Ok(SavedState {
            version: 1,
            bytes: self.told.to_le_bytes().to_vec(),
        })
    }

    fn restore(&mut self, state: SavedState) -> Result<(), String> {
        let bytes = state.bytes.try_into().map_err(|_| "not a state of this agent")?;
        self.told = u64::from_le_bytes(bytes);
        Ok(())
    }
}

export_agent!(Echo);

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_guest::testkit::Bench;

    #[test]
    fn it_says_back_what_it_is_told() {
        let mut bench = Bench::<Echo>::start("{}").unwrap();
        let told = bench.tell(Message::text(Act::Request, "hello")).unwrap();
        assert_eq!(told.answers[0].as_text(), Some("hello (1)"));
    }
}

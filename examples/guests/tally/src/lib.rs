//! An agent that adds up, in two versions: the second one (feature `next`) also counts, and has bugs that upgrades must survive.

use serde::{Deserialize, Serialize};
use swarm_guest::{Act, Agent, Message, SavedState, export_agent, messaging};

/// What it keeps.
pub struct Tally {
    total: u64,
    /// How many numbers were added; the first version does not know.
    #[cfg(feature = "next")]
    count: u64,
    /// Bytes that make the state as long as a test wants it.
    padding: Vec<u8>,
}

/// The version of this code.
const VERSION: u64 = if cfg!(feature = "next") { 2 } else { 1 };

#[derive(Deserialize)]
struct Config {
    /// The second version does not start with this.
    #[serde(default, rename = "old-only")]
    old_only: bool,
}

/// What a `request` asks for.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    /// Adds a number; the answer is the total.
    Add(u64),
    /// The total.
    Total,
    /// The version of the code: what differs between the two.
    Version,
    /// Something that the second version crashes at.
    Legacy,
    /// Something that the second version takes its time for.
    Report,
    /// Makes the state so many bytes longer, at most a million.
    Pad(usize),
}

#[derive(Serialize)]
struct Answer {
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl Agent for Tally {
    fn on_start(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        if config.old_only && cfg!(feature = "next") {
            return Err("this configuration is for the old version".to_owned());
        }
        Ok(Self {
            total: 0,
            #[cfg(feature = "next")]
            count: 0,
            padding: Vec::new(),
        })
    }

    fn on_message(&mut self, message: Message) -> Result<(), String> {
        if message.performative != Act::Request {
            return Ok(());
        }
        let answer = match message.json::<Order>() {
            Ok(order) => message.reply(Act::Inform).with_json(&self.perform(order))?,
            Err(error) => message.reply(Act::NotUnderstood).with_json(&error)?,
        };
        messaging::answer(&answer).map_err(|error| error.to_string())
    }

    /// Total, count, padding. The second version still writes what the first one reads, so that there is a way back; the count
    /// is lost on it.
    fn snapshot(&mut self) -> Result<SavedState, String> {
        #[cfg(feature = "next")]
        let count = self.count;
        #[cfg(not(feature = "next"))]
        let count = 0_u64;
        let mut bytes = self.total.to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend(&self.padding);
        Ok(SavedState { version: 1, bytes })
    }

    fn restore(&mut self, state: SavedState) -> Result<(), String> {
        let numbers = state.bytes.split_at_checked(16);
        let (numbers, padding) = numbers.ok_or("not a state of this agent")?;
        let (numbers, _) = numbers.as_chunks::<8>();
        self.total = u64::from_le_bytes(numbers[0]);
        self.padding = padding.to_vec();
        #[cfg(feature = "next")]
        {
            // A state that the second version was never tried with.
            if self.total == 666 {
                return Err("cannot take a total of 666".to_owned());
            }
            self.count = u64::from_le_bytes(numbers[1]);
        }
        Ok(())
    }
}

export_agent!(Tally);

impl Tally {
    fn perform(&mut self, order: Order) -> Answer {
        let mut version = None;
        match order {
            Order::Add(number) => {
                self.total += number;
                #[cfg(feature = "next")]
                {
                    self.count += 1;
                }
            }
            Order::Total => {}
            Order::Pad(bytes) => self.padding.resize(bytes.min(1_000_000), b'x'),
            Order::Version => version = Some(VERSION),
            Order::Legacy => assert!(VERSION == 1, "the second version forgot about this"),
            Order::Report => {
                if cfg!(feature = "next") {
                    dawdle();
                }
            }
        }
        Answer {
            total: self.total,
            version,
        }
    }
}

/// Some tens of millions of steps.
fn dawdle() {
    let mut step = 0_u64;
    while std::hint::black_box(step) < 30_000_000 {
        step += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_guest::testkit::Bench;

    #[test]
    fn the_total_goes_through_an_upgrade() {
        let mut bench = Bench::<Tally>::start("{}").unwrap();
        bench.tell(Message::text(Act::Request, r#"{"add":5}"#)).unwrap();
        bench.upgrade("{}").unwrap();
        let told = bench.tell(Message::text(Act::Request, r#""total""#)).unwrap();
        assert_eq!(told.answers[0].as_text(), Some(r#"{"total":5}"#));
    }
}

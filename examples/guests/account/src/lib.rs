//! A durable agent: an account, in two versions. The second one (feature `next`) also takes notes, and has bugs that upgrades
//! must survive.

use serde::{Deserialize, Serialize};
use swarm_guest::messaging::{self, Recipient};
use swarm_guest::{Act, DurableAgent, Event, Message, SavedState, clock, export_durable_agent, timers};

/// What the events came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    balance: u64,
    /// How many events it had.
    events: u64,
    /// The second version's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Whether it panics when it is asked for its state.
    #[serde(default, skip)]
    is_shy: bool,
}

/// The version of this code.
const VERSION: u64 = if cfg!(feature = "next") { 2 } else { 1 };

/// What a `request` asks for.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Deposit(u64),
    /// Refused with an answer when the balance is less.
    Withdraw(u64),
    /// Takes an amount off this account and has another one credit it, exactly once.
    Pay { to: String, amount: u64 },
    /// What the other one is told.
    Credit(u64),
    /// Several deposits in one turn, which is not answered.
    Deposits(Vec<u64>),
    /// Deposits an amount after so many milliseconds.
    Later { amount: u64, milliseconds: u64 },
    Balance,
    /// The version of the code: what differs between the two.
    Version,
    /// Something that the second version crashes at.
    Legacy,
    /// Something that only the second version can do.
    Note(String),
    /// Makes this turn trap.
    Trap,
    /// Records what makes `apply` misbehave: `loop`, `eat`, `trap`, `refuse` or `time`; `shy` makes `snapshot` trap
    /// from then on.
    Curse(String),
}

#[derive(Serialize)]
struct Answer {
    balance: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Amount {
    amount: u64,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    to: String,
    amount: u64,
}

impl DurableAgent for Account {
    fn on_start(_config: &str) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn on_message(&self, message: Message) -> Result<Vec<Event>, String> {
        if message.performative != Act::Request {
            return Ok(Vec::new());
        }
        let order = match message.json::<Order>() {
            Ok(order) => order,
            Err(error) => {
                answer(&message.reply(Act::NotUnderstood).with_json(&error)?)?;
                return Ok(Vec::new());
            }
        };
        // An account that is paid need not thank the one that paid.
        let is_asked = !matches!(order, Order::Credit(_) | Order::Deposits(_));
        let mut version = None;
        let mut next = self.clone();
        let events = match order {
            Order::Deposit(amount) => vec![Event::json("deposited", 1, &Amount { amount })?],
            Order::Credit(amount) => vec![Event::json("credited", 1, &Amount { amount })?],
            Order::Deposits(amounts) => {
                let events = amounts.into_iter();
                let events = events.map(|amount| Event::json("deposited", 1, &Amount { amount }));
                events.collect::<Result<_, _>>()?
            }
            Order::Withdraw(amount) | Order::Pay { amount, .. } if amount > self.balance => {
                answer(&message.reply(Act::Refuse).with_json(&self.told(None))?)?;
                return Ok(Vec::new());
            }
            Order::Withdraw(amount) => vec![Event::json("withdrawn", 1, &Amount { amount })?],
            Order::Pay { to, amount } => {
                let credit = Message::new(Act::Request).with_json(&Credit { credit: amount })?;
                let sent = messaging::send(&Recipient::Path(to.clone()), &credit);
                sent.map_err(|error| format!("{to}: {error}"))?;
                vec![Event::json("paid", 1, &Payment { to, amount })?]
            }
            Order::Later { amount, milliseconds } => {
                timers::after(milliseconds, amount).map_err(|error| error.to_string())?;
                Vec::new()
            }
            Order::Balance => Vec::new(),
            Order::Version => {
                version = Some(VERSION);
                Vec::new()
            }
            Order::Legacy => {
                assert!(VERSION == 1, "the second version forgot about this");
                Vec::new()
            }
            Order::Note(text) if VERSION == 2 => vec![Event::json("noted", 1, &text)?],
            Order::Note(_) => {
                answer(&message.reply(Act::NotUnderstood))?;
                return Ok(Vec::new());
            }
            Order::Trap => panic!("told to trap"),
            Order::Curse(how) => vec![Event::new("cursed", 1, how)],
        };
        if is_asked {
            for event in events.iter().filter(|event| event.kind != "cursed") {
                next.apply(event.clone())?;
            }
            answer(&message.reply(Act::Inform).with_json(&next.told(version))?)?;
        }
        Ok(events)
    }

    fn on_timer(&self, _timer: u64, amount: u64) -> Result<Vec<Event>, String> {
        Ok(vec![Event::json("deposited", 1, &Amount { amount })?])
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        match (event.kind.as_str(), event.version) {
            ("deposited" | "credited", 1) => {
                let Amount { amount } = event.read_json()?;
                // What the second version was never tried with.
                if cfg!(feature = "next") && amount == 666 {
                    return Err("cannot read 666".to_owned());
                }
                self.balance = self.balance.wrapping_add(amount);
            }
            ("withdrawn", 1) => {
                let Amount { amount } = event.read_json()?;
                self.balance = self.balance.wrapping_sub(amount);
            }
            ("paid", 1) => {
                let Payment { amount, .. } = event.read_json()?;
                self.balance = self.balance.wrapping_sub(amount);
            }
            ("noted", 1) if VERSION == 2 => self.notes.push(event.read_json()?),
            ("cursed", 1) if event.data == b"shy" => self.is_shy = true,
            ("cursed", 1) => misbehave(&event.data)?,
            _ => return Err(event.unknown()),
        }
        self.events += 1;
        Ok(())
    }

    fn snapshot(&self) -> Result<SavedState, String> {
        assert!(!self.is_shy, "cursed");
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        Ok(SavedState { version: 1, bytes })
    }

    fn restore(&mut self, state: SavedState) -> Result<(), String> {
        *self = serde_json::from_slice(&state.bytes).map_err(|error| error.to_string())?;
        if VERSION == 1 && !self.notes.is_empty() {
            return Err("the first version knows no notes".to_owned());
        }
        Ok(())
    }
}

export_durable_agent!(Account);

#[derive(Serialize)]
struct Credit {
    credit: u64,
}

impl Account {
    fn told(&self, version: Option<u64>) -> Answer {
        Answer {
            balance: self.balance,
            version,
        }
    }
}

fn answer(message: &Message) -> Result<(), String> {
    messaging::answer(message).map_err(|error| error.to_string())
}

/// What an event may do to the code that applies it.
fn misbehave(how: &[u8]) -> Result<(), String> {
    match how {
        b"loop" => {
            let mut step = 0_u64;
            loop {
                step = std::hint::black_box(step).wrapping_add(1);
            }
        }
        b"eat" => {
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(vec![1; 1 << 20]);
                std::hint::black_box(&eaten);
            }
        }
        b"trap" => panic!("cursed"),
        b"time" => Err(format!("it is {}", clock::now())),
        _ => Err("cursed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_guest::testkit::DurableBench;

    fn order(text: &str) -> Message {
        Message::text(Act::Request, text)
    }

    #[test]
    fn what_is_deposited_outlives_a_crash() {
        let mut bench = DurableBench::<Account>::start("{}").unwrap();
        bench.tell(order(r#"{"deposit":5}"#)).unwrap();
        bench.save().unwrap();
        bench.tell(order(r#"{"withdraw":2}"#)).unwrap();
        bench.crash("{}").unwrap();
        let turn = bench.tell(order(r#""balance""#)).unwrap();
        assert_eq!(turn.told.answers[0].as_text(), Some(r#"{"balance":3}"#));
        assert_eq!(bench.journal().len(), 2);
    }

    #[test]
    fn a_payment_is_an_event_and_a_message() {
        let mut bench = DurableBench::<Account>::start("{}").unwrap();
        bench.tell(order(r#"{"deposit":5}"#)).unwrap();
        let turn = bench.tell(order(r#"{"pay":{"to":"/b","amount":4}}"#)).unwrap();
        assert_eq!(turn.events[0].kind, "paid");
        assert_eq!(turn.told.sent[0].1.as_text(), Some(r#"{"credit":4}"#));
        let refused = bench.tell(order(r#"{"pay":{"to":"/b","amount":4}}"#)).unwrap();
        assert!(refused.events.is_empty() && refused.told.sent.is_empty());
        assert_eq!(refused.told.answers[0].performative, Act::Refuse);
    }

    #[test]
    #[should_panic(expected = "outside of on_message")]
    fn the_time_cannot_be_read_while_an_event_is_applied() {
        let mut bench = DurableBench::<Account>::start("{}").unwrap();
        let _ = bench.tell(order(r#"{"curse":"time"}"#));
    }
}

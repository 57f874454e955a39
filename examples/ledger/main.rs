//! Accounts that pay each other while their node is killed with -9 again and again: the sum of all money never changes.
//!
//! `cargo run -p swarm-examples --example ledger`
//!
//! Each account is a durable agent: what it decides is in a journal on disk before anybody hears of it. A transfer is two
//! turns of two agents and a message between them, which the runtime delivers once whatever crashes. An account that is closed
//! sends the money back: the step that undoes what cannot be finished.
//!
//! The program starts itself a second time as the node, kills that at random moments, and in the end counts the money.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path as Directory;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use swarm_actors::durable::{
    self, Decider, Decision, Durability, DurableRef, DurableSpec, Form, Stored, state_at,
};
use swarm_actors::journal::{Class, CommandId, Journal, StreamName};
use swarm_actors::{Failure, System, SystemOptions};
use swarm_journal::{DiskJournal, Options};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{Strategy, SupervisorFlags, SupervisorSpec};

const ACCOUNTS: u32 = 9;
/// The last account takes no money.
const CLOSED: u32 = ACCOUNTS;
const OPENING_BALANCE: u64 = 1000;
const KILLS: u32 = 5;
const WITHIN: Duration = Duration::from_secs(10);

struct Account;

#[derive(Serialize, Deserialize)]
enum Order {
    Open,
    /// Takes money from this account and sends it to another.
    Transfer {
        to: String,
        amount: u64,
    },
    /// Money from another account.
    Credit {
        amount: u64,
    },
    /// Money that the other account did not take.
    Refund {
        amount: u64,
    },
}

#[derive(Clone, Serialize, Deserialize)]
enum Event {
    Opened,
    Sent(u64),
    Received(u64),
    Refunded(u64),
}

impl Stored for Event {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Balance {
    is_open: bool,
    amount: u64,
}

impl Decider for Account {
    type State = Balance;
    type Command = Order;
    type Event = Event;
    type Answer = u64;

    fn decide(
        &self,
        balance: &Balance,
        order: Order,
        turn: &mut Decision<'_, Self>,
    ) -> Result<u64, Failure> {
        match order {
            Order::Open if !balance.is_open => turn.record(Event::Opened),
            Order::Open => {}
            Order::Transfer { to, amount } if amount <= balance.amount => {
                turn.record(Event::Sent(amount));
                turn.send::<Self>(&Path::new(&to)?, &Order::Credit { amount });
            }
            // Not enough: nothing happens, and the asker is told the balance.
            Order::Transfer { .. } => {}
            Order::Credit { amount } => match turn.from().cloned() {
                Some(from) if !balance.is_open => {
                    turn.send::<Self>(&from, &Order::Refund { amount });
                }
                _ => turn.record(Event::Received(amount)),
            },
            Order::Refund { amount } => turn.record(Event::Refunded(amount)),
        }
        Ok(balance.amount)
    }

    fn evolve(&self, balance: &mut Balance, event: &Event) {
        match event {
            Event::Opened => {
                balance.is_open = true;
                balance.amount += OPENING_BALANCE;
            }
            Event::Sent(amount) => balance.amount -= amount,
            Event::Received(amount) | Event::Refunded(amount) => balance.amount += amount,
        }
    }
}

struct Bank {
    system: System,
    journal: DiskJournal,
    accounts: Vec<DurableRef<Account>>,
}

impl Bank {
    async fn open(directory: &Directory) -> Result<Self, Box<dyn Error>> {
        let journal = DiskJournal::open(directory, Options::default())?;
        let durability = Durability::new(Arc::new(journal.clone()));
        let system = System::new(SystemOptions::new(Name::new("bank")?, 1));
        let accounts = DurableSpec::new("account", Account, &durability)?;
        let flags = SupervisorFlags::new(Strategy::OneForOne);
        let tree = SupervisorSpec::new(flags, accounts.replicas(&system, ACCOUNTS));
        system.start_tree(tree).await?;
        let accounts = (1..=ACCOUNTS)
            .filter_map(|n| DurableRef::find(&system, &path(n)))
            .collect();
        Ok(Self {
            system,
            journal,
            accounts,
        })
    }

    /// All the money, straight out of the journal.
    fn sum(&self) -> Result<u64, Box<dyn Error>> {
        let mut sum = 0;
        for n in 1..=ACCOUNTS {
            let stream = StreamName::new(path(n).as_str())?;
            sum += state_at(&Account, &self.journal, &stream, None)?
                .state
                .amount;
        }
        Ok(sum)
    }
}

fn path(n: u32) -> Path {
    Path::new(&format!("/account-{n}")).expect("a path")
}

/// The node that is killed: transfers as fast as they come.
async fn work(directory: &Directory) -> Result<(), Box<dyn Error>> {
    let bank = Bank::open(directory).await?;
    for account in &bank.accounts[..CLOSED as usize - 1] {
        account.ask(Order::Open, WITHIN).await?;
    }
    println!("ready");
    for n in 0_u64.. {
        let [from, to] = [0, 1].map(|_| bank.system.random() % u64::from(ACCOUNTS));
        let order = Order::Transfer {
            to: path(to as u32 + 1).to_string(),
            amount: 1 + n % 7,
        };
        if from == to {
            continue;
        }
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let command = durable::Command {
            command: order,
            id: Some(CommandId::new(now_ms, u128::from(bank.system.random()))),
            class: Class::Durable,
        };
        bank.accounts[from as usize]
            .ask_with(command, WITHIN)
            .await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = std::env::args().nth(1) {
        return work(Directory::new(&directory)).await;
    }
    let directory = std::env::temp_dir().join(format!("swarm-ledger-{}", std::process::id()));
    let mut chance = SystemOptions::new(Name::new("n")?, 1).seed;
    for round in 1..=KILLS {
        let mut node = Command::new(std::env::current_exe()?)
            .arg(&directory)
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(node.stdout.take().ok_or("no pipe")?).lines();
        let ready = said.map_while(Result::ok).find(|line| line == "ready");
        ready.ok_or("the node did not start")?;
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(round.into());
        let after = Duration::from_millis(100 + (chance >> 33) % 900);
        tokio::time::sleep(after).await;
        node.kill()?;
        node.wait()?;
        println!("kill {round} of {KILLS}: -9 after {after:?}");
    }
    let bank = Bank::open(&directory).await?;
    let expected = u64::from(CLOSED - 1) * OPENING_BALANCE;
    // What is still under way between two accounts is delivered by itself.
    for _ in 0..300 {
        if bank.sum()? == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let events = bank.journal.last_position();
    println!("{events} events; the sum is {} of {expected}", bank.sum()?);
    let is_right = bank.sum()? == expected;
    bank.system.stop_tree(WITHIN).await;
    drop(bank);
    std::fs::remove_dir_all(&directory)?;
    if is_right {
        Ok(())
    } else {
        Err("money was lost or made".into())
    }
}

//! Accounts that pay each other while their node is killed with -9 again and again, and they themselves within it: the sum of
//! all money never changes.
//!
//! `cargo run -p swarm-examples --example ledger`
//!
//! Each account is a durable agent: what it decides is in a journal on disk before anybody hears of it. A transfer is a saga:
//! withdraw, deposit, forget; a deposit that is refused (the last account is closed) undoes the withdrawal. The runtime
//! delivers each request once whatever crashes, and a saga goes on where it was.
//!
//! The program starts itself a second time as the node, kills that at random moments, and after each kill opens the journal,
//! lets what is under way come to its end, and counts the money.

mod account;
mod transfer;

use account::{Account, Order};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path as Directory;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::durable::{CommandError, Durability, DurableRef, DurableSpec, state_at};
use swarm_actors::journal::{Journal, JournalError, StreamName};
use swarm_actors::saga::{Outcome, SagaCommand, SagaRecords, Sagas};
use swarm_actors::{System, SystemOptions};
use swarm_journal::{DiskJournal, Options};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{Strategy, SupervisorFlags, SupervisorSpec};
use transfer::{Transfer, Transfers};

const ACCOUNTS: u32 = 9;
/// The last account takes no money.
const CLOSED: u32 = ACCOUNTS;
/// How many agents carry transfers out.
const DESKS: u32 = 3;
const OPENING_BALANCE: u64 = 1000;
const KILLS: u32 = 5;
const WITHIN: Duration = Duration::from_secs(10);
/// How often an agent is killed within the node.
const KILL_EVERY: u64 = 40;

struct Bank {
    system: System,
    journal: DiskJournal,
}

impl Bank {
    async fn open(directory: &Directory) -> Result<Self, Box<dyn Error>> {
        let journal = open_journal(directory).await?;
        let durability = Durability::new(Arc::new(journal.clone()));
        let system = System::new(SystemOptions::new(Name::new("bank")?, 1));
        let accounts = DurableSpec::new("account", Account, &durability)?;
        let desks = DurableSpec::new("desk", Sagas(Transfers), &durability)?;
        let mut children = accounts.replicas(&system, ACCOUNTS);
        children.extend(desks.replicas(&system, DESKS));
        let flags = SupervisorFlags {
            intensity: 1_000_000,
            ..SupervisorFlags::new(Strategy::OneForOne)
        };
        system
            .start_tree(SupervisorSpec::new(flags, children))
            .await?;
        Ok(Self { system, journal })
    }

    fn account(&self, n: u32) -> Result<DurableRef<Account>, Box<dyn Error>> {
        DurableRef::find(&self.system, &account(n)).ok_or_else(|| "no such account".into())
    }

    fn desk(&self, n: u32) -> Result<DurableRef<Sagas<Transfers>>, Box<dyn Error>> {
        DurableRef::find(&self.system, &desk(n)).ok_or_else(|| "no such desk".into())
    }

    /// All the money, straight out of the journal, and whether nothing is under way.
    fn count(&self) -> Result<(u64, bool), Box<dyn Error>> {
        let (mut sum, mut is_at_rest) = (0, true);
        // The desks first: when they have nothing under way, no account changes any more while it is read.
        for n in 1..=DESKS {
            is_at_rest &= self.transfers(n)?.open.is_empty();
        }
        for n in 1..=ACCOUNTS {
            let stream = StreamName::new(account(n).as_str())?;
            let balance = state_at(&Account, &self.journal, &stream, None)?.state;
            sum += balance.amount;
            is_at_rest &= balance.withdrawn.is_empty();
        }
        Ok((sum, is_at_rest))
    }

    fn transfers(&self, n: u32) -> Result<SagaRecords<Transfer>, Box<dyn Error>> {
        let stream = StreamName::new(desk(n).as_str())?;
        Ok(state_at(&Sagas(Transfers), &self.journal, &stream, None)?.state)
    }

    /// Waits until all transfers have ended, which they do by themselves; then there is as much money as ever.
    async fn check(&self, expected: u64) -> Result<(), Box<dyn Error>> {
        for _ in 0..600 {
            let (sum, is_at_rest) = self.count()?;
            if is_at_rest {
                if sum == expected {
                    return Ok(());
                }
                return Err(format!("money was lost or made: {sum} instead of {expected}").into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("a transfer does not come to its end".into())
    }

    async fn close(self) {
        self.system.stop_tree(WITHIN).await;
    }
}

/// Opens the journal as soon as nobody else has it: what is left of a tree that was stopped lets go of it in its own time.
async fn open_journal(directory: &Directory) -> Result<DiskJournal, JournalError> {
    for _ in 0..100 {
        match DiskJournal::open(directory, Options::default()) {
            Err(JournalError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            opened => return opened,
        }
    }
    DiskJournal::open(directory, Options::default())
}

fn account(n: u32) -> Path {
    Path::new(&format!("/account-{n}")).expect("a path")
}

fn desk(n: u32) -> Path {
    Path::new(&format!("/desk-{n}")).expect("a path")
}

/// The node that is killed: transfers as fast as they come, and agents that are killed meanwhile.
async fn work(directory: &Directory) -> Result<(), Box<dyn Error>> {
    let bank = Bank::open(directory).await?;
    for n in 1..CLOSED {
        let amount = OPENING_BALANCE;
        bank.account(n)?.ask(Order::Open { amount }, WITHIN).await?;
    }
    println!("ready");
    let below = |n: u32| (bank.system.random() % u64::from(n)) as u32 + 1;
    for n in 0_u64.. {
        let (from, to) = (below(ACCOUNTS - 1), below(ACCOUNTS));
        if from == to {
            continue;
        }
        let begin = SagaCommand::Begin {
            id: format!("{:016x}", bank.system.random()),
            input: Transfer {
                from: account(from),
                to: account(to),
                amount: 1 + n % 700,
            },
        };
        match bank.desk(below(DESKS))?.ask(begin, WITHIN).await {
            // A desk that has too much to do, or was killed: the next transfer, then.
            Ok(_) | Err(CommandError::Ask(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if n % KILL_EVERY == 0 {
            let victim = match below(2) {
                1 => account(below(ACCOUNTS)),
                _ => desk(below(DESKS)),
            };
            bank.system.lookup(&victim).ok_or("no such agent")?.kill();
        }
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
    let expected = u64::from(CLOSED - 1) * OPENING_BALANCE;
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
        let bank = Bank::open(&directory).await?;
        let open: usize = (1..=DESKS)
            .map(|n| bank.transfers(n).map_or(0, |t| t.open.len()))
            .sum();
        bank.check(expected).await?;
        println!(
            "kill {round} of {KILLS}: -9 after {after:?} with {open} transfers under way; the sum is {expected}"
        );
        bank.close().await;
    }
    let bank = Bank::open(&directory).await?;
    let (mut completed, mut undone) = (0, 0);
    for n in 1..=DESKS {
        for (_, outcome) in bank.transfers(n)?.ended {
            match outcome {
                Outcome::Completed => completed += 1,
                Outcome::Undone(_) => undone += 1,
                Outcome::NotUndone { .. } => return Err("a withdrawal was not given back".into()),
            }
        }
    }
    let events = bank.journal.last_position();
    println!(
        "{events} events; of the last transfers {completed} were completed and {undone} undone"
    );
    bank.check(expected).await?;
    bank.close().await;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

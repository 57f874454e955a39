//! Accounts that pay each other, for the tests.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::Failure;
use swarm_actors::durable::{
    CodecError, Decider, Decision, Durability, DurableRef, DurableSpec, Form, SnapshotPolicy,
    Stored,
};
use swarm_actors::journal::{CommandId, Journal, MemoryJournal, StreamName};
use swarm_actors::testkit::TestSystem;
use swarm_protocols::Path;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) struct Account;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Deposit(u64),
    /// Takes it from this account and gives it to that one.
    Pay {
        to: String,
        amount: u64,
    },
    Credit(u64),
    /// Deposits after so many milliseconds.
    Later {
        ms: u64,
        amount: u64,
    },
    Forget,
    Balance,
    Panic,
    /// Sends the other one what makes it panic.
    Poison {
        to: String,
    },
    /// Records what nobody can read.
    Corrupt,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Happened {
    Deposited(u64),
    Paid(u64),
    Credited(u64),
    Unreadable,
}

impl Stored for Happened {
    fn form(&self) -> Form {
        Form {
            type_id: if *self == Self::Unreadable { 9 } else { 1 },
            version: 1,
        }
    }

    fn decode(form: Form, payload: &[u8]) -> Result<Self, CodecError> {
        if form.type_id == 9 {
            return Err(CodecError::BadBytes(form));
        }
        postcard::from_bytes(payload).map_err(|_| CodecError::BadBytes(form))
    }
}

impl Decider for Account {
    type State = u64;
    type Command = Order;
    type Event = Happened;
    type Answer = u64;

    fn decide(
        &self,
        balance: &u64,
        order: Order,
        turn: &mut Decision<'_, Self>,
    ) -> Result<u64, Failure> {
        let mut balance = *balance;
        match order {
            Order::Deposit(amount) => {
                turn.record(Happened::Deposited(amount));
                balance += amount;
            }
            Order::Pay { to, amount } => {
                turn.record(Happened::Paid(amount));
                turn.send::<Self>(&Path::new(&to)?, &Order::Credit(amount));
                balance = balance.checked_sub(amount).ok_or("not enough money")?;
            }
            Order::Credit(amount) => {
                turn.record(Happened::Credited(amount));
                balance += amount;
            }
            Order::Later { ms, amount } => {
                let at_ms = turn.now_ms() + ms;
                turn.schedule(&format!("later-{amount}"), at_ms, &Order::Deposit(amount));
            }
            Order::Forget => turn.cancel("later-7"),
            Order::Balance => {}
            Order::Panic => panic!("as it was told"),
            Order::Poison { to } => turn.send::<Self>(&Path::new(&to)?, &Order::Panic),
            Order::Corrupt => turn.record(Happened::Unreadable),
        }
        Ok(balance)
    }

    fn evolve(&self, balance: &mut u64, event: &Happened) {
        match event {
            Happened::Deposited(amount) | Happened::Credited(amount) => *balance += amount,
            Happened::Paid(amount) => *balance -= amount,
            Happened::Unreadable => {}
        }
    }
}

pub(crate) fn journal() -> MemoryJournal {
    MemoryJournal::with_clock(|| NOW_MS)
}

pub(crate) fn id(n: u128) -> CommandId {
    CommandId::new(NOW_MS, n)
}

pub(crate) fn stream(path: &str) -> StreamName {
    StreamName::new(path).expect("a name")
}

/// A node with accounts `a` and `b` over a journal.
pub(crate) struct Bank {
    pub(crate) system: TestSystem,
    pub(crate) a: DurableRef<Account>,
    pub(crate) b: DurableRef<Account>,
}

impl Bank {
    pub(crate) async fn open(journal: &MemoryJournal) -> Self {
        Self::with(journal, SnapshotPolicy::default()).await
    }

    pub(crate) async fn with(journal: &MemoryJournal, policy: SnapshotPolicy) -> Self {
        let system = TestSystem::start().await;
        let journal: Arc<dyn Journal> = Arc::new(journal.clone());
        let durability = Durability::new(journal);
        let spec = |id| {
            DurableSpec::with_snapshots(id, Account, &durability, policy)
                .expect("a name")
                .map(|spec| spec.sleep_after(5 * SECOND))
        };
        let a = system.spawn_durable(spec("a")).await.expect("it starts");
        let b = system.spawn_durable(spec("b")).await.expect("it starts");
        Self { system, a, b }
    }

    pub(crate) async fn balance(account: &DurableRef<Account>) -> u64 {
        account
            .ask(Order::Balance, 100 * SECOND)
            .await
            .expect("an answer")
    }

    /// Ends the node without a word.
    pub(crate) async fn die(self) {
        drop(self);
        tokio::task::yield_now().await;
    }
}

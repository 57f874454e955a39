//! The whole durable agent against an ideal store: crashes at every step of the commit path, of the node and of single agents.

use crate::account::*;
use swarm_actors::durable::{Command, Done};
use swarm_actors::journal::{Class, Crash, MemoryJournal};

/// What the ideal store has: two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ideal {
    a: u64,
    b: u64,
}

const ORDERS: u128 = 12;

fn order(n: u128) -> Order {
    match n % 3 {
        0 => Order::Deposit(10 + n as u64),
        1 => Order::Pay {
            to: "/b".into(),
            amount: 3,
        },
        _ => Order::Later {
            ms: 500,
            amount: 1000 + n as u64,
        },
    }
}

impl Ideal {
    fn apply(&mut self, n: u128) {
        match order(n) {
            Order::Deposit(amount) => self.a += amount,
            Order::Pay { amount, .. } => {
                self.a -= amount;
                self.b += amount;
            }
            Order::Later { amount, .. } => self.a += amount,
            _ => {}
        }
    }
}

/// Sends the order until it is known to have taken effect; the node dies with its journal and comes back as often as needed.
async fn carry_out(n: u128, mut bank: Bank, journal: &mut MemoryJournal) -> Bank {
    for _ in 0..10 {
        let command = Command {
            command: order(n),
            id: Some(id(n)),
            class: Class::Durable,
        };
        match bank.a.ask_with(command, 5 * SECOND).await {
            Ok(Done::Now(_) | Done::Before(_)) => {
                tokio::time::sleep(2 * SECOND).await;
                return bank;
            }
            Err(_) => {
                bank.die().await;
                *journal = journal.reopen();
                bank = Bank::open(journal).await;
            }
        }
    }
    panic!("order {n} was never carried out");
}

async fn run(crash_at: u32, crash: Crash) -> u64 {
    let mut journal = journal();
    let mut bank = Bank::open(&journal).await;
    journal.crash_after(crash_at, crash);
    let mut ideal = Ideal::default();
    for n in 0..ORDERS {
        bank = carry_out(n, bank, &mut journal).await;
        ideal.apply(n);
    }
    let case = format!("crash {crash:?} at append {crash_at}");
    let mut found = Ideal::default();
    for _ in 0..20 {
        if bank.a.ask(Order::Balance, SECOND).await.is_err()
            || bank.b.ask(Order::Balance, SECOND).await.is_err()
        {
            bank.die().await;
            journal = journal.reopen();
            bank = Bank::open(&journal).await;
        }
        tokio::time::sleep(60 * SECOND).await;
        found = Ideal {
            a: Bank::balance(&bank.a).await,
            b: Bank::balance(&bank.b).await,
        };
        if found == ideal {
            break;
        }
    }
    assert_eq!(found, ideal, "{case}");
    bank.die().await;
    // And once more from the journal alone.
    let bank = Bank::open(&journal.reopen()).await;
    assert_eq!(Bank::balance(&bank.a).await, ideal.a, "{case}");
    assert_eq!(Bank::balance(&bank.b).await, ideal.b, "{case}");
    journal.appends()
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_any_commit_changes_nothing() {
    let appends = run(u32::MAX, Crash::BeforeWrite).await;
    assert!(appends > 12, "{appends}");
    for crash in [Crash::BeforeWrite, Crash::BeforeAnswer, Crash::DiskFull] {
        for at in 0..=appends as u32 {
            run(at, crash).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn kills_of_either_agent_at_any_time_change_nothing() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut journal = journal();
        let mut bank = Bank::open(&journal).await;
        let mut ideal = Ideal::default();
        for n in 0..ORDERS {
            let victim = if rng.bool() { &bank.a } else { &bank.b };
            victim.agent().any().kill();
            if rng.bool() {
                tokio::time::sleep(SECOND / rng.u32(1..20)).await;
            }
            bank = carry_out(n, bank, &mut journal).await;
            ideal.apply(n);
        }
        tokio::time::sleep(100 * SECOND).await;
        assert_eq!(Bank::balance(&bank.a).await, ideal.a, "seed {seed}");
        assert_eq!(Bank::balance(&bank.b).await, ideal.b, "seed {seed}");
        bank.die().await;
    }
}

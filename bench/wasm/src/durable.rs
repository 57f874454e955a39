//! Durable guests beside durable agents in Rust: the same orders as JSON, the same events, each over a disk journal of its own.

use crate::agents::{PATIENCE, host, limits};
use crate::{Both, cpu, rows};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use swarm_actors::durable::{Decider, Decision, Durability, DurableSpec, Form, Stored};
use swarm_actors::{AnyRef, Failure, System, SystemOptions};
use swarm_journal::{DiskJournal, Options};
use swarm_protocols::{AclMessage, Name, Path, Performative};
use swarm_supervisors::{ChildSpec, SupervisorFlags, SupervisorSpec};
use swarm_wasm::durable::{DurableGuest, DurablePlan};
use swarm_wasm::{Class, Grants};

const ACCOUNT: &[u8] = include_bytes!("../../../examples/guests/account/account.wasm");

/// Turns in flight; each agent has one.
const AGENTS: u32 = 500;
const TURNS_EACH: u32 = 20;
const REPETITIONS: usize = 5;

/// As much of `examples/guests/account` as is asked for, natively.
struct Account;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Deposit(u64),
}

#[derive(Clone, Serialize, Deserialize)]
struct Deposited {
    amount: u64,
}

impl Stored for Deposited {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for Account {
    type State = u64;
    type Command = Order;
    type Event = Deposited;
    type Answer = u64;

    fn decide(
        &self,
        balance: &u64,
        Order::Deposit(amount): Order,
        turn: &mut Decision<'_, Self>,
    ) -> Result<u64, Failure> {
        turn.record(Deposited { amount });
        Ok(balance.wrapping_add(amount))
    }

    fn evolve(&self, balance: &mut u64, event: &Deposited) {
        *balance = balance.wrapping_add(event.amount);
    }

    fn acl_command(&self, message: &AclMessage) -> Option<Order> {
        serde_json::from_slice(message.content.as_deref()?).ok()
    }

    fn acl_answer(&self, message: &AclMessage, balance: u64) -> AclMessage {
        let mut told = message.reply(Performative::Inform);
        told.content = Some(format!("{{\"balance\":{balance}}}").into_bytes());
        told
    }
}

/// Agents of one kind, and their journal's folder.
struct Side {
    agents: Vec<AnyRef>,
    _system: System,
    _folder: tempfile::TempDir,
}

impl Side {
    async fn start(children: impl FnOnce(&System, &Durability) -> Vec<ChildSpec>) -> Self {
        let folder = tempfile::tempdir_in(".").expect("a folder in the working directory");
        let journal = DiskJournal::open(folder.path(), Options::default()).expect("it opens");
        let durability = Durability::new(Arc::new(journal));
        let system = System::new(SystemOptions::new(Name::new("bench").expect("a name"), 1));
        let children = children(&system, &durability);
        let tree = SupervisorSpec::new(SupervisorFlags::default(), children);
        system.start_tree(tree).await.expect("it starts");
        let at = |n: u32| Path::new(&format!("/account-{n}")).expect("a path");
        let agents = (1..=AGENTS).map(|n| system.lookup(&at(n)).expect("it is there"));
        Self {
            agents: agents.collect(),
            _system: system,
            _folder: folder,
        }
    }

    /// So many deposits for each agent, one behind the other; all agents at once.
    async fn turns(&self, each: u32) {
        let asks: Vec<_> = self
            .agents
            .iter()
            .cloned()
            .map(|agent| {
                tokio::spawn(async move {
                    for _ in 0..each {
                        let order = crate::message(Performative::Request, br#"{"deposit":1}"#);
                        let told = agent.ask_acl(order, PATIENCE).await.expect("an answer");
                        assert_eq!(told.performative, Performative::Inform);
                    }
                })
            })
            .collect();
        for ask in asks {
            ask.await.expect("no panic");
        }
    }
}

/// Turns of guests beside turns of native agents: decided, written with others in one group, applied, answered.
pub(crate) async fn turns() {
    let limits = limits(Class::Default);
    let grants = Grants {
        state: false,
        ..Grants::all()
    };
    let host = host();
    let component = host
        .load(ACCOUNT, Class::Default, &grants, &limits)
        .expect("the component loads");
    let guests = Side::start(|system, durability| {
        let plan = DurablePlan::new(
            component,
            "{}".to_owned(),
            grants,
            limits,
            system.downgrade(),
            durability.clone(),
        );
        DurableSpec::new("account", DurableGuest::new(plan), durability)
            .expect("a name")
            .replicas(system, AGENTS)
    })
    .await;
    let native = Side::start(|system, durability| {
        DurableSpec::new("account", Account, durability)
            .expect("a name")
            .replicas(system, AGENTS)
    })
    .await;
    // Streams are read and instances made.
    guests.turns(1).await;
    native.turns(1).await;
    let (mut ours, mut theirs) = (Both::default(), Both::default());
    for _ in 0..REPETITIONS {
        for (side, both) in [(&guests, &mut ours), (&native, &mut theirs)] {
            let (begun, before) = (Instant::now(), cpu());
            side.turns(TURNS_EACH).await;
            both.add(begun, before, AGENTS * TURNS_EACH);
        }
    }
    println!("\n| | durable guest | durable agent in Rust | ratio |\n| --- | --- | --- | --- |");
    rows(&format!("durable turn, {AGENTS} in flight"), ours, theirs);
}

//! Accounts in one node: durable guests, and a native twin of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use swarm_actors::durable::{
    CodecError, Decider, Decision, Durability, DurableSpec, Form, SnapshotPolicy, Stored,
};
use swarm_actors::journal::{Bounds, Journal, MemoryJournal, StreamName};
use swarm_actors::{AnyRef, AskError, Failure, System, SystemOptions, What};
use swarm_protocols::{AclMessage, Name, Path, Performative};
use swarm_supervisors::{Backoff, ChildSpec, SupervisorFlags, SupervisorSpec};
use swarm_wasm::durable::{DurableGuest, DurablePlan};
use swarm_wasm::{Class, Component, Grants, Host, HostOptions, Limits};

pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// One for all tests: each component is compiled once.
pub(crate) fn host() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(HostOptions::default()).unwrap());
    &HOST
}

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/guests")
        .join(file)
}

pub(crate) fn load(file: &str, limits: &Limits) -> Component {
    host()
        .load_file(&example(file), Class::Default, &grants(), limits)
        .unwrap()
}

pub(crate) fn account(limits: &Limits) -> Component {
    load("account/account.wasm", limits)
}

pub(crate) fn account_next(limits: &Limits) -> Component {
    load("account/account-next.wasm", limits)
}

pub(crate) fn grants() -> Grants {
    Grants {
        state: false,
        ..Grants::all()
    }
}

/// A node's accounts: `/a` and `/b` are guests, `/native` and `/sink` are not.
pub(crate) struct Bank {
    pub(crate) system: System,
    pub(crate) journal: Arc<MemoryJournal>,
}

#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) limits: Limits,
    pub(crate) snapshots: SnapshotPolicy,
    pub(crate) sleep_after: Duration,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            snapshots: SnapshotPolicy::default(),
            sleep_after: Duration::from_secs(3600),
        }
    }
}

impl Bank {
    pub(crate) async fn open(journal: &Arc<MemoryJournal>) -> Self {
        Self::with(journal, Setting::default()).await
    }

    pub(crate) async fn with(journal: &Arc<MemoryJournal>, setting: Setting) -> Self {
        let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
        let durability = Durability::new(journal.clone());
        let flags = SupervisorFlags {
            intensity: 100_000,
            ..SupervisorFlags::default()
        };
        let mut children = Vec::new();
        for id in ["a", "b"] {
            children.push(guest(id, &system, &durability, &setting));
        }
        for id in ["native", "sink"] {
            let spec = DurableSpec::with_snapshots(id, Native, &durability, setting.snapshots);
            let spec = spec.unwrap().map(|spec| spec.restart_delay(soon()));
            children.push(spec.child(&system));
        }
        let spec = SupervisorSpec::new(flags, children);
        system.start_tree(spec).await.unwrap();
        Self {
            system,
            journal: journal.clone(),
        }
    }

    pub(crate) async fn close(self) {
        self.system.stop_tree(Duration::from_secs(30)).await;
    }

    pub(crate) fn agent(&self, path: &str) -> AnyRef {
        self.system.lookup(&Path::new(path).unwrap()).unwrap()
    }

    pub(crate) async fn ask(&self, path: &str, order: &str) -> Result<AclMessage, AskError> {
        let mut message = AclMessage::new(Performative::Request);
        message.content = Some(order.as_bytes().to_vec());
        self.agent(path).ask_acl(message, WITHIN).await
    }

    /// What it says when all is well.
    pub(crate) async fn told(&self, path: &str, order: &str) -> String {
        let answer = self.ask(path, order).await.unwrap();
        answer.text().unwrap_or_default().to_owned()
    }

    /// The balance; asked again while the agent comes back from a crash.
    pub(crate) async fn balance(&self, path: &str) -> u64 {
        for _ in 0..100 {
            if let Ok(answer) = self.ask(path, "\"balance\"").await {
                let value: serde_json::Value =
                    serde_json::from_slice(answer.content.as_deref().unwrap()).unwrap();
                return value["balance"].as_u64().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} does not come back");
    }

    /// The events of an agent: type, version and bytes.
    pub(crate) fn stream(&self, path: &str) -> Vec<(u32, u16, String)> {
        let stream = StreamName::new(path).unwrap();
        let replay = self.journal.read(&stream, Bounds::from(1)).unwrap();
        let events = replay.events.into_iter().map(|recorded| {
            let data = recorded.data;
            let payload = String::from_utf8(data.payload).unwrap();
            (data.type_id, data.version, payload)
        });
        events.collect()
    }

    /// The first event of that name about the agent, once there is one.
    pub(crate) async fn published(&self, path: &str, event: &str) -> String {
        for _ in 0..60_000 {
            for told in self.system.events().since(0, usize::MAX) {
                if let What::Custom { name, detail } = &told.what
                    && name == event
                    && told.path.as_ref().is_some_and(|of| of.as_str() == path)
                {
                    return detail.clone();
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("there was no {event} of {path}");
    }

    /// Waits for a condition, for a minute at most.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..60_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it did not come to that: {what}");
    }
}

fn guest(id: &str, system: &System, durability: &Durability, setting: &Setting) -> ChildSpec {
    let plan = DurablePlan::new(
        account(&setting.limits),
        "{}".to_owned(),
        grants(),
        setting.limits.clone(),
        system.downgrade(),
        durability.clone(),
    );
    let sleep_after = setting.sleep_after;
    DurableSpec::with_snapshots(id, DurableGuest::new(plan), durability, setting.snapshots)
        .unwrap()
        .map(|spec| spec.sleep_after(sleep_after).restart_delay(soon()))
        .child(system)
}

/// Who is killed again and again is back soon nevertheless.
fn soon() -> Backoff {
    Backoff::exponential(Duration::from_millis(5), Duration::from_millis(20))
}

/// The type of a kind.
pub(crate) fn type_of(kind: &str) -> u32 {
    let digest = Sha256::digest(kind.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// `examples/guests/account`, natively.
pub(crate) struct Native;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    balance: u64,
    events: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    Deposit(u64),
    Withdraw(u64),
    Pay { to: String, amount: u64 },
    Credit(u64),
    Balance,
    Trap,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Happened {
    Deposited(u64),
    Credited(u64),
    Withdrawn(u64),
    Paid { to: String, amount: u64 },
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

impl Happened {
    fn kind(&self) -> &'static str {
        match self {
            Self::Deposited(_) => "deposited",
            Self::Credited(_) => "credited",
            Self::Withdrawn(_) => "withdrawn",
            Self::Paid { .. } => "paid",
        }
    }
}

impl Stored for Happened {
    fn form(&self) -> Form {
        Form {
            type_id: type_of(self.kind()),
            version: 1,
        }
    }

    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let bytes = match self {
            Self::Deposited(amount) | Self::Credited(amount) | Self::Withdrawn(amount) => {
                serde_json::to_vec(&Amount { amount: *amount })
            }
            Self::Paid { to, amount } => serde_json::to_vec(&Payment {
                to: to.clone(),
                amount: *amount,
            }),
        };
        bytes.map_err(|error| CodecError::NotEncoded(error.to_string()))
    }

    fn decode(form: Form, payload: &[u8]) -> Result<Self, CodecError> {
        let bad = |_| CodecError::BadBytes(form);
        let amount = || serde_json::from_slice::<Amount>(payload).map_err(bad);
        match form.type_id {
            id if id == type_of("deposited") => Ok(Self::Deposited(amount()?.amount)),
            id if id == type_of("credited") => Ok(Self::Credited(amount()?.amount)),
            id if id == type_of("withdrawn") => Ok(Self::Withdrawn(amount()?.amount)),
            id if id == type_of("paid") => {
                let Payment { to, amount } = serde_json::from_slice(payload).map_err(bad)?;
                Ok(Self::Paid { to, amount })
            }
            _ => Err(CodecError::UnknownForm(form)),
        }
    }
}

pub(crate) enum Answer {
    Told(u64),
    Refused(u64),
}

impl Decider for Native {
    type State = State;
    type Command = Order;
    type Event = Happened;
    type Answer = Answer;

    fn decide(
        &self,
        state: &State,
        order: Order,
        turn: &mut Decision<'_, Self>,
    ) -> Result<Answer, Failure> {
        let balance = state.balance;
        let (event, balance) = match order {
            Order::Withdraw(amount) | Order::Pay { amount, .. } if amount > balance => {
                return Ok(Answer::Refused(balance));
            }
            Order::Deposit(n) => (Happened::Deposited(n), balance.wrapping_add(n)),
            Order::Credit(n) => (Happened::Credited(n), balance.wrapping_add(n)),
            Order::Withdraw(n) => (Happened::Withdrawn(n), balance - n),
            Order::Pay { to, amount } => {
                let mut credit = AclMessage::new(Performative::Request);
                credit.content = Some(format!("{{\"credit\":{amount}}}").into_bytes());
                turn.send_acl(&Path::new(&to)?, &credit);
                (Happened::Paid { to, amount }, balance - amount)
            }
            Order::Balance => return Ok(Answer::Told(balance)),
            Order::Trap => panic!("told to trap"),
        };
        turn.record(event);
        Ok(Answer::Told(balance))
    }

    fn evolve(&self, state: &mut State, event: &Happened) {
        state.events += 1;
        state.balance = match event {
            Happened::Deposited(n) | Happened::Credited(n) => state.balance.wrapping_add(*n),
            Happened::Withdrawn(n) | Happened::Paid { amount: n, .. } => {
                state.balance.wrapping_sub(*n)
            }
        };
    }

    fn acl_command(&self, message: &AclMessage) -> Option<Order> {
        if message.performative != Performative::Request {
            return None;
        }
        serde_json::from_slice(message.content.as_deref()?).ok()
    }

    fn acl_answer(&self, message: &AclMessage, answer: Answer) -> AclMessage {
        let (act, balance) = match answer {
            Answer::Told(balance) => (Performative::Inform, balance),
            Answer::Refused(balance) => (Performative::Refuse, balance),
        };
        let mut told = message.reply(act);
        told.content = Some(format!("{{\"balance\":{balance}}}").into_bytes());
        told
    }
}

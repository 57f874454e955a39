//! Workers that do as they are told, and somebody who calls for bids.

use std::sync::Arc;
use std::time::Duration;
use swarm_actors::conversation::*;
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, Aid, Path};
use tokio::sync::Semaphore;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Within this time a death is known on a node.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(100);

/// What a worker does.
#[derive(Clone)]
pub(crate) struct Manners {
    pub(crate) price: i64,
    pub(crate) on_bid: Act,
    pub(crate) on_perform: Act,
    /// Held back until somebody adds a permit, where it waits.
    pub(crate) gate: Arc<Semaphore>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Act {
    Well,
    Panic,
    Refuse,
    Wait,
}

impl Manners {
    pub(crate) fn bidding(price: i64) -> Self {
        Self {
            price,
            on_bid: Act::Well,
            on_perform: Act::Well,
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    pub(crate) fn on_bid(mut self, act: Act) -> Self {
        self.on_bid = act;
        self
    }

    pub(crate) fn on_perform(mut self, act: Act) -> Self {
        self.on_perform = act;
        self
    }
}

pub(crate) struct Worker(pub(crate) Manners);

impl Worker {
    async fn pass(&self, act: Act) {
        match act {
            Act::Panic => panic!("told to"),
            Act::Wait => self.0.gate.acquire().await.expect("open").forget(),
            Act::Well | Act::Refuse => {}
        }
    }
}

impl Negotiator for Worker {
    async fn bid(&mut self, _: &AclMessage, price: Option<i64>) -> Result<Decision, Failure> {
        self.pass(self.0.on_bid).await;
        if self.0.on_bid == Act::Refuse {
            return Ok(Decision::Refuse(b"busy".to_vec()));
        }
        Ok(match price {
            Some(called) if called > self.0.price => Decision::Silent,
            _ => Decision::Propose {
                content: self.0.price.to_string().into_bytes(),
                price,
                holds_for: None,
            },
        })
    }

    async fn perform(&mut self, task: &AclMessage) -> Result<Decision, Failure> {
        self.pass(self.0.on_perform).await;
        let done = format!("done {}", task.text().unwrap_or_default());
        Ok(Decision::Done(done.into_bytes()))
    }

    async fn decide(&mut self, call: &AclMessage) -> Result<Decision, Failure> {
        self.perform(call).await
    }
}

pub(crate) struct World {
    pub(crate) test: TestSystem,
    pub(crate) book: ConversationBook,
    pub(crate) caller: ProtocolRef,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(ConversationLimits::default()).await
    }

    pub(crate) async fn with(limits: ConversationLimits) -> Self {
        let test = TestSystem::start().await;
        let book = ConversationBook::new(limits);
        let spec = ProtocolSpec::alone("caller", &book)
            .expect("a name")
            .agent_spec();
        let caller = test.spawn(spec).await.expect("it starts");
        let caller = ProtocolRef::of(&caller.any()).expect("a protocol actor");
        Self { test, book, caller }
    }

    pub(crate) async fn worker(&self, id: &str, manners: Manners) -> Arc<Semaphore> {
        let gate = manners.gate.clone();
        let specs = Worker::children(&self.test, id, &self.book, move || Worker(manners.clone()))
            .expect("a name");
        for spec in specs {
            self.test.tree().start_child(spec).await.expect("it starts");
        }
        gate
    }

    pub(crate) fn at(&self, path: &str) -> AnyRef {
        let path: Path = path.parse().expect("a path");
        self.test.lookup(&path).expect("it is there")
    }

    pub(crate) fn opening(&self, participants: &[&str]) -> Opening {
        let participants = participants.iter().map(|name| aid(name)).collect();
        Opening {
            reply_within: Some(MINUTE),
            result_within: Some(MINUTE),
            expires_in: Some(10 * MINUTE),
            ..Opening::new(
                "",
                aid("caller"),
                participants,
                Rules::ContractNet,
                About::text("the task"),
            )
        }
    }

    pub(crate) async fn run(&self, opening: Opening, answers: Answers) -> Outcome {
        self.caller
            .run(opening, Vec::new(), answers, 20 * MINUTE)
            .await
            .expect("it ends")
    }

    /// A contract net with these, in which the cheapest wins.
    pub(crate) async fn contract(&self, participants: &[&str]) -> Outcome {
        self.run(self.opening(participants), cheapest()).await
    }

    /// Waits until a conversation is in this state on somebody's side; its id.
    pub(crate) async fn until(&self, agent: &str, state: &str) -> ConversationView {
        for _ in 0..10_000 {
            let found = self
                .book
                .list()
                .into_iter()
                .find(|view| view.agent == aid(agent).name && view.state == state);
            if let Some(view) = found {
                return view;
            }
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(10)).await;
        }
        panic!("{agent} is never {state}: {:?}", self.book.list());
    }
}

pub(crate) fn aid(name: &str) -> Aid {
    Aid::named(format!("{name}@test"))
}

/// Accepts the lowest price; the others in reserve, best first.
pub(crate) fn ranked(question: &Question) -> Option<Decision> {
    let Question::Evaluate(proposals) = question else {
        return None;
    };
    let mut order: Vec<(i64, usize)> = proposals
        .iter()
        .filter_map(|p| Some((p.message.text()?.parse().ok()?, p.bidder)))
        .collect();
    order.sort_unstable();
    let mut order = order.into_iter().map(|(_, bidder)| bidder);
    Some(Decision::Award {
        accept: order.next().into_iter().collect(),
        reserve: order.collect(),
        content: Vec::new(),
    })
}

pub(crate) fn cheapest() -> Answers {
    Arc::new(|question| match ranked(question) {
        Some(Decision::Award {
            accept, content, ..
        }) => Some(Decision::Award {
            accept,
            reserve: Vec::new(),
            content,
        }),
        other => other,
    })
}

pub(crate) fn with_reserve() -> Answers {
    Arc::new(ranked)
}

pub(crate) fn end_of(outcome: &Outcome, name: &str) -> End {
    outcome
        .parts
        .iter()
        .find(|part| part.participant == aid(name))
        .expect("takes part")
        .end
}

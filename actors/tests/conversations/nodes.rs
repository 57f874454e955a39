//! Conversations with participants on another node, and what the loss of that node does to them.

use super::kit::{Act, Manners, Worker, cheapest};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use swarm_actors::conversation::*;
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, Address, Aid, Name, Performative};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
/// Within this time the loss of a node is known to who was told of it.
const AT_ONCE: Duration = Duration::from_millis(100);

type Wires = Arc<Mutex<BTreeMap<Name, mpsc::UnboundedSender<Parcel>>>>;

/// Carries parcels to the other system of the test until it is cut.
struct Wire(Wires);

impl Transport for Wire {
    fn carry(&self, node: &Name, parcel: Parcel, _: Option<&Waker>) -> Result<(), NotCarried> {
        match self.0.lock().get(node) {
            Some(wire) => {
                wire.send(parcel).expect("the pump runs");
                Ok(())
            }
            None => Err(NotCarried::Unreachable(parcel)),
        }
    }
}

/// Without bounds.
struct Boundless;

impl Window for Boundless {
    fn release(&self, _: Address, _: usize) {}
}

struct Nodes {
    wires: Wires,
    here: TestSystem,
    there: TestSystem,
    /// The conversations there.
    book: ConversationBook,
    caller: ProtocolRef,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("valid")
}

async fn system(called: &str, seed: u64, wires: &Wires) -> TestSystem {
    let mut options = SystemOptions::new(name(called), seed);
    options.watchdog = Watchdog::Task;
    let system = TestSystem::start_with(options).await;
    assert!(system.attach(Arc::new(Wire(wires.clone()))));
    system
}

fn connect(from: &TestSystem, to: &TestSystem, wires: &Wires) {
    let (sender, mut parcels) = mpsc::unbounded_channel();
    wires.lock().insert(to.node().clone(), sender);
    let (from, to) = (from.node().clone(), to.downgrade());
    tokio::spawn(async move {
        let window: Arc<dyn Window> = Arc::new(Boundless);
        while let Some(parcel) = parcels.recv().await {
            let Some(system) = to.upgrade() else { return };
            system.arrive(&from, [parcel], &window);
        }
    });
}

impl Nodes {
    async fn new() -> Self {
        let wires = Wires::default();
        let here = system("here", 1, &wires).await;
        let there = system("there", 2, &wires).await;
        connect(&here, &there, &wires);
        connect(&there, &here, &wires);
        let own = ConversationBook::new(ConversationLimits::default());
        let spec = ProtocolSpec::alone("caller", &own).expect("a name");
        let caller = here.spawn(spec.agent_spec()).await.expect("it starts");
        Self {
            wires,
            caller: ProtocolRef::of(&caller.any()).expect("a protocol actor"),
            book: ConversationBook::new(ConversationLimits::default()),
            here,
            there,
        }
    }

    /// A worker there, as it is seen from here.
    async fn worker(&self, id: &str, manners: Manners) -> (AnyRef, Arc<Semaphore>) {
        let gate = manners.gate.clone();
        let specs = Worker::children(&self.there, id, &self.book, move || Worker(manners.clone()))
            .expect("a name");
        for spec in specs {
            let started = self.there.tree().start_child(spec).await;
            started.expect("it starts");
        }
        let path = format!("/{id}.protocol").parse().expect("a path");
        let agent = self.there.lookup(&path).expect("it is there");
        let seen = self
            .here
            .remote(self.there.node(), agent.address(), Some(&path));
        (seen, gate)
    }

    async fn contract(&self, workers: &[AnyRef]) -> Outcome {
        let participants: Vec<Aid> = workers.iter().map(AnyRef::aid).collect();
        let opening = Opening {
            reply_within: Some(MINUTE),
            result_within: Some(MINUTE),
            expires_in: Some(10 * MINUTE),
            ..Opening::new(
                "",
                Aid::named("caller@here"),
                participants,
                Rules::ContractNet,
                About::text("the task"),
            )
        };
        let run = self
            .caller
            .run(opening, workers.to_vec(), cheapest(), 20 * MINUTE);
        run.await.expect("it ends")
    }

    fn lose_there(&self) {
        self.wires.lock().clear();
        self.here.node_lost(self.there.node(), Vec::new());
        self.there.node_lost(self.here.node(), Vec::new());
    }

    /// Waits until a side there is in this state.
    async fn until(&self, state: &str) {
        for _ in 0..10_000 {
            if self.book.list().iter().any(|view| view.state == state) {
                return;
            }
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(10)).await;
        }
        panic!("nobody there is ever {state}: {:?}", self.book.list());
    }
}

fn end_of(outcome: &Outcome, worker: &AnyRef) -> End {
    let part = outcome
        .parts
        .iter()
        .find(|part| part.participant == worker.aid());
    part.expect("takes part").end
}

#[tokio::test(start_paused = true)]
async fn a_contract_net_crosses_nodes() {
    let nodes = Nodes::new().await;
    let (dear, _) = nodes.worker("dear", Manners::bidding(9)).await;
    let (cheap, _) = nodes.worker("cheap", Manners::bidding(3)).await;
    let outcome = nodes.contract(&[dear.clone(), cheap.clone()]).await;
    assert_eq!(end_of(&outcome, &cheap), End::Done, "{outcome:?}");
    assert_eq!(end_of(&outcome, &dear), End::Rejected);
}

/// Bids and performs by itself, without a protocol actor.
struct Alone;

impl Agent for Alone {
    type Message = std::convert::Infallible;

    async fn handle(
        &mut self,
        _: &mut Turn<'_, Self>,
        never: std::convert::Infallible,
    ) -> Result<(), Failure> {
        match never {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let act = match message.performative {
            Performative::Cfp => Performative::Propose,
            _ => Performative::Inform,
        };
        let mut answer = message.reply(act);
        answer.content = Some(b"3".to_vec());
        turn.answer(answer);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_a_protocol_actor_answers_who_asked_it_from_another_node() {
    let nodes = Nodes::new().await;
    let spec = AgentSpec::new("alone", || Alone).expect("a name");
    let agent = nodes.there.spawn(spec).await.expect("it starts");
    let path = agent.any().path().clone();
    let seen = nodes
        .here
        .remote(nodes.there.node(), agent.address(), Some(&path));
    let outcome = nodes.contract(std::slice::from_ref(&seen)).await;
    assert_eq!(end_of(&outcome, &seen), End::Done, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_participant_whose_node_is_lost_while_it_performs_has_failed_at_once() {
    let nodes = Nodes::new().await;
    let manners = Manners::bidding(3).on_perform(Act::Wait);
    let (worker, _gate) = nodes.worker("worker", manners).await;
    let workers = [worker.clone()];
    let run = nodes.contract(&workers);
    let lose = async {
        nodes.until("performing").await;
        nodes.lose_there();
        Instant::now()
    };
    let (outcome, lost_at) = tokio::join!(run, lose);
    assert_eq!(end_of(&outcome, &worker), End::Down, "{outcome:?}");
    assert!(lost_at.elapsed() < AT_ONCE, "{:?}", lost_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_bidder_whose_node_is_lost_is_not_waited_for() {
    let nodes = Nodes::new().await;
    let manners = Manners::bidding(3).on_bid(Act::Wait);
    let (worker, _gate) = nodes.worker("worker", manners).await;
    let workers = [worker.clone()];
    let run = nodes.contract(&workers);
    let lose = async {
        nodes.until("bidding").await;
        nodes.lose_there();
        Instant::now()
    };
    let (outcome, lost_at) = tokio::join!(run, lose);
    assert_eq!(end_of(&outcome, &worker), End::Down, "{outcome:?}");
    assert!(lost_at.elapsed() < AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn the_conversation_of_a_participant_whose_initiator_is_lost_ends_at_once() {
    let nodes = Nodes::new().await;
    let manners = Manners::bidding(3).on_perform(Act::Wait);
    let (worker, gate) = nodes.worker("worker", manners).await;
    let workers = [worker];
    let run = nodes.contract(&workers);
    let lose = async {
        nodes.until("performing").await;
        nodes.lose_there();
        let lost_at = Instant::now();
        // What it was about is done; there is nobody to tell.
        gate.add_permits(1);
        nodes.until("ended").await;
        lost_at
    };
    let (_, lost_at) = tokio::join!(run, lose);
    assert!(lost_at.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_next_life_of_an_initiator_finds_its_participants_on_other_nodes() {
    let nodes = Nodes::new().await;
    let manners = Manners::bidding(3).on_bid(Act::Wait);
    let (worker, gate) = nodes.worker("worker", manners).await;
    let workers = [worker.clone()];
    let run = nodes.contract(&workers);
    let crash = async {
        nodes.until("bidding").await;
        let caller = nodes.caller.agent().any();
        caller.kill();
        while caller.incarnation().0 < 2 || !caller.is_alive() {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(run, crash);
    assert_eq!(end_of(&outcome, &worker), End::Done, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_participants_protocol_actor_on_another_node_goes_on_in_its_next_life() {
    let nodes = Nodes::new().await;
    let manners = Manners::bidding(3).on_perform(Act::Wait);
    let (worker, gate) = nodes.worker("worker", manners).await;
    let workers = [worker.clone()];
    let run = nodes.contract(&workers);
    let crash = async {
        nodes.until("performing").await;
        let path = "/worker.protocol".parse().expect("a path");
        let agent = nodes.there.lookup(&path).expect("it is there");
        agent.kill();
        while agent.incarnation().0 < 2 || !agent.is_alive() {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(run, crash);
    assert_eq!(end_of(&outcome, &worker), End::Done, "{outcome:?}");
}

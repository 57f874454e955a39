//! Conversations that go well.

use crate::kit::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use swarm_actors::conversation::*;
use swarm_actors::*;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, Performative};

#[tokio::test(start_paused = true)]
async fn a_contract_net_is_awarded_to_the_best_bid_and_its_result_comes_back() {
    let world = World::new().await;
    for (name, price) in [("a", 30), ("b", 10), ("c", 20)] {
        world.worker(name, Manners::bidding(price)).await;
    }
    let outcome = world.contract(&["a", "b", "c"]).await;
    assert_eq!(outcome.end, End::Done);
    assert_eq!(end_of(&outcome, "b"), End::Done);
    assert_eq!(end_of(&outcome, "a"), End::Rejected);
    assert_eq!(
        outcome.parts[1].message.as_ref().and_then(|m| m.text()),
        Some("done 10")
    );
}

#[tokio::test(start_paused = true)]
async fn an_english_auction_is_won_by_who_pays_most() {
    let world = World::new().await;
    world.worker("poor", Manners::bidding(15)).await;
    world.worker("rich", Manners::bidding(42)).await;
    let mut opening = world.opening(&["poor", "rich"]);
    opening.reply_within = Some(SECOND);
    opening.rules = Rules::EnglishAuction(Ascending {
        start: 10,
        step: 5,
        reserve: 0,
        rounds_max: 20,
    });
    let outcome = world.run(opening, cheapest()).await;
    assert_eq!(end_of(&outcome, "rich"), End::Done);
    assert_eq!(end_of(&outcome, "poor"), End::Rejected);
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_after_the_deadline_is_rejected_for_lateness() {
    let world = World::new().await;
    world.worker("quick", Manners::bidding(30)).await;
    let gate = world
        .worker("slow", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let mut opening = world.opening(&["quick", "slow"]);
    opening.reply_within = Some(SECOND);
    let outcome = world.run(opening, cheapest()).await;
    assert_eq!(end_of(&outcome, "slow"), End::TimedOut);
    assert_eq!(end_of(&outcome, "quick"), End::Done);
    gate.add_permits(1);
    let view = world.until("slow", "ended").await;
    assert_eq!(view.outcome, Some(End::Rejected));
}

/// An agent with a type of message of its own, that negotiates beside its other work.
struct Buyer {
    ended: Arc<AtomicUsize>,
}

enum ToBuyer {
    Buy(ProtocolRef, Box<Opening>),
    Crash,
    Prompt(Prompt),
}

impl Message for ToBuyer {}

impl From<Prompt> for ToBuyer {
    fn from(prompt: Prompt) -> Self {
        Self::Prompt(prompt)
    }
}

impl Agent for Buyer {
    type Message = ToBuyer;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, message: ToBuyer) -> Result<(), Failure> {
        match message {
            ToBuyer::Buy(protocol, opening) => protocol.open_in(turn, *opening),
            ToBuyer::Crash => panic!("told to"),
            ToBuyer::Prompt(Prompt::Asked(asked)) => {
                if let Some(decision) = ranked(&asked.question) {
                    asked.answer(turn, decision);
                }
            }
            ToBuyer::Prompt(Prompt::Ended { outcome, .. }) => {
                assert_eq!(outcome.end, End::Done);
                self.ended.fetch_add(1, Ordering::SeqCst);
            }
            ToBuyer::Prompt(Prompt::Told { .. }) => {}
        }
        Ok(())
    }
}

async fn buyer(world: &World) -> (AgentRef<ToBuyer>, ProtocolRef, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let spec = AgentSpec::new("buyer", move || Buyer {
        ended: count.clone(),
    })
    .expect("a name");
    let buyer = world.test.spawn(spec).await.expect("it starts");
    let spec = ProtocolSpec::for_sibling::<ToBuyer>("buyer", "buyer", &world.book).expect("names");
    let protocol = world
        .test
        .spawn(spec.agent_spec())
        .await
        .expect("it starts");
    let protocol = ProtocolRef::of(&protocol.any()).expect("a protocol actor");
    (buyer, protocol, ended)
}

#[tokio::test(start_paused = true)]
async fn an_agent_opens_a_conversation_in_its_turn_and_is_told_how_it_ended() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(1)).await;
    let (buyer, protocol, ended) = buyer(&world).await;
    let opening = world.opening(&["a"]);
    buyer
        .send(ToBuyer::Buy(protocol, Box::new(opening)))
        .await
        .expect("it is taken");
    world.until("buyer", "ended").await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_initiators_agent_crashes_those_that_bid_are_told() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(1)).await;
    world
        .worker("b", Manners::bidding(1).on_bid(Act::Wait))
        .await;
    let (buyer, protocol, _) = buyer(&world).await;
    let opening = world.opening(&["a", "b"]);
    buyer
        .send(ToBuyer::Buy(protocol, Box::new(opening)))
        .await
        .expect("it is taken");
    world.until("a", "proposed").await;
    let before = tokio::time::Instant::now();
    buyer.send(ToBuyer::Crash).await.expect("it is taken");
    let view = world.until("a", "ended").await;
    assert_eq!(view.outcome, Some(End::Rejected));
    assert!(before.elapsed() < AT_ONCE);
    let view = world.until("buyer", "ended").await;
    assert_eq!(view.outcome, Some(End::Abandoned));
}

/// An agent that speaks ACL itself, without a protocol actor.
struct Plain {
    seen: Arc<AtomicUsize>,
}

impl Agent for Plain {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        // The initiator's record holds the same value.
        self.seen
            .store(Arc::strong_count(&message), Ordering::SeqCst);
        assert!(message.text() != Some("crash"), "told to");
        turn.answer(message.reply(Performative::Inform));
        Ok(())
    }
}

async fn plain(world: &World) -> Arc<AtomicUsize> {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let spec = AgentSpec::new("plain", move || Plain {
        seen: count.clone(),
    })
    .expect("a name")
    .registered("plain".parse().expect("a name"));
    world.test.spawn(spec).await.expect("it starts");
    seen
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_a_protocol_actor_takes_part_and_gets_the_very_value_that_was_sent() {
    let world = World::new().await;
    let seen = plain(&world).await;
    let mut opening = world.opening(&["plain"]);
    opening.rules = Rules::Request;
    assert_eq!(world.run(opening, cheapest()).await.end, End::Done);
    assert!(
        seen.load(Ordering::SeqCst) >= 2,
        "shared with the sender's record, not copied"
    );
}

#[tokio::test(start_paused = true)]
async fn the_crash_of_an_agent_without_a_protocol_actor_is_known_at_once() {
    let world = World::new().await;
    plain(&world).await;
    let mut opening = world.opening(&["plain"]);
    opening.rules = Rules::Request;
    opening.about = About::text("crash");
    let before = tokio::time::Instant::now();
    let outcome = world.run(opening, cheapest()).await;
    assert_eq!(end_of(&outcome, "plain"), End::Down);
    assert!(before.elapsed() < AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_is_nowhere_has_failed_at_once() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(1)).await;
    let before = tokio::time::Instant::now();
    let mut opening = world.opening(&["a", "nobody"]);
    opening
        .participants
        .push(swarm_protocols::Aid::named("a@elsewhere"));
    let outcome = world.run(opening, cheapest()).await;
    assert_eq!(end_of(&outcome, "nobody"), End::Failed);
    assert_eq!(outcome.parts[2].end, End::Failed);
    assert_eq!(end_of(&outcome, "a"), End::Done);
    assert!(before.elapsed() < AT_ONCE);
}

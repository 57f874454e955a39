//! Whoever dies, nobody waits for a deadline.

use crate::kit::*;
use swarm_actors::conversation::*;
use swarm_protocols::interaction::*;

#[tokio::test(start_paused = true)]
async fn a_bidder_that_crashes_while_it_bids_has_failed_at_once() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(30)).await;
    world
        .worker("b", Manners::bidding(10).on_bid(Act::Panic))
        .await;
    let before = tokio::time::Instant::now();
    let outcome = world.contract(&["a", "b"]).await;
    assert_eq!(end_of(&outcome, "b"), End::Failed);
    assert_eq!(end_of(&outcome, "a"), End::Done);
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_bidder_that_crashed_before_it_was_called_is_called_in_its_next_life() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(30)).await;
    world.at("/a").kill();
    let outcome = world.contract(&["a"]).await;
    assert_eq!(end_of(&outcome, "a"), End::Done);
}

#[tokio::test(start_paused = true)]
async fn a_bidder_that_crashes_after_its_bid_is_not_awarded() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(10)).await;
    let gate = world
        .worker("b", Manners::bidding(30).on_bid(Act::Wait))
        .await;
    let contract = world.contract(&["a", "b"]);
    let crash = async {
        world.until("a", "proposed").await;
        world.at("/a").kill();
        world.until("a", "ended").await;
        gate.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(contract, crash);
    assert_eq!(end_of(&outcome, "a"), End::Failed);
    assert_eq!(end_of(&outcome, "b"), End::Done);
}

#[tokio::test(start_paused = true)]
async fn one_that_crashes_between_acceptance_and_result_has_failed_at_once() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_perform(Act::Panic))
        .await;
    world.worker("b", Manners::bidding(30)).await;
    let before = tokio::time::Instant::now();
    let outcome = world.contract(&["a", "b"]).await;
    assert_eq!(end_of(&outcome, "a"), End::Failed);
    assert_eq!(end_of(&outcome, "b"), End::Rejected);
    assert!(before.elapsed() < AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn the_next_best_bidder_takes_the_place_of_one_that_crashes() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_perform(Act::Panic))
        .await;
    world
        .worker("b", Manners::bidding(20).on_perform(Act::Panic))
        .await;
    world.worker("c", Manners::bidding(30)).await;
    world.worker("d", Manners::bidding(40)).await;
    let before = tokio::time::Instant::now();
    let opening = world.opening(&["a", "b", "c", "d"]);
    let outcome = world.run(opening, with_reserve()).await;
    assert_eq!(end_of(&outcome, "a"), End::Failed);
    assert_eq!(end_of(&outcome, "b"), End::Failed);
    assert_eq!(end_of(&outcome, "c"), End::Done);
    assert_eq!(end_of(&outcome, "d"), End::Rejected);
    assert!(before.elapsed() < AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_is_stopped_for_good_is_down_at_once() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_perform(Act::Wait))
        .await;
    let contract = world.contract(&["a"]);
    let stop = async {
        world.until("a", "performing").await;
        let before = tokio::time::Instant::now();
        let path = "/a.protocol".parse().expect("a path");
        world.test.stop(&path).await.expect("it stops");
        before
    };
    let (outcome, before) = tokio::join!(contract, stop);
    assert_eq!(end_of(&outcome, "a"), End::Down);
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_stopped_for_good_fails_its_part_at_once() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let contract = world.contract(&["a"]);
    let stop = async {
        world.until("a", "bidding").await;
        let before = tokio::time::Instant::now();
        world.at("/a").kill();
        before
    };
    let (outcome, before) = tokio::join!(contract, stop);
    assert_eq!(end_of(&outcome, "a"), End::Failed);
    assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_protocol_actor_of_a_participant_goes_on_from_its_records() {
    let world = World::new().await;
    let gate = world
        .worker("a", Manners::bidding(10).on_perform(Act::Wait))
        .await;
    let contract = world.contract(&["a"]);
    let crash = async {
        world.until("a", "performing").await;
        world.at("/a.protocol").kill();
        gate.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(contract, crash);
    assert_eq!(end_of(&outcome, "a"), End::Done);
    assert_eq!(world.at("/a.protocol").incarnation().0, 2);
}

#[tokio::test(start_paused = true)]
async fn the_protocol_actor_of_the_initiator_goes_on_from_its_records() {
    let world = World::new().await;
    let bid = world
        .worker("a", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let contract = world.contract(&["a"]);
    let crash = async {
        world.until("a", "bidding").await;
        world.at("/caller").kill();
        bid.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(contract, crash);
    assert_eq!(end_of(&outcome, "a"), End::Done);
    assert_eq!(world.at("/caller").incarnation().0, 2);
}

#[tokio::test(start_paused = true)]
async fn deadlines_go_on_in_the_next_life_of_a_protocol_actor() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let before = tokio::time::Instant::now();
    let mut opening = world.opening(&["a"]);
    opening.reply_within = Some(10 * SECOND);
    let contract = world.run(opening, cheapest());
    let crash = async {
        world.until("a", "bidding").await;
        world.at("/caller").kill();
    };
    let (outcome, ()) = tokio::join!(contract, crash);
    assert_eq!(end_of(&outcome, "a"), End::TimedOut);
    assert!(before.elapsed() < 11 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_death_is_known_in_the_next_life_of_the_initiators_protocol_actor_too() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let contract = world.contract(&["a"]);
    let crash = async {
        world.until("a", "bidding").await;
        world.at("/caller").kill();
        while world.at("/caller").incarnation().0 < 2 || !world.at("/caller").is_alive() {
            tokio::task::yield_now().await;
        }
        let before = tokio::time::Instant::now();
        let path = "/a.protocol".parse().expect("a path");
        world.test.stop(&path).await.expect("it stops");
        before
    };
    let (outcome, before) = tokio::join!(contract, crash);
    assert_eq!(end_of(&outcome, "a"), End::Down);
    assert!(before.elapsed() < AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn both_protocol_actors_and_the_agent_may_crash_at_any_moment_and_the_initiator_gets_an_outcome()
 {
    for moment in 0..40u32 {
        let world = World::new().await;
        for name in ["a", "b", "c"] {
            world.worker(name, Manners::bidding(10)).await;
        }
        let contract = world.contract(&["a", "b", "c"]);
        let crash = async {
            for _ in 0..moment {
                tokio::task::yield_now().await;
            }
            let who = ["/caller", "/a.protocol", "/a", "/b.protocol"][moment as usize % 4];
            world.at(who).kill();
        };
        let (outcome, ()) = tokio::join!(contract, crash);
        assert!(
            outcome.parts.iter().all(|part| part.end != End::TimedOut),
            "nobody is waited for in vain: moment {moment}, {outcome:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_crashes_ends_with_failure_to_all_sides_and_harms_no_other() {
    let world = World::new().await;
    let gate = world
        .worker("a", Manners::bidding(10).on_perform(Act::Wait))
        .await;
    world.worker("b", Manners::bidding(10)).await;
    let before = tokio::time::Instant::now();
    let contract = world.contract(&["a"]);
    let crash = async {
        let view = world.until("a", "performing").await;
        let other = world.contract(&["b"]).await;
        assert!(world.book.inject_crash(&view.id));
        gate.add_permits(1);
        other
    };
    let (outcome, other) = tokio::join!(contract, crash);
    assert_eq!(other.end, End::Done);
    assert_eq!(
        outcome.end,
        End::Abandoned,
        "the initiator's record crashed too"
    );
    assert_eq!(
        world.until("a", "ended").await.outcome,
        Some(End::Abandoned)
    );
    assert_eq!(world.book.counts().crashed, 2);
    assert_eq!(world.at("/a.protocol").incarnation().0, 1);
    assert!(before.elapsed() < SECOND);
    assert_eq!(world.contract(&["b"]).await.end, End::Done);
}

#[tokio::test(start_paused = true)]
async fn answers_that_panic_cancel_their_conversation() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(10)).await;
    let outcome = world
        .run(
            world.opening(&["a"]),
            std::sync::Arc::new(|_| panic!("told to")),
        )
        .await;
    assert_eq!(outcome.end, End::Rejected);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_keeps_its_state_goes_on_after_its_crash() {
    let world = World::new().await;
    let manners = Manners::bidding(10);
    let spec = swarm_actors::AgentSpec::new("a", move || Speaker::new(Worker(manners.clone())))
        .expect("a name");
    world.test.spawn(spec).await.expect("it starts");
    let spec = ProtocolSpec::for_sibling::<Prompt>("a", "a", &world.book)
        .expect("names")
        .on_agent_crash(OnAgentCrash::Continue);
    world
        .test
        .spawn(spec.agent_spec())
        .await
        .expect("it starts");
    world
        .worker("b", Manners::bidding(30).on_bid(Act::Wait))
        .await;
    let mut opening = world.opening(&["a", "b"]);
    opening.reply_within = Some(SECOND);
    let contract = world.run(opening, cheapest());
    let crash = async {
        world.until("a", "proposed").await;
        world.at("/a").kill();
    };
    let (outcome, ()) = tokio::join!(contract, crash);
    assert_eq!(end_of(&outcome, "a"), End::Done);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_conversation_learns_when_its_actor_is_stopped() {
    let world = World::new().await;
    world
        .worker("a", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let opening = world.opening(&["a"]);
    let waiting = world.caller.run(opening, Vec::new(), cheapest(), MINUTE);
    let stop = async {
        world.until("a", "bidding").await;
        let before = tokio::time::Instant::now();
        let path = "/caller".parse().expect("a path");
        world.test.stop(&path).await.expect("it stops");
        before
    };
    let (ended, before) = tokio::join!(waiting, stop);
    assert_eq!(
        ended,
        Err(RunError::NoAnswer(swarm_actors::AskError::NoProc))
    );
    assert!(before.elapsed() < AT_ONCE);
    assert_eq!(world.until("a", "ended").await.outcome, Some(End::Down));
}

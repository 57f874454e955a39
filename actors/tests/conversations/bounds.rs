//! What is too much is refused.

use crate::kit::*;
use swarm_actors::conversation::*;
use swarm_protocols::interaction::*;

#[tokio::test(start_paused = true)]
async fn an_agent_with_as_many_conversations_as_it_may_have_refuses_the_next() {
    let world = World::with(ConversationLimits {
        open_per_agent: 2,
        ..ConversationLimits::default()
    })
    .await;
    world
        .worker("a", Manners::bidding(10).on_bid(Act::Wait))
        .await;
    let first = world.contract(&["a"]);
    let second = world.contract(&["a"]);
    let third = async {
        while world.book.counts().open < 4 {
            tokio::task::yield_now().await;
        }
        let third = world
            .caller
            .run(world.opening(&["a"]), Vec::new(), cheapest(), MINUTE)
            .await;
        assert_eq!(
            third,
            Err(RunError::NotOpened(OpenError::TooManyOfAgent(2)))
        );
        // Somebody else's call is refused by the participant.
        let spec = ProtocolSpec::alone("other", &world.book)
            .expect("a name")
            .agent_spec();
        let other = world.test.spawn(spec).await.expect("it starts");
        let other = ProtocolRef::of(&other.any()).expect("a protocol actor");
        let outcome = other
            .run(world.opening(&["a"]), Vec::new(), cheapest(), MINUTE)
            .await
            .expect("it ends");
        assert_eq!(outcome.end, End::Refused);
        world.at("/a").kill();
    };
    tokio::join!(first, second, third);
    assert_eq!(world.book.counts().refused, 2);
    assert_eq!(world.book.counts().open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_as_many_conversations_as_it_may_have_opens_no_more() {
    let world = World::with(ConversationLimits {
        open_per_node: 1,
        ..ConversationLimits::default()
    })
    .await;
    world.worker("a", Manners::bidding(10)).await;
    // The initiator's side takes the only place: the participant's is refused.
    let outcome = world.contract(&["a"]).await;
    assert_eq!(outcome.end, End::Refused);
    assert_eq!(world.book.counts().open, 0);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_stopped_refuses_for_good() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(10)).await;
    let path = "/a".parse().expect("a path");
    world.test.stop(&path).await.expect("it stops");
    assert_eq!(world.contract(&["a"]).await.end, End::Refused);
    world.test.restart(&path).await.expect("it starts");
    assert_eq!(world.contract(&["a"]).await.end, End::Done);
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_an_agent_refuses_what_others_open() {
    let world = World::new().await;
    let spec = ProtocolSpec::alone("other", &world.book)
        .expect("a name")
        .agent_spec();
    world.test.spawn(spec).await.expect("it starts");
    assert_eq!(world.contract(&["other"]).await.end, End::Refused);
}

#[tokio::test(start_paused = true)]
async fn conversations_that_have_ended_are_kept_up_to_a_number() {
    let world = World::with(ConversationLimits {
        ended_per_agent: 3,
        ..ConversationLimits::default()
    })
    .await;
    world.worker("a", Manners::bidding(10)).await;
    for _ in 0..10 {
        assert_eq!(world.contract(&["a"]).await.end, End::Done);
    }
    assert_eq!(world.book.list().len(), 6, "three on each side");
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_contradicts_itself_or_its_agent_is_refused() {
    let world = World::new().await;
    let run = |opening| world.caller.run(opening, Vec::new(), cheapest(), MINUTE);
    assert!(matches!(
        run(world.opening(&[])).await,
        Err(RunError::NotOpened(OpenError::Opening(_)))
    ));
    assert_eq!(
        run(world.opening(&["caller"])).await,
        Err(RunError::NotOpened(OpenError::WithItself))
    );
    world.worker("a", Manners::bidding(10)).await;
    let mut named = world.opening(&["a"]);
    named.id = "mine".into();
    assert!(run(named.clone()).await.is_ok());
    assert_eq!(
        run(named).await,
        Err(RunError::NotOpened(OpenError::Known("mine".into())))
    );
}

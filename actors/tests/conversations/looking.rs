//! Every conversation leaves a record that can be looked at.

use crate::kit::*;
use std::time::Duration;
use swarm_actors::conversation::*;
use swarm_protocols::Performative;
use swarm_protocols::interaction::*;

#[tokio::test(start_paused = true)]
async fn a_conversation_can_be_looked_at_while_it_runs_from_both_sides() {
    let world = World::new().await;
    let gate = world
        .worker("a", Manners::bidding(10).on_perform(Act::Wait))
        .await;
    let contract = world.contract(&["a"]);
    let look = async {
        let view = world.until("a", "performing").await;
        let both = world.book.get(&view.id);
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].role, Role::Initiator);
        assert_eq!(both[0].state, "wait-result");
        assert_eq!(both[0].parties[0].name, "a@test");
        assert_eq!(both[0].parties[0].state, "wait-result");
        assert!(both[0].expires_ms.is_some());
        let acts: Vec<_> = both[0].messages.iter().map(|m| m.act).collect();
        assert_eq!(
            acts,
            vec![
                Performative::Cfp,
                Performative::Propose,
                Performative::AcceptProposal
            ]
        );
        assert_eq!(both[0].messages[1].content, "10");
        gate.add_permits(1);
        view.id
    };
    let (_, id) = tokio::join!(contract, look);
    let both = world.book.get(&id);
    assert_eq!(both[0].outcome, Some(End::Done));
    assert!(both[0].ended_ms >= Some(both[0].opened_ms));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_kept_for_the_time_that_was_set_and_then_it_is_gone() {
    let world = World::with(ConversationLimits {
        kept_for: 2 * MINUTE,
        ..ConversationLimits::default()
    })
    .await;
    world.worker("a", Manners::bidding(10)).await;
    world.contract(&["a"]).await;
    tokio::time::sleep(2 * MINUTE - SECOND).await;
    assert_eq!(world.book.list().len(), 2);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(world.book.list().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_many_messages_the_first_and_the_latest_are_kept() {
    let world = World::with(ConversationLimits {
        messages: 4,
        ..ConversationLimits::default()
    })
    .await;
    for name in ["a", "b", "c"] {
        world.worker(name, Manners::bidding(10)).await;
    }
    world.contract(&["a", "b", "c"]).await;
    let view = &world.book.get(&world.book.list()[2].id)[0];
    assert_eq!(view.role, Role::Initiator);
    assert_eq!(view.messages.len(), 4);
    assert_eq!(view.messages[0].act, Performative::Cfp);
    assert_eq!(view.messages[3].act, Performative::Inform);
    assert_eq!(view.messages_left_out, 6);
}

#[tokio::test(start_paused = true)]
async fn conversations_can_be_followed() {
    let world = World::new().await;
    world.worker("a", Manners::bidding(10)).await;
    let mut followed = world.book.follow();
    world.contract(&["a"]).await;
    let mut seen = Vec::new();
    while let Ok(Ok(step)) = tokio::time::timeout(Duration::from_millis(1), followed.recv()).await {
        if !step.message.is_received {
            seen.push((step.agent.to_string(), step.message.act));
        }
    }
    assert_eq!(
        seen,
        vec![
            ("/caller".to_owned(), Performative::Cfp),
            ("/a.protocol".to_owned(), Performative::Propose),
            ("/caller".to_owned(), Performative::AcceptProposal),
            ("/a.protocol".to_owned(), Performative::Inform),
        ]
    );
}

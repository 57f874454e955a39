//! fipa.md d.10 subscribe.

use crate::kit::*;
use swarm_protocols::Performative as Say;
use swarm_protocols::interaction::*;

fn subscribing() -> Side {
    initiator(Rules::Subscribe, &["b"])
}

#[test]
fn d10_i_wait_response_ends_with_refuse_or_not_understood() {
    for (act, end) in [
        (Say::Refuse, End::Refused),
        (Say::NotUnderstood, End::NotUnderstood),
    ] {
        let mut side = subscribing();
        let subscribe = side.sent_to("b");
        assert_eq!(subscribe.performative, Say::Subscribe);
        side.hears_from("b", &subscribe, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d10_i_wait_response_is_active_with_agree_or_the_first_value_and_ends_with_failure() {
    let mut side = subscribing();
    let subscribe = side.sent_to("b");
    side.hears_from("b", &subscribe, Say::Agree);
    assert_eq!(side.c.state(), "active");

    let mut side = subscribing();
    side.hears_from("b", &subscribe, Say::Inform);
    assert_eq!(side.c.state(), "active");
    assert_eq!(side.news().len(), 1);

    let mut side = subscribing();
    side.hears_from("b", &subscribe, Say::Failure);
    assert_eq!(side.end(), Some(End::Failed));
}

#[test]
fn d10_i_active_takes_any_number_of_values_without_a_deadline() {
    let mut side = subscribing();
    let subscribe = side.sent_to("b");
    side.hears_from("b", &subscribe, Say::Agree);
    for n in 1..10 {
        side.waits_until(n * 100_000)
            .hears_from("b", &subscribe, Say::Inform);
        assert_eq!(side.news().len(), 1);
        assert_eq!(side.c.state(), "active");
    }
}

#[test]
fn d10_i_active_ends_with_failure() {
    let mut side = subscribing();
    let subscribe = side.sent_to("b");
    side.hears_from("b", &subscribe, Say::Agree)
        .hears_from("b", &subscribe, Say::Failure);
    assert_eq!(side.end(), Some(End::Failed));
}

#[test]
fn d10_i_cancel_takes_values_that_cross_it_and_inform_ends_it() {
    let mut side = subscribing();
    let subscribe = side.sent_to("b");
    side.hears_from("b", &subscribe, Say::Agree)
        .decides(Decision::Cancel);
    let cancel = side.sent_to("b");
    side.hears_from("b", &subscribe, Say::Inform);
    assert_eq!(side.news().len(), 1);
    assert_eq!(side.end(), None);
    side.hears_from("b", &cancel, Say::Inform);
    assert_eq!(side.end(), Some(End::Cancelled));
}

#[test]
fn d10_i_a_cancel_that_fails_leaves_it_active() {
    let mut side = subscribing();
    let subscribe = side.sent_to("b");
    side.hears_from("b", &subscribe, Say::Agree)
        .decides(Decision::Cancel);
    let cancel = side.sent_to("b");
    side.hears_from("b", &cancel, Say::Failure);
    assert_eq!(side.c.state(), "active");
    assert_eq!(side.waits_until(1_000_000).end(), None);
}

#[test]
fn d10_p_start_refuses_does_not_understand_agrees_or_tells_the_value() {
    for (decision, act, state) in [
        (Decision::Refuse(Vec::new()), Say::Refuse, "ended"),
        (
            Decision::NotUnderstood(Vec::new()),
            Say::NotUnderstood,
            "ended",
        ),
        (Decision::Agree(Vec::new()), Say::Agree, "active"),
        (Decision::Notify(words("1")), Say::Inform, "active"),
    ] {
        let mut side = participant(Protocol::Subscribe, Say::Subscribe);
        side.decides(decision);
        assert_eq!(side.said(), vec![act]);
        assert_eq!(side.c.state(), state);
    }
}

#[test]
fn d10_p_active_every_value_answers_the_subscribe() {
    let mut side = participant(Protocol::Subscribe, Say::Subscribe);
    side.decides(Decision::Agree(Vec::new()));
    for _ in 0..3 {
        side.decides(Decision::Notify(words("1")));
        assert_eq!(side.sent_to("i").in_reply_to.as_deref(), Some("i1"));
    }
    side.decides(Decision::Failed(words("gone")));
    assert_eq!(side.said(), vec![Say::Failure]);
    assert_eq!(side.end(), Some(End::Failed));
}

#[test]
fn d10_p_active_cancel_is_found_by_conversation_id_alone_even_as_jade_sends_it() {
    let mut side = participant(Protocol::Subscribe, Say::Subscribe);
    side.decides(Decision::Agree(Vec::new()));
    // JADE's cancel repeats the reply-with of the subscribe; the act tells it from a duplicate.
    side.hears(act_of(Say::Cancel, Some("i1"), None));
    assert!(matches!(side.asked(), Some(Question::Stop(_))));
    side.decides(Decision::Stopped(Vec::new()));
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Cancelled));
}

#[test]
fn d10_p_active_may_fail_to_cancel() {
    let mut side = participant(Protocol::Subscribe, Say::Subscribe);
    side.decides(Decision::Agree(Vec::new()))
        .told(Say::Cancel)
        .decides(Decision::GoOn(Vec::new()));
    assert_eq!(side.said(), vec![Say::Failure]);
    assert_eq!(side.c.state(), "active");
}

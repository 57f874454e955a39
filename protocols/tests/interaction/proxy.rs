//! fipa.md d.8 brokering, d.9 recruiting.

use crate::kit::*;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, ExitReason, Performative as Say};

#[test]
fn d8_i_start_says_proxy_and_ends_with_refuse_or_not_understood() {
    for rules in [Rules::Brokering, Rules::Recruiting] {
        for (act, end) in [
            (Say::Refuse, End::Refused),
            (Say::NotUnderstood, End::NotUnderstood),
        ] {
            let mut side = initiator(rules.clone(), &["b"]);
            let proxy = side.sent_to("b");
            assert_eq!(proxy.performative, Say::Proxy);
            side.hears_from("b", &proxy, act);
            assert_eq!(side.end(), Some(end));
        }
    }
}

fn agreed(rules: Rules) -> (Side, AclMessage) {
    let mut side = initiator(rules, &["b"]);
    let proxy = side.sent_to("b");
    side.hears_from("b", &proxy, Say::Agree);
    assert_eq!(side.c.state(), "wait-proxy");
    (side, (*proxy).clone())
}

#[test]
fn d8_i_wait_proxy_ends_with_failure_no_match_or_proxy_failed() {
    for rules in [Rules::Brokering, Rules::Recruiting] {
        let (mut side, proxy) = agreed(rules);
        side.hears_from("b", &proxy, Say::Failure);
        assert_eq!(side.end(), Some(End::Failed));
    }
}

#[test]
fn d8_i_hears_each_targets_answer_and_ends_with_the_brokers_inform() {
    let (mut side, proxy) = agreed(Rules::Brokering);
    for n in 0..2 {
        let mut answer = proxy.reply(Say::Inform);
        answer.sender = Some(aid("b"));
        answer.reply_with = Some(format!("p1{n}").into());
        answer.user_parameters = swarm_protocols::thin_vec![("X-Target".into(), format!("t{n}@p"))];
        side.hears(answer);
        assert_eq!(side.news().len(), 1);
        assert_eq!(side.c.state(), "wait-replies");
    }
    side.hears_from("b", &proxy, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d8_i_wait_replies_ends_with_failure_of_the_brokering() {
    let (mut side, proxy) = agreed(Rules::Brokering);
    side.hears_from("b", &proxy, Say::Failure);
    assert_eq!(side.end(), Some(End::Failed));
}

#[test]
fn d9_i_is_answered_by_the_targets_themselves_in_conversations_of_their_own() {
    let (mut side, proxy) = agreed(Rules::Recruiting);
    let mut done = proxy.reply(Say::Inform);
    done.sender = Some(aid("b"));
    done.reply_with = Some("p9".into());
    done.user_parameters = swarm_protocols::thin_vec![("X-Targets".into(), "2".into())];
    side.hears(done);
    assert_eq!(side.c.state(), "wait-replies");
    for n in 0..2 {
        let mut answer = act_of(Say::Inform, Some("x"), Some("y"));
        answer.sender = Some(aid(&format!("t{n}")));
        answer.conversation_id = Some(format!("c1/{n}").into());
        side.hears(answer);
        assert_eq!(side.news().len(), 1);
    }
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d9_i_answers_that_overtake_the_recruiters_inform_count() {
    let (mut side, proxy) = agreed(Rules::Recruiting);
    let mut answer = act_of(Say::Inform, Some("x"), Some("y"));
    answer.sender = Some(aid("t0"));
    answer.conversation_id = Some("c1/0".into());
    side.hears(answer);
    side.hears_from("b", &proxy, Say::Inform);
    assert_eq!(side.end(), Some(End::Done), "one target, without a number");
}

fn broker(protocol: Protocol) -> Side {
    participant(protocol, Say::Proxy)
}

fn forward(targets: &[&str]) -> Decision {
    Decision::Forward {
        targets: targets.iter().map(|name| aid(name)).collect(),
        message: Box::new(AclMessage {
            protocol: Some("fipa-request".into()),
            content: Some(b"do".to_vec()),
            ..AclMessage::new(Say::Request)
        }),
    }
}

#[test]
fn d8_broker_start_refuses_does_not_understand_or_agrees_and_searches() {
    for protocol in [Protocol::Brokering, Protocol::Recruiting] {
        for (decision, act, state) in [
            (Decision::Refuse(Vec::new()), Say::Refuse, "ended"),
            (
                Decision::NotUnderstood(Vec::new()),
                Say::NotUnderstood,
                "ended",
            ),
            (Decision::Agree(Vec::new()), Say::Agree, "searching"),
        ] {
            let mut side = broker(protocol);
            side.decides(decision);
            assert_eq!(side.said(), vec![act]);
            assert_eq!(side.c.state(), state);
        }
    }
}

#[test]
fn d8_broker_searching_without_a_match_fails() {
    let mut side = broker(Protocol::Brokering);
    side.decides(Decision::Agree(Vec::new()))
        .decides(forward(&[]));
    assert_eq!(side.said(), vec![Say::Failure]);
    assert_eq!(side.sent_to("i").text(), Some("(no-match)"));
    assert_eq!(side.end(), Some(End::Failed));
}

#[test]
fn d8_broker_asks_each_target_in_a_conversation_of_its_own_and_relays_every_answer() {
    let mut side = broker(Protocol::Brokering);
    side.decides(Decision::Agree(Vec::new()))
        .decides(forward(&["t", "u"]));
    let (t, u) = (side.sent_to("t"), side.sent_to("u"));
    assert_eq!(t.conversation_id.as_deref(), Some("c1/0"));
    assert_eq!(u.conversation_id.as_deref(), Some("c1/1"));
    assert_eq!(t.sender, Some(aid("b")));
    assert!(t.reply_to.is_empty(), "answers go to the broker");
    assert_eq!(side.c.state(), "relaying");

    side.hears_from("t", &t, Say::Agree);
    side.hears_from("t", &t, Say::Inform);
    let relayed = side.sent_to("i");
    assert_eq!(relayed.conversation_id.as_deref(), Some("c1"));
    assert_eq!(relayed.in_reply_to.as_deref(), Some("i1"));
    assert_eq!(relayed.user_parameter("X-Target"), Some("t@p"));
    side.hears_from("u", &u, Say::Refuse);
    assert_eq!(side.said(), vec![Say::Refuse, Say::Inform]);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d8_broker_a_target_that_dies_is_relayed_as_a_failure() {
    let mut side = broker(Protocol::Brokering);
    side.decides(forward(&["t"]));
    side.on(Event::ParticipantDown {
        participant: aid("t"),
        reason: ExitReason::Killed,
    });
    assert_eq!(side.said(), vec![Say::Failure, Say::Inform]);
}

#[test]
fn d8_broker_only_a_target_may_answer_for_itself() {
    let mut side = broker(Protocol::Brokering);
    side.decides(forward(&["t"]));
    let t = side.sent_to("t");
    side.hears_from("eve", &t, Say::Inform);
    assert_eq!(side.notices(), vec![Notice::Stranger]);
    assert_eq!(side.c.state(), "relaying");
}

#[test]
fn d9_recruiter_has_the_targets_answer_the_initiator_and_says_how_many() {
    let mut side = broker(Protocol::Recruiting);
    side.decides(Decision::Agree(Vec::new()))
        .decides(forward(&["t", "u"]));
    assert_eq!(side.sent_to("t").reply_to, vec![aid("i")]);
    let done = side.sent_to("i");
    assert_eq!(done.performative, Say::Inform);
    assert_eq!(done.user_parameter("X-Targets"), Some("2"));
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d9_recruiter_sends_answers_to_a_designated_receiver() {
    let mut side = participant_of(Protocol::Recruiting, Say::Proxy, |call| {
        call.reply_to = swarm_protocols::thin_vec![aid("desk")];
    });
    side.decides(forward(&["t"]));
    assert_eq!(side.sent_to("t").reply_to, vec![aid("desk")]);
}

#[test]
fn d9_recruiter_without_a_match_fails() {
    let mut side = broker(Protocol::Recruiting);
    side.decides(forward(&[]));
    assert_eq!(side.said(), vec![Say::Agree, Say::Failure]);
}

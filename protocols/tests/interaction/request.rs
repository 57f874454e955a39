//! fipa.md d.1 request, d.2 query, d.3 request-when, d.11 propose.

use crate::kit::*;
use swarm_protocols::Performative as Say;
use swarm_protocols::interaction::*;

/// A request that has got this far.
fn asking() -> Side {
    initiator(Rules::Request, &["b"])
}

#[test]
fn d1_i_start_says_request_with_reply_by_and_waits_for_a_response() {
    let side = asking();
    let request = side.sent_to("b");
    assert_eq!(request.performative, Say::Request);
    assert_eq!(request.protocol.as_deref(), Some("fipa-request"));
    assert_eq!(request.conversation_id.as_deref(), Some("c1"));
    assert_eq!(request.reply_by, Some(at(100)));
    assert!(request.reply_with.is_some());
    assert_eq!(side.c.state(), "wait-response");
}

#[test]
fn d1_i_wait_response_ends_with_refuse_or_not_understood() {
    for (act, end) in [
        (Say::Refuse, End::Refused),
        (Say::NotUnderstood, End::NotUnderstood),
    ] {
        let mut side = asking();
        let request = side.sent_to("b");
        side.hears_from("b", &request, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d1_i_wait_response_goes_on_to_wait_for_the_result_with_agree() {
    let mut side = asking();
    let request = side.sent_to("b");
    side.hears_from("b", &request, Say::Agree);
    assert_eq!(side.c.state(), "wait-result");
    assert_eq!(side.end(), None);
}

#[test]
fn d1_i_wait_response_ends_with_inform_or_failure_when_agree_is_skipped() {
    for (act, end) in [(Say::Inform, End::Done), (Say::Failure, End::Failed)] {
        let mut side = asking();
        let request = side.sent_to("b");
        side.hears_from("b", &request, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d1_i_wait_response_times_out_at_reply_by_and_a_late_answer_changes_nothing() {
    let mut side = asking();
    let request = side.sent_to("b");
    assert_eq!(side.waits_until(99).end(), None);
    assert_eq!(side.waits_until(100).end(), Some(End::TimedOut));
    side.hears_from("b", &request, Say::Inform);
    assert_eq!(side.notices(), vec![Notice::Late]);
    assert_eq!(side.end(), Some(End::TimedOut));
}

#[test]
fn d1_i_wait_result_ends_with_inform_or_failure() {
    for (act, end) in [(Say::Inform, End::Done), (Say::Failure, End::Failed)] {
        let mut side = asking();
        let request = side.sent_to("b");
        side.hears_from("b", &request, Say::Agree)
            .hears_from("b", &request, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d1_i_reply_by_does_not_bound_the_result_of_one_that_agreed() {
    let mut side = asking();
    let request = side.sent_to("b");
    side.hears_from("b", &request, Say::Agree).waits_until(500);
    assert_eq!(side.end(), None);
    assert_eq!(side.waits_until(1_000).end(), Some(End::TimedOut));
}

#[test]
fn d1_i_any_open_state_may_cancel_and_inform_ends_it() {
    for has_agreed in [false, true] {
        let mut side = asking();
        let request = side.sent_to("b");
        if has_agreed {
            side.hears_from("b", &request, Say::Agree);
        }
        side.decides(Decision::Cancel);
        let cancel = side.sent_to("b");
        assert_eq!(cancel.performative, Say::Cancel);
        assert_eq!(side.c.state(), "cancelling");
        side.hears_from("b", &cancel, Say::Inform);
        assert_eq!(side.end(), Some(End::Cancelled));
    }
}

#[test]
fn d1_i_a_cancel_that_fails_goes_back_to_waiting_for_the_result() {
    let mut side = asking();
    let request = side.sent_to("b");
    side.hears_from("b", &request, Say::Agree)
        .decides(Decision::Cancel);
    let cancel = side.sent_to("b");
    side.hears_from("b", &cancel, Say::Failure);
    assert_eq!(side.c.state(), "wait-result");
    side.hears_from("b", &request, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d1_i_a_result_that_crosses_the_cancel_still_ends_it() {
    let mut side = asking();
    let request = side.sent_to("b");
    side.decides(Decision::Cancel)
        .hears_from("b", &request, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d1_i_a_cancel_that_nobody_answers_times_out() {
    let mut side = asking();
    let request = side.sent_to("b");
    side.hears_from("b", &request, Say::Agree)
        .decides(Decision::Cancel)
        .waits_until(1_000);
    assert_eq!(side.end(), Some(End::TimedOut));
}

fn asked() -> Side {
    participant(Protocol::Request, Say::Request)
}

#[test]
fn d1_p_start_puts_the_request_to_the_agent() {
    let side = asked();
    assert!(matches!(side.asked(), Some(Question::Decide(_))));
    assert_eq!(side.c.state(), "deciding");
    assert!(side.said().is_empty());
}

#[test]
fn d1_p_deciding_may_refuse_or_not_understand() {
    for (decision, act, end) in [
        (Decision::Refuse(words("no")), Say::Refuse, End::Refused),
        (
            Decision::NotUnderstood(words("what")),
            Say::NotUnderstood,
            End::NotUnderstood,
        ),
    ] {
        let mut side = asked();
        side.decides(decision);
        assert_eq!(side.said(), vec![act]);
        assert_eq!(side.sent_to("i").in_reply_to.as_deref(), Some("i1"));
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d1_p_deciding_may_agree_and_then_works() {
    let mut side = asked();
    side.decides(Decision::Agree(words("soon")));
    assert_eq!(side.said(), vec![Say::Agree]);
    assert_eq!(side.c.state(), "working");
}

#[test]
fn d1_p_deciding_or_working_ends_with_inform_or_failure() {
    for agrees in [false, true] {
        for (decision, act, end) in [
            (Decision::Done(words("so")), Say::Inform, End::Done),
            (Decision::Failed(words("so")), Say::Failure, End::Failed),
        ] {
            let mut side = asked();
            if agrees {
                side.decides(Decision::Agree(Vec::new()));
            }
            side.decides(decision);
            assert_eq!(side.said(), vec![act]);
            assert_eq!(side.end(), Some(end));
        }
    }
}

#[test]
fn d1_p_cancel_is_the_agents_to_answer_stopped_is_inform_and_go_on_is_failure() {
    let mut side = asked();
    side.decides(Decision::Agree(Vec::new())).told(Say::Cancel);
    assert!(matches!(side.asked(), Some(Question::Stop(_))));
    side.decides(Decision::GoOn(words("too late")));
    assert_eq!(side.said(), vec![Say::Failure]);
    assert_eq!(side.c.state(), "working");
    side.told(Say::Cancel)
        .decides(Decision::Stopped(words("stopped")));
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.sent_to("i").in_reply_to.as_deref(), Some("i3"));
    assert_eq!(side.end(), Some(End::Cancelled));
}

#[test]
fn d2_query_if_and_query_ref_are_answered_like_a_request() {
    for (rules, act) in [
        (Rules::QueryIf, Say::QueryIf),
        (Rules::QueryRef, Say::QueryRef),
    ] {
        let mut side = initiator(rules, &["b"]);
        let query = side.sent_to("b");
        assert_eq!(query.performative, act);
        assert_eq!(query.protocol.as_deref(), Some("fipa-query"));
        side.hears_from("b", &query, Say::Agree)
            .hears_from("b", &query, Say::Inform);
        assert_eq!(side.end(), Some(End::Done));
    }
}

#[test]
fn d2_the_participant_of_a_query_may_answer_without_agree() {
    for act in [Say::QueryIf, Say::QueryRef] {
        let mut side = participant(Protocol::Query, act);
        side.decides(Decision::Done(words("((p))")));
        assert_eq!(side.said(), vec![Say::Inform]);
    }
}

#[test]
fn d3_i_agree_is_mandatory_an_early_inform_is_out_of_sequence() {
    let mut side = initiator(Rules::RequestWhen, &["b"]);
    let request = side.sent_to("b");
    assert_eq!(request.performative, Say::RequestWhen);
    side.hears_from("b", &request, Say::Inform);
    assert_eq!(side.notices(), vec![Notice::OutOfSequence]);
    assert_eq!(side.said(), vec![Say::NotUnderstood]);
    side.hears_from("b", &request, Say::Agree);
    assert_eq!(side.c.state(), "wait-condition");
}

#[test]
fn d3_i_wait_response_ends_with_refuse_and_not_understood() {
    for (act, end) in [
        (Say::Refuse, End::Refused),
        (Say::NotUnderstood, End::NotUnderstood),
    ] {
        let mut side = initiator(Rules::RequestWhen, &["b"]);
        let request = side.sent_to("b");
        side.hears_from("b", &request, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d3_i_wait_condition_ends_with_inform_or_failure() {
    for (act, end) in [(Say::Inform, End::Done), (Say::Failure, End::Failed)] {
        let mut side = initiator(Rules::RequestWhen, &["b"]);
        let request = side.sent_to("b");
        side.hears_from("b", &request, Say::Agree)
            .hears_from("b", &request, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d3_p_refuses_or_agrees_and_is_armed_until_the_condition_holds() {
    let mut refusing = participant(Protocol::RequestWhen, Say::RequestWhen);
    refusing.decides(Decision::Refuse(Vec::new()));
    assert_eq!(refusing.end(), Some(End::Refused));

    let mut side = participant(Protocol::RequestWhen, Say::RequestWhen);
    side.decides(Decision::Done(Vec::new()));
    assert_eq!(side.notices(), vec![Notice::Misplaced("done")]);
    side.decides(Decision::Agree(Vec::new()));
    assert_eq!(side.c.state(), "armed");
    side.decides(Decision::Done(words("held")));
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d3_p_armed_answers_a_cancel_with_inform_or_failure() {
    let mut side = participant(Protocol::RequestWhen, Say::RequestWhen);
    side.decides(Decision::Agree(Vec::new()))
        .told(Say::Cancel)
        .decides(Decision::Stopped(Vec::new()));
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Cancelled));
}

#[test]
fn d11_i_ends_with_accept_reject_not_understood_or_at_reply_by() {
    for (act, end) in [
        (Say::AcceptProposal, End::Accepted),
        (Say::RejectProposal, End::Rejected),
        (Say::NotUnderstood, End::NotUnderstood),
    ] {
        let mut side = initiator(Rules::Propose, &["b"]);
        let proposal = side.sent_to("b");
        assert_eq!(proposal.performative, Say::Propose);
        side.hears_from("b", &proposal, act);
        assert_eq!(side.end(), Some(end));
    }
    let mut side = initiator(Rules::Propose, &["b"]);
    assert_eq!(side.waits_until(100).end(), Some(End::TimedOut));
}

#[test]
fn d11_p_accepts_rejects_or_does_not_understand() {
    for (decision, act, end) in [
        (
            Decision::Accept(Vec::new()),
            Say::AcceptProposal,
            End::Accepted,
        ),
        (
            Decision::Reject(Vec::new()),
            Say::RejectProposal,
            End::Rejected,
        ),
        (
            Decision::NotUnderstood(Vec::new()),
            Say::NotUnderstood,
            End::NotUnderstood,
        ),
    ] {
        let mut side = participant(Protocol::Propose, Say::Propose);
        side.decides(decision);
        assert_eq!(side.said(), vec![act]);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d11_p_a_cancelled_proposal_needs_no_answer_of_the_agent() {
    let mut side = participant(Protocol::Propose, Say::Propose);
    side.told(Say::Cancel);
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Cancelled));
}

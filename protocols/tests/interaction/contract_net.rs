//! fipa.md d.4 contract net, d.5 iterated contract net.

use crate::kit::*;
use std::time::Duration;
use swarm_protocols::interaction::*;
use swarm_protocols::{ExitReason, Performative as Say};

fn calling(bidders: &[&str]) -> Side {
    initiator(Rules::ContractNet, bidders)
}

/// A contract net in which all of these have bid.
fn with_bids(rules: Rules, bidders: &[&str]) -> Side {
    let mut side = initiator(rules, bidders);
    let calls: Vec<_> = bidders.iter().map(|name| side.sent_to(name)).collect();
    for (name, call) in bidders.iter().zip(calls) {
        side.hears_from(name, &call, Say::Propose);
    }
    side
}

#[test]
fn d4_i_start_calls_each_with_the_bidding_deadline() {
    let side = calling(&["b", "c"]);
    for name in ["b", "c"] {
        let call = side.sent_to(name);
        assert_eq!(call.performative, Say::Cfp);
        assert_eq!(call.reply_by, Some(at(100)));
    }
    assert_eq!(side.c.state(), "wait-bid");
}

#[test]
fn d4_i_wait_bid_takes_a_proposal() {
    let mut side = calling(&["b", "c"]);
    let call = side.sent_to("b");
    side.hears_from("b", &call, Say::Propose);
    assert_eq!(side.state_of("b"), "bid");
    assert!(side.asked().is_none(), "the other has not answered");
}

#[test]
fn d4_i_wait_bid_is_out_with_refuse_not_understood_or_failure() {
    for (act, end) in [
        (Say::Refuse, End::Refused),
        (Say::NotUnderstood, End::NotUnderstood),
        (Say::Failure, End::Failed),
    ] {
        let mut side = calling(&["b", "c"]);
        let call = side.sent_to("b");
        side.hears_from("b", &call, act);
        assert_eq!(side.state_of("b"), end.as_str());
        assert_eq!(side.c.state(), "wait-bid");
    }
}

#[test]
fn d4_i_deadline_those_that_are_silent_are_out_and_the_bids_are_evaluated() {
    let mut side = calling(&["b", "c"]);
    let call = side.sent_to("b");
    side.hears_from("b", &call, Say::Propose).waits_until(100);
    assert!(matches!(side.asked(), Some(Question::Evaluate(bids)) if bids.len() == 1));
    assert_eq!(side.state_of("c"), "timed-out");
    assert_eq!(side.c.state(), "evaluating");
}

#[test]
fn d4_i_a_late_proposal_is_rejected_for_lateness() {
    let mut side = calling(&["b", "c"]);
    let (b, c) = (side.sent_to("b"), side.sent_to("c"));
    side.hears_from("b", &b, Say::Propose).waits_until(100);
    side.hears_from("c", &c, Say::Propose);
    assert_eq!(side.notices(), vec![Notice::Late]);
    let reject = side.sent_to("c");
    assert_eq!(reject.performative, Say::RejectProposal);
    assert_eq!(reject.text(), Some("(lateness)"));
    assert_eq!(side.c.state(), "evaluating");
}

#[test]
fn d4_i_a_late_proposal_after_the_end_is_rejected_too() {
    let mut side = calling(&["b"]);
    let call = side.sent_to("b");
    assert_eq!(side.waits_until(100).end(), Some(End::TimedOut));
    side.hears_from("b", &call, Say::Propose);
    assert_eq!(side.said(), vec![Say::RejectProposal]);
}

#[test]
fn d4_i_a_bid_twice_is_out_of_sequence() {
    let mut side = calling(&["b", "c"]);
    let call = side.sent_to("b");
    side.hears_from("b", &call, Say::Propose)
        .hears_from("b", &call, Say::Propose);
    assert_eq!(side.notices(), vec![Notice::OutOfSequence]);
    assert_eq!(side.state_of("b"), "bid");
}

#[test]
fn d4_i_evaluating_accepts_some_and_rejects_all_others() {
    let mut side = with_bids(Rules::ContractNet, &["b", "c", "d"]);
    side.decides(award(&[1]));
    assert_eq!(side.sent_to("b").performative, Say::RejectProposal);
    assert_eq!(side.sent_to("d").performative, Say::RejectProposal);
    let accept = side.sent_to("c");
    assert_eq!(accept.performative, Say::AcceptProposal);
    assert_eq!(accept.in_reply_to.as_deref(), Some("p2"));
    assert_eq!(
        accept.reply_by,
        Some(at(1_000)),
        "a deadline for the result"
    );
    assert_eq!(side.c.state(), "wait-result");
}

#[test]
fn d4_i_evaluating_may_accept_several_or_none() {
    let mut side = with_bids(Rules::ContractNet, &["b", "c"]);
    side.decides(award(&[0, 1]));
    assert_eq!(side.said(), vec![Say::AcceptProposal, Say::AcceptProposal]);

    let mut side = with_bids(Rules::ContractNet, &["b", "c"]);
    side.decides(award(&[]));
    assert_eq!(side.said(), vec![Say::RejectProposal, Say::RejectProposal]);
    assert_eq!(side.end(), Some(End::Rejected));
}

#[test]
fn d4_i_wait_result_ends_with_inform_failure_or_not_understood() {
    for (act, end) in [
        (Say::Inform, End::Done),
        (Say::Failure, End::Failed),
        (Say::NotUnderstood, End::NotUnderstood),
    ] {
        let mut side = with_bids(Rules::ContractNet, &["b"]);
        side.decides(award(&[0]));
        let accept = side.sent_to("b");
        side.hears_from("b", &accept, act);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d4_i_wait_result_times_out_by_the_reply_by_of_the_acceptance() {
    let mut side = with_bids(Rules::ContractNet, &["b"]);
    side.decides(award(&[0])).waits_until(999);
    assert_eq!(side.end(), None);
    assert_eq!(side.waits_until(1_000).end(), Some(End::TimedOut));
}

#[test]
fn d4_i_ends_when_nobody_bids() {
    let mut side = calling(&["b", "c"]);
    let (b, c) = (side.sent_to("b"), side.sent_to("c"));
    side.hears_from("b", &b, Say::Refuse)
        .hears_from("c", &c, Say::Refuse);
    assert!(side.asked().is_none());
    assert_eq!(side.end(), Some(End::Refused));
}

#[test]
fn d4_i_ends_when_all_results_are_in() {
    let mut side = with_bids(Rules::ContractNet, &["b", "c"]);
    side.decides(award(&[0, 1]));
    let (b, c) = (side.sent_to("b"), side.sent_to("c"));
    side.hears_from("c", &c, Say::Inform);
    assert_eq!(side.end(), None);
    side.hears_from("b", &b, Say::Failure);
    assert_eq!(side.end(), Some(End::Done));
    assert_eq!(side.end_of("b"), Some(End::Failed));
}

#[test]
fn d4_i_a_bidder_that_dies_before_its_bid_is_out_before_the_deadline() {
    let mut side = calling(&["b", "c"]);
    let call = side.sent_to("b");
    side.hears_from("b", &call, Say::Propose)
        .on(Event::ParticipantDown {
            participant: aid("c"),
            reason: ExitReason::Killed,
        });
    assert!(matches!(side.asked(), Some(Question::Evaluate(bids)) if bids.len() == 1));
}

#[test]
fn d4_i_a_bidder_that_dies_after_its_bid_is_not_awarded() {
    let mut side = with_bids(Rules::ContractNet, &["b", "c"]);
    side.on(Event::ParticipantDown {
        participant: aid("b"),
        reason: ExitReason::Killed,
    })
    .decides(award(&[0]));
    assert_eq!(side.said(), vec![Say::RejectProposal]);
    assert_eq!(side.end_of("b"), Some(End::Down));
    assert_eq!(side.end_of("c"), Some(End::Rejected));
}

#[test]
fn d4_i_those_in_reserve_take_the_place_of_one_that_fails_dies_or_is_late() {
    for way in 0..3 {
        let mut side = with_bids(Rules::ContractNet, &["b", "c", "d"]);
        side.decides(Decision::Award {
            accept: vec![0],
            reserve: vec![2, 1],
            content: Vec::new(),
        });
        assert_eq!(side.said(), vec![Say::AcceptProposal], "none rejected yet");
        let accept = side.sent_to("b");
        match way {
            0 => side.hears_from("b", &accept, Say::Failure),
            1 => side.on(Event::ParticipantDown {
                participant: aid("b"),
                reason: ExitReason::Killed,
            }),
            _ => side.waits_until(1_000),
        };
        assert_eq!(side.said(), vec![Say::AcceptProposal], "{way}");
        let accept = side.sent_to("d");
        side.hears_from("d", &accept, Say::Inform);
        assert_eq!(side.said(), vec![Say::RejectProposal]);
        assert_eq!(side.end_of("c"), Some(End::Rejected));
        assert_eq!(side.end_of("d"), Some(End::Done));
        assert_eq!(side.end(), Some(End::Done));
    }
}

#[test]
fn d4_i_cancel_stops_those_called_and_rejects_those_that_bid() {
    let mut side = calling(&["b", "c"]);
    let call = side.sent_to("b");
    side.hears_from("b", &call, Say::Propose)
        .decides(Decision::Cancel);
    assert_eq!(side.sent_to("b").performative, Say::RejectProposal);
    let cancel = side.sent_to("c");
    assert_eq!(cancel.performative, Say::Cancel);
    side.hears_from("c", &cancel, Say::Inform);
    assert_eq!(side.end(), Some(End::Cancelled));
}

#[test]
fn d4_i_a_decision_out_of_place_changes_nothing() {
    let mut side = calling(&["b"]);
    side.decides(award(&[0]));
    assert_eq!(side.notices(), vec![Notice::Misplaced("award")]);
    let mut side = with_bids(Rules::ContractNet, &["b"]);
    side.decides(Decision::Iterate {
        to: vec![0],
        content: Vec::new(),
    });
    assert_eq!(side.notices(), vec![Notice::Misplaced("iterate")]);
    side.decides(award(&[7, 0]));
    assert_eq!(side.said(), vec![Say::AcceptProposal]);
}

fn called() -> Side {
    participant(Protocol::ContractNet, Say::Cfp)
}

#[test]
fn d4_p_start_asks_the_agent_for_a_bid() {
    assert!(matches!(called().asked(), Some(Question::Bid { .. })));
}

#[test]
fn d4_p_bidding_may_refuse_not_understand_or_fail() {
    for (decision, act, end) in [
        (Decision::Refuse(Vec::new()), Say::Refuse, End::Refused),
        (
            Decision::NotUnderstood(Vec::new()),
            Say::NotUnderstood,
            End::NotUnderstood,
        ),
        (Decision::Failed(Vec::new()), Say::Failure, End::Failed),
    ] {
        let mut side = called();
        side.decides(decision);
        assert_eq!(side.said(), vec![act]);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d4_p_bidding_proposes_and_is_bound() {
    let mut side = called();
    side.decides(Decision::Propose {
        content: words("42"),
        price: None,
        holds_for: Some(Duration::from_millis(50)),
    });
    let bid = side.sent_to("i");
    assert_eq!(bid.performative, Say::Propose);
    assert_eq!(bid.reply_by, Some(at(50)));
    assert_eq!(side.c.state(), "proposed");
    side.decides(propose());
    assert_eq!(side.notices(), vec![Notice::Misplaced("propose")]);
}

#[test]
fn d4_p_proposed_performs_when_accepted() {
    let mut side = called();
    side.decides(propose()).told(Say::AcceptProposal);
    assert!(matches!(side.asked(), Some(Question::Perform(_))));
    assert_eq!(side.c.state(), "performing");
}

#[test]
fn d4_p_proposed_ends_when_rejected() {
    let mut side = called();
    side.decides(propose()).told(Say::RejectProposal);
    assert_eq!(side.end(), Some(End::Rejected));
}

#[test]
fn d4_p_own_reply_by_passes_as_rejected_and_a_later_acceptance_fails() {
    let mut side = called();
    side.decides(Decision::Propose {
        content: Vec::new(),
        price: None,
        holds_for: Some(Duration::from_millis(50)),
    });
    let bid = side.sent_to("i");
    assert_eq!(side.waits_until(50).end(), Some(End::Lapsed));
    let mut accept = bid.reply(Say::AcceptProposal);
    accept.sender = Some(aid("i"));
    accept.reply_with = Some("i5".into());
    side.hears(accept);
    assert_eq!(side.said(), vec![Say::Failure]);
    assert!(side.asked().is_none(), "nothing is performed");
}

#[test]
fn d4_p_proposed_stops_at_once_when_cancelled() {
    let mut side = called();
    side.decides(propose()).told(Say::Cancel);
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Cancelled));
}

#[test]
fn d4_p_performing_ends_with_inform_or_failure() {
    for (decision, act, end) in [
        (Decision::Done(words("r")), Say::Inform, End::Done),
        (Decision::Failed(words("r")), Say::Failure, End::Failed),
    ] {
        let mut side = called();
        side.decides(propose())
            .told(Say::AcceptProposal)
            .decides(decision);
        assert_eq!(side.said(), vec![act]);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn d4_p_an_agent_that_dies_between_bid_and_result_fails_its_part() {
    for accepted in [false, true] {
        let mut side = called();
        side.decides(propose());
        if accepted {
            side.told(Say::AcceptProposal);
        }
        side.on(Event::AgentDown(ExitReason::Killed));
        assert_eq!(side.said(), vec![Say::Failure]);
        assert_eq!(side.end(), Some(End::Abandoned));
    }
}

#[test]
fn d5_i_iterates_to_a_subset_and_rejects_the_rest() {
    let rules = Rules::IteratedContractNet { rounds_max: 2 };
    let mut side = with_bids(rules, &["b", "c"]);
    side.decides(Decision::Iterate {
        to: vec![1],
        content: words("cheaper"),
    });
    assert_eq!(side.sent_to("b").performative, Say::RejectProposal);
    let call = side.sent_to("c");
    assert_eq!(call.performative, Say::Cfp);
    assert_eq!(call.conversation_id.as_deref(), Some("c1"));
    assert_eq!(call.in_reply_to.as_deref(), Some("p2"));
    assert_eq!(side.c.state(), "wait-bid");
    side.hears_from("c", &call, Say::Propose);
    assert!(matches!(side.asked(), Some(Question::Evaluate(bids)) if bids.len() == 1));
    side.decides(Decision::Iterate {
        to: vec![1],
        content: Vec::new(),
    });
    assert_eq!(
        side.notices(),
        vec![Notice::Misplaced("iterate")],
        "two rounds"
    );
    side.decides(award(&[1]));
    assert_eq!(side.said(), vec![Say::AcceptProposal]);
}

#[test]
fn d5_i_ends_when_nobody_bids_in_a_later_round() {
    let mut side = with_bids(Rules::IteratedContractNet { rounds_max: 3 }, &["b"]);
    side.decides(Decision::Iterate {
        to: vec![0],
        content: Vec::new(),
    });
    let call = side.sent_to("b");
    side.hears_from("b", &call, Say::Refuse);
    assert_eq!(side.end(), Some(End::Refused));
}

#[test]
fn d5_p_proposed_bids_again_when_called_again_and_a_plain_one_does_not() {
    let mut side = participant(Protocol::IteratedContractNet, Say::Cfp);
    side.decides(propose()).told(Say::Cfp);
    assert!(matches!(side.asked(), Some(Question::Bid { .. })));
    assert_eq!(side.c.state(), "bidding");

    let mut plain = called();
    plain.decides(propose()).told(Say::Cfp);
    assert_eq!(plain.notices(), vec![Notice::OutOfSequence]);
}

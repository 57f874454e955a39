//! fipa.md d.6 English auction, d.7 Dutch auction.

use crate::kit::*;
use std::sync::Arc;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, ExitReason, Performative as Say};

const UP: Ascending = Ascending {
    start: 10,
    step: 5,
    reserve: 0,
    rounds_max: 10,
};
const DOWN: Descending = Descending {
    start: 30,
    step: 10,
    reserve: 10,
    units: 1,
};

fn english(rules: Ascending) -> Side {
    initiator(Rules::EnglishAuction(rules), &["b", "c"])
}

fn dutch(rules: Descending) -> Side {
    initiator(Rules::DutchAuction(rules), &["b", "c"])
}

/// The call of the present round, for one of them.
fn call(side: &Side, name: &str) -> Arc<AclMessage> {
    side.sent()
        .into_iter()
        .find(|m| m.performative == Say::Cfp && m.receiver == vec![aid(name)])
        .expect("a call")
}

fn price(message: &AclMessage) -> Option<i64> {
    message.user_parameter(PRICE_PARAMETER)?.parse().ok()
}

fn offers(side: &mut Side, name: &str, call: &AclMessage, price: i64) {
    let mut bid = call.reply(Say::Propose);
    bid.sender = Some(aid(name));
    bid.reply_with = Some(format!("{name}-{price}").into());
    bid.user_parameters =
        swarm_protocols::thin_vec![(PRICE_PARAMETER.to_owned(), price.to_string())];
    side.hears(bid);
}

#[test]
fn d6_i_start_informs_all_and_calls_the_first_price() {
    let side = english(UP);
    assert_eq!(
        side.said(),
        vec![Say::Inform, Say::Inform, Say::Cfp, Say::Cfp]
    );
    assert_eq!(price(&call(&side, "b")), Some(10));
    assert_eq!(call(&side, "b").reply_by, Some(at(100)));
    assert_eq!(side.c.state(), "round");
}

#[test]
fn d6_i_round_accepts_the_best_rejects_the_others_and_calls_a_higher_price() {
    let mut side = english(UP);
    let (b, c) = (call(&side, "b"), call(&side, "c"));
    offers(&mut side, "b", &b, 10);
    offers(&mut side, "c", &c, 12);
    assert_eq!(
        side.said(),
        vec![Say::RejectProposal, Say::AcceptProposal, Say::Cfp, Say::Cfp]
    );
    assert_eq!(price(&call(&side, "b")), Some(17));
}

#[test]
fn d6_i_round_waits_for_its_deadline_while_somebody_is_silent() {
    let mut side = english(UP);
    let b = call(&side, "b");
    offers(&mut side, "b", &b, 10);
    assert!(side.said().is_empty());
    side.waits_until(100);
    assert_eq!(side.said(), vec![Say::AcceptProposal, Say::Cfp, Say::Cfp]);
}

#[test]
fn d6_i_not_understood_puts_a_bidder_out() {
    let mut side = english(UP);
    let b = call(&side, "b");
    side.hears_from("b", &b, Say::NotUnderstood);
    assert_eq!(side.state_of("b"), "not-understood");
    let c = call(&english(UP), "c");
    offers(&mut side, "c", &c, 10);
    assert_eq!(
        side.said(),
        vec![Say::AcceptProposal, Say::Cfp],
        "only for c"
    );
}

#[test]
fn d6_i_a_bid_below_the_price_is_rejected() {
    let mut side = english(UP);
    let b = call(&side, "b");
    offers(&mut side, "b", &b, 9);
    assert_eq!(side.said(), vec![Say::RejectProposal]);
    assert_eq!(side.state_of("b"), "called");
}

#[test]
fn d6_i_no_proposal_the_last_accepted_bidder_wins_and_is_asked_to_complete_the_sale() {
    let mut side = english(UP);
    let b = call(&side, "b");
    offers(&mut side, "b", &b, 10);
    side.waits_until(100).waits_until(200);
    assert_eq!(side.said(), vec![Say::Inform, Say::Inform, Say::Request]);
    let request = side.sent_to("b");
    assert_eq!(price(&request), Some(10));
    assert_eq!(side.c.state(), "settling");
    side.hears_from("b", &request, Say::Agree)
        .hears_from("b", &request, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
    assert_eq!(side.end_of("c"), Some(End::Rejected));
}

#[test]
fn d6_i_settling_fails_with_failure_or_refuse() {
    for (act, end) in [(Say::Failure, End::Failed), (Say::Refuse, End::Refused)] {
        let mut side = english(UP);
        let b = call(&side, "b");
        offers(&mut side, "b", &b, 10);
        side.waits_until(100).waits_until(200);
        let request = side.sent_to("b");
        side.hears_from("b", &request, act);
        assert_eq!(side.end_of("b"), Some(end));
    }
}

#[test]
fn d6_i_no_sale_when_nobody_bids_or_the_reserve_is_not_reached() {
    let mut side = english(UP);
    side.waits_until(100);
    assert_eq!(side.said(), vec![Say::Inform, Say::Inform]);
    assert_eq!(side.end(), Some(End::Rejected));

    let mut side = english(Ascending { reserve: 50, ..UP });
    let b = call(&side, "b");
    offers(&mut side, "b", &b, 10);
    side.waits_until(100).waits_until(200);
    assert_eq!(side.end(), Some(End::Rejected));
}

#[test]
fn d6_i_what_a_leader_that_dies_had_bid_is_called_again_without_it() {
    let mut side = english(UP);
    let (b, c) = (call(&side, "b"), call(&side, "c"));
    offers(&mut side, "b", &b, 10);
    offers(&mut side, "c", &c, 20);
    side.on(Event::ParticipantDown {
        participant: aid("c"),
        reason: ExitReason::Killed,
    });
    side.waits_until(200);
    assert_eq!(side.said(), vec![Say::Cfp]);
    let again = call(&side, "b");
    assert_eq!(price(&again), Some(20));
    offers(&mut side, "b", &again, 20);
    side.waits_until(400);
    assert_eq!(side.sent_to("b").performative, Say::Request);
}

#[test]
fn d6_i_a_bid_of_an_earlier_round_is_late() {
    let mut side = english(UP);
    let (b, c) = (call(&side, "b"), call(&side, "c"));
    offers(&mut side, "b", &b, 10);
    side.waits_until(100);
    offers(&mut side, "c", &c, 11);
    assert_eq!(side.notices(), vec![Notice::Late]);
    assert_eq!(side.said(), vec![Say::RejectProposal]);
}

fn bidder() -> Side {
    participant_of(Protocol::EnglishAuction, Say::Cfp, |call| {
        call.user_parameters =
            swarm_protocols::thin_vec![(PRICE_PARAMETER.to_owned(), "10".to_owned())];
    })
}

fn ended(winner: Option<&str>) -> AclMessage {
    let mut inform = act_of(Say::Inform, Some("i9"), None);
    inform.user_parameters = swarm_protocols::thin_vec![("X-Auction".to_owned(), "end".to_owned())];
    if let Some(winner) = winner {
        inform
            .user_parameters
            .push(("X-Winner".to_owned(), winner.to_owned()));
    }
    inform
}

#[test]
fn d6_p_start_watches_until_the_first_call() {
    let mut side = participant_of(Protocol::EnglishAuction, Say::Inform, |inform| {
        inform.user_parameters =
            swarm_protocols::thin_vec![("X-Auction".to_owned(), "start".to_owned())];
    });
    assert_eq!(side.c.state(), "watching");
    side.told(Say::Cfp);
    assert!(matches!(side.asked(), Some(Question::Bid { .. })));
    assert_eq!(side.c.state(), "deciding");
}

#[test]
fn d6_p_deciding_proposes_is_silent_or_does_not_understand() {
    let mut side = bidder();
    assert!(matches!(
        side.asked(),
        Some(Question::Bid {
            price: Some(10),
            ..
        })
    ));
    side.decides(bid(11));
    assert_eq!(price(&side.sent_to("i")), Some(11));
    assert_eq!(side.c.state(), "bid");

    let mut side = bidder();
    side.decides(Decision::Silent);
    assert!(side.said().is_empty());
    assert_eq!(side.c.state(), "watching");

    let mut side = bidder();
    side.decides(Decision::NotUnderstood(Vec::new()));
    assert_eq!(side.end(), Some(End::NotUnderstood));
}

#[test]
fn d6_p_bid_leads_when_accepted_and_watches_when_rejected() {
    let mut side = bidder();
    side.decides(bid(11)).told(Say::AcceptProposal);
    assert_eq!(side.c.state(), "leading");
    let mut side = bidder();
    side.decides(bid(11)).told(Say::RejectProposal);
    assert_eq!(side.c.state(), "watching");
}

#[test]
fn d6_p_watching_decides_anew_with_each_call_and_ends_with_the_auction() {
    let mut side = bidder();
    side.decides(Decision::Silent).told(Say::Cfp);
    assert_eq!(side.c.state(), "deciding");
    side.hears(ended(None));
    assert_eq!(side.end(), Some(End::Rejected));
}

#[test]
fn d6_p_a_winner_completes_the_sale_as_the_participant_of_a_request() {
    let mut side = bidder();
    side.decides(bid(11))
        .told(Say::AcceptProposal)
        .hears(ended(Some("b@p")));
    assert_eq!(side.end(), None, "a winner waits for the request");
    side.hears(act_of(Say::Request, Some("i10"), None));
    assert!(matches!(side.asked(), Some(Question::Perform(_))));
    side.decides(Decision::Agree(Vec::new()))
        .decides(Decision::Done(Vec::new()));
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn d6_p_a_call_that_was_overtaken_by_a_later_one_is_late() {
    let mut side = bidder();
    side.hears(act_of(Say::Cfp, Some("i8"), None));
    side.hears(act_of(Say::Cfp, Some("i4"), None));
    assert_eq!(side.notices(), vec![Notice::Late]);
}

#[test]
fn d7_i_start_informs_all_and_calls_the_high_price() {
    let side = dutch(DOWN);
    assert_eq!(
        side.said(),
        vec![Say::Inform, Say::Inform, Say::Cfp, Say::Cfp]
    );
    assert_eq!(price(&call(&side, "c")), Some(30));
}

#[test]
fn d7_i_no_proposal_calls_a_lower_price_down_to_the_reserve_and_then_there_is_no_sale() {
    let mut side = dutch(DOWN);
    side.waits_until(100);
    assert_eq!(price(&call(&side, "b")), Some(20));
    side.waits_until(200);
    assert_eq!(price(&call(&side, "b")), Some(10));
    side.waits_until(300);
    assert_eq!(side.said(), vec![Say::Inform, Say::Inform]);
    assert_eq!(side.end(), Some(End::Rejected));
}

#[test]
fn d7_i_the_first_proposal_is_accepted_and_all_later_ones_are_rejected() {
    let mut side = dutch(DOWN);
    let (b, c) = (call(&side, "b"), call(&side, "c"));
    offers(&mut side, "c", &c, 30);
    assert_eq!(side.sent()[0].performative, Say::AcceptProposal);
    assert_eq!(side.sent_to("b").performative, Say::Inform, "the end");
    let request = side.sent_to("c");
    assert_eq!(request.performative, Say::Request);
    offers(&mut side, "b", &b, 30);
    assert_eq!(side.said(), vec![Say::RejectProposal]);
    side.hears_from("c", &request, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
    assert_eq!(side.end_of("b"), Some(End::Rejected));
}

#[test]
fn d7_i_not_understood_removes_the_bidder() {
    let mut side = dutch(DOWN);
    let b = call(&side, "b");
    side.hears_from("b", &b, Say::NotUnderstood)
        .waits_until(100);
    assert_eq!(side.said(), vec![Say::Cfp]);
    assert_eq!(side.sent_to("c").performative, Say::Cfp);
}

#[test]
fn d7_i_several_units_are_sold_one_by_one_and_the_rest_goes_on_falling() {
    let mut side = dutch(Descending { units: 2, ..DOWN });
    let c = call(&side, "c");
    offers(&mut side, "c", &c, 30);
    assert_eq!(side.said(), vec![Say::AcceptProposal]);
    side.waits_until(100);
    let b = call(&side, "b");
    assert_eq!(price(&b), Some(20));
    offers(&mut side, "b", &b, 20);
    let requests: Vec<_> = side
        .sent()
        .into_iter()
        .filter(|m| m.performative == Say::Request)
        .map(|m| price(&m))
        .collect();
    assert_eq!(requests, vec![Some(20), Some(30)]);
}

#[test]
fn d7_p_proposes_or_is_silent_wins_when_accepted_and_waits_when_rejected() {
    let dutch = || participant(Protocol::DutchAuction, Say::Cfp);
    let mut side = dutch();
    side.decides(Decision::Silent);
    assert!(side.said().is_empty());
    let mut side = dutch();
    side.decides(bid(30)).told(Say::RejectProposal);
    assert_eq!(side.c.state(), "watching", "there may be further units");
    let mut side = dutch();
    side.decides(bid(30))
        .told(Say::AcceptProposal)
        .hears(act_of(Say::Request, Some("i10"), None));
    assert_eq!(side.c.state(), "winning");
}

#[test]
fn d6_i_called_off_there_is_no_sale() {
    let mut side = english(UP);
    side.decides(Decision::Cancel);
    assert_eq!(side.said(), vec![Say::Inform, Say::Inform]);
    assert_eq!(side.end(), Some(End::Rejected));
}

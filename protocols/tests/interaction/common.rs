//! The rules at the head of fipa.md d, and those of a.2 that conversations stand on.

use crate::kit::*;
use std::sync::Arc;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, Aid, ExitReason, Performative as Say};

#[test]
fn identification_every_message_carries_protocol_conversation_id_and_a_reply_with_of_its_own() {
    let side = initiator(Rules::Request, &["b", "c", "d"]);
    let sent = side.sent();
    assert_eq!(sent.len(), 3);
    let mut marks: Vec<_> = sent.iter().map(|m| m.reply_with.clone()).collect();
    marks.dedup();
    assert_eq!(marks.len(), 3, "different for each receiver");
    for message in sent {
        assert_eq!(message.conversation_id.as_deref(), Some("c1"));
        assert_eq!(
            message.receiver.len(),
            1,
            "one separate message per receiver"
        );
        assert!(message.sender.is_some());
    }
}

#[test]
fn not_understood_ends_the_session_and_the_conversation_with_the_last_one() {
    let mut side = initiator(Rules::Request, &["b", "c"]);
    let (to_b, to_c) = (side.sent_to("b"), side.sent_to("c"));
    side.hears_from("b", &to_b, Say::NotUnderstood);
    assert_eq!(side.end(), None);
    assert_eq!(side.state_of("b"), "not-understood");
    side.hears_from("c", &to_c, Say::NotUnderstood);
    assert_eq!(side.end(), Some(End::NotUnderstood));
}

#[test]
fn not_understood_from_the_initiator_ends_the_participant() {
    let mut side = participant(Protocol::Request, Say::Request);
    side.decides(Decision::Agree(Vec::new()))
        .told(Say::NotUnderstood);
    assert_eq!(side.end(), Some(End::NotUnderstood));
    assert!(side.said().is_empty(), "never answered with the same: R6");
}

#[test]
fn out_of_sequence_changes_no_state_and_is_answered_with_unexpected_act() {
    let mut side = initiator(Rules::Request, &["b"]);
    let request = side.sent_to("b");
    side.hears_from("b", &request, Say::Propose);
    assert_eq!(side.notices(), vec![Notice::OutOfSequence]);
    assert_eq!(side.said(), vec![Say::NotUnderstood]);
    assert!(
        side.sent_to("b")
            .text()
            .is_some_and(|text| text.contains("unexpected-act"))
    );
    assert_eq!(side.c.state(), "wait-response");
}

#[test]
fn out_of_sequence_not_understood_and_failure_are_not_answered() {
    let mut side = initiator(Rules::Request, &["b"]);
    for act in [Say::NotUnderstood, Say::Failure] {
        let mut message = act_of(act, Some("x"), Some("nothing-i-said"));
        message.sender = Some(aid("b"));
        side.hears(message);
        assert_eq!(side.notices(), vec![Notice::OutOfSequence]);
        assert!(side.said().is_empty());
    }
}

#[test]
fn a_reply_without_in_reply_to_or_with_an_unknown_one_is_out_of_sequence() {
    for answers in [None, Some("i99"), Some(""), Some("p1"), Some("ü1")] {
        let mut side = initiator(Rules::Request, &["b"]);
        let mut message = act_of(Say::Inform, None, answers);
        message.sender = Some(aid("b"));
        side.hears(message);
        assert_eq!(side.notices(), vec![Notice::OutOfSequence], "{answers:?}");
        assert_eq!(side.end(), None);
    }
}

#[test]
fn a_reply_from_one_that_was_not_asked_changes_nothing() {
    let mut side = initiator(Rules::Request, &["b"]);
    let request = side.sent_to("b");
    side.hears_from("eve", &request, Say::Inform);
    assert_eq!(side.notices(), vec![Notice::Stranger]);
    assert_eq!(side.end(), None);
    side.hears_from("b", &request, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn a_conversation_id_reused_by_somebody_else_changes_nothing_for_a_participant() {
    let mut side = participant(Protocol::Request, Say::Request);
    let mut message = act_of(Say::Request, Some("i7"), None);
    message.sender = Some(aid("eve"));
    side.hears(message);
    assert_eq!(side.notices(), vec![Notice::Stranger]);
    assert_eq!(side.sent_to("eve").performative, Say::NotUnderstood);
    assert_eq!(side.c.state(), "deciding");
}

#[test]
fn a_message_of_another_conversation_changes_nothing() {
    let mut side = participant(Protocol::Request, Say::Request);
    let mut message = act_of(Say::Cancel, Some("i7"), None);
    message.conversation_id = Some("c2".into());
    side.hears(message);
    assert_eq!(side.notices(), vec![Notice::OtherConversation]);
}

#[test]
fn a_duplicate_is_known_by_its_reply_with() {
    let mut side = initiator(Rules::Subscribe, &["b"]);
    let subscribe = side.sent_to("b");
    let mut inform = subscribe.reply(Say::Inform);
    inform.sender = Some(aid("b"));
    inform.reply_with = Some("p1".into());
    assert_eq!(side.hears(inform.clone()).news().len(), 1);
    side.hears(inform.clone());
    assert_eq!(side.notices(), vec![Notice::Duplicate]);
    assert!(side.news().is_empty());
    inform.sender = Some(Aid::named("B@P"));
    side.hears(inform);
    assert_eq!(side.notices(), vec![Notice::Duplicate], "the same agent");
}

fn ams_failure(of: &AclMessage) -> AclMessage {
    AclMessage {
        sender: Some(aid("ams")),
        receiver: of.sender.iter().cloned().collect(),
        conversation_id: of.conversation_id.clone(),
        in_reply_to: of.reply_with.clone(),
        content: Some(b"((action ..) (MTS-error b@p \"Agent not found\"))".to_vec()),
        ..AclMessage::new(Say::Failure)
    }
}

#[test]
fn a_failure_of_the_ams_counts_as_the_participants_and_is_matched_by_in_reply_to() {
    let mut side = initiator(Rules::ContractNet, &["b", "c"]);
    let to_c = side.sent_to("c");
    side.hears(ams_failure(&to_c));
    assert_eq!(side.state_of("c"), "failed");
    assert_eq!(side.state_of("b"), "wait-bid");
}

#[test]
fn a_failure_of_the_ams_ends_a_participant_whose_answer_did_not_arrive() {
    let mut side = participant(Protocol::Request, Say::Request);
    side.decides(Decision::Agree(Vec::new()));
    let agree = side.sent_to("i");
    side.hears(ams_failure(&agree));
    assert_eq!(side.end(), Some(End::Undelivered));
}

#[test]
fn one_to_n_the_outcome_has_a_part_for_each_and_comes_with_the_last() {
    let mut side = initiator(Rules::Request, &["b", "c", "d"]);
    let (b, c, d) = (side.sent_to("b"), side.sent_to("c"), side.sent_to("d"));
    side.hears_from("c", &c, Say::Agree);
    assert_eq!(side.c.state(), "wait-response");
    side.hears_from("b", &b, Say::Refuse)
        .hears_from("d", &d, Say::Failure);
    assert_eq!(side.c.state(), "wait-result", "all have responded");
    side.hears_from("c", &c, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
    assert_eq!(side.end_of("b"), Some(End::Refused));
    assert_eq!(side.end_of("d"), Some(End::Failed));
}

#[test]
fn reply_by_each_participant_that_is_silent_is_dropped_and_those_that_agreed_are_awaited() {
    let mut side = initiator(Rules::Request, &["b", "c"]);
    let to_b = side.sent_to("b");
    side.hears_from("b", &to_b, Say::Agree).waits_until(100);
    assert_eq!(side.state_of("c"), "timed-out");
    assert_eq!(side.end(), None);
    side.hears_from("b", &to_b, Say::Inform);
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn terminal_late_messages_are_answered_through_the_linger_and_then_it_is_forgotten() {
    let mut side = participant(Protocol::Request, Say::Request);
    side.decides(Decision::Done(Vec::new()));
    side.now = 10_000;
    side.told(Say::Cancel);
    assert_eq!(side.said(), vec![Say::Failure], "it has ended already");
    assert!(!side.c.is_forgotten());
    side.waits_until(30_000);
    assert!(side.c.is_forgotten());
    assert!(matches!(side.actions[0], Action::Forget));
    assert_eq!(side.c.due(), None);
}

#[test]
fn a_stale_deadline_has_no_effect() {
    let mut side = initiator(Rules::Request, &["b"]);
    side.waits_until(50);
    assert!(side.actions.is_empty());
}

#[test]
fn the_death_of_a_participant_ends_its_session_at_once() {
    let mut side = initiator(Rules::Request, &["b", "c"]);
    side.on(Event::ParticipantDown {
        participant: aid("b"),
        reason: ExitReason::Killed,
    });
    assert_eq!(side.state_of("b"), "down");
    assert_eq!(side.end(), None);
}

#[test]
fn the_death_of_the_agent_tells_all_that_are_owed_something() {
    let mut working = participant(Protocol::Request, Say::Request);
    working
        .decides(Decision::Agree(Vec::new()))
        .on(Event::AgentDown(ExitReason::Killed));
    assert_eq!(working.said(), vec![Say::Failure]);
    assert_eq!(working.end(), Some(End::Abandoned));

    let mut asking = initiator(Rules::Request, &["b", "c"]);
    asking.on(Event::AgentDown(ExitReason::Killed));
    assert_eq!(asking.said(), vec![Say::Cancel, Say::Cancel]);
    assert_eq!(asking.end(), Some(End::Abandoned));
}

#[test]
fn expiry_ends_either_side() {
    let mut opening = opening(Rules::Subscribe, &["b"]);
    opening.reply_within = None;
    opening.expires_in = Some(REPLY);
    let mut side = start(&opening);
    assert_eq!(side.waits_until(100).end(), Some(End::TimedOut));

    let mut call = act_of(Say::Request, Some("i1"), None);
    call.protocol = None;
    let terms = Terms {
        expires_in: Some(REPLY),
        ..Terms::default()
    };
    let (mut side, _) =
        Conversation::open(&Arc::new(call), aid("b"), &terms, at(0)).expect("opens");
    let said = side.on(Event::Deadline, at(100));
    assert!(matches!(&said[0], Action::Send(m) if m.performative == Say::Failure));
    assert_eq!(side.outcome().map(|o| o.end), Some(End::Abandoned));
}

#[test]
fn answers_go_to_reply_to_where_there_is_one() {
    let mut side = participant_of(Protocol::Request, Say::Request, |call| {
        call.reply_to = swarm_protocols::thin_vec![aid("desk")];
    });
    side.decides(Decision::Done(Vec::new()));
    assert_eq!(side.sent()[0].receiver, vec![aid("desk")]);
}

#[test]
fn an_act_that_can_start_a_protocol_opens_it_by_name_or_by_act() {
    for (act, protocol) in [
        (Say::Request, Protocol::Request),
        (Say::QueryIf, Protocol::Query),
        (Say::QueryRef, Protocol::Query),
        (Say::RequestWhen, Protocol::RequestWhen),
        (Say::Cfp, Protocol::ContractNet),
        (Say::Subscribe, Protocol::Subscribe),
        (Say::Propose, Protocol::Propose),
    ] {
        let call = act_of(act, Some("i1"), None);
        let (c, _) = Conversation::open(&Arc::new(call), aid("b"), &Terms::default(), at(0))
            .expect("it opens");
        assert_eq!(c.protocol(), protocol);
    }
    let mut call = act_of(Say::Cfp, Some("i1"), None);
    call.protocol = Some("FIPA-Iterated-Contract-Net".into());
    assert_eq!(
        Protocol::opened_by(&call),
        Some(Protocol::IteratedContractNet)
    );
}

#[test]
fn anything_else_for_an_unknown_conversation_opens_nothing_and_is_answered_as_unexpected() {
    for act in Say::ALL {
        let mut message = act_of(act, Some("x"), Some("y"));
        message.protocol = Some("fipa-request".into());
        let opened = Conversation::open(
            &Arc::new(message.clone()),
            aid("b"),
            &Terms::default(),
            at(0),
        );
        if act == Say::Request {
            assert!(opened.is_ok());
            continue;
        }
        let why = opened.expect_err("opens nothing");
        let answer = unopened(&message, why).map(|answer| answer.performative);
        let expected = match act {
            Say::Cancel | Say::Cfp | Say::QueryIf | Say::QueryRef | Say::Subscribe => {
                Some(Say::NotUnderstood)
            }
            Say::NotUnderstood | Say::Failure | Say::Inform | Say::Agree | Say::Refuse => None,
            Say::Propose => Some(Say::RejectProposal),
            Say::AcceptProposal => Some(Say::Failure),
            _ => answer,
        };
        assert_eq!(answer, expected, "{act}");
    }
}

#[test]
fn a_call_without_conversation_id_or_sender_opens_nothing() {
    let mut call = act_of(Say::Request, Some("i1"), None);
    call.conversation_id = None;
    let open = |call: &AclMessage| {
        Conversation::open(&Arc::new(call.clone()), aid("b"), &Terms::default(), at(0)).map(|_| ())
    };
    assert_eq!(open(&call), Err(NotOpened::NoConversationId));
    call.conversation_id = Some("c".into());
    call.sender = None;
    assert_eq!(open(&call), Err(NotOpened::NoSender));
    call.sender = Some(aid("i"));
    call.content = Some(vec![b'x'; CONTENT_BYTES_MAX + 1]);
    assert_eq!(open(&call), Err(NotOpened::TooLarge));
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let mut side = initiator(Rules::ContractNet, &["b"]);
    let call = side.sent_to("b");
    let mut bid = call.reply(Say::Propose);
    bid.sender = Some(aid("b"));
    bid.content = Some(vec![b'x'; CONTENT_BYTES_MAX + 1]);
    side.hears(bid);
    assert_eq!(side.notices(), vec![Notice::TooLarge]);
    assert_eq!(side.said(), vec![Say::NotUnderstood]);
}

#[test]
fn openings_that_contradict_themselves_are_refused() {
    let check = |opening: &Opening| Conversation::start(opening, at(0)).map(|_| ()).unwrap_err();
    assert_eq!(
        check(&opening(Rules::Request, &[])),
        OpeningError::Participants { count: 0 }
    );
    assert_eq!(
        check(&opening(Rules::Request, &["b", "B"])),
        OpeningError::Twice("b@p".into())
    );
    let many: Vec<String> = (0..1025).map(|n| format!("b{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        check(&opening(Rules::Request, &many)),
        OpeningError::Participants { count: 1025 }
    );
    assert!(matches!(
        check(&opening(
            Rules::Dialogue(DialogueRules::default()),
            &["b", "c"]
        )),
        OpeningError::Rules(_)
    ));
}

#[test]
fn a_record_goes_on_where_it_was_stored() {
    let mut side = initiator(Rules::ContractNet, &["b", "c"]);
    let (b, c) = (side.sent_to("b"), side.sent_to("c"));
    side.hears_from("b", &b, Say::Propose);
    let bytes = postcard::to_allocvec(&side.c).expect("serializes");
    side.c = postcard::from_bytes(&bytes).expect("parses");
    assert_eq!(side.c.version(), CONVERSATION_VERSION);
    side.hears_from("c", &c, Say::Propose);
    assert!(matches!(side.asked(), Some(Question::Evaluate(bids)) if bids.len() == 2));
}

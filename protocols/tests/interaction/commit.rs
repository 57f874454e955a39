//! The two-phase commit.

use crate::kit::*;
use std::time::Duration;
use swarm_protocols::interaction::*;
use swarm_protocols::{ExitReason, Performative as Say};

const RULES: Rules = Rules::TwoPhaseCommit {
    resend_after: Duration::from_millis(200),
};

fn voted(names: &[&str]) -> Side {
    let mut side = initiator(RULES, names);
    let asked: Vec<_> = names.iter().map(|name| side.sent_to(name)).collect();
    for (name, prepare) in names.iter().zip(asked) {
        side.hears_from(name, &prepare, Say::Confirm);
    }
    side
}

#[test]
fn prepare_goes_to_all_and_all_yes_is_commit() {
    let mut side = initiator(RULES, &["b", "c"]);
    assert_eq!(side.said(), vec![Say::QueryIf, Say::QueryIf]);
    let (b, c) = (side.sent_to("b"), side.sent_to("c"));
    side.hears_from("b", &b, Say::Confirm);
    assert_eq!(side.c.state(), "voting");
    side.hears_from("c", &c, Say::Confirm);
    assert_eq!(side.said(), vec![Say::AcceptProposal, Say::AcceptProposal]);
    assert!(matches!(side.news()[0], News::Decided { is_commit: true }));
    assert_eq!(side.c.state(), "committing");
}

#[test]
fn one_no_one_death_one_silence_or_one_failure_is_abort() {
    for way in 0..4 {
        let mut side = initiator(RULES, &["b", "c"]);
        let (b, c) = (side.sent_to("b"), side.sent_to("c"));
        side.hears_from("b", &b, Say::Confirm);
        match way {
            0 => side.hears_from("c", &c, Say::Disconfirm),
            1 => side.on(Event::ParticipantDown {
                participant: aid("c"),
                reason: ExitReason::Killed,
            }),
            2 => side.waits_until(100),
            _ => side.hears_from("c", &c, Say::Failure),
        };
        assert_eq!(side.sent_to("b").performative, Say::RejectProposal);
        assert_eq!(side.end(), Some(End::Aborted), "{way}");
        assert_eq!(side.end_of("b"), Some(End::Aborted));
    }
}

#[test]
fn a_commit_is_said_again_until_it_is_acknowledged() {
    let mut side = voted(&["b", "c"]);
    let b = side.sent_to("b");
    side.hears_from("b", &b, Say::Inform).waits_until(200);
    assert_eq!(side.said(), vec![Say::AcceptProposal]);
    let again = side.sent_to("c");
    side.hears_from("c", &again, Say::Inform);
    assert_eq!(side.end(), Some(End::Committed));
}

#[test]
fn an_acknowledgement_of_an_earlier_telling_counts() {
    let mut side = voted(&["b"]);
    let first = side.sent_to("b");
    side.waits_until(200).hears_from("b", &first, Say::Inform);
    assert_eq!(side.end(), Some(End::Committed));
}

#[test]
fn a_commit_that_is_not_acknowledged_is_in_doubt_and_never_forgotten() {
    let mut side = voted(&["b"]);
    let commit = side.sent_to("b");
    side.waits_until(1_000);
    assert_eq!(side.end(), Some(End::Committed));
    assert_eq!(side.end_of("b"), Some(End::InDoubt));
    side.waits_until(1_000_000);
    assert!(!side.c.is_forgotten(), "to forget a commit is to abort it");
    let mut inquiry = commit.reply(Say::QueryRef);
    inquiry.sender = Some(aid("b"));
    side.hears(inquiry);
    assert_eq!(side.said(), vec![Say::AcceptProposal]);
    side.hears_from("b", &commit, Say::Inform)
        .waits_until(3_000_000);
    assert!(side.c.is_forgotten());
}

#[test]
fn an_inquiry_about_a_transaction_that_nobody_remembers_is_answered_with_abort() {
    let mut inquiry = act_of(Say::QueryRef, Some("p3"), None);
    inquiry.protocol = Some("swarm-two-phase-commit".into());
    let answer = unopened(&inquiry, NotOpened::UnexpectedAct).expect("an answer");
    assert_eq!(answer.performative, Say::RejectProposal);
}

#[test]
fn a_vote_after_the_abort_is_told_of_it() {
    let mut side = initiator(RULES, &["b"]);
    let prepare = side.sent_to("b");
    side.waits_until(100)
        .hears_from("b", &prepare, Say::Confirm);
    assert_eq!(side.said(), vec![Say::RejectProposal]);
}

#[test]
fn the_coordinators_agent_may_abort_before_the_decision_and_not_after() {
    let mut side = initiator(RULES, &["b"]);
    side.decides(Decision::Cancel);
    assert_eq!(side.end(), Some(End::Aborted));
    let mut side = voted(&["b"]);
    side.decides(Decision::Cancel);
    assert_eq!(side.notices(), vec![Notice::Misplaced("cancel")]);
}

fn voter() -> Side {
    participant(Protocol::TwoPhaseCommit, Say::QueryIf)
}

#[test]
fn a_participant_votes_no_and_has_aborted() {
    let mut side = voter();
    assert!(matches!(side.asked(), Some(Question::Vote(_))));
    side.decides(Decision::Refuse(Vec::new()));
    assert_eq!(side.said(), vec![Say::Disconfirm]);
    assert_eq!(side.end(), Some(End::Aborted));
}

#[test]
fn a_participant_votes_yes_and_does_what_was_decided() {
    for (act, end, said) in [
        (Say::AcceptProposal, End::Committed, vec![Say::Inform]),
        (Say::RejectProposal, End::Aborted, vec![]),
    ] {
        let mut side = voter();
        side.decides(Decision::Done(Vec::new()));
        assert_eq!(side.said(), vec![Say::Confirm]);
        side.told(act);
        assert_eq!(side.said(), said);
        assert_eq!(side.end(), Some(end));
    }
}

#[test]
fn a_participant_in_doubt_asks_again_and_again_and_never_decides_alone() {
    let mut side = voter();
    side.decides(Decision::Done(Vec::new()));
    for n in 1..5 {
        side.waits_until(n * 1_000);
        assert_eq!(side.said(), vec![Say::QueryRef]);
    }
    side.told(Say::NotUnderstood);
    assert_eq!(side.c.state(), "prepared");
    side.on(Event::ParticipantDown {
        participant: aid("i"),
        reason: ExitReason::Killed,
    });
    assert_eq!(side.c.state(), "prepared");
    side.on(Event::AgentDown(ExitReason::Killed));
    assert_eq!(side.end(), Some(End::InDoubt));
}

#[test]
fn a_decision_that_is_said_again_is_acknowledged_again() {
    let mut side = voter();
    side.decides(Decision::Done(Vec::new()));
    side.told(Say::AcceptProposal);
    let mut again = act_of(Say::AcceptProposal, Some("i9"), Some("p1"));
    again.protocol = Some("swarm-two-phase-commit".into());
    side.hears(again);
    assert_eq!(side.said(), vec![Say::Inform]);
}

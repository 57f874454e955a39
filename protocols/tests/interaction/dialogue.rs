//! The multi-turn dialogue.

use crate::kit::*;
use swarm_protocols::Performative as Say;
use swarm_protocols::interaction::*;

fn rules(turns_max: u32) -> Rules {
    Rules::Dialogue(DialogueRules {
        turns_max,
        verbatim: 2,
        summary_bytes: 120,
    })
}

#[test]
fn the_first_turn_opens_it_and_the_answer_gives_the_turn_back() {
    let mut side = initiator(rules(8), &["b"]);
    let first = side.sent_to("b");
    assert_eq!(first.performative, Say::QueryRef);
    assert_eq!(side.c.state(), "listening");
    side.hears_from("b", &first, Say::Inform);
    assert!(matches!(
        side.asked(),
        Some(Question::Speak { turns_left: 6, .. })
    ));
    side.decides(Decision::Speak(words("and then?")));
    assert_eq!(side.sent_to("b").in_reply_to.as_deref(), Some("p1"));
}

#[test]
fn it_ends_by_itself_when_no_turn_is_left() {
    let mut side = initiator(rules(2), &["b"]);
    let first = side.sent_to("b");
    side.hears_from("b", &first, Say::Inform);
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.sent_to("b").text(), Some("(turn-limit)"));
    assert_eq!(side.end(), Some(End::Done));
}

#[test]
fn either_side_may_say_the_last_words() {
    let mut side = initiator(rules(8), &["b"]);
    let first = side.sent_to("b");
    side.hears_from("b", &first, Say::Inform)
        .decides(Decision::End(words("bye")));
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::Done));

    let mut other = participant(Protocol::Dialogue, Say::QueryRef);
    other.decides(Decision::Speak(words("hm")));
    other.told(Say::QueryRef);
    other.decides(Decision::End(words("bye")));
    assert_eq!(other.said(), vec![Say::Refuse]);
    assert_eq!(other.end(), Some(End::Done));

    let mut other = participant(Protocol::Dialogue, Say::QueryRef);
    other.told(Say::Inform);
    assert_eq!(other.end(), Some(End::Ended), "it had said nothing yet");
}

#[test]
fn a_refusal_of_the_first_turn_is_a_refusal() {
    let mut side = initiator(rules(8), &["b"]);
    let first = side.sent_to("b");
    side.hears_from("b", &first, Say::Refuse);
    assert_eq!(side.end(), Some(End::Refused));
    let mut other = participant(Protocol::Dialogue, Say::QueryRef);
    other.decides(Decision::Refuse(Vec::new()));
    assert_eq!(other.end(), Some(End::Refused));
}

#[test]
fn silence_ends_it_at_reply_by() {
    let mut side = initiator(rules(8), &["b"]);
    side.waits_until(100);
    assert_eq!(side.said(), vec![Say::Inform]);
    assert_eq!(side.end(), Some(End::TimedOut));
}

#[test]
fn the_context_keeps_the_latest_turns_and_a_summary_that_does_not_grow() {
    let mut side = initiator(rules(1_000), &["b"]);
    let mut last = side.sent_to("b");
    let mut context = None;
    for n in 0..50 {
        side.hears_from("b", &last, Say::Inform);
        if let Some(Question::Speak { context: now, .. }) = side.asked() {
            context = Some(now);
        }
        side.decides(Decision::Speak(words(&format!(
            "turn number {n} of a long talk"
        ))));
        last = side.sent_to("b");
    }
    let context = context.expect("it was its turn");
    assert_eq!(context.recent.len(), 2);
    assert_eq!(context.summarised, 98);
    assert!(context.summary.len() <= 120, "{}", context.summary.len());
    assert!(context.summary.contains("initiator: turn number 47"));
}

#[test]
fn a_participant_has_a_turn_limit_of_its_own() {
    let mut call = act_of(Say::QueryRef, Some("i1"), None);
    call.protocol = Some("swarm-dialogue".into());
    let terms = Terms {
        dialogue: DialogueRules {
            turns_max: 1,
            ..DialogueRules::default()
        },
        ..Terms::default()
    };
    let (c, said) =
        Conversation::open(&std::sync::Arc::new(call), aid("b"), &terms, at(0)).expect("opens");
    assert!(matches!(&said[0], Action::Send(m) if m.performative == Say::Refuse));
    assert_eq!(c.state(), "ended");
}

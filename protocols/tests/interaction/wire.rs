//! Both roles over a wire that loses, doubles, delays and reorders, with agents that take their time, on a virtual clock:
//! where both sides are certain, they agree; where one cannot know, its end says so.

use crate::kit::*;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, Aid, SmolStr};

const SEEDS: u64 = 200;

#[derive(Clone, Copy)]
struct Weather {
    lost: u8,
    doubled: u8,
    delay_max: i64,
    /// Whether agents say no now and then.
    is_moody: bool,
}

const FAIR: Weather = Weather {
    lost: 0,
    doubled: 0,
    delay_max: 0,
    is_moody: false,
};
const FOUL: Weather = Weather {
    lost: 25,
    doubled: 25,
    delay_max: 60,
    is_moody: true,
};

enum What {
    Arrive(SmolStr, Arc<AclMessage>),
    Decide(SmolStr, String, Decision),
    Wake(SmolStr, String),
}

/// Events in order of time, and of their making at the same time.
#[derive(Default)]
struct Agenda {
    heap: BinaryHeap<std::cmp::Reverse<(i64, u64)>>,
    what: BTreeMap<u64, What>,
    next: u64,
}

impl Agenda {
    fn put(&mut self, at: i64, what: What) {
        self.next += 1;
        self.heap.push(std::cmp::Reverse((at, self.next)));
        self.what.insert(self.next, what);
    }

    fn take(&mut self) -> Option<(i64, What)> {
        let std::cmp::Reverse((at, n)) = self.heap.pop()?;
        Some((at, self.what.remove(&n)?))
    }
}

struct World {
    weather: Weather,
    rng: fastrand::Rng,
    now: i64,
    agenda: Agenda,
    /// By agent and conversation-id.
    sides: BTreeMap<(SmolStr, String), Conversation>,
    steps: u32,
}

const TERMS: Terms = Terms {
    expires_in: Some(Duration::from_secs(5)),
    linger: Duration::from_secs(30),
    inquire_after: Duration::from_millis(300),
    dialogue: DialogueRules {
        turns_max: 8,
        verbatim: 2,
        summary_bytes: 200,
    },
};

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        Self {
            weather,
            rng: fastrand::Rng::with_seed(seed),
            now: 0,
            agenda: Agenda::default(),
            sides: BTreeMap::new(),
            steps: 0,
        }
    }

    fn run(&mut self, opening: &Opening) {
        let (c, actions) = Conversation::start(opening, at(0)).expect("good");
        let key = (opening.initiator.name.clone(), opening.id.to_string());
        self.sides.insert(key.clone(), c);
        self.carry_out(&key, actions);
        if self.weather.is_moody && self.rng.u8(0..8) == 0 {
            let when = self.rng.i64(0..300);
            self.agenda
                .put(when, What::Decide(key.0, key.1, Decision::Cancel));
        }
        while let Some((at, what)) = self.agenda.take() {
            self.now = self.now.max(at);
            self.steps += 1;
            assert!(self.steps < 50_000, "it never comes to rest");
            match what {
                What::Arrive(to, message) => self.arrive(&to, &message),
                What::Decide(who, id, decision) => {
                    self.step(&(who, id), Event::Local(decision));
                }
                What::Wake(who, id) => self.step(&(who, id), Event::Deadline),
            }
        }
    }

    fn step(&mut self, key: &(SmolStr, String), event: Event) {
        let Some(side) = self.sides.get_mut(key) else {
            return;
        };
        let actions = side.on(event, at(self.now));
        self.carry_out(key, actions);
    }

    fn arrive(&mut self, to: &str, message: &Arc<AclMessage>) {
        let Some(id) = message.conversation_id.as_ref() else {
            return;
        };
        let own = (SmolStr::from(to), id.to_string());
        let above = parent_id(id).map(|parent| (SmolStr::from(to), parent.to_owned()));
        let known = [Some(own.clone()), above]
            .into_iter()
            .flatten()
            .find(|key| self.sides.contains_key(key));
        if let Some(key) = known {
            self.step(&key, Event::Received(message.clone()));
            return;
        }
        match Conversation::open(message, Aid::named(to), &TERMS, at(self.now)) {
            Ok((c, actions)) => {
                self.sides.insert(own.clone(), c);
                self.carry_out(&own, actions);
            }
            Err(why) => {
                if let Some(mut answer) = unopened(message, why) {
                    answer.sender = Some(Aid::named(to));
                    self.send(&Arc::new(answer));
                }
            }
        }
    }

    fn send(&mut self, message: &Arc<AclMessage>) {
        for receiver in &message.receiver {
            let copies = if self.rng.u8(0..100) < self.weather.lost {
                0
            } else {
                1 + u8::from(self.rng.u8(0..100) < self.weather.doubled)
            };
            for _ in 0..copies {
                let at = self.now + self.rng.i64(0..=self.weather.delay_max);
                self.agenda
                    .put(at, What::Arrive(receiver.name.clone(), message.clone()));
            }
        }
    }

    fn carry_out(&mut self, key: &(SmolStr, String), actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(message) => self.send(&message),
                Action::Ask(question) => {
                    let decisions = self.answer(key, &question);
                    let mut when = self.now;
                    for decision in decisions {
                        when += self.rng.i64(0..40);
                        self.agenda
                            .put(when, What::Decide(key.0.clone(), key.1.clone(), decision));
                    }
                }
                Action::Arm(Some(at)) => self
                    .agenda
                    .put(at.as_millis(), What::Wake(key.0.clone(), key.1.clone())),
                Action::Arm(None)
                | Action::Tell(_)
                | Action::Outcome(_)
                | Action::Notice(_)
                | Action::Forget => {}
            }
        }
    }

    /// What an agent says: sensible, in a mood, or late.
    fn answer(&mut self, key: &(SmolStr, String), question: &Question) -> Vec<Decision> {
        let protocol = self.sides[key].protocol();
        let w = || words("w");
        let mood = if self.weather.is_moody {
            self.rng.u8(0..10)
        } else {
            9
        };
        match question {
            Question::Decide(_) => match (protocol, mood) {
                (Protocol::Propose, 0..=3) => vec![Decision::Reject(w())],
                (Protocol::Propose, _) => vec![Decision::Accept(w())],
                (_, 0) => vec![Decision::Refuse(w())],
                (_, 1) => vec![Decision::NotUnderstood(w())],
                (Protocol::Subscribe, 2) => vec![Decision::Agree(w()), Decision::Failed(w())],
                (Protocol::Subscribe, _) => {
                    vec![
                        Decision::Agree(w()),
                        Decision::Notify(w()),
                        Decision::Notify(w()),
                    ]
                }
                (Protocol::Brokering | Protocol::Recruiting, _) => {
                    let mut message = AclMessage::new(swarm_protocols::Performative::Request);
                    message.protocol = Some("fipa-request".into());
                    vec![
                        Decision::Agree(w()),
                        Decision::Forward {
                            targets: vec![aid("t"), aid("u")],
                            message: Box::new(message),
                        },
                    ]
                }
                (_, 2) => vec![Decision::Agree(w()), Decision::Failed(w())],
                (Protocol::RequestWhen, _) => vec![Decision::Agree(w()), Decision::Done(w())],
                (_, 3) => vec![Decision::Done(w())],
                (_, 4) => vec![],
                _ => vec![Decision::Agree(w()), Decision::Done(w())],
            },
            Question::Bid { price, .. } => match mood {
                0 => vec![Decision::Refuse(w())],
                1 => vec![Decision::NotUnderstood(w())],
                2 => vec![],
                _ if price.is_some_and(|p| p > 30) && protocol == Protocol::EnglishAuction => {
                    vec![Decision::Silent]
                }
                3 => vec![Decision::Propose {
                    content: w(),
                    price: *price,
                    holds_for: Some(Duration::from_millis(50)),
                }],
                _ => vec![Decision::Propose {
                    content: w(),
                    price: *price,
                    holds_for: None,
                }],
            },
            Question::Perform(_) => match mood {
                0 => vec![Decision::Failed(w())],
                1 => vec![],
                _ => vec![Decision::Done(w())],
            },
            Question::Evaluate(bids) => {
                let all: Vec<usize> = bids.iter().map(|bid| bid.bidder).collect();
                match mood {
                    0 => vec![award(&[])],
                    1 => vec![Decision::Award {
                        accept: all[..1].to_vec(),
                        reserve: all[1..].to_vec(),
                        content: w(),
                    }],
                    2 | 3 => vec![
                        Decision::Iterate {
                            to: all.clone(),
                            content: w(),
                        },
                        award(&all[..1]),
                    ],
                    _ => vec![award(&all[..1])],
                }
            }
            Question::Stop(_) => match mood {
                0..=3 => vec![Decision::GoOn(w())],
                _ => vec![Decision::Stopped(w())],
            },
            Question::Vote(_) => match mood {
                0 => vec![Decision::Refuse(w())],
                1 => vec![],
                _ => vec![Decision::Done(w())],
            },
            Question::Speak { .. } => match mood {
                0 => vec![Decision::End(w())],
                1 => vec![],
                _ => vec![Decision::Speak(w())],
            },
        }
    }
}

/// Whether the two ends of one session can both be true. Both are certain.
fn agree(protocol: Protocol, initiator: End, participant: End) -> bool {
    match (initiator, participant) {
        (a, b) if a == b => true,
        // A proposal that lapsed counts as rejected.
        (End::Rejected, End::Lapsed) => true,
        // What comes to a participant after its end is answered with failure, whatever that end was: nothing was done.
        (End::Failed, other) if !other.is_success() => true,
        // Coordinator: a no is what the participant aborted with.
        (End::Refused, End::Aborted) => protocol == Protocol::TwoPhaseCommit,
        // Last words that were lost: over all the same.
        (End::Ended, End::Done) => protocol == Protocol::Dialogue,
        // Who leaves an auction and who is outbid has bought nothing.
        (End::Rejected, End::NotUnderstood) => {
            matches!(protocol, Protocol::EnglishAuction | Protocol::DutchAuction)
        }
        _ => false,
    }
}

fn check(rules: Rules, weather: Weather, seed: u64) -> Option<(Conversation, World)> {
    let participants: &[&str] = match rules {
        Rules::Dialogue(_) | Rules::Brokering | Rules::Recruiting => &["b"],
        _ => &["b", "c", "d"],
    };
    let mut opening = opening(rules, participants);
    opening.expires_in = Some(Duration::from_secs(5));
    let mut world = World::new(seed, weather);
    world.run(&opening);
    let initiator = world.sides[&(aid("i").name, "c1".to_owned())].clone();
    let protocol = initiator.protocol();
    let outcome = initiator.outcome().expect("it has ended").clone();
    for part in &outcome.parts {
        let other = world
            .sides
            .get(&(part.participant.name.clone(), "c1".to_owned()));
        let Some(other) = other else {
            // It never heard of it: the initiator cannot believe that it did anything.
            assert!(!part.end.is_success(), "{protocol} seed {seed}: {part:?}");
            continue;
        };
        let end = other.outcome().expect("both sides end").end;
        if part.end.is_certain() && end.is_certain() {
            assert!(
                agree(protocol, part.end, end),
                "{protocol} seed {seed}: {} sees {}, the initiator {}",
                part.participant.name,
                end,
                part.end
            );
        }
        // What has atomicity in its name has it, certain or not.
        assert!(
            !((part.end == End::Committed || outcome.end == End::Committed) && end == End::Aborted
                || outcome.end == End::Aborted && end == End::Committed),
            "{protocol} seed {seed}: {part:?} and {end}"
        );
    }
    Some((initiator, world))
}

fn everywhere(rules: &Rules) {
    for seed in 0..SEEDS {
        check(rules.clone(), FOUL, seed);
    }
    for seed in 0..20 {
        let (initiator, world) = check(rules.clone(), FAIR, seed).expect("ran");
        let outcome = initiator.outcome().expect("ended");
        for part in &outcome.parts {
            assert!(
                part.end.is_certain() || initiator.protocol() == Protocol::Subscribe,
                "in fair weather everybody knows: {:?} {part:?}",
                initiator.protocol()
            );
        }
        assert!(
            outcome.end.is_success() || initiator.protocol() == Protocol::Subscribe,
            "in fair weather it succeeds: {outcome:?} after {} steps",
            world.steps
        );
    }
}

macro_rules! agreements {
    ($($name:ident: $rules:expr;)*) => {$(
        #[test]
        fn $name() {
            everywhere(&$rules);
        }
    )*};
}

agreements! {
    both_sides_of_request_agree_or_know_that_they_do_not: Rules::Request;
    both_sides_of_query_agree_or_know_that_they_do_not: Rules::QueryRef;
    both_sides_of_request_when_agree_or_know_that_they_do_not: Rules::RequestWhen;
    both_sides_of_contract_net_agree_or_know_that_they_do_not: Rules::ContractNet;
    both_sides_of_iterated_contract_net_agree_or_know_that_they_do_not:
        Rules::IteratedContractNet { rounds_max: 3 };
    both_sides_of_english_auction_agree_or_know_that_they_do_not:
        Rules::EnglishAuction(Ascending { start: 10, step: 5, reserve: 0, rounds_max: 10 });
    both_sides_of_dutch_auction_agree_or_know_that_they_do_not:
        Rules::DutchAuction(Descending { start: 30, step: 10, reserve: 10, units: 2 });
    both_sides_of_brokering_agree_or_know_that_they_do_not: Rules::Brokering;
    both_sides_of_recruiting_agree_or_know_that_they_do_not: Rules::Recruiting;
    both_sides_of_subscribe_agree_or_know_that_they_do_not: Rules::Subscribe;
    both_sides_of_propose_agree_or_know_that_they_do_not: Rules::Propose;
    both_sides_of_two_phase_commit_agree_or_know_that_they_do_not:
        Rules::TwoPhaseCommit { resend_after: Duration::from_millis(200) };
    both_sides_of_dialogue_agree_or_know_that_they_do_not:
        Rules::Dialogue(DialogueRules { turns_max: 8, verbatim: 2, summary_bytes: 200 });
}

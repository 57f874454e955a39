//! Random events: nothing that comes in, in whatever order, leaves a machine undefined, and what has a deadline ends.

use crate::kit::*;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::interaction::*;
use swarm_protocols::{AclMessage, ExitReason, Performative};

const RUNS_PER_ROLE: u64 = 150;
const EVENTS_PER_RUN: usize = 60;

fn all_rules() -> Vec<Rules> {
    vec![
        Rules::Request,
        Rules::QueryIf,
        Rules::QueryRef,
        Rules::RequestWhen,
        Rules::ContractNet,
        Rules::IteratedContractNet { rounds_max: 3 },
        Rules::EnglishAuction(Ascending {
            start: 10,
            step: 5,
            reserve: 20,
            rounds_max: 5,
        }),
        Rules::DutchAuction(Descending {
            start: 30,
            step: 10,
            reserve: 10,
            units: 2,
        }),
        Rules::Brokering,
        Rules::Recruiting,
        Rules::Subscribe,
        Rules::Propose,
        Rules::TwoPhaseCommit {
            resend_after: Duration::from_millis(50),
        },
        Rules::Dialogue(DialogueRules {
            turns_max: 6,
            verbatim: 2,
            summary_bytes: 200,
        }),
    ]
}

/// Names that a machine may be in; anything else is no state of its table.
const STATES: &[&str] = &[
    "wait-response",
    "wait-result",
    "wait-condition",
    "wait-proxy",
    "wait-replies",
    "active",
    "cancelling",
    "deciding",
    "working",
    "armed",
    "wait-bid",
    "evaluating",
    "bidding",
    "proposed",
    "performing",
    "round",
    "settling",
    "bid",
    "watching",
    "leading",
    "winning",
    "completing",
    "searching",
    "relaying",
    "voting",
    "committing",
    "aborting",
    "preparing",
    "prepared",
    "listening",
    "speaking",
    "ended",
];

struct Chance(fastrand::Rng);

impl Chance {
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.0.usize(..from.len())].clone()
    }

    fn decision(&mut self) -> Decision {
        let n = || words("w");
        match self.0.u8(0..18) {
            0 => Decision::Refuse(n()),
            1 => Decision::NotUnderstood(n()),
            2 => Decision::Agree(n()),
            3 => Decision::Done(n()),
            4 => Decision::Failed(n()),
            5 => Decision::Propose {
                content: n(),
                price: Some(self.0.i64(0..60)),
                holds_for: self.0.bool().then(|| Duration::from_millis(80)),
            },
            6 => Decision::Silent,
            7 => Decision::Accept(n()),
            8 => Decision::Reject(n()),
            9 => Decision::Notify(n()),
            10 => Decision::Stopped(n()),
            11 => Decision::GoOn(n()),
            12 => Decision::Forward {
                targets: vec![aid("t"), aid("u")],
                message: Box::new(AclMessage::new(Performative::Request)),
            },
            13 => Decision::Award {
                accept: vec![self.0.usize(0..4)],
                reserve: vec![self.0.usize(0..4), self.0.usize(0..4)],
                content: n(),
            },
            14 => Decision::Iterate {
                to: vec![self.0.usize(0..4)],
                content: n(),
            },
            15 => Decision::Cancel,
            16 => Decision::Speak(n()),
            _ => Decision::End(n()),
        }
    }

    fn message(&mut self, said: &[Arc<AclMessage>]) -> AclMessage {
        let act = self.pick(&Performative::ALL);
        let mut message = match self.0.u8(0..4) {
            0 if !said.is_empty() => self.pick(said).reply(act),
            1 if !said.is_empty() => said[said.len() - 1].reply(act),
            _ => {
                let answers = self.pick(&[None, Some("i1"), Some("i2"), Some("p1"), Some("x")]);
                act_of(act, None, answers)
            }
        };
        message.sender = match self.0.u8(0..10) {
            0 => Some(aid("ams")),
            1 => None,
            2 => Some(aid("eve")),
            _ => Some(aid(self.pick(&["b", "c", "d", "i", "t"]))),
        };
        if self.0.bool() {
            message.reply_with = Some(format!("i{}", self.0.u8(0..40)).into());
        }
        if self.0.u8(0..8) == 0 {
            message.conversation_id = self.pick(&[None, Some("c1/0".into()), Some("c9".into())]);
        }
        if self.0.bool() {
            message.user_parameters = swarm_protocols::thin_vec![
                (
                    "X-Price".into(),
                    self.pick(&["12", "-1", "many", ""]).to_owned(),
                ),
                ("X-Auction".into(), self.pick(&["start", "end"]).to_owned()),
                ("X-Targets".into(), "1".into()),
            ];
        }
        message
    }

    fn event(&mut self, said: &[Arc<AclMessage>]) -> Event {
        match self.0.u8(0..12) {
            0..=5 => Event::Received(Arc::new(self.message(said))),
            6..=8 => Event::Local(self.decision()),
            9 | 10 => Event::Deadline,
            _ if self.0.u8(0..4) == 0 => Event::AgentDown(ExitReason::Killed),
            _ => Event::ParticipantDown {
                participant: aid(self.pick(&["b", "c", "i", "t"])),
                reason: ExitReason::Killed,
            },
        }
    }
}

/// What must hold after every step.
struct Watch {
    said: Vec<Arc<AclMessage>>,
    outcomes: usize,
    armed: Option<swarm_protocols::Timestamp>,
}

impl Watch {
    fn see(&mut self, c: &Conversation, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Send(message) => {
                    assert!(!message.receiver.is_empty(), "said to nobody");
                    assert!(message.sender.is_some() && message.reply_with.is_some());
                    self.said.push(message.clone());
                }
                Action::Outcome(_) => self.outcomes += 1,
                Action::Arm(at) => self.armed = *at,
                Action::Ask(_) | Action::Tell(_) | Action::Notice(_) | Action::Forget => {}
            }
        }
        assert!(STATES.contains(&c.state()), "{} is no state", c.state());
        assert_eq!(usize::from(c.outcome().is_some()), self.outcomes);
        assert_eq!(c.due(), self.armed, "what is armed is what is due");
    }
}

fn run(seed: u64, start: impl Fn() -> (Conversation, Vec<Action>)) {
    let mut chance = Chance(fastrand::Rng::with_seed(seed));
    let (mut c, actions) = start();
    let mut watch = Watch {
        said: Vec::new(),
        outcomes: 0,
        armed: None,
    };
    watch.see(&c, &actions);
    let mut now = 0;
    for _ in 0..EVENTS_PER_RUN {
        now += chance.0.i64(0..30);
        let event = chance.event(&watch.said);
        let actions = c.on(event, at(now));
        watch.see(&c, &actions);
        if chance.0.u8(0..10) == 0 {
            let bytes = postcard::to_allocvec(&c).expect("serializes");
            let back: Conversation = postcard::from_bytes(&bytes).expect("parses");
            assert_eq!(back, c);
            c = back;
        }
    }
    // Nothing but time from here on.
    while let Some(due) = c.due() {
        if c.outcome().is_some() {
            break;
        }
        assert!(due.as_millis() <= 5_000 || due > at(now), "time goes on");
        now = now.max(due.as_millis());
        let actions = c.on(Event::Deadline, at(now));
        watch.see(&c, &actions);
    }
    assert!(c.outcome().is_some(), "it ends, as it expires at 5 s");
}

#[test]
fn every_initiator_stays_defined_and_ends() {
    for (n, rules) in all_rules().into_iter().enumerate() {
        let participants: &[&str] = match rules {
            Rules::Dialogue(_) => &["b"],
            _ => &["b", "c", "d"],
        };
        let mut opening = opening(rules.clone(), participants);
        opening.expires_in = Some(Duration::from_secs(5));
        for seed in 0..RUNS_PER_ROLE {
            let seed = seed + 10_000 * n as u64;
            println!("{rules:?} seed {seed}");
            run(seed, || Conversation::start(&opening, at(0)).expect("good"));
        }
    }
}

#[test]
fn every_participant_stays_defined_and_ends() {
    for (n, protocol) in Protocol::ALL.into_iter().enumerate() {
        let acts: Vec<_> = Performative::ALL
            .into_iter()
            .filter(|act| protocol.is_opened_by(*act))
            .collect();
        for act in acts {
            let mut call = act_of(act, Some("i1"), None);
            call.protocol = Some(protocol.token().into());
            let call = Arc::new(call);
            let terms = Terms {
                expires_in: Some(Duration::from_secs(5)),
                ..Terms::default()
            };
            for seed in 0..RUNS_PER_ROLE {
                let seed = seed + 10_000 * n as u64;
                println!("{protocol} {act} seed {seed}");
                run(seed, || {
                    Conversation::open(&call, aid("b"), &terms, at(0)).expect("opens")
                });
            }
        }
    }
}

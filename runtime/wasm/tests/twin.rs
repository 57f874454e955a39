//! An agent and its twin in WebAssembly: the same random messages lead to the same answers and to the same state.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{host, tally};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{Agent, AgentSpec, AnyRef, Failure, NoMessage, System, SystemOptions, Turn};
use swarm_protocols::{AclMessage, Aid, Name, Path, Performative, Timestamp};
use swarm_supervisors::{SupervisorFlags, SupervisorSpec};
use swarm_wasm::{Class, Grants, Limits, Plan};

const WITHIN: Duration = Duration::from_secs(60);

/// `examples/guests/tally`, natively.
#[derive(Default)]
struct Tally {
    total: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Add(u64),
    Total,
    Version,
    Legacy,
    Report,
}

#[derive(Serialize)]
struct Answer {
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl Agent for Tally {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        if message.performative != Performative::Request {
            return Ok(());
        }
        let content = message.content.as_deref().unwrap_or_default();
        let Ok(order) = serde_json::from_slice(content) else {
            turn.answer(message.reply(Performative::NotUnderstood));
            return Ok(());
        };
        let mut version = None;
        match order {
            // The guest is built without checks for overflow.
            Order::Add(number) => self.total = self.total.wrapping_add(number),
            Order::Version => version = Some(1),
            Order::Total | Order::Legacy | Order::Report => {}
        }
        let answer = Answer {
            total: self.total,
            version,
        };
        let mut told = message.reply(Performative::Inform);
        told.content = Some(serde_json::to_vec(&answer)?);
        turn.answer(told);
        Ok(())
    }
}

struct Twins {
    _system: System,
    native: AnyRef,
    guest: AnyRef,
}

async fn twins() -> Twins {
    let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
    let (grants, limits) = (Grants::all(), Limits::default());
    let component = host()
        .load_file(&tally(), Class::Default, &grants, &limits)
        .unwrap();
    let plan = Plan::new(component, "{}".to_owned(), grants, limits);
    let native = AgentSpec::new("native", Tally::default).unwrap();
    let guest = AgentSpec::new("guest", move || plan.agent()).unwrap();
    let flags = SupervisorFlags {
        intensity: 1000,
        ..SupervisorFlags::default()
    };
    let children = vec![native.child(&system), guest.child(&system)];
    let spec = SupervisorSpec::new(flags, children);
    system.start_tree(spec).await.unwrap();
    let at = |path| system.lookup(&Path::new(path).unwrap()).unwrap();
    Twins {
        native: at("/native"),
        guest: at("/guest"),
        _system: system,
    }
}

/// A message such as anybody might send.
fn random_message(random: &mut fastrand::Rng) -> AclMessage {
    let text = |random: &mut fastrand::Rng| {
        let length = random.usize(0..12);
        (0..length).map(|_| random.char(..)).collect::<String>()
    };
    let act = match random.u8(0..4) {
        0 => Performative::ALL[random.usize(..Performative::ALL.len())],
        _ => Performative::Request,
    };
    let mut message = AclMessage::new(act);
    let content = match random.u8(0..9) {
        0 => text(random).into_bytes(),
        1 => (0..random.usize(0..20)).map(|_| random.u8(..)).collect(),
        2 => b"\"version\"".to_vec(),
        3 => b"\"total\"".to_vec(),
        4 => b"\"legacy\"".to_vec(),
        5 => br#"{"add":18446744073709551615}"#.to_vec(),
        6 => br#"{"add":-1}"#.to_vec(),
        _ => format!(r#"{{"add":{}}}"#, random.u32(..)).into_bytes(),
    };
    message.content = (random.u8(0..20) > 0).then_some(content);
    let maybe = |random: &mut fastrand::Rng| random.bool().then(|| text(random));
    message.language = maybe(random).map(Into::into);
    message.encoding = maybe(random).map(Into::into);
    message.ontology = maybe(random).map(Into::into);
    message.protocol = maybe(random).map(Into::into);
    message.conversation_id = maybe(random).map(Into::into);
    message.reply_with = maybe(random).map(Into::into);
    if random.bool() {
        message.reply_by = Timestamp::from_millis(random.i64(0..4_000_000_000_000)).ok();
    }
    if random.bool() {
        message.user_parameters = swarm_protocols::thin_vec![("X-a".to_owned(), text(random))];
    }
    if random.u8(0..10) == 0 {
        message.sender = Some(Aid::named("somebody@else"));
    }
    message
}

/// What a turn came to: an answer, none, or the end of that life.
async fn told(agent: &AnyRef, message: AclMessage) -> Result<AclMessage, String> {
    let answer = agent.ask_acl(message, WITHIN).await;
    answer.map_err(|error| {
        // The reasons name their places, which differ.
        let text = error.to_string();
        let kind = text.split(['(', ':']).next().unwrap_or_default();
        kind.replace("/native", "it").replace("/guest", "it")
    })
}

fn compare(native: AclMessage, guest: AclMessage, asked: &AclMessage) {
    // A guest that does not understand says why.
    if native.performative != Performative::NotUnderstood {
        assert_eq!(native.content, guest.content, "{asked:?}");
    }
    assert_eq!(native.performative, guest.performative, "{asked:?}");
    assert_eq!(native.receiver, guest.receiver, "{asked:?}");
    assert_eq!(native.protocol, guest.protocol, "{asked:?}");
    assert_eq!(native.conversation_id, guest.conversation_id, "{asked:?}");
    assert_eq!(native.in_reply_to, guest.in_reply_to, "{asked:?}");
    assert_eq!(native.ontology, guest.ontology, "{asked:?}");
    assert_eq!(native.encoding, guest.encoding, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_messages_lead_to_the_same_answers_the_same_ends_and_the_same_state() {
    let twins = twins().await;
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        for step in 0..50 {
            let message = random_message(&mut random);
            let native = told(&twins.native, message.clone()).await;
            let guest = told(&twins.guest, message.clone()).await;
            match (native, guest) {
                (Ok(native), Ok(guest)) => compare(native, guest, &message),
                (Err(native), Err(guest)) => {
                    assert_eq!(native, guest, "seed {seed}, step {step}: {message:?}");
                }
                (native, guest) => {
                    panic!("seed {seed}, step {step}: {message:?}: {native:?}, {guest:?}")
                }
            }
        }
        let mut total = AclMessage::new(Performative::Request);
        total.content = Some(b"\"total\"".to_vec());
        let native = told(&twins.native, total.clone()).await.unwrap();
        let guest = told(&twins.guest, total).await.unwrap();
        assert_eq!(native.content, guest.content, "seed {seed}");
    }
    assert_eq!(
        twins.native.incarnation(),
        twins.guest.incarnation(),
        "they crashed equally often"
    );
}

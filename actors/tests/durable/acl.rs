//! ACL messages of durable agents: kept in the outbox like commands, whoever gets them.

use crate::account::{SECOND, journal, stream};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::durable::{Decider, Decision, Durability, DurableRef, DurableSpec, Form, Stored};
use swarm_actors::journal::{Bounds, Journal, MemoryJournal};
use swarm_actors::testkit::TestSystem;
use swarm_actors::{Agent, AgentRef, AgentSpec, Failure, NoMessage, Turn};
use swarm_protocols::{AclMessage, Path, Performative};
use tokio::sync::mpsc;

/// Says to others what it is told to, and keeps what it hears.
struct Gossip;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Order {
    Say { to: String, text: String },
    Hear { text: String, act: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Happened {
    Said(String),
    Heard(String, String),
}

impl Stored for Happened {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for Gossip {
    type State = Vec<Happened>;
    type Command = Order;
    type Event = Happened;
    type Answer = ();

    fn decide(
        &self,
        _: &Vec<Happened>,
        order: Order,
        turn: &mut Decision<'_, Self>,
    ) -> Result<(), Failure> {
        match order {
            Order::Say { to, text } => {
                let mut message = AclMessage::new(Performative::Request);
                message.content = Some(text.clone().into_bytes());
                turn.send_acl(&Path::new(&to)?, &message);
                turn.record(Happened::Said(text));
            }
            Order::Hear { text, act } => turn.record(Happened::Heard(text, act)),
        }
        Ok(())
    }

    fn evolve(&self, state: &mut Vec<Happened>, event: &Happened) {
        state.push(event.clone());
    }

    fn acl_command(&self, message: &AclMessage) -> Option<Order> {
        Some(Order::Hear {
            text: message.text().unwrap_or_default().to_owned(),
            act: message.performative.to_string(),
        })
    }
}

fn spec(id: &str, durability: &Durability) -> DurableSpec<Gossip> {
    DurableSpec::new(id, Gossip, durability).expect("a name")
}

/// A volatile agent that hands on what it hears.
struct Listener(mpsc::Sender<String>);

impl Agent for Listener {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        _: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let sender = message.sender.as_ref().map_or("", |aid| aid.name.as_str());
        let heard = format!("{} {}", sender, message.text().unwrap_or_default());
        self.0.send(heard).await?;
        Ok(())
    }
}

async fn listen(system: &TestSystem) -> (AgentRef<NoMessage>, mpsc::Receiver<String>) {
    let (heard, hears) = mpsc::channel(64);
    let spec = AgentSpec::new("listener", move || Listener(heard.clone())).expect("a name");
    (system.spawn(spec).await.expect("it starts"), hears)
}

async fn say(agent: &DurableRef<Gossip>, to: &str, text: &str) {
    let order = Order::Say {
        to: to.to_owned(),
        text: text.to_owned(),
    };
    agent.ask(order, 10 * SECOND).await.expect("said");
}

fn events(journal: &MemoryJournal, path: &str) -> Vec<Happened> {
    let replay = journal.read(&stream(path), Bounds::from(1)).expect("read");
    let read = |event: swarm_actors::journal::Recorded| {
        postcard::from_bytes(&event.data.payload).expect("an event")
    };
    replay.events.into_iter().map(read).collect()
}

#[tokio::test(start_paused = true)]
async fn a_durable_agent_applies_an_acl_message_once_and_its_answer_comes_back_once() {
    let journal = journal();
    let durability = Durability::new(Arc::new(journal.clone()));
    let system = TestSystem::start().await;
    let a = system
        .spawn_durable(spec("a", &durability))
        .await
        .expect("starts");
    // Nobody is there yet: it waits in the outbox.
    say(&a, "/b", "hello").await;
    tokio::time::sleep(SECOND).await;
    let b = system
        .spawn_durable(spec("b", &durability))
        .await
        .expect("starts");
    tokio::time::sleep(100 * SECOND).await;
    b.agent().any().kill();
    a.agent().any().kill();
    tokio::time::sleep(100 * SECOND).await;
    let heard = |text: &str, act: &str| Happened::Heard(text.to_owned(), act.to_owned());
    assert_eq!(events(&journal, "/b"), [heard("hello", "request")]);
    // The answer is an answer: nobody answers that.
    assert_eq!(
        events(&journal, "/a"),
        [Happened::Said("hello".to_owned()), heard("", "inform")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_volatile_agent_settles_an_acl_message_by_having_room_for_it() {
    let journal = journal();
    let durability = Durability::new(Arc::new(journal.clone()));
    let system = TestSystem::start().await;
    let a = system
        .spawn_durable(spec("a", &durability))
        .await
        .expect("starts");
    say(&a, "/listener", "one").await;
    say(&a, "/listener", "two").await;
    tokio::time::sleep(SECOND).await;
    let (_listener, mut hears) = listen(&system).await;
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(hears.try_recv().as_deref(), Ok("/a@test one"), "in order");
    assert_eq!(hears.try_recv().as_deref(), Ok("/a@test two"));
    assert!(hears.try_recv().is_err(), "and not again");
    // What was taken is on record with the next turn: the next life has nothing to send.
    say(&a, "/listener", "three").await;
    tokio::time::sleep(SECOND).await;
    say(&a, "/nobody", "x").await;
    a.agent().any().kill();
    tokio::time::sleep(100 * SECOND).await;
    say(&a, "/nobody", "y").await;
    assert_eq!(hears.try_recv().as_deref(), Ok("/a@test three"));
    assert!(hears.try_recv().is_err(), "once");
}

/// A command type whose bytes somebody else chooses.
struct Raw;

impl Decider for Raw {
    type State = u64;
    type Command = [u8; 20];
    type Event = Happened;
    type Answer = ();

    fn decide(
        &self,
        _: &u64,
        command: [u8; 20],
        turn: &mut Decision<'_, Self>,
    ) -> Result<(), Failure> {
        turn.send::<Self>(&Path::new("/other")?, &command);
        Ok(())
    }

    fn evolve(&self, _: &mut u64, _: &Happened) {}
}

#[tokio::test(start_paused = true)]
async fn a_command_that_looks_like_an_acl_message_is_not_sent() {
    let durability = Durability::new(Arc::new(journal()));
    let system = TestSystem::start().await;
    let spec = DurableSpec::new("raw", Raw, &durability).expect("a name");
    let raw = system.spawn_durable(spec).await.expect("starts");
    let mut command = [0xff; 20];
    raw.ask(command, Duration::from_secs(1))
        .await
        .expect("only like one");
    command[12..16].copy_from_slice(b"acl\x01");
    let refused = raw.ask(command, Duration::from_secs(1)).await;
    let refused = refused.expect_err("it is not told from one").to_string();
    assert!(
        refused.contains("cannot be told from an ACL message"),
        "{refused}"
    );
}

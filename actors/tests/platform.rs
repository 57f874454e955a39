//! The AMS and the DF of a node: they answer, they outlive crashes, and nobody does what is not theirs to do.

#![allow(
    clippy::unwrap_used,
    reason = "what these tests are built of is there, or the test is wrong"
)]

use std::sync::Arc;
use std::time::Duration;
use swarm_actors::platform::{Platform, PlatformOptions};
use swarm_actors::*;
use swarm_protocols::{AclMessage, Aid, Name, Performative};
use swarm_supervisors::{ChildSpec, SupervisorFlags, SupervisorSpec};

const SECOND: Duration = Duration::from_secs(1);

/// Says in ACL what it is told to, and keeps what it hears.
#[derive(Default)]
struct Member {
    heard: Vec<String>,
}

enum Told {
    Ask(&'static str, AclMessage, ReplyTo<AclMessage>),
    Say(AclMessage),
    Heard(ReplyTo<Vec<String>>),
}

impl Message for Told {}

impl Agent for Member {
    type Message = Told;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, message: Told) -> Result<(), Failure> {
        match message {
            Told::Ask(whom, message, reply) => {
                let whom = turn.system().whereis(&Name::new(whom)?).ok_or("nobody")?;
                let answer = turn.ask_acl(&whom, message, SECOND * 20).await?;
                turn.reply(reply, answer);
            }
            Told::Say(message) => turn.send_to_receivers(message),
            Told::Heard(reply) => turn.reply(reply, self.heard.clone()),
        }
        Ok(())
    }

    async fn on_acl(
        &mut self,
        _: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        self.heard.push(told(&message).1);
        Ok(())
    }
}

struct World {
    system: System,
    platform: Platform,
}

impl World {
    async fn new() -> Self {
        let name = Name::new("n1").unwrap();
        let system = System::new(SystemOptions {
            watchdog: Watchdog::Task,
            ..SystemOptions::new(name, 1)
        });
        let member = |id: &str| -> ChildSpec {
            AgentSpec::new(id, Member::default)
                .unwrap()
                .registered(Name::new(id).unwrap())
                .child(&system)
        };
        let plain = AgentSpec::new("c", Member::default).unwrap().child(&system);
        let children = vec![member("a"), member("b"), plain];
        let spec = SupervisorSpec::new(SupervisorFlags::default(), children);
        system.start_tree(spec).await.unwrap();
        let platform = Platform::start(&system, PlatformOptions::new("market"))
            .await
            .unwrap();
        Self { system, platform }
    }

    fn member(&self, path: &str) -> AgentRef<Told> {
        let path = swarm_protocols::Path::new(path).unwrap();
        self.system.lookup_typed(&path).unwrap()
    }

    /// What `whom` answers to a request of the agent at `path`.
    async fn ask(&self, path: &str, whom: &'static str, act: &str) -> (Performative, String) {
        self.ask_as(path, whom, act, None).await
    }

    async fn ask_as(
        &self,
        path: &str,
        whom: &'static str,
        act: &str,
        sender: Option<&str>,
    ) -> (Performative, String) {
        let mut message = request(whom, act);
        message.sender = sender.map(Aid::named);
        let ask = |reply| Told::Ask(whom, message, reply);
        told(&self.member(path).ask(ask, SECOND * 30).await.unwrap())
    }

    async fn found(&self, service_type: &str) -> String {
        let search = format!(
            "(search (df-agent-description :services (set (service-description :type {service_type}))) \
             (search-constraints :max-results -1))"
        );
        let (act, content) = self.ask("/b", "df", &search).await;
        assert_eq!(act, Performative::Inform, "{content}");
        content[content.rfind("(sequence").unwrap()..].to_owned()
    }
}

fn request(whom: &str, act: &str) -> AclMessage {
    let mut message = AclMessage::new(Performative::Request);
    message.receiver = vec![Aid::named(format!("{whom}@market"))];
    message.content =
        Some(format!("((action (agent-identifier :name {whom}@market) {act}))").into_bytes());
    message.language = Some("fipa-sl0".into());
    message.ontology = Some("FIPA-Agent-Management".into());
    message.reply_with = Some("r1".into());
    message.conversation_id = Some("c1".into());
    message
}

fn told(message: &AclMessage) -> (Performative, String) {
    let content = message.content.clone().unwrap_or_default();
    (message.performative, String::from_utf8(content).unwrap())
}

fn register(agent: &str, lease: &str) -> String {
    format!(
        "(register (df-agent-description :name (agent-identifier :name {agent}) \
         :services (set (service-description :name s :type t)){lease}))"
    )
}

fn modify(agent: &str, state: &str) -> String {
    format!(
        "(modify (ams-agent-description :name (agent-identifier :name {agent}) :state {state}))"
    )
}

fn deregister(agent: &str) -> String {
    format!("(deregister (ams-agent-description :name (agent-identifier :name {agent})))")
}

fn state(world: &World, path: &str) -> ActorState {
    world.member(path).any().info().state
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

#[tokio::test(start_paused = true)]
async fn an_agent_registers_itself_and_others_find_it() {
    let world = World::new().await;
    let (act, content) = world.ask("/a", "df", &register("a@market", "")).await;
    assert_eq!(act, Performative::Inform, "{content}");
    assert!(world.found("t").await.contains("a@market"));
    // Its node's name is as good as the platform's.
    let (act, content) = world.ask("/b", "df", &register("b@n1", "")).await;
    assert_eq!(act, Performative::Inform, "{content}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_a_registered_name_is_known_by_its_path() {
    let world = World::new().await;
    let (act, content) = world.ask("/c", "df", &register("/c@market", "")).await;
    assert_eq!(act, Performative::Inform, "{content}");
}

#[tokio::test(start_paused = true)]
async fn nobody_registers_another_nor_poses_as_one() {
    let world = World::new().await;
    let (act, _) = world.ask("/a", "df", &register("b@market", "")).await;
    assert_eq!(act, Performative::Refuse);
    let posing = world
        .ask_as("/a", "df", &register("b@market", ""), Some("b@market"))
        .await;
    assert_eq!(posing.0, Performative::Refuse, "{}", posing.1);
    let foreign = world
        .ask_as("/a", "df", &register("x@jade", ""), Some("x@jade"))
        .await;
    assert_eq!(foreign.0, Performative::Refuse, "{}", foreign.1);
    // From outside, too, a name is not enough.
    let df = world.system.whereis(&Name::new("df").unwrap()).unwrap();
    let mut message = request("df", &register("a@market", ""));
    message.sender = Some(Aid::named("a@market"));
    let answer = df.ask_acl(message, SECOND).await.unwrap();
    assert_eq!(told(&answer).0, Performative::Refuse);
    assert_eq!(world.found("t").await, "(sequence)))");
}

#[tokio::test(start_paused = true)]
async fn entries_and_subscriptions_outlive_a_crash_of_the_df() {
    let world = World::new().await;
    world.ask("/a", "df", &register("a@market", "")).await;
    let mut subscribe = request("df", "");
    subscribe.performative = Performative::Subscribe;
    subscribe.content = Some(
        b"((iota ?x (result (action (agent-identifier :name df@market) (search \
          (df-agent-description) (search-constraints :max-results -1))) ?x)))"
            .to_vec(),
    );
    let b = world.member("/b");
    b.send(Told::Say(subscribe)).await.ok().unwrap();
    let heard = async || b.ask(Told::Heard, SECOND).await.unwrap();
    until(async || heard().await.len() == 1).await;

    let df = world.system.whereis(&Name::new("df").unwrap()).unwrap();
    df.kill();
    until(async || df.incarnation().0 == 2).await;
    assert!(world.found("t").await.contains("a@market"));
    // The end of an agent is heard of by the DF's new life as well.
    world.system.tree().unwrap();
    let a = swarm_protocols::Path::new("/a").unwrap();
    world.system.stop(&a).await.unwrap();
    let name = a.name().unwrap();
    world
        .system
        .tree()
        .unwrap()
        .delete_child(name)
        .await
        .unwrap();
    until(async || heard().await.len() == 2).await;
    let last = heard().await.pop().unwrap();
    assert!(
        last.contains("(sequence (df-agent-description :name (agent-identifier :name a@"),
        "{last}"
    );
    assert_eq!(world.found("t").await, "(sequence)))");
}

#[tokio::test(start_paused = true)]
async fn an_entry_vanishes_when_its_lease_is_over_though_nobody_asks() {
    let world = World::new().await;
    let until_then = {
        let now = i64::try_from(world.system.wall_ms()).unwrap();
        let end = swarm_protocols::Timestamp::from_millis(now + 60_000).unwrap();
        swarm_protocols::sl::write_term(&swarm_protocols::sl::Term::date(end)).unwrap()
    };
    let (act, content) = world
        .ask(
            "/a",
            "df",
            &register("a@market", &format!(" :lease-time {until_then}")),
        )
        .await;
    assert_eq!(act, Performative::Inform, "{content}");
    tokio::time::sleep(SECOND * 30).await;
    assert!(world.found("t").await.contains("a@market"));
    tokio::time::sleep(SECOND * 31).await;
    assert_eq!(world.found("t").await, "(sequence)))");
}

#[tokio::test(start_paused = true)]
async fn the_ams_shows_the_agents_that_are_there_in_their_real_states() {
    let world = World::new().await;
    world.member("/b").any().pause();
    let search = "(search (ams-agent-description) (search-constraints :max-results -1))";
    let (_, content) = world.ask("/a", "ams", search).await;
    for agent in [
        "a@market) :state active",
        "b@market) :state suspended",
        "/c@market) :state",
        "ams@market) :state",
        "df@market) :state",
    ] {
        assert!(content.contains(agent), "{agent} in {content}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_suspend_and_terminate_itself_and_nobody_else() {
    let world = World::new().await;
    for act in [modify("b@market", "suspended"), deregister("b@market")] {
        let (performative, content) = world.ask("/a", "ams", &act).await;
        assert_eq!(performative, Performative::Refuse, "{content}");
        assert!(content.contains("unauthorised"), "{content}");
    }
    assert!(world.member("/b").any().is_alive());
    assert_ne!(state(&world, "/b"), ActorState::Paused);
    let a = world.member("/a");
    let mut suspend = request("ams", &modify("a@market", "suspended"));
    suspend.reply_with = None;
    a.send(Told::Say(suspend)).await.ok().unwrap();
    until(async || state(&world, "/a") == ActorState::Paused).await;
    // Only the AMS's own people wake it again.
    let (act, _) = world.ask("/b", "ams", &modify("a@market", "active")).await;
    assert_eq!(act, Performative::Refuse);
    let resume = request("ams", &modify("a@market", "active"));
    let answer = world.platform.ask_ams(resume, SECOND).await.unwrap();
    assert_eq!(told(&answer).0, Performative::Inform);
    until(async || state(&world, "/a") != ActorState::Paused).await;
    let end = request("ams", &deregister("a@market"));
    a.send(Told::Say(end)).await.ok().unwrap();
    until(async || a.any().state() == ActorState::Stopped).await;
}

#[tokio::test(start_paused = true)]
async fn the_operator_terminates_and_is_told_when_it_is_done() {
    let world = World::new().await;
    let end = request("ams", &deregister("b@market"));
    let answer = world.platform.ask_ams(end, SECOND * 10).await.unwrap();
    let (act, content) = told(&answer);
    assert_eq!(act, Performative::Inform, "{content}");
    assert_eq!(world.member("/b").any().state(), ActorState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn the_nodes_own_agents_are_not_among_the_users() {
    let world = World::new().await;
    let paths = |agents: Vec<AnyRef>| -> Vec<String> {
        let mut paths: Vec<_> = agents
            .iter()
            .map(|agent| agent.path().to_string())
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(world.system.agents()), ["/a", "/b", "/c"]);
    let services = paths(world.system.service_agents());
    assert_eq!(services, ["/system/ams", "/system/df"]);
    assert!(
        world
            .system
            .actors()
            .iter()
            .all(|actor| !actor.path.as_str().starts_with("/system"))
    );
    // The end of the users' tree is not theirs.
    world.system.stop_tree(SECOND).await;
    assert!(world.system.services().is_some());
    world.system.stop_services(SECOND).await;
    assert!(world.system.services().is_none());
}

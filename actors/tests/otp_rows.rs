//! The halves of OTP's rows that need agents (`docs/otp-conformance.md`); those of links, kills and names under load are
//! beside their like in `bonds.rs`.

mod kit;

use kit::*;
use swarm_actors::*;
use swarm_protocols::{AclMessage, ExitReason, Name, Path, Performative};
use swarm_supervisors::{
    CallError, ChildSpec, StartError, Strategy, SupervisorFlags, SupervisorSpec,
};

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn path(text: &str) -> Path {
    Path::new(text).expect("a path")
}

fn counter(system: &System, id: &str) -> ChildSpec {
    AgentSpec::new(id, Counter::default)
        .expect("a name")
        .child(system)
}

fn called(system: &System, id: &str, registered: &str) -> ChildSpec {
    AgentSpec::new(id, Counter::default)
        .expect("a name")
        .registered(name(registered))
        .child(system)
}

/// A supervisor that bears many restarts.
fn over(id: &str, children: Vec<ChildSpec>) -> ChildSpec {
    let flags = SupervisorFlags::new(Strategy::OneForOne).intensity(1000, SECOND);
    ChildSpec::supervisor(name(id), SupervisorSpec::new(flags, children))
}

/// `/sub/a` and `/sub/b`, and a stranger at `/c`.
async fn family() -> World {
    let system = system();
    let sub = over("sub", vec![counter(&system, "a"), counter(&system, "b")]);
    let stranger = counter(&system, "c");
    World::start(system, vec![sub, stranger]).await
}

fn at(world: &World, text: &str) -> AgentRef<Count> {
    world.system.lookup_typed(&path(text)).expect("it is there")
}

#[tokio::test(start_paused = true)]
async fn s08_a_tree_whose_agent_wants_a_name_that_is_taken_does_not_start_and_names_the_holder() {
    let system = system();
    let holder = called(&system, "holder", "the-one");
    let world = World::start(system, vec![holder]).await;
    let holder = world.agent("holder").any();
    let rival = called(&world.system, "rival", "the-one");
    let sub = over("sub", vec![counter(&world.system, "first"), rival]);
    let root = world.system.tree().expect("runs");
    let refused = root.start_child(sub).await.expect_err("taken");
    let cause = StartError::Child {
        id: name("rival"),
        cause: Box::new(StartError::AlreadyStarted(holder.pid())),
    };
    assert_eq!(refused, CallError::StartFailed(cause.reason()));
    assert_eq!(
        world.system.whereis(&name("the-one")),
        Some(holder.clone()),
        "the holder keeps it"
    );
    assert!(holder.is_alive());
    assert_eq!(holder.incarnation().0, 1);
    assert!(world.system.lookup(&path("/sub/first")).is_none());
}

#[tokio::test(start_paused = true)]
async fn s08_a_supervisor_under_a_name_that_is_taken_is_already_started() {
    let world = family().await;
    let root = world.system.tree().expect("runs");
    let sub = world
        .system
        .supervisor(&path("/sub"))
        .await
        .expect("it runs");
    let second = over("sub", Vec::new());
    let refused = root.start_child(second).await.expect_err("taken");
    assert_eq!(refused, CallError::AlreadyStarted(sub.pid()));
    let second = SupervisorSpec::default();
    let refused = world.system.start_tree(second).await.expect_err("taken");
    assert_eq!(refused, StartError::AlreadyStarted(root.pid()));
    assert!(sub.is_alive());
    assert_eq!(at(&world, "/sub/a").ask(Count::Get, SECOND).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn s51_an_exit_from_somebody_else_than_the_parent_stops_no_supervisor() {
    let world = family().await;
    let sub = world
        .system
        .supervisor(&path("/sub"))
        .await
        .expect("it runs");
    assert!(
        world.system.lookup(&path("/sub")).is_none(),
        "there is no address to send a supervisor an exit to"
    );
    let (a, b) = (at(&world, "/sub/a"), at(&world, "/sub/b"));
    // What a stranger can do to a child is its own end, which its supervisor treats as such.
    for (life, reason) in [ExitReason::SHUTDOWN, ExitReason::error_text("any")]
        .into_iter()
        .enumerate()
    {
        a.any().exit(reason);
        until("it is back", || {
            a.any().is_alive() && a.any().incarnation().0 == life as u64 + 2
        })
        .await;
    }
    assert!(sub.is_alive());
    assert_eq!(sub.pid().incarnation.0, 1);
    assert_eq!(b.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(b.any().incarnation().0, 1);
}

#[tokio::test(start_paused = true)]
async fn s124_a_linked_stranger_that_dies_takes_the_child_and_not_its_supervisor() {
    let world = family().await;
    let sub = world
        .system
        .supervisor(&path("/sub"))
        .await
        .expect("it runs");
    let (a, b, stranger) = (at(&world, "/sub/a"), at(&world, "/sub/b"), at(&world, "/c"));
    a.send(Count::Link(stranger.any())).await.expect("taken");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    stranger
        .send(Count::Stop(ExitReason::error_text("done for")))
        .await
        .expect("taken");
    until("both are back", || {
        [&a, &stranger]
            .iter()
            .all(|agent| agent.any().is_alive() && agent.any().incarnation().0 == 2)
    })
    .await;
    assert!(sub.is_alive());
    assert_eq!(sub.pid().incarnation.0, 1);
    assert_eq!(b.any().incarnation().0, 1);
    // The link was that of the lives that are over.
    stranger.any().kill();
    until("the stranger is back", || {
        stranger.any().incarnation().0 == 3
    })
    .await;
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(a.any().incarnation().0, 2);
}

#[tokio::test(start_paused = true)]
async fn s124_a_message_that_nobody_knows_is_answered_so_and_ends_nobody() {
    let world = family().await;
    let a = at(&world, "/sub/a").any();
    let mut unknown = AclMessage::new(Performative::Propose);
    unknown.language = Some("klingon".into());
    unknown.content = Some(vec![0xff, 0x00]);
    let answer = a.ask_acl(unknown, SECOND).await.expect("answered");
    assert_eq!(answer.performative, Performative::NotUnderstood);
    assert!(
        a.typed::<Never>().is_none(),
        "what is of another type cannot be sent"
    );
    assert_eq!(a.incarnation().0, 1);
    let sub = world.system.supervisor(&path("/sub")).await;
    assert_eq!(sub.expect("it runs").pid().incarnation.0, 1);
}

enum Never {}

impl Message for Never {}

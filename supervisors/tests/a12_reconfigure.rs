//! otp.md A12: changing the configuration of a live supervisor.

mod common;

use common::puppet::{Puppet, args, env, name, quiet, spec};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::ExitReason;
use swarm_supervisors::{
    CallError, ChildState, Root, Shutdown, SpecError, Strategy, SupervisorFlags, SupervisorSpec,
    start_root,
};

type Answer = Result<Option<SupervisorSpec>, ExitReason>;

async fn changeable(first: SupervisorSpec) -> (Root, Arc<Mutex<Answer>>) {
    let config = Arc::new(Mutex::new(Ok(Some(first))));
    let init = {
        let config = config.clone();
        move || config.lock().clone()
    };
    (start_root(env(), init).await.expect("starts"), config)
}

async fn which(root: &Root) -> Vec<(String, bool)> {
    let children = root.supervisor().which_children().await.expect("lives");
    let show = |child: swarm_supervisors::ChildEntry| {
        (child.name.to_string(), child.state != ChildState::Stopped)
    };
    children.into_iter().map(show).collect()
}

#[tokio::test(start_paused = true)]
async fn s149_new_flags_are_taken_over_and_children_are_not_touched() {
    let puppets = [Puppet::new(), Puppet::new()];
    let configured = |flags| spec(flags, [puppets[0].spec("a"), puppets[1].spec("b")]);
    let (root, config) = changeable(configured(SupervisorFlags::default())).await;
    let flags = SupervisorFlags::new(Strategy::OneForAll).intensity(3, Duration::from_secs(60));
    *config.lock() = Ok(Some(configured(flags)));
    root.supervisor().reconfigure().await.expect("fits");
    assert_eq!((puppets[0].lives(), puppets[1].lives()), (1, 1));
    for n in 2..5 {
        puppets[0].crash();
        quiet().await;
        assert_eq!(puppets[1].lives(), n, "one for all now, and three times");
    }
    puppets[0].crash();
    assert_eq!(root.wait().await, ExitReason::SHUTDOWN);
}

#[tokio::test(start_paused = true)]
async fn s150_new_children_are_known_but_not_started() {
    let puppet = Puppet::new();
    let (root, config) = changeable(SupervisorSpec::default()).await;
    let children = [puppet.spec("child1"), puppet.spec("child2")];
    *config.lock() = Ok(Some(spec(SupervisorFlags::default(), children)));
    root.supervisor().reconfigure().await.expect("fits");
    assert_eq!(puppet.lives(), 0);
    let stopped = [("child2".to_owned(), false), ("child1".to_owned(), false)];
    assert_eq!(which(&root).await, stopped);
    root.supervisor()
        .restart_child(&name("child1"))
        .await
        .expect("starts");
    assert_eq!(puppet.lives(), 1);
}

#[tokio::test(start_paused = true)]
async fn s151_a_child_that_is_no_longer_named_stays_and_goes_last() {
    let puppets = [Puppet::new(), Puppet::new(), Puppet::new()];
    let first = [puppets[0].spec("child1"), puppets[1].spec("child2")];
    let (root, config) = changeable(spec(SupervisorFlags::default(), first)).await;
    let second = [
        puppets[0].spec("child1").shutdown(Shutdown::BrutalKill),
        puppets[2].spec("child3"),
    ];
    *config.lock() = Ok(Some(spec(SupervisorFlags::default(), second)));
    root.supervisor().reconfigure().await.expect("fits");
    let expected = [("child2", true), ("child3", false), ("child1", true)];
    assert_eq!(
        which(&root).await,
        expected.map(|(name, runs)| (name.to_owned(), runs))
    );
    assert_eq!(puppets[0].lives(), 1, "the same life");
    let view = root
        .supervisor()
        .child_spec(&name("child1"))
        .await
        .expect("known");
    assert_eq!(view.shutdown, Shutdown::BrutalKill);
}

#[tokio::test(start_paused = true)]
async fn s152_an_init_that_ignores_changes_nothing() {
    let puppet = Puppet::new();
    let (root, config) = changeable(spec(SupervisorFlags::default(), [puppet.spec("a")])).await;
    *config.lock() = Ok(None);
    assert_eq!(root.supervisor().reconfigure().await, Ok(()));
    assert_eq!(which(&root).await, [("a".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn s153_a_bad_answer_is_named_and_changes_nothing() {
    let puppet = Puppet::new();
    let (root, config) = changeable(spec(SupervisorFlags::default(), [puppet.spec("a")])).await;
    let supervisor = root.supervisor();
    let zero = SupervisorFlags::new(Strategy::OneForAll).intensity(1, Duration::ZERO);
    let simple = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let twice = [puppet.spec("b"), puppet.spec("b")];
    let plain = SupervisorFlags::default();
    for (answer, expected) in [
        (
            Ok(Some(spec(zero, []))),
            CallError::Invalid(SpecError::InvalidPeriod),
        ),
        (
            Ok(Some(spec(plain, twice))),
            CallError::Invalid(SpecError::DuplicateChild(name("b"))),
        ),
        (
            Ok(Some(spec(simple, [puppet.spec("t")]))),
            CallError::Invalid(SpecError::StrategyChange),
        ),
        (
            Err(ExitReason::error_text("garbage")),
            CallError::StartFailed(ExitReason::error_text("garbage")),
        ),
    ] {
        *config.lock() = answer;
        assert_eq!(supervisor.reconfigure().await, Err(expected));
        assert_eq!(which(&root).await, [("a".to_owned(), true)]);
    }
}

#[tokio::test(start_paused = true)]
async fn s154_a_template_can_be_replaced_by_exactly_one_other() {
    let [old, new] = [Puppet::new(), Puppet::new()];
    let flags = SupervisorFlags::new(Strategy::SimpleOneForOne);
    let (root, config) = changeable(spec(flags, [old.spec("t")])).await;
    let supervisor = root.supervisor();
    supervisor
        .start_instance(None, args(1))
        .await
        .expect("starts");
    *config.lock() = Ok(Some(spec(flags, [new.spec("t")])));
    assert_eq!(supervisor.reconfigure().await, Ok(()));
    supervisor
        .start_instance(None, args(2))
        .await
        .expect("starts");
    assert_eq!((old.args(), new.args()), (vec![1], vec![2]));
    for children in [vec![], vec![new.spec("t"), new.spec("u")]] {
        let count = children.len();
        *config.lock() = Ok(Some(spec(flags, children)));
        let expected = CallError::Invalid(SpecError::NotOneTemplate(count));
        assert_eq!(supervisor.reconfigure().await, Err(expected));
    }
}

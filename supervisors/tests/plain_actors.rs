//! Plain ractor actors under supervision: they know nothing of it.

mod common;

use common::puppet::{env, name};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::{ExitReason, Incarnation};
use swarm_supervisors::plain::PlainActor;
use swarm_supervisors::{
    CallError, ChildSpec, Report, ReportReason, Restart, Root, Shutdown, SupervisorFlags,
    SupervisorSpec, start_root,
};

#[derive(Clone, Debug)]
enum Order {
    Fail,
    Panic,
    StopWith(Option<&'static str>),
    Hang,
}

/// What became of the actors, in order.
type Diary = Arc<Mutex<Vec<&'static str>>>;

struct Plain {
    diary: Diary,
    fails_to_start: bool,
}

impl Actor for Plain {
    type Msg = Order;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Order>, (): ()) -> Result<(), ActorProcessingErr> {
        if self.fails_to_start {
            return Err(Box::new(std::fmt::Error));
        }
        self.diary.lock().push("started");
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.diary.lock().push("stopped in order");
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Fail => Err(Box::new(std::fmt::Error)),
            Order::Panic => panic!("told to"),
            Order::StopWith(reason) => {
                myself.stop(reason.map(str::to_owned));
                Ok(())
            }
            Order::Hang => std::future::pending().await,
        }
    }
}

struct Fixture {
    root: Root,
    start: Arc<PlainActor<Order>>,
    diary: Diary,
    log: Arc<common::puppet::Log>,
}

async fn supervised(change: impl FnOnce(ChildSpec) -> ChildSpec) -> Fixture {
    let diary = Diary::default();
    let start = Arc::new(PlainActor::new({
        let diary = diary.clone();
        move |link| {
            let plain = Plain {
                diary: diary.clone(),
                fails_to_start: false,
            };
            Actor::spawn_linked(None, plain, (), link)
        }
    }));
    let log = Arc::new(common::puppet::Log::default());
    let flags = SupervisorFlags::default().intensity(10, Duration::from_secs(60));
    let child = change(ChildSpec::new(name("plain"), start.clone()));
    let env = env().with_observer(log.clone());
    let root = start_root(env, SupervisorSpec::new(flags, vec![child]))
        .await
        .expect("starts");
    Fixture {
        root,
        start,
        diary,
        log,
    }
}

impl Fixture {
    fn tell(&self, order: Order) {
        let actor = self.start.actor().expect("it was started");
        actor.send_message(order).expect("it runs");
    }

    /// Waits until the supervisor has reported the end of a child, and returns the reason.
    async fn reported(&self) -> ExitReason {
        for _ in 0..100_000 {
            let reason = self.log.take().into_iter().find_map(|report| match report {
                Report::Supervisor(report) => match report.reason {
                    ReportReason::Exit(reason) => Some(reason),
                    ReportReason::Start(_) | ReportReason::ReachedMaxRestartIntensity => None,
                },
                _ => None,
            });
            if let Some(reason) = reason {
                return reason;
            }
            tokio::task::yield_now().await;
        }
        panic!("no end was reported");
    }
}

#[tokio::test]
async fn each_end_of_a_plain_actor_has_its_typed_reason_and_it_comes_back() {
    let fixture = supervised(|spec| spec).await;
    for (order, expected) in [
        (Order::Panic, ExitReason::panic_text("told to")),
        (Order::Fail, ExitReason::error(&std::fmt::Error)),
        (Order::StopWith(None), ExitReason::Normal),
        (Order::StopWith(Some("shutdown")), ExitReason::SHUTDOWN),
        (
            Order::StopWith(Some("out of disk")),
            ExitReason::error_text("out of disk"),
        ),
    ] {
        fixture.tell(order);
        assert_eq!(fixture.reported().await, expected);
        let child = fixture.root.supervisor().which_child(&name("plain")).await;
        assert!(child.expect("known").state.pid().is_some());
    }
    let child = fixture.root.supervisor().which_child(&name("plain")).await;
    let pid = child.expect("known").state.pid().expect("runs");
    assert_eq!(pid.incarnation, Incarnation(6));
}

#[tokio::test]
async fn a_killed_plain_actor_is_restarted_even_when_transient() {
    let fixture = supervised(|spec| spec.restart(Restart::Transient)).await;
    fixture.start.actor().expect("runs").kill();
    assert_eq!(fixture.reported().await, ExitReason::Killed);
    let child = fixture.root.supervisor().which_child(&name("plain")).await;
    assert!(child.expect("known").state.pid().is_some());
}

#[tokio::test]
async fn a_plain_actor_is_stopped_in_order_and_a_hanging_one_is_killed() {
    let time = Shutdown::Timeout(Duration::from_millis(50));
    let fixture = supervised(|spec| spec.shutdown(time)).await;
    assert_eq!(fixture.root.shutdown().await, ExitReason::SHUTDOWN);
    assert_eq!(*fixture.diary.lock(), ["started", "stopped in order"]);
    let fixture = supervised(|spec| spec.shutdown(time)).await;
    fixture.tell(Order::Hang);
    tokio::task::yield_now().await;
    assert_eq!(fixture.root.shutdown().await, ExitReason::SHUTDOWN);
    assert_eq!(*fixture.diary.lock(), ["started"]);
    assert_eq!(fixture.reported().await, ExitReason::Killed);
}

#[tokio::test]
async fn a_plain_actor_that_does_not_start_is_a_failed_start() {
    let fixture = supervised(|spec| spec).await;
    let diary = fixture.diary.clone();
    let start = PlainActor::new(move |link| {
        let plain = Plain {
            diary: diary.clone(),
            fails_to_start: true,
        };
        Actor::spawn_linked(None, plain, (), link)
    });
    let spec = ChildSpec::new(name("other"), Arc::new(start));
    let result = fixture.root.supervisor().start_child(spec).await;
    let expected = CallError::StartFailed(ExitReason::error(&std::fmt::Error));
    assert_eq!(result.err(), Some(expected));
}

#[tokio::test]
async fn whoever_starts_a_plain_actor_gets_its_reference() {
    let fixture = supervised(|spec| spec).await;
    let supervisor = fixture.root.supervisor();
    let started = supervisor
        .cycle_child(&name("plain"))
        .await
        .expect("starts");
    let info = started.info.expect("it says who it is");
    let actor: &ActorRef<Order> = info.downcast_ref().expect("a reference");
    let current = fixture.start.actor().expect("runs");
    assert_eq!(actor.get_id(), current.get_id());
}

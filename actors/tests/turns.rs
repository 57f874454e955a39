//! Turns, hooks, stash, stuck code, dedicated threads.

mod kit;

use kit::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_actors::*;
use swarm_protocols::{ExitReason, Limit, Name};

#[tokio::test(start_paused = true)]
async fn stashed_messages_come_back_in_front_and_in_order() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.any().pause();
    for message in [
        Count::StashNote(1),
        Count::StashNote(2),
        Count::Note(3),
        Count::Unstash,
        Count::Note(4),
    ] {
        a.send(message).await.expect("taken");
    }
    a.any().resume();
    assert_eq!(a.ask(Count::Notes, SECOND).await, Ok(vec![3, 1, 2, 4]));
}

#[tokio::test(start_paused = true)]
async fn stashed_messages_survive_a_crash() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.send(Count::StashNote(1)).await.expect("taken");
    a.send(Count::Panic).await.expect("taken");
    assert_eq!(a.ask(Count::Notes, SECOND).await, Ok(vec![1]));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_asks_itself_is_told_so() {
    let world = World::one("a", Counter::default).await;
    assert_eq!(world.agent("a").ask(Count::AskSelf, SECOND).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn an_agent_asks_another_within_its_turn() {
    let world = World::new(vec![
        ("a", kind(Counter::default)),
        ("b", kind(Counter::default)),
    ])
    .await;
    let (a, b) = (world.agent("a"), world.agent("b"));
    b.send(Count::Add(6)).await.expect("taken");
    assert_eq!(
        a.ask(|reply| Count::AskOther(b.clone(), reply), SECOND)
            .await,
        Ok(6)
    );
}

#[tokio::test(start_paused = true)]
async fn an_ask_ends_at_its_deadline() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.any().pause();
    let answer = a.ask(Count::Get, SECOND).await;
    assert_eq!(answer, Err(AskError::Timeout { within: SECOND }));
}

#[tokio::test(start_paused = true)]
async fn an_ask_fails_at_once_when_its_callee_ends_for_good() {
    let world = World::with(vec![(
        "a",
        Box::new(|spec: AgentSpec<Counter>| spec.restart(swarm_supervisors::Restart::Temporary)),
    )])
    .await;
    let a = world.agent("a");
    a.any().pause();
    let asked = tokio::spawn({
        let a = a.clone();
        async move { a.ask(Count::Get, HOUR).await }
    });
    until("it is queued", || a.any().mailbox_depth() == 1).await;
    let began = tokio::time::Instant::now();
    a.any().kill();
    assert_eq!(asked.await.expect("no panic"), Err(AskError::NoProc));
    assert!(began.elapsed() < SECOND);
    let sent = a.try_send(Count::Add(1)).expect_err("it has ended");
    assert_eq!(sent.why, NotSent::Ended);
}

#[tokio::test(start_paused = true)]
async fn mailbox_mode_drop_loses_queued_messages_to_the_dead_letters_and_fails_asks() {
    let world = World::with(vec![(
        "a",
        Box::new(|spec: AgentSpec<Counter>| {
            spec.mailbox(MailboxOptions {
                on_crash: OnCrash::Drop,
                ..MailboxOptions::default()
            })
        }),
    )])
    .await;
    let a = world.agent("a");
    a.any().pause();
    a.send(Count::Panic).await.expect("taken");
    a.send(Count::Add(5)).await.expect("taken");
    let asked = tokio::spawn({
        let a = a.clone();
        async move { a.ask(Count::Get, HOUR).await }
    });
    until("all are queued", || a.any().mailbox_depth() == 3).await;
    a.any().resume();
    assert!(matches!(
        asked.await.expect("no panic"),
        Err(AskError::Crashed(_))
    ));
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    let causes: Vec<_> = world
        .system
        .dead_letters()
        .list()
        .iter()
        .map(|l| l.cause.as_str())
        .collect();
    assert_eq!(
        causes.iter().filter(|c| **c == "dropped-on-crash").count(),
        2,
        "{causes:?}"
    );
}

struct Refuse;

impl AdmissionHook for Refuse {
    fn admit(&self, admission: &Admission<'_>) -> Result<(), String> {
        match admission.extensions.and_then(|e| e.get("tenant")) {
            Some(b"other") => Err("not your agent".into()),
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct Meter {
    before: AtomicU64,
    committed: AtomicU64,
    failed: AtomicU64,
}

impl TurnHook for Meter {
    fn before(&self, _: &TurnView<'_>) -> Result<(), String> {
        self.before.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn after(&self, _: &TurnView<'_>, end: &TurnEnd, _: Duration) {
        match end {
            TurnEnd::Committed => &self.committed,
            TurnEnd::Failed(_) => &self.failed,
        }
        .fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_see_messages_before_they_enter_and_turns_from_both_sides() {
    let meter = Arc::new(Meter::default());
    let mut options = SystemOptions::new(Name::new("test").expect("a name"), 1);
    options.watchdog = Watchdog::Off;
    options.hooks.admission.push(Arc::new(Refuse));
    options.hooks.turn.push(meter.clone());
    let system = System::new(options);
    let child = AgentSpec::new("a", Counter::default)
        .expect("a name")
        .child(&system);
    let world = World::start(system, vec![child]).await;
    let a = world.agent("a");
    a.send(Count::Add(1)).await.expect("taken");
    a.send(Count::Fail).await.expect("taken");
    let mut foreign = SendOptions::default();
    foreign
        .extensions
        .set(Name::new("tenant").expect("a name"), b"other".to_vec())
        .expect("within bounds");
    let refused = a
        .send_with(Count::Add(1), foreign)
        .await
        .expect_err("refused");
    assert_eq!(refused.why, NotSent::Rejected("not your agent".into()));
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
    assert_eq!(meter.before.load(Ordering::Relaxed), 3);
    assert_eq!(meter.committed.load(Ordering::Relaxed), 2);
    assert_eq!(meter.failed.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_is_not_handled() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    a.any().pause();
    let options = SendOptions {
        expires_in: Some(SECOND),
        ..SendOptions::default()
    };
    a.send_with(Count::Add(1), options.clone())
        .await
        .expect("taken");
    tokio::time::sleep(Duration::from_secs(2)).await;
    a.send_with(Count::Add(2), options).await.expect("taken");
    a.any().resume();
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(2));
    assert_eq!(
        world.system.dead_letters().list()[0].cause,
        DeathCause::Expired
    );
}

#[tokio::test(start_paused = true)]
async fn an_injected_fault_shows_in_the_turn_of_the_nth_message() {
    let world = World::one("a", Counter::default).await;
    let a = world.agent("a");
    assert!(a.any().inject(Fault::Panic, When::Message(3)));
    for _ in 0..2 {
        a.send(Count::Add(1)).await.expect("taken");
    }
    assert_eq!(a.any().incarnation().0, 1);
    let third: Result<u64, _> = a.ask(Count::Get, SECOND).await;
    assert!(matches!(third, Err(AskError::Crashed(_))), "{third:?}");
    assert_eq!(a.ask(Count::Get, SECOND).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn chaos_brings_every_agent_back_and_says_so() {
    use swarm_actors::chaos::*;
    let group = Name::new("g").expect("a name");
    let joined = group.clone();
    let system = system();
    let children = AgentSpec::new("w", Counter::default)
        .expect("a name")
        .groups(vec![joined])
        .replicas(&system, 5);
    let world = World::start(system, children).await;
    let plan = ChaosPlan {
        target: Target::Group(group),
        faults: vec![FaultKind::Kill, FaultKind::Panic],
        rate: 100.0,
        duration: Duration::from_secs(2),
        seed: 7,
        expect: vec![Expectation::Restarts, Expectation::NoLoss],
        grace: SECOND,
    };
    let report = run(&world.system, &plan, std::future::pending())
        .await
        .expect("carried out");
    assert!(report.is_ok(), "{report:?}");
    assert_eq!(report.injected.values().sum::<u64>(), 200);
    assert_eq!(report.restarts, 200);
    assert_eq!(report.hit, 5);
    let again = ChaosPlan { rate: 0.0, ..plan };
    assert_eq!(
        run(&world.system, &again, std::future::pending()).await,
        Err(ChaosError::BadRate(0.0))
    );
}

/// Real time and real threads: what never yields cannot be seen in virtual time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_never_awaits_is_reported_as_stuck_fenced_off_and_replaced() {
    let mut options = SystemOptions::new(Name::new("test").expect("a name"), 1);
    options.watchdog_interval = Duration::from_millis(20);
    let system = System::new(options);
    let child = AgentSpec::new("a", Counter::default)
        .expect("a name")
        .turn_deadline(Some(Duration::from_millis(100)))
        .child(&system);
    let world = World::start(system, vec![child]).await;
    let a = world.agent("a");
    let down = a.any().monitor();
    let began = std::time::Instant::now();
    a.send(Count::Block(Duration::from_secs(3)))
        .await
        .expect("taken");
    a.send(Count::Add(1)).await.expect("taken");
    let down = tokio::time::timeout(Duration::from_secs(2), down)
        .await
        .expect("its supervisor does not hang on it")
        .expect("told");
    assert_eq!(down.reason, ExitReason::Limit(Limit::TurnTime));
    assert_eq!(
        a.ask(Count::Get, SECOND).await,
        Ok(1),
        "the next life handles what is queued"
    );
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "while the old turn still holds its worker"
    );
    let stuck = world
        .system
        .events()
        .since(0, 1000)
        .iter()
        .any(|event| matches!(event.what, What::Stuck { .. }));
    assert!(stuck, "it was reported");
}

/// Blocks in its init until it is let go.
struct Slow(Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>);

impl Agent for Slow {
    type Message = Count;

    async fn init(&mut self, _: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        // A sender that is gone lets it go as well.
        let _ = self.0.lock().expect("one at a time").recv();
        Ok(Init::Ready)
    }

    async fn handle(&mut self, _: &mut Turn<'_, Self>, _: Count) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_that_does_not_yield_is_reported_once_and_goes_on() {
    let mut options = SystemOptions::new(Name::new("test").expect("a name"), 1);
    options.watchdog_interval = Duration::from_millis(20);
    let system = System::new(options);
    let (let_go, held) = std::sync::mpsc::channel();
    let held = Arc::new(std::sync::Mutex::new(held));
    let child = AgentSpec::new("slow", move || Slow(held.clone()))
        .expect("a name")
        .child(&system);
    let starting = tokio::spawn(World::start(system.clone(), vec![child]));
    let stuck = || {
        let events = system.events().since(0, 1000);
        let stuck = events
            .iter()
            .filter(|event| matches!(event.what, What::Stuck { for_ms } if for_ms >= 1000));
        stuck.count()
    };
    let seen = async {
        while stuck() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen)
        .await
        .expect("it is reported while it holds its worker");
    let_go.send(()).expect("it waits");
    let world = starting.await.expect("no panic");
    assert!(world.agent("slow").any().is_alive());
    assert_eq!(stuck(), 1);
}

/// A message whose drop looks at the agent it was for, for which the runtime takes the cell's lock.
struct Curious(Option<AnyRef>);

impl Message for Curious {}

impl Drop for Curious {
    fn drop(&mut self) {
        if let Some(agent) = &self.0 {
            let _ = agent.detail();
        }
    }
}

/// Sets two timers with its first message and cancels them with the next.
#[derive(Default)]
struct Canceller(Vec<TimerId>);

impl Agent for Canceller {
    type Message = Curious;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, _: Curious) -> Result<(), Failure> {
        if self.0.is_empty() {
            let agent = turn.me().any();
            for after in [ms(1), SECOND * 10] {
                let message = Curious(Some(agent.clone()));
                self.0.push(turn.schedule(after, message)?);
            }
        } else {
            for timer in &self.0 {
                turn.cancel(*timer);
            }
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_timers_messages_are_dropped_without_the_cells_lock() {
    let system = system();
    let child = AgentSpec::new("a", Canceller::default)
        .expect("a name")
        .child(&system);
    let world = World::start(system, vec![child]).await;
    let path = swarm_protocols::Path::new("/a").expect("a path");
    let a: AgentRef<Curious> = world.system.lookup_typed(&path).expect("it is there");
    a.send(Curious(None)).await.expect("taken");
    until("the timers are set", || a.any().info().turns == 1).await;
    a.any().pause();
    a.send(Curious(None)).await.expect("taken");
    // One of them fires; its message waits behind the one that cancels it.
    tokio::time::sleep(ms(5)).await;
    a.any().resume();
    until("both are dropped", || {
        let detail = a.any().detail();
        (detail.info.mailbox, detail.timers) == (0, 0)
    })
    .await;
    assert_eq!(a.any().info().turns, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dedicated_agent_may_block_without_holding_a_worker() {
    let system = System::new(SystemOptions::new(Name::new("test").expect("a name"), 1));
    let blocking = AgentSpec::new("blocking", Counter::default)
        .expect("a name")
        .placement(Placement::Dedicated)
        .child(&system);
    let other = AgentSpec::new("other", Counter::default)
        .expect("a name")
        .child(&system);
    let world = World::start(system, vec![blocking, other]).await;
    let (blocking, other) = (world.agent("blocking"), world.agent("other"));
    blocking
        .send(Count::Block(Duration::from_secs(1)))
        .await
        .expect("taken");
    let began = std::time::Instant::now();
    assert_eq!(other.ask(Count::Get, SECOND).await, Ok(0));
    assert!(began.elapsed() < Duration::from_millis(900));
    assert_eq!(
        blocking.ask(Count::Get, Duration::from_secs(5)).await,
        Ok(0)
    );
    blocking.send(Count::Panic).await.expect("taken");
    assert_eq!(
        blocking.ask(Count::Get, Duration::from_secs(5)).await,
        Ok(0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_one_sender_and_one_receiver_order_is_kept_over_crashes() {
    let world = World::new(vec![
        ("a", kind(Counter::default)),
        ("b", kind(Counter::default)),
    ])
    .await;
    let (a, b) = (world.agent("a"), world.agent("b"));
    for n in 0..500 {
        if n % 50 == 25 {
            a.any().kill();
        }
        while a.send(Count::SendNote(b.clone(), n)).await.is_err() {}
    }
    tokio::time::timeout(Duration::from_secs(10), async {
        while a.ask(Count::Get, SECOND).await.is_err() {}
    })
    .await
    .expect("it is back");
    let notes = b.ask(Count::Notes, SECOND).await.expect("answered");
    assert!(notes.windows(2).all(|pair| pair[0] < pair[1]), "{notes:?}");
    assert!(
        notes.len() >= 490,
        "each kill costs at most the message in whose turn it came"
    );
}

/// tokio gives a task a budget, and each exit that the supervisor takes in uses some of it; who polls in a task that has used
/// it up is told to come back later. The start of an agent's shell must not be.
#[tokio::test(start_paused = true)]
async fn many_restarts_in_one_go_all_get_their_shell() {
    let system = system();
    let children = AgentSpec::new("w", Counter::default)
        .expect("a name")
        .eager(true)
        .replicas(&system, 500);
    let world = World::start(system, children).await;
    let agents = world.system.agents();
    for agent in &agents {
        agent.kill();
    }
    until("all are back", || {
        agents
            .iter()
            .all(|agent| agent.is_alive() && agent.incarnation().0 > 1)
    })
    .await;
    for agent in &agents {
        assert_eq!(agent.incarnation().0, 2, "{}", agent.path());
    }
    assert!(world.system.crash_reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_ask_out_of_a_turn_says_who_asks() {
    let world = World::with(vec![
        ("a", kind(Counter::default)),
        ("b", kind(Counter::default)),
    ])
    .await;
    let (a, b) = (world.agent("a"), world.agent("b"));
    let asked = a.ask(|reply| Count::AskOther(b.clone(), reply), SECOND);
    assert_eq!(asked.await, Ok(0));
    let heard = b.any().detail().recorder;
    assert_eq!(heard.last().map(|record| record.sender), {
        let low = a.any().address().0 as u64;
        Some(low)
    });
}

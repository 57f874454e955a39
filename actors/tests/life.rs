//! From init to the end: continue, ignore, repeated timers, the typed life cycle, and the classes of errors.

mod kit;

use kit::{HOUR, SECOND, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swarm_actors::lifecycle::{Built, Why};
use swarm_actors::testkit::{Probe, SlowStart, TestSystem};
use swarm_actors::*;
use swarm_protocols::ExitReason;
use swarm_supervisors::{CallError, Restart};

/// Notes what happens to it, in order.
struct Diary {
    init: Init,
    notes: Vec<&'static str>,
    ended: Arc<AtomicBool>,
}

enum Entry {
    Read(ReplyTo<Vec<&'static str>>),
    Note(&'static str),
    Every(Duration),
    Crash,
}

impl Message for Entry {}

impl Agent for Diary {
    type Message = Entry;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        self.notes.push("init");
        let me = turn.me();
        turn.send(&me, Entry::Note("sent in init"));
        Ok(self.init)
    }

    async fn on_continue(&mut self, _: &mut Turn<'_, Self>) -> Result<(), Failure> {
        tokio::time::sleep(SECOND).await;
        self.notes.push("continue");
        Ok(())
    }

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, entry: Entry) -> Result<(), Failure> {
        match entry {
            Entry::Read(reply) => turn.reply(reply, self.notes.clone()),
            Entry::Note(note) => self.notes.push(note),
            Entry::Every(period) => {
                turn.schedule_every(period, || Entry::Note("tick"))?;
            }
            Entry::Crash => return Err("told to".into()),
        }
        Ok(())
    }

    async fn terminate(&mut self, _: &ExitReason) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn diary(init: Init) -> (AgentSpec<Diary>, Arc<AtomicBool>) {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    let spec = AgentSpec::new("diary", move || Diary {
        init,
        notes: Vec::new(),
        ended: flag.clone(),
    })
    .expect("a name");
    (spec, ended)
}

#[tokio::test(start_paused = true)]
async fn what_is_continued_after_the_start_runs_before_any_message_and_does_not_hold_the_supervisor()
 {
    let test = TestSystem::start().await;
    let began = tokio::time::Instant::now();
    let diary = test.spawn(diary(Init::Continue).0).await.expect("started");
    assert_eq!(began.elapsed(), Duration::ZERO, "the start is over at once");
    let notes = diary.ask(Entry::Read, HOUR).await;
    assert_eq!(notes, Ok(vec!["init", "continue", "sent in init"]));
}

#[tokio::test(start_paused = true)]
async fn an_init_that_ignores_is_no_error_and_no_agent() {
    let test = TestSystem::start().await;
    assert!(matches!(
        test.spawn(diary(Init::Ignore).0).await,
        Err(CallError::NotFound)
    ));
    assert_eq!(test.agent_count(), 0);
    assert_eq!(
        test.tree().count_children().await.expect("answers").active,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeated_timer_ticks_until_the_life_ends() {
    let test = TestSystem::start().await;
    let diary = test.spawn(diary(Init::Ready).0).await.expect("started");
    diary.send(Entry::Every(SECOND)).await.expect("taken");
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let notes = diary.ask(Entry::Read, HOUR).await.expect("answered");
    assert_eq!(notes.iter().filter(|n| **n == "tick").count(), 3);
    diary.send(Entry::Crash).await.expect("taken");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let notes = diary.ask(Entry::Read, HOUR).await;
    assert_eq!(notes, Ok(vec!["init", "sent in init"]));
}

#[tokio::test(start_paused = true)]
async fn cleanup_runs_at_an_ordered_end_and_never_after_a_kill() {
    let test = TestSystem::start().await;
    let (spec, ended) = diary(Init::Ready);
    let diary = test.spawn(spec).await.expect("started");
    diary.any().kill();
    until("it is back", || diary.any().incarnation().0 == 2).await;
    assert!(!ended.load(Ordering::Relaxed));
    test.stop(diary.path()).await.expect("stopped");
    assert!(ended.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn the_typed_life_goes_from_built_to_running_to_drained_and_back() {
    let test = TestSystem::start().await;
    let (spec, _) = diary(Init::Ready);
    let running = Built::new(spec)
        .load(&test, test.tree())
        .start()
        .await
        .expect("started");
    running.agent().send(Entry::Note("a")).await.expect("taken");
    let agent = running.agent().clone();
    let loaded = running.drain().finish().await.expect("drained");
    assert_eq!(
        agent.try_send(Entry::Note("b")).expect_err("stopped").why,
        NotSent::Refused
    );
    let running = loaded.start().await.expect("started again");
    assert_eq!(running.agent().address(), agent.address());
}

#[tokio::test(start_paused = true)]
async fn the_typed_life_of_an_agent_that_is_not_restarted_fails_and_can_be_started_again() {
    let test = TestSystem::start().await;
    let (spec, _) = diary(Init::Ready);
    let running = Built::new(spec.restart(Restart::Temporary))
        .load(&test, test.tree())
        .start()
        .await
        .expect("started");
    running.agent().send(Entry::Crash).await.expect("taken");
    let failed = running.ended().await;
    assert_eq!(*failed.why(), Why::Ended(ExitReason::error_text("told to")));
    failed.start().await.expect("started again");
}

struct Slow(SlowStart);

impl Agent for Slow {
    type Message = Entry;
    async fn init(&mut self, _: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        self.0.pass().await;
        Ok(Init::Ready)
    }
    async fn handle(&mut self, _: &mut Turn<'_, Self>, _: Entry) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_longer_than_its_time_out_fails_with_limit_start_time() {
    let test = TestSystem::start().await;
    let slow = SlowStart::default();
    slow.set(HOUR).await;
    let inside = slow.clone();
    let spec = AgentSpec::new("slow", move || Slow(inside.clone()))
        .expect("a name")
        .start_timeout(SECOND);
    let began = tokio::time::Instant::now();
    let failed = test.spawn(spec).await.expect_err("it takes too long");
    assert_eq!(
        failed,
        CallError::StartFailed(ExitReason::Limit(swarm_protocols::Limit::StartTime))
    );
    assert_eq!(began.elapsed(), SECOND);
}

#[derive(Debug, PartialEq)]
struct Ping;

impl Message for Ping {}

#[tokio::test(start_paused = true)]
async fn a_probe_receives_what_is_sent_and_says_when_nothing_is() {
    let test = TestSystem::start().await;
    let mut probe = Probe::<Ping>::start(&test).await;
    probe.agent().send(Ping).await.expect("taken");
    assert_eq!(probe.expect(SECOND).await, Some(Ping));
    assert!(probe.expect_none(HOUR).await);
}

#[test]
fn errors_say_what_they_are_and_what_to_do() {
    let class = AskError::Full.class();
    assert_eq!(
        (class.kind, class.recovery),
        (ErrorKind::Resource, Recovery::Retry)
    );
    assert_eq!(NotSent::Ended.class().recovery, Recovery::FailOver);
    assert_eq!(ExitReason::Unreachable.class().kind, ErrorKind::Network);
    assert!(ExitReason::Normal.class().severity < ExitReason::Killed.class().severity);
    assert_eq!(
        CallError::StartFailed(ExitReason::Killed).class().recovery,
        Recovery::Escalate
    );
}

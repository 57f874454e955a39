//! An agent's code may panic wherever the runtime calls it or drops what is its own. It ends that life, and nothing else.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;

/// Panics in the first life of `/a`.
struct FragileHook {
    before: bool,
}

impl FragileHook {
    fn look(&self, is_before: bool, turn: &TurnView<'_>) {
        let is_hit = turn.path.as_str() == "/a" && turn.pid.incarnation.0 == 1;
        assert!(self.before != is_before || !is_hit, "told to, in a hook");
    }
}

impl TurnHook for FragileHook {
    fn before(&self, turn: &TurnView<'_>) -> Result<(), String> {
        self.look(true, turn);
        Ok(())
    }

    fn after(&self, turn: &TurnView<'_>, _: &TurnEnd, _: Duration) {
        self.look(false, turn);
    }
}

async fn a_turn_with_a_hook_that_panics(before: bool) {
    let mut options = options();
    options.hooks.turn.push(Arc::new(FragileHook { before }));
    let stage = TestSystem::start_with(options).await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let b = stage.spawn(puppet("b")).await.expect("started");
    a.send(note("lost")).await.expect("taken");
    lives(&a, 2).await;
    assert!(is_reported(&stage, &a, 1));
    lives(&b, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hook_before_the_turn_ends_that_life_only() {
    a_turn_with_a_hook_that_panics(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hook_after_the_turn_ends_that_life_only() {
    a_turn_with_a_hook_that_panics(false).await;
}

async fn redelivering() -> (TestSystem, AgentRef<Say>) {
    let stage = TestSystem::start().await;
    let mailbox = MailboxOptions {
        redeliver: 1,
        ..MailboxOptions::default()
    };
    let a = stage.spawn(puppet("a").mailbox(mailbox)).await;
    (stage, a.expect("started"))
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_copy_of_a_message_ends_that_life_only() {
    let (stage, a) = redelivering().await;
    let copies = FragileCopies {
        made: Arc::default(),
        panics_at: 1,
    };
    a.send(Say::HangWithCopies(copies)).await.expect("taken");
    lives(&a, 2).await;
    assert!(is_reported(&stage, &a, 1));
}

/// The copy is made by the kill or by the next life, which then ends, too; but nobody else does.
#[tokio::test(start_paused = true)]
async fn a_kill_does_not_meet_the_panic_in_the_copy_of_a_copy() {
    let (_stage, a) = redelivering().await;
    let copies = FragileCopies {
        made: Arc::default(),
        panics_at: 2,
    };
    let made = copies.made.clone();
    a.send(Say::HangWithCopies(copies)).await.expect("taken");
    let any = a.any();
    until("it hangs", || any.detail().current.is_some()).await;
    catch_unwind(AssertUnwindSafe(|| any.kill())).expect("the killer goes on");
    until("it is copied", || made.load(Ordering::SeqCst) == 2).await;
    until("it lives", || any.is_alive() && any.incarnation().0 > 1).await;
    notes(&a).await;
    assert!(any.incarnation().0 <= 3, "{:?}", any.incarnation());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_discarded_message_ends_that_life_only() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let blown = Arc::new(AtomicU32::new(0));
    let bomb = Bomb(blown.clone());
    let failing = deed(move |turn| {
        async move {
            let me = turn.me();
            turn.send(&me, Say::Carry(Box::new(bomb)));
            Err("told to".into())
        }
        .boxed()
    });
    a.send(failing).await.expect("taken");
    lives(&a, 2).await;
    assert!(is_reported(&stage, &a, 1));
    assert_eq!(blown.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_turn_that_is_cut_off_ends_that_life_only() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a").turn_deadline(Some(ms(100)))).await;
    let a = a.expect("started");
    let blown = Arc::new(AtomicU32::new(0));
    let bomb = Bomb(blown.clone());
    let hanging = deed(move |_| {
        async move {
            let _bomb = bomb;
            std::future::pending::<()>().await;
            Ok(())
        }
        .boxed()
    });
    a.send(hanging).await.expect("taken");
    lives(&a, 2).await;
    assert!(is_reported(&stage, &a, 1));
    assert_eq!(blown.load(Ordering::SeqCst), 1);
}

/// One with a timer whose message panics when it is dropped.
async fn ticking(stage: &TestSystem, blown: &Arc<AtomicU32>) -> (AgentRef<Say>, TimerId) {
    let a = stage.spawn(puppet("a")).await.expect("started");
    let bomb = Bomb(blown.clone());
    let (tell, told) = tokio::sync::oneshot::channel();
    let scheduling = deed(move |turn| {
        async move {
            let timer = turn.schedule(HOUR, Say::Carry(Box::new(bomb)))?;
            let _ = tell.send(timer);
            Ok(())
        }
        .boxed()
    });
    a.send(scheduling).await.expect("taken");
    let timer = told.await.expect("scheduled");
    until("the timer is set", || a.any().detail().timers == 1).await;
    (a, timer)
}

#[tokio::test(start_paused = true)]
async fn a_kill_does_not_meet_the_panic_in_the_drop_of_a_timers_message() {
    let stage = TestSystem::start().await;
    let blown = Arc::new(AtomicU32::new(0));
    let (a, _) = ticking(&stage, &blown).await;
    catch_unwind(AssertUnwindSafe(|| a.any().kill())).expect("the killer goes on");
    lives(&a, 2).await;
    assert_eq!(blown.load(Ordering::SeqCst), 1);
}

/// Whether that panic ends the life or is only logged is left open: the agent answers, and others do not notice.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_cancelled_timers_message_leaves_no_dead_shell() {
    let stage = TestSystem::start().await;
    let blown = Arc::new(AtomicU32::new(0));
    let (a, timer) = ticking(&stage, &blown).await;
    let cancelling = deed(move |turn| {
        turn.cancel(timer);
        async { Ok(()) }.boxed()
    });
    a.send(cancelling).await.expect("taken");
    until("it is dropped", || blown.load(Ordering::SeqCst) == 1).await;
    let any = a.any();
    until("it lives", || any.is_alive()).await;
    notes(&a).await;
    assert!(any.incarnation().0 <= 2);
    assert_eq!(any.detail().timers, 0);
}

//! Numbers at the end of their range, and bounds that hold.

use crate::kit::puppet::*;
use crate::kit::*;
use futures_util::FutureExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_actors::chaos::{ChaosPlan, FaultKind, Target};
use swarm_actors::testkit::TestSystem;
use swarm_actors::*;
use swarm_protocols::Path;

#[tokio::test(start_paused = true)]
async fn chaos_plans_beyond_any_clock_are_refused_or_carried_out() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let plan = ChaosPlan {
        target: Target::Path(Path::root()),
        faults: vec![FaultKind::Kill],
        rate: 100.0,
        duration: ms(100),
        seed: 1,
        expect: Vec::new(),
        grace: SECOND,
    };
    let plans = [1e-20, f64::MIN_POSITIVE, 5e-324]
        .map(|rate| ChaosPlan {
            rate,
            ..plan.clone()
        })
        .into_iter()
        .chain([Duration::MAX, Duration::MAX / 2].map(|grace| ChaosPlan {
            grace,
            ..plan.clone()
        }));
    for plan in plans {
        let (system, shown) = ((*stage).clone(), format!("{plan:?}"));
        let stop = tokio::time::sleep(ms(150));
        let run = tokio::spawn(async move { chaos::run(&system, &plan, stop).await.map(|_| ()) });
        let ended = tokio::time::timeout(SECOND, run).await.expect("in time");
        ended.expect(&shown).ok();
    }
    let any = a.any();
    until("it lives", || any.is_alive()).await;
    notes(&a).await;
}

#[tokio::test(start_paused = true)]
async fn no_events_follow_the_highest_number() {
    let stage = TestSystem::start().await;
    assert!(!stage.events().since(0, usize::MAX).is_empty());
    assert!(stage.events().since(u64::MAX, usize::MAX).is_empty());
}

#[tokio::test(start_paused = true)]
async fn timers_that_fired_and_wait_to_be_handled_count_as_timers() {
    let stage = TestSystem::start().await;
    let a = stage.spawn(puppet("a")).await.expect("started");
    let seen = Arc::new(Mutex::new(None));
    let filling = deed(|turn| {
        async move {
            for _ in 0..TIMERS_PER_AGENT_MAX {
                turn.schedule(Duration::ZERO, note("tick"))?;
            }
            Ok(())
        }
        .boxed()
    });
    let place = seen.clone();
    let one_more = deed(move |turn| {
        async move {
            // All of them fire meanwhile.
            tokio::time::sleep(SECOND).await;
            let scheduled = turn.schedule(Duration::ZERO, note("beyond")).map(|_| ());
            *place.lock().expect("not poisoned") = Some(scheduled);
            Ok(())
        }
        .boxed()
    });
    // The second is queued before the timers bring anything.
    assert!(a.any().pause());
    for message in [filling, one_more] {
        a.send(message).await.expect("taken");
    }
    assert!(a.any().resume());
    let turns = TIMERS_PER_AGENT_MAX as u64 + 2;
    until("all have come", || a.any().info().turns >= turns).await;
    let scheduled = seen.lock().expect("not poisoned").take();
    assert_eq!(scheduled, Some(Err(TurnError::TooManyTimers)));
    let again = deed(|turn| {
        async move {
            turn.schedule(Duration::ZERO, note("again"))?;
            Ok(())
        }
        .boxed()
    });
    a.send(again).await.expect("taken");
    until("there is room again", || a.any().info().turns == turns + 2).await;
    let ticks = notes(&a).await;
    assert_eq!(ticks.len(), TIMERS_PER_AGENT_MAX + 1);
}

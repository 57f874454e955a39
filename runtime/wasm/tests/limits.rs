//! What a guest may not do: each attempt ends its life with the limit that it broke, and nothing else is harmed.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{Guests, order};
use std::time::Duration;
use swarm_protocols::{ExitReason, Limit, Performative};
use swarm_wasm::{Class, Grants, Limits};

/// Orders a task, expects the life to end with this reason and the next life to answer.
async fn breaks(class: Class, task: &str, change: impl Fn(&mut Limits), expected: Limit) {
    let mut limits = Limits {
        turn_cpu: Duration::from_secs(20),
        ..Limits::of(class)
    };
    change(&mut limits);
    let guests = Guests::start(class, Grants::all(), limits).await;
    let agent = guests.agent();
    let down = agent.monitor();
    agent.send_acl(order(task, "x")).await.unwrap();
    let reason = down.await.unwrap().reason;
    assert_eq!(reason, ExitReason::Limit(expected), "{class} {task}");
    guests.counts_words().await;
}

/// Under every class, as each has its own engine settings. `hostile/tables.rs` has the cells that no compiled guest reaches.
async fn breaks_in_each_class(task: &str, change: impl Fn(&mut Limits), expected: Limit) {
    for class in Class::ALL {
        breaks(class, task, &change, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_without_end_breaks_the_cpu_limit() {
    let short = |limits: &mut Limits| limits.turn_cpu = Duration::from_millis(20);
    breaks_in_each_class("loop", short, Limit::Cpu).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_without_end_runs_out_of_fuel() {
    let little = |limits: &mut Limits| limits.turn_fuel = Some(10_000_000);
    breaks_in_each_class("loop", little, Limit::Cpu).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eating_memory_breaks_the_memory_limit() {
    breaks_in_each_class("eat-memory", |_| {}, Limit::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recursion_without_end_ends_that_life_only() {
    for class in Class::ALL {
        let guests = Guests::start(class, Grants::all(), Limits::of(class)).await;
        let agent = guests.agent();
        let down = agent.monitor();
        agent.send_acl(order("recurse", "")).await.unwrap();
        let reason = down.await.unwrap().reason;
        // Either the call stack is used up first, or the guest's own stack in its memory, which is a wild access.
        let is_stack = matches!(&reason, ExitReason::Limit(Limit::Stack))
            || matches!(&reason, ExitReason::Panic(report) if report.message.contains("memory"));
        assert!(is_stack, "{class}: {reason}");
        guests.counts_words().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_breaks_the_send_rate() {
    let few = |limits: &mut Limits| limits.sends_per_second = 10;
    breaks_in_each_class("flood", few, Limit::SendRate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_within_the_rate_breaks_what_one_turn_may_have_kept() {
    let many = |limits: &mut Limits| {
        limits.sends_per_second = u32::MAX;
        limits.host_bytes = 64 << 10;
    };
    breaks_in_each_class("flood", many, Limit::HostBytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_without_end_breaks_the_log_volume() {
    breaks_in_each_class("shout", |_| {}, Limit::LogVolume).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hoarding_in_the_store_breaks_the_hosts_bytes() {
    let little = |limits: &mut Limits| limits.host_bytes = 128 << 10;
    breaks_in_each_class("hoard", little, Limit::HostBytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_timers_without_end_breaks_their_number() {
    breaks_in_each_class("set-timers", |_| {}, Limit::Timers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_what_is_too_long_breaks_the_message_size() {
    // A compact agent has not the memory for it; `hostile/tables.rs` has one that makes do with less.
    for class in [Class::Default, Class::Interpreter] {
        let room = |limits: &mut Limits| limits.host_bytes = 64 << 20;
        breaks(class, "big-message", room, Limit::MessageSize).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_import_is_handed_is_bounded_before_it_is_copied() {
    let small = |limits: &mut Limits| limits.host_bytes = 1 << 20;
    breaks(Class::Default, "big-message", small, Limit::HostBytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_a_panic_that_names_the_guests_functions() {
    for class in Class::ALL {
        let guests = Guests::start(class, Grants::all(), Limits::of(class)).await;
        let agent = guests.agent();
        let down = agent.monitor();
        agent.send_acl(order("trap", "x")).await.unwrap();
        let ExitReason::Panic(report) = down.await.unwrap().reason else {
            panic!("not a panic");
        };
        assert!(report.message.contains("unreachable"), "{report:?}");
        let names = |function| {
            report
                .frames
                .iter()
                .any(|frame: &String| frame.contains(function))
        };
        assert!(names("WordCount"), "{report:?}");
        let place = report.location.as_deref().unwrap_or_default();
        assert!(place.contains("word_count"), "{report:?}");
        guests.counts_words().await;
    }
}

/// The names of frames are remembered from crash to crash; what is told must not depend on that.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_trap_is_told_in_the_same_words_again() {
    let guests = Guests::start(Class::Default, Grants::all(), Limits::default()).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let agent = guests.agent();
        let down = agent.monitor();
        agent.send_acl(order("trap", "x")).await.unwrap();
        let ExitReason::Panic(report) = down.await.unwrap().reason else {
            panic!("not a panic");
        };
        told.push((report.frames.clone(), report.location.clone()));
        guests.counts_words().await;
    }
    assert!(told[0].0.len() > 1, "{told:?}");
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_reaches_a_guest_in_the_middle_of_its_code() {
    for class in Class::ALL {
        let limits = Limits {
            turn_cpu: Duration::from_secs(3600),
            ..Limits::of(class)
        };
        let guests = Guests::start(class, Grants::all(), limits).await;
        let agent = guests.agent();
        for _ in 0..10 {
            let down = agent.monitor();
            agent.send_acl(order("loop", "")).await.unwrap();
            // It is inside once the message is taken out of the mailbox.
            guests.until(|| agent.mailbox_depth() == 0).await;
            agent.kill();
            assert_eq!(down.await.unwrap().reason, ExitReason::Killed, "{class}");
            guests.counts_words().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_beyond_its_deadline_is_cut_off() {
    for class in Class::ALL {
        let limits = Limits {
            turn_cpu: Duration::from_secs(3600),
            ..Limits::of(class)
        };
        let deadline = Some(Duration::from_millis(50));
        let guests = Guests::with_deadline(class, Grants::all(), limits, deadline).await;
        let agent = guests.agent();
        let down = agent.monitor();
        agent.send_acl(order("loop", "")).await.unwrap();
        let reason = down.await.unwrap().reason;
        assert_eq!(reason, ExitReason::Limit(Limit::TurnTime), "{class}");
        guests.until(|| agent.incarnation().0 == 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_answered_for_the_guest() {
    for class in Class::ALL {
        let limits = Limits {
            message_bytes: 1000,
            ..Limits::of(class)
        };
        let guests = Guests::start(class, Grants::all(), limits).await;
        let answer = guests.ask(order("word-count", &"x ".repeat(1000))).await;
        assert_eq!(answer.performative, Performative::Failure, "{class}");
        assert!(answer.text().unwrap().contains("1000 are taken"));
        assert_eq!(guests.agent().incarnation().0, 1, "{class}");
    }
}

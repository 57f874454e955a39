//! Cells of the table of limits and classes that no compiled guest reaches.

use crate::forge::{Forged, OK};
use crate::kit::{Guests, host};
use std::time::Duration;
use swarm_actors::AnyRef;
use swarm_protocols::{AclMessage, ExitReason, Limit, Performative};
use swarm_wasm::{Class, Grants, Limits};

/// Starts a forged guest in a tree.
pub(crate) async fn start(forged: &Forged, class: Class, limits: Limits) -> Guests {
    // A tool that is not there, so that the import is.
    let grants = Grants {
        tools: swarm_tools::Grants::new().with("nothing").unwrap(),
        ..Grants::all()
    };
    let component = host()
        .load(&forged.component(), class, &grants, &limits)
        .unwrap();
    Guests::of(component, grants, limits, Some(Duration::from_secs(60))).await
}

/// Sends a message, and says how the life that got it ends.
async fn end_of(agent: &AnyRef) -> ExitReason {
    for _ in 0..60_000 {
        let down = agent.monitor();
        let message = AclMessage::new(Performative::Request);
        agent.send_acl(message).await.unwrap();
        match down.await.unwrap().reason {
            // Between two lives.
            ExitReason::NoProc => tokio::time::sleep(Duration::from_millis(1)).await,
            reason => return reason,
        }
    }
    panic!("it does not come back");
}

/// In every class the life ends with this limit, and so does the next one: the agent is there again.
async fn breaks_in_each_class(forged: &Forged, change: impl Fn(&mut Limits), expected: Limit) {
    for class in Class::ALL {
        let mut limits = Limits {
            turn_cpu: Duration::from_secs(20),
            ..Limits::of(class)
        };
        change(&mut limits);
        let guests = start(forged, class, limits).await;
        for life in 1..=2 {
            let reason = end_of(&guests.agent()).await;
            assert_eq!(reason, ExitReason::Limit(expected), "{class}, life {life}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_grows_without_end_breaks_the_table_limit_in_each_class() {
    let grows = Forged {
        on_message: format!(
            "(loop $more (br_if $more (i32.ge_s (table.grow $t (ref.null func) (i32.const 64)) (i32.const 0)))) unreachable {OK}"
        ),
        ..Forged::with("(table $t 1 funcref)")
    };
    breaks_in_each_class(&grows, |_| {}, Limit::Table).await;
    // A limit of its own, below what the class has room for.
    let few = |limits: &mut Limits| limits.table_elements = 100;
    breaks_in_each_class(&grows, few, Limit::Table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_survives_a_table_that_does_not_grow_goes_on() {
    let tries = Forged {
        on_message: format!(
            "(if (i32.ge_s (table.grow $t (ref.null func) (i32.const 1000000)) (i32.const 0)) (then unreachable))
             (call $answer (i32.const 1024) (i32.const 32)) {OK}"
        ),
        ..Forged::with(
            r#"(import "swarm:agent/messaging@0.1.0" "answer" (func $answer (param i32 i32))) (table $t 1 funcref)"#,
        )
    };
    for class in Class::ALL {
        let guests = start(&tries, class, Limits::of(class)).await;
        guests.ask(AclMessage::new(Performative::Request)).await;
        assert_eq!(guests.agent().incarnation().0, 1, "{class}");
    }
}

/// Answers again and again with content of so many bytes, whatever it is told.
fn answers_with(bytes: u32) -> Forged {
    Forged {
        memory: "4".to_owned(),
        on_message: format!(
            "(i32.store8 (i32.const 1080) (i32.const 1)) (i32.store (i32.const 1084) (i32.const 2048)) (i32.store (i32.const 1088) (i32.const {bytes}))
             (loop $again (call $answer (i32.const 1024) (i32.const 32)) (br $again)) {OK}"
        ),
        ..Forged::with(
            r#"(import "swarm:agent/messaging@0.1.0" "answer" (func $answer (param i32 i32)))"#,
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_breaks_the_message_size_in_each_class() {
    let small = |limits: &mut Limits| {
        limits.message_bytes = 16 << 10;
        limits.host_bytes = 128 << 10;
    };
    breaks_in_each_class(&answers_with(100 << 10), small, Limit::MessageSize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_breaks_the_hosts_bytes_before_it_is_copied_in_each_class() {
    let small = |limits: &mut Limits| {
        limits.message_bytes = 16 << 10;
        limits.host_bytes = 16 << 10;
    };
    breaks_in_each_class(&answers_with(100 << 10), small, Limit::HostBytes).await;
}

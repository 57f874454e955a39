//! The bound of a guest's mailbox is exact in every class, while its code never comes back and over the kill that ends that.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{Guests, host, order, word_count};
use std::time::Duration;
use swarm_actors::{DeathCause, MailboxOptions, NotSent, WhenFull};
use swarm_protocols::AclMessage;
use swarm_wasm::{Class, Grants, Limits, Plan};

/// How many messages it holds.
const CAPACITY: u32 = 3;
/// How long a send that must wait is watched. It never gets through in that time, however long it is.
const WATCHED: Duration = Duration::from_millis(50);

/// A visit of somebody; the guest's store counts them over its lives.
fn visit(who: &str) -> AclMessage {
    order("visit", who)
}

/// A guest that is in a turn without end, with as many visits in its mailbox as that holds.
async fn full(class: Class, when_full: WhenFull) -> Guests {
    let (grants, limits) = (
        Grants::all(),
        Limits {
            turn_cpu: Duration::from_secs(600),
            ..Limits::of(class)
        },
    );
    let component = host()
        .load_file(&word_count(), class, &grants, &limits)
        .unwrap();
    let plan = Plan::new(component, "{}".to_owned(), grants, limits);
    let mailbox = MailboxOptions {
        capacity: CAPACITY,
        when_full,
        ..MailboxOptions::default()
    };
    let guests = Guests::specified(plan, |spec| spec.mailbox(mailbox).turn_deadline(None)).await;
    let agent = guests.agent();
    agent.send_acl(order("loop", "")).await.unwrap();
    guests.until(|| agent.detail().current.is_some()).await;
    for who in ["first", "second", "third"] {
        agent.try_send_acl(visit(who)).unwrap();
    }
    assert_eq!(agent.mailbox_depth(), u64::from(CAPACITY), "{class}");
    guests
}

impl Guests {
    /// How many visits came through before this last one.
    async fn visits(&self) -> u32 {
        let agent = self.agent();
        self.until(|| agent.mailbox_depth() == 0).await;
        let answer = self.ask(visit("last")).await;
        answer.text().unwrap().parse::<u32>().unwrap() - 1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_of_a_guest_refuses_and_keeps_what_it_has_in_each_class() {
    for class in Class::ALL {
        let guests = full(class, WhenFull::Fail).await;
        let agent = guests.agent();
        for _ in 0..10 {
            assert_eq!(agent.send_acl(visit("late")).await, Err(NotSent::Full));
        }
        assert_eq!(agent.mailbox_depth(), u64::from(CAPACITY), "{class}");
        agent.kill();
        assert_eq!(guests.visits().await, CAPACITY, "{class}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_to_a_full_mailbox_of_a_guest_waits_until_there_is_room_in_each_class() {
    for class in Class::ALL {
        let guests = full(class, WhenFull::Wait).await;
        let agent = guests.agent();
        assert_eq!(agent.try_send_acl(visit("hasty")), Err(NotSent::Full));
        let (patient, to) = (agent.clone(), agent.clone());
        let patient = tokio::spawn(async move { patient.send_acl(visit("patient")).await });
        // One that gives up takes its message along.
        let hasty = tokio::time::timeout(WATCHED, to.send_acl(visit("hasty"))).await;
        assert!(hasty.is_err(), "{class}");
        assert!(!patient.is_finished(), "{class}");
        assert_eq!(agent.mailbox_depth(), u64::from(CAPACITY), "{class}");
        agent.kill();
        patient.await.unwrap().unwrap();
        assert_eq!(guests.visits().await, CAPACITY + 1, "{class}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_of_a_guest_makes_room_with_its_oldest_message_in_each_class() {
    for class in Class::ALL {
        let guests = full(class, WhenFull::DropOldest).await;
        let agent = guests.agent();
        for who in ["fourth", "fifth"] {
            agent.send_acl(visit(who)).await.unwrap();
        }
        assert_eq!(agent.mailbox_depth(), u64::from(CAPACITY), "{class}");
        let dead = guests.system.dead_letters().list();
        let dropped = dead
            .iter()
            .filter(|letter| letter.cause == DeathCause::DroppedOldest);
        let contents: Vec<_> = dropped
            .map(|letter| letter.acl.as_ref().unwrap().content.clone())
            .collect();
        assert_eq!(contents, [visit("first").content, visit("second").content]);
        agent.kill();
        assert_eq!(guests.visits().await, CAPACITY, "{class}");
    }
}

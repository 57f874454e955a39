//! All interleavings of the mailbox's two sides, by loom:
//! `RUSTFLAGS="--cfg swarm_loom" cargo test -p swarm-actors --lib --release loom`.

use super::*;
use loom::sync::{Arc, Notify};
use loom::thread;
use std::task::Wake as StdWake;

struct Item(u32);

impl Posted for Item {
    fn priority(&self) -> Priority {
        Priority::Normal
    }
    fn is_counted(&self) -> bool {
        true
    }
}

struct Bell(Notify);

impl StdWake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

fn bell() -> (std::sync::Arc<Bell>, Waker) {
    let bell = std::sync::Arc::new(Bell(Notify::new()));
    (bell.clone(), bell.into())
}

struct Whole(Front<Item>, Back);

impl Whole {
    fn mailbox(&self) -> Mailbox<'_, Item> {
        self.0.with(&self.1)
    }
}

fn open(capacity: u32) -> Arc<Whole> {
    let whole = Whole(Front::new(capacity), Back::new());
    let _ = whole.mailbox().set_gate(Gate::Open);
    whole.mailbox().resume_running();
    Arc::new(whole)
}

fn do_wake(wake: Wake) {
    match wake {
        Wake::Parked(waker) => waker.wake(),
        Wake::None => {}
        Wake::Absent => unreachable!("the consumer does not leave here"),
    }
}

/// Takes `count` letters, sleeping whenever there is none.
fn consume(mailbox: &Whole, count: usize) -> Vec<u32> {
    let (bell, waker) = bell();
    let (mut ready, mut registered) = (Lanes::new(), Registered::default());
    let mut taken = Vec::new();
    while taken.len() < count {
        match mailbox.mailbox().next(&mut ready, &mut registered, &waker) {
            Some(Item(n)) => taken.push(n),
            None => bell.0.wait(),
        }
    }
    taken
}

#[test]
fn loom_no_letter_is_lost_between_the_push_and_the_parking() {
    loom::model(|| {
        let mailbox = open(4);
        let pusher = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                for n in 0..2 {
                    do_wake(mailbox.mailbox().push(Item(n)).ok().expect("room"));
                }
            })
        };
        assert_eq!(consume(&mailbox, 2), vec![0, 1]);
        pusher.join().expect("no panic");
    });
}

#[test]
fn loom_a_sender_that_waits_is_let_in_and_woken() {
    loom::model(|| {
        let mailbox = open(1);
        let sender = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let (bell, waker) = bell();
                for n in 0..2 {
                    let (wake, ticket) = mailbox
                        .mailbox()
                        .wait(&mut Some(Item(n)), &waker)
                        .ok()
                        .expect("open");
                    do_wake(wake);
                    if let Some(ticket) = ticket {
                        while mailbox.mailbox().poll_ticket(ticket, &waker).is_pending() {
                            bell.0.wait();
                        }
                    }
                }
            })
        };
        assert_eq!(consume(&mailbox, 2), vec![0, 1]);
        sender.join().expect("no panic");
        assert_eq!(mailbox.mailbox().depth(), 0);
    });
}

#[test]
fn loom_a_control_flag_is_seen_by_a_consumer_that_parks_meanwhile() {
    loom::model(|| {
        let mailbox = open(1);
        let raiser = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                mailbox.mailbox().control().fetch_or(1, Ordering::AcqRel);
                do_wake(mailbox.mailbox().wake_consumer());
            })
        };
        let (bell, waker) = bell();
        let (mut ready, mut registered) = (Lanes::new(), Registered::default());
        while mailbox.mailbox().control().load(Ordering::Acquire) == 0 {
            assert!(
                mailbox
                    .mailbox()
                    .next(&mut ready, &mut registered, &waker)
                    .is_none()
            );
            if mailbox.mailbox().control().load(Ordering::Acquire) == 0 {
                bell.0.wait();
            }
        }
        raiser.join().expect("no panic");
    });
}

#[test]
fn loom_a_letter_is_either_taken_or_refused_when_the_gate_shuts() {
    loom::model(|| {
        let mailbox = open(1);
        let pusher = {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.mailbox().push(Item(1)).is_ok())
        };
        let _ = mailbox.mailbox().set_gate(Gate::Closed);
        let mut ready = Lanes::new();
        let drained = mailbox.mailbox().drain(&mut ready).len();
        let was_taken = pusher.join().expect("no panic");
        assert_eq!(drained, usize::from(was_taken));
    });
}

#[test]
fn loom_a_consumer_that_leaves_is_replaced_when_a_letter_comes() {
    loom::model(|| {
        let mailbox = open(1);
        let pusher = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                matches!(
                    mailbox.mailbox().push(Item(1)).ok().expect("room"),
                    Wake::Absent
                )
            })
        };
        let ready = Lanes::new();
        let left = mailbox.mailbox().leave(&ready);
        let has_claim = pusher.join().expect("no panic");
        assert_eq!(
            left, has_claim,
            "either the consumer stays and sees it, or the sender starts one"
        );
    });
}

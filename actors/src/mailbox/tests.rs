//! The mailbox against a plain model of what it promises.

#![cfg(not(swarm_loom))]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Poll, Wake as StdWake};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    n: u32,
    priority: Priority,
    counted: bool,
}

impl Posted for Item {
    fn priority(&self) -> Priority {
        self.priority
    }
    fn is_counted(&self) -> bool {
        self.counted
    }
}

struct Nobody;

impl StdWake for Nobody {
    fn wake(self: Arc<Self>) {}
}

fn waker() -> Waker {
    Arc::new(Nobody).into()
}

/// A mailbox with both sides in one place, and its one consumer.
struct Whole {
    front: Front<Item>,
    back: Back,
    registered: Registered,
}

fn open(capacity: u32) -> Whole {
    let whole = Whole {
        front: Front::new(capacity),
        back: Back::new(),
        registered: Registered::default(),
    };
    let _ = whole.mailbox().set_gate(Gate::Open);
    whole.mailbox().resume_running();
    whole
}

impl Whole {
    fn mailbox(&self) -> Mailbox<'_, Item> {
        self.front.with(&self.back)
    }

    fn next(&mut self, ready: &mut Lanes<Item>) -> Option<Item> {
        let mailbox = self.front.with(&self.back);
        mailbox.next(ready, &mut self.registered, &waker())
    }
}

fn normal(n: u32) -> Item {
    Item {
        n,
        priority: Priority::Normal,
        counted: true,
    }
}

#[test]
fn letters_that_come_together_enter_up_to_the_bound_in_their_order_with_one_wake_up() {
    let mut mailbox = open(3);
    let mut ready = Lanes::new();
    assert_eq!(mailbox.next(&mut ready), None, "the consumer waits");
    let mut letters = (0..5).map(normal).collect();
    let woken = mailbox.mailbox().push_all(&mut letters);
    assert!(matches!(woken, Wake::Parked(_)));
    let left: Vec<u32> = letters.iter().map(|letter| letter.n).collect();
    assert_eq!(left, [3, 4]);
    for n in 0..3 {
        assert_eq!(mailbox.next(&mut ready), Some(normal(n)));
    }
    let _ = mailbox.mailbox().set_gate(Gate::Refusing);
    assert!(matches!(
        mailbox.mailbox().push_all(&mut letters),
        Wake::None
    ));
    assert_eq!(letters.len(), 2, "nothing enters where nothing is taken");
}

#[derive(Clone, Debug)]
enum Op {
    Push(Priority),
    Signal,
    Wait,
    Cancel(usize),
    Take,
    PutBack,
    Reserve,
    UseReservation,
    GiveBack,
}

fn op() -> impl Strategy<Value = Op> {
    let priority = prop_oneof![
        1 => Just(Priority::Critical),
        1 => Just(Priority::High),
        4 => Just(Priority::Normal),
        1 => Just(Priority::Low)
    ];
    prop_oneof![
        4 => priority.prop_map(Op::Push),
        1 => Just(Op::Signal),
        3 => Just(Op::Wait),
        1 => (0..4usize).prop_map(Op::Cancel),
        5 => Just(Op::Take),
        1 => Just(Op::PutBack),
        1 => Just(Op::Reserve),
        1 => Just(Op::UseReservation),
        1 => Just(Op::GiveBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is done: the bound holds exactly, nothing is lost or doubled, order holds within a priority, and nobody
    /// waits while there is room and nothing is left to take.
    #[test]
    fn the_bound_is_exact_and_nothing_is_lost_or_doubled_or_reordered(
        capacity in 1u32..6,
        ops in proptest::collection::vec(op(), 1..80),
    ) {
        let mut mailbox = open(capacity);
        let mut ready = Lanes::new();
        let mut n = 0;
        let mut inside: Vec<Item> = Vec::new();
        let mut waiting: BTreeMap<u64, Item> = BTreeMap::new();
        let mut reservations = Vec::new();
        let mut taken: Vec<u32> = Vec::new();
        let mut last: Option<Item> = None;
        for op in ops {
            match op {
                Op::Push(priority) => {
                    n += 1;
                    let item = Item { n, priority, counted: true };
                    let counted = inside.iter().filter(|i| i.counted).count() + reservations.len();
                    match mailbox.mailbox().push(item.clone()) {
                        Ok(_) => {
                            prop_assert!(counted < capacity as usize, "it took one too many");
                            inside.push(item);
                        }
                        Err((NotTaken::Full, _)) => {
                            prop_assert!(counted >= capacity as usize || !waiting.is_empty());
                        }
                        Err((NotTaken::Refused(_), _)) => prop_assert!(false, "the gate is open"),
                    }
                }
                Op::Signal => {
                    n += 1;
                    let item = Item { n, priority: Priority::Normal, counted: false };
                    prop_assert!(mailbox.mailbox().push(item.clone()).is_ok(), "signals always fit");
                    inside.push(item);
                }
                Op::Wait => {
                    n += 1;
                    let item = normal(n);
                    match mailbox.mailbox().wait(&mut Some(item.clone()), &waker()) {
                        Ok((_, None)) => inside.push(item),
                        Ok((_, Some(ticket))) => {
                            waiting.insert(ticket, item);
                        }
                        Err(_) => prop_assert!(false, "the gate is open"),
                    }
                }
                Op::Cancel(which) => {
                    if let Some((&ticket, _)) = waiting.iter().nth(which) {
                        let (given_back, _) = mailbox.mailbox().cancel(ticket);
                        prop_assert_eq!(given_back, waiting.remove(&ticket));
                    }
                }
                Op::Take => {
                    let item = mailbox.next(&mut ready);
                    // Those that got in meanwhile.
                    let entered: Vec<u64> = waiting
                        .keys()
                        .copied()
                        .filter(|t| mailbox.mailbox().poll_ticket(*t, &waker()).is_ready())
                        .collect();
                    for ticket in entered {
                        if let Some(item) = waiting.remove(&ticket) {
                            inside.push(item);
                        }
                    }
                    match item {
                        Some(item) => {
                            let at = inside.iter().position(|i| i.n == item.n);
                            prop_assert!(at.is_some(), "it was put in");
                            let first = inside.iter().find(|i| i.priority == item.priority);
                            prop_assert_eq!(first.map(|i| i.n), Some(item.n), "in order of priority");
                            inside.remove(at.unwrap_or(0));
                            taken.push(item.n);
                            last = Some(item);
                        }
                        None => prop_assert!(inside.is_empty() && (waiting.is_empty() || !reservations.is_empty())),
                    }
                }
                Op::PutBack => {
                    if let Some(item) = last.take() {
                        mailbox.mailbox().put_back(&mut ready, item.clone());
                        taken.pop();
                        inside.insert(0, item);
                    }
                }
                Op::Reserve => {
                    if let Ok(reservation) = mailbox.mailbox().reserve() {
                        reservations.push(reservation);
                    }
                }
                Op::UseReservation => {
                    if let Some(reservation) = reservations.pop() {
                        n += 1;
                        let item = normal(n);
                        prop_assert!(mailbox.mailbox().push_reserved(reservation, &mut Some(item.clone())).is_ok());
                        inside.push(item);
                    }
                }
                Op::GiveBack => {
                    if let Some(reservation) = reservations.pop() {
                        let _ = mailbox.mailbox().unreserve(reservation);
                    }
                }
            }
            // Waiters may have entered through what was given back.
            let entered: Vec<u64> = waiting
                .keys()
                .copied()
                .filter(|t| mailbox.mailbox().poll_ticket(*t, &waker()).is_ready())
                .collect();
            for ticket in entered {
                if let Some(item) = waiting.remove(&ticket) {
                    inside.push(item);
                }
            }
            let counted = inside.iter().filter(|i| i.counted).count() + reservations.len();
            prop_assert_eq!(mailbox.mailbox().depth(), counted as u64);
            prop_assert_eq!(mailbox.mailbox().waiting(), waiting.len());
            let mut unique = taken.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), taken.len(), "nothing is taken twice");
        }
    }
}

#[test]
fn a_shut_gate_turns_waiting_senders_away_and_hands_their_letters_back() {
    let mailbox = open(1);
    let _ = mailbox.mailbox().push(normal(1)).expect("room");
    let (_, ticket) = mailbox
        .mailbox()
        .wait(&mut Some(normal(2)), &waker())
        .expect("in line");
    let turned_away = mailbox.mailbox().set_gate(Gate::Closed);
    assert_eq!(turned_away, vec![normal(2)]);
    assert_eq!(
        mailbox
            .mailbox()
            .poll_ticket(ticket.expect("it waits"), &waker()),
        Poll::Ready(Err(Gate::Closed))
    );
    assert!(matches!(
        mailbox.mailbox().push(normal(3)),
        Err((NotTaken::Refused(Gate::Closed), _))
    ));
}

#[test]
fn dropping_the_oldest_takes_what_the_consumer_has_not_begun() {
    let mut mailbox = open(2);
    let mut ready = Lanes::new();
    for n in 1..=2 {
        let _ = mailbox.mailbox().push(normal(n)).expect("room");
    }
    assert_eq!(mailbox.next(&mut ready), Some(normal(1)));
    let _ = mailbox.mailbox().push(normal(3)).expect("room");
    let (_, dropped) = mailbox
        .mailbox()
        .push_dropping_oldest(&mut ready, &mut Some(normal(4)))
        .expect("taken");
    assert_eq!(dropped, Some(normal(2)), "it lay in the ready lanes");
    assert_eq!(mailbox.mailbox().depth(), 2);
    assert_eq!(mailbox.next(&mut ready), Some(normal(3)));
    assert_eq!(mailbox.next(&mut ready), Some(normal(4)));
}

#[test]
fn low_gets_one_of_sixteen_even_while_others_keep_coming() {
    let mut mailbox = open(1000);
    let mut ready = Lanes::new();
    for n in 0..100 {
        let _ = mailbox.mailbox().push(normal(n)).expect("room");
    }
    assert!(mailbox.next(&mut ready).is_some());
    let low = Item {
        n: 1000,
        priority: Priority::Low,
        counted: true,
    };
    let _ = mailbox.mailbox().push(low.clone()).expect("room");
    let at = (1..100).find(|_| mailbox.next(&mut ready) == Some(low.clone()));
    assert!(at.is_some_and(|at| at <= 16), "{at:?}");
}

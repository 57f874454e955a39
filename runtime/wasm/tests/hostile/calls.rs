//! What a guest may hand to the host's functions: a puppet calls each of them with whatever a message says.

use crate::forge::{Forged, OK};
use crate::kit::Guests;
use crate::tables::start;
use std::time::Duration;
use swarm_protocols::{AclMessage, ExitReason, Limit, Performative};
use swarm_wasm::{Class, Limits};

/// The functions of the contract: interface, name, how many parameters of which kind it takes, whether it gives a number.
const FUNCTIONS: [(&str, &str, &[&str], bool); 16] = [
    ("messaging", "me", &["i32"], false),
    ("messaging", "send", &["i32", "i32"], false),
    ("messaging", "answer", &["i32", "i32"], false),
    ("state", "get", &["i32", "i32", "i32"], false),
    ("state", "set", &["i32", "i32", "i32", "i32", "i32"], false),
    ("state", "delete", &["i32", "i32"], false),
    ("state", "keys", &["i32"], false),
    ("timers", "after", &["i64", "i64", "i32"], false),
    ("timers", "every", &["i64", "i64", "i32"], false),
    ("timers", "cancel", &["i64"], false),
    ("clock", "now", &[], true),
    ("random", "next", &[], true),
    ("random", "bytes", &["i32", "i32"], false),
    ("log", "write", &["i32", "i32", "i32", "i32"], false),
    ("tools", "available", &["i32"], false),
    (
        "tools",
        "call",
        &[
            "i32", "i32", "i32", "i32", "i32", "i64", "i32", "i32", "i32", "i32",
        ],
        false,
    ),
];

/// Where what a message brings is copied to.
const GIVEN: i32 = 8192;
/// Where a result goes, unless the puppet is told otherwise.
const RESULT: i32 = 4000;
/// Where it says how its last turn went: 0 for well.
const SAID: i32 = 64;

/// How an order is laid out: the function's number, how often it is called, ten arguments, and bytes that are copied to [`GIVEN`].
struct Order {
    function: usize,
    times: u32,
    arguments: [i64; 10],
    given: Vec<u8>,
}

impl Order {
    fn new(name: &str, arguments: &[i64], given: &[u8]) -> Self {
        let function = FUNCTIONS.iter().position(|(_, known, ..)| *known == name);
        let mut all = [0; 10];
        all[..arguments.len()].copy_from_slice(arguments);
        Self {
            function: function.unwrap(),
            times: 1,
            arguments: all,
            given: given.to_vec(),
        }
    }

    fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn message(&self) -> AclMessage {
        let mut content = u32::try_from(self.function).unwrap().to_le_bytes().to_vec();
        content.extend_from_slice(&self.times.to_le_bytes());
        for argument in self.arguments {
            content.extend_from_slice(&argument.to_le_bytes());
        }
        content.extend_from_slice(&self.given);
        let mut message = AclMessage::new(Performative::Request);
        message.content = Some(content);
        message
    }
}

/// A guest that does what an order says, and answers when the message has no content: with the first byte of its last result.
fn puppet() -> Forged {
    let mut imports = String::new();
    let mut calls = String::new();
    for (n, (interface, name, parameters, gives)) in FUNCTIONS.iter().enumerate() {
        let result = if *gives { "(result i64)" } else { "" };
        imports += &format!(
            "(import \"swarm:agent/{interface}@0.1.0\" \"{name}\" (func $f{n} (param {}) {result}))\n",
            parameters.join(" ")
        );
        let mut arguments = String::new();
        for (at, parameter) in parameters.iter().enumerate() {
            let load = format!(
                "(i64.load align=1 (i32.add (local.get $order) (i32.const {})))",
                8 + 8 * at
            );
            arguments += &match *parameter {
                "i32" => format!("(i32.wrap_i64 {load})"),
                _ => load,
            };
        }
        let call = format!("(call $f{n} {arguments})");
        let call = if *gives {
            format!("(drop {call})")
        } else {
            call
        };
        calls += &format!("(if (i32.eq (local.get $which) (i32.const {n})) (then {call}))\n");
    }
    let fields = format!(
        "{imports}
         (func $obey (param $order i32) (param $length i32) (local $which i32) (local $times i32)
           (local.set $which (i32.load (local.get $order)))
           (local.set $times (i32.load offset=4 (local.get $order)))
           (memory.copy (i32.const {GIVEN}) (i32.add (local.get $order) (i32.const 88)) (i32.sub (local.get $length) (i32.const 88)))
           (loop $again
             {calls}
             ;; Keys and values differ from call to call.
             (i32.store (i32.const {GIVEN}) (i32.add (i32.load (i32.const {GIVEN})) (i32.const 0x01010101)))
             (local.set $times (i32.sub (local.get $times) (i32.const 1)))
             (br_if $again (i32.gt_s (local.get $times) (i32.const 0))))
           (i32.store8 (i32.const {SAID}) (i32.load8_u (i32.const {RESULT}))))"
    );
    Forged {
        memory: "8".to_owned(),
        on_message: format!(
            "(local.set $n (i32.load8_u offset=56 (local.get $message)))
             (if (local.get $n)
               (then (call $obey (i32.load offset=60 (local.get $message)) (i32.load offset=64 (local.get $message))))
               (else
                 ;; An `inform` with one byte of content.
                 (i32.store8 (i32.const 1024) (i32.const 7))
                 (i32.store8 (i32.const 1080) (i32.const 1))
                 (i32.store (i32.const 1084) (i32.const {SAID}))
                 (i32.store (i32.const 1088) (i32.const 1))
                 (call $f2 (i32.const 1024) (i32.const 4000))))
             (global.set $free (i32.const 300000)) {OK}"
        ),
        ..Forged::with(&fields)
    }
}

async fn started(change: impl Fn(&mut Limits)) -> Guests {
    let class = Class::Default;
    let mut limits = Limits {
        turn_cpu: Duration::from_secs(20),
        log_bytes_per_second: 1 << 20,
        ..Limits::of(class)
    };
    change(&mut limits);
    start(&puppet(), class, limits).await
}

/// The first byte of the last call's result: 1 for an error.
async fn said(guests: &Guests) -> u8 {
    let answer = guests.ask(AclMessage::new(Performative::Request)).await;
    answer.content.unwrap()[0]
}

/// The puppet takes it: it is told an error (or not), and lives.
async fn survives(guests: &Guests, order: Order, expected: u8) {
    let life = guests.agent().incarnation();
    let name = FUNCTIONS[order.function].1;
    guests.agent().send_acl(order.message()).await.unwrap();
    let said = said(guests).await;
    assert_eq!(guests.agent().incarnation(), life, "{name}");
    assert_eq!(said, expected, "{name}");
}

/// The puppet's life ends, and the next one answers.
async fn ends(guests: &Guests, order: Order) -> ExitReason {
    let down = guests.agent().monitor();
    guests.agent().send_acl(order.message()).await.unwrap();
    let reason = down.await.unwrap().reason;
    said(guests).await;
    reason
}

const AT: i64 = GIVEN as i64;
const TO: i64 = RESULT as i64;

/// A message in memory: all there is of it is zero, but for these words.
fn message(words: &[(usize, u32)]) -> Vec<u8> {
    let mut bytes = vec![0; 192];
    for (at, word) in words {
        bytes[*at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_answered_with_an_error_and_nothing_happens() {
    let guests = started(|_| {}).await;
    let long = i64::from(u32::MAX);
    for (order, expected) in [
        // A key that is too long; a value within bounds under a key that is none.
        (Order::new("set", &[AT, 300, AT, 1, TO], &[b'k'; 300]), 1),
        (Order::new("get", &[AT, 3, TO], b"abc"), 0),
        (Order::new("delete", &[AT, 3], b"abc"), 0),
        // Ten thousand years; an id that never was.
        (Order::new("after", &[i64::MAX, -1, TO], b""), 1),
        (Order::new("every", &[-1, -1, TO], b""), 1),
        (Order::new("cancel", &[-1], b""), 0),
        // No agent has such a name; no path is like that; there is no such group; and nothing of it was granted.
        (
            Order::new("send", &[AT, TO], &recipient(0, "no such name/ \u{7}")),
            1,
        ),
        (Order::new("send", &[AT, TO], &recipient(1, "//..//")), 1),
        (Order::new("send", &[AT, TO], &recipient(2, "")), 1),
        (Order::new("send", &[AT, TO], &recipient(3, "nobody")), 1),
        // A time that no message can carry.
        (
            Order::new(
                "answer",
                &[AT, TO],
                &message(&[(168, 1), (180, 0x8000_0000)]),
            ),
            1,
        ),
        // A tool that is not there, with an input that is no JSON.
        (
            Order::new("call", &[AT, 4, AT, 4, 1, -1, 1, AT, 4, TO], b"\0\0\0\0"),
            1,
        ),
        (Order::new("now", &[], b""), 0),
    ] {
        // What was said before is not there any more.
        survives(&guests, Order::new("delete", &[0, 0], b""), 0).await;
        clear(&guests).await;
        survives(&guests, order, expected).await;
    }
    // More random bytes than there are: some come, and no more than that.
    let order = Order::new("bytes", &[long, TO + 16], b"");
    survives(&guests, order, 0).await;
    assert_eq!(guests.agent().incarnation().0, 1);
}

/// Has the result be 0: `get` of a key that is not there writes it.
async fn clear(guests: &Guests) {
    survives(guests, Order::new("get", &[AT, 1, TO], b"?"), 0).await;
}

/// A recipient of this kind with an empty message behind it.
fn recipient(kind: u8, text: &str) -> Vec<u8> {
    // The variant has 12 bytes, the message begins at 16.
    let mut bytes = vec![0; 16 + 192];
    bytes[0] = kind;
    bytes[4..8].copy_from_slice(&(GIVEN as u32 + 208).to_le_bytes());
    bytes[8..12].copy_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_compiler_would_pass_ends_that_life_only() {
    let guests = started(|_| {}).await;
    let huge = 0x0fff_ffff;
    for order in [
        // Lists and texts outside of memory, and beyond any length.
        Order::new(
            "answer",
            &[AT, TO],
            &message(&[(56, 1), (60, u32::MAX - 3), (64, 100)]),
        ),
        Order::new(
            "answer",
            &[AT, TO],
            &message(&[(56, 1), (60, 0), (64, u32::MAX)]),
        ),
        Order::new("answer", &[AT, TO], &message(&[(184, 0), (188, huge)])),
        Order::new("answer", &[AT, TO], &message(&[(40, 0), (44, huge)])),
        Order::new("get", &[0, 1 << 31, TO], b""),
        Order::new("set", &[AT, 1, 0, -1, TO], b"k"),
        // The message itself, and where the result goes.
        Order::new("answer", &[-8, TO], b""),
        Order::new("answer", &[AT + 1, TO], b""),
        Order::new("answer", &[AT, -4], &message(&[])),
        Order::new("answer", &[AT, TO + 3], &message(&[])),
        Order::new("me", &[-1], b""),
        Order::new("keys", &[1], b""),
        // No UTF-8, no such act, no such level, no such recipient, neither there nor not there.
        Order::new(
            "answer",
            &[AT, TO],
            &message(&[(68, 1), (72, GIVEN as u32 + 8), (76, 2)]).tap_ff(),
        ),
        Order::new("answer", &[AT, TO], &message(&[(0, 22)])),
        Order::new("answer", &[AT, TO], &message(&[(56, 9)])),
        Order::new("write", &[9, AT, 1, TO], b"x"),
        Order::new("write", &[0, AT, 2, TO], b"\xff\xfe"),
        Order::new("send", &[AT, TO], &recipient(4, "x")),
        Order::new("call", &[AT, 4, AT, 4, 2, 0, 0, 0, 0, TO], b"tool"),
    ] {
        let name = FUNCTIONS[order.function].1;
        let reason = ends(&guests, order).await;
        let is_its_own = matches!(
            reason,
            ExitReason::Panic(_) | ExitReason::Limit(Limit::HostBytes)
        );
        assert!(is_its_own, "{name}: {reason}");
    }
}

trait TapFf {
    fn tap_ff(self) -> Vec<u8>;
}

impl TapFf for Vec<u8> {
    /// With bytes at 8 that are no text.
    fn tap_ff(mut self) -> Vec<u8> {
        self[8..10].copy_from_slice(b"\xff\xfe");
        self
    }
}

/// Very many parts that have no length take memory of the host all the same, and count.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_very_many_empty_parts_is_too_large() {
    let guests = started(|limits| limits.message_bytes = 64 << 10).await;
    let zeros = 100_000;
    for (what, words) in [
        ("parameters", vec![(184, zeros), (188, 10_000)]),
        ("receivers", vec![(40, zeros), (44, 5_000)]),
        ("addresses", vec![(4, 1), (16, zeros), (20, 20_000)]),
        ("resolvers", vec![(4, 1), (24, zeros), (28, 10_000)]),
    ] {
        clear(&guests).await;
        let order = Order::new("answer", &[AT, TO], &message(&words));
        survives(&guests, order, 1).await;
        println!("{what}: refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_keys_without_values_break_the_hosts_bytes() {
    let guests = started(|limits| limits.host_bytes = 256 << 10).await;
    // Four bytes each that differ: by their own length alone 65 536 of them would fit.
    let order = Order::new("set", &[AT, 4, AT, 0, TO], b"\x01\x01\x01\x01").times(100);
    survives(&guests, order, 0).await;
    let order = Order::new("set", &[AT, 3, AT, 0, TO], b"aaa\0").times(20_000);
    // The text of a key must be UTF-8: three of its bytes count up, within ASCII for the first rounds only.
    let reason = ends(&guests, order).await;
    let is_its_own = matches!(
        reason,
        ExitReason::Limit(Limit::HostBytes) | ExitReason::Panic(_)
    );
    assert!(is_its_own, "{reason}");
}

/// Any function, any arguments, any memory: the host stands, and the agent is there again.
#[tokio::test(flavor = "multi_thread")]
async fn random_calls_harm_nobody_but_the_caller() {
    let guests = started(|limits| limits.turn_cpu = Duration::from_millis(500)).await;
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let word = |random: &mut fastrand::Rng| match random.u8(0..8) {
            0 => random.i64(..),
            1 => i64::from(random.i32(..)),
            2 => -random.i64(0..64),
            3 => random.i64(0..600_000),
            4 => TO,
            _ => AT + 8 * random.i64(0..64),
        };
        let mut given: Vec<u8> = (0..random.usize(0..600)).map(|_| random.u8(..)).collect();
        // Words that are addresses, lengths and discriminants now and then.
        for at in (0..given.len().saturating_sub(8)).step_by(4) {
            let small = match random.u8(0..4) {
                0 => random.u32(0..3),
                1 => random.u32(0..600_000),
                2 => GIVEN as u32,
                _ => continue,
            };
            given[at..at + 4].copy_from_slice(&small.to_le_bytes());
        }
        let order = Order {
            function: random.usize(0..FUNCTIONS.len()),
            times: random.u32(1..40),
            arguments: std::array::from_fn(|_| word(&mut random)),
            given,
        };
        guests.agent().send_acl(order.message()).await.unwrap();
        if seed % 10 == 9 {
            said(&guests).await;
        }
    }
    said(&guests).await;
    #[cfg(target_os = "linux")]
    assert!(crate::status("VmHWM:") < 2 << 20, "in KiB");
}

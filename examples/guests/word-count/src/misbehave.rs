//! What a bad agent may try. The host stops each of these; the worker's supervisor starts it again.

use std::hint::black_box;
use swarm_guest::log::{self, Level};
use swarm_guest::{Act, Message, messaging, state, timers};

/// Does what `task` says. Comes back only where the host lets it.
pub(crate) fn perform(task: &str, input: &str) -> Result<String, String> {
    match task {
        "loop" => spin(),
        "eat-memory" => eat_memory(),
        "trap" => panic!("ordered to trap by {input}"),
        "recurse" => Ok(recurse(1).to_string()),
        "flood" => flood(),
        "shout" => shout(),
        "hoard" => hoard(),
        "big-message" => big_message(),
        "set-timers" => set_timers(),
        _ => Err(format!("unknown task {task:?}")),
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn eat_memory() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    recurse(depth + 1) + here[0]
}

/// Sends without end, to itself; goes on when it is refused.
fn flood() -> ! {
    let me = messaging::me();
    let name = me.name.split('@').next().unwrap_or_default().to_owned();
    let to = messaging::Recipient::Agent(name);
    let message = Message::text(Act::Inform, "flood");
    loop {
        let _ = black_box(messaging::answer(&message));
        let _ = black_box(messaging::send(&to, &message));
    }
}

fn shout() -> ! {
    let text = "spam\u{1b}[31m ".repeat(100);
    loop {
        let _ = black_box(log::write(Level::Warn, &text));
    }
}

fn hoard() -> ! {
    let value = vec![7_u8; 32 << 10];
    let mut n = 0_u64;
    loop {
        n += 1;
        let _ = black_box(state::set(&format!("key-{n}"), &value));
    }
}

fn big_message() -> ! {
    let message = Message::text(Act::Inform, "x".repeat(4 << 20));
    loop {
        let _ = black_box(messaging::answer(&message));
    }
}

fn set_timers() -> ! {
    loop {
        let _ = black_box(timers::after(3_600_000, 1));
    }
}

//! The string form of ACL messages, on one core: the call for proposals of the captures, as JADE wrote it.

use crate::measure::{Meter, Spent};
use crate::sample::Sample;
use crate::workload::warm_up;
use std::hint::black_box;
use swarm_protocols::acl::string::{self, Writing};
use swarm_protocols::acl::{AclMessage, Reading, Timestamp};

const REQUEST: &[u8] = include_bytes!("../../../../protocols/tests/captures/cn-AtoB-01-cfp.http");

/// The message of the captured request: from its act to the boundary.
fn cfp() -> &'static [u8] {
    let find = |text: &[u8]| {
        let at = REQUEST.windows(text.len()).position(|part| part == text);
        at.expect("it is in the capture")
    };
    let start = find(b"(CFP");
    let end = find(b"C120868103_i_1795188458143_0 )") + b"C120868103_i_1795188458143_0 )".len();
    &REQUEST[start..end]
}

fn parsed(text: &[u8]) -> AclMessage {
    string::parse(text, &Reading::at(Timestamp::UNIX_EPOCH)).expect("it is a message")
}

/// One thread does it all, so that its CPU time is that of one core, whatever else the machine does.
fn sample(spent: Spent, messages: u64) -> Sample {
    let per_core = messages as f64 / spent.cpu.as_secs_f64();
    Sample::per_op(spent, messages).with("per-core", "messages/s", per_core)
}

pub(super) fn parse(messages: u64) -> Sample {
    let text = cfp();
    let round = |messages: u64| {
        let meter = Meter::start();
        for _ in 0..messages {
            black_box(parsed(black_box(text)));
        }
        meter.stop()
    };
    round(warm_up(messages));
    let spent = round(messages);
    sample(spent, messages)
}

pub(super) fn emit(messages: u64) -> Sample {
    let message = parsed(cfp());
    let emitted = || string::emit(black_box(&message), Writing::default()).expect("it is writable");
    assert!(parsed(&emitted()).is_identical(&message));
    let round = |messages: u64| {
        let meter = Meter::start();
        for _ in 0..messages {
            black_box(emitted());
        }
        meter.stop()
    };
    round(warm_up(messages));
    let spent = round(messages);
    sample(spent, messages)
}

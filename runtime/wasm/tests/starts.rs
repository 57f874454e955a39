//! Starts that fail, one after the other: nothing of them is left. Alone in its process, which is measured.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "kit/forge.rs"]
mod forge;
mod kit;

use forge::{Forged, OK};
use kit::{host, word_count};
use std::time::Duration;
use swarm_actors::{AgentSpec, System, SystemOptions};
use swarm_protocols::Name;
use swarm_supervisors::{StartError, SupervisorFlags, SupervisorSpec};
use swarm_wasm::{Class, Grants, Limits, Plan};

/// What this process holds: resident memory in KiB, mappings, open files.
#[derive(Clone, Copy, Debug)]
struct Held {
    resident_kib: u64,
    mappings: usize,
    files: usize,
}

impl Held {
    fn now() -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        Self {
            resident_kib: status("VmRSS:"),
            mappings: maps.lines().count(),
            files: files.count(),
        }
    }
}

/// A number of `/proc/self/status`.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A component that must not start, and a part of the reason.
struct Hostile {
    name: &'static str,
    bytes: Vec<u8>,
    grants: Grants,
    why: &'static str,
}

impl Hostile {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>, why: &'static str) -> Self {
        Self {
            name,
            bytes: bytes.into(),
            grants: Grants::all(),
            why,
        }
    }

    fn forged(name: &'static str, forged: Forged, why: &'static str) -> Self {
        Self::new(name, forged.component(), why)
    }

    /// The same with another digest: a custom section that nobody reads.
    fn numbered(&self, round: usize) -> Vec<u8> {
        let number = u32::try_from(round).unwrap().to_le_bytes();
        let mut bytes = self.bytes.clone();
        bytes.extend_from_slice(&[0, 6, 1, b'n']);
        bytes.extend_from_slice(&number);
        bytes
    }
}

fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<usize> = (0..bytes.len().saturating_sub(old.len()))
        .filter(|at| bytes[*at..].starts_with(old))
        .collect();
    for at in found {
        bytes[at..at + old.len()].copy_from_slice(new);
    }
    bytes
}

/// What is refused before anything of it runs.
fn refused() -> Vec<Hostile> {
    let plain = Forged::default();
    let whole = plain.component();
    let module = b"\0asm\x01\0\0\0";
    let other_types = forge::contract().replace(
        "on-start: func(config: string)",
        "on-start: func(config: list<u8>)",
    );
    let mut ungranted = Hostile::new(
        "imports what is not granted",
        std::fs::read(word_count()).unwrap(),
        "imports what is not granted",
    );
    ungranted.grants = Grants::default();
    vec![
        Hostile::new("no component", "hello", "not WebAssembly"),
        Hostile::new("nothing", "", "not WebAssembly"),
        Hostile::new("core module", module, "core module"),
        Hostile::new("other world", b"\0asm\x0d\0\x01\0", "no agent"),
        Hostile::new(
            "other version",
            replaced(&whole, b"lifecycle@0.1.0", b"lifecycle@0.9.0"),
            "this host speaks",
        ),
        Hostile::new("cut short", &whole[..whole.len() - 40], "not valid"),
        Hostile::new(
            "wrong types",
            forge::component(&plain.text(), &other_types),
            "does not fit",
        ),
        Hostile::forged(
            "memory",
            Forged {
                memory: "2000".to_owned(),
                ..plain
            },
            "bytes of memory",
        ),
        ungranted,
    ]
}

/// What fails in its own code, or in what it makes of the host's calls.
fn failing() -> Vec<Hostile> {
    let start = |body: &str| Forged::with(&format!("(func $begin {body}) (start $begin)"));
    let on_start = |body: &str| Forged {
        on_start: format!("{body} {OK}"),
        ..Forged::default()
    };
    let answers = |fields: &str| Forged {
        on_start: "i32.const 32".to_owned(),
        ..Forged::with("").with_data(fields)
    };
    let grow = "(loop $more (br_if $more (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0)))) unreachable";
    let finds_room = |realloc: &str| Forged {
        realloc: realloc.to_owned(),
        ..Forged::default()
    };
    vec![
        Hostile::forged("start function that loops", start("(loop $l (br $l))"), "Limit(Cpu)"),
        Hostile::forged("start function that traps", start("unreachable"), "unreachable"),
        Hostile::forged("start function that eats memory", start(grow), "Limit(Memory)"),
        Hostile::forged("start function that recurses", start("(call $begin)"), "Limit(Stack)"),
        Hostile::forged("on-start that loops", on_start("(loop $l (br $l))"), "Limit(Cpu)"),
        Hostile::forged("on-start that traps", on_start("unreachable"), "unreachable"),
        Hostile::forged("on-start that eats memory", on_start(grow), "Limit(Memory)"),
        Hostile::forged("answer outside of memory", on_start("(return (i32.const -16))"), "Panic"),
        Hostile::forged("answer that is not aligned", on_start("(return (i32.const 17))"), "Panic"),
        Hostile::forged("error that is no text", answers(r"\01\00\00\00\40\00\00\00\02\00\00\00"), "Panic"),
        Hostile::forged("error without end", answers(r"\01\00\00\00\40\00\00\00\ff\ff\ff\7f"), "Panic"),
        Hostile::forged("neither ok nor error", answers(r"\07\00\00\00\00\00\00\00\00\00\00\00"), "Panic"),
        Hostile::forged("room that is not there", finds_room("i32.const -16"), "Panic"),
        Hostile::forged("room that is never found", finds_room("(loop $l (br $l)) unreachable"), "Limit(Cpu)"),
        Hostile::forged("data outside of memory", Forged::with(r#"(data (i32.const 131070) "four")"#), "Panic"),
        Hostile::forged(
            "elements outside of the table",
            Forged::with("(table 2 funcref) (func $f) (elem (i32.const 1) $f $f $f)"),
            "Panic",
        ),
        Hostile::forged(
            "table that grows at the start",
            Forged::with(
                "(table $t 1 funcref) (start $begin) (func $begin (loop $more (br_if $more
                 (i32.ge_s (table.grow $t (ref.null func) (i32.const 64)) (i32.const 0)))) unreachable)",
            ),
            "Limit(Table)",
        ),
    ]
}

impl Forged {
    /// With these bytes where `i32.const 32` points to, and no text at 64.
    fn with_data(mut self, bytes: &str) -> Self {
        use std::fmt::Write as _;
        write!(
            self.fields,
            r#"(data (i32.const 32) "{bytes}") (data (i32.const 64) "\ff\fe")"#
        )
        .unwrap();
        self
    }
}

/// Has a supervisor start it; the reason why it did not come up.
async fn why(system: &System, hostile: &Hostile, bytes: &[u8], class: Class) -> String {
    let limits = Limits {
        turn_cpu: Duration::from_millis(10),
        ..Limits::of(class)
    };
    let loaded = {
        let (bytes, grants, limits) = (bytes.to_vec(), hostile.grants.clone(), limits.clone());
        tokio::task::spawn_blocking(move || host().load(&bytes, class, &grants, &limits))
            .await
            .unwrap()
    };
    let component = match loaded {
        Ok(component) => component,
        Err(error) => return error.to_string(),
    };
    let plan = Plan::new(component, "{}".to_owned(), hostile.grants.clone(), limits);
    let spec = AgentSpec::new("guest", move || plan.agent()).unwrap();
    let spec = SupervisorSpec::new(SupervisorFlags::default(), vec![spec.child(system)]);
    match system.start_tree(spec).await {
        Err(StartError::Child { cause, .. }) => format!("{cause:?}"),
        other => panic!("{}: {other:?}", hostile.name),
    }
}

/// Rounds of every kind, each round in the next class. Some components are new ones each time, most are those of before.
async fn starts(system: &System, kinds: &[Hostile], rounds: std::ops::Range<usize>) {
    for round in rounds {
        let class = Class::ALL[round % Class::ALL.len()];
        for (n, hostile) in kinds.iter().enumerate() {
            let bytes = match (round + n) % 16 {
                0 => hostile.numbered(round),
                _ => hostile.bytes.clone(),
            };
            let why = why(system, hostile, &bytes, class).await;
            assert!(
                why.contains(hostile.why),
                "{}, {class}: {why}",
                hostile.name
            );
        }
    }
}

/// So many starts that fail leave no memory, no mapping and no open file.
async fn leave_nothing(count: usize) {
    let mut kinds = refused();
    kinds.extend(failing());
    let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
    // Every kind in every class once: engines, pools and caches are there then.
    let warm = 2 * Class::ALL.len();
    starts(&system, &kinds, 0..warm).await;
    let before = Held::now();
    let rounds = count.div_ceil(kinds.len());
    starts(&system, &kinds, warm..warm + rounds).await;
    let after = Held::now();
    println!("{} starts: {before:?}, {after:?}", rounds * kinds.len());
    assert!(after.files <= before.files + 10, "{before:?} {after:?}");
    // A component that was never seen gets a place of its own in the pool, which stays warm for it; there are 1000 of those for each class.
    let fresh = (rounds * kinds.len()).div_ceil(16).min(3000);
    assert!(
        after.mappings <= before.mappings + 300 + 6 * fresh,
        "{before:?} {after:?}"
    );
    let more = after.resident_kib.saturating_sub(before.resident_kib);
    assert!(more <= 16 << 10, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_hostile_starts_leave_nothing_behind() {
    leave_nothing(300).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; .ci/nightly runs it"]
async fn ten_thousand_hostile_starts_leave_nothing_behind() {
    leave_nothing(10_000).await;
}

//! The components that are kept beside their sources are what those sources make.
//!
//! Each is built again. What comes out has the same world, imports and exports, says the same to the same messages, and, in Rust and C, has the
//! same bytes where the compiler is the one that made the kept one, which a component names. (componentize-qjs makes other bytes of the same
//! source each time.) `examples/guests/build --keep` makes them anew.
//!
//! Where a language's tools cannot be had, a line on stderr says that its test was not run, and why.

mod common;

use common::{Node, file, folder, run};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

fn at(name: &str) -> String {
    format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A component that is kept.
struct Prebuilt {
    /// What `examples/guests/build` calls it.
    name: &'static str,
    kept: &'static str,
    /// What a manifest says of it besides.
    agent: &'static str,
    /// What it is told; the first of them it does.
    orders: &'static [&'static str],
}

const WORDS: &[&str] = &[
    r#"{"task":"word-count","input":"two words\n"}"#,
    r#"{"task":"word-count","input":"wörd 日本\u3000🎉 \"\\\t\n"}"#,
    r#"{"task":"word-count"}"#,
    r#"{"task":"upper","input":"straße"}"#,
    r#"{"task":"no-such-task"}"#,
    r#"{"task":7}"#,
    r#""no order""#,
];
const TALLY: &[&str] = &[
    r#"{"add":5}"#,
    r#"{"add":18446744073709551615}"#,
    r#"{"add":-1}"#,
    r#""total""#,
    r#""version""#,
    r#""no order""#,
];
const ACCOUNT: &[&str] = &[
    r#"{"deposit":5}"#,
    r#"{"withdraw":7}"#,
    r#"{"withdraw":3}"#,
    r#"{"note":"x"}"#,
    r#""balance""#,
    r#""version""#,
    r#""no order""#,
];
const DURABLE: &str = "durable = true\ngrants = { messaging = {}, timers = true, clock = true }";

const RUST: &[Prebuilt] = &[
    Prebuilt {
        name: "word-count",
        kept: "word-count/word-count.wasm",
        agent: "grants = { messaging = {}, state = true, timers = true, log = true }",
        orders: WORDS,
    },
    Prebuilt {
        name: "clerk",
        kept: "clerk/clerk.wasm",
        agent: "grants = { messaging = {}, tools = [\"time\"] }",
        orders: &[
            "{}",
            r#"{"tool":"key-value"}"#,
            r#"{"tool":"time","input":7}"#,
            r#""no order""#,
        ],
    },
    Prebuilt {
        name: "tally",
        kept: "tally/tally.wasm",
        agent: "grants = { messaging = {} }",
        orders: TALLY,
    },
    Prebuilt {
        name: "tally-next",
        kept: "tally/tally-next.wasm",
        agent: "grants = { messaging = {} }",
        orders: TALLY,
    },
    Prebuilt {
        name: "account",
        kept: "account/account.wasm",
        agent: DURABLE,
        orders: ACCOUNT,
    },
    Prebuilt {
        name: "account-next",
        kept: "account/account-next.wasm",
        agent: DURABLE,
        orders: ACCOUNT,
    },
];
const C: &[Prebuilt] = &[Prebuilt {
    name: "word-count-c",
    kept: "word-count-c/word-count.wasm",
    agent: "grants = { messaging = {} }",
    orders: WORDS,
}];
const JS: &[Prebuilt] = &[Prebuilt {
    name: "word-count-js",
    kept: "word-count-js/word-count.wasm",
    agent: "class = \"interpreter\"\ngrants = { messaging = {} }",
    orders: WORDS,
}];

impl Prebuilt {
    fn kept(&self) -> String {
        at(&format!("examples/guests/{}", self.kept))
    }

    fn built(&self) -> String {
        at(&format!("target/guests/{}.wasm", self.name))
    }

    /// Two agents: what is kept and what was built.
    fn declared(&self) -> String {
        let mut text = String::new();
        for (which, component) in [("kept", self.kept()), ("built", self.built())] {
            let Self { name, agent, .. } = self;
            write!(
                text,
                "[agent.\"/{which}-{name}\"]\nwasm = {component:?}\n{agent}\n"
            )
            .expect("a String takes all text");
        }
        text
    }
}

/// Builds the guests of a language; false where its tools cannot be had.
fn are_built(language: &str) -> bool {
    let said = Command::new(at("examples/guests/build"))
        .arg(language)
        .output()
        .expect("a shell runs it");
    let complaint = String::from_utf8_lossy(&said.stderr);
    if said.status.code() == Some(3) {
        // Past the test harness, which keeps what tests print that pass.
        let _ = writeln!(std::io::stderr(), "\nNOT RUN, {}", complaint.trim());
        return false;
    }
    assert!(said.status.success(), "{language}: {complaint}");
    true
}

/// What a component is, but for what may differ from compiler to compiler.
fn contract(component: &str) -> Vec<(&'static str, Value)> {
    let said = run(&["wasm", "inspect", component, "-o", "json"]).expect(0);
    let said = said.json();
    ["world", "imports", "exports", "needs", "core_modules"]
        .map(|key| (key, said[key].clone()))
        .into()
}

/// What an agent says: the act and the content.
fn told(node: &Node, agent: &str, order: &str) -> (i32, Value, Value) {
    let said = node.run(&["actor", "call", agent, order, "-o", "json"]);
    let answer: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
    let of = |key: &str| answer[key].clone();
    (said.status, of("performative"), of("content"))
}

/// Builds a language's guests again and compares. `compiler` is what it writes into its components about itself, if the same source
/// always makes the same bytes with it.
fn those_kept_are_what_their_sources_make(
    language: &str,
    compiler: Option<&str>,
    guests: &[Prebuilt],
) {
    if !are_built(language) {
        return;
    }
    let manifest: String = guests.iter().map(Prebuilt::declared).collect();
    let folder = folder();
    let manifest = file(&folder, "swarm.toml", &format!("[tool.time]\n{manifest}"));
    let node = Node::up(&[&manifest]);
    let mut other_bytes = Vec::new();
    for guest in guests {
        let name = guest.name;
        assert_eq!(contract(&guest.kept()), contract(&guest.built()), "{name}");
        for (at, order) in guest.orders.iter().enumerate() {
            let kept = told(&node, &format!("/kept-{name}"), order);
            let built = told(&node, &format!("/built-{name}"), order);
            assert!(kept.1.is_string(), "{name}: {order}: {kept:?}");
            assert!(at > 0 || kept.1 == "inform", "{name}: {order}: {kept:?}");
            assert_eq!(kept, built, "{name}: {order}");
        }
        let [kept, built] = [guest.kept(), guest.built()]
            .map(|component| std::fs::read(component).expect("it is there"));
        let is_of_this_compiler =
            compiler.is_some_and(|compiler| names(&kept, compiler) && names(&built, compiler));
        if is_of_this_compiler && kept != built {
            other_bytes.push(name);
        }
    }
    assert!(
        other_bytes.is_empty(),
        "{other_bytes:?} are not what their sources make: examples/guests/build --keep {language}"
    );
}

fn names(component: &[u8], compiler: &str) -> bool {
    let mut places = component.windows(compiler.len());
    places.any(|place| place == compiler.as_bytes())
}

/// The version that a compiler says it has: what stands behind this word in its first line.
fn version(compiler: &str, word: &str) -> String {
    let said = Command::new(compiler).arg("--version").output();
    let said = said.expect("the compiler starts").stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().next().unwrap_or_default();
    let (_, version) = line.split_once(word).expect("it names its version");
    version.trim().to_owned()
}

#[test]
fn kept_guests_in_rust_are_what_their_sources_make() {
    let compiler = version("rustc", "rustc ");
    those_kept_are_what_their_sources_make("rust", Some(&compiler), RUST);
}

#[test]
fn kept_guests_in_c_are_what_their_sources_make() {
    if are_built("c") {
        let compiler = version("clang", "version ");
        those_kept_are_what_their_sources_make("c", Some(&compiler), C);
    }
}

#[test]
fn kept_guests_in_javascript_are_what_their_sources_make() {
    those_kept_are_what_their_sources_make("js", None, JS);
}

//! What a manifest may say, and how it is told what it may not.

use serde_json::{Value, json};
use std::time::Duration;
use swarm_cluster::partition::Strategy as WhoGoesOn;
use swarm_cluster::placement::Mode;
use swarm_protocols::Path;
use swarm_runtime::manifest::{
    BehaviourCatalogue, Child, Children, Code, ConfigFault, Declaration, Manifest, OnCrash,
    TurnDeadline, WhenFull,
};
use swarm_supervisors::{Restart, Shutdown, Strategy};

/// Three behaviours; `text` refuses the key `colour`, `kept` is durable.
struct Two;

impl BehaviourCatalogue for Two {
    fn names(&self) -> Vec<&str> {
        vec!["echo", "kept", "text"]
    }

    fn is_durable(&self, name: &str) -> bool {
        name == "kept"
    }

    fn check(&self, name: &str, config: &Value) -> Result<(), ConfigFault> {
        if name == "text" && config.get("colour").is_some() {
            return Err(ConfigFault {
                key: Some("colour".into()),
                message: "unknown key".into(),
                suggestion: None,
            });
        }
        Ok(())
    }
}

fn parse(text: &str) -> Manifest {
    Manifest::parse(text, &Two).unwrap_or_else(|rejected| panic!("{rejected}"))
}

/// The mistakes of a text, one `line:column: key: message (try …)` each.
fn mistakes(text: &str) -> Vec<String> {
    match Manifest::parse(text, &Two) {
        Ok(_) => Vec::new(),
        Err(rejected) => rejected.problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    assert_eq!(mistakes(text), expected, "\n{text}");
}

const WHOLE: &str = r#"
[node]
name = "n1"

[supervisor."/"]
strategy = "rest_for_one"
intensity = 3
period = "10s"

[agent."/first"]
behaviour = "echo"
registered = "first"

[supervisor."/pool"]
strategy = "one_for_one"
intensity = 100000
period = "1s"

[agent."/pool/worker"]
behaviour = "text"
replicas = 3
restart = "transient"
shutdown = "brutal_kill"
groups = ["workers", "texts"]
turn_deadline = "1m30s"
sleep_after = "1h"
dedicated = true
start_timeout = "2s"
restart_delay = { initial = "10ms", max = "1s", jitter = 0 }
mailbox = { capacity = 7, when_full = "drop-oldest", on_crash = "keep", redeliver = 2 }
config = { depth = 2, words = ["a", "b"], when = 2026-01-01 }

[agent."/last"]
behaviour = "echo"
"#;

#[test]
fn children_start_in_the_order_of_the_file() {
    let manifest = parse(WHOLE);
    let paths: Vec<_> = manifest
        .root
        .static_children()
        .iter()
        .map(|c| c.path().to_string())
        .collect();
    assert_eq!(paths, ["/first", "/pool", "/last"]);
    assert_eq!(manifest.root.agents_at_start(), 5);
    assert_eq!(manifest.root.supervisors(), 2);
}

#[test]
fn every_setting_arrives_in_the_tree() {
    let manifest = parse(WHOLE);
    assert_eq!(
        manifest
            .node
            .name
            .as_ref()
            .map(|n| (n.value.as_str(), n.line)),
        Some(("n1", 3))
    );
    assert_eq!(manifest.root.flags.strategy, Strategy::RestForOne);
    assert_eq!(
        (manifest.root.flags.intensity, manifest.root.flags.period),
        (3, Duration::from_secs(10))
    );
    let Some(Declaration::Agent(worker)) =
        manifest.find(&Path::new("/pool/worker-2").expect("a path"))
    else {
        panic!("no worker-2");
    };
    assert!(matches!(&worker.code, Code::Native(name) if name.as_str() == "text"));
    assert_eq!(worker.child.restart, Restart::Transient);
    assert_eq!(worker.child.shutdown, Shutdown::BrutalKill);
    assert_eq!(worker.child.start_timeout, Some(Duration::from_secs(2)));
    let delay = worker.child.restart_delay.expect("a delay");
    assert_eq!(
        (delay.initial, delay.cap),
        (Duration::from_millis(10), Duration::from_secs(1))
    );
    assert_eq!(
        worker.turn_deadline,
        TurnDeadline::Within(Duration::from_secs(90))
    );
    assert_eq!(
        (worker.sleep_after, worker.dedicated),
        (Some(Duration::from_secs(3600)), true)
    );
    assert_eq!(worker.mailbox.capacity, 7);
    assert_eq!(worker.mailbox.when_full, WhenFull::DropOldest);
    assert_eq!(
        (worker.mailbox.on_crash, worker.mailbox.redeliver),
        (OnCrash::Keep, 2)
    );
    assert_eq!(
        worker.config,
        json!({"depth": 2, "words": ["a", "b"], "when": "2026-01-01"})
    );
    assert_eq!(
        worker.groups.iter().map(|g| g.as_str()).collect::<Vec<_>>(),
        ["workers", "texts"]
    );
}

#[test]
fn what_is_not_said_is_as_in_otp() {
    let manifest = parse("[supervisor.\"/s\"]\n[agent.\"/s/a\"]\nbehaviour = \"echo\"\n");
    assert_eq!(manifest.root.flags.strategy, Strategy::OneForOne);
    assert_eq!(
        (manifest.root.flags.intensity, manifest.root.flags.period),
        (1, Duration::from_secs(5))
    );
    let Child::Supervisor(s) = &manifest.root.static_children()[0] else {
        panic!("a supervisor");
    };
    assert_eq!(
        (s.child.restart, s.child.shutdown),
        (Restart::Permanent, Shutdown::Infinity)
    );
    let a = s.static_children()[0].policy();
    assert_eq!(
        (a.restart, a.shutdown, a.significant),
        (Restart::Permanent, Shutdown::WORKER_DEFAULT, false)
    );
}

#[test]
fn an_agent_below_simple_one_for_one_is_its_template() {
    let manifest = parse(
        "[supervisor.\"/s\"]\nstrategy = \"simple_one_for_one\"\n[agent.\"/s/w\"]\nbehaviour = \"echo\"\nreplicas = 2\n",
    );
    let Child::Supervisor(s) = &manifest.root.static_children()[0] else {
        panic!("a supervisor");
    };
    assert!(
        matches!(&s.children, Children::Template { instances: 2, agent } if agent.path.as_str() == "/s/w")
    );
    assert!(matches!(
        manifest.find(&Path::new("/s/anything").expect("a path")),
        Some(Declaration::Template(_))
    ));
}

#[test]
fn the_empty_text_is_a_tree_with_nothing_in_it() {
    assert_eq!(parse("").root.agents_at_start(), 0);
}

#[test]
fn unknown_keys_are_refused_with_place_and_suggestion() {
    refused(
        "[node]\nnam = \"x\"\n",
        &["2:1: node.nam: unknown key (try name)"],
    );
    refused("[nodes]\n", &["1:2: nodes: unknown key (try node)"]);
    refused(
        "[supervisor.\"/\"]\n  strateggy = \"one_for_one\"\n",
        &["2:3: supervisor.\"/\".strateggy: unknown key (try strategy)"],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nmailbox = { capacty = 1 }\n",
        &["3:13: agent.\"/a\".mailbox.capacty: unknown key (try capacity)"],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nmailbox = { zzz = 1 }\n",
        &[
            "3:13: agent.\"/a\".mailbox.zzz: unknown key (try one of capacity, when_full, on_crash, redeliver)",
        ],
    );
}

#[test]
fn unknown_words_are_refused_with_what_there_is() {
    refused(
        "[supervisor.\"/\"]\nstrategy = \"one_for_oen\"\n",
        &[
            "2:12: supervisor.\"/\".strategy: \"one_for_oen\" is none of one_for_one, one_for_all, rest_for_one, simple_one_for_one (try \"one_for_one\")",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"ecko\"\nrestart = \"prmanent\"\n",
        &[
            "2:13: agent.\"/a\".behaviour: there is no behaviour \"ecko\" in this program (try \"echo\")",
            "3:11: agent.\"/a\".restart: \"prmanent\" is none of permanent, transient, temporary (try \"permanent\")",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"zebra\"\n",
        &[
            "2:13: agent.\"/a\".behaviour: there is no behaviour \"zebra\" in this program (try one of echo, kept, text)",
        ],
    );
}

#[test]
fn a_name_is_taken_once() {
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\n[agent.\"/a\"]\nbehaviour = \"echo\"\n",
        &[
            "3:8: \"/a\" is here for the second time",
            "4:1: behaviour is here for the second time",
        ],
    );
    refused(
        "[supervisor.\"/a\"]\n[agent.\"/a\"]\nbehaviour = \"echo\"\n",
        &[
            "2:8: agent.\"/a\": /a is declared as an agent and, in line 1, as a supervisor (try another name for one of them)",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nregistered = \"x\"\n[agent.\"/b\"]\nbehaviour = \"echo\"\nregistered = \"x\"\n",
        &["6:14: agent.\"/b\".registered: the name \"x\" is taken in line 3"],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nreplicas = 3\n[agent.\"/a-2\"]\nbehaviour = \"echo\"\n",
        &[
            "4:8: agent.\"/a-2\": /a-2 is also a replica of /a in line 1 (try another name for one of them)",
        ],
    );
    assert!(mistakes("[agent.\"/a\"]\nbehaviour = \"echo\"\nreplicas = 3\n[agent.\"/a-4\"]\nbehaviour = \"echo\"\n[agent.\"/a-02\"]\nbehaviour = \"echo\"\n").is_empty());
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\ngroups = [\"g\", \"g\"]\n",
        &["3:16: agent.\"/a\".groups: g is named twice"],
    );
}

#[test]
fn everything_stands_below_a_supervisor() {
    refused(
        "[agent.\"/pool/a\"]\nbehaviour = \"echo\"\n",
        &[
            "1:8: agent.\"/pool/a\": there is no supervisor /pool (try a section [supervisor.\"/pool\"])",
        ],
    );
    refused(
        "[supervisor.\"/pool\"]\n[agent.\"/pol/a\"]\nbehaviour = \"echo\"\n",
        &[
            "2:8: agent.\"/pol/a\": there is no supervisor /pol (try /pool/a, or a section [supervisor.\"/pol\"])",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\n[agent.\"/a/b\"]\nbehaviour = \"echo\"\n",
        &[
            "3:8: agent.\"/a/b\": /a is an agent; only supervisors have children (try [supervisor.\"/a\"])",
        ],
    );
    refused(
        "[agent.\"/\"]\nbehaviour = \"echo\"\n",
        &["1:8: agent.\"/\": the root is a supervisor, not an agent (try [supervisor.\"/\"])"],
    );
    refused(
        "[agent.pool]\nbehaviour = \"echo\"\n",
        &["1:8: agent.pool: a path begins with '/' (try [agent.\"/pool\"])"],
    );
    refused(
        "[agent.\"/Pool\"]\nbehaviour = \"echo\"\n",
        &[
            "1:8: agent.\"/Pool\": \"Pool\" in a path: a name consists of a-z, 0-9, '.', '_' and '-', not 'P' (try [agent.\"/pool\"])",
        ],
    );
    let deep = format!("/a{}", "/a".repeat(32));
    assert!(
        mistakes(&format!("[agent.\"{deep}\"]\nbehaviour = \"echo\"\n"))[0]
            .contains("33 levels deep")
    );
}

#[test]
fn impossible_combinations_are_refused() {
    let significant = |restart: &str, auto: &str| {
        mistakes(&format!(
            "[supervisor.\"/\"]\nauto_shutdown = \"{auto}\"\n[agent.\"/a\"]\nbehaviour = \"echo\"\n{restart}significant = true\n"
        ))
    };
    assert!(significant("restart = \"transient\"\n", "any_significant").is_empty());
    assert!(significant("restart = \"temporary\"\n", "all_significant").is_empty());
    assert_eq!(
        significant("restart = \"transient\"\n", "never"),
        [
            "6:15: agent.\"/a\".significant: impossible while auto_shutdown of / is \"never\" (try auto_shutdown = \"any_significant\" in [supervisor.\"/\"])"
        ],
    );
    assert_eq!(
        significant("restart = \"permanent\"\n", "any_significant"),
        [
            "6:15: agent.\"/a\".significant: impossible together with restart = \"permanent\": such a child never ends for good (try restart = \"transient\")"
        ],
    );
    assert_eq!(
        significant("", "any_significant"),
        [
            "5:15: agent.\"/a\".significant: impossible without `restart`: permanent is the default, and such a child never ends for good (try restart = \"transient\")"
        ],
    );
    refused(
        "[supervisor.\"/\"]\nstrategy = \"simple_one_for_one\"\nauto_shutdown = \"any_significant\"\n[agent.\"/a\"]\nbehaviour = \"echo\"\n",
        &[
            "3:17: supervisor.\"/\".auto_shutdown: impossible together with strategy = \"simple_one_for_one\": its children are alike, none is significant (try auto_shutdown = \"never\")",
        ],
    );
    refused(
        "[supervisor.\"/s\"]\nstrategy = \"simple_one_for_one\"\n",
        &[
            "1:13: supervisor.\"/s\": a simple_one_for_one supervisor needs a template: one agent below it (try [agent.\"/s/worker\"])",
        ],
    );
    refused(
        "[supervisor.\"/\"]\nstrategy = \"simple_one_for_one\"\n[agent.\"/a\"]\nbehaviour = \"echo\"\n[agent.\"/b\"]\nbehaviour = \"echo\"\n",
        &[
            "5:8: agent.\"/b\": / is simple_one_for_one and has its one template already, in line 3 (try strategy = \"one_for_one\")",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nreplicas = 2\nregistered = \"x\"\n",
        &[
            "4:14: agent.\"/a\".registered: impossible together with replicas: only one agent can have a name (try groups = [\"x\"])",
        ],
    );
    refused(
        "[supervisor.\"/\"]\nrestart = \"permanent\"\n",
        &[
            "2:11: supervisor.\"/\".restart: the root has no supervisor above it that could heed this",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nmailbox = { on_crash = \"drop\", redeliver = 1 }\n",
        &[
            "3:44: agent.\"/a\".mailbox.redeliver: impossible together with on_crash = \"drop\": a dropped mailbox has nothing to deliver again (try on_crash = \"keep\")",
        ],
    );
}

#[test]
fn numbers_and_durations_are_within_their_bounds() {
    let agent = |line: &str| mistakes(&format!("[agent.\"/a\"]\nbehaviour = \"echo\"\n{line}\n"));
    assert_eq!(
        agent("replicas = 0"),
        ["3:12: agent.\"/a\".replicas: 0 is not within 1 to 1000000"]
    );
    assert_eq!(
        agent("replicas = -1"),
        ["3:12: agent.\"/a\".replicas: -1 is not within 1 to 1000000"]
    );
    assert_eq!(
        agent("mailbox = { capacity = 0 }"),
        ["3:24: agent.\"/a\".mailbox.capacity: 0 is not within 1 to 1000000"]
    );
    assert_eq!(
        agent("shutdown = \"-5s\""),
        [
            "3:12: agent.\"/a\".shutdown: a duration cannot be negative (try a text such as \"5s\", \"250ms\" or \"1m30s\")"
        ]
    );
    assert_eq!(
        agent("shutdown = -5"),
        [
            "3:12: agent.\"/a\".shutdown: a duration cannot be negative (try a text such as \"5s\", \"250ms\" or \"1m30s\")"
        ]
    );
    assert_eq!(
        agent("shutdown = 5000"),
        [
            "3:12: agent.\"/a\".shutdown: a duration is a string with a unit, not an integer (try \"5000ms\")"
        ]
    );
    assert_eq!(
        agent("shutdown = \"5\""),
        ["3:12: agent.\"/a\".shutdown: a duration needs a unit (try \"5s\")"]
    );
    assert_eq!(
        agent("shutdown = \"infinty\""),
        [
            "3:12: agent.\"/a\".shutdown: \"infinty\" is no duration: numbers with units d, h, m, s, ms, the bigger unit first (try \"infinity\")"
        ]
    );
    assert!(
        agent("shutdown = \"0s\"").is_empty(),
        "told to stop, then killed at once"
    );
    assert!(agent("turn_deadline = \"infinity\"").is_empty());
    assert_eq!(
        agent("turn_deadline = \"0s\""),
        ["3:17: agent.\"/a\".turn_deadline: must be longer than zero"]
    );
    let root = |line: &str| mistakes(&format!("[supervisor.\"/\"]\n{line}\n"));
    assert_eq!(
        root("period = \"0s\""),
        ["2:10: supervisor.\"/\".period: must be longer than zero"]
    );
    assert_eq!(
        root("period = \"1500ms\""),
        [
            "2:10: supervisor.\"/\".period: a period is a whole number of seconds, as restarts are stamped in whole seconds (try \"2s\", or window = \"exact\" beside it)"
        ]
    );
    assert!(root("period = \"1500ms\"\nwindow = \"exact\"").is_empty());
    assert_eq!(
        root("period = \"infinity\""),
        [
            "2:10: supervisor.\"/\".period: \"infinity\" is no duration: numbers with units d, h, m, s, ms, the bigger unit first (try a text such as \"5s\", \"250ms\" or \"1m30s\")"
        ]
    );
    assert_eq!(
        root("intensity = -1"),
        ["2:13: supervisor.\"/\".intensity: -1 is not within 0 to 4294967295"]
    );
    assert_eq!(
        root("intensity = 99999999999999999999999999999999999999999999"),
        [
            "2:13: supervisor.\"/\".intensity: 99999999999999999999999999999999999999999999 is not within 0 to 4294967295"
        ]
    );
}

#[test]
fn wrong_types_are_named() {
    refused(
        "node = 3\nagent = []\n[supervisor]\n\"/\" = true\n",
        &[
            "1:8: node: expected a table, found a whole number",
            "2:9: agent: expected tables with paths, found a list (try [agent.\"/name\"])",
            "4:7: supervisor.\"/\": expected a table, found a boolean",
        ],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = 3\nreplicas = \"3\"\ngroups = \"g\"\nsignificant = \"no\"\nmailbox = 5\nconfig = 1\n",
        &[
            "2:13: agent.\"/a\".behaviour: expected a string, found a whole number",
            "3:12: agent.\"/a\".replicas: expected a whole number, found a string",
            "4:10: agent.\"/a\".groups: expected a list of names, found a string",
            "5:15: agent.\"/a\".significant: expected true or false, found a string",
            "6:11: agent.\"/a\".mailbox: expected a table, found a whole number",
            "7:10: agent.\"/a\".config: expected a table, found a whole number",
        ],
    );
    refused(
        "[agent.\"/a\"]\n",
        &["1:8: agent.\"/a\": an agent needs a behaviour (try behaviour = \"echo\")"],
    );
}

#[test]
fn a_behaviour_refuses_its_own_configuration() {
    refused(
        "[agent.\"/a\"]\nbehaviour = \"text\"\nconfig = { colour = 1 }\n",
        &["3:10: agent.\"/a\".config.colour: unknown key"],
    );
    refused(
        "[agent.\"/a\"]\nbehaviour = \"text\"\nconfig = { x = [1, inf] }\n",
        &[
            "3:20: agent.\"/a\".config.x[1]: neither infinite numbers nor NaN can be handed to a behaviour",
        ],
    );
}

#[test]
fn settings_of_the_node_are_checked_where_they_stand() {
    refused(
        "[node]\nname = \"N 1\"\napi = \"0.0.0.0:7590\"\nlisten = \"here\"\nlog_format = \"xml\"\n",
        &[
            "2:8: node.name: a name consists of a-z, 0-9, '.', '_' and '-', not 'N' (try \"n-1\")",
            "3:7: node.api: 0.0.0.0 is not a loopback address, and the API has no TLS and no credentials yet (try \"127.0.0.1:7590\")",
            "4:10: node.listen: \"here\" is no ADDRESS:PORT (try \"0.0.0.0:7591\")",
            "5:14: node.log_format: \"xml\" is none of plain, json (try \"plain\")",
        ],
    );
}

#[test]
fn all_mistakes_are_found_in_one_run_in_the_order_of_the_text() {
    let text = "[supervisor.\"/\"]\nintensity = -1\nx = 1\n\n[agent.\"/b/c\"]\nbehaviour = \"nope\"\nreplicas = 0\n";
    let places: Vec<_> = Manifest::parse(text, &Two)
        .expect_err("mistakes")
        .problems
        .iter()
        .map(|p| (p.line, p.column))
        .collect();
    assert_eq!(places, [(2, 13), (3, 1), (5, 8), (6, 13), (7, 12)]);
}

#[test]
fn a_column_counts_characters() {
    refused(
        "[agent.\"/a\"]\nbehaviour = \"echo\"\nconfig = { e = \"üé\", n = nan }\n",
        &[
            "3:26: agent.\"/a\".config.n: neither infinite numbers nor NaN can be handed to a behaviour",
        ],
    );
}

#[test]
fn children_may_say_where_they_run() {
    let manifest = parse(
        r#"
[node]
labels = { zone = "a" }

[cluster.placement]
stable_after = "2s"
moves_per_second = 5

[agent."/worker"]
behaviour = "echo"
replicas = 3
place = { mode = "spread", labels = { disk = "ssd" } }

[supervisor."/team"]
place = {}

[agent."/team/a"]
behaviour = "echo"
"#,
    );
    let labels = manifest.node.labels.expect("stated").value;
    assert_eq!(labels.to_string(), "zone=a");
    assert_eq!(
        manifest.cluster.placement.stable_after,
        Duration::from_secs(2)
    );
    assert_eq!(manifest.cluster.placement.moves_per_second, 5);
    let places: Vec<_> = manifest
        .root
        .static_children()
        .iter()
        .map(|child| child.policy().place.clone().expect("it has one"))
        .collect();
    assert_eq!(places[0].mode, Mode::Spread);
    assert_eq!(places[0].labels.to_string(), "disk=ssd");
    assert_eq!(places[1].mode, Mode::Any);
}

#[test]
fn what_a_partition_does_is_said_in_full() {
    let of = |text: &str| parse(text).cluster.partition;
    assert_eq!(of("").strategy, WhoGoesOn::None);
    let majority = of("[cluster.partition]\nstrategy = \"keep-majority\"\nstable_after = \"7s\"\n");
    assert_eq!(majority.strategy, WhoGoesOn::KeepMajority);
    assert_eq!(majority.stable_after, Duration::from_secs(7));
    let quorum = of("[cluster.partition]\nstrategy = \"static-quorum\"\nquorum = 3\n");
    assert_eq!(quorum.strategy, WhoGoesOn::StaticQuorum { size: 3 });
    refused(
        "[cluster.partition]\nstrategy = \"static-quorum\"\n",
        &[
            "2:12: cluster.partition.strategy: needs `quorum`: more than half of the nodes that there will ever be (try quorum = 2)",
        ],
    );
    refused(
        "[cluster.partition]\nstrategy = \"keep-majority\"\nquorum = 3\n",
        &["3:10: cluster.partition.quorum: only with strategy = \"static-quorum\""],
    );
}

#[test]
fn what_is_declared_fits_its_own_bounds() {
    let text = "[node]\nagents_max = 3\n[supervisor.\"/p\"]\nchildren_max = 3\n[agent.\"/p/a\"]\nbehaviour = \"echo\"\nreplicas = 3\n[agent.\"/b\"]\nbehaviour = \"echo\"\nreplicas = 9\nplace = {}\n";
    let manifest = parse(text);
    assert_eq!(manifest.node.agents_max.map(|max| max.value), Some(3));
    refused(
        &text.replace("replicas = 3", "replicas = 4"),
        &[
            "2:1: node.agents_max: the manifest starts 4 agents on every node (try 4)",
            "4:16: supervisor.\"/p\".children_max: /p declares 4 children (try 4)",
        ],
    );
}

#[test]
fn a_place_that_cannot_be_kept_is_refused() {
    refused(
        r#"[supervisor."/all"]
strategy = "one_for_all"
[agent."/all/a"]
behaviour = "echo"
place = {}
[supervisor."/team"]
place = { mode = "each-node" }
[agent."/team/a"]
behaviour = "echo"
registered = "a"
place = {}
[agent."/once"]
behaviour = "echo"
restart = "transient"
place = { mode = "everywhere" }
[agent."/row"]
behaviour = "echo"
replicas = 2
place = { mode = "each-node", labels = { Zone = "a", disk = 1 } }
[agent."/kept"]
behaviour = "kept"
place = {}
"#,
        &[
            "5:9: agent.\"/all/a\".place: /all restarts its children together or makes them from a template, so they are on one node; a child of a one_for_one supervisor may have a place, or /all itself",
            "10:14: supervisor.\"/team\".place: impossible together with `registered`: only one of the cluster's agents can have a name (try groups)",
            "11:9: agent.\"/team/a\".place: /team has a place already, and what is below it goes with it",
            "14:11: agent.\"/once\".place: impossible together with `place`: other nodes would start again what has ended for good (try restart = \"permanent\")",
            "15:18: agent.\"/once\".place.mode: \"everywhere\" is none of any, spread, each-node",
            "19:9: agent.\"/row\".place: impossible together with replicas: each node has one (try mode = \"spread\")",
            "19:42: agent.\"/row\".place.labels.Zone: a name consists of a-z, 0-9, '.', '_' and '-', not 'Z'",
            "19:61: agent.\"/row\".place.labels.disk: expected a string, found a whole number (try \"yes\")",
            "21:13: agent.\"/kept\".place: /kept is durable: it stays at the node that has its journal",
        ],
    );
}

#[test]
fn the_place_of_the_nodes_own_agents_is_refused() {
    refused(
        "[supervisor.\"/system\"]\n[agent.\"/system/ams\"]\nbehaviour = \"echo\"\n[agent.\"/systems\"]\nbehaviour = \"echo\"\n",
        &[
            "1:13: supervisor.\"/system\": /system and what is below it are the node's own (try [supervisor.\"/app\"])",
            "2:8: agent.\"/system/ams\": /system and what is below it are the node's own (try [agent.\"/app\"])",
        ],
    );
}

#[test]
fn a_text_that_is_no_toml_is_told_where_it_breaks() {
    let rejected = Manifest::parse("[node]\nname = \n", &Two).expect_err("no TOML");
    assert_eq!(
        (rejected.problems[0].line, rejected.file.as_str()),
        (2, "-")
    );
    assert!(Manifest::parse("\u{0}\u{1}[[[", &Two).is_err());
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_folder_it_was_looked_for_in() {
    let error = Manifest::load(std::path::Path::new("no-such.toml"), &Two).expect_err("not there");
    let text = error.to_string();
    let folder = std::env::current_dir()
        .expect("a folder")
        .display()
        .to_string();
    assert!(
        text.contains("no-such.toml") && text.contains(&folder),
        "{text}"
    );
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let error = Manifest::load(std::path::Path::new("/dev/zero"), &Two).expect_err("too long");
    assert!(
        error.to_string().contains("/dev/zero has more than"),
        "{error}"
    );
}

#[test]
fn a_manifest_can_be_asked_what_happens_when_its_actors_die() {
    let text = r#"
[supervisor."/"]
strategy = "rest_for_one"
[supervisor."/pool"]
strategy = "one_for_all"
[agent."/pool/w"]
behaviour = "text"
replicas = 2
[supervisor."/dyn"]
strategy = "simple_one_for_one"
[agent."/dyn/d"]
behaviour = "echo"
replicas = 1
"#;
    let manifest = parse(text);
    let path = |text| Path::new(text).expect("a path");
    let scenario = manifest
        .to_scenario(&[path("/pool/w-2"), path("/dyn/d-1")])
        .expect("a scenario");
    let steps = swarm_supervisors::scenario::run(&scenario).expect("it can be played");
    let told: Vec<String> = steps
        .iter()
        .filter(|step| step.t == 1000)
        .map(|step| {
            let json = serde_json::to_value(step).expect("a step is JSON");
            format!("{} {}", json["event"].as_str().unwrap_or("?"), step.id)
        })
        .collect();
    assert_eq!(
        told,
        [
            "exited pool/w-2",
            "exited dyn/d-1",
            "stopping pool/w-1",
            "exited pool/w-1",
            "start pool/w-1",
            "started pool/w-1",
            "start pool/w-2",
            "started pool/w-2",
            "start dyn/d-1",
            "started dyn/d-1",
        ]
    );
    assert!(manifest.to_scenario(&[path("/nobody")]).is_err());
    assert!(manifest.to_scenario(&[Path::root()]).is_err());
}

proptest::proptest! {
    /// Whatever a text has in it, it is accepted or refused with places that are in it.
    #[test]
    fn no_text_is_too_strange(text in ".{0,400}") {
        every_mistake_is_in_the_text(&text);
    }

    /// The same for texts that are nearly right.
    #[test]
    fn no_manifest_is_too_broken(
        at in 0..WHOLE.len(),
        length in 0..60_usize,
        piece in "[\\[\\]{}=\"'a-z/0-9 \n.,#é-]{0,12}",
    ) {
        let end = (at + length).min(WHOLE.len());
        proptest::prop_assume!(WHOLE.is_char_boundary(at) && WHOLE.is_char_boundary(end));
        every_mistake_is_in_the_text(&format!("{}{piece}{}", &WHOLE[..at], &WHOLE[end..]));
    }
}

fn every_mistake_is_in_the_text(text: &str) {
    let Err(rejected) = Manifest::parse(text, &Two) else {
        return;
    };
    assert!(!rejected.problems.is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &rejected.problems {
        let line = lines
            .get(problem.line - 1)
            .unwrap_or_else(|| panic!("{problem} is in no line"));
        assert!(
            (1..=line.chars().count() + 1).contains(&problem.column),
            "{problem} is outside of {line:?}"
        );
        assert!(!problem.message.is_empty());
    }
}

//! What a DF and an AMS answer: the rows of fipa.md e.1, e.2 and e.4.

#![allow(
    clippy::unwrap_used,
    reason = "what these tests are built of is there, or the test is wrong"
)]

use std::collections::BTreeMap;
use std::time::Duration;
use swarm_protocols::acl::Reading;
use swarm_protocols::platform::{Ams, AmsAsked, Change, Df, DfLimits, DfOut, SearchKey};
use swarm_protocols::sl::management::{
    AgentState, AmsAgentDescription, Answer, DfAgentDescription, Reason,
};
use swarm_protocols::sl::{self, Term};
use swarm_protocols::{AclMessage, Aid, Performative, Timestamp};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
/// For a search that wants all there are.
const ALL: &str = "(search-constraints :max-results 100)";

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

fn df() -> Df {
    Df::new(Aid::named("df@p"), DfLimits::default())
}

fn says(sender: &str, performative: Performative, content: &str) -> AclMessage {
    let mut message = AclMessage::new(performative);
    message.sender = Some(Aid::named(sender));
    message.receiver = vec![Aid::named("df@p")];
    message.content = Some(content.as_bytes().to_vec());
    message.language = Some("fipa-sl0".into());
    message.ontology = Some("FIPA-Agent-Management".into());
    message.protocol = Some("fipa-request".into());
    message.conversation_id = Some("c1".into());
    message.reply_with = Some("r1".into());
    message
}

fn request(act: &str) -> AclMessage {
    let content = format!("((action (agent-identifier :name df@p) {act}))");
    says("a@p", Performative::Request, &content)
}

fn entry(agent: &str, service_type: &str) -> String {
    format!(
        "(df-agent-description :name (agent-identifier :name {agent}) \
         :services (set (service-description :name s :type {service_type})))"
    )
}

fn template(service_type: &str) -> String {
    format!("(df-agent-description :services (set (service-description :type {service_type})))")
}

fn everybody(_: &Aid) -> bool {
    true
}

/// What the directory answers at once, and its content.
fn ask(df: &mut Df, message: &AclMessage) -> (Performative, String) {
    let out = df.on_message(message, everybody, NOW);
    assert!(out.sends.is_empty() && out.pending.is_none(), "{out:?}");
    told(&out.reply.expect("an answer"))
}

fn told(answer: &AclMessage) -> (Performative, String) {
    let content = String::from_utf8(answer.content.clone().expect("content")).expect("text");
    (answer.performative, content)
}

fn found(answer: &AclMessage) -> Vec<String> {
    let reading = Reading::at(NOW);
    let content = sl::parse(answer.content.as_deref().unwrap(), &reading).unwrap();
    let terms = match Answer::read(&content, &reading) {
        Some(Answer::Result(_, terms)) => terms,
        // A notification: `(= (iota …) (sequence …))`.
        _ => match &content[..] {
            [Term::Call(call)] => call.positional().unwrap()[1].as_members().unwrap().to_vec(),
            other => panic!("{other:?}"),
        },
    };
    terms
        .iter()
        .map(|term| DfAgentDescription::read(term, &reading).unwrap())
        .map(|entry| entry.name.unwrap().name.into())
        .collect()
}

fn search(df: &mut Df, what: &str, constraints: &str) -> Vec<String> {
    let out = df.on_message(
        &request(&format!("(search {what} {constraints})")),
        everybody,
        NOW,
    );
    found(&out.reply.expect("an answer"))
}

fn register(df: &mut Df, agent: &str, service_type: &str) {
    let (act, content) = ask(
        df,
        &request(&format!("(register {})", entry(agent, service_type))),
    );
    assert_eq!(act, Performative::Inform, "{content}");
}

#[test]
fn e2_register_is_answered_by_one_inform_done_and_no_agree() {
    let mut df = df();
    let message = request(&format!("(register {})", entry("a@p", "t")));
    let out = df.on_message(&message, everybody, NOW);
    let answer = out.reply.expect("an answer");
    assert!(answer.answers(&message));
    assert_eq!(answer.sender, Some(Aid::named("df@p")));
    assert_eq!(answer.receiver, [Aid::named("a@p")]);
    let (act, content) = told(&answer);
    assert_eq!(act, Performative::Inform);
    assert!(
        content.starts_with(
            "((done (action (agent-identifier :name df@p) (register (df-agent-description"
        ),
        "{content}"
    );
    assert_eq!(df.entries().count(), 1);
}

#[test]
fn e2_register_twice_is_a_failure_with_a_bare_word() {
    let mut df = df();
    register(&mut df, "a@p", "t");
    let (act, content) = ask(
        &mut df,
        &request(&format!("(register {})", entry("A@P", "t"))),
    );
    assert_eq!(act, Performative::Failure);
    assert!(content.ends_with(") already-registered)"), "{content}");
}

#[test]
fn e2_register_without_a_name_is_refused() {
    let (act, content) = ask(&mut df(), &request("(register (df-agent-description))"));
    assert_eq!(act, Performative::Refuse);
    assert!(
        content.ends_with("(missing-parameter df-agent-description name))"),
        "{content}"
    );
}

#[test]
fn e1_services_need_a_name_and_a_type_to_be_registered() {
    let nameless = "(register (df-agent-description :name (agent-identifier :name a@p) :services (set (service-description :type t))))";
    let (act, content) = ask(&mut df(), &request(nameless));
    assert_eq!(act, Performative::Refuse);
    assert!(content.contains("(missing-parameter service-description name)"));
}

#[test]
fn e2_a_search_finds_entries_and_an_empty_one_an_empty_sequence() {
    let mut df = df();
    register(&mut df, "a@p", "translation");
    register(&mut df, "b@p", "translation");
    register(&mut df, "c@p", "poetry");
    let all = "(search-constraints :max-results -1)";
    assert_eq!(
        search(&mut df, &template("translation"), all),
        ["a@p", "b@p"]
    );
    assert_eq!(
        search(&mut df, &template("TRANSLATION"), all),
        ["a@p", "b@p"]
    );
    assert!(search(&mut df, &template("music"), all).is_empty());
    let (_, content) = ask(
        &mut df,
        &request(&format!("(search {} {all})", template("music"))),
    );
    assert!(content.ends_with(" (sequence)))"), "{content}");
}

#[test]
fn e1_a_search_without_max_results_finds_one() {
    let mut df = df();
    register(&mut df, "a@p", "t");
    register(&mut df, "b@p", "t");
    assert_eq!(
        search(&mut df, &template("t"), "(search-constraints)"),
        ["a@p"]
    );
    let two = "(search-constraints :max-results 2)";
    assert_eq!(search(&mut df, &template("t"), two), ["a@p", "b@p"]);
}

#[test]
fn e1_absent_slots_of_a_template_match_anything() {
    let mut df = df();
    register(&mut df, "a@p", "t");
    let all = "(search-constraints :max-results -1)";
    assert_eq!(search(&mut df, "(df-agent-description)", all), ["a@p"]);
    let named = "(df-agent-description :name (agent-identifier :name a@p))";
    assert_eq!(search(&mut df, named, all), ["a@p"]);
    let other =
        "(df-agent-description :name (agent-identifier :name a@p) :languages (set klingon))";
    assert!(search(&mut df, other, all).is_empty());
}

#[test]
fn e2_a_search_without_constraints_says_what_is_missing() {
    let (act, content) = ask(&mut df(), &request(&format!("(search {})", template("t"))));
    assert_eq!(act, Performative::Refuse);
    assert!(content.contains("missing-argument"), "{content}");
}

#[test]
fn e2_modify_replaces_the_whole_entry_and_needs_one() {
    let mut df = df();
    let modify = request(&format!("(modify {})", entry("a@p", "new")));
    let (act, content) = ask(&mut df, &modify);
    assert_eq!(act, Performative::Failure);
    assert!(content.ends_with(") not-registered)"), "{content}");
    register(&mut df, "a@p", "old");
    assert_eq!(ask(&mut df, &modify).0, Performative::Inform);
    let all = "(search-constraints :max-results -1)";
    assert!(search(&mut df, &template("old"), all).is_empty());
    assert_eq!(search(&mut df, &template("new"), all), ["a@p"]);
}

#[test]
fn e2_deregister_needs_only_the_name_and_an_entry() {
    let mut df = df();
    register(&mut df, "a@p", "t");
    let deregister =
        request("(deregister (df-agent-description :name (agent-identifier :name a@p)))");
    assert_eq!(ask(&mut df, &deregister).0, Performative::Inform);
    let (act, content) = ask(&mut df, &deregister);
    assert_eq!(act, Performative::Failure);
    assert!(content.ends_with(") not-registered)"), "{content}");
}

#[test]
fn e2_what_is_no_sl_or_no_action_is_not_understood() {
    for content in ["((action", "hello", "()", "((done x))", ""] {
        let message = says("a@p", Performative::Request, content);
        let (act, told) = ask(&mut df(), &message);
        assert_eq!(act, Performative::NotUnderstood, "{content}");
        assert_eq!(told, "((unrecognised-value content))");
    }
}

#[test]
fn e2_another_language_or_ontology_is_not_understood() {
    let mut message = request(&format!("(register {})", entry("a@p", "t")));
    message.language = Some("xml".into());
    let (act, content) = ask(&mut df(), &message);
    assert_eq!(act, Performative::NotUnderstood);
    assert_eq!(content, "((unsupported-value language))");
    message.language = None;
    message.ontology = Some("market".into());
    assert_eq!(ask(&mut df(), &message).1, "((unsupported-value ontology))");
}

#[test]
fn e2_any_protocol_is_answered() {
    let mut message = request(&format!("(register {})", entry("a@p", "t")));
    message.protocol = Some("fipa-query".into());
    assert_eq!(ask(&mut df(), &message).0, Performative::Inform);
}

#[test]
fn an_act_that_no_directory_knows_is_not_understood_and_an_answer_to_nothing_is_silence() {
    let message = says("a@p", Performative::QueryRef, "()");
    assert_eq!(ask(&mut df(), &message).1, "((unsupported-act query-ref))");
    for act in [
        Performative::NotUnderstood,
        Performative::Failure,
        Performative::Inform,
    ] {
        let out = df().on_message(&says("a@p", act, "garbage"), everybody, NOW);
        assert_eq!(out, DfOut::default());
    }
}

#[test]
fn nobody_changes_the_entry_of_another_without_the_right_to() {
    let mut df = df();
    register(&mut df, "b@p", "t");
    let own = |name: &Aid| *name == Aid::named("a@p");
    for act in [
        format!("(register {})", entry("c@p", "t")),
        format!("(modify {})", entry("b@p", "x")),
        "(deregister (df-agent-description :name (agent-identifier :name b@p)))".to_owned(),
    ] {
        let out = df.on_message(&request(&act), own, NOW);
        let (performative, content) = told(&out.reply.unwrap());
        assert_eq!(performative, Performative::Refuse, "{act}");
        assert!(content.ends_with(") unauthorised)"), "{content}");
    }
    assert_eq!(df.entries().count(), 1);
}

#[test]
fn e1_an_entry_vanishes_when_its_lease_is_over() {
    let mut df = df();
    let lease = "(register (df-agent-description :name (agent-identifier :name a@p) :lease-time 19700101T000100000Z))";
    assert_eq!(ask(&mut df, &request(lease)).0, Performative::Inform);
    assert_eq!(df.next_deadline(), Some(later(60)));
    df.on_time(later(59));
    assert_eq!(df.entries().count(), 1);
    df.on_time(later(60));
    assert_eq!(df.entries().count(), 0);
    assert_eq!(df.next_deadline(), None);
}

#[test]
fn e1_a_lease_may_be_shorter_than_asked_and_the_answer_says_so() {
    let mut df = Df::new(
        Aid::named("df@p"),
        DfLimits {
            lease_max: Some(Duration::from_secs(10)),
            ..DfLimits::default()
        },
    );
    let (_, content) = ask(
        &mut df,
        &request(&format!("(register {})", entry("a@p", "t"))),
    );
    assert!(
        content.contains(":lease-time 19700101T000010000Z"),
        "{content}"
    );
    // A modify begins a new lease; the old one no longer counts.
    let modify = request(&format!("(modify {})", entry("a@p", "t")));
    df.on_message(&modify, everybody, later(5));
    df.on_time(later(10));
    assert_eq!(df.entries().count(), 1);
    df.on_time(later(15));
    assert_eq!(df.entries().count(), 0);
}

#[test]
fn e2_a_lease_that_is_relative_or_over_is_refused() {
    for lease in ["+00000000T001000000", "19690101T000000000Z"] {
        let act = format!(
            "(register (df-agent-description :name (agent-identifier :name a@p) :lease-time {lease}))"
        );
        let (act, content) = ask(&mut df(), &request(&act));
        assert_eq!(act, Performative::Refuse, "{lease}: {content}");
        assert!(content.contains("lease-time"), "{content}");
    }
}

#[test]
fn a_full_directory_says_so_and_goes_on() {
    let mut df = Df::new(
        Aid::named("df@p"),
        DfLimits {
            entries_max: 1,
            ..DfLimits::default()
        },
    );
    register(&mut df, "a@p", "t");
    let (act, content) = ask(
        &mut df,
        &request(&format!("(register {})", entry("b@p", "t"))),
    );
    assert_eq!(act, Performative::Failure);
    assert!(content.contains("internal-error"), "{content}");
    assert_eq!(
        ask(
            &mut df,
            &request(&format!("(modify {})", entry("a@p", "u")))
        )
        .0,
        Performative::Inform
    );
}

fn subscribe(conversation: &str) -> AclMessage {
    let content = format!(
        "((iota ?x (result (action (agent-identifier :name df@p) (search {} (search-constraints :max-results 100))) ?x)))",
        template("t")
    );
    let mut message = says("s@p", Performative::Subscribe, &content);
    message.protocol = Some("fipa-subscribe".into());
    message.conversation_id = Some(conversation.into());
    message
}

#[test]
fn e2_a_subscriber_hears_at_once_what_there_is_and_then_of_every_change() {
    let mut df = df();
    register(&mut df, "a@p", "t");
    let message = subscribe("s1");
    let first = df.on_message(&message, everybody, NOW).reply.unwrap();
    assert_eq!(first.performative, Performative::Inform);
    assert!(first.answers(&message));
    assert_eq!(found(&first), ["a@p"]);

    let heard = |df: &mut Df, act: &str| -> Vec<Vec<String>> {
        let out = df.on_message(&request(act), everybody, NOW);
        assert!(out.sends.iter().all(|told| told.answers(&message)));
        out.sends.iter().map(found).collect()
    };
    assert_eq!(
        heard(&mut df, &format!("(register {})", entry("b@p", "t"))),
        [["b@p"]]
    );
    assert!(heard(&mut df, &format!("(register {})", entry("c@p", "u"))).is_empty());
    assert_eq!(
        heard(&mut df, &format!("(modify {})", entry("c@p", "t"))),
        [["c@p"]]
    );
    // What is no longer looked for, and what is gone, is told by its name alone.
    assert_eq!(
        heard(&mut df, &format!("(modify {})", entry("c@p", "u"))),
        [["c@p"]]
    );
    let out = df.on_message(
        &request("(deregister (df-agent-description :name (agent-identifier :name b@p)))"),
        everybody,
        NOW,
    );
    let (_, content) = told(&out.sends[0]);
    assert!(
        content.ends_with("(sequence (df-agent-description :name (agent-identifier :name b@p)))))"),
        "{content}"
    );
}

#[test]
fn a_subscription_to_nothing_yet_is_agreed_to() {
    let reply = df().on_message(&subscribe("s1"), everybody, NOW).reply;
    assert_eq!(reply.unwrap().performative, Performative::Agree);
}

#[test]
fn e2_a_cancel_ends_the_subscription_of_its_conversation() {
    let mut df = df();
    df.on_message(&subscribe("s1"), everybody, NOW);
    let mut cancel = subscribe("s1");
    cancel.performative = Performative::Cancel;
    let mut foreign = cancel.clone();
    foreign.sender = Some(Aid::named("thief@p"));
    assert_eq!(ask(&mut df, &foreign).0, Performative::Failure);
    assert_eq!(df.subscriptions(), 1);
    assert_eq!(ask(&mut df, &cancel).0, Performative::Inform);
    assert_eq!(df.subscriptions(), 0);
    assert_eq!(ask(&mut df, &cancel).0, Performative::Failure);
}

#[test]
fn the_entry_and_the_subscriptions_of_an_agent_that_ended_go_with_it() {
    let mut df = df();
    df.on_message(&subscribe("s1"), everybody, NOW);
    register_silently(&mut df, "a@p");
    let out = df.forget(&Aid::named("a@p"));
    assert_eq!(out.sends.len(), 1);
    df.forget(&Aid::named("s@p"));
    assert_eq!((df.entries().count(), df.subscriptions()), (0, 0));
}

/// What a directory of another node says it has.
fn read_entry(text: &str) -> DfAgentDescription {
    let reading = Reading::at(NOW);
    let term = sl::parse(format!("({text})").as_bytes(), &reading).unwrap();
    DfAgentDescription::read(&term[0], &reading).unwrap()
}

#[test]
fn entries_of_other_nodes_are_found_and_told_but_changed_there_alone() {
    let mut df = df();
    let subscribed = subscribe("s1");
    let _ = df.on_message(&subscribed, everybody, NOW);
    let agent = Aid::named("b@p");
    let heard = df.hear("n2", &agent, Some(read_entry(&entry("b@p", "t"))));
    assert_eq!(found(&heard.sends[0]), ["b@p"]);
    assert_eq!(search(&mut df, &template("t"), ALL), ["b@p"]);
    assert_eq!(df.revision(), 0, "nothing was entered here");
    let again = df.hear("n2", &agent, Some(read_entry(&entry("b@p", "t"))));
    assert!(again.sends.is_empty(), "no news");

    let (act, _) = ask(
        &mut df,
        &request(&format!("(register {})", entry("b@p", "t"))),
    );
    assert_eq!(act, Performative::Failure);
    let (_, content) = ask(
        &mut df,
        &request(&format!("(modify {})", entry("b@p", "u"))),
    );
    assert!(content.contains("it is entered on node n2"), "{content}");

    let gone = df.hear("n2", &agent, None);
    let (_, content) = told(&gone.sends[0]);
    assert!(
        content.ends_with("(agent-identifier :name b@p)))))"),
        "{content}"
    );
    assert!(search(&mut df, &template("t"), ALL).is_empty());
}

#[test]
fn an_agent_that_two_nodes_have_entered_is_found_once_and_from_here_first() {
    let mut df = df();
    register(&mut df, "b@p", "t");
    let agent = Aid::named("b@p");
    for node in ["n3", "n2"] {
        let heard = df.hear(node, &agent, Some(read_entry(&entry("b@p", "u"))));
        assert!(heard.sends.is_empty());
    }
    assert_eq!(search(&mut df, &template("t"), ALL), ["b@p"]);
    assert!(search(&mut df, &template("u"), ALL).is_empty());
    let _ = df.forget(&agent);
    assert_eq!(search(&mut df, &template("u"), ALL), ["b@p"]);
    let _ = df.hear("n2", &agent, None);
    assert_eq!(
        search(&mut df, &template("u"), ALL),
        ["b@p"],
        "n3 has it still"
    );
}

fn register_silently(df: &mut Df, agent: &str) {
    df.on_message(
        &request(&format!("(register {})", entry(agent, "t"))),
        everybody,
        NOW,
    );
}

/// Directories that know each other, and the messages between them.
struct Federation {
    dfs: BTreeMap<String, Df>,
    lost: Vec<String>,
    finished: Vec<(SearchKey, AclMessage)>,
}

impl Federation {
    fn of(names: &[&str]) -> Self {
        let dfs = names.iter().map(|name| {
            let df = Df::new(Aid::named(*name), DfLimits::default());
            ((*name).to_owned(), df)
        });
        Self {
            dfs: dfs.collect(),
            lost: Vec::new(),
            finished: Vec::new(),
        }
    }

    fn knows(&mut self, parent: &str, child: &str) {
        register(self.dfs.get_mut(parent).unwrap(), child, "fipa-df");
    }

    fn ask(&mut self, df: &str, message: &AclMessage) -> Option<AclMessage> {
        let out = self
            .dfs
            .get_mut(df)
            .unwrap()
            .on_message(message, everybody, NOW);
        let reply = out.reply.clone();
        self.carry(out);
        reply
    }

    fn carry(&mut self, out: DfOut) {
        self.finished.extend(out.finished);
        for message in out.sends {
            let to = message.receiver[0].name.clone();
            if self.lost.iter().any(|lost| *lost == to) {
                continue;
            }
            let mut answer = self
                .dfs
                .get_mut(to.as_str())
                .unwrap()
                .on_message(&message, everybody, NOW);
            let before = self.finished.len();
            let direct = answer.reply.take();
            self.carry(answer);
            let mut answers: Vec<_> = direct.into_iter().collect();
            answers.extend(self.finished.drain(before..).map(|(_, answer)| answer));
            for answer in answers {
                let asker = answer.receiver[0].name.clone();
                let out = self
                    .dfs
                    .get_mut(asker.as_str())
                    .unwrap()
                    .on_message(&answer, everybody, NOW);
                self.carry(out);
            }
        }
    }

    fn search(&mut self, constraints: &str) -> Vec<String> {
        let message = request(&format!("(search {} {constraints})", template("t")));
        match self.ask("df@1", &message) {
            Some(reply) => found(&reply),
            None => {
                let (_, answer) = self.finished.pop().expect("an answer came later");
                assert!(answer.answers(&message));
                found(&answer)
            }
        }
    }
}

#[test]
fn e1_a_search_goes_as_deep_as_it_says() {
    let mut all = Federation::of(&["df@1", "df@2", "df@3"]);
    all.knows("df@1", "df@2");
    all.knows("df@2", "df@3");
    for (df, agent) in [("df@1", "a@1"), ("df@2", "a@2"), ("df@3", "a@3")] {
        register(all.dfs.get_mut(df).unwrap(), agent, "t");
    }
    let deep =
        |depth, results| format!("(search-constraints :max-depth {depth} :max-results {results})");
    assert_eq!(all.search(&deep(0, -1)), ["a@1"]);
    assert_eq!(all.search(&deep(1, -1)), ["a@1", "a@2"]);
    assert_eq!(all.search(&deep(2, -1)), ["a@1", "a@2", "a@3"]);
    assert_eq!(all.search(&deep(2, 2)), ["a@1", "a@2"]);
    assert_eq!(all.search(&deep(2, 1)), ["a@1"]);
}

#[test]
fn e1_a_ring_of_directories_is_searched_once() {
    let mut all = Federation::of(&["df@1", "df@2"]);
    all.knows("df@1", "df@2");
    all.knows("df@2", "df@1");
    register(all.dfs.get_mut("df@2").unwrap(), "a@2", "t");
    let constraints = "(search-constraints :max-depth 8 :max-results -1)";
    assert_eq!(all.search(constraints), ["a@2"]);
}

#[test]
fn e1_a_search_id_is_served_once() {
    let mut df = df();
    let search = request(&format!(
        "(search {} (search-constraints :search-id x1))",
        template("t")
    ));
    assert_eq!(ask(&mut df, &search).0, Performative::Inform);
    let (act, content) = ask(&mut df, &search);
    assert_eq!(act, Performative::Failure);
    assert!(content.contains("search-id already served"), "{content}");
}

#[test]
fn a_directory_that_is_silent_costs_the_patience_and_no_more() {
    let mut all = Federation::of(&["df@1", "df@2"]);
    all.knows("df@1", "df@2");
    register(all.dfs.get_mut("df@1").unwrap(), "a@1", "t");
    all.lost.push("df@2".to_owned());
    let message = request(&format!(
        "(search {} (search-constraints :max-depth 1 :max-results -1))",
        template("t")
    ));
    assert_eq!(all.ask("df@1", &message), None);
    let df = all.dfs.get_mut("df@1").unwrap();
    assert_eq!(df.next_deadline(), Some(later(10)));
    let out = df.on_time(later(10));
    assert_eq!(found(&out.finished[0].1), ["a@1"]);
    assert_eq!(df.next_deadline(), None);
}

#[test]
fn a_directory_that_an_ams_cannot_reach_is_not_waited_for() {
    let mut all = Federation::of(&["df@1", "df@2"]);
    all.knows("df@1", "df@2");
    all.lost.push("df@2".to_owned());
    let message = request(&format!(
        "(search {} (search-constraints :max-depth 1))",
        template("t")
    ));
    let df = all.dfs.get_mut("df@1").unwrap();
    let out = df.on_message(&message, everybody, NOW);
    let asked = &out.sends[0];
    let mut thief = asked.reply(Performative::Inform);
    thief.sender = Some(Aid::named("thief@p"));
    assert!(df.on_message(&thief, everybody, NOW).finished.is_empty());
    let mut failure = asked.reply(Performative::Failure);
    failure.sender = Some(Aid::named("ams@1"));
    let out = df.on_message(&failure, everybody, NOW);
    assert_eq!(out.finished.len(), 1);
}

fn described(agent: &str, state: AgentState) -> AmsAgentDescription {
    AmsAgentDescription {
        name: Some(Aid::named(agent)),
        ownership: None,
        state: Some(state),
    }
}

fn ams(act: &str, may: impl Fn(&Aid, Change) -> bool) -> AmsAsked {
    let agents = [
        described("a@p", AgentState::Active),
        described("b@p", AgentState::Suspended),
    ];
    Ams::new(Aid::named("ams@p"), "p").on_message(&request(act), agents.into_iter(), &[], may, NOW)
}

fn ams_says(act: &str) -> (Performative, String) {
    match ams(act, |_, _| true) {
        AmsAsked::Answer(Some(answer)) => told(&answer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn e2_an_ams_search_shows_the_real_states() {
    let all = "(search-constraints :max-results -1)";
    let (act, content) = ams_says(&format!("(search (ams-agent-description) {all})"));
    assert_eq!(act, Performative::Inform);
    assert!(
        content.contains(":name (agent-identifier :name a@p) :state active"),
        "{content}"
    );
    assert!(
        content.contains(":name (agent-identifier :name b@p) :state suspended"),
        "{content}"
    );
    let (_, content) = ams_says(&format!(
        "(search (ams-agent-description :state suspended) {all})"
    ));
    assert!(!content.contains("a@p"), "{content}");
}

#[test]
fn e2_an_ams_describes_its_platform() {
    let (act, content) = ams_says("(get-description)");
    assert_eq!(act, Performative::Inform);
    assert!(content.contains("(ap-description :name p"), "{content}");
}

#[test]
fn e4_modify_suspends_and_resumes_and_deregister_terminates() {
    let about = |act: &str| match ams(act, |_, _| true) {
        AmsAsked::Change(change) => (change.agent.name.clone(), change.change),
        other => panic!("{other:?}"),
    };
    let description =
        |state: &str| format!("(ams-agent-description :name (agent-identifier :name a@p){state})");
    let modify = |state: &str| format!("(modify {})", description(&format!(" :state {state}")));
    assert_eq!(about(&modify("suspended")), ("a@p".into(), Change::Suspend));
    assert_eq!(about(&modify("active")), ("a@p".into(), Change::Resume));
    let deregister = format!("(deregister {})", description(""));
    assert_eq!(about(&deregister), ("a@p".into(), Change::Terminate));
    assert_eq!(ams_says(&modify("transit")).0, Performative::Refuse);
    assert_eq!(
        ams_says(&format!("(modify {})", description(""))).0,
        Performative::Refuse
    );
}

#[test]
fn e2_changes_of_other_agents_are_authorised() {
    let modify =
        "(modify (ams-agent-description :name (agent-identifier :name b@p) :state active))";
    let only_own = |name: &Aid, _: Change| *name == Aid::named("a@p");
    match ams(modify, only_own) {
        AmsAsked::Answer(Some(answer)) => {
            let (act, content) = told(&answer);
            assert_eq!(act, Performative::Refuse);
            assert!(content.ends_with(") unauthorised)"), "{content}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_that_is_not_there_is_not_changed() {
    let deregister = "(deregister (ams-agent-description :name (agent-identifier :name x@p)))";
    let (act, content) = ams_says(deregister);
    assert_eq!(act, Performative::Failure);
    assert!(content.ends_with(") not-registered)"), "{content}");
}

#[test]
fn agents_are_registered_by_their_supervisors_alone() {
    let register = |agent: &str| {
        format!("(register (ams-agent-description :name (agent-identifier :name {agent})))")
    };
    assert_eq!(ams_says(&register("a@p")).0, Performative::Failure);
    assert_eq!(ams_says(&register("x@p")).0, Performative::Refuse);
}

#[test]
fn the_answer_after_a_change_says_how_it_went() {
    let ams = Ams::new(Aid::named("ams@p"), "p");
    let message =
        request("(deregister (ams-agent-description :name (agent-identifier :name a@p)))");
    let agents = [described("a@p", AgentState::Active)];
    let asked = ams.on_message(&message, agents.into_iter(), &[], |_, _| true, NOW);
    let AmsAsked::Change(change) = asked else {
        panic!("{asked:?}")
    };
    let done = ams.changed(&message, &change, Ok(()));
    assert!(told(&done).1.starts_with("((done "));
    let failed = ams.changed(&message, &change, Err("it is gone".to_owned()));
    let (act, content) = told(&failed);
    assert_eq!(act, Performative::Failure);
    let reason = Reason::InternalError("it is gone".to_owned()).term();
    assert!(
        content.contains(&sl::write_term(&reason).unwrap()),
        "{content}"
    );
}

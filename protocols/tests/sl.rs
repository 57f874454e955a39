//! Content in SL: what JADE says is read, what is written reads back, and what means nothing has its reason.

mod kit;

use kit::{acl_text, reading, text};
use proptest::collection::vec;
use proptest::prelude::*;
use swarm_protocols::acl::{Aid, Fault, Performative, string};
use swarm_protocols::sl::management::{
    Act, Action, AgentState, Answer, ApDescription, Description, DfAgentDescription, Property,
    Reason, SearchConstraints, ServiceDescription, delivery_failure, notification, result,
    subscribed, subscription,
};
use swarm_protocols::sl::{self, Arguments, Call, Term, WriteError};

/// The content of a captured message.
fn content(name: &str) -> Vec<Term> {
    let message = string::parse(&acl_text(name), &reading()).expect("a message");
    terms(message.text().expect("text"))
}

fn terms(text: &str) -> Vec<Term> {
    sl::parse(text.as_bytes(), &reading()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn action(text: &str) -> Result<Action, Reason> {
    let term = sl::parse_term(text.as_bytes(), &reading()).expect("a term");
    Action::read(&term, &reading())
}

/// An action of the DF with this act.
fn asked(act: &str) -> Result<Action, Reason> {
    action(&format!("(action (agent-identifier :name df@p) {act})"))
}

fn at(name: &str, address: &str) -> Aid {
    let mut aid = Aid::named(name);
    aid.addresses = swarm_protocols::thin_vec![address.to_owned()];
    aid
}

fn translator() -> DfAgentDescription {
    let texts = |text: &str| vec![text.to_owned()];
    DfAgentDescription {
        name: Some(at("probe@probe", "http://127.0.0.1:7951/acc")),
        services: vec![ServiceDescription {
            name: Some("t1".to_owned()),
            service_type: Some("translation".to_owned()),
            ownership: Some("me".to_owned()),
            languages: texts("fipa-sl"),
            properties: vec![Property {
                name: "speed".to_owned(),
                value: Some(Term::integer(5)),
            }],
            ..ServiceDescription::default()
        }],
        protocols: texts("fipa-request"),
        ontologies: texts("o1"),
        languages: texts("fipa-sl0"),
        ..DfAgentDescription::default()
    }
}

#[test]
fn a_captured_registration_is_read() {
    let [request] = content("df-register-request.http").try_into().expect("one");
    let read = Action::read(&request, &reading()).expect("an action");
    assert_eq!(read.actor, Aid::named("df@platB"));
    assert_eq!(read.act, Act::Register(Description::Df(translator())));
}

#[test]
fn a_captured_answer_is_read() {
    let done = Answer::read(&content("df-register-reply0.http"), &reading());
    assert!(
        matches!(&done, Some(Answer::Done(action)) if matches!(action.act, Act::Register(_))),
        "{done:?}"
    );

    let found = Answer::read(&content("df-search-reply0.http"), &reading());
    let Some(Answer::Result(search, entries)) = found else {
        panic!("{found:?}");
    };
    let Act::Search {
        template,
        constraints,
    } = search.act
    else {
        panic!("{search:?}");
    };
    assert_eq!(
        (constraints.max_depth, constraints.max_results),
        (Some(1), Some(10))
    );
    let entry = DfAgentDescription::read(&entries[0], &reading()).expect("an entry");
    assert_eq!(entry, translator());
    let Description::Df(template) = template else {
        panic!("{template:?}");
    };
    assert!(entry.matches(&template));
}

#[test]
fn a_captured_description_of_a_platform_is_read() {
    let found = Answer::read(&content("df-ams-get-description-reply0.http"), &reading());
    let Some(Answer::Result(asked, entries)) = found else {
        panic!("{found:?}");
    };
    assert_eq!(asked.act, Act::GetDescription);
    let platform = ApDescription::read(&entries[0]).expect("a description");
    assert_eq!(platform.name.as_deref(), Some("\"platB\""));
    assert_eq!(
        platform.services[0].addresses,
        ["http://127.0.0.1:7802/acc"]
    );
}

#[test]
fn what_is_written_of_an_action_is_read_as_the_same() {
    let mut asked = vec![
        Act::GetDescription,
        Act::Deregister(Description::Df(DfAgentDescription {
            name: Some(Aid::named("a b@p")),
            lease_time: Some(kit::noon()),
            scope: vec!["global".to_owned()],
            ..DfAgentDescription::default()
        })),
    ];
    asked.push(Act::Search {
        template: Description::Df(translator()),
        constraints: SearchConstraints {
            max_results: Some(-1),
            search_id: Some("s 1".to_owned()),
            ..SearchConstraints::default()
        },
    });
    let state = "(modify (ams-agent-description :name (agent-identifier :name a@p) :ownership NONE :state ACTIVE))";
    let modify = self::asked(state).expect("an action").act;
    assert!(
        matches!(&modify, Act::Modify(Description::Ams(entry)) if entry.state == Some(AgentState::Active))
    );
    asked.push(modify);
    for act in asked {
        let action = Action {
            actor: Aid::named("df@p"),
            act,
        };
        let text = sl::write(&[action.term()]).expect("writable");
        let [term] = terms(&text).try_into().expect("one");
        assert_eq!(Action::read(&term, &reading()), Ok(action), "{text}");
    }
}

#[test]
fn slots_stand_in_any_order_and_case_and_sets_may_be_sequences() {
    let read = asked(
        "(REGISTER (DF-Agent-Description :Languages (sequence a) :NAME (agent-identifier :addresses (set http://h/acc) :name x@p)))",
    );
    let Ok(Act::Register(Description::Df(entry))) = read.map(|action| action.act) else {
        panic!("not a registration");
    };
    assert_eq!(entry.languages, ["a"]);
    assert!(
        entry
            .name
            .expect("a name")
            .is_identical(&at("x@p", "http://h/acc"))
    );
}

#[test]
fn what_is_wrong_with_an_action_has_its_reason() {
    let object = "df-agent-description".to_owned();
    for (act, reason) in [
        ("(fly)", Reason::UnsupportedFunction("fly".to_owned())),
        ("(register)", Reason::MissingArgument),
        ("(register a b)", Reason::UnexpectedArgumentCount),
        ("(search (df-agent-description))", Reason::MissingArgument),
        ("(get-description x)", Reason::UnexpectedArgumentCount),
        (
            "(register (df-agent-description :colour red))",
            Reason::UnexpectedParameter {
                object: object.clone(),
                parameter: "colour".to_owned(),
            },
        ),
        (
            "(register (df-agent-description :name red))",
            Reason::UnrecognisedParameterValue {
                object: object.clone(),
                parameter: "name".to_owned(),
            },
        ),
        (
            // A relative time means nothing in content (fipa.md b.4).
            "(modify (df-agent-description :lease-time +00000000T010000000))",
            Reason::UnrecognisedParameterValue {
                object: object.clone(),
                parameter: "lease-time".to_owned(),
            },
        ),
        ("(register 12)", Reason::UnrecognisedValue(object.clone())),
    ] {
        assert_eq!(asked(act), Err(reason), "{act}");
    }
    assert_eq!(
        action("(done x)"),
        Err(Reason::UnrecognisedValue("content".to_owned()))
    );
    assert_eq!(
        DfAgentDescription::default().check_entry(),
        Err(Reason::MissingParameter {
            object,
            parameter: "name".to_owned()
        })
    );
    assert_eq!(translator().check_entry(), Ok(()));
}

#[test]
fn each_reason_is_told_by_its_act_and_reads_back() {
    let text = || "a b".to_owned();
    let slot = || ("o".to_owned(), "p".to_owned());
    let reasons = [
        Reason::UnsupportedAct(text()),
        Reason::UnexpectedAct(text()),
        Reason::UnsupportedValue(text()),
        Reason::UnrecognisedValue(text()),
        Reason::Unauthorised,
        Reason::UnsupportedFunction(text()),
        Reason::MissingArgument,
        Reason::UnexpectedArgument,
        Reason::UnexpectedArgumentCount,
        Reason::MissingParameter {
            object: slot().0,
            parameter: slot().1,
        },
        Reason::UnexpectedParameter {
            object: slot().0,
            parameter: slot().1,
        },
        Reason::UnrecognisedParameterValue {
            object: slot().0,
            parameter: slot().1,
        },
        Reason::AlreadyRegistered,
        Reason::NotRegistered,
        Reason::InternalError(text()),
    ];
    let of = |act| {
        reasons
            .iter()
            .filter(|reason| reason.performative() == act)
            .count()
    };
    assert_eq!(of(Performative::NotUnderstood), 4);
    assert_eq!(of(Performative::Refuse), 8);
    assert_eq!(of(Performative::Failure), 3);
    for reason in &reasons {
        let text = sl::write_term(&reason.term()).expect("writable");
        let term = sl::parse_term(text.as_bytes(), &reading()).expect("a term");
        assert_eq!(Reason::read(&term).as_ref(), Some(reason), "{text}");
    }
    // As JADE writes them: a bare symbol, and a capital.
    let jade = |text: &str| Answer::read(&terms(text), &reading());
    assert_eq!(
        jade("((action (agent-identifier :name df@p) (register x)) already-registered)"),
        Some(Answer::Reason(None, Reason::AlreadyRegistered))
    );
    assert_eq!(
        jade("((Unsupported-value \"language\"))"),
        Some(Answer::Reason(
            None,
            Reason::UnsupportedValue("language".to_owned())
        ))
    );
}

#[test]
fn a_subscription_and_its_notification_have_the_measured_form() {
    let text = "((iota ?x (result (action (agent-identifier :name df@p) (search (df-agent-description) (search-constraints :max-results 100))) ?x)))";
    let search = subscribed(&terms(text), &reading()).expect("a subscription");
    assert_eq!(sl::write(&subscription(&search)).as_deref(), Ok(text));
    let told = sl::write(&notification(&search, vec![translator().term()])).expect("writable");
    assert!(told.starts_with("((= (iota ?x (result (action "), "{told}");
    assert!(told.ends_with("))))"), "{told}");
    assert!(subscribed(&terms("((tick ?x))"), &reading()).is_err());
    let none = sl::write(&result(&search, Vec::new())).expect("writable");
    assert!(none.ends_with(" (sequence)))"), "{none}");
}

#[test]
fn a_failure_of_delivery_reads_as_that_of_jade() {
    let failure = delivery_failure(
        &Aid::named("i@a"),
        &Aid::named("x@b"),
        "Agent not found: x@b",
    );
    assert_eq!(
        sl::write(&failure).as_deref(),
        Ok(
            "((action (agent-identifier :name i@a) (ACLMessage)) (MTS-error (agent-identifier :name x@b) \"Agent not found: x@b\"))"
        )
    );
}

#[test]
fn templates_match_as_the_directory_wants() {
    let entry = translator();
    let template = |change: fn(&mut DfAgentDescription)| {
        let mut template = DfAgentDescription::default();
        change(&mut template);
        template
    };
    let service = |change: fn(&mut ServiceDescription)| {
        let mut service = ServiceDescription::default();
        change(&mut service);
        DfAgentDescription {
            services: vec![service],
            ..DfAgentDescription::default()
        }
    };
    let property = |value| {
        service_with(Property {
            name: "SPEED".to_owned(),
            value,
        })
    };
    for (template, expected) in [
        (DfAgentDescription::default(), true),
        (template(|t| t.name = Some(Aid::named("PROBE@probe"))), true),
        (
            template(|t| t.name = Some(Aid::named("other@probe"))),
            false,
        ),
        (
            template(|t| t.languages = vec!["FIPA-SL0".to_owned()]),
            true,
        ),
        (
            template(|t| t.languages = vec!["fipa-sl0".to_owned(), "kif".to_owned()]),
            false,
        ),
        (
            service(|s| s.service_type = Some("Translation".to_owned())),
            true,
        ),
        (
            service(|s| s.service_type = Some("printing".to_owned())),
            false,
        ),
        (property(None), true),
        (property(Some(Term::integer(5))), true),
        (property(Some(Term::integer(6))), false),
    ] {
        assert_eq!(entry.matches(&template), expected, "{template:?}");
    }
}

fn service_with(property: Property) -> DfAgentDescription {
    let service = ServiceDescription {
        properties: vec![property],
        ..ServiceDescription::default()
    };
    DfAgentDescription {
        services: vec![service],
        ..DfAgentDescription::default()
    }
}

#[test]
fn terms_of_every_kind_are_read() {
    let read = terms(
        r#"(true (= ?x 1) (f -12 0x1F 1.5e3 20260101T120000000Z "a \"b\"" #3"c d) (g :a 1 :b (h)))"#,
    );
    assert_eq!(read[0], Term::Symbol("true".to_owned()));
    let Term::Call(Call {
        arguments: Arguments::Named(slots),
        ..
    }) = &read[3]
    else {
        panic!("{read:?}");
    };
    assert_eq!(slots.len(), 2);
}

#[test]
fn what_is_no_content_is_refused_with_its_place() {
    for (text, offset) in [
        ("", 0),
        ("done", 0),
        ("((done x)", 9),
        ("((done x))x", 10),
        ("((12 x))", 2),
        ("(())", 2),
        ("((f :a))", 6),
        ("((f :a 1 2))", 9),
        ("((f ?))", 4),
        ("((f 12abc))", 4),
        ("((f \"x))", 4),
    ] {
        let error = sl::parse(text.as_bytes(), &reading()).expect_err(text);
        assert_eq!(error.place.offset, offset, "{text}: {error}");
    }
    let deep = "(f ".repeat(100_000);
    let error = sl::parse(deep.as_bytes(), &reading()).expect_err("too deep");
    assert!(matches!(error.fault, Fault::TooDeep { .. }), "{error}");
    let huge = vec![b' '; 100_000_000];
    let error = sl::parse(&huge, &reading()).expect_err("too long");
    assert!(matches!(error.fault, Fault::TooLong { .. }), "{error}");
}

#[test]
fn what_would_read_back_as_something_else_is_not_written() {
    let symbol = |text: &str| sl::write_term(&Term::Symbol(text.to_owned()));
    for text in ["", "a b", "12", "a\"", "(", "?x", ":x", "é"] {
        assert_eq!(symbol(text), Err(WriteError::Symbol(text.to_owned())));
    }
    assert!(sl::write_term(&Term::Number("1d".to_owned())).is_err());
    assert!(sl::write_term(&Term::Date("now".to_owned())).is_err());
    assert!(sl::write_term(&Term::Variable("a b".to_owned())).is_err());
}

fn term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        "[a-z][a-z0-9./:@_-]{0,8}".prop_map(Term::Symbol),
        "[a-z0-9?:-]{1,5}".prop_map(Term::Variable),
        text().prop_map(Term::String),
        text().prop_map(Term::text),
        any::<i64>().prop_map(Term::integer),
        kit::timestamp().prop_map(Term::date),
        kit::aid()
            .prop_filter("addresses and values are words", |aid| aid
                .addresses
                .is_empty())
            .prop_map(|aid| Term::aid(&Aid::named(aid.name))),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let head = "[a-z=][a-z0-9-]{0,6}";
        prop_oneof![
            (head, vec(inner.clone(), 0..4)).prop_map(|(head, terms)| Term::call(&head, terms)),
            (head, vec(("[a-z?:-]{1,5}", inner), 0..4))
                .prop_map(|(head, slots)| Term::described(&head, slots)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(terms in vec(term(), 0..3)) {
        let text = sl::write(&terms).expect("writable");
        let read = sl::parse(text.as_bytes(), &reading())
            .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(&read, &terms, "{}", text);
    }

    #[test]
    fn any_text_ends_with_terms_or_an_error_and_terms_can_be_written(text in "[ ()\":?#a-f0-9T\\\\é.+-]{0,40}") {
        if let Ok(terms) = sl::parse(format!("({text})").as_bytes(), &reading()) {
            let written = sl::write(&terms).expect("what was read");
            prop_assert_eq!(sl::parse(written.as_bytes(), &reading()).expect("what was written"), terms);
        }
    }

    #[test]
    fn an_aid_reads_back_as_the_same(aid in kit::aid()) {
        prop_assume!(aid.addresses.iter().all(|address| !address.is_empty()));
        if let Ok(text) = sl::write_term(&Term::aid(&aid)) {
            let term = sl::parse_term(text.as_bytes(), &reading()).expect("what was written");
            let read = term.as_aid().expect("an agent identifier");
            prop_assert!(read.is_identical(&aid), "{}", text);
        }
    }
}

//! The AMS and the DF, asked with the operator's rights.

use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::{JsonBody, QueryOf};
use crate::api::server::Api;
use crate::api::types::{
    AmsAnswer, AmsEntry, DfAgentQuery, DfAnswer, DfEntry, DfQuery, DfService, Time,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};
use std::time::Duration;
use swarm_actors::AskError;
use swarm_actors::platform::Platform;
use swarm_protocols::acl::Reading;
use swarm_protocols::sl::management::{
    Act, Action, AmsAgentDescription, Answer, Description, DfAgentDescription, ONTOLOGY, Property,
    Reason, SearchConstraints, ServiceDescription,
};
use swarm_protocols::sl::{self, Term};
use swarm_protocols::{AclMessage, Aid, Performative, Timestamp};

/// How long the AMS and the DF have to answer. A search in other directories is answered within 10 s.
const PATIENCE: Duration = Duration::from_secs(15);

pub(in crate::api) async fn residents(
    State(api): State<Api>,
    scope: Scope,
) -> Result<Json<AmsAnswer>, Fault> {
    let platform = platform(&api)?;
    let others: Gathered<AmsAnswer> = fanout::gather(&api, scope, "/v1/ams", &()).await;
    let act = Act::Search {
        template: Description::Ams(AmsAgentDescription::default()),
        constraints: everything(),
    };
    let request = request(platform, "ams", act)?;
    let found = found(platform.ask_ams(request, PATIENCE).await, &reading())?;
    let agents = found
        .iter()
        .filter_map(|term| AmsAgentDescription::read(term).ok())
        .map(|agent| AmsEntry {
            name: agent.name.map(|name| name.name).unwrap_or_default().into(),
            state: agent
                .state
                .map(|state| state.as_str().to_owned())
                .unwrap_or_default(),
            ownership: agent.ownership,
            node: api.node.name().to_string(),
        });
    let mut agents: Vec<AmsEntry> = agents.collect();
    for (_, other) in others.answers {
        // The AMS and the DF are the platform's, wherever they are asked.
        let is_new = |entry: &AmsEntry| !is_service(&entry.name, platform);
        agents.extend(other.agents.into_iter().filter(is_new));
    }
    Ok(Json(AmsAnswer {
        platform: platform.name().to_owned(),
        agents,
        unanswered: others.unanswered,
    }))
}

/// Whether a name is that of the platform's own AMS or DF.
fn is_service(name: &str, platform: &Platform) -> bool {
    name.strip_suffix(platform.name())
        .is_some_and(|local| matches!(local, "ams@" | "df@"))
}

pub(in crate::api) async fn search(
    State(api): State<Api>,
    QueryOf(query): QueryOf<DfQuery>,
) -> Result<Json<DfAnswer>, Fault> {
    let platform = platform(&api)?;
    let constraints = SearchConstraints {
        max_depth: query.max_depth.map(i64::from),
        max_results: Some(query.max_results.map_or(-1, i64::from)),
        search_id: None,
    };
    let act = Act::Search {
        template: Description::Df(template(&query, platform)),
        constraints,
    };
    let request = request(platform, "df", act)?;
    let reading = reading();
    let found = found(platform.ask_df(request, PATIENCE).await, &reading)?;
    let entries = found
        .iter()
        .filter_map(|term| DfAgentDescription::read(term, &reading).ok())
        .map(entry_of);
    Ok(Json(DfAnswer {
        entries: entries.collect(),
    }))
}

pub(in crate::api) async fn register(
    State(api): State<Api>,
    JsonBody(entry): JsonBody<DfEntry>,
) -> Result<(StatusCode, Json<DfEntry>), Fault> {
    let platform = platform(&api)?;
    let description = description_of(entry, platform)?;
    let act = Act::Register(Description::Df(description));
    let done = done(platform, act).await?;
    match done.act {
        Act::Register(Description::Df(granted)) => {
            Ok((StatusCode::CREATED, Json(entry_of(granted))))
        }
        _ => Err(not_understood("the DF did something else")),
    }
}

pub(in crate::api) async fn deregister(
    State(api): State<Api>,
    QueryOf(query): QueryOf<DfAgentQuery>,
) -> Result<Json<DfEntry>, Fault> {
    let platform = platform(&api)?;
    let name = aid(&query.agent, platform);
    let act = Act::Deregister(Description::Df(DfAgentDescription {
        name: Some(name.clone()),
        ..DfAgentDescription::default()
    }));
    done(platform, act).await?;
    Ok(Json(DfEntry {
        agent: name.name.into(),
        ..DfEntry::default()
    }))
}

fn platform(api: &Api) -> Result<&Platform, Fault> {
    api.node.platform().ok_or_else(|| {
        Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-platform",
            "this node runs no AMS and no DF",
            "a node that `swarmctl up` started has both",
        )
    })
}

fn reading() -> Reading {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Reading::at(Timestamp::UNIX_EPOCH.saturating_add(since_1970))
}

fn everything() -> SearchConstraints {
    SearchConstraints {
        max_results: Some(-1),
        ..SearchConstraints::default()
    }
}

/// A name as people write it: one without a platform is one of this.
fn aid(text: &str, platform: &Platform) -> Aid {
    if text.contains('@') {
        Aid::named(text)
    } else {
        Aid::named(format!("{text}@{}", platform.name()))
    }
}

fn request(platform: &Platform, whom: &str, act: Act) -> Result<AclMessage, Fault> {
    let actor = Aid::named(format!("{whom}@{}", platform.name()));
    let mut request = AclMessage::new(Performative::Request);
    request.receiver = vec![actor.clone()];
    request.language = Some(sl::LANGUAGE.into());
    request.ontology = Some(ONTOLOGY.into());
    request.protocol = Some("fipa-request".into());
    request.reply_with = Some("1".into());
    let content = sl::write(&[Action { actor, act }.term()]).map_err(|error| {
        Fault::invalid("entry", error, "shorter texts, without control characters")
    })?;
    request.content = Some(content.into_bytes());
    Ok(request)
}

/// What was answered, where that is an inform.
fn informed(answer: Result<AclMessage, AskError>, reading: &Reading) -> Result<Answer, Fault> {
    let answer = answer.map_err(|error| {
        Fault::new(
            StatusCode::GATEWAY_TIMEOUT,
            "no-answer",
            error.to_string(),
            "look at `swarmctl actor describe /system/df`, then try again",
        )
    })?;
    let content = answer.content.as_deref().unwrap_or_default();
    let terms = sl::parse(content, reading)
        .map_err(|_| not_understood(&String::from_utf8_lossy(content)))?;
    match Answer::read(&terms, reading) {
        Some(Answer::Reason(_, reason)) => Err(refused(&reason)),
        Some(read) if answer.performative == Performative::Inform => Ok(read),
        _ => Err(not_understood(&String::from_utf8_lossy(content))),
    }
}

fn found(answer: Result<AclMessage, AskError>, reading: &Reading) -> Result<Vec<Term>, Fault> {
    match informed(answer, reading)? {
        Answer::Result(_, terms) => Ok(terms),
        _ => Err(not_understood("there is no result in it")),
    }
}

async fn done(platform: &Platform, act: Act) -> Result<Action, Fault> {
    let request = request(platform, "df", act)?;
    match informed(platform.ask_df(request, PATIENCE).await, &reading())? {
        Answer::Done(action) => Ok(action),
        _ => Err(not_understood("it does not say that it is done")),
    }
}

fn not_understood(what: &str) -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "bad-answer",
        format!("the answer cannot be read: {what}"),
        "report this",
    )
}

fn refused(reason: &Reason) -> Fault {
    let (status, code, next_step) = match reason {
        Reason::AlreadyRegistered => (
            StatusCode::CONFLICT,
            "already-registered",
            "`swarmctl df deregister` takes the entry away",
        ),
        Reason::NotRegistered => (
            StatusCode::NOT_FOUND,
            "not-registered",
            "`swarmctl df search` lists the entries",
        ),
        Reason::Unauthorised => (
            StatusCode::FORBIDDEN,
            "unauthorised",
            "ask as somebody who may",
        ),
        Reason::InternalError(_) => (
            StatusCode::CONFLICT,
            "df-failed",
            "make room, or try again later",
        ),
        _ => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-value",
            "mend what it names",
        ),
    };
    let words = sl::write_term(&reason.term()).unwrap_or_default();
    Fault::new(status, code, format!("the answer is {words}"), next_step)
}

fn template(query: &DfQuery, platform: &Platform) -> DfAgentDescription {
    let has_service = query.service.is_some() || query.service_type.is_some();
    let service = has_service.then(|| ServiceDescription {
        name: query.service.clone(),
        service_type: query.service_type.clone(),
        ..ServiceDescription::default()
    });
    DfAgentDescription {
        name: query.agent.as_deref().map(|agent| aid(agent, platform)),
        services: service.into_iter().collect(),
        protocols: query.protocol.iter().cloned().collect(),
        ontologies: query.ontology.iter().cloned().collect(),
        languages: query.language.iter().cloned().collect(),
        ..DfAgentDescription::default()
    }
}

fn description_of(entry: DfEntry, platform: &Platform) -> Result<DfAgentDescription, Fault> {
    let mut name = aid(&entry.agent, platform);
    name.addresses = entry.addresses.into();
    let services = entry.services.into_iter().map(service_of);
    let lease = match (entry.lease_ms, entry.lease_until) {
        (Some(ms), _) => Some(reading().now.saturating_add(Duration::from_millis(ms))),
        (None, Some(until)) => Timestamp::from_millis(until.unix_ms).ok(),
        (None, None) => None,
    };
    Ok(DfAgentDescription {
        name: Some(name),
        services: services.collect::<Result<_, _>>()?,
        protocols: entry.protocols,
        ontologies: entry.ontologies,
        languages: entry.languages,
        lease_time: lease,
        scope: Vec::new(),
    })
}

fn service_of(service: DfService) -> Result<ServiceDescription, Fault> {
    let wrong = || {
        Fault::invalid(
            "services.properties",
            "must be an object of texts",
            "{\"speed\":\"fast\"}",
        )
    };
    let properties = match service.properties {
        Value::Null => Map::new(),
        Value::Object(properties) => properties,
        _ => return Err(wrong()),
    };
    let properties = properties.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok(Property {
            name,
            value: Some(Term::text(text)),
        }),
        _ => Err(wrong()),
    });
    Ok(ServiceDescription {
        name: Some(service.name),
        service_type: Some(service.service_type),
        ownership: service.ownership,
        properties: properties.collect::<Result<_, _>>()?,
        ..ServiceDescription::default()
    })
}

fn entry_of(entry: DfAgentDescription) -> DfEntry {
    let name = entry.name.unwrap_or_else(|| Aid::named(""));
    let services = entry.services.into_iter().map(|service| DfService {
        name: service.name.unwrap_or_default(),
        service_type: service.service_type.unwrap_or_default(),
        ownership: service.ownership,
        properties: properties_of(service.properties),
    });
    DfEntry {
        agent: name.name.into(),
        addresses: name.addresses.into(),
        services: services.collect(),
        protocols: entry.protocols,
        ontologies: entry.ontologies,
        languages: entry.languages,
        lease_until: entry.lease_time.map(time),
        lease_ms: None,
    }
}

fn properties_of(properties: Vec<Property>) -> Value {
    if properties.is_empty() {
        return Value::Null;
    }
    let shown = properties.into_iter().map(|property| {
        let text = property
            .value
            .map_or_else(String::new, |value| match value.as_text() {
                Some(text) => text.to_owned(),
                None => sl::write_term(&value).unwrap_or_default(),
            });
        (property.name, Value::String(text))
    });
    Value::Object(shown.collect())
}

fn time(at: Timestamp) -> Time {
    Time::from_unix_ms(at.as_millis())
}

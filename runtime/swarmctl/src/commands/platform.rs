//! `df search | register | deregister` and `ams ls`.

use crate::cli::{Ams, Df, DfRegister, DfSearch, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::{Align, Table};
use serde_json::Value;
use swarm_runtime::api::types::{AmsAnswer, DfAgentQuery, DfAnswer, DfEntry, DfQuery, DfService};

pub(crate) async fn ams(global: &Global, output: Output, ams: &Ams) -> Result<ExitStatus, Stop> {
    let Ams::Ls = ams;
    let client = NodeClient::new(global)?;
    let answer: AmsAnswer = client.get("/v1/ams", &()).await?;
    output.list(&answer.agents, || {
        let mut table = Table::new(&[
            ("AGENT", Align::Left),
            ("STATE", Align::Left),
            ("NODE", Align::Left),
        ]);
        for agent in &answer.agents {
            table.row(vec![
                agent.name.clone(),
                agent.state.clone(),
                agent.node.clone(),
            ]);
        }
        table
    })?;
    output.unanswered(&answer.unanswered);
    Ok(ExitStatus::Done)
}

pub(crate) async fn df(global: &Global, output: Output, df: &Df) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    match df {
        Df::Search(search) => {
            let answer: DfAnswer = client.get("/v1/df", &query(search)).await?;
            output.list(&answer.entries, || table(&answer.entries))?;
        }
        Df::Register(register) => {
            let entry: DfEntry = client.post("/v1/df", &entry(register)).await?;
            output.document(&entry, || match &entry.lease_until {
                Some(until) => format!("{} is registered until {until}\n", entry.agent),
                None => format!("{} is registered\n", entry.agent),
            })?;
        }
        Df::Deregister { agent } => {
            let query = DfAgentQuery {
                agent: agent.clone(),
            };
            let entry: DfEntry = client.delete_where("/v1/df", &query).await?;
            output.document(&entry, || format!("{} is deregistered\n", entry.agent))?;
        }
    }
    Ok(ExitStatus::Done)
}

fn query(search: &DfSearch) -> DfQuery {
    DfQuery {
        agent: search.agent.clone(),
        service_type: search.service_type.clone(),
        service: search.service.clone(),
        protocol: search.protocol.clone(),
        ontology: search.ontology.clone(),
        language: search.language.clone(),
        max_depth: search.max_depth,
        max_results: search.max_results,
    }
}

fn entry(register: &DfRegister) -> DfEntry {
    let services = register.service.iter().map(|text| {
        let (name, service_type) = text.split_once(':').unwrap_or((text, text));
        DfService {
            name: name.to_owned(),
            service_type: service_type.to_owned(),
            ownership: None,
            properties: Value::Null,
        }
    });
    DfEntry {
        agent: register.agent.clone(),
        addresses: register.address.clone(),
        services: services.collect(),
        protocols: register.protocol.clone(),
        ontologies: register.ontology.clone(),
        languages: register.language.clone(),
        lease_until: None,
        lease_ms: register
            .lease
            .map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn table(entries: &[DfEntry]) -> Table {
    let mut table = Table::new(&[
        ("AGENT", Align::Left),
        ("SERVICES", Align::Left),
        ("PROTOCOLS", Align::Left),
        ("ONTOLOGIES", Align::Left),
        ("LANGUAGES", Align::Left),
        ("LEASE UNTIL", Align::Left),
    ]);
    for entry in entries {
        let services = entry.services.iter();
        let services: Vec<String> = services
            .map(|service| format!("{}:{}", service.name, service.service_type))
            .collect();
        table.row(vec![
            entry.agent.clone(),
            services.join(","),
            entry.protocols.join(","),
            entry.ontologies.join(","),
            entry.languages.join(","),
            entry
                .lease_until
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ]);
    }
    table
}

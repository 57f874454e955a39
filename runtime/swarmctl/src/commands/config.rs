//! `config show`, and the folding of a node's settings.

use crate::cli::{Config, NodeFlags};
use crate::commands::manifest;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use swarm_runtime::config::{Flags, Origin, Settings};
use swarm_runtime::manifest::Manifest;

/// The settings in force: flag over environment over manifest over default.
pub(crate) fn settings(flags: &NodeFlags, manifest: &Manifest) -> Result<Settings, Failure> {
    let flags = Flags {
        name: flags.name.clone(),
        agents_max: flags.agents_max.clone(),
        labels: (!flags.labels.is_empty()).then(|| flags.labels.join(",")),
        data: flags.data.clone(),
        listen: flags.listen.clone(),
        advertise: flags.advertise.clone(),
        api: flags.api.clone(),
        log: flags.log.clone(),
        log_format: flags.log_format.clone(),
        shutdown_deadline: flags.shutdown_deadline.clone(),
        exit_on_tree_failure: flags.exit_on_tree_failure,
    };
    let environment = |name: &str| std::env::var(name).ok();
    Settings::resolve(&flags, &environment, Some(manifest)).map_err(|rejected| {
        let next_step = match (&rejected.cause.suggestion, &rejected.origin) {
            (Some(suggestion), Origin::Flag { flag }) => format!("{flag} {suggestion}"),
            (Some(suggestion), _) => suggestion.clone(),
            (None, _) => "swarmctl config show --origin".to_owned(),
        };
        Failure::new(
            ExitStatus::Usage,
            "bad-setting",
            rejected.to_string(),
            next_step,
        )
    })
}

/// The file with the journal's keys: flag over environment.
pub(crate) fn journal_keys(flag: Option<&Path>) -> Option<PathBuf> {
    let environment = std::env::var_os("SWARM_JOURNAL_KEYS").filter(|file| !file.is_empty());
    flag.map(Path::to_owned)
        .or_else(|| environment.map(Into::into))
}

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    about: &'static str,
}

pub(crate) fn run(output: Output, config: &Config) -> Result<ExitStatus, Stop> {
    let Config::Show {
        origin,
        manifest: file,
        settings: flags,
    } = config;
    let manifest = match file {
        Some(file) => manifest::load(file, ExitStatus::Usage)?,
        None => Manifest::empty(),
    };
    let shown: Vec<Shown> = settings(flags, &manifest)?
        .entries()
        .into_iter()
        .map(|entry| Shown {
            name: entry.name,
            value: entry.value,
            origin: origin.then_some(entry.origin),
            about: entry.about,
        })
        .collect();
    output.list(&shown, || {
        let mut columns = vec![("SETTING", Align::Left), ("VALUE", Align::Left)];
        if *origin {
            columns.push(("ORIGIN", Align::Left));
        }
        if output.is_wide() {
            columns.push(("ABOUT", Align::Left));
        }
        let mut table = Table::new(&columns);
        for setting in &shown {
            let value = match &setting.value {
                Value::String(text) => text.clone(),
                Value::Null => "none".to_owned(),
                value => value.to_string(),
            };
            let mut row = vec![setting.name.to_owned(), value];
            row.extend(setting.origin.as_ref().map(ToString::to_string));
            if output.is_wide() {
                row.push(setting.about.to_owned());
            }
            table.row(row);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}

//! WebAssembly agents for a node: from what a manifest says to what `swarm-wasm` runs. Behind the feature `wasm`, so that a
//! program without such agents need not build an engine for them.

mod past;
mod upgrades;

use crate::manifest::component::{self as manifest_wasm, Source, Wasm};
use crate::manifest::{self, ConfigFault};
use crate::node::{Components, Historian, Upgrades, durable_specs_of, specs_of};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use swarm_actors::System;
use swarm_actors::durable::Durability;
use swarm_supervisors::ChildSpec;
use swarm_tools::Tools;
use swarm_wasm::deployment::Deployments;
use swarm_wasm::durable::{DurableGuest, DurablePlan};
use swarm_wasm::{
    Class, Component, Digest, Grants, Host, Inspection, Limits, LoadError, Messaging, Plan, World,
};

/// The folder below a node's data folder.
#[must_use]
pub fn folder_in(data: &Path) -> PathBuf {
    data.join("wasm")
}

/// Runs the components that manifests name, on one host.
#[derive(Clone, Debug)]
pub struct WasmAgents {
    host: Host,
    deployments: Deployments,
}

impl WasmAgents {
    /// Agents on this host.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self {
            host,
            deployments: Deployments::default(),
        }
    }

    fn load(&self, wasm: &Wasm) -> Result<(Component, Grants, Limits), ConfigFault> {
        let (grants, limits) = (grants_of(wasm), limits_of(wasm));
        let class = class_of(wasm.class);
        let loaded = match &wasm.source {
            Source::File(file) => self.host.load_file(file, class, &grants, &limits),
            Source::Digest(text) => match text.parse::<Digest>() {
                Ok(digest) => self.host.load_digest(digest, class, &grants, &limits),
                Err(error) => return Err(fault("wasm", error.to_string(), None)),
            },
        };
        match loaded {
            Ok(component) => {
                check_world(wasm, component.inspection())?;
                Ok((component, grants, limits))
            }
            Err(error) => Err(fault_of(wasm, &error)),
        }
    }
}

impl Components for WasmAgents {
    fn check(&self, wasm: &Wasm) -> Result<(), ConfigFault> {
        let (grants, limits) = (grants_of(wasm), limits_of(wasm));
        let class = class_of(wasm.class);
        let file = match &wasm.source {
            Source::File(file) => Some(file.clone()),
            // Which components a node has is known where it runs.
            Source::Digest(text) => text
                .parse()
                .ok()
                .and_then(|digest| self.host.stored(digest)),
        };
        match file {
            Some(file) => {
                let checked = swarm_wasm::check_file(&file, class, &grants, &limits);
                let inspection = checked.map_err(|error| fault_of(wasm, &error))?;
                check_world(wasm, &inspection)
            }
            None => Ok(()),
        }
    }

    fn reserve(&self, agents: &BTreeMap<manifest_wasm::Class, u64>) -> Result<(), ConfigFault> {
        for (class, count) in agents {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            self.host
                .reserve(class_of(*class), count)
                .map_err(|error| fault("class", error.to_string(), None))?;
        }
        Ok(())
    }

    fn specs(
        &self,
        agent: &manifest::Agent,
        wasm: &Wasm,
        system: &System,
        tools: &Tools,
        durability: Option<&Durability>,
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        let (component, grants, limits) = self.load(wasm)?;
        if let (Some(snapshots), Some(durability)) = (wasm.durable, durability) {
            let (config, system_of) = (agent.config.to_string(), system.downgrade());
            let journal = durability.clone();
            let plan = DurablePlan::new(component, config, grants, limits, system_of, journal);
            let guest = DurableGuest::new(plan);
            return durable_specs_of(agent, "wasm", guest, snapshots, system, Some(durability));
        }
        if wasm.durable.is_some() {
            return Err(ConfigFault {
                key: None,
                message: "this node has no journal for a durable agent".to_owned(),
                suggestion: Some("swarmctl up --data DIR".to_owned()),
            });
        }
        for (pattern, arguments) in grants.tools.iter() {
            tools.check_grant(pattern, arguments).map_err(|bad| {
                let message = format!("{pattern}: {bad}");
                fault("grants.tools", message, bad.suggestion)
            })?;
        }
        let config = agent.config.to_string();
        let plan = Plan::with_tools(component, config, grants, limits, Some(tools.clone()));
        Ok(specs_of(agent, "wasm", move || plan.agent(), system))
    }

    fn historian(
        &self,
        wasm: &Wasm,
        config: &Value,
    ) -> Option<Result<Box<dyn Historian>, ConfigFault>> {
        wasm.durable?;
        Some(self.load(wasm).map(|(component, grants, limits)| {
            let plan = DurablePlan::of_the_past(component, config.to_string(), grants, limits);
            Box::new(past::Retrospect(DurableGuest::new(plan))) as Box<_>
        }))
    }

    fn compile(&self, wasm: &Wasm) -> Result<(), ConfigFault> {
        self.load(wasm).map(drop)
    }

    fn upgrades(&self) -> Option<&dyn Upgrades> {
        Some(self)
    }
}

fn fault(key: &str, message: String, suggestion: Option<String>) -> ConfigFault {
    ConfigFault {
        key: Some(key.to_owned()),
        message,
        suggestion,
    }
}

/// Whether the component is of the world that the manifest means.
fn check_world(wasm: &Wasm, inspection: &Inspection) -> Result<(), ConfigFault> {
    let named = match &wasm.source {
        Source::File(file) => file.display().to_string(),
        Source::Digest(digest) => digest.clone(),
    };
    match (inspection.world, wasm.durable) {
        (World::Durable, Some(_)) | (World::Volatile, None) => Ok(()),
        (World::Durable, None) => Err(fault(
            "durable",
            format!("{named}: it is a durable agent, and the manifest does not say so"),
            Some("durable = true".to_owned()),
        )),
        (World::Volatile, Some(_)) => Err(fault(
            "durable",
            format!("{named}: it is a volatile agent: it decides no events that could be kept"),
            Some(
                "leave out `durable`, or build it for the world `durable` (docs/wasm.md)"
                    .to_owned(),
            ),
        )),
    }
}

fn fault_of(wasm: &Wasm, error: &LoadError) -> ConfigFault {
    let named = match &wasm.source {
        Source::File(file) => format!("{}: {error}", file.display()),
        Source::Digest(digest) => format!("{digest}: {error}"),
    };
    match error {
        LoadError::Excess(excess) => {
            let wanted: Vec<&str> = excess.missing.iter().map(|m| m.grant.as_str()).collect();
            let suggestion = format!("grants = {{ {} }}", wanted.join(", "));
            fault("grants", named, Some(suggestion))
        }
        LoadError::Memory { needs, .. } => {
            let suggestion = format!("limits = {{ memory = {needs} }} or more");
            fault("limits.memory", named, Some(suggestion))
        }
        LoadError::ClassMemory { most, .. } => {
            let suggestion = format!("at most {most}, or another class");
            fault("limits.memory", named, Some(suggestion))
        }
        _ => fault("wasm", named, None),
    }
}

fn class_of(class: manifest_wasm::Class) -> Class {
    match class {
        manifest_wasm::Class::Default => Class::Default,
        manifest_wasm::Class::Compact => Class::Compact,
        manifest_wasm::Class::Interpreter => Class::Interpreter,
    }
}

/// The class's limits with what the manifest states instead.
fn limits_of(wasm: &Wasm) -> Limits {
    let usual = Limits::of(class_of(wasm.class));
    let stated = &wasm.limits;
    let log = stated
        .log_per_second
        .and_then(|bytes| u32::try_from(bytes).ok());
    let elements = stated
        .table_elements
        .and_then(|count| usize::try_from(count).ok());
    Limits {
        memory: stated.memory.unwrap_or(usual.memory),
        table_elements: elements.unwrap_or(usual.table_elements),
        turn_cpu: stated.turn_cpu.unwrap_or(usual.turn_cpu),
        turn_fuel: stated.turn_fuel.or(usual.turn_fuel),
        message_bytes: stated.message.unwrap_or(usual.message_bytes),
        sends_per_second: stated.sends_per_second.unwrap_or(usual.sends_per_second),
        log_bytes_per_second: log.unwrap_or(usual.log_bytes_per_second),
        host_bytes: stated.host_memory.unwrap_or(usual.host_bytes),
        timers: stated.timers.unwrap_or(usual.timers),
        tool_time: stated.tool_time.unwrap_or(usual.tool_time),
    }
}

fn grants_of(wasm: &Wasm) -> Grants {
    let stated = &wasm.grants;
    Grants {
        messaging: stated.messaging.as_ref().map(|messaging| Messaging {
            agents: messaging.agents.iter().cloned().collect(),
            paths: messaging.paths.clone(),
            groups: messaging.groups.iter().cloned().collect(),
        }),
        state: stated.state,
        timers: stated.timers,
        clock: stated.clock,
        random: stated.random,
        log: stated.log,
        tools: stated.tools.clone(),
        trapped: stated.trapped.clone(),
    }
}

//! WebAssembly agents for a node: from what a manifest says to what `swarm-wasm` runs. Behind the feature `wasm`, so that a
//! program without such agents need not build an engine for them.

mod upgrades;

use crate::manifest::component::{self as manifest_wasm, Source, Wasm};
use crate::manifest::{self, ConfigFault};
use crate::node::{Components, Upgrades, specs_of};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use swarm_actors::System;
use swarm_supervisors::ChildSpec;
use swarm_tools::Tools;
use swarm_wasm::deployment::Deployments;
use swarm_wasm::{Class, Component, Digest, Grants, Host, Limits, LoadError, Messaging, Plan};

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
            Ok(component) => Ok((component, grants, limits)),
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
            Some(file) => swarm_wasm::check_file(&file, class, &grants, &limits)
                .map(drop)
                .map_err(|error| fault_of(wasm, &error)),
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
    ) -> Result<Vec<ChildSpec>, ConfigFault> {
        let (component, grants, limits) = self.load(wasm)?;
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

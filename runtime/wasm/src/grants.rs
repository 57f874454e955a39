//! What an agent may do. Nothing is granted unless it is named.

use crate::inspect::{Import, Inspection};
use std::collections::BTreeSet;
use std::fmt;
use swarm_protocols::{Name, Path};

/// An agent's capabilities. A component that imports more is refused before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whether it may send, and to whom. Answering who asked needs no more than an empty one.
    pub messaging: Option<Messaging>,
    /// The store that outlives a crash.
    pub state: bool,
    /// Timers.
    pub timers: bool,
    /// The time.
    pub clock: bool,
    /// Random numbers.
    pub random: bool,
    /// The node's log.
    pub log: bool,
    /// The tools that it may call, and with which arguments.
    pub tools: swarm_tools::Grants,
    /// Foreign imports that may be there, by prefix, such as `wasi:`. Each of their functions traps when it is called.
    pub trapped: Vec<String>,
}

/// To whom an agent may send, besides answering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messaging {
    /// Registered names.
    pub agents: BTreeSet<Name>,
    /// Paths of agents, or of supervisors: then all agents below.
    pub paths: Vec<Path>,
    /// Groups.
    pub groups: BTreeSet<Name>,
}

impl Grants {
    /// Everything, for tests and for code that is trusted: all imports, and messages to any agent by path.
    #[must_use]
    pub fn all() -> Self {
        Self {
            messaging: Some(Messaging {
                paths: vec![Path::root()],
                ..Messaging::default()
            }),
            state: true,
            timers: true,
            clock: true,
            random: true,
            log: true,
            tools: swarm_tools::Grants::new(),
            trapped: Vec::new(),
        }
    }

    /// Checks what a component imports.
    ///
    /// # Errors
    /// [`Excess`] lists what is not granted.
    pub fn check(&self, inspection: &Inspection) -> Result<(), Excess> {
        let missing: Vec<Missing> = inspection
            .imports
            .iter()
            .filter_map(|import| self.missing(import))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Excess { missing })
        }
    }

    fn missing(&self, import: &Import) -> Option<Missing> {
        let is_granted = match import.capability() {
            None => self
                .trapped
                .iter()
                .any(|prefix| import.name.starts_with(prefix.as_str())),
            Some("types") => true,
            Some("messaging") => self.messaging.is_some(),
            Some("state") => self.state,
            Some("timers") => self.timers,
            Some("clock") => self.clock,
            Some("random") => self.random,
            Some("log") => self.log,
            Some("tools") => !self.tools.is_empty(),
            Some(_) => false,
        };
        (!is_granted).then(|| Missing {
            import: import.name.clone(),
            grant: match import.capability() {
                Some("messaging") => "messaging = {}".to_owned(),
                Some("tools") => "tools = [\"NAME\"]".to_owned(),
                Some(word) if CAPABILITIES.contains(&word) => format!("{word} = true"),
                Some(_) => "no grant: this host does not have it".to_owned(),
                None => format!("trapped = [{:?}]", prefix_of(&import.name)),
            },
        })
    }
}

/// The interfaces of the contract that can be imported.
pub(crate) const CAPABILITIES: [&str; 7] = [
    "messaging",
    "state",
    "timers",
    "clock",
    "random",
    "log",
    "tools",
];

fn prefix_of(import: &str) -> String {
    match import.split_once(':') {
        Some((namespace, _)) => format!("{namespace}:"),
        None => import.to_owned(),
    }
}

impl Messaging {
    pub(crate) fn allows_path(&self, path: &Path) -> bool {
        self.paths.iter().any(|granted| path.is_within(granted))
    }
}

/// What a component imports beyond its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// One entry for each import; never empty.
    pub missing: Vec<Missing>,
}

/// One import that is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The import, such as `swarm:agent/log@0.1.0`.
    pub import: String,
    /// What would grant it, as it stands in a manifest.
    pub grant: String,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it imports what is not granted: ")?;
        for (at, missing) in self.missing.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} (grant: {})", missing.import, missing.grant)?;
        }
        Ok(())
    }
}

impl std::error::Error for Excess {}

//! The manifest: a TOML text that declares a node's tree.
//!
//! A text is read in three steps. The sections are read one by one (types, names, ranges), then what no section shows by
//! itself is checked (who stands below whom, which names are taken, which settings exclude each other), then the tree is
//! built. The steps note every mistake they meet and go on; a tree comes out only when there was none. Nothing here starts
//! anything. The reference of all keys is `docs/manifest.md`.

mod bounds;
mod build;
mod changes;
mod check;
mod declared;
mod durable;
mod json;
mod place;
mod problem;
mod reader;
mod scenario;
mod tools;
mod tree;
mod wasm;

pub use changes::{Change, Step, changes};
pub use declared::{NodeSettings, Stated};
pub use place::{ClusterSettings, Place};
pub use problem::{Problem, Rejected};
pub use scenario::ScenarioFromManifestError;
pub use tools::{Bounds, BuiltIn, BuiltInTool, McpSettings, ToolSettings};
pub use tree::{
    Agent, Child, ChildPolicy, Children, Code, Mailbox, OnCrash, Supervisor, TurnDeadline, WhenFull,
};

/// What a manifest says about WebAssembly agents.
pub mod component {
    pub use super::wasm::{Class, Grants, Limits, Messaging, Source, Wasm};
}

use problem::Problems;
use serde_json::Value;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};
use swarm_cluster::placement::Edition;
use swarm_protocols::Path;
use toml::de::DeTable;

/// The longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A checked manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The settings of the process that it states.
    pub node: NodeSettings,
    /// The tools that it offers.
    pub tools: ToolSettings,
    /// What it says of the cluster as a whole.
    pub cluster: ClusterSettings,
    /// The tree.
    pub root: Supervisor,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    /// Which manifest of the cluster it is: generation 0 until one is applied to all nodes.
    pub edition: Edition,
}

/// Which behaviours a program has, as far as a manifest needs to know.
pub trait BehaviourCatalogue {
    /// The names of all behaviours, sorted.
    fn names(&self) -> Vec<&str>;

    /// Checks the configuration of the behaviour `name`, which is one of [`BehaviourCatalogue::names`].
    ///
    /// # Errors
    /// [`ConfigFault`] says what the behaviour does not accept.
    fn check(&self, name: &str, config: &Value) -> Result<(), ConfigFault>;

    /// Whether agents of the behaviour `name` are durable. None is unless a catalogue says so.
    fn is_durable(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Looks at a component: whether it is one, and whether it imports no more than it is granted. Compiles and runs nothing.
    /// A catalogue knows of none unless it says so.
    ///
    /// # Errors
    /// [`ConfigFault`], whose key is one of the agent's own.
    fn check_wasm(&self, wasm: &component::Wasm) -> Result<(), ConfigFault> {
        let _ = wasm;
        Err(ConfigFault {
            key: Some("wasm".to_owned()),
            message: "this program runs no WebAssembly agents".to_owned(),
            suggestion: None,
        })
    }
}

/// What a behaviour does not accept in its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigFault {
    /// The key inside `config`.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {} (from {}): {cause}", file.display(), folder.display())]
    Unreadable {
        /// The file, as it was given.
        file: PathBuf,
        /// The folder that a relative name starts from.
        folder: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The file is longer than [`MANIFEST_BYTES_MAX`].
    #[error("{} has more than the {MANIFEST_BYTES_MAX} bytes that a manifest may have", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
    },
    /// The text has mistakes.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl Manifest {
    /// What becomes of this one when another is applied: the other's tree. What the process was started with stays in force.
    pub(crate) fn followed_by(&self, other: Self, edition: Edition) -> Self {
        Self {
            node: self.node.clone(),
            tools: self.tools.clone(),
            cluster: self.cluster.clone(),
            file: self.file.clone(),
            edition,
            ..other
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`LoadError`]: the file cannot be read, is too long, or has mistakes, of which all are named.
    pub fn load(file: &FilePath, catalogue: &dyn BehaviourCatalogue) -> Result<Self, LoadError> {
        let unreadable = |cause| LoadError::Unreadable {
            file: file.to_owned(),
            folder: std::env::current_dir().unwrap_or_default(),
            cause,
        };
        // Not by the length that the system tells: a device has none and never ends.
        let mut text = String::new();
        let mut bounded = std::fs::File::open(file)
            .map_err(unreadable)?
            .take(MANIFEST_BYTES_MAX + 1);
        bounded.read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(LoadError::TooLong {
                file: file.to_owned(),
            });
        }
        let folder = file.parent().unwrap_or(FilePath::new(""));
        let mut manifest =
            Self::parse_in(folder, &text, catalogue).map_err(|rejected| Rejected {
                file: file.display().to_string(),
                ..rejected
            })?;
        manifest.file = Some(file.to_owned());
        Ok(manifest)
    }

    /// Checks a text whose components' names start from the working directory.
    ///
    /// # Errors
    /// [`Rejected`] names every mistake with its place.
    pub fn parse(text: &str, catalogue: &dyn BehaviourCatalogue) -> Result<Self, Rejected> {
        Self::parse_in(FilePath::new(""), text, catalogue)
    }

    fn parse_in(
        folder: &FilePath,
        text: &str,
        catalogue: &dyn BehaviourCatalogue,
    ) -> Result<Self, Rejected> {
        let mut problems = Problems::new(text);
        let (document, mistakes) = DeTable::parse_recoverable(text);
        for mistake in &mistakes {
            let span = mistake.span().unwrap_or(0..0);
            let mut message = mistake.message().replace('\n', ", ");
            if message == "duplicate key"
                && let Some(key) = text.get(span.clone())
            {
                message = format!("{key} is here for the second time");
            }
            problems.note(&span, "", message, None);
        }
        // What was recovered from a text that is no TOML would only add mistakes that nobody made.
        if problems.is_empty() {
            let mut declared = declared::read(document.get_ref(), folder, &mut problems);
            let node = declared.node.clone();
            let tools = std::mem::take(&mut declared.tools);
            let cluster = std::mem::take(&mut declared.cluster);
            let root = check::check(declared, catalogue, &mut problems);
            if problems.is_empty() {
                return Ok(Self {
                    node,
                    tools,
                    cluster,
                    root,
                    file: None,
                    edition: Edition::default(),
                });
            }
        }
        Err(Rejected {
            file: "-".to_owned(),
            problems: problems.into_sorted(),
        })
    }

    /// A tree with nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        struct None;
        impl BehaviourCatalogue for None {
            fn names(&self) -> Vec<&str> {
                Vec::new()
            }
            fn check(&self, _: &str, _: &Value) -> Result<(), ConfigFault> {
                Ok(())
            }
        }
        Self::parse("", &None).expect("the empty text is a manifest")
    }

    /// What is declared at `path` itself, and the places of the children that it stands for: its own, those of its replicas, or those of the
    /// instances of a template that are started with the tree.
    #[must_use]
    pub fn declared_at(&self, path: &Path) -> Option<(Declaration<'_>, Vec<Path>)> {
        declared_at(&self.root, path)
    }

    /// The declared actor at `path`; an instance of a template is found at its template.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<Declaration<'_>> {
        find(&self.root, path)
    }
}

/// What stands at a path.
#[derive(Clone, Copy, Debug)]
pub enum Declaration<'m> {
    /// A supervisor.
    Supervisor(&'m Supervisor),
    /// An agent.
    Agent(&'m Agent),
    /// The template of a simple_one_for_one supervisor.
    Template(&'m Agent),
}

fn declared_at<'m>(
    supervisor: &'m Supervisor,
    path: &Path,
) -> Option<(Declaration<'m>, Vec<Path>)> {
    if &supervisor.path == path {
        return Some((Declaration::Supervisor(supervisor), vec![path.clone()]));
    }
    match &supervisor.children {
        Children::Template { agent, instances } if &agent.path == path => {
            let numbered = Agent {
                replicas: Some(*instances),
                ..(**agent).clone()
            };
            Some((Declaration::Template(agent), numbered.paths().collect()))
        }
        Children::Template { .. } => None,
        Children::Static(children) => children.iter().find_map(|child| match child {
            Child::Agent(agent) => {
                (&agent.path == path).then(|| (Declaration::Agent(agent), agent.paths().collect()))
            }
            Child::Supervisor(inner) if path.is_within(&inner.path) => declared_at(inner, path),
            Child::Supervisor(_) => None,
        }),
    }
}

fn find<'m>(supervisor: &'m Supervisor, path: &Path) -> Option<Declaration<'m>> {
    if &supervisor.path == path {
        return Some(Declaration::Supervisor(supervisor));
    }
    match &supervisor.children {
        Children::Template { agent, .. } => {
            let is_instance = path.parent().as_ref() == Some(&supervisor.path);
            is_instance.then_some(Declaration::Template(agent))
        }
        Children::Static(children) => children.iter().find_map(|child| match child {
            Child::Agent(agent) => agent.is_at(path).then_some(Declaration::Agent(agent)),
            Child::Supervisor(inner) if path.is_within(&inner.path) => find(inner, path),
            Child::Supervisor(_) => None,
        }),
    }
}

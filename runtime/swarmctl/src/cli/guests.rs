//! WebAssembly agents and tools: `new`, `wasm`, `tool`, `mcp`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// An agent that runs as a WebAssembly component
    Agent(NewAgent),
}

#[derive(Debug, Args)]
pub(crate) struct NewAgent {
    /// The agent's name
    pub(crate) name: String,
    /// The language
    #[arg(long, value_enum, default_value_t)]
    pub(crate) lang: Language,
    /// Where to; a folder of the agent's name unless given
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust
    #[default]
    Rust,
    /// C, by clang
    C,
    /// JavaScript, by componentize-qjs
    Js,
    /// Python, by componentize-py
    Python,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wasm {
    /// What a component is: its world, imports, exports, and what it would have to be granted
    Inspect {
        /// The component
        file: PathBuf,
    },
    /// Compile a component and check its types, as a start would, without starting it
    Check(WasmCheck),
    /// How many agents of each class fit into a process on this machine
    Capacity,
    /// Have a node keep a component, so that manifests and upgrades can name it by its digest
    Push {
        /// The component
        file: PathBuf,
    },
    /// List the components that a node keeps
    Ls,
    /// Have a node forget a component; agents that run it go on
    Rm {
        /// Its digest
        digest: String,
    },
    /// Compile what comes in on stdin; for this program's own use
    #[command(hide = true)]
    Compile {
        /// The class
        class: WasmClass,
        /// `metered` or `plain`
        metered: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WasmCheck {
    /// The component
    pub(crate) file: PathBuf,
    /// The density class to compile for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) class: WasmClass,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WasmClass {
    /// Compiled guests
    #[default]
    Default,
    /// Very many small ones
    Compact,
    /// Guests that bring an interpreter
    Interpreter,
}

impl WasmClass {
    pub(crate) fn class(self) -> swarm_wasm::Class {
        match self {
            Self::Default => swarm_wasm::Class::Default,
            Self::Compact => swarm_wasm::Class::Compact,
            Self::Interpreter => swarm_wasm::Class::Interpreter,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// List the tools, with the keys of their input
    Ls,
    /// Show a tool with the JSON schema of its input
    Describe {
        /// Its name, such as time, or server/tool
        name: String,
    },
    /// List the MCP servers
    Servers,
    /// List the latest calls: who called what, when, and how it ended
    Calls {
        /// Only calls with a greater number
        #[arg(long)]
        after: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mcp {
    /// Offer a node to an MCP client on stdin and stdout: status, tree, list-actors, describe, events
    #[command(
        after_help = "An MCP client starts it; for example in its settings: {\"command\": \"swarmctl\", \"args\": [\"mcp\", \"serve\"]}"
    )]
    Serve {
        /// Also offer send and ask, which can change what agents do
        #[arg(long)]
        allow_write: bool,
    },
}

//! `new`: a project to begin with.

use crate::cli;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use serde::Serialize;
use std::fs;
use std::path::Path;
use swarm_protocols::Name;

/// A file of a project: where it goes, and what is in it. `NAME` stands for the agent's name, `NAME_` for it as Rust's crates have it.
type Template = (&'static str, &'static str);

macro_rules! guest {
    ($file:literal) => {
        include_str!(concat!("../../../../actors/guest-rust/", $file))
    };
}

const RUST: [Template; 15] = [
    (
        "Cargo.toml",
        include_str!("../../templates/rust/Cargo.toml"),
    ),
    (
        ".cargo/config.toml",
        include_str!("../../templates/rust/config.toml"),
    ),
    (".gitignore", "target\n"),
    ("README.md", include_str!("../../templates/rust/README.md")),
    ("src/lib.rs", include_str!("../../templates/rust/lib.rs")),
    (
        "swarm.toml",
        include_str!("../../templates/rust/swarm.toml"),
    ),
    (
        "wit/agent.wit",
        include_str!("../../../../actors/wit/agent.wit"),
    ),
    ("swarm-guest/Cargo.toml", guest!("Cargo.toml")),
    ("swarm-guest/src/lib.rs", guest!("src/lib.rs")),
    ("swarm-guest/src/agent.rs", guest!("src/agent.rs")),
    ("swarm-guest/src/bindings.rs", guest!("src/bindings.rs")),
    ("swarm-guest/src/durable.rs", guest!("src/durable.rs")),
    ("swarm-guest/src/host.rs", guest!("src/host.rs")),
    ("swarm-guest/src/message.rs", guest!("src/message.rs")),
    ("swarm-guest/src/testkit.rs", guest!("src/testkit.rs")),
];

/// The contract, as guests of other languages have it: a world of their own, and the package beside it.
const WORLD: Template = (
    "wit/world.wit",
    include_str!("../../templates/wit/world.wit"),
);
const CONTRACT: Template = (
    "wit/deps/agent/agent.wit",
    include_str!("../../../../actors/wit/agent.wit"),
);

const JS: [Template; 6] = [
    ("agent.js", include_str!("../../templates/js/agent.js")),
    (".gitignore", "node_modules\n*.wasm\n"),
    ("README.md", include_str!("../../templates/js/README.md")),
    ("swarm.toml", include_str!("../../templates/js/swarm.toml")),
    WORLD,
    CONTRACT,
];

const PYTHON: [Template; 6] = [
    ("agent.py", include_str!("../../templates/python/agent.py")),
    (".gitignore", "__pycache__\n*.wasm\n"),
    (
        "README.md",
        include_str!("../../templates/python/README.md"),
    ),
    (
        "swarm.toml",
        include_str!("../../templates/python/swarm.toml"),
    ),
    WORLD,
    CONTRACT,
];

#[derive(Serialize)]
struct Made {
    folder: String,
    files: Vec<&'static str>,
}

pub(crate) fn run(output: Output, command: &cli::New) -> Result<ExitStatus, Stop> {
    let cli::New::Agent(agent) = command;
    let name = Name::new(&agent.name)
        .ok()
        .filter(|name| name.as_str().starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|name| !name.as_str().contains('.'));
    let Some(name) = name else {
        return Err(Failure::usage(
            format!("{:?} is no name for an agent's project", agent.name),
            "a name of a-z, 0-9, - and _ that begins with a letter",
        )
        .into());
    };
    let templates: &[Template] = match agent.lang {
        cli::Language::Rust => &RUST,
        cli::Language::Js => &JS,
        cli::Language::Python => &PYTHON,
    };
    let folder = agent.folder.clone().unwrap_or_else(|| name.as_str().into());
    if folder.exists() {
        return Err(Failure::new(
            ExitStatus::Refused,
            "folder-exists",
            format!("{} is there already; nothing was changed", folder.display()),
            "another --folder",
        )
        .into());
    }
    for (file, text) in templates {
        write(&folder.join(file), &filled(file, text, &name))?;
    }
    let made = Made {
        folder: folder.display().to_string(),
        files: templates.iter().map(|(file, _)| *file).collect(),
    };
    output.document(&made, || {
        format!(
            "{} is made; its README.md says how to build and run it\n",
            made.folder
        )
    })?;
    Ok(ExitStatus::Done)
}

fn filled(file: &str, text: &str, name: &Name) -> String {
    if file.starts_with("swarm-guest/") || file.starts_with("wit/") {
        return text.to_owned();
    }
    let crate_name = name.as_str().replace('-', "_");
    text.replace("NAME_", &crate_name)
        .replace("NAME", name.as_str())
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let made = match file.parent() {
        Some(folder) => fs::create_dir_all(folder),
        None => Ok(()),
    };
    made.and_then(|()| fs::write(file, text))
        .map_err(|error| Failure::file("write", file, &error))
}

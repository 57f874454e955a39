//! `new`: a project to begin with.

use crate::cli;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use serde::Serialize;
use std::borrow::Cow;
use std::fs;
use std::path::Path;
use swarm_protocols::Name;

/// A file of a project: where it goes, and what is in it. `NAME` stands for the agent's name, `NAME_` for it as Rust's crates have it.
type Template = (&'static str, &'static [u8]);

/// Folders of a project that come from the contract and its libraries, and stay as they are.
const AS_THEY_ARE: [&str; 3] = ["swarm-guest/", "swarm/", "wit/"];

macro_rules! guest {
    ($file:literal) => {
        include_bytes!(concat!("../../../../actors/guest-rust/", $file))
    };
}

const RUST: [Template; 15] = [
    (
        "Cargo.toml",
        include_bytes!("../../templates/rust/Cargo.toml"),
    ),
    (
        ".cargo/config.toml",
        include_bytes!("../../templates/rust/config.toml"),
    ),
    (".gitignore", b"target\n"),
    (
        "README.md",
        include_bytes!("../../templates/rust/README.md"),
    ),
    ("src/lib.rs", include_bytes!("../../templates/rust/lib.rs")),
    (
        "swarm.toml",
        include_bytes!("../../templates/rust/swarm.toml"),
    ),
    (
        "wit/agent.wit",
        include_bytes!("../../../../actors/wit/agent.wit"),
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
    include_bytes!("../../templates/wit/world.wit"),
);
const CONTRACT: Template = (
    "wit/deps/agent/agent.wit",
    include_bytes!("../../../../actors/wit/agent.wit"),
);

const JS: [Template; 6] = [
    ("agent.js", include_bytes!("../../templates/js/agent.js")),
    (".gitignore", b"node_modules\n*.wasm\n"),
    ("README.md", include_bytes!("../../templates/js/README.md")),
    (
        "swarm.toml",
        include_bytes!("../../templates/js/swarm.toml"),
    ),
    WORLD,
    CONTRACT,
];

const PYTHON: [Template; 6] = [
    (
        "agent.py",
        include_bytes!("../../templates/python/agent.py"),
    ),
    (".gitignore", b"__pycache__\n*.wasm\n"),
    (
        "README.md",
        include_bytes!("../../templates/python/README.md"),
    ),
    (
        "swarm.toml",
        include_bytes!("../../templates/python/swarm.toml"),
    ),
    WORLD,
    CONTRACT,
];

macro_rules! contract_in_c {
    ($file:literal) => {
        (
            concat!("swarm/", $file),
            include_bytes!(concat!("../../../../actors/guest-c/", $file)),
        )
    };
}

const C: [Template; 7] = [
    ("agent.c", include_bytes!("../../templates/c/agent.c")),
    (".gitignore", b"*.wasm\n"),
    ("README.md", include_bytes!("../../templates/c/README.md")),
    ("swarm.toml", include_bytes!("../../templates/c/swarm.toml")),
    contract_in_c!("swarm.h"),
    contract_in_c!("swarm.c"),
    contract_in_c!("swarm_component_type.o"),
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
        cli::Language::C => &C,
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
    for (file, content) in templates {
        write(&folder.join(file), &filled(file, content, &name))?;
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

fn filled<'a>(file: &str, content: &'a [u8], name: &Name) -> Cow<'a, [u8]> {
    let is_as_it_is = AS_THEY_ARE.iter().any(|folder| file.starts_with(folder));
    match std::str::from_utf8(content) {
        Ok(text) if !is_as_it_is => {
            let crate_name = name.as_str().replace('-', "_");
            let text = text.replace("NAME_", &crate_name);
            Cow::Owned(text.replace("NAME", name.as_str()).into_bytes())
        }
        _ => Cow::Borrowed(content),
    }
}

fn write(file: &Path, content: &[u8]) -> Result<(), Failure> {
    let made = match file.parent() {
        Some(folder) => fs::create_dir_all(folder),
        None => Ok(()),
    };
    made.and_then(|()| fs::write(file, content))
        .map_err(|error| Failure::file("write", file, &error))
}

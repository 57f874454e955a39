//! `wasm`: looking at components, and the process that compiles them.

use crate::behaviours;
use crate::cli;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;
use swarm_wasm::{Capacity, Class, Grants, Inspection, Limits, LoadError};

pub(crate) fn run(output: Output, command: &cli::Wasm) -> Result<ExitStatus, Stop> {
    match command {
        cli::Wasm::Inspect { file } => inspect(output, file),
        cli::Wasm::Check(check) => check_file(output, check),
        cli::Wasm::Capacity => capacity(output),
        cli::Wasm::Push { .. } | cli::Wasm::Ls | cli::Wasm::Rm { .. } => {
            unreachable!("these are about a node, see components.rs")
        }
        cli::Wasm::Compile { class, metered } => {
            let status = swarm_wasm::compile_stdin(class.class(), metered == "metered");
            std::process::exit(i32::from(status));
        }
    }
}

/// A component as it is told.
#[derive(Serialize)]
struct Shown {
    file: String,
    digest: String,
    bytes: u64,
    world: &'static str,
    imports: Vec<String>,
    exports: Vec<String>,
    /// What a manifest would have to grant.
    needs: Vec<String>,
    core_modules: u64,
    functions: u64,
    memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compiles: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
}

impl Shown {
    fn of(file: &Path, inspection: &Inspection) -> Self {
        let mut needs: Vec<String> = match Grants::default().check(inspection) {
            Ok(()) => Vec::new(),
            Err(excess) => excess
                .missing
                .into_iter()
                .map(|missing| missing.grant)
                .collect(),
        };
        // The imports are sorted, and with them what they need.
        needs.dedup();
        Self {
            file: file.display().to_string(),
            digest: inspection.digest.to_string(),
            bytes: inspection.bytes,
            world: inspection.world.as_str(),
            imports: inspection
                .imports
                .iter()
                .map(|import| import.name.clone())
                .collect(),
            exports: inspection.exports.clone(),
            needs,
            core_modules: inspection.core_modules,
            functions: inspection.functions,
            memory_bytes: inspection.memory,
            compiles: None,
            class: None,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let list = |items: &[String]| match items {
            [] => "none".to_owned(),
            items => items.join("\n            "),
        };
        let _ = writeln!(text, "file        {}", self.file);
        let _ = writeln!(text, "digest      {}", self.digest);
        let _ = writeln!(text, "bytes       {}", self.bytes);
        let _ = writeln!(text, "world       {}", self.world);
        let _ = writeln!(text, "imports     {}", list(&self.imports));
        let _ = writeln!(text, "exports     {}", list(&self.exports));
        let _ = writeln!(text, "needs       {}", list(&self.needs));
        let _ = writeln!(
            text,
            "inside      {} core modules, {} functions, {} bytes of memory at the start",
            self.core_modules, self.functions, self.memory_bytes
        );
        if let Some(class) = self.class {
            let _ = writeln!(text, "compiles    yes, for class {class}");
        }
        text
    }
}

fn inspect(output: Output, file: &Path) -> Result<ExitStatus, Stop> {
    let inspection =
        swarm_wasm::inspect_file(file).map_err(|error| refused(file, &error.into()))?;
    let shown = Shown::of(file, &inspection);
    output.document(&shown, || shown.text())?;
    Ok(ExitStatus::Done)
}

fn check_file(output: Output, check: &cli::WasmCheck) -> Result<ExitStatus, Stop> {
    let class = check.class.class();
    let limits = Limits::of(class);
    let host = behaviours::host(None)?;
    let component = host
        .load_file(&check.file, class, &everything(), &limits)
        .map_err(|error| refused(&check.file, &error))?;
    let mut shown = Shown::of(&check.file, component.inspection());
    shown.compiles = Some(true);
    shown.class = Some(class.as_str());
    output.document(&shown, || shown.text())?;
    Ok(ExitStatus::Done)
}

fn everything() -> Grants {
    Grants {
        // Whether any is granted is all that an import asks.
        tools: swarm_tools::Grants::new().with("any").unwrap_or_default(),
        trapped: vec![String::new()],
        ..Grants::all()
    }
}

fn refused(file: &Path, error: &LoadError) -> Failure {
    Failure::new(
        ExitStatus::CheckFailed,
        "bad-component",
        format!("{}: {error}", file.display()),
        "see docs/wasm.md for how agents are built",
    )
}

#[derive(Serialize)]
struct Room {
    class: &'static str,
    agents: u32,
    max_map_count: Option<u64>,
}

fn capacity(output: Output) -> Result<ExitStatus, Stop> {
    let rooms: Vec<Room> = Class::ALL
        .into_iter()
        .map(|class| {
            let capacity = Capacity::of(class);
            Room {
                class: class.as_str(),
                agents: capacity.agents,
                max_map_count: capacity.max_map_count,
            }
        })
        .collect();
    output.document(&rooms, || {
        let mut text = String::from("CLASS        AGENTS THAT FIT\n");
        for room in &rooms {
            let _ = writeln!(text, "{:<12} {:>15}", room.class, room.agents);
        }
        text
    })?;
    Ok(ExitStatus::Done)
}

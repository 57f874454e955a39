//! What the words and files of a manifest stand for in this program.

use crate::exit::ExitStatus;
use crate::failure::Failure;
use std::path::Path;
use std::sync::Arc;
use swarm_runtime::behaviours;
use swarm_runtime::node::Behaviours;
use swarm_runtime::wasm::{WasmAgents, folder_in};
use swarm_wasm::{Host, HostOptions, Isolation};

/// The built-in behaviours and WebAssembly agents, whose compiled components are kept below the data folder, if there is one.
pub(crate) fn behaviours(data: Option<&Path>) -> Result<Behaviours, Failure> {
    let host = host(data)?;
    Ok(behaviours::builtin().with_components(Arc::new(WasmAgents::new(host))))
}

/// A host that compiles in processes of this program.
pub(crate) fn host(data: Option<&Path>) -> Result<Host, Failure> {
    let isolation = match std::env::current_exe() {
        Ok(program) => Isolation::Process {
            program,
            arguments: vec!["wasm".to_owned(), "compile".to_owned()],
        },
        Err(error) => {
            return Err(Failure::new(
                ExitStatus::Failed,
                "no-compiler",
                format!("this program does not find itself, to compile components: {error}"),
                "start it by its full path",
            ));
        }
    };
    let options = HostOptions {
        folder: data.map(folder_in),
        isolation,
    };
    Host::new(options).map_err(|error| {
        Failure::new(
            ExitStatus::Refused,
            "bad-component-folder",
            format!("the folder for WebAssembly components cannot be used: {error}"),
            "check the data folder's owner and mode",
        )
    })
}

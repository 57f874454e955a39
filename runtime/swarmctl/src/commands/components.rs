//! `wasm push | ls | rm`: the components that a node keeps.

use crate::cli::{Global, Wasm};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::table::{Align, Table};
use std::path::Path;
use std::time::Duration;
use swarm_runtime::api::types::{ComponentKept, ComponentSummary, ComponentsAnswer};
use swarm_wasm::{COMPONENT_BYTES_MAX, Digest};

/// How long a component of some megabytes may take to get to the node, and from there to all members.
const PUSH_TIMEOUT: Duration = Duration::from_secs(180);

pub(crate) async fn push(global: &Global, output: Output, file: &Path) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let kept = push_to(&client, file).await?;
    output.document(&kept, || {
        format!(
            "{}\non {}\nin a manifest: wasm = \"{}\"\n",
            kept.component.digest,
            kept.nodes.join(", "),
            kept.component.digest
        )
    })?;
    output.unanswered(&kept.unanswered);
    Ok(ExitStatus::Done)
}

/// Has the node keep a file, and the members of its cluster, after a look at it here: what is no component does not travel.
pub(super) async fn push_to(client: &NodeClient, file: &Path) -> Result<ComponentKept, Failure> {
    let bad = |message: String| {
        Failure::new(
            ExitStatus::CheckFailed,
            "bad-component",
            format!("{}: {message}", file.display()),
            "see docs/wasm.md for how agents are built",
        )
    };
    let inspection = swarm_wasm::inspect_file(file).map_err(|error| bad(error.to_string()))?;
    // Bounded by the look at it.
    let bytes = tokio::fs::read(file)
        .await
        .map_err(|error| bad(error.to_string()))?;
    if bytes.len() as u64 > COMPONENT_BYTES_MAX || Digest::of(&bytes) != inspection.digest {
        return Err(bad("it changed while it was read".to_owned()));
    }
    let client = client.to_whoever_answers().with_timeout(PUSH_TIMEOUT);
    let kept: ComponentKept = client
        .post_bytes("/v1/components", "application/wasm", bytes)
        .await?;
    if kept.component.digest != inspection.digest.to_string() {
        let taken = &kept.component.digest;
        return Err(bad(format!("the node took it for {taken}")));
    }
    Ok(kept)
}

pub(crate) async fn list(global: &Global, output: Output) -> Result<ExitStatus, Stop> {
    let client = NodeClient::new(global)?;
    let answer: ComponentsAnswer = client.get("/v1/components", &()).await?;
    tell(output, &answer.components)
}

pub(crate) async fn remove(
    global: &Global,
    output: Output,
    digest: &str,
) -> Result<ExitStatus, Stop> {
    if digest.parse::<Digest>().is_err() {
        let what = format!("{digest:?} is no digest: sha256: and 64 hexadecimal digits");
        return Err(Failure::usage(what, "swarmctl wasm ls").into());
    }
    let client = NodeClient::new(global)?;
    let answer: ComponentsAnswer = client.delete(&format!("/v1/components/{digest}")).await?;
    tell(output, &answer.components)
}

fn tell(output: Output, components: &[ComponentSummary]) -> Result<ExitStatus, Stop> {
    output.list(components, || {
        let mut table = Table::new(&[
            ("DIGEST", Align::Left),
            ("BYTES", Align::Right),
            ("KEPT", Align::Left),
        ]);
        for component in components {
            table.row(vec![
                component.digest.clone(),
                component.bytes.to_string(),
                component.kept_at.to_string(),
            ]);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}

pub(crate) async fn run(
    global: &Global,
    output: Output,
    command: &Wasm,
) -> Result<ExitStatus, Stop> {
    match command {
        Wasm::Push { file } => push(global, output, file).await,
        Wasm::Ls => list(global, output).await,
        Wasm::Rm { digest } => remove(global, output, digest).await,
        here => super::wasm::run(output, here),
    }
}

//! The journal of a node that has durable agents.

use super::registry::Behaviours;
use std::path::Path;
use std::sync::Arc;
use swarm_actors::durable::Durability;
use swarm_journal::seal::{Keys, SealedJournal};
use swarm_journal::{DiskJournal, Options, directory_in};

/// Opens the journal in the node's data folder, unless it is open. Without a data folder there is none, and the agents that need
/// one say so.
///
/// What is sealed is opened, and what has a key is sealed, by the keys in that file.
pub(super) async fn open(
    behaviours: &Behaviours,
    data: Option<&Path>,
    keys: Option<&Path>,
) -> Result<(), String> {
    let Some(data) = data else {
        return Ok(());
    };
    if behaviours.durability().get().is_some() {
        return Ok(());
    }
    // Two that open it at once would refuse each other.
    let _opening = behaviours.opening().lock().await;
    if behaviours.durability().get().is_some() {
        return Ok(());
    }
    let keys = match keys {
        Some(file) => Keys::read(file).map_err(|error| format!("the journal's keys: {error}"))?,
        None => Keys::none(),
    };
    let directory = directory_in(data);
    let opened = tokio::task::spawn_blocking(move || {
        DiskJournal::open(&directory, Options::default())
            .map_err(|error| format!("the journal in {}: {error}", directory.display()))
    });
    let journal = opened
        .await
        .map_err(|_| "the journal was not opened".to_owned())??;
    let opening = journal.opening();
    tracing::info!(
        frames = opening.frames,
        damaged = opening.damaged.len(),
        torn = opening.torn.is_some(),
        index_rebuilt = opening.index_rebuilt.as_deref(),
        "journal opened"
    );
    drop(behaviours.disk().set(journal.clone()));
    drop(
        behaviours
            .durability()
            .set(Durability::new(Arc::new(SealedJournal::new(
                Arc::new(journal),
                Arc::new(keys),
            )))),
    );
    Ok(())
}

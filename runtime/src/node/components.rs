//! Components that the other members keep: what a node that joins late has missed.

use super::{Node, Upgrades, tree};
use crate::api::types::ComponentsAnswer;
use crate::cluster::{Cluster, Forwarded};
use crate::manifest::Supervisor;
use crate::manifest::component::Source;
use std::collections::BTreeSet;
use std::time::Duration;
use swarm_protocols::Name;

/// How long a member may take to say what it keeps.
const LIST_LIMIT: Duration = Duration::from_secs(5);
/// How long one component may take.
const FETCH_LIMIT: Duration = Duration::from_secs(60);
/// How long all of them may take together; the node goes on without the rest then.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(120);

impl Node {
    /// Has the node catch up with what other members keep: at once where its manifest names a component by a digest that is
    /// not here, so that the tree can start, and otherwise beside its work. What could not be fetched is logged.
    pub async fn join_components(&self) {
        if self.cluster().is_none() {
            return;
        }
        let here = self.kept_digests().await;
        let node = self.clone();
        let catch_up = async move {
            for problem in node.catch_up_components().await {
                tracing::warn!(problem, "a component of another member was not fetched");
            }
        };
        if is_missing_below(&self.manifest().root, &here) {
            catch_up.await;
        } else {
            self.clone().spawn_beside_agents(catch_up);
        }
    }

    /// Fetches every component that a living member keeps and this node does not, from one after the other. What could not be
    /// fetched is told, and can be pushed again. Does nothing outside of a cluster. What was forgotten here with `wasm rm`, and
    /// is kept elsewhere, is fetched again.
    pub async fn catch_up_components(&self) -> Vec<String> {
        let (Some(cluster), true) = (self.cluster(), self.upgrades().is_some()) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        let all = self.fetch_all(cluster, &mut problems);
        if tokio::time::timeout(CATCH_UP_LIMIT, all).await.is_err() {
            problems.push(format!("more than fit into {CATCH_UP_LIMIT:?}"));
        }
        problems
    }

    async fn fetch_all(&self, cluster: &Cluster, problems: &mut Vec<String>) {
        let mut here = self.kept_digests().await;
        for member in cluster.members().await {
            if member.is_self || matches!(member.state, "left" | "down") {
                continue;
            }
            let kept = match list(cluster, &member.name).await {
                Ok(kept) => kept,
                Err(why) => {
                    problems.push(format!("{}: {why}", member.name));
                    continue;
                }
            };
            for digest in kept {
                if !here.insert(digest.clone()) {
                    continue;
                }
                if let Err(why) = self.fetch_one(cluster, &member.name, &digest).await {
                    // Another one may have it, too.
                    here.remove(&digest);
                    problems.push(format!("{digest} from {}: {why}", member.name));
                }
            }
        }
    }

    async fn kept_digests(&self) -> BTreeSet<String> {
        let kept = self.with_upgrades(|upgrades| upgrades.kept()).await;
        let kept = kept.into_iter().flatten();
        kept.map(|kept| kept.digest).collect()
    }

    async fn fetch_one(&self, cluster: &Cluster, from: &Name, digest: &str) -> Result<(), String> {
        let request = Forwarded::get(format!("/v1/components/{digest}"));
        let answered = cluster.request(from, request, FETCH_LIMIT).await;
        let answered = answered.map_err(|error| error.to_string())?;
        if !answered.is_success() {
            return Err(format!("answered with status {}", answered.status));
        }
        let wanted = digest.to_owned();
        let kept = self.with_upgrades(move |upgrades| {
            let kept = upgrades.keep(&answered.body)?;
            if kept.digest != wanted {
                // Not what was asked for: it does not stay.
                upgrades.discard(&kept.digest)?;
            }
            Ok::<_, super::UpgradeFault>(kept.digest == wanted)
        });
        match kept.await {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err("it is another component".to_owned()),
            Some(Err(fault)) => Err(fault.to_string()),
            None => Err("it was not kept".to_owned()),
        }
    }

    /// Does what may block. None for a program without WebAssembly agents.
    async fn with_upgrades<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Upgrades) -> T + Send + 'static,
    ) -> Option<T> {
        let node = self.clone();
        let done = tokio::task::spawn_blocking(move || node.upgrades().map(work));
        done.await.ok().flatten()
    }
}

/// Whether an agent below is to run a component that is not there.
fn is_missing_below(supervisor: &Supervisor, here: &BTreeSet<String>) -> bool {
    let found = tree::for_each_component(supervisor, &mut |_, wasm, _| match &wasm.source {
        Source::Digest(digest) if !here.contains(digest) => Err(()),
        Source::Digest(_) | Source::File(_) => Ok(()),
    });
    found.is_err()
}

/// The digests of what a member keeps.
async fn list(cluster: &Cluster, member: &Name) -> Result<Vec<String>, String> {
    let request = Forwarded::get("/v1/components");
    let answered = cluster.request(member, request, LIST_LIMIT).await;
    let answered = answered.map_err(|error| error.to_string())?;
    if !answered.is_success() {
        return Err(format!("answered with status {}", answered.status));
    }
    let answer: ComponentsAnswer = serde_json::from_slice(&answered.body)
        .map_err(|_| "its answer cannot be read".to_owned())?;
    let digests = answer.components.into_iter().map(|kept| kept.digest);
    Ok(digests.collect())
}

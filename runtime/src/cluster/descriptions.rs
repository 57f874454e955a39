//! What the directory facilitators of all nodes have entered: what is entered here is told to the others with the names, and what they
//! told is searched here. An entry is its own node's; when that is gone, so is the entry.

use super::directory::Directory;
use super::member::Inner;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use swarm_actors::platform::Platform;
use swarm_cluster::identity::NodeId;

/// The DF of this node beside those of the others.
#[derive(Default)]
pub(super) struct Descriptions {
    platform: OnceLock<Platform>,
    told: Mutex<Told>,
}

/// What of this node the others were told.
#[derive(Default)]
struct Told {
    revision: Option<u64>,
    entries: BTreeMap<String, String>,
}

impl Descriptions {
    /// Tells the others what has changed in this node's DF since the last time.
    pub(super) fn compare(&self, directory: &Directory) {
        let Some(platform) = self.platform.get() else {
            return;
        };
        let mut told = self.told.lock();
        let revision = platform.df_revision();
        if told.revision == Some(revision) {
            return;
        }
        let entries = platform.df_entries();
        for agent in told.entries.keys() {
            if !entries.contains_key(agent) {
                directory.describe(agent, None);
            }
        }
        for (agent, entry) in &entries {
            if told.entries.get(agent) != Some(entry) {
                directory.describe(agent, Some(entry));
            }
        }
        *told = Told {
            revision: Some(revision),
            entries,
        };
    }

    /// Takes in what another node's DF has entered.
    pub(super) fn hear(&self, node: &NodeId, agent: &str, entry: Option<&str>) {
        let Some(platform) = self.platform.get() else {
            return;
        };
        // By process: the end of one that was restarted does not take the entries of the next one with it.
        if let Err(error) = platform.df_hear(&node.to_string(), agent, entry) {
            tracing::warn!(%node, agent = ?agent, %error, "an entry of another node's DF is not taken");
        }
    }

    /// Begins with `platform`, and with what is known so far. Only the first one counts.
    pub(super) fn serve(&self, platform: &Platform, member: &Inner) {
        if self.platform.set(platform.clone()).is_ok() {
            for (agent, node, entry) in member.directory.described() {
                self.hear(&node, &agent, Some(&entry));
            }
        }
    }
}

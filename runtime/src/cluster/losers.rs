//! What becomes of agents here whose names agents of other nodes have: they are told, have time to hand over, and then go on without the
//! name or are stopped, as their specs say. What was stopped stands by: it is started again when nobody has the name.
//!
//! Nothing here decides who has a name: the tables do. Nor does it fence: during a partition both sides may have a holder.

use super::directory::Directory;
use super::member::Inner;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{AnyRef, NameNews, OnNameConflict, System};
use swarm_cluster::link::Lane;
use swarm_cluster::names::{Holder, NameChange};
use swarm_protocols::{Address, Name, Path};
use tokio::time::Instant;

/// How long a name is free before what stands by for it is started: time to hear of somebody who has it, and of a partition.
const STAND_IN_AFTER: Duration = Duration::from_secs(1);
/// How long the link to the winner's node may take to be made before the loser is told all the same.
const MEET_WITHIN: Duration = Duration::from_secs(2);

/// Agents that were stopped because others have their names. No more than the tree has children with names.
#[derive(Default)]
pub(super) struct Losers(Mutex<BTreeMap<Name, Standby>>);

struct Standby {
    path: Path,
    /// It still runs.
    is_stopping: bool,
    /// Since when nobody has the name.
    free_since: Option<Instant>,
}

impl Losers {
    /// Whether what is registered under the name here stands by: then it claims nothing, though a stopped agent keeps its name here.
    pub(super) fn stands_by(&self, name: &Name, agent: &AnyRef) -> bool {
        let losers = self.0.lock();
        let standby = losers.get(name);
        standby.is_some_and(|standby| standby.path == *agent.path() && !agent.is_alive())
    }

    fn is_stopped(&self, name: &Name) {
        if let Some(standby) = self.0.lock().get_mut(name) {
            standby.is_stopping = false;
        }
    }
}

/// Takes in what the tables say about a name.
pub(super) fn hear(member: &Inner, change: NameChange) {
    let Some(system) = member.system.upgrade() else {
        return;
    };
    let directory = &member.directory;
    match change {
        NameChange::Conflict {
            name,
            address,
            winner,
            until,
        } => {
            let until = Instant::now() + directory.time_until(until);
            begin(member, &system, name, (address, until), winner);
        }
        NameChange::Lost {
            name,
            address,
            winner,
        } => lose(member, &system, name, address, &winner),
        NameChange::Regained { name, address } => {
            system.give_way(&name, address, false);
            if let Some(agent) = system.find(address) {
                let path = Some(agent.path().clone());
                system.publish_custom(path, "name-regained", name.as_str());
                agent.tell_of_name(NameNews::Regained { name });
            }
        }
        NameChange::Held { .. } | NameChange::Group { .. } | NameChange::Described { .. } => {}
    }
}

fn begin(
    member: &Inner,
    system: &System,
    name: Name,
    (address, until): (Address, Instant),
    winner: Holder,
) {
    let Some(agent) = system.find(address) else {
        return;
    };
    let choice = agent.on_name_conflict();
    let node = winner.node.name.clone();
    tracing::warn!(%name, path = %agent.path(), winner = %node, choice = choice.as_str(), "another node's agent has the name");
    let detail = format!("{name} is held on {node}; {}", choice.as_str());
    system.publish_custom(Some(agent.path().clone()), "name-conflict", &detail);
    // Who goes on here is found here, and so are those who look for it by its name on this node.
    system.give_way(&name, address, choice != OnNameConflict::KeepLocal);
    let (links, directory) = (member.links.clone(), member.directory.clone());
    let system = system.downgrade();
    member.runtime.spawn(async move {
        // After a partition the link begins anew with the first connection, and gives up what was sent before: it is made first.
        let meeting = links.ping_over(&node, Lane::Bulk, MEET_WITHIN);
        if let Err(error) = meeting.await {
            tracing::debug!(%node, %error, "no link to the holder of a name yet");
        }
        drop(links);
        let Some(system) = system.upgrade() else {
            return;
        };
        let winner = system.at(&directory.place_of(&winner));
        agent.tell_of_name(NameNews::Conflict {
            name,
            winner,
            within: until.saturating_duration_since(Instant::now()),
        });
    });
}

fn lose(member: &Inner, system: &System, name: Name, address: Address, winner: &Holder) {
    let Some(agent) = system.find(address) else {
        return;
    };
    let detail = format!("{name} is held on {}", winner.node.name);
    system.publish_custom(Some(agent.path().clone()), "name-lost", &detail);
    let winner = system.at(&member.directory.place_of(winner));
    match agent.on_name_conflict() {
        OnNameConflict::KeepLocal => {
            system.give_way(&name, address, false);
            agent.tell_of_name(NameNews::Lost { name, winner });
        }
        OnNameConflict::Stop => stop(member, system, name, &agent),
        OnNameConflict::HandOver => {
            let sent_on = agent.send_on(&winner);
            tracing::info!(%name, sent_on, "what was queued goes to the holder of the name");
            stop(member, system, name, &agent);
        }
    }
}

fn stop(member: &Inner, system: &System, name: Name, agent: &AnyRef) {
    let path = agent.path().clone();
    let standby = Standby {
        path: path.clone(),
        is_stopping: true,
        free_since: None,
    };
    let directory = member.directory.clone();
    directory.losers.0.lock().insert(name.clone(), standby);
    let system = system.downgrade();
    member.runtime.spawn(async move {
        // It may have ended by itself, or its supervisor with it.
        if let Some(system) = system.upgrade()
            && let Err(error) = system.stop(&path).await
        {
            tracing::debug!(%path, %error, "the loser of a name was not stopped");
        }
        directory.losers.is_stopped(&name);
    });
}

/// Starts what stands by for names that nobody has had for a while.
pub(super) fn stand_in(member: &Inner, system: &System) {
    let directory: &Arc<Directory> = &member.directory;
    let now = Instant::now();
    let mut due = Vec::new();
    directory.losers.0.lock().retain(|name, standby| {
        if standby.is_stopping {
            return true;
        }
        if system
            .lookup(&standby.path)
            .is_none_or(|agent| agent.is_alive())
        {
            // Its spec was removed; or an operator, or the restart of its supervisor, was first.
            return false;
        }
        if !directory.may_stand_in() || directory.holder(name).is_some() {
            standby.free_since = None;
            return true;
        }
        let since = *standby.free_since.get_or_insert(now);
        if now - since < STAND_IN_AFTER {
            return true;
        }
        due.push((name.clone(), standby.path.clone()));
        false
    });
    for (name, path) in due {
        let system = system.downgrade();
        member.runtime.spawn(async move {
            let Some(system) = system.upgrade() else {
                return;
            };
            if let Some(agent) = system.lookup(&path) {
                system.give_way(&name, agent.address(), false);
            }
            match system.restart(&path).await {
                Ok(_) => system.publish_custom(Some(path), "name-stand-in", name.as_str()),
                Err(error) => {
                    tracing::warn!(%path, %name, %error, "what stood by for a name did not start");
                }
            }
        });
    }
}

//! Names and places: who is registered under which name, and which cell stands at which path.

use crate::reference::AnyRef;
use crate::sync_plain::RwLock;
use ahash::AHasher;
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use swarm_protocols::{Address, Name, Path, Pid};

/// Fixed keys, so that two runs with one seed are alike. Names and paths come from the manifest and from code, not from
/// strangers, so that nobody can choose them to collide.
type Fixed = BuildHasherDefault<AHasher>;

/// Registered names: one cell per name.
#[derive(Default)]
pub(crate) struct Names {
    names: RwLock<HashMap<Name, Registered, Fixed>>,
}

struct Registered {
    cell: AnyRef,
    /// Another node's agent has the name in the cluster, and this one gives way to it.
    is_giving_way: bool,
}

impl Names {
    /// Registers `cell`, or says who has the name. A cell that has it already keeps it.
    pub(crate) fn claim(&self, name: &Name, cell: &AnyRef) -> Result<(), Pid> {
        let mut names = self.names.write();
        match names.get(name) {
            Some(holder) if holder.cell != *cell => Err(holder.cell.pid()),
            Some(_) => Ok(()),
            None => {
                let registered = Registered {
                    cell: cell.clone(),
                    is_giving_way: false,
                };
                names.insert(name.clone(), registered);
                Ok(())
            }
        }
    }

    /// Frees the name, if that cell has it.
    pub(crate) fn release(&self, name: &Name, holder: Address) {
        let mut names = self.names.write();
        if names.get(name).is_some_and(|h| h.cell.address() == holder) {
            names.remove(name);
        }
    }

    /// Who has the name here, and whether it gives way to another node's agent.
    pub(crate) fn get(&self, name: &str) -> Option<(AnyRef, bool)> {
        let names = self.names.read();
        let holder = names.get(name)?;
        Some((holder.cell.clone(), holder.is_giving_way))
    }

    /// Notes whether the holder gives way.
    pub(crate) fn give_way(&self, name: &Name, holder: Address, is_giving_way: bool) {
        if let Some(registered) = self.names.write().get_mut(name)
            && registered.cell.address() == holder
        {
            registered.is_giving_way = is_giving_way;
        }
    }

    pub(crate) fn list(&self) -> BTreeMap<Name, AnyRef> {
        self.names
            .read()
            .iter()
            .map(|(name, holder)| (name.clone(), holder.cell.clone()))
            .collect()
    }
}

/// A cell that is found by its path, which is its own: of a million cells none has it twice.
struct ByPath(AnyRef);

impl Borrow<Path> for ByPath {
    fn borrow(&self) -> &Path {
        self.0.path()
    }
}

impl PartialEq for ByPath {
    fn eq(&self, other: &Self) -> bool {
        self.0.path() == other.0.path()
    }
}

impl Eq for ByPath {}

impl Hash for ByPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.path().hash(state);
    }
}

/// The cells by path.
#[derive(Default)]
pub(crate) struct Cells {
    cells: RwLock<HashSet<ByPath, Fixed>>,
    /// By address, once there is a transport: other nodes know agents by it. Locked within `cells`' lock.
    by_address: RwLock<Option<HashMap<Address, AnyRef, Fixed>>>,
}

impl Cells {
    pub(crate) fn get(&self, path: &Path) -> Option<AnyRef> {
        self.cells.read().get(path).map(|cell| cell.0.clone())
    }

    pub(crate) fn put(&self, cell: AnyRef) {
        let mut cells = self.cells.write();
        if let Some(by_address) = &mut *self.by_address.write() {
            by_address.insert(cell.address(), cell.clone());
        }
        let before = cells.replace(ByPath(cell));
        drop(cells);
        drop(before);
    }

    /// From now on cells are found by their addresses too.
    pub(crate) fn index(&self) {
        let cells = self.cells.write();
        let all = cells.iter().map(|cell| (cell.0.address(), cell.0.clone()));
        *self.by_address.write() = Some(all.collect());
    }

    pub(crate) fn find(&self, address: Address) -> Option<AnyRef> {
        self.by_address.read().as_ref()?.get(&address).cloned()
    }

    pub(crate) fn remove(&self, path: &Path, address: Address) {
        let mut cells = self.cells.write();
        if cells.get(path).is_some_and(|c| c.0.address() == address) {
            let removed = cells.take(path);
            let indexed = self
                .by_address
                .write()
                .as_mut()
                .and_then(|by_address| by_address.remove(&address));
            drop(cells);
            drop(indexed);
            // Possibly the last reference, with the agent's own code in its drop.
            drop(removed);
        }
    }

    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.cells.write());
        let indexed = self.by_address.write().as_mut().map(std::mem::take);
        drop((all, indexed));
    }

    pub(crate) fn all(&self) -> Vec<AnyRef> {
        self.cells
            .read()
            .iter()
            .map(|cell| cell.0.clone())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.read().len()
    }
}

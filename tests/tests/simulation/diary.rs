//! What agents write down of what happens to them, for the invariants.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One process of one node: the node's number, and how many processes it had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) node: u32,
    pub(crate) life: u32,
}

impl Process {
    pub(crate) fn number(self) -> u64 {
        u64::from(self.node) << 32 | u64::from(self.life)
    }

    pub(crate) fn of(number: u64) -> Self {
        Self {
            node: (number >> 32) as u32,
            life: number as u32,
        }
    }
}

/// A monitor or a link that was set.
#[derive(Clone, Debug)]
pub(crate) struct Bond {
    pub(crate) holder: Process,
    pub(crate) on: Process,
    /// How many verdicts there had been between the two when it was set: by the holder, and by the other.
    pub(crate) verdicts: (u32, u32),
    pub(crate) fired: u32,
}

#[derive(Default)]
pub(crate) struct Pages {
    /// Processes that run.
    pub(crate) alive: BTreeSet<Process>,
    pub(crate) sent: BTreeMap<(Process, Process), u64>,
    /// In the order of arrival.
    pub(crate) received: BTreeMap<(Process, Process), Vec<u64>>,
    pub(crate) bonds: BTreeMap<u64, Bond>,
    /// How often the first gave the second up.
    pub(crate) verdicts: BTreeMap<(Process, Process), u32>,
    pub(crate) conversations: BTreeMap<u64, (Process, Option<String>)>,
}

impl Pages {
    pub(crate) fn verdicts_between(&self, a: Process, b: Process) -> (u32, u32) {
        let by = |a, b| self.verdicts.get(&(a, b)).copied().unwrap_or(0);
        (by(a, b), by(b, a))
    }
}

/// Shared by all agents of a run. What a process writes after its crash does not count.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Pages>>);

impl Diary {
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Pages) -> T) -> T {
        look(&self.0.lock())
    }

    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut Pages) -> T) -> T {
        write(&mut self.0.lock())
    }

    pub(crate) fn by(&self, process: Process, write: impl FnOnce(&mut Pages)) {
        let mut pages = self.0.lock();
        if pages.alive.contains(&process) {
            write(&mut pages);
        }
    }
}

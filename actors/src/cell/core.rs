//! The part of a cell that does not depend on its message type: identity, state, and bonds with other actors.

use crate::info::ActorState;
use crate::letter::{Body, Letter};
use crate::reference::{AnyRef, SendOptions};
use crate::signal::{Down, Exit, MonitorId, Signal, WatchEvent, Watched};
use crate::sync_plain::Mutex;
use crate::system::System;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use swarm_protocols::{Address, ExitReason, Incarnation, Name, Path, Pid};
use tokio::sync::{mpsc, oneshot};

/// How many monitors, links, watches and groups an agent may hold at once, all together.
pub const BONDS_PER_AGENT_MAX: usize = 4096;

pub(crate) struct CellCore {
    pub(crate) address: Address,
    pub(crate) path: Path,
    pub(crate) system: System,
    /// Written under the seat's lock, read anywhere.
    pub(crate) incarnation: AtomicU64,
    pub(crate) state: AtomicU8,
    pub(crate) restarts: AtomicU32,
    /// When the present life began, in milliseconds since 1970 UTC.
    pub(crate) began_ms: AtomicU64,
    /// Whether it was told that its mailbox is full, since it was last half empty.
    pub(crate) full_is_reported: AtomicBool,
    /// The supervisor above, in the present life.
    bonds: Mutex<Option<Box<Bonds>>>,
}

/// Who is to be told.
pub(crate) enum Watcher {
    /// One life of an agent; the next one has not asked.
    Agent(AnyRef, Incarnation),
    Outside(oneshot::Sender<Down>),
    Stream(mpsc::Sender<WatchEvent>),
}

/// Each entry is paid for by the bound of whoever made it ([`BONDS_PER_AGENT_MAX`]), outside callers excepted: they hold a
/// future or a channel for each.
#[derive(Default)]
struct Bonds {
    // With this cell as the one observed.
    monitors: Vec<(MonitorId, Watcher)>,
    watchers: Vec<Watcher>,
    // Both ways.
    links: Vec<(AnyRef, Incarnation)>,
    // With this cell as the observer.
    monitoring: Vec<(MonitorId, AnyRef)>,
    watching: Vec<AnyRef>,
    group_monitors: Vec<Name>,
    // Its groups, each once.
    groups: Vec<Name>,
}

impl Bonds {
    fn held(&self) -> usize {
        self.links.len()
            + self.monitoring.len()
            + self.watching.len()
            + self.group_monitors.len()
            + self.groups.len()
    }
}

/// What is to be announced of an ended life, in this order: DOWN, EXIT, and, at the final end, to the watchers.
pub(crate) struct Announcement {
    pub(crate) pid: Pid,
    pub(crate) reason: ExitReason,
    monitors: Vec<(MonitorId, Watcher)>,
    links: Vec<(AnyRef, Incarnation)>,
    watchers: Vec<Watcher>,
}

impl CellCore {
    pub(crate) fn new(address: Address, path: Path, system: System) -> Self {
        Self {
            address,
            path,
            system,
            incarnation: AtomicU64::new(0),
            state: AtomicU8::new(ActorState::Stopped as u8),
            restarts: AtomicU32::new(0),
            began_ms: AtomicU64::new(0),
            full_is_reported: AtomicBool::new(false),
            bonds: Mutex::new(None),
        }
    }

    #[inline]
    pub(crate) fn pid(&self) -> Pid {
        Pid {
            address: self.address,
            incarnation: Incarnation(self.incarnation.load(Ordering::Acquire)),
        }
    }

    #[inline]
    pub(crate) fn state(&self) -> ActorState {
        ActorState::from_u8(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn set_state(&self, state: ActorState) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.state().is_alive()
    }

    /// A letter without any option: most of them.
    #[inline]
    pub(crate) fn plain_letter<M>(&self, body: Body<M>) -> Letter<M> {
        Letter::new(body, self.system.coarse_ms())
    }

    pub(crate) fn letter<M>(&self, body: Body<M>, options: SendOptions) -> Letter<M> {
        let mut letter = self.plain_letter(body);
        if options.priority != swarm_protocols::Priority::Normal
            || options.expires_in.is_some()
            || options.trace.is_some()
            || !options.extensions.is_empty()
        {
            letter.set_options(options, self.system.now_ms());
        }
        letter
    }

    /// Sets a monitor on the present life. Fires at once, with `noproc`, when there is none.
    pub(crate) fn monitor(&self, id: MonitorId, watcher: Watcher) {
        let mut bonds = self.bonds.lock();
        // Under the lock: an end takes the monitors after the state has changed.
        if self.is_alive() {
            let monitors = &mut bonds.get_or_insert_default().monitors;
            // Outside callers that gave up waiting leave their entry behind.
            monitors.retain(|(_, w)| !matches!(w, Watcher::Outside(s) if s.is_closed()));
            monitors.push((id, watcher));
        } else {
            drop(bonds);
            if let Watcher::Agent(holder, _) = &watcher {
                holder.0.core().take_monitoring(id);
            }
            watcher.down(Down {
                monitor: id,
                pid: self.pid(),
                reason: ExitReason::NoProc,
            });
        }
    }

    pub(crate) fn demonitor(&self, id: MonitorId) {
        if let Some(bonds) = &mut *self.bonds.lock() {
            bonds.monitors.retain(|(known, _)| *known != id);
        }
    }

    /// Tells `watcher` of restarts and of the final end; at once when that has been.
    pub(crate) fn watch(&self, watcher: Watcher) {
        let mut bonds = self.bonds.lock();
        if self.state() == ActorState::Ended {
            drop(bonds);
            if let Watcher::Agent(holder, _) = &watcher {
                holder.0.core().forget_watching(self.address);
            }
            let reason = ExitReason::NoProc;
            watcher.event(self.address, WatchEvent::Ended { reason });
            return;
        }
        let watchers = &mut bonds.get_or_insert_default().watchers;
        watchers.retain(|w| !matches!(w, Watcher::Stream(s) if s.is_closed()));
        watchers.push(watcher);
    }

    pub(crate) fn unwatch(&self, who: Address) {
        if let Some(bonds) = &mut *self.bonds.lock() {
            bonds
                .watchers
                .retain(|w| !matches!(w, Watcher::Agent(a, _) if a.address() == who));
        }
    }

    /// Links this cell's present life with `other`: at most one link per pair. False when it has no life.
    pub(crate) fn link(&self, other: &AnyRef, life: Incarnation) -> bool {
        let mut bonds = self.bonds.lock();
        if !self.is_alive() {
            return false;
        }
        let links = &mut bonds.get_or_insert_default().links;
        links.retain(|(known, _)| known != other);
        links.push((other.clone(), life));
        true
    }

    pub(crate) fn unlink(&self, other: Address) {
        if let Some(bonds) = &mut *self.bonds.lock() {
            bonds.links.retain(|(l, _)| l.address() != other);
        }
    }

    /// How many bonds it holds.
    pub(crate) fn bonds_held(&self) -> usize {
        self.bonds.lock().as_ref().map_or(0, |bonds| bonds.held())
    }

    pub(crate) fn forget_group(&self, name: &Name) {
        if let Some(bonds) = &mut *self.bonds.lock() {
            bonds.groups.retain(|known| known != name);
        }
    }

    pub(crate) fn forget_group_monitor(&self, name: &Name) {
        if let Some(bonds) = &mut *self.bonds.lock() {
            bonds.group_monitors.retain(|known| known != name);
        }
    }

    /// Remembers a bond that this cell holds, so that it goes with it.
    pub(crate) fn note_monitoring(&self, id: MonitorId, target: AnyRef) {
        self.bonds
            .lock()
            .get_or_insert_default()
            .monitoring
            .push((id, target));
    }

    /// The target of a monitor that this cell holds; it is forgotten.
    pub(crate) fn take_monitoring(&self, id: MonitorId) -> Option<AnyRef> {
        let mut bonds = self.bonds.lock();
        let monitoring = &mut bonds.as_mut()?.monitoring;
        let at = monitoring.iter().position(|(known, _)| *known == id)?;
        Some(monitoring.swap_remove(at).1)
    }

    pub(crate) fn note_watching(&self, target: AnyRef) {
        let mut bonds = self.bonds.lock();
        let watching = &mut bonds.get_or_insert_default().watching;
        if !watching.contains(&target) {
            watching.push(target);
        }
    }

    pub(crate) fn forget_watching(&self, target: Address) {
        if let Some(bonds) = &mut *self.bonds.lock() {
            bonds.watching.retain(|w| w.address() != target);
        }
    }

    pub(crate) fn note_group(&self, name: &Name) {
        let mut bonds = self.bonds.lock();
        let groups = &mut bonds.get_or_insert_default().groups;
        if !groups.contains(name) {
            groups.push(name.clone());
        }
    }

    pub(crate) fn note_group_monitor(&self, name: &Name) {
        let mut bonds = self.bonds.lock();
        let monitors = &mut bonds.get_or_insert_default().group_monitors;
        if !monitors.contains(name) {
            monitors.push(name.clone());
        }
    }

    pub(crate) fn groups(&self) -> Vec<Name> {
        self.bonds
            .lock()
            .as_ref()
            .map_or_else(Vec::new, |bonds| bonds.groups.clone())
    }

    pub(crate) fn links(&self) -> Vec<Path> {
        self.bonds.lock().as_ref().map_or_else(Vec::new, |bonds| {
            bonds.links.iter().map(|(l, _)| l.path().clone()).collect()
        })
    }

    /// Takes all bonds of the ended life out, undoes those that it held, and says what is to be announced. The state must
    /// have changed before.
    pub(crate) fn end_of_life(&self, pid: Pid, reason: ExitReason) -> Announcement {
        let mut announcement = Announcement {
            pid,
            reason,
            monitors: Vec::new(),
            links: Vec::new(),
            watchers: Vec::new(),
        };
        let mut held = Bonds::default();
        if let Some(bonds) = &mut *self.bonds.lock() {
            announcement.monitors = std::mem::take(&mut bonds.monitors);
            announcement.links = std::mem::take(&mut bonds.links);
            held.monitoring = std::mem::take(&mut bonds.monitoring);
            held.watching = std::mem::take(&mut bonds.watching);
            held.group_monitors = std::mem::take(&mut bonds.group_monitors);
        }
        for (id, target) in held.monitoring {
            target.end_monitor(id);
        }
        for target in held.watching {
            target.end_watch(self.address);
        }
        for group in held.group_monitors {
            self.system.groups_table().demonitor(&group, self.address);
        }
        announcement
    }

    /// Gives groups up and adds the watchers to what is announced: this end is final.
    pub(crate) fn final_end(&self, announcement: &mut Announcement) {
        let groups = {
            let mut bonds = self.bonds.lock();
            match bonds.take() {
                Some(taken) => {
                    announcement.watchers = taken.watchers;
                    taken.groups
                }
                None => return,
            }
        };
        self.system.groups_table().leave_all(&groups, self.address);
    }

    /// Tells the watchers of a new life.
    pub(crate) fn announce_restart(&self) {
        let event = WatchEvent::Restarted {
            incarnation: self.pid().incarnation,
        };
        if let Some(bonds) = &*self.bonds.lock() {
            for watcher in &bonds.watchers {
                watcher.event(self.address, event.clone());
            }
        }
    }
}

impl Announcement {
    pub(crate) fn is_empty(&self) -> bool {
        self.monitors.is_empty() && self.links.is_empty() && self.watchers.is_empty()
    }

    /// Tells everybody. Takes only the inbox locks of those who are told, and the bond locks of linked ones.
    pub(crate) fn tell(self) {
        let Self {
            pid,
            reason,
            monitors,
            links,
            watchers,
        } = self;
        for (monitor, watcher) in monitors {
            if let Watcher::Agent(holder, _) = &watcher {
                holder.0.core().take_monitoring(monitor);
            }
            watcher.down(Down {
                monitor,
                pid,
                reason: reason.clone(),
            });
        }
        for (linked, life) in links {
            linked.0.core().unlink(pid.address);
            let reason = reason.clone();
            linked.signal_to(life, Signal::Exit(Exit { pid, reason }));
        }
        for watcher in watchers {
            if let Watcher::Agent(holder, _) = &watcher {
                holder.0.core().forget_watching(pid.address);
            }
            watcher.event(
                pid.address,
                WatchEvent::Ended {
                    reason: reason.clone(),
                },
            );
        }
    }
}

impl Watcher {
    /// The agent that holds it.
    pub(crate) fn holder(&self) -> Option<Address> {
        match self {
            Self::Agent(agent, _) => Some(agent.address()),
            Self::Outside(_) | Self::Stream(_) => None,
        }
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Agent(..) => false,
            Self::Outside(sender) => sender.is_closed(),
            Self::Stream(sender) => sender.is_closed(),
        }
    }

    /// Fires a monitor; its holder holds it no longer.
    pub(crate) fn fire(self, down: Down) {
        if let Self::Agent(holder, _) = &self {
            holder.0.core().take_monitoring(down.monitor);
        }
        self.down(down);
    }

    /// Tells the last event of a watch; its holder holds it no longer.
    pub(crate) fn tell_event(&self, address: Address, event: WatchEvent) {
        if let Self::Agent(holder, _) = self {
            holder.0.core().forget_watching(address);
        }
        self.event(address, event);
    }

    fn down(self, down: Down) {
        match self {
            Self::Agent(agent, life) => agent.signal_to(life, Signal::Down(down)),
            // Who no longer waits does not need to know.
            Self::Outside(sender) => drop(sender.send(down)),
            Self::Stream(_) => {}
        }
    }

    pub(crate) fn event(&self, address: Address, event: WatchEvent) {
        match self {
            Self::Agent(agent, life) => {
                agent.signal_to(*life, Signal::Watch(Watched { address, event }));
            }
            // A full channel loses restarts, as `AnyRef::watch` says.
            Self::Stream(sender) => drop(sender.try_send(event)),
            Self::Outside(_) => {}
        }
    }
}

//! Where each child belongs.

use super::score::score;
use super::standing::{Declared, Mode, Standing};
use crate::identity::NodeId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use swarm_protocols::Path;

/// Why a child belongs nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoPlace {
    /// No live node that declares it has its labels and is not draining.
    NoNode,
    /// Each node that might run it has as many agents as it takes.
    NoRoom,
}

/// Where children belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// What each node is to run. Every node that was looked at is in it.
    pub nodes: BTreeMap<NodeId, BTreeSet<Path>>,
    /// What belongs nowhere, and why.
    pub nowhere: BTreeMap<Path, NoPlace>,
}

/// Works out where every declared child belongs, from what the live nodes say. A pure function: the same nodes give the same
/// answer wherever it is asked.
///
/// Where several nodes declare one path differently, the declaration of the highest generation rules (of equal ones that with the
/// highest digest), and only nodes that declare it so run it.
#[must_use]
pub fn assign(nodes: &BTreeMap<NodeId, Standing>) -> Assignment {
    let mut seats: Vec<Seat<'_>> = nodes
        .iter()
        .map(|(node, standing)| Seat {
            node,
            standing,
            room: standing.room.map_or(u64::MAX, u64::from),
            paths: BTreeSet::new(),
        })
        .collect();
    let rows: Vec<Row<'_>> = ruling(nodes)
        .into_values()
        .map(|declared| Row::of(declared, &seats))
        .collect();
    let mut nowhere = BTreeMap::new();
    // What is where it may be stays there first, so that others' needs never drive it out.
    let orphans: Vec<Vec<Path>> = rows.iter().map(|row| row.keep(&mut seats)).collect();
    for (row, orphans) in rows.iter().zip(orphans) {
        row.seat(orphans, &mut seats, &mut nowhere);
    }
    for row in &rows {
        row.improve(&mut seats);
    }
    Assignment {
        nodes: seats
            .into_iter()
            .map(|seat| (seat.node.clone(), seat.paths))
            .collect(),
        nowhere,
    }
}

/// The declaration of each path that counts.
fn ruling(nodes: &BTreeMap<NodeId, Standing>) -> BTreeMap<&Path, &Declared> {
    let mut ruling: BTreeMap<&Path, (u64, &Declared)> = BTreeMap::new();
    for standing in nodes.values() {
        let generation = standing.edition.generation;
        for declared in &standing.declared {
            let rule = ruling
                .entry(&declared.path)
                .or_insert((generation, declared));
            // Of two that differ in nothing else than what the digest is of, any total order will do.
            if (generation, declared.digest, declared) > (rule.0, rule.1.digest, rule.1) {
                *rule = (generation, declared);
            }
        }
    }
    ruling
        .into_iter()
        .map(|(path, (_, declared))| (path, declared))
        .collect()
}

/// A node while children are being seated.
struct Seat<'n> {
    node: &'n NodeId,
    standing: &'n Standing,
    /// How many agents there is room for still.
    room: u64,
    paths: BTreeSet<Path>,
}

impl Seat<'_> {
    fn take(&mut self, path: Path, agents: u64) {
        self.room = self.room.saturating_sub(agents);
        self.paths.insert(path);
    }

    fn give(&mut self, path: &Path, agents: u64) {
        self.room = self.room.saturating_add(agents);
        self.paths.remove(path);
    }
}

/// One declaration, and the seats that may run it.
struct Row<'d> {
    declared: &'d Declared,
    agents: u64,
    eligible: Vec<usize>,
}

impl<'d> Row<'d> {
    fn of(declared: &'d Declared, seats: &[Seat<'_>]) -> Self {
        let may_run = |seat: &Seat<'_>| {
            !seat.standing.is_draining
                && seat.standing.labels.have(&declared.labels)
                && seat.standing.declares(declared)
        };
        Self {
            declared,
            agents: u64::from(declared.agents),
            eligible: (0..seats.len()).filter(|at| may_run(&seats[*at])).collect(),
        }
    }

    /// The seats that may run it, the best for `path` first.
    fn ranked(&self, path: &Path, seats: &[Seat<'_>]) -> Vec<usize> {
        let mut ranked = self.eligible.clone();
        ranked.sort_by_cached_key(|at| {
            let name = &seats[*at].node.name;
            (Reverse(score(path, name)), name.clone())
        });
        ranked
    }

    /// Leaves in place what may stay. Gives what has to be seated.
    fn keep(&self, seats: &mut [Seat<'_>]) -> Vec<Path> {
        if self.declared.mode == Mode::EachNode {
            let path = &self.declared.path;
            for at in &self.eligible {
                let seat = &mut seats[*at];
                if seat.standing.has(path) && seat.room >= self.agents {
                    seat.take(path.clone(), self.agents);
                }
            }
            return vec![path.clone()];
        }
        let mut orphans = Vec::new();
        for path in self.declared.paths() {
            let holders = self
                .eligible
                .iter()
                .copied()
                .filter(|at| seats[*at].standing.has(&path));
            // Two sides of a partition may both have it: the better one keeps it.
            let best = holders.max_by_key(|at| {
                let name = &seats[*at].node.name;
                (score(&path, name), Reverse(name.clone()))
            });
            match best {
                Some(at) if seats[at].room >= self.agents => seats[at].take(path, self.agents),
                _ => orphans.push(path),
            }
        }
        orphans
    }

    /// Finds a seat for each of `orphans`.
    fn seat(
        &self,
        orphans: Vec<Path>,
        seats: &mut [Seat<'_>],
        nowhere: &mut BTreeMap<Path, NoPlace>,
    ) {
        if self.eligible.is_empty() {
            nowhere.extend(orphans.into_iter().map(|path| (path, NoPlace::NoNode)));
            return;
        }
        if self.declared.mode == Mode::EachNode {
            let path = &self.declared.path;
            for at in &self.eligible {
                let seat = &mut seats[*at];
                if seat.paths.contains(path) {
                    continue;
                }
                if seat.room >= self.agents {
                    seat.take(path.clone(), self.agents);
                } else {
                    nowhere.insert(path.clone(), NoPlace::NoRoom);
                }
            }
            return;
        }
        let mut counts = self.counts(seats);
        for path in orphans {
            let fits = self
                .ranked(&path, seats)
                .into_iter()
                .filter(|at| seats[*at].room >= self.agents);
            let chosen = match self.declared.mode {
                // The first of those with the fewest.
                Mode::Spread => fits.min_by_key(|at| counts.get(at).copied().unwrap_or(0)),
                Mode::Any | Mode::EachNode => fits.into_iter().next(),
            };
            match chosen {
                Some(at) => {
                    *counts.entry(at).or_default() += 1;
                    seats[at].take(path, self.agents);
                }
                None => {
                    nowhere.insert(path, NoPlace::NoRoom);
                }
            }
        }
    }

    /// How many of its children each seat that may run them has.
    fn counts(&self, seats: &[Seat<'_>]) -> BTreeMap<usize, usize> {
        let mut counts: BTreeMap<usize, usize> = self.eligible.iter().map(|at| (*at, 0)).collect();
        for path in self.declared.paths() {
            for at in &self.eligible {
                *counts.entry(*at).or_default() += usize::from(seats[*at].paths.contains(&path));
            }
        }
        counts
    }

    /// Evens out children of [`Mode::Spread`]: from the seat that has the most to the one that has the fewest and has room, as long as
    /// they differ by more than one. Each such move makes the sum of the squares smaller, so they end.
    fn level(&self, seats: &mut [Seat<'_>]) {
        let mut counts = self.counts(seats);
        let order = self.ranked(&self.declared.path, seats);
        loop {
            let count = |at: &usize| counts.get(at).copied().unwrap_or(0);
            let most = order.iter().copied().max_by_key(|at| count(at));
            let fits = order
                .iter()
                .copied()
                .filter(|at| seats[*at].room >= self.agents);
            let (Some(from), Some(to)) = (most, fits.min_by_key(|at| count(at))) else {
                return;
            };
            if count(&from) < count(&to) + 2 {
                return;
            }
            let name = &seats[from].node.name;
            let of_the_row = self
                .declared
                .paths()
                .filter(|p| seats[from].paths.contains(p));
            let Some(path) = of_the_row.min_by_key(|path| score(path, name)) else {
                return;
            };
            seats[from].give(&path, self.agents);
            seats[to].take(path, self.agents);
            *counts.entry(from).or_default() -= 1;
            *counts.entry(to).or_default() += 1;
        }
    }

    /// Moves what would be better elsewhere, where there is room.
    fn improve(&self, seats: &mut [Seat<'_>]) {
        match self.declared.mode {
            Mode::Any => self.climb(seats),
            Mode::Spread => self.level(seats),
            Mode::EachNode => {}
        }
    }

    /// Lets each child go to a node that suits it better. Each such move goes to a higher score, so they end.
    fn climb(&self, seats: &mut [Seat<'_>]) {
        for path in self.declared.paths() {
            let ranked = self.ranked(&path, seats);
            let Some(now) = ranked
                .iter()
                .position(|at| seats[*at].paths.contains(&path))
            else {
                continue;
            };
            let better = ranked[..now]
                .iter()
                .copied()
                .find(|at| seats[*at].room >= self.agents);
            if let Some(to) = better {
                seats[ranked[now]].give(&path, self.agents);
                seats[to].take(path, self.agents);
            }
        }
    }
}

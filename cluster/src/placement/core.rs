//! The state machine of one node.

use super::assign::{NoPlace, assign};
use super::event::{Decision, Event, PlacementParameters};
use super::label::Labels;
use super::pace::Pace;
use super::score::score;
use super::standing::{DECLARED_MAX, Mode, Standing};
use super::wire::Message;
use crate::identity::{BootId, NodeId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use swarm_protocols::Path;

/// Placement as one node sees it. A pure function of (state, event, now); `now` never goes back.
pub struct Placement {
    me: NodeId,
    parameters: PlacementParameters,
    own: Standing,
    /// Of [`Placement::own`]; grows with each change.
    version: u64,
    /// Since when there are changes that were not said yet.
    unsaid_since: Option<Duration>,
    members: BTreeMap<BootId, Member>,
    here: BTreeMap<Path, Here>,
    /// When somebody came or went last; none before that.
    changed_at: Option<Duration>,
    /// Since when the live nodes run different generations, or have not all said what they have.
    differ_since: Option<Duration>,
    pace: Pace,
    /// When the pace allows the next move, where one waits for that.
    pace_due: Option<Duration>,
    is_suspended: bool,
    is_held: bool,
    /// Something has changed since the last time that children were assigned.
    is_dirty: bool,
    nowhere: BTreeMap<Path, NoPlace>,
    out: Vec<Decision>,
}

/// Another live node.
struct Member {
    node: NodeId,
    /// Since when it is a member.
    since: Duration,
    standing: Option<(u64, Standing)>,
    /// Which of our versions it knows, and which it was told when.
    heard: u64,
    said: Option<(u64, Duration)>,
}

/// A child that this node has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    /// It will be started once all have heard of that; they have when they know this version.
    Claimed {
        failures: u32,
        version: u64,
    },
    /// After so many times that it did not start.
    Starting {
        failures: u32,
    },
    Running,
    Stopping,
    /// It did not start so many times; not again before `until`.
    Failed {
        failures: u32,
        until: Duration,
    },
}

impl Placement {
    /// A node that declares and holds nothing, and knows nobody.
    #[must_use]
    pub fn new(me: NodeId, labels: Labels, parameters: PlacementParameters) -> Self {
        Self {
            me,
            own: Standing {
                labels,
                ..Standing::default()
            },
            version: 1,
            unsaid_since: None,
            members: BTreeMap::new(),
            here: BTreeMap::new(),
            changed_at: None,
            differ_since: None,
            pace: Pace::new(parameters.moves_per_second),
            pace_due: None,
            parameters,
            is_suspended: false,
            is_held: false,
            is_dirty: true,
            nowhere: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// Takes in what happened and says what to do.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Decision> {
        match event {
            Event::Up { node } => self.up(node, now),
            Event::Down { boot } => self.down(boot, now),
            Event::Message { from, bytes } => self.message(from, &bytes),
            Event::Declared {
                edition,
                mut declared,
                room,
            } => {
                declared.sort();
                declared.dedup_by(|a, b| a.path == b.path);
                declared.truncate(DECLARED_MAX);
                self.own.edition = edition;
                self.own.declared = declared;
                self.own.room = room;
                self.touched(now, Duration::ZERO);
            }
            Event::Drain => {
                self.own.is_draining = true;
                self.touched(now, Duration::ZERO);
            }
            Event::Suspend => {
                self.is_suspended = true;
                self.is_held = false;
                self.is_dirty = true;
            }
            Event::Hold => self.is_held = true,
            Event::Resume => {
                self.is_suspended = false;
                self.is_held = false;
                self.is_dirty = true;
            }
            Event::Started { path } => {
                if let Some(here) = self.here.get_mut(&path)
                    && matches!(here, Here::Starting { .. })
                {
                    *here = Here::Running;
                    self.is_dirty = true;
                }
            }
            Event::NotStarted { path } => self.not_started(path, now),
            Event::Stopped { path } => {
                if self.here.get(&path) == Some(&Here::Stopping) {
                    self.here.remove(&path);
                    self.touched(now, self.parameters.gather);
                }
            }
            Event::Tick => {}
        }
        self.settle(now);
        self.say(now);
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due; none while nothing waits.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let repeats = self.members.values().filter_map(|member| self.due(member));
        if self.is_held {
            return repeats.min();
        }
        // Where nothing is waited for, at once.
        let stable = self
            .is_dirty
            .then(|| self.stable_at().unwrap_or(Duration::ZERO));
        let retries = self.here.values().filter_map(|here| match here {
            Here::Failed { until, .. } => Some(*until),
            Here::Claimed { .. } | Here::Starting { .. } | Here::Running | Here::Stopping => None,
        });
        let moves = self.pace_due.into_iter().chain(stable);
        moves.chain(retries).chain(repeats).min()
    }

    /// What this node says of itself.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.own
    }

    /// What another live node has said of itself.
    #[must_use]
    pub fn standing_of(&self, boot: BootId) -> Option<&Standing> {
        let (_, standing) = self.members.get(&boot)?.standing.as_ref()?;
        Some(standing)
    }

    /// Whether every live node has said what it has, all run the same generation, all children run where they belong, and none moves.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let nodes = self.nodes();
        let is_whole = nodes.len() == self.members.len() + 1;
        let runs = |here: &Here| *here == Here::Running;
        !self.is_dirty
            && is_whole
            && self.differ_since.is_none()
            && self.here.values().all(runs)
            && assign(&nodes)
                .nodes
                .iter()
                .all(|(node, paths)| nodes.get(node).is_some_and(|s| s.holds == *paths))
    }

    /// What belongs nowhere, as far as this node knows.
    #[must_use]
    pub fn nowhere(&self) -> &BTreeMap<Path, NoPlace> {
        &self.nowhere
    }

    /// The placed children that run here.
    #[must_use]
    pub fn running_here(&self) -> Vec<Path> {
        let running = self.here.iter().filter(|(_, here)| **here == Here::Running);
        running.map(|(path, _)| path.clone()).collect()
    }

    /// Whether it may run nothing for the time being.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// How many placed children run here.
    #[must_use]
    pub fn running(&self) -> usize {
        let runs = |here: &&Here| **here == Here::Running;
        self.here.values().filter(runs).count()
    }

    fn up(&mut self, node: NodeId, now: Duration) {
        if node.boot == self.me.boot {
            return;
        }
        if self.members.contains_key(&node.boot) {
            return;
        }
        let member = Member {
            node: node.clone(),
            since: now,
            standing: None,
            heard: 0,
            said: None,
        };
        self.members.insert(node.boot, member);
        self.changed_at = Some(now);
        self.is_dirty = true;
    }

    fn down(&mut self, boot: BootId, now: Duration) {
        if self.members.remove(&boot).is_some() {
            self.changed_at = Some(now);
            self.is_dirty = true;
        }
    }

    fn message(&mut self, from: BootId, bytes: &[u8]) {
        // Malformed, or of a version that is not ours: there is nothing to answer, and nobody else's business.
        let (Some(member), Ok(message)) = (self.members.get_mut(&from), Message::decode(bytes))
        else {
            return;
        };
        match message {
            Message::Heard { version } => member.heard = member.heard.max(version),
            Message::Standing {
                version,
                knows,
                standing,
            } => {
                // It may have forgotten us meanwhile. Of an earlier message this says too little, and it is told once more.
                member.heard = knows;
                let is_news = member.standing.as_ref().is_none_or(|(v, _)| *v < version);
                if is_news {
                    member.standing = Some((version, standing));
                    self.is_dirty = true;
                }
                let to = member.node.clone();
                let bytes = Message::Heard { version }.encode();
                self.out.push(Decision::Say { to, bytes });
            }
        }
    }

    fn not_started(&mut self, path: Path, now: Duration) {
        let Some(here) = self.here.get_mut(&path) else {
            return;
        };
        let failures = match here {
            Here::Failed { failures, .. } | Here::Claimed { failures, .. } => *failures,
            Here::Starting { failures } => failures.saturating_add(1),
            Here::Running => 1,
            // It is gone as it was to be.
            Here::Stopping => {
                self.here.remove(&path);
                return self.touched(now, self.parameters.gather);
            }
        };
        let doubled = 1_u32 << (failures.saturating_sub(1)).min(16);
        let wait = self.parameters.retry_min.saturating_mul(doubled);
        let until = now + wait.min(self.parameters.retry_max);
        *here = Here::Failed { failures, until };
        self.touched(now, self.parameters.gather);
    }

    /// Something that the others are to know has changed; it may be gathered with more for so long.
    fn touched(&mut self, now: Duration, gather: Duration) {
        self.version += 1;
        self.is_dirty = true;
        self.own.holds.clear();
        self.own.claims.clear();
        for (path, here) in &self.here {
            let set = match here {
                Here::Claimed { .. } => &mut self.own.claims,
                Here::Starting { .. } | Here::Running | Here::Stopping => &mut self.own.holds,
                Here::Failed { .. } => continue,
            };
            set.insert(path.clone());
        }
        let due = now + gather;
        self.unsaid_since = Some(self.unsaid_since.map_or(due, |since| since.min(due)));
    }

    /// The live nodes that have said what they have, this one included, in order of names.
    #[must_use]
    pub fn nodes(&self) -> BTreeMap<NodeId, Standing> {
        let others = self.members.values().filter_map(|member| {
            let (_, standing) = member.standing.as_ref()?;
            Some((member.node.clone(), standing.clone()))
        });
        others
            .chain([(self.me.clone(), self.own.clone())])
            .collect()
    }

    /// When children may be moved, if nothing changes until then; none: at any time.
    fn stable_at(&self) -> Option<Duration> {
        let changed = self.changed_at.max(self.differ_since)?;
        Some(changed + self.parameters.stable_after)
    }

    fn compare_editions(&mut self, now: Duration) {
        let own = self.own.edition.generation;
        let is_same = self.members.values().all(|member| {
            let standing = member.standing.as_ref();
            standing.is_some_and(|(_, standing)| standing.edition.generation == own)
        });
        self.differ_since = match self.differ_since {
            _ if is_same => None,
            Some(since) => Some(since),
            None => Some(now),
        };
    }

    /// Starts and stops what has to be.
    fn settle(&mut self, now: Duration) {
        self.compare_editions(now);
        if self.is_held {
            // Whatever is due then goes on with the event that ends it.
            self.is_dirty = true;
            return;
        }
        self.pursue_claims(now);
        let retry_is_due = self.here.values().any(|here| match here {
            Here::Failed { until, .. } => *until <= now,
            Here::Claimed { .. } | Here::Starting { .. } | Here::Running | Here::Stopping => false,
        });
        let is_due = self.pace_due.is_some_and(|due| due <= now);
        if !self.is_dirty && !is_due && !retry_is_due {
            return;
        }
        if self.is_suspended || self.own.is_draining {
            self.is_dirty = false;
            return self.give_up_everything(now);
        }
        if self.stable_at().is_some_and(|at| now < at) {
            // Stays dirty until then.
            return;
        }
        self.is_dirty = false;
        self.pace_due = None;
        let nodes = self.nodes();
        let assignment = assign(&nodes);
        let mine = assignment.nodes.get(&self.me).cloned().unwrap_or_default();
        self.stop_strangers(&mine, &assignment.nodes, now);
        self.claim_own(&mine, &nodes, now);
        self.pursue_claims(now);
        self.tell_nowhere(assignment.nowhere, &nodes);
    }

    fn give_up_everything(&mut self, now: Duration) {
        let before = self.here.len();
        self.here
            .retain(|_, here| !matches!(here, Here::Failed { .. } | Here::Claimed { .. }));
        for (path, here) in &mut self.here {
            if *here == Here::Running {
                *here = Here::Stopping;
                let path = path.clone();
                self.out.push(Decision::Stop { path, to: None });
            }
        }
        self.pace_due = None;
        if self.here.len() < before {
            self.touched(now, Duration::ZERO);
            self.is_dirty = false;
        }
    }

    fn stop_strangers(
        &mut self,
        mine: &BTreeSet<Path>,
        nodes: &BTreeMap<NodeId, BTreeSet<Path>>,
        now: Duration,
    ) {
        let before = self.here.len();
        self.here.retain(|path, here| {
            mine.contains(path) || !matches!(here, Here::Failed { .. } | Here::Claimed { .. })
        });
        if self.here.len() < before {
            self.touched(now, Duration::ZERO);
            self.is_dirty = false;
        }
        let strangers: Vec<Path> = self
            .here
            .iter()
            .filter(|(path, here)| **here == Here::Running && !mine.contains(path))
            .map(|(path, _)| path.clone())
            .collect();
        for path in strangers {
            if !self.may_move(now) {
                return;
            }
            let to = nodes
                .iter()
                .find(|(_, paths)| paths.contains(&path))
                .map(|(node, _)| node.clone());
            self.here.insert(path.clone(), Here::Stopping);
            self.out.push(Decision::Stop { path, to });
        }
    }

    /// Claims what belongs here and nobody has. What runs on each node needs no claim.
    fn claim_own(
        &mut self,
        mine: &BTreeSet<Path>,
        nodes: &BTreeMap<NodeId, Standing>,
        now: Duration,
    ) {
        let elsewhere: BTreeSet<&Path> = nodes
            .iter()
            .filter(|(node, _)| **node != self.me)
            .flat_map(|(_, standing)| standing.holds.iter().chain(&standing.claims))
            .collect();
        let mut due = Vec::new();
        for path in mine {
            let failures = match self.here.get(path) {
                None => 0,
                Some(Here::Failed { failures, until }) if *until <= now => *failures,
                Some(_) => continue,
            };
            if self.is_on_each_node(path) {
                due.push((path.clone(), Here::Starting { failures }));
            } else if !elsewhere.contains(path) {
                let version = self.version + 1;
                due.push((path.clone(), Here::Claimed { failures, version }));
            }
        }
        let mut has_changed = false;
        for (path, here) in due {
            if !self.may_move(now) {
                break;
            }
            has_changed = true;
            if matches!(here, Here::Starting { .. }) {
                let path = path.clone();
                self.out.push(Decision::Start { path });
            }
            self.here.insert(path, here);
        }
        if has_changed {
            self.touched(now, Duration::ZERO);
            // It is these that changed, and they are as assigned.
            self.is_dirty = false;
        }
    }

    fn is_on_each_node(&self, path: &Path) -> bool {
        let declared = &self.own.declared;
        let found = declared.binary_search_by(|declared| declared.path.cmp(path));
        found.is_ok_and(|at| declared[at].mode == Mode::EachNode)
    }

    /// Starts what all have heard is claimed here, and gives up what somebody else holds or has the better claim to.
    ///
    /// Of two nodes that claim one child at once, each starts it only when the other has heard of the claim: so at least one of them
    /// knows of both before it starts, and the one with the lower score gives way.
    fn pursue_claims(&mut self, now: Duration) {
        let claims: Vec<(Path, u32, u64)> = self
            .here
            .iter()
            .filter_map(|(path, here)| match here {
                Here::Claimed { failures, version } => Some((path.clone(), *failures, *version)),
                _ => None,
            })
            .collect();
        if claims.is_empty() {
            return;
        }
        let heard = self
            .members
            .values()
            .filter(|member| !self.is_mute(member, now))
            .map(|member| member.heard)
            .min();
        let mut has_changed = false;
        for (path, failures, version) in claims {
            let own = (score(&path, &self.me.name), Reverse(&self.me));
            let mut is_lost = false;
            let mut is_disputed = false;
            for member in self.members.values() {
                let Some((_, standing)) = &member.standing else {
                    continue;
                };
                let other = (score(&path, &member.node.name), Reverse(&member.node));
                let claims = standing.claims.contains(&path);
                is_lost |= standing.holds.contains(&path) || claims && other > own;
                is_disputed |= claims;
            }
            if is_lost {
                has_changed = true;
                self.here.remove(&path);
            } else if !is_disputed && heard.is_none_or(|heard| heard >= version) {
                has_changed = true;
                self.here.insert(path.clone(), Here::Starting { failures });
                self.out.push(Decision::Start { path });
            }
        }
        if has_changed {
            self.touched(now, self.parameters.gather);
        }
    }

    /// Whether a member has never said anything although it had the time: it runs a version that knows nothing of placement.
    fn is_mute(&self, member: &Member, now: Duration) -> bool {
        member.standing.is_none() && now >= member.since + self.parameters.stable_after * 2
    }

    /// Whether this node holds nothing, as after an [`Event::Drain`] or [`Event::Suspend`] that was carried out.
    #[must_use]
    pub fn holds_nothing(&self) -> bool {
        self.own.holds.is_empty()
    }

    fn may_move(&mut self, now: Duration) -> bool {
        match self.pace.take(now) {
            Ok(()) => true,
            Err(due) => {
                self.pace_due = Some(due);
                false
            }
        }
    }

    /// Only the first of the live nodes tells, so that it is told once.
    fn tell_nowhere(
        &mut self,
        nowhere: BTreeMap<Path, NoPlace>,
        nodes: &BTreeMap<NodeId, Standing>,
    ) {
        if nodes.keys().next() == Some(&self.me) {
            for (path, why) in &nowhere {
                if self.nowhere.get(path) != Some(why) {
                    let (path, why) = (path.clone(), *why);
                    self.out.push(Decision::Nowhere { path, why });
                }
            }
        }
        self.nowhere = nowhere;
    }

    /// When a member has to be told again; none: it knows.
    fn due(&self, member: &Member) -> Option<Duration> {
        if member.heard >= self.version {
            return None;
        }
        match member.said {
            None => Some(Duration::ZERO),
            Some((version, at)) if version == self.version => Some(at + self.parameters.repeat),
            Some(_) => Some(self.unsaid_since.unwrap_or(Duration::ZERO)),
        }
    }

    fn say(&mut self, now: Duration) {
        let is_due = |member: &Member| self.due(member).is_some_and(|due| due <= now);
        let due: Vec<BootId> = self
            .members
            .iter()
            .filter(|(_, member)| is_due(member))
            .map(|(boot, _)| *boot)
            .collect();
        if due.is_empty() {
            return;
        }
        for boot in due {
            let Some(member) = self.members.get_mut(&boot) else {
                continue;
            };
            member.said = Some((self.version, now));
            let message = Message::Standing {
                version: self.version,
                knows: member.standing.as_ref().map_or(0, |(version, _)| *version),
                standing: self.own.clone(),
            };
            self.out.push(Decision::Say {
                to: member.node.clone(),
                bytes: message.encode(),
            });
        }
        let is_said = |member: &Member| member.said.is_some_and(|(v, _)| v == self.version);
        if self.members.values().all(is_said) {
            self.unsaid_since = None;
        }
    }
}

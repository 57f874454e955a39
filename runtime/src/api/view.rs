//! From what the crates below know to what the API says.

use super::types::{
    ActorDetail, ActorSummary, ActorsQuery, DeadLetterDetail, DeadLetterSummary, EventRecord,
    ExitSummary, RecentMessage, Supervision, Time, TreeNode, TurnSummary,
};
use crate::manifest::{Child, Children, Declaration, Manifest, Supervisor};
use serde_json::{Value, json};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use swarm_actors::{ActorInfo, CrashReport, DeadLetter, DeathCause, Event, FlightRecord, What};
use swarm_protocols::{AclMessage, ExitReason, Path};
use swarm_supervisors::{AutoShutdown, Restart, Shutdown, Strategy, SupervisorFlags};

pub(super) fn time(at_ms: u64) -> Time {
    Time::from_unix_ms(i64::try_from(at_ms).unwrap_or(i64::MAX))
}

/// Since when lives run, as far as the event history tells: those that began before it reaches are older than all of these.
pub(super) struct Births {
    at_ms: HashMap<(Path, u64), u64>,
    now_ms: u64,
}

impl Births {
    pub(super) fn of(history: &[Arc<Event>], now_ms: u64) -> Self {
        let at_ms = history
            .iter()
            .filter(|event| matches!(event.what, What::Started))
            .filter_map(|event| Some(((event.path.clone()?, event.incarnation?.0), event.at_ms)))
            .collect();
        Self { at_ms, now_ms }
    }

    fn age_ms(&self, info: &ActorInfo) -> Option<u64> {
        if !info.state.is_alive() {
            return None;
        }
        let born = self.at_ms.get(&(info.path.clone(), info.incarnation.0))?;
        Some(self.now_ms.saturating_sub(*born))
    }
}

pub(super) fn summary(info: &ActorInfo, births: &Births) -> ActorSummary {
    ActorSummary {
        path: info.path.to_string(),
        kind: info.kind.clone(),
        state: info.state.as_str().to_owned(),
        node: info.node.to_string(),
        groups: info.groups.iter().map(ToString::to_string).collect(),
        restarts: info.restarts.into(),
        mailbox: info.mailbox,
        address: info.address.to_string(),
        incarnation: info.incarnation.0,
        registered: None,
        age_ms: births.age_ms(info),
        handled: info.turns,
        mailbox_ms: info.mailbox_ms,
    }
}

/// What `GET /v1/actors` can sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Path,
    Mailbox,
    Restarts,
    Handled,
    Age,
}

impl Sort {
    pub(super) const WORDS: &'static str = "path, mailbox, restarts, handled, age";

    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "path" => Self::Path,
            "mailbox" => Self::Mailbox,
            "restarts" => Self::Restarts,
            "handled" => Self::Handled,
            "age" => Self::Age,
            _ => return None,
        })
    }
}

/// The actors that `query` asks for, sorted and cut, and how many there were before the cut.
pub(super) fn select(
    mut actors: Vec<ActorInfo>,
    query: &ActorsQuery,
    sort: Sort,
    under: Option<&Path>,
    births: &Births,
) -> (Vec<ActorInfo>, u64) {
    if let Some(under) = under {
        actors.retain(|actor| actor.path.is_within(under));
    }
    if let Some(group) = &query.group {
        actors.retain(|actor| actor.groups.iter().any(|g| g.as_str() == group));
    }
    // The system lists by path, and these sorts are stable: equal keys stay in that order.
    match sort {
        Sort::Path => actors.sort_by(|a, b| natural(&a.path, &b.path)),
        Sort::Mailbox => actors.sort_by_key(|actor| Reverse(actor.mailbox)),
        Sort::Restarts => actors.sort_by_key(|actor| Reverse(actor.restarts)),
        Sort::Handled => actors.sort_by_key(|actor| Reverse(actor.turns)),
        // An unknown age is beyond the history, so greater than all known ones.
        Sort::Age => {
            actors.sort_by_cached_key(|actor| Reverse(births.age_ms(actor).unwrap_or(u64::MAX)))
        }
    }
    let total = actors.len() as u64;
    if let Some(limit) = query.limit {
        actors.truncate(limit);
    }
    (actors, total)
}

/// Paths in the order that people expect: `worker-2` before `worker-10`, and what stands below an actor right after it.
fn natural(a: &Path, b: &Path) -> Ordering {
    let (mut a, mut b) = (a.as_str().as_bytes(), b.as_str().as_bytes());
    loop {
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, rest_a) = split_number(a);
                let (number_b, rest_b) = split_number(b);
                // Without leading zeros the longer number is the greater; leading zeros decide only between equals.
                let by_value = (number_a.len().cmp(&number_b.len())).then(number_a.cmp(number_b));
                let by_zeros = || (a.len() - rest_a.len()).cmp(&(b.len() - rest_b.len()));
                match by_value.then_with(by_zeros) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    different => return different,
                }
            }
            (Some(b'/'), Some(b'/')) => (a, b) = (&a[1..], &b[1..]),
            (Some(b'/'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'/')) => return Ordering::Greater,
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

/// The digits in front, without leading zeros, and what follows them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|c| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().position(|c| *c != b'0').unwrap_or(end);
    (&digits[zeros..], rest)
}

pub(super) fn supervision(flags: &SupervisorFlags) -> Supervision {
    Supervision {
        strategy: match flags.strategy {
            Strategy::OneForOne => "one_for_one",
            Strategy::OneForAll => "one_for_all",
            Strategy::RestForOne => "rest_for_one",
            Strategy::SimpleOneForOne => "simple_one_for_one",
        }
        .to_owned(),
        intensity: flags.intensity,
        period_ms: u64::try_from(flags.period.as_millis()).unwrap_or(u64::MAX),
        auto_shutdown: match flags.auto_shutdown {
            AutoShutdown::Never => "never",
            AutoShutdown::AnySignificant => "any_significant",
            AutoShutdown::AllSignificant => "all_significant",
        }
        .to_owned(),
    }
}

pub(super) fn restart_word(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

pub(super) fn shutdown_word(shutdown: Shutdown) -> String {
    match shutdown {
        Shutdown::BrutalKill => "brutal_kill".to_owned(),
        Shutdown::Infinity => "infinity".to_owned(),
        Shutdown::Timeout(time) => crate::duration::show_duration(time),
    }
}

/// The tree from `top` down, in the order of the manifest; what it does not declare comes last, by path.
pub(super) fn tree(
    manifest: &Manifest,
    actors: &[ActorInfo],
    top: &Path,
    depth: Option<u64>,
) -> Option<TreeNode> {
    let declared = Declarations::of(manifest);
    let mut known: HashMap<&str, &ActorInfo> = HashMap::with_capacity(actors.len());
    let mut below: HashMap<String, Vec<(usize, &ActorInfo)>> = HashMap::new();
    for actor in actors {
        known.insert(actor.path.as_str(), actor);
        if let Some(parent) = actor.path.parent() {
            let place = declared
                .find(&actor.path)
                .map_or(usize::MAX, |(place, _)| place);
            below.entry(parent.into()).or_default().push((place, actor));
        }
    }
    for children in below.values_mut() {
        children.sort_by(|(place_a, a), (place_b, b)| {
            place_a.cmp(place_b).then_with(|| natural(&a.path, &b.path))
        });
    }
    let view = TreeView { declared, below };
    known.get(top.as_str()).map(|info| view.node(info, depth))
}

/// What a manifest declares, by path, with its place in the order of the file.
struct Declarations<'m>(HashMap<&'m str, (usize, Declaration<'m>)>);

impl<'m> Declarations<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let mut declarations = Self(HashMap::new());
        declarations.add(&manifest.root);
        declarations
    }

    fn add(&mut self, supervisor: &'m Supervisor) {
        let place = self.0.len();
        self.0.insert(
            supervisor.path.as_str(),
            (place, Declaration::Supervisor(supervisor)),
        );
        for child in supervisor.static_children() {
            match child {
                Child::Supervisor(inner) => self.add(inner),
                Child::Agent(agent) => {
                    let place = self.0.len();
                    self.0
                        .insert(agent.path.as_str(), (place, Declaration::Agent(agent)));
                }
            }
        }
    }

    /// As [`Manifest::find`], in constant time.
    fn find(&self, path: &Path) -> Option<(usize, Declaration<'m>)> {
        let stem = || path.as_str().rsplit_once('-').map(|(stem, _)| stem);
        for candidate in [Some(path.as_str()), stem()].into_iter().flatten() {
            match self.0.get(candidate) {
                Some((place, Declaration::Agent(agent))) if agent.is_at(path) => {
                    return Some((*place, Declaration::Agent(agent)));
                }
                Some((place, Declaration::Supervisor(supervisor))) if &supervisor.path == path => {
                    return Some((*place, Declaration::Supervisor(supervisor)));
                }
                _ => {}
            }
        }
        match self.0.get(path.parent()?.as_str())? {
            (place, Declaration::Supervisor(supervisor)) => match &supervisor.children {
                Children::Template { agent, .. } => Some((*place, Declaration::Template(agent))),
                Children::Static(_) => None,
            },
            _ => None,
        }
    }
}

struct TreeView<'m, 'a> {
    declared: Declarations<'m>,
    below: HashMap<String, Vec<(usize, &'a ActorInfo)>>,
}

impl TreeView<'_, '_> {
    fn node(&self, info: &ActorInfo, depth: Option<u64>) -> TreeNode {
        let path = &info.path;
        let children = self.below.get(path.as_str()).map_or(&[][..], Vec::as_slice);
        let (restart, flags) = match self.declared.find(path) {
            Some((_, Declaration::Supervisor(supervisor))) => (
                (!path.is_root()).then_some(supervisor.child.restart),
                Some(supervision(&supervisor.flags)),
            ),
            Some((_, Declaration::Agent(agent) | Declaration::Template(agent))) => {
                (Some(agent.child.restart), None)
            }
            None => (None, None),
        };
        let shown = depth != Some(0);
        TreeNode {
            path: path.to_string(),
            kind: info.kind.clone(),
            state: info.state.as_str().to_owned(),
            restarts: info.restarts.into(),
            mailbox: info.mailbox,
            incarnation: info.incarnation.0,
            restart: restart.map(|restart| restart_word(restart).to_owned()),
            supervision: flags,
            children: if shown {
                children
                    .iter()
                    .map(|(_, child)| self.node(child, depth.map(|depth| depth - 1)))
                    .collect()
            } else {
                Vec::new()
            },
            omitted: if shown { 0 } else { children.len() as u64 },
        }
    }
}

pub(super) fn detail(
    detail: &swarm_actors::ActorDetail,
    births: &Births,
    started_ms: u64,
) -> ActorDetail {
    let recent = |record: &FlightRecord| RecentMessage {
        at: Some(time(started_ms + u64::from(record.at_ms))),
        from: (record.sender != 0).then(|| format!("{:016x}", record.sender)),
        message: record.kind.as_str().to_owned(),
    };
    ActorDetail {
        summary: ActorSummary {
            registered: detail.registered.as_ref().map(ToString::to_string),
            ..summary(&detail.info, births)
        },
        supervisor: detail.info.path.parent().map(|path| path.to_string()),
        spec: None,
        supervision: None,
        mailbox_capacity: Some(detail.capacity.into()),
        last_exit: detail.last_exit.as_ref().map(|reason| ExitSummary {
            at: detail
                .last_crash
                .as_ref()
                .filter(|crash| crash.reason == *reason)
                .map(|crash| time(crash.at_ms)),
            ..exit(reason)
        }),
        turn: detail.current.as_ref().map(|record| TurnSummary {
            message: record.kind.as_str().to_owned(),
            running_ms: births
                .now_ms
                .saturating_sub(started_ms + u64::from(record.at_ms)),
            stuck: false,
        }),
        recent: detail.recorder.iter().map(recent).collect(),
        more: json!({
            "behaviour": detail.behaviour,
            "waiting_senders": detail.waiting_senders,
            "stashed": detail.stashed,
            "timers": detail.timers,
            "outgoing": detail.outgoing,
            "links": detail.links,
            "last_crash": detail.last_crash.as_ref().map(|crash| crash_report(crash, started_ms)),
        }),
    }
}

/// Numbers of 128 bits are written as hexadecimal text: JSON's numbers do not hold them.
fn crash_report(crash: &CrashReport, started_ms: u64) -> Value {
    let record = |record: &FlightRecord| {
        json!({
            "at": time(started_ms + u64::from(record.at_ms)),
            "message": record.kind.as_str(),
            "from": (record.sender != 0).then(|| format!("{:016x}", record.sender)),
            "deliveries": record.deliveries,
        })
    };
    let (causes, backtrace) = match &crash.reason {
        ExitReason::Error(chain) => (chain.messages.clone(), None),
        ExitReason::Panic(panic) => (
            vec![panic.message.clone()],
            panic.backtrace.as_ref().map(ToString::to_string),
        ),
        _ => (Vec::new(), None),
    };
    json!({
        "at": time(crash.at_ms),
        "incarnation": crash.incarnation,
        "behaviour": crash.behaviour,
        "kind": crash.reason.kind(),
        "reason": crash.reason.to_string(),
        "causes": causes,
        "backtrace": backtrace,
        "message": crash.message.as_ref().map(record),
        "recent": crash.recorder.iter().map(record).collect::<Vec<_>>(),
        "queued": crash.queued,
        "supervisor": crash.supervisor.map(|pid| pid.to_string()),
        "trace_id": crash.trace_id.map(|id| format!("{id:032x}")),
    })
}

pub(super) fn exit(reason: &ExitReason) -> ExitSummary {
    ExitSummary {
        kind: reason.kind().to_owned(),
        reason: reason.to_string(),
        at: None,
    }
}

pub(super) fn event(node: &str, event: &Event) -> EventRecord {
    let reason = match &event.what {
        What::StartFailed { reason }
        | What::Exited { reason }
        | What::Escalated { reason }
        | What::TreeFailed { reason } => Some(reason.to_string()),
        What::DeadLetter { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let mut data = serde_json::to_value(&event.what).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut data {
        fields.remove("event");
        if fields.is_empty() {
            data = Value::Null;
        }
    }
    EventRecord {
        seq: event.seq,
        at: time(event.at_ms),
        node: node.to_owned(),
        kind: event.what.name().to_owned(),
        path: event.path.as_ref().map(ToString::to_string),
        incarnation: event.incarnation.map(|incarnation| incarnation.0),
        reason,
        data,
    }
}

/// Whether an event is the beginning of a life after the first.
pub(super) fn is_restart(event: &Arc<Event>) -> bool {
    matches!(event.what, What::Started) && event.incarnation.is_some_and(|life| life.0 > 1)
}

pub(super) fn dead_letter(letter: &DeadLetter) -> DeadLetterSummary {
    DeadLetterSummary {
        id: letter.id,
        at: time(letter.at_ms),
        to: letter.receiver.to_string(),
        from: letter.sender.map(|sender| sender.to_string()),
        reason: letter.cause.as_str().to_owned(),
        message: match &letter.acl {
            Some(message) => message.performative.to_string(),
            None if letter.message_type.is_empty() => letter.kind.as_str().to_owned(),
            None => letter.message_type.clone(),
        },
        replayable: letter.is_replayable,
    }
}

pub(super) fn dead_letter_detail(letter: &DeadLetter) -> DeadLetterDetail {
    let why = match &letter.cause {
        DeathCause::TurnFailed(reason) => Some(reason.to_string()),
        DeathCause::Rejected(reason) => Some(reason.clone()),
        _ => None,
    };
    DeadLetterDetail {
        summary: dead_letter(letter),
        content: letter.acl.as_deref().map_or(Value::Null, acl_content),
        more: json!({
            "why": why,
            "kind": letter.kind.as_str(),
            "priority": letter.priority,
            "conversation_id": letter.acl.as_ref().and_then(|message| message.conversation_id.clone()),
        }),
    }
}

/// What an ACL message says: JSON where its language is JSON, else text.
pub(super) fn acl_content(message: &AclMessage) -> Value {
    let Some(content) = &message.content else {
        return Value::Null;
    };
    let is_json = message.language.as_deref() == Some(JSON_LANGUAGE);
    if is_json && let Ok(value) = serde_json::from_slice(content) {
        return value;
    }
    Value::String(String::from_utf8_lossy(content).into_owned())
}

/// The content language of an ACL message that carries JSON.
pub(super) const JSON_LANGUAGE: &str = "application/json";

/// The actors of which the last that was heard is that their turn does not yield.
pub(super) fn stuck(history: &[Arc<Event>]) -> BTreeSet<&Path> {
    let mut stuck = BTreeSet::new();
    for event in history {
        let Some(path) = &event.path else {
            continue;
        };
        match event.what {
            What::Stuck { .. } => {
                stuck.insert(path);
            }
            What::Started | What::Exited { .. } | What::TurnCut { .. } => {
                stuck.remove(path);
            }
            _ => {}
        }
    }
    stuck
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_in_the_order_that_people_expect() {
        let path = |text: &&str| Path::new(text).expect("a path");
        let sorted = [
            "/", "/a", "/a/b", "/a-1", "/a-1/x", "/a-2", "/a-02", "/a-10", "/a-10/b", "/a1b2",
            "/a1b10", "/b",
        ];
        for (at, x) in sorted.iter().enumerate() {
            for (other, y) in sorted.iter().enumerate() {
                assert_eq!(natural(&path(x), &path(y)), at.cmp(&other), "{x} and {y}");
            }
        }
    }
}

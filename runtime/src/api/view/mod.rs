//! From what the crates below know to what the API says.

pub(in crate::api) mod conversations;
mod journal;
mod listing;
mod tree;

pub(in crate::api) use listing::{Sort, merge, select};
pub(in crate::api) use tree::tree;

use crate::api::types::{
    ActorDetail, ActorSummary, DeadLetterDetail, DeadLetterSummary, EventRecord, ExitSummary,
    RecentMessage, Supervision, Time, TurnSummary,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use swarm_actors::{ActorInfo, CrashReport, DeadLetter, DeathCause, Event, FlightRecord, What};
use swarm_protocols::{AclMessage, ExitReason, Name, Path};
use swarm_supervisors::{AutoShutdown, Restart, Shutdown, Strategy, SupervisorFlags};

pub(in crate::api) fn time(at_ms: u64) -> Time {
    Time::from_unix_ms(i64::try_from(at_ms).unwrap_or(i64::MAX))
}

/// The time against which ages are told: one for a whole answer.
#[derive(Clone, Copy)]
pub(in crate::api) struct Now(pub(in crate::api) u64);

impl Now {
    fn age_ms(self, info: &ActorInfo) -> Option<u64> {
        info.state
            .is_alive()
            .then(|| self.0.saturating_sub(info.began_ms))
    }
}

pub(in crate::api) fn summary(info: &ActorInfo, now: Now) -> ActorSummary {
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
        age_ms: now.age_ms(info),
        handled: info.turns,
        mailbox_ms: info.mailbox_ms,
    }
}

pub(in crate::api) fn supervision(flags: &SupervisorFlags) -> Supervision {
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

pub(in crate::api) fn restart_word(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

pub(in crate::api) fn shutdown_word(shutdown: Shutdown) -> String {
    match shutdown {
        Shutdown::BrutalKill => "brutal_kill".to_owned(),
        Shutdown::Infinity => "infinity".to_owned(),
        Shutdown::Timeout(time) => crate::duration::show_duration(time),
    }
}

pub(in crate::api) fn detail(
    detail: &swarm_actors::ActorDetail,
    now: Now,
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
            ..summary(&detail.info, now)
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
            running_ms: now.0.saturating_sub(started_ms + u64::from(record.at_ms)),
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
        "spec": crash.spec,
        "kind": crash.reason.kind(),
        "reason": crash.reason.to_string(),
        "causes": causes,
        "backtrace": backtrace,
        "message": crash.message.as_ref().map(record),
        "recent": crash.recorder.iter().map(record).collect::<Vec<_>>(),
        "queued": crash.queued,
        "supervisor": crash.supervisor.map(|pid| pid.to_string()),
        "trace_id": crash.trace_id,
    })
}

pub(in crate::api) fn exit(reason: &ExitReason) -> ExitSummary {
    ExitSummary {
        kind: reason.kind().to_owned(),
        reason: reason.to_string(),
        at: None,
    }
}

pub(in crate::api) fn event(node: &str, event: &Event) -> EventRecord {
    let reason = match &event.what {
        What::StartFailed { reason }
        | What::Exited { reason }
        | What::Escalated { reason }
        | What::TreeFailed { reason } => Some(reason.to_string()),
        What::DeadLetter { reason, .. } => Some(reason.to_string()),
        What::Custom { name, detail } if detail.is_empty() => Some(name.clone()),
        What::Custom { name, detail } => Some(format!("{name}: {detail}")),
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
pub(in crate::api) fn is_restart(event: &Arc<Event>) -> bool {
    matches!(event.what, What::Started) && event.incarnation.is_some_and(|life| life.0 > 1)
}

pub(in crate::api) fn dead_letter(letter: &DeadLetter, node: &Name) -> DeadLetterSummary {
    DeadLetterSummary {
        id: letter.id,
        node: node.to_string(),
        at: time(letter.at_ms),
        to: letter.receiver.to_string(),
        from: letter.sender.map(|sender| sender.to_string()),
        reason: letter.cause.as_str().to_owned(),
        message: match &letter.acl {
            Some(message) => message.performative.to_string(),
            None if letter.message_type.is_empty() => letter.kind.as_str().to_owned(),
            None => letter.message_type.to_string(),
        },
        replayable: letter.is_replayable,
    }
}

pub(in crate::api) fn dead_letter_detail(letter: &DeadLetter, node: &Name) -> DeadLetterDetail {
    let why = match &letter.cause {
        DeathCause::TurnFailed(reason) => Some(reason.to_string()),
        DeathCause::Rejected(reason) => Some(reason.to_string()),
        _ => None,
    };
    DeadLetterDetail {
        summary: dead_letter(letter, node),
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
pub(in crate::api) fn acl_content(message: &AclMessage) -> Value {
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
pub(in crate::api) const JSON_LANGUAGE: &str = "application/json";

/// The actors of which the last that was heard is that their turn does not yield.
pub(in crate::api) fn stuck(history: &[Arc<Event>]) -> BTreeSet<&Path> {
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

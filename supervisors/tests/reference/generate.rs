//! Random trees and what happens to them.
//!
//! No two things that do not depend on each other happen at the same instant, because OTP leaves their order open: times
//! to stop are multiples of 20 ms, each group of entries has a time of its own modulo 20, and all entries of a group
//! go to one supervisor.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use swarm_supervisors::scenario::{
    AutoShutdownWord, CallScript, CallWord, ChildScript, Entry, ExitWord, Happening, RestartWord,
    Scenario, ShutdownWord, StartWord, StrategyWord, SupervisorScript,
};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const GROUPS_MAX: usize = 9;

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    (supervisor(2), vec(group(), 0..GROUPS_MAX)).prop_map(|(supervisor, groups)| {
        let mut script = Vec::new();
        let mut base = 0;
        for (k, group) in groups.into_iter().enumerate() {
            base += group.gap * 20;
            let at_ms = base + k as u64;
            script.extend(
                group
                    .entries(&supervisor)
                    .into_iter()
                    .map(|what| Entry { at_ms, what }),
            );
        }
        Scenario { supervisor, script }
    })
}

fn supervisor(depth: u32) -> impl Strategy<Value = SupervisorScript> {
    let child = if depth == 0 {
        worker().boxed()
    } else {
        prop_oneof![3 => worker(), 1 => nested(depth - 1)].boxed()
    };
    (
        select(vec![
            StrategyWord::OneForOne,
            StrategyWord::OneForAll,
            StrategyWord::RestForOne,
            StrategyWord::SimpleOneForOne,
        ]),
        0..5_u32,
        select(vec![1000_u64, 1500, 5000, 3_600_000]),
        select(vec![
            AutoShutdownWord::Never,
            AutoShutdownWord::AnySignificant,
            AutoShutdownWord::AllSignificant,
        ]),
        vec(child, 1..5),
    )
        .prop_map(
            |(strategy, intensity, period_ms, auto_shutdown, mut children)| {
                let simple = strategy == StrategyWord::SimpleOneForOne;
                let auto_shutdown = if simple {
                    AutoShutdownWord::Never
                } else {
                    auto_shutdown
                };
                if simple {
                    children.truncate(1);
                }
                for (child, name) in children.iter_mut().zip(NAMES) {
                    child.id = name.to_owned();
                    child.significant &= auto_shutdown != AutoShutdownWord::Never
                        && child.restart != RestartWord::Permanent;
                }
                SupervisorScript {
                    strategy,
                    intensity,
                    period_ms,
                    auto_shutdown,
                    children,
                }
            },
        )
        .boxed()
}

fn restart() -> impl Strategy<Value = RestartWord> {
    prop_oneof![
        3 => Just(RestartWord::Permanent),
        2 => Just(RestartWord::Transient),
        1 => Just(RestartWord::Temporary),
    ]
}

fn starts() -> impl Strategy<Value = Vec<StartWord>> {
    let outcome = || prop_oneof![6 => Just(StartWord::Ok), 2 => Just(StartWord::Error), 1 => Just(StartWord::Ignore)];
    let first = prop_oneof![30 => Just(StartWord::Ok), 1 => Just(StartWord::Error), 1 => Just(StartWord::Ignore)];
    (first, vec(outcome(), 0..5)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

fn worker() -> impl Strategy<Value = ChildScript> {
    (
        restart(),
        select(vec![
            None,
            Some(ShutdownWord::Ms(20)),
            Some(ShutdownWord::Ms(100)),
            Some(ShutdownWord::BrutalKill),
            Some(ShutdownWord::Infinity),
        ]),
        any::<bool>(),
        starts(),
        select(vec![0_u64, 0, 40, 120]),
    )
        .prop_map(
            |(restart, shutdown, significant, start, stop_ms)| ChildScript {
                id: "x".to_owned(),
                restart,
                shutdown,
                significant,
                start,
                stop_ms,
                supervisor: None,
            },
        )
}

fn nested(depth: u32) -> impl Strategy<Value = ChildScript> {
    (
        restart(),
        // Only one level has a time-out, so that no two of them run out together.
        select(vec![
            None,
            (depth == 1).then_some(ShutdownWord::Ms(70)),
            Some(ShutdownWord::BrutalKill),
        ]),
        any::<bool>(),
        starts(),
        supervisor(depth),
    )
        .prop_map(
            |(restart, shutdown, significant, start, supervisor)| ChildScript {
                id: "x".to_owned(),
                restart,
                shutdown,
                significant,
                start,
                stop_ms: 0,
                supervisor: Some(Box::new(supervisor)),
            },
        )
}

#[derive(Clone, Debug)]
struct Group {
    gap: u64,
    supervisor: usize,
    what: Vec<What>,
}

#[derive(Clone, Debug)]
enum What {
    Exit(usize, ExitWord),
    Call(CallWord, usize),
    Start(usize, ChildScript),
    Kill,
    Shutdown,
}

fn group() -> impl Strategy<Value = Group> {
    let exit = select(vec![
        ExitWord::Normal,
        ExitWord::Shutdown,
        ExitWord::Crash,
        ExitWord::Crash,
        ExitWord::Kill,
    ]);
    let call = select(vec![
        CallWord::TerminateChild,
        CallWord::TerminateChild,
        CallWord::RestartChild,
        CallWord::DeleteChild,
        CallWord::WhichChildren,
        CallWord::CountChildren,
    ]);
    let one = prop_oneof![
        6 => (0..NAMES.len(), exit).prop_map(|(child, reason)| What::Exit(child, reason)),
        4 => (call, 0..NAMES.len()).prop_map(|(call, child)| What::Call(call, child)),
        3 => (0..NAMES.len(), worker()).prop_map(|(child, spec)| What::Start(child, spec)),
    ];
    let alone = prop_oneof![4 => Just(What::Kill), 1 => Just(What::Shutdown)];
    let what = prop_oneof![
        10 => vec(one, 1..4),
        1 => alone.prop_map(|what| vec![what]),
    ];
    (1..60_u64, 0..8_usize, what).prop_map(|(gap, supervisor, what)| Group {
        gap,
        supervisor,
        what,
    })
}

impl Group {
    fn entries(self, root: &SupervisorScript) -> Vec<Happening> {
        let supervisors = supervisors("", root);
        let (path, script) = &supervisors[self.supervisor % supervisors.len()];
        let simple = script.strategy == StrategyWord::SimpleOneForOne;
        let id = |child: usize| match path.as_str() {
            "" => NAMES[child].to_owned(),
            path => format!("{path}/{}", NAMES[child]),
        };
        let own = if path.is_empty() {
            "/".to_owned()
        } else {
            path.clone()
        };
        let call = |call, id, spec| Happening::Call(CallScript { call, id, spec });
        // `active` of an answer is as of the moment in which it is given, which OTP leaves open when a child dies at the
        // very instant of the call; so counts go last.
        let mut what = self.what;
        what.sort_by_key(|what| matches!(what, What::Call(CallWord::CountChildren, _)));
        what.into_iter()
            .map(|what| match what {
                What::Exit(child, reason) => Happening::Exit {
                    id: id(child),
                    reason,
                },
                What::Call(word @ (CallWord::WhichChildren | CallWord::CountChildren), _) => {
                    call(word, own.clone(), None)
                }
                What::Call(word, child) => call(word, id(child), None),
                What::Start(child, mut spec) => {
                    spec.id = NAMES[child].to_owned();
                    call(CallWord::StartChild, id(child), (!simple).then_some(spec))
                }
                What::Kill => Happening::Exit {
                    id: own.clone(),
                    reason: ExitWord::Kill,
                },
                What::Shutdown => Happening::Shutdown,
            })
            .collect()
    }
}

fn supervisors<'a>(
    path: &str,
    script: &'a SupervisorScript,
) -> Vec<(String, &'a SupervisorScript)> {
    let mut all = vec![(path.to_owned(), script)];
    for child in &script.children {
        if let Some(nested) = &child.supervisor {
            let path = match path {
                "" => child.id.clone(),
                path => format!("{path}/{}", child.id),
            };
            all.extend(supervisors(&path, nested));
        }
    }
    all
}

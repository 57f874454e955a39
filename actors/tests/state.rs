//! State that several agents share.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::Failure;
use swarm_actors::durable::{
    Decider, Decision, Durability, DurableRef, DurableSpec, Form, Stored, state_at,
};
use swarm_actors::journal::{MemoryJournal, StreamName};
use swarm_actors::state::{Change, Kept, SharedState, StateCommand, StateRefused};
use swarm_actors::testkit::TestSystem;
use swarm_protocols::Path;

const WITHIN: Duration = Duration::from_secs(30);

/// Notes each change that it is told of.
struct Watcher;

#[derive(Clone, Serialize, Deserialize)]
struct Told(Change<u64>);

impl From<Change<u64>> for Told {
    fn from(change: Change<u64>) -> Self {
        Self(change)
    }
}

impl Stored for Told {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for Watcher {
    type State = Vec<(u64, Option<u64>)>;
    type Command = Told;
    type Event = Told;
    type Answer = ();

    fn decide(
        &self,
        _: &Self::State,
        told: Told,
        turn: &mut Decision<'_, Self>,
    ) -> Result<(), Failure> {
        turn.record(told);
        Ok(())
    }

    fn evolve(&self, seen: &mut Self::State, told: &Told) {
        seen.push((told.0.now.version, told.0.now.value));
    }
}

type Number = SharedState<u64, Watcher>;

async fn stage() -> (TestSystem, Arc<MemoryJournal>, DurableRef<Number>) {
    let system = TestSystem::start().await;
    let journal = Arc::new(MemoryJournal::new());
    let durability = Durability::new(journal.clone());
    let state = DurableSpec::new("number", Number::default(), &durability).expect("a name");
    let state = system.spawn_durable(state).await.expect("started");
    for id in ["w1", "w2"] {
        let spec = DurableSpec::new(id, Watcher, &durability).expect("a name");
        system.spawn_durable(spec).await.expect("started");
    }
    (system, journal, state)
}

fn path(text: &str) -> Path {
    Path::new(text).expect("a path")
}

async fn ask(
    state: &DurableRef<Number>,
    command: StateCommand<u64>,
) -> Result<Kept<u64>, StateRefused> {
    let mut last = None;
    // A life that is killed while it is asked leaves the ask without an answer.
    for _ in 0..100 {
        match state.ask(command.clone(), WITHIN).await {
            Ok(answer) => return answer,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("no answer: {last:?}")
}

fn write(follows: u64, value: Option<u64>) -> StateCommand<u64> {
    StateCommand::Write {
        follows: Some(follows),
        value,
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_follows_another_version_is_refused_and_names_the_one_that_is() {
    let (_system, _, state) = stage().await;
    let empty = Kept {
        version: 0,
        value: None,
    };
    assert_eq!(ask(&state, StateCommand::Read).await, Ok(empty));
    assert_eq!(
        ask(&state, write(0, Some(7))).await.map(|k| k.version),
        Ok(1)
    );
    let stale = Err(StateRefused::Stale { actual: 1 });
    assert_eq!(ask(&state, write(0, Some(8))).await, stale);
    let anyway = StateCommand::Write {
        follows: None,
        value: Some(9),
    };
    assert_eq!(ask(&state, anyway).await.map(|k| k.value), Ok(Some(9)));
    let removed = Kept {
        version: 3,
        value: None,
    };
    assert_eq!(ask(&state, write(2, None)).await, Ok(removed));
}

#[tokio::test(start_paused = true)]
async fn of_many_who_add_one_by_compare_and_set_none_is_lost() {
    let (_system, _, state) = stage().await;
    let adders = (0..8).map(|_| {
        let state = state.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                let mut known = ask(&state, StateCommand::Read).await.expect("read");
                loop {
                    let next = known.value.unwrap_or(0) + 1;
                    match ask(&state, write(known.version, Some(next))).await {
                        Ok(_) => break,
                        Err(_) => known = ask(&state, StateCommand::Read).await.expect("read"),
                    }
                }
            }
        })
    });
    for adder in adders.collect::<Vec<_>>() {
        adder.await.expect("no panic");
    }
    let value = ask(&state, StateCommand::Read).await.expect("read").value;
    assert_eq!(value, Some(8 * 25));
}

#[tokio::test(start_paused = true)]
async fn watchers_are_told_of_each_change_once_and_in_order_whatever_is_killed() {
    let (system, journal, state) = stage().await;
    for watcher in ["/w1", "/w2"] {
        let watch = StateCommand::Watch {
            watcher: path(watcher),
            state: state.path().clone(),
        };
        ask(&state, watch).await.expect("watched");
    }
    let mut random = fastrand::Rng::with_seed(3);
    let mut version = 0;
    while version < 40 {
        // A write that was killed before its answer may have taken effect: the next one finds out.
        match ask(&state, write(version, Some(version + 1))).await {
            Ok(now) => version = now.version,
            Err(StateRefused::Stale { actual }) => version = actual,
            Err(error) => panic!("{error}"),
        }
        if version == 20 {
            let watcher = path("/w2");
            ask(&state, StateCommand::Unwatch { watcher })
                .await
                .expect("unwatched");
        }
        let victim = random
            .choice(["/w1", "/w2", "/number", "/none"])
            .expect("one");
        if let Some(victim) = system.lookup(&path(victim)) {
            victim.kill();
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
    }
    for (watcher, last) in [("/w1", 40), ("/w2", 20)] {
        let stream = StreamName::new(watcher).expect("a name");
        let expected: Vec<u64> = (0..=last).collect();
        let mut seen = Vec::new();
        for _ in 0..1000 {
            let noted = state_at(&Watcher, &*journal, &stream, None).expect("readable");
            seen = noted.state.iter().map(|(version, _)| *version).collect();
            if seen == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(seen, expected, "{watcher}");
    }
}

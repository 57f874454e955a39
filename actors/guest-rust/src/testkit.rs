//! Runs an agent natively, in a test, without a host and without WebAssembly.
//!
//! Each turn's effects are collected and handed back. As in the real host, a turn that fails has none.

use crate::messaging::Recipient;
use crate::{Agent, DurableAgent, Event, Message, SavedState};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

/// What a turn asked for.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Answers to the message of the turn.
    pub answers: Vec<Message>,
    /// Messages to others.
    pub sent: Vec<(Recipient, Message)>,
    /// Timers that were set: id, milliseconds, tag, and whether it fires again and again.
    pub timers: Vec<(u64, u64, u64, bool)>,
    /// Timers that were cancelled.
    pub cancelled: Vec<u64>,
    /// Lines that were logged.
    pub log: Vec<String>,
    /// Tools that were called, with their inputs.
    pub calls: Vec<(String, String)>,
}

/// An agent on the bench.
pub struct Bench<A> {
    agent: A,
}

#[derive(Default)]
struct World {
    told: Told,
    state: BTreeMap<String, Vec<u8>>,
    /// The state as this turn has it.
    draft: BTreeMap<String, Vec<u8>>,
    now_ms: u64,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "the host has them there"))]
    random: u64,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "the host has them there"))]
    timers: u64,
    /// What runs is no turn, so nothing may be asked for.
    is_still: bool,
    answers_of_tools: VecDeque<Result<String, crate::Error>>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Runs one turn; its effects are forgotten when it fails.
fn turn<T>(call: impl FnOnce() -> Result<T, String>) -> Result<(T, Told), String> {
    WORLD.with_borrow_mut(|world| {
        world.told = Told::default();
        world.draft = world.state.clone();
    });
    let ended = call();
    WORLD.with_borrow_mut(|world| {
        let told = std::mem::take(&mut world.told);
        let draft = std::mem::take(&mut world.draft);
        let value = ended?;
        world.state = draft;
        Ok((value, told))
    })
}

impl<A: Agent> Bench<A> {
    /// Starts an agent in a world of its own: an empty store, the time 0, a fixed seed. One bench per thread.
    ///
    /// # Errors
    /// What `on_start` says.
    pub fn start(config: &str) -> Result<Self, String> {
        WORLD.set(World {
            random: 1,
            ..World::default()
        });
        let (agent, _) = turn(|| A::on_start(config))?;
        Ok(Self { agent })
    }

    /// Hands it a message.
    ///
    /// # Errors
    /// What `on_message` says; the turn has no effect then.
    pub fn tell(&mut self, message: Message) -> Result<Told, String> {
        turn(|| self.agent.on_message(message)).map(|((), told)| told)
    }

    /// Fires a timer.
    ///
    /// # Errors
    /// What `on_timer` says.
    pub fn fire(&mut self, timer: u64, tag: u64) -> Result<Told, String> {
        turn(|| self.agent.on_timer(timer, tag)).map(|((), told)| told)
    }

    /// Ends its life as after a crash and begins the next; the store stays.
    ///
    /// # Errors
    /// What `on_start` says.
    pub fn crash(&mut self, config: &str) -> Result<(), String> {
        let (agent, _) = turn(|| A::on_start(config))?;
        self.agent = agent;
        Ok(())
    }

    /// Hands its state to a new life, as an upgrade does.
    ///
    /// # Errors
    /// What `snapshot`, `on_start` or `restore` say.
    pub fn upgrade(&mut self, config: &str) -> Result<SavedState, String> {
        let (snapshot, _) = turn(|| self.agent.snapshot())?;
        let (mut next, _) = turn(|| A::on_start(config))?;
        turn(|| next.restore(snapshot.clone()))?;
        self.agent = next;
        Ok(snapshot)
    }

    /// Sets the time.
    pub fn set_now(&mut self, now_ms: u64) {
        WORLD.with_borrow_mut(|world| world.now_ms = now_ms);
    }

    /// Has the next tool call end so.
    pub fn answer_tool(&mut self, answer: Result<String, crate::Error>) {
        WORLD.with_borrow_mut(|world| world.answers_of_tools.push_back(answer));
    }
}

/// What a turn of a durable agent came to.
#[derive(Clone, Debug, Default)]
pub struct DurableTurn {
    /// The events that it decided. They are written and applied.
    pub events: Vec<Event>,
    /// What it asked for besides.
    pub told: Told,
}

/// A durable agent on the bench, with a journal.
pub struct DurableBench<A> {
    agent: A,
    journal: Vec<Event>,
    /// The last snapshot, and how many events are in it.
    snapshot: Option<(usize, SavedState)>,
}

impl<A: DurableAgent> DurableBench<A> {
    /// Starts an agent in a world of its own: an empty journal, the time 0, a fixed seed. One bench per thread.
    ///
    /// # Errors
    /// What `on_start` says.
    pub fn start(config: &str) -> Result<Self, String> {
        Self::replay(config, Vec::new())
    }

    /// Starts an agent on what another one has written.
    ///
    /// # Errors
    /// What `on_start` or `apply` say.
    pub fn replay(config: &str, journal: Vec<Event>) -> Result<Self, String> {
        WORLD.set(World {
            random: 1,
            ..World::default()
        });
        Self::begin(config, journal, None)
    }

    fn begin(
        config: &str,
        journal: Vec<Event>,
        snapshot: Option<(usize, SavedState)>,
    ) -> Result<Self, String> {
        let mut agent = still(|| A::on_start(config))?;
        let mut from = 0;
        if let Some((events, state)) = &snapshot {
            still(|| agent.restore(state.clone()))?;
            from = *events;
        }
        for event in &journal[from..] {
            still(|| agent.apply(event.clone()))?;
        }
        Ok(Self {
            agent,
            journal,
            snapshot,
        })
    }

    /// Hands it a message; what it decides is written and applied.
    ///
    /// # Errors
    /// What `on_message` says, and nothing has happened then; or `apply`.
    pub fn tell(&mut self, message: Message) -> Result<DurableTurn, String> {
        let decided = turn(|| self.agent.on_message(message));
        self.commit(decided)
    }

    /// Fires a timer.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub fn fire(&mut self, timer: u64, tag: u64) -> Result<DurableTurn, String> {
        let decided = turn(|| self.agent.on_timer(timer, tag));
        self.commit(decided)
    }

    fn commit(&mut self, decided: Result<(Vec<Event>, Told), String>) -> Result<DurableTurn, String> {
        let (events, told) = decided?;
        for event in &events {
            self.journal.push(event.clone());
            still(|| self.agent.apply(event.clone()))?;
        }
        Ok(DurableTurn { events, told })
    }

    /// Takes a snapshot, as the host does from time to time.
    ///
    /// # Errors
    /// What `snapshot` says.
    pub fn save(&mut self) -> Result<SavedState, String> {
        let state = still(|| self.agent.snapshot())?;
        self.snapshot = Some((self.journal.len(), state.clone()));
        Ok(state)
    }

    /// Ends its life as after a crash and begins the next: from the last snapshot, if there is one, and the events behind it.
    ///
    /// # Errors
    /// What `on_start`, `restore` or `apply` say.
    pub fn crash(&mut self, config: &str) -> Result<(), String> {
        let journal = std::mem::take(&mut self.journal);
        *self = Self::begin(config, journal, self.snapshot.take())?;
        Ok(())
    }

    /// All that was written.
    #[must_use]
    pub fn journal(&self) -> &[Event] {
        &self.journal
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &A {
        &self.agent
    }

    /// Sets the time.
    pub fn set_now(&mut self, now_ms: u64) {
        WORLD.with_borrow_mut(|world| world.now_ms = now_ms);
    }
}

/// Calls what is no turn: as in the real host, it may ask for nothing, and find nothing out.
fn still<T>(call: impl FnOnce() -> T) -> T {
    WORLD.with_borrow_mut(|world| world.is_still = true);
    let value = call();
    WORLD.with_borrow_mut(|world| world.is_still = false);
    value
}

/// Whether this is a turn.
///
/// # Errors
/// As in the real host, if it is not.
#[cfg(not(target_arch = "wasm32"))]
fn in_a_turn() -> Result<(), crate::Error> {
    WORLD.with_borrow(|world| match world.is_still {
        true => Err(crate::Error::Denied),
        false => Ok(()),
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn must_be_a_turn() {
    assert!(
        in_a_turn().is_ok(),
        "a durable agent asked for its name, the time or a random number outside of on_message and on_timer"
    );
}

/// The other side of the imports.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod host {
    use super::WORLD;

    pub(crate) mod messaging {
        use super::WORLD;
        use crate::messaging::Recipient;
        use crate::{Aid, Error, Message};

        pub(crate) fn me() -> Aid {
            super::super::must_be_a_turn();
            Aid::named("agent@bench")
        }
        pub(crate) fn send(to: &Recipient, message: &Message) -> Result<(), Error> {
            super::super::in_a_turn()?;
            WORLD.with_borrow_mut(|world| world.told.sent.push((to.clone(), message.clone())));
            Ok(())
        }
        pub(crate) fn answer(message: &Message) -> Result<(), Error> {
            super::super::in_a_turn()?;
            WORLD.with_borrow_mut(|world| world.told.answers.push(message.clone()));
            Ok(())
        }
    }

    pub(crate) mod state {
        use super::WORLD;
        use crate::Error;

        pub(crate) fn get(key: &str) -> Option<Vec<u8>> {
            WORLD.with_borrow(|world| world.draft.get(key).cloned())
        }
        pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Error> {
            WORLD.with_borrow_mut(|world| world.draft.insert(key.to_owned(), value.to_vec()));
            Ok(())
        }
        pub(crate) fn delete(key: &str) {
            WORLD.with_borrow_mut(|world| world.draft.remove(key));
        }
        pub(crate) fn keys() -> Vec<String> {
            WORLD.with_borrow(|world| world.draft.keys().cloned().collect())
        }
    }

    pub(crate) mod timers {
        use super::WORLD;
        use crate::Error;

        fn set(milliseconds: u64, tag: u64, repeats: bool) -> u64 {
            WORLD.with_borrow_mut(|world| {
                world.timers += 1;
                let id = world.timers;
                world.told.timers.push((id, milliseconds, tag, repeats));
                id
            })
        }
        pub(crate) fn after(milliseconds: u64, tag: u64) -> Result<u64, Error> {
            super::super::in_a_turn()?;
            Ok(set(milliseconds, tag, false))
        }
        pub(crate) fn every(milliseconds: u64, tag: u64) -> Result<u64, Error> {
            super::super::in_a_turn()?;
            Ok(set(milliseconds, tag, true))
        }
        pub(crate) fn cancel(timer: u64) {
            super::super::must_be_a_turn();
            WORLD.with_borrow_mut(|world| world.told.cancelled.push(timer));
        }
    }

    pub(crate) mod clock {
        pub(crate) fn now() -> u64 {
            super::super::must_be_a_turn();
            super::WORLD.with_borrow(|world| world.now_ms)
        }
    }

    pub(crate) mod random {
        pub(crate) fn next() -> u64 {
            super::super::must_be_a_turn();
            super::WORLD.with_borrow_mut(|world| {
                world.random = world.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = world.random;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            })
        }
        pub(crate) fn bytes(count: u32) -> Vec<u8> {
            (0..count.min(4096)).map(|_| next() as u8).collect()
        }
    }

    pub(crate) mod log {
        use crate::Error;
        use crate::log::Level;

        pub(crate) fn write(_: Level, text: &str) -> Result<(), Error> {
            super::WORLD.with_borrow_mut(|world| world.told.log.push(text.to_owned()));
            Ok(())
        }
    }

    pub(crate) mod tools {
        use crate::Error;
        use crate::tools::{Options, Tool};

        pub(crate) fn available() -> Vec<Tool> {
            Vec::new()
        }
        pub(crate) fn call(name: &str, input: &str, _: &Options) -> Result<String, Error> {
            super::WORLD.with_borrow_mut(|world| {
                world.told.calls.push((name.to_owned(), input.to_owned()));
                let answer = world.answers_of_tools.pop_front();
                answer.unwrap_or(Err(Error::NotFound))
            })
        }
    }
}

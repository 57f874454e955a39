//! An engine, and the clock hand that lets the host look into code that runs.

use crate::class::Class;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use wasmtime::Engine;

/// How often running code is interrupted: the grain of `turn_cpu`, and how long a kill waits at most.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// After how many ticks without a turn the hand stands still.
const IDLE_TICKS: u32 = 100;

/// An engine for one class, with a thread that moves its epoch on while turns run. The thread ends with it.
pub(crate) struct AgentEngine {
    pub(crate) engine: Engine,
    pub(crate) class: Class,
    /// How many agents it has room for.
    pub(crate) agents: u32,
    hand: Arc<Hand>,
    thread: Option<JoinHandle<()>>,
    sleeper: Thread,
}

/// What the thread and the turns tell each other.
#[derive(Default)]
struct Hand {
    /// A turn has begun since the last tick.
    is_wanted: AtomicBool,
    is_parked: AtomicBool,
    is_over: AtomicBool,
}

impl AgentEngine {
    pub(crate) fn new(class: Class, is_metered: bool, agents: u32) -> wasmtime::Result<Self> {
        let engine = Engine::new(&class.config(is_metered, agents))?;
        let hand = Arc::new(Hand::default());
        let (theirs, ticked) = (hand.clone(), engine.clone());
        let thread = std::thread::Builder::new()
            .name(format!("wasm-{class}"))
            .spawn(move || tick(&theirs, &ticked))
            .map_err(wasmtime::Error::from)?;
        let sleeper = thread.thread().clone();
        Ok(Self {
            engine,
            class,
            agents,
            hand,
            thread: Some(thread),
            sleeper,
        })
    }

    /// A turn runs, or goes on running: the hand must move.
    pub(crate) fn wind(&self) {
        // Only the first turn after a pause pays for more than a read.
        if !self.hand.is_wanted.load(Ordering::Relaxed) {
            self.hand.is_wanted.store(true, Ordering::SeqCst);
            if self.hand.is_parked.load(Ordering::SeqCst) {
                self.sleeper.unpark();
            }
        }
    }
}

fn tick(hand: &Hand, engine: &Engine) {
    let mut idle = 0;
    while !hand.is_over.load(Ordering::Acquire) {
        if hand.is_wanted.swap(false, Ordering::SeqCst) {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle > IDLE_TICKS {
            hand.is_parked.store(true, Ordering::SeqCst);
            if !hand.is_wanted.load(Ordering::SeqCst) && !hand.is_over.load(Ordering::SeqCst) {
                std::thread::park();
            }
            hand.is_parked.store(false, Ordering::SeqCst);
            idle = 0;
        }
        std::thread::sleep(TICK);
        engine.increment_epoch();
    }
}

impl Drop for AgentEngine {
    fn drop(&mut self) {
        self.hand.is_over.store(true, Ordering::SeqCst);
        self.sleeper.unpark();
        if let Some(thread) = self.thread.take() {
            // It looks at the flag once a tick. It cannot panic, so there is nothing to report.
            let _ = thread.join();
        }
    }
}

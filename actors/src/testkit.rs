//! For tests of your own agents: a small system in virtual time, a probe that receives what they send, and faults.
//!
//! Use it with tokio's `test-util`: under `#[tokio::test(start_paused = true)]` hours pass in milliseconds.
//!
//! ```
//! use std::time::Duration;
//! use swarm_actors::testkit::{Probe, TestSystem};
//! use swarm_actors::{Agent, AgentRef, AgentSpec, Failure, Message, Turn};
//!
//! struct Doubler { to: AgentRef<Number> }
//! #[derive(Debug, PartialEq)]
//! struct Number(u64);
//! impl Message for Number {}
//!
//! impl Agent for Doubler {
//!     type Message = Number;
//!     async fn handle(&mut self, turn: &mut Turn<'_, Self>, n: Number) -> Result<(), Failure> {
//!         turn.send(&self.to, Number(n.0 * 2));
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let test = TestSystem::start().await;
//! let mut probe = Probe::start(&test).await;
//! let to = probe.agent().clone();
//! let doubler = test.spawn(AgentSpec::new("doubler", move || Doubler { to: to.clone() })?).await?;
//! doubler.send(Number(21)).await?;
//! assert_eq!(probe.expect(Duration::from_secs(1)).await, Some(Number(42)));
//! # Ok(())
//! # }
//! ```

use crate::agent::{Agent, Failure, Message};
use crate::reference::AgentRef;
use crate::spec::AgentSpec;
use crate::system::{System, SystemOptions};
use crate::turn::Turn;
use crate::watchdog::Watchdog;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Name;
use swarm_supervisors::{
    CallError, Restart, Strategy, SupervisorFlags, SupervisorRef, SupervisorSpec,
};
use tokio::sync::{Mutex, mpsc};

/// How many messages a probe holds back before its agent waits.
const PROBE_CAPACITY: usize = 4096;

/// A system with an empty one_for_one tree whose intensity does not get in the way, on the current runtime.
pub struct TestSystem {
    system: System,
    tree: SupervisorRef,
}

impl TestSystem {
    /// Starts it, with seed 1.
    ///
    /// # Panics
    /// When the empty tree does not start, which would be a defect of Swarm.
    pub async fn start() -> Self {
        let mut options = SystemOptions::new(Name::new("test").expect("a name"), 1);
        options.watchdog = Watchdog::Task;
        Self::start_with(options).await
    }

    /// Starts it with options of your own.
    ///
    /// # Panics
    /// As [`TestSystem::start`].
    pub async fn start_with(options: SystemOptions) -> Self {
        let system = System::new(options);
        let flags =
            SupervisorFlags::new(Strategy::OneForOne).intensity(1_000_000, Duration::from_secs(1));
        let tree = system
            .start_tree(SupervisorSpec::new(flags, Vec::new()))
            .await
            .expect("an empty tree starts");
        Self { system, tree }
    }

    /// Starts an agent below the root.
    ///
    /// # Errors
    /// Why it did not start; [`CallError::NotFound`] when its init answered ignore.
    pub async fn spawn<A: Agent>(
        &self,
        spec: AgentSpec<A>,
    ) -> Result<AgentRef<A::Message>, CallError> {
        let spec = spec.child(&self.system);
        let path = self.tree.path().child(&spec.id);
        self.tree.start_child(spec).await?;
        self.system.lookup_typed(&path).ok_or(CallError::NotFound)
    }

    /// The root supervisor.
    #[must_use]
    pub fn tree(&self) -> &SupervisorRef {
        &self.tree
    }
}

impl Deref for TestSystem {
    type Target = System;
    fn deref(&self) -> &System {
        &self.system
    }
}

/// An agent that hands on what it receives.
pub struct Probe<M: Message> {
    agent: AgentRef<M>,
    received: mpsc::Receiver<M>,
}

struct ProbeAgent<M> {
    out: mpsc::Sender<M>,
}

impl<M: Message> Agent for ProbeAgent<M> {
    type Message = M;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: M) -> Result<(), Failure> {
        // The test may have dropped its probe.
        let _ = self.out.send(message).await;
        Ok(())
    }
}

impl<M: Message> Probe<M> {
    /// Starts a probe; each gets a name of its own.
    ///
    /// # Panics
    /// When it does not start, which would be a defect of Swarm.
    pub async fn start(system: &TestSystem) -> Self {
        let (out, received) = mpsc::channel(PROBE_CAPACITY);
        let id = format!("probe-{}", system.timer_id().0);
        let spec = AgentSpec::new(&id, move || ProbeAgent { out: out.clone() })
            .expect("a name")
            .turn_deadline(None)
            .restart(Restart::Permanent);
        let agent = system.spawn(spec).await.expect("a probe starts");
        Self { agent, received }
    }

    /// What to give to the agents under test.
    #[must_use]
    pub fn agent(&self) -> &AgentRef<M> {
        &self.agent
    }

    /// The next message, or `None` when none comes within that time.
    pub async fn expect(&mut self, within: Duration) -> Option<M> {
        tokio::time::timeout(within, self.received.recv())
            .await
            .ok()
            .flatten()
    }

    /// Whether no message comes within that time.
    pub async fn expect_none(&mut self, within: Duration) -> bool {
        self.expect(within).await.is_none()
    }
}

/// A start that can be slowed: call [`SlowStart::pass`] in an init.
#[derive(Clone, Default)]
pub struct SlowStart(Arc<Mutex<Duration>>);

impl SlowStart {
    /// Sets how long the next inits take.
    pub async fn set(&self, by: Duration) {
        *self.0.lock().await = by;
    }

    /// Takes that long.
    pub async fn pass(&self) {
        let by = *self.0.lock().await;
        tokio::time::sleep(by).await;
    }
}

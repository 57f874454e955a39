//! An agent held through its life by types: what its state does not allow does not compile.
//!
//! ```text
//! Built --load--> Loaded --start--> Running --drain--> Draining --finish--> Loaded
//!                    |                 |
//!                    +---> Failed <----+   Failed --start--> Running
//! ```
//!
//! ```
//! # use swarm_actors::*;
//! # use swarm_actors::lifecycle::*;
//! # use swarm_protocols::Name;
//! # use swarm_supervisors::{SupervisorFlags, SupervisorSpec};
//! # struct Echo;
//! # struct Text(String);
//! # impl Message for Text {}
//! # impl Agent for Echo {
//! #     type Message = Text;
//! #     async fn handle(&mut self, _: &mut Turn<'_, Self>, _: Text) -> Result<(), Failure> { Ok(()) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let system = System::new(SystemOptions::new(Name::new("n1")?, 1));
//! let tree = system.start_tree(SupervisorSpec::new(SupervisorFlags::default(), vec![])).await?;
//! let running = Built::new(AgentSpec::new("echo", || Echo)?).load(&system, &tree).start().await?;
//! running.agent().send(Text("hello".into())).await?;
//! let loaded = running.drain().finish().await?;
//! # drop(loaded);
//! # Ok(())
//! # }
//! ```
//!
//! An agent that is only loaded has nothing to send to:
//!
//! ```compile_fail
//! # use swarm_actors::*;
//! # use swarm_actors::lifecycle::*;
//! fn send<A: Agent>(loaded: Loaded<A>) {
//!     loaded.agent();
//! }
//! ```
//!
//! And one that is being drained cannot be drained again, nor sent to:
//!
//! ```compile_fail
//! # use swarm_actors::*;
//! # use swarm_actors::lifecycle::*;
//! fn twice<A: Agent>(running: Running<A>) {
//!     let first = running.drain();
//!     let second = running.drain();
//! }
//! ```

use crate::agent::Agent;
use crate::reference::AgentRef;
use crate::spec::AgentSpec;
use crate::system::System;
use std::fmt;
use std::marker::PhantomData;
use swarm_protocols::{ExitReason, Name};
use swarm_supervisors::{CallError, ChildSpec, SupervisorRef};

/// Described, and nowhere yet.
pub struct Built<A: Agent>(AgentSpec<A>);

impl<A: Agent> Built<A> {
    /// From its description.
    #[must_use]
    pub fn new(spec: AgentSpec<A>) -> Self {
        Self(spec)
    }

    /// Gives it a system and a supervisor. Nothing is started.
    #[must_use]
    pub fn load(self, system: &System, supervisor: &SupervisorRef) -> Loaded<A> {
        let spec = self.0.child(system);
        Loaded(Place {
            system: system.clone(),
            supervisor: supervisor.clone(),
            id: spec.id.clone(),
            spec,
            behaviour: PhantomData,
        })
    }
}

struct Place<A> {
    system: System,
    supervisor: SupervisorRef,
    id: Name,
    spec: ChildSpec,
    behaviour: PhantomData<fn() -> A>,
}

impl<A: Agent> Place<A> {
    async fn start(self) -> Result<Running<A>, Failed<A>> {
        // A spec that the supervisor still has is started again; a start that failed and a temporary child leave none behind
        // (otp.md S19, S60).
        let started = match self.supervisor.restart_child(self.id.clone()).await {
            Err(CallError::NotFound) => self.supervisor.start_child(self.spec.clone()).await,
            started => started,
        };
        let path = self.supervisor.path().child(&self.id);
        match (started, self.system.lookup_typed(&path)) {
            (Ok(started), Some(agent)) if started.pid.is_some() => {
                Ok(Running { place: self, agent })
            }
            (Ok(_), _) => Err(Failed {
                place: self,
                why: Why::Ignored,
            }),
            (Err(error), _) => Err(Failed {
                place: self,
                why: Why::NotStarted(error),
            }),
        }
    }
}

/// In a tree, and not running.
pub struct Loaded<A: Agent>(Place<A>);

impl<A: Agent> Loaded<A> {
    /// Starts it under its supervisor.
    ///
    /// # Errors
    /// [`Failed`], from which it can be started again.
    pub async fn start(self) -> Result<Running<A>, Failed<A>> {
        self.0.start().await
    }
}

/// Running under its supervisor, which restarts it as its spec says: only an end that is not followed by a restart makes it
/// [`Failed`].
pub struct Running<A: Agent> {
    place: Place<A>,
    agent: AgentRef<A::Message>,
}

impl<A: Agent> Running<A> {
    /// What to send to.
    #[must_use]
    pub fn agent(&self) -> &AgentRef<A::Message> {
        &self.agent
    }

    /// Takes no new messages from here on.
    #[must_use]
    pub fn drain(self) -> Draining<A> {
        self.agent.any().0.refuse(true);
        Draining(self)
    }

    /// Waits for an end that is not followed by a restart.
    pub async fn ended(self) -> Failed<A> {
        let mut events = self.agent.any().watch();
        let reason = loop {
            match events.recv().await {
                Some(crate::WatchEvent::Ended { reason }) => break reason,
                Some(crate::WatchEvent::Restarted { .. }) => {}
                None => break ExitReason::NoProc,
            }
        };
        Failed {
            place: self.place,
            why: Why::Ended(reason),
        }
    }
}

/// Handling what is queued, taking nothing new.
pub struct Draining<A: Agent>(Running<A>);

impl<A: Agent> Draining<A> {
    /// Waits until all that was queued is handled, and stops it.
    ///
    /// # Errors
    /// [`Failed`] when its supervisor is gone or its spec was deleted meanwhile.
    pub async fn finish(self) -> Result<Loaded<A>, Failed<A>> {
        let Running { place, agent } = self.0;
        agent.any().drain().await;
        match place.supervisor.terminate_child(place.id.clone()).await {
            Ok(()) => Ok(Loaded(place)),
            Err(error) => Err(Failed {
                place,
                why: Why::NotStopped(error),
            }),
        }
    }
}

/// Not running, and not because anybody wanted it so.
pub struct Failed<A: Agent> {
    place: Place<A>,
    why: Why,
}

/// What made an agent fail.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Why {
    /// It did not start.
    #[error("it did not start: {0}")]
    NotStarted(CallError),
    /// Its init did not want to run.
    #[error("its init answered ignore")]
    Ignored,
    /// It ended and is not restarted.
    #[error("it ended: {0}")]
    Ended(ExitReason),
    /// It could not be stopped in order.
    #[error("it could not be stopped: {0}")]
    NotStopped(CallError),
}

impl<A: Agent> Failed<A> {
    /// Why.
    #[must_use]
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// Starts it again.
    ///
    /// # Errors
    /// [`Failed`] again.
    pub async fn start(self) -> Result<Running<A>, Failed<A>> {
        self.place.start().await
    }
}

impl<A: Agent> fmt::Debug for Failed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failed").field(&self.why).finish()
    }
}

impl<A: Agent> fmt::Display for Failed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {}: {}", self.place.id, self.why)
    }
}

impl<A: Agent> std::error::Error for Failed<A> {}

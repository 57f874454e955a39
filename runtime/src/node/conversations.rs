//! The node's own voice in conversations: who calls for bids when somebody outside asks the node to.

use super::Node;
use swarm_actors::System;
use swarm_actors::conversation::{ConversationBook, ProtocolRef, ProtocolSpec};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{CallError, ChildSpec, Restart, Strategy, SupervisorFlags, SupervisorSpec};

/// The supervisor of what the node itself needs in the tree.
const SUPERVISOR: &str = "swarm";
/// The protocol actor that speaks for callers from outside.
const CALLER: &str = "swarm.caller";
/// How often the caller may be restarted within a second before it is given up until it is needed again.
const RESTARTS_MAX: u32 = 100;

/// Why nobody can speak for the node. Nothing was changed; may be tried again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoCaller {
    /// The tree is not running.
    #[error("the tree is not running")]
    NoTree,
    /// The root supervisor does not take it.
    #[error("the root supervisor does not start it: {0}")]
    NotStarted(CallError),
}

impl Node {
    /// The conversations of the node. Native agents that negotiate are given it.
    #[must_use]
    pub fn conversations(&self) -> &ConversationBook {
        &self.0.conversations
    }

    /// The protocol actor that opens conversations for callers that are no agents; started when it is first needed, below a
    /// temporary supervisor `/swarm`, so that no end of it can touch the rest of the tree.
    ///
    /// # Errors
    /// [`NoCaller`].
    pub async fn caller(&self) -> Result<ProtocolRef, NoCaller> {
        if let Some(caller) = find(self.system()) {
            return Ok(caller);
        }
        let root = self.system().tree().ok_or(NoCaller::NoTree)?;
        let name = |text| Name::new(text).expect("it is a name");
        let caller = ProtocolSpec::alone(CALLER, self.conversations())
            .expect("it is a name")
            .child(self.system());
        let flags = SupervisorFlags::new(Strategy::OneForOne)
            .intensity(RESTARTS_MAX, std::time::Duration::from_secs(1));
        let spec = SupervisorSpec::new(flags, vec![caller]);
        let spec = ChildSpec::supervisor(name(SUPERVISOR), spec).restart(Restart::Temporary);
        match root.start_child(spec).await {
            // Somebody else was faster.
            Ok(_) | Err(CallError::AlreadyStarted(_)) => {}
            Err(error) => return Err(NoCaller::NotStarted(error)),
        }
        find(self.system()).ok_or(NoCaller::NoTree)
    }
}

fn find(system: &System) -> Option<ProtocolRef> {
    let path = Path::new(&format!("/{SUPERVISOR}/{CALLER}")).ok()?;
    let caller = system.lookup(&path)?;
    ProtocolRef::of(&caller).filter(|_| caller.is_alive())
}

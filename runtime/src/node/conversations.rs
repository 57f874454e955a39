//! The node's own voice in conversations: who calls for bids when somebody outside asks the node to.

use super::Node;
use swarm_actors::conversation::{ConversationBook, ProtocolRef, ProtocolSpec};
use swarm_actors::{SERVICES_PATH, System};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{
    CallError, ChildSpec, Restart, Strategy, SupervisorFlags, SupervisorRef, SupervisorSpec,
};

/// The protocol actor that speaks for callers from outside.
const CALLER: &str = "swarm.caller";
/// The supervisor that it has to itself, so that no end of it can touch the node's other agents.
const SUPERVISOR: &str = "calls";
/// How often the caller may be restarted within a second before it is given up until it is needed again.
const RESTARTS_MAX: u32 = 100;

/// Why nobody can speak for the node. Nothing was changed; may be tried again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoCaller {
    /// The node's own agents are not running: it is being stopped.
    #[error("the node's own agents are not running")]
    NoServices,
    /// Their supervisor does not take it.
    #[error("the supervisor of the node's own agents does not start it: {0}")]
    NotStarted(CallError),
}

impl Node {
    /// The conversations of the node. Native agents that negotiate are given it.
    #[must_use]
    pub fn conversations(&self) -> &ConversationBook {
        &self.0.conversations
    }

    /// The protocol actor that opens conversations for callers that are no agents; started when it is first needed, among the
    /// node's own agents (`/system/calls`), where it is none of the users'.
    ///
    /// # Errors
    /// [`NoCaller`].
    pub async fn caller(&self) -> Result<ProtocolRef, NoCaller> {
        if let Some(caller) = find(self.system()) {
            return Ok(caller);
        }
        let services = self.services().await?;
        let name = |text| Name::new(text).expect("it is a name");
        let caller = ProtocolSpec::alone(CALLER, self.conversations())
            .expect("it is a name")
            .child(self.system());
        let flags = SupervisorFlags::new(Strategy::OneForOne)
            .intensity(RESTARTS_MAX, std::time::Duration::from_secs(1));
        let spec = SupervisorSpec::new(flags, vec![caller]);
        let spec = ChildSpec::supervisor(name(SUPERVISOR), spec).restart(Restart::Temporary);
        match services.start_child(spec).await {
            // Somebody else was faster.
            Ok(_) | Err(CallError::AlreadyStarted(_)) => {}
            Err(error) => return Err(NoCaller::NotStarted(error)),
        }
        find(self.system()).ok_or(NoCaller::NoServices)
    }

    /// The supervisor of the node's own agents. A node without a platform, such as that of one dispatch, gets an empty one.
    async fn services(&self) -> Result<SupervisorRef, NoCaller> {
        let system = self.system();
        if let Some(services) = system.services() {
            return Ok(services);
        }
        // One that is being stopped begins nothing any more.
        system.tree().ok_or(NoCaller::NoServices)?;
        let own = system.clone();
        let empty = SupervisorSpec::new(SupervisorFlags::default(), Vec::new());
        let started = self
            .0
            .agents
            .spawn(async move { own.start_services(empty).await });
        match started.await {
            Ok(Ok(services)) => Ok(services),
            // Somebody else was faster.
            Ok(Err(_)) | Err(_) => system.services().ok_or(NoCaller::NoServices),
        }
    }
}

fn find(system: &System) -> Option<ProtocolRef> {
    let path = Path::new(&format!("{SERVICES_PATH}/{SUPERVISOR}/{CALLER}")).ok()?;
    let caller = system.lookup(&path)?;
    ProtocolRef::of(&caller).filter(|_| caller.is_alive())
}

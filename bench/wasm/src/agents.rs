//! The subject: guests as agents in a tree.

use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{AgentSpec, AnyRef, MailboxOptions, System, SystemOptions};
use swarm_protocols::{AclMessage, Name, Path, Performative};
use swarm_supervisors::{SupervisorFlags, SupervisorSpec};
use swarm_wasm::{Class, Component, Grants, Host, HostOptions, Limits, Plan};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A system with so many agents `/guest-1`, ….
pub(crate) struct Agents {
    pub(crate) system: System,
    pub(crate) count: u32,
}

/// Limits under which nothing of a bench is slowed down.
pub(crate) fn limits(class: Class) -> Limits {
    Limits {
        sends_per_second: u32::MAX,
        turn_cpu: Duration::from_secs(10),
        ..Limits::of(class)
    }
}

pub(crate) fn host() -> Host {
    Host::new(HostOptions::default()).expect("a host without a folder")
}

pub(crate) fn load(host: &Host, component: &[u8], class: Class, limits: &Limits) -> Component {
    host.load(component, class, &Grants::all(), limits)
        .expect("the component loads")
}

impl Agents {
    pub(crate) async fn start(component: Component, limits: Limits, count: u32) -> Self {
        let plan = Plan::new(component, "{}".to_owned(), Grants::all(), limits);
        let name = Name::new("bench").expect("a name");
        let system = System::new(SystemOptions::new(name, 1));
        let made: Arc<Plan> = plan;
        let spec = AgentSpec::new("guest", move || made.agent())
            .expect("a name")
            .mailbox(MailboxOptions {
                capacity: 1024,
                ..MailboxOptions::default()
            });
        let flags = SupervisorFlags {
            intensity: u32::MAX,
            ..SupervisorFlags::default()
        };
        let spec = SupervisorSpec::new(flags, spec.replicas(&system, count));
        system.start_tree(spec).await.expect("the tree starts");
        Self { system, count }
    }

    pub(crate) fn agent(&self, at: u32) -> AnyRef {
        let path = Path::new(&format!("/guest-{at}")).expect("a path");
        self.system.lookup(&path).expect("the agent is there")
    }

    pub(crate) fn all(&self) -> Vec<AnyRef> {
        (1..=self.count).map(|at| self.agent(at)).collect()
    }
}

pub(crate) fn message(performative: Performative, content: &[u8]) -> AclMessage {
    let mut message = AclMessage::new(performative);
    message.content = Some(content.to_vec());
    message
}

//! A tree with one guest in it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test code; each test file uses some of it"
)]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use swarm_actors::{AgentSpec, AnyRef, System, SystemOptions};
use swarm_protocols::{AclMessage, Name, Path, Performative};
use swarm_supervisors::{SupervisorFlags, SupervisorSpec};
use swarm_wasm::{Class, Component, Grants, GuestAgent, Host, HostOptions, Limits, Plan};

/// An example guest, as it is kept beside its source.
fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/guests")
        .join(file)
}

/// The text worker.
pub(crate) fn word_count() -> PathBuf {
    example("word-count/word-count.wasm")
}

/// The one that calls tools.
pub(crate) fn clerk() -> PathBuf {
    example("clerk/clerk.wasm")
}

/// The one that adds up, first version.
pub(crate) fn tally() -> PathBuf {
    example("tally/tally.wasm")
}

/// Its second version.
pub(crate) fn tally_next() -> PathBuf {
    example("tally/tally-next.wasm")
}

/// One for all tests of a file: each component is compiled once for each class.
pub(crate) fn host() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(HostOptions::default()).unwrap());
    &HOST
}

/// An order for the text worker.
pub(crate) fn order(task: &str, input: &str) -> AclMessage {
    let mut message = AclMessage::new(Performative::Request);
    let content = serde_json::json!({ "task": task, "input": input });
    message.content = Some(content.to_string().into_bytes());
    message
}

pub(crate) struct Guests {
    pub(crate) system: System,
}

impl Guests {
    pub(crate) async fn start(class: Class, grants: Grants, limits: Limits) -> Self {
        Self::with_deadline(class, grants, limits, Some(Duration::from_secs(60))).await
    }

    pub(crate) async fn with_deadline(
        class: Class,
        grants: Grants,
        limits: Limits,
        deadline: Option<Duration>,
    ) -> Self {
        let component = host()
            .load_file(&word_count(), class, &grants, &limits)
            .unwrap();
        Self::of(component, grants, limits, deadline).await
    }

    pub(crate) async fn of(
        component: Component,
        grants: Grants,
        limits: Limits,
        deadline: Option<Duration>,
    ) -> Self {
        Self::planned(
            Plan::new(component, "{}".to_owned(), grants, limits),
            deadline,
        )
        .await
    }

    pub(crate) async fn planned(plan: Arc<Plan>, deadline: Option<Duration>) -> Self {
        Self::specified(plan, |spec| spec.turn_deadline(deadline)).await
    }

    /// With what else the agent's spec is to say.
    pub(crate) async fn specified(
        plan: Arc<Plan>,
        change: impl FnOnce(AgentSpec<GuestAgent>) -> AgentSpec<GuestAgent>,
    ) -> Self {
        let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
        let spec = AgentSpec::new("guest", move || plan.agent())
            .unwrap()
            .kind("wasm")
            .registered(Name::new("guest").unwrap());
        let spec = change(spec);
        let flags = SupervisorFlags {
            intensity: 1000,
            ..SupervisorFlags::default()
        };
        let spec = SupervisorSpec::new(flags, vec![spec.child(&system)]);
        system.start_tree(spec).await.unwrap();
        Self { system }
    }

    /// Agents `/guest-1` and so on, of one plan.
    pub(crate) async fn many(plan: Arc<Plan>, count: usize) -> Self {
        let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
        let spec = AgentSpec::new("guest", move || plan.agent())
            .unwrap()
            .kind("wasm");
        // Each may crash once in a while: no more than that is asked of new code, either.
        let flags = SupervisorFlags {
            intensity: u32::try_from(count).unwrap(),
            ..SupervisorFlags::default()
        };
        let children = spec.replicas(&system, u32::try_from(count).unwrap());
        let spec = SupervisorSpec::new(flags, children);
        system.start_tree(spec).await.unwrap();
        Self { system }
    }

    pub(crate) fn agent(&self) -> AnyRef {
        self.system.lookup(&Path::new("/guest").unwrap()).unwrap()
    }

    pub(crate) async fn ask(&self, message: AclMessage) -> AclMessage {
        let within = Duration::from_secs(60);
        self.agent().ask_acl(message, within).await.unwrap()
    }

    /// The present life works.
    pub(crate) async fn counts_words(&self) {
        let answer = self.ask(order("word-count", "two words\n")).await;
        assert_eq!(answer.text(), Some(r#"{"words":2,"lines":1,"bytes":10}"#));
    }

    /// Waits for a condition, for a minute at most.
    pub(crate) async fn until(&self, is_so: impl Fn() -> bool) {
        for _ in 0..60_000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it did not come to that");
    }
}

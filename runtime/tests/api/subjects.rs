//! Agents to be looked at and acted upon.

use serde_json::Value;
use std::sync::Arc;
use swarm_actors::{Agent, Failure, NoMessage, Turn};
use swarm_protocols::{AclMessage, Performative};
use swarm_runtime::manifest::ConfigFault;
use swarm_runtime::node::Behaviours;

/// `echo` answers with what it was told; `moody` does what it is told: `panic`, `fail`, `hang`, `block`, `ignore`.
pub(crate) fn behaviours() -> Behaviours {
    swarm_runtime::behaviours::builtin()
        .with("echo", "answers with what it was told", |_| Ok(|| Moody))
        .with(
            "moody",
            "does what it is told",
            |config: &Value| match config.get("mood") {
                None => Ok(|| Moody),
                Some(_) => Err(ConfigFault {
                    key: Some("mood".to_owned()),
                    message: "moods cannot be configured".to_owned(),
                    suggestion: None,
                }),
            },
        )
        .with("stillborn", "never starts", |_| Ok(|| Stillborn))
        .with("unborn", "is never done with its start", |_| Ok(|| Unborn))
}

struct Moody;

impl Agent for Moody {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let told =
            String::from_utf8_lossy(message.content.as_deref().unwrap_or_default()).into_owned();
        match told.trim_matches('"') {
            "panic" => panic!("told to"),
            "fail" => return Err("told to".into()),
            "hang" => std::future::pending().await,
            "block" => std::thread::sleep(std::time::Duration::from_secs(3)),
            "ignore" => return Ok(()),
            _ => {}
        }
        let mut answer = message.reply(Performative::Inform);
        answer.content = message.content.clone();
        turn.answer(answer);
        Ok(())
    }
}

struct Stillborn;

impl Agent for Stillborn {
    type Message = NoMessage;

    async fn init(&mut self, _: &mut Turn<'_, Self>) -> Result<swarm_actors::Init, Failure> {
        Err("no disk".into())
    }

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }
}

struct Unborn;

impl Agent for Unborn {
    type Message = NoMessage;

    async fn init(&mut self, _: &mut Turn<'_, Self>) -> Result<swarm_actors::Init, Failure> {
        std::future::pending().await
    }

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }
}

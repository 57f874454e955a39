//! Two platforms over the FIPA HTTP transport: an agent of each passes a ball to and fro.

use super::Ended;
use crate::measure::Meter;
use crate::rig::Countdown;
use crate::sample::Sample;
use crate::workload::warm_up;
use std::sync::Arc;
use swarm_actors::{Agent, NoMessage, Turn};
use swarm_protocols::{AclMessage, Aid, Name, Path, Performative};
use swarm_runtime::behaviours;
use swarm_runtime::fipa::{FipaOptions, FipaServer};
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Node, NodeOptions};

struct Player(Countdown);

impl Agent for Player {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Ended {
        match message {}
    }

    async fn on_acl(&mut self, turn: &mut Turn<'_, Self>, message: Arc<AclMessage>) -> Ended {
        let left: u64 = message.text().unwrap_or_default().parse()?;
        if left == 0 {
            self.0.hit();
            return Ok(());
        }
        let mut ball = message.reply(Performative::Inform);
        ball.content = Some((left - 1).to_string().into_bytes());
        ball.reply_with = Some(left.to_string().into());
        turn.answer(ball);
        Ok(())
    }
}

struct Platform {
    node: Node,
    fipa: FipaServer,
}

async fn platform(name: &'static str, done: &Countdown) -> Platform {
    let done = done.clone();
    let behaviours = behaviours::builtin().with("player", "passes a ball", move |_| {
        let done = done.clone();
        Ok(move || Player(done.clone()))
    });
    let manifest = "[supervisor.\"/\"]\n[agent.\"/player\"]\nbehaviour = \"player\"\nregistered = \"player\"\n";
    let manifest = Manifest::parse(manifest, &behaviours).expect("it is a manifest");
    let node = Name::new(name).expect("it is a name");
    let node = Node::new(NodeOptions::new(node, manifest, behaviours));
    node.start_tree().await.expect("the tree starts");
    let listening = node.clone();
    let fipa = tokio::task::spawn_blocking(move || {
        let address = "127.0.0.1:0".parse().expect("an address");
        FipaServer::start(&listening, FipaOptions::new(address, name))
    });
    let fipa = fipa.await.expect("no panic").expect("a port is free");
    Platform { node, fipa }
}

pub(super) async fn ping_pong(messages: u64) -> Sample {
    let done = Countdown::new(1);
    let (here, there) = (
        platform("here", &done).await,
        platform("there", &done).await,
    );
    let player = Path::new("/player").expect("a path");
    let player = here.node.system().lookup(&player).expect("it was started");
    let mut opponent = Aid::named("player@there");
    opponent.addresses.push(there.fipa.url().to_owned());
    let round = async |messages: u64| {
        done.reset(1);
        let mut ball = AclMessage::new(Performative::Inform);
        ball.sender = Some(opponent.clone());
        ball.content = Some(messages.to_string().into_bytes());
        let meter = Meter::start();
        player.send_acl(ball).await.expect("it takes the ball");
        done.wait().await;
        meter.stop()
    };
    round(warm_up(messages)).await;
    let spent = round(messages).await;
    let (sent, got) = (here.fipa.counts(), there.fipa.counts());
    assert_eq!(sent.failures + got.failures, 0, "{sent:?} {got:?}");
    Sample::per_op(spent, messages).with_rate("messages/s", spent, messages)
}

//! Agents of two systems, each with its links.

use super::{ASKS, BIG_BYTES, BIGS, CLUSTER, Cell, IN_FLIGHT, MIXED_ASKS, NOTE_BYTES, NOTES, p99};
use crate::Failed;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use swarm_actors::{
    Agent, AgentRef, AgentSpec, Failure, Message, MessageCodec, ReplyTo, System, SystemOptions,
    Turn,
};
use swarm_cluster::identity::{BootId, NodeId};
use swarm_cluster::security::Credentials;
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{
    AgentHandler, AgentTransport, Connection, Links, LinksOptions, Service, Services, Tuning,
};
use swarm_protocols::{Address, Name, Path};
use swarm_supervisors::{SupervisorFlags, SupervisorSpec};

const WITHIN: Duration = Duration::from_secs(120);

#[derive(Serialize, Deserialize)]
enum Say {
    Ask(String, ReplyTo<u64>),
    Note(String),
    Until(u64, ReplyTo<u64>),
}

impl Message for Say {
    fn codec() -> Option<MessageCodec<Self>> {
        Some(MessageCodec::postcard("bench.echo", 1))
    }
}

#[derive(Default)]
struct Echo {
    count: u64,
    until: Option<(u64, ReplyTo<u64>)>,
}

impl Agent for Echo {
    type Message = Say;

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, say: Say) -> Result<(), Failure> {
        match say {
            Say::Ask(_, reply) => turn.reply(reply, self.count),
            Say::Note(_) => self.count += 1,
            Say::Until(count, reply) => self.until = Some((count, reply)),
        }
        if let Some((_, reply)) = self.until.take_if(|(count, _)| *count == self.count) {
            turn.reply(reply, std::mem::take(&mut self.count));
        }
        Ok(())
    }
}

struct NoServices;

impl Services for NoServices {
    fn message(&self, _: &NodeId, _: Service, _: bytes::Bytes) {}
    fn join(&self, _: Connection) {}
}

pub(super) struct Node {
    system: System,
    links: Links,
    address: SocketAddr,
}

impl Node {
    pub(super) async fn start(called: &str, credentials: Credentials) -> Result<Self, Failed> {
        let name = Name::new(called)?;
        let boot = u64::from(called.as_bytes()[0]);
        let system = System::new(SystemOptions::new(name.clone(), boot));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let network = TlsNetwork::bind(listen, credentials).await?;
        let address = network.local_addr()?;
        let transport = AgentTransport::new();
        let links = Links::start(LinksOptions {
            me: NodeId {
                name,
                boot: BootId(u128::from(boot)),
            },
            cluster: CLUSTER,
            network: Arc::new(network),
            handler: Arc::new(AgentHandler::new(system.downgrade(), Arc::new(NoServices))),
            seed: boot,
            tuning: Tuning::default(),
        });
        transport.connect(links.clone(), None);
        system.attach(transport);
        Ok(Self {
            system,
            links,
            address,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the two agents that are spoken to; their addresses.
    pub(super) async fn serve(&self) -> Result<String, Failed> {
        let specs = ["echo", "sink"].map(|name| AgentSpec::new(name, Echo::default));
        let mut children = Vec::new();
        for spec in specs {
            children.push(spec?.child(&self.system));
        }
        self.system
            .start_tree(SupervisorSpec::new(SupervisorFlags::default(), children))
            .await?;
        let address = |path| -> Result<u128, Failed> {
            let agent = self.system.lookup(&Path::new(path)?).ok_or("no agent")?;
            Ok(agent.address().0)
        };
        Ok(format!("{} {}", address("/echo")?, address("/sink")?))
    }

    pub(super) fn meet(&self, other: SocketAddr, addresses: &str) -> Result<Agents, Failed> {
        let name = Name::new("b")?;
        self.links.know(&name, &other.to_string());
        let (echo, sink) = addresses.split_once(' ').ok_or("no addresses")?;
        let find = |address: &str, path: &str| -> Result<AgentRef<Say>, Failed> {
            let address = Address(address.parse()?);
            let agent = self.system.remote(&name, address, Some(&Path::new(path)?));
            Ok(agent.typed().ok_or("it has a codec")?)
        };
        Ok(Agents {
            echo: find(echo, "/echo")?,
            sink: find(sink, "/sink")?,
        })
    }
}

pub(super) struct Agents {
    echo: AgentRef<Say>,
    sink: AgentRef<Say>,
}

impl Agents {
    async fn asks(echo: AgentRef<Say>, count: u64) -> Result<Vec<Duration>, Failed> {
        let text = "x".repeat(NOTE_BYTES);
        let mut times = Vec::new();
        for _ in 0..count {
            let at = Instant::now();
            echo.ask(|reply| Say::Ask(text.clone(), reply), WITHIN)
                .await?;
            times.push(at.elapsed());
        }
        Ok(times)
    }

    async fn notes(to: &AgentRef<Say>, count: u64, bytes: usize) -> Result<(), Failed> {
        let text = "x".repeat(bytes);
        for _ in 0..count {
            to.send(Say::Note(text.clone()))
                .await
                .map_err(|e| e.to_string())?;
        }
        to.ask(|reply| Say::Until(count, reply), WITHIN).await?;
        Ok(())
    }

    async fn in_flight(&self) -> Result<(), Failed> {
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..IN_FLIGHT {
            let share = (n as u64..ASKS).step_by(IN_FLIGHT).count() as u64;
            asking.spawn(Self::asks(self.echo.clone(), share));
        }
        while let Some(asked) = asking.join_next().await {
            asked??;
        }
        Ok(())
    }

    async fn mixed(&self) -> Result<Duration, Failed> {
        let is_over = Arc::new(AtomicBool::new(false));
        let sending = tokio::spawn({
            let (sink, is_over) = (self.sink.clone(), is_over.clone());
            async move {
                let text = "x".repeat(BIG_BYTES);
                let mut sent = 0;
                while !is_over.load(Ordering::Relaxed) {
                    sink.send(Say::Note(text.clone()))
                        .await
                        .map_err(|e| e.to_string())?;
                    sent += 1;
                }
                sink.ask(|reply| Say::Until(sent, reply), WITHIN)
                    .await
                    .map_err(|error| error.to_string())
            }
        });
        let times = Self::asks(self.echo.clone(), MIXED_ASKS).await?;
        is_over.store(true, Ordering::Relaxed);
        sending.await??;
        Ok(p99(times))
    }

    pub(super) async fn run(&self, cell: Cell) -> Result<Duration, Failed> {
        match cell {
            Cell::Sequential => {
                Self::asks(self.echo.clone(), ASKS).await?;
            }
            Cell::InFlight => self.in_flight().await?,
            Cell::Notes => Self::notes(&self.sink, NOTES, NOTE_BYTES).await?,
            Cell::Bigs => Self::notes(&self.sink, BIGS, BIG_BYTES).await?,
            Cell::Mixed => return self.mixed().await,
        }
        Ok(Duration::ZERO)
    }
}

//! A network within one process: pipes between nodes, with cuts and delays for simulations.
//!
//! It proves nothing about who dials: TLS does that. Under tokio's paused clock, and on one thread, a run is
//! the same each time.

use super::network::{Connection, DialError, Dialled, Incoming, Network, Purpose};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use swarm_protocols::Name;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How much a pipe holds in each direction: what the buffers of a real connection would.
const PIPE_BYTES: usize = 256 * 1024;
/// How many connections wait to be taken in; further ones are refused.
const BACKLOG: usize = 128;

/// The pipes between the nodes of one process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    nodes: BTreeMap<Name, mpsc::Sender<Incoming>>,
    /// Other addresses of nodes.
    addresses: BTreeMap<String, Name>,
    cuts: BTreeSet<(Name, Name)>,
    delay: Duration,
    wires: Vec<Wire>,
}

/// A running connection between two nodes.
struct Wire {
    ends: (Name, Name),
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// One node's place at a [`Hub`]. Its address is its name.
pub struct HubNetwork {
    hub: Weak<Mutex<State>>,
    me: Name,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Incoming>>,
}

fn in_order(a: &Name, b: &Name) -> (Name, Name) {
    if a <= b {
        (a.clone(), b.clone())
    } else {
        (b.clone(), a.clone())
    }
}

impl Hub {
    /// A hub without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a node; one that had the name before is gone from the network.
    #[must_use]
    pub fn node(&self, name: &Name) -> HubNetwork {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let mut state = self.0.lock();
        state.nodes.insert(name.clone(), sender);
        HubNetwork {
            hub: Arc::downgrade(&self.0),
            me: name.clone(),
            incoming: tokio::sync::Mutex::new(receiver),
        }
    }

    /// Lets a node be dialled at an address too, beside its name.
    pub fn name_address(&self, address: &str, node: &Name) {
        let mut state = self.0.lock();
        state.addresses.insert(address.to_owned(), node.clone());
    }

    /// Cuts two nodes off from each other: their connections break, and new ones find nobody.
    pub fn cut(&self, a: &Name, b: &Name) {
        let mut state = self.0.lock();
        state.cuts.insert(in_order(a, b));
        let ends = in_order(a, b);
        state.wires.retain(|wire| wire.ends != ends);
    }

    /// Breaks the connections between two nodes once; new ones can be made.
    pub fn reset(&self, a: &Name, b: &Name) {
        let ends = in_order(a, b);
        self.0.lock().wires.retain(|wire| wire.ends != ends);
    }

    /// Undoes [`Hub::cut`].
    pub fn heal(&self, a: &Name, b: &Name) {
        self.0.lock().cuts.remove(&in_order(a, b));
    }

    /// How long bytes take from one node to another, from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.0.lock().delay = delay;
    }

    /// Takes a node off the network: its connections break, and dialling it is refused.
    pub fn remove(&self, node: &Name) {
        let mut state = self.0.lock();
        state.nodes.remove(node);
        state
            .wires
            .retain(|wire| wire.ends.0 != *node && wire.ends.1 != *node);
    }
}

impl HubNetwork {
    fn connect(&self, address: &str) -> Result<Connection, DialError> {
        let unreachable = |why: &str| DialError::Unreachable {
            address: address.to_owned(),
            why: why.to_owned(),
        };
        let refused = || DialError::Refused {
            address: address.to_owned(),
        };
        let hub = self
            .hub
            .upgrade()
            .ok_or_else(|| unreachable("the hub is gone"))?;
        let mut state = hub.lock();
        let to = match state.addresses.get(address) {
            Some(node) => node.clone(),
            None => Name::new(address).map_err(|_| unreachable("not a node's name"))?,
        };
        let ends = in_order(&self.me, &to);
        if state.cuts.contains(&ends) {
            return Err(unreachable("the network is cut"));
        }
        let (near, near_wire) = tokio::io::duplex(PIPE_BYTES);
        let (far, far_wire) = tokio::io::duplex(PIPE_BYTES);
        let incoming = Incoming {
            from: None,
            handshake: Box::pin(async move {
                Ok(Connection {
                    stream: Box::new(far),
                    purpose: Purpose::Link,
                    peer: None,
                })
            }),
        };
        let listener = state.nodes.get(&to).ok_or_else(refused)?;
        listener.try_send(incoming).map_err(|_| refused())?;
        let tasks = pump_both(near_wire, far_wire, state.delay);
        state
            .wires
            .retain(|wire| wire.tasks.iter().any(|task| !task.is_finished()));
        state.wires.push(Wire { ends, tasks });
        Ok(Connection {
            stream: Box::new(near),
            purpose: Purpose::Link,
            peer: None,
        })
    }
}

fn pump_both(a: DuplexStream, b: DuplexStream, delay: Duration) -> [JoinHandle<()>; 2] {
    let (a_read, a_write) = tokio::io::split(a);
    let (b_read, b_write) = tokio::io::split(b);
    [
        tokio::spawn(pump(a_read, b_write, delay)),
        tokio::spawn(pump(b_read, a_write, delay)),
    ]
}

/// Carries bytes on, each `delay` after it was read. Holds as much as arrives within that time, and no more than a pipe.
async fn pump(mut from: ReadHalf<DuplexStream>, to: WriteHalf<DuplexStream>, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let reading = async move {
        let mut buffer = vec![0; PIPE_BYTES / 64];
        while let Ok(n) = from.read(&mut buffer).await
            && n > 0
            && sender
                .send((Instant::now() + delay, buffer[..n].to_vec()))
                .await
                .is_ok()
        {}
    };
    tokio::join!(reading, write_late(receiver, to));
}

async fn write_late(
    mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: WriteHalf<DuplexStream>,
) {
    while let Some((due, bytes)) = receiver.recv().await {
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    drop(to.shutdown().await);
}

impl Network for HubNetwork {
    fn dial<'a>(&'a self, address: &'a str) -> Dialled<'a, Result<Connection, DialError>> {
        Box::pin(async move { self.connect(address) })
    }

    fn accept(&self) -> Dialled<'_, std::io::Result<Incoming>> {
        Box::pin(async move {
            match self.incoming.lock().await.recv().await {
                Some(incoming) => Ok(incoming),
                // Off the network: nobody comes any more.
                None => std::future::pending().await,
            }
        })
    }
}

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
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, mpsc};
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
    /// From whom to whom nothing gets, while the other direction works.
    one_way: BTreeSet<(Name, Name)>,
    /// Some direction works again.
    healed: Arc<Notify>,
    delay: Duration,
    wires: Vec<Wire>,
}

/// One direction of a connection.
struct Direction {
    hub: Weak<Mutex<State>>,
    ends: (Name, Name),
    delay: Duration,
}

impl Direction {
    /// Waits until this direction works.
    async fn works(&self) {
        while let Some(healed) = self.is_cut() {
            healed.await;
        }
    }

    /// While this direction is cut, what resolves when one is healed.
    fn is_cut(&self) -> Option<OwnedNotified> {
        let hub = self.hub.upgrade()?;
        let state = hub.lock();
        // Made under the lock, so that no heal is missed.
        let is_cut = state.one_way.contains(&self.ends);
        is_cut.then(|| state.healed.clone().notified_owned())
    }
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

    /// Cuts one direction: bytes from `from` to `to` wait on the connections there are, as a sender would repeat them, and new connections
    /// come about in neither direction, as both must answer for that.
    pub fn cut_one_way(&self, from: &Name, to: &Name) {
        self.0.lock().one_way.insert((from.clone(), to.clone()));
    }

    /// Breaks the connections between two nodes once; new ones can be made.
    pub fn reset(&self, a: &Name, b: &Name) {
        let ends = in_order(a, b);
        self.0.lock().wires.retain(|wire| wire.ends != ends);
    }

    /// Undoes [`Hub::cut`], and [`Hub::cut_one_way`] in both directions.
    pub fn heal(&self, a: &Name, b: &Name) {
        let mut state = self.0.lock();
        state.cuts.remove(&in_order(a, b));
        for way in [(a.clone(), b.clone()), (b.clone(), a.clone())] {
            state.one_way.remove(&way);
        }
        state.healed.notify_waiters();
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
        let there = (self.me.clone(), to.clone());
        let back = (to.clone(), self.me.clone());
        let is_one_way = state.one_way.contains(&there) || state.one_way.contains(&back);
        if is_one_way || state.cuts.contains(&ends) {
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
        let tasks = pump_both(
            (near_wire, far_wire),
            [there, back].map(|ends| Direction {
                hub: self.hub.clone(),
                ends,
                delay: state.delay,
            }),
        );
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

fn pump_both(
    (a, b): (DuplexStream, DuplexStream),
    [there, back]: [Direction; 2],
) -> [JoinHandle<()>; 2] {
    let (a_read, a_write) = tokio::io::split(a);
    let (b_read, b_write) = tokio::io::split(b);
    [
        tokio::spawn(pump(a_read, b_write, there)),
        tokio::spawn(pump(b_read, a_write, back)),
    ]
}

/// Carries bytes on, each after the direction's delay. Holds as much as arrives within that time, and no more than a pipe.
async fn pump(mut from: ReadHalf<DuplexStream>, to: WriteHalf<DuplexStream>, direction: Direction) {
    let delay = direction.delay;
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
    tokio::join!(reading, write_late(receiver, to, direction));
}

async fn write_late(
    mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: WriteHalf<DuplexStream>,
    direction: Direction,
) {
    while let Some((due, bytes)) = receiver.recv().await {
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        direction.works().await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    direction.works().await;
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

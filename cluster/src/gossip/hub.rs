//! Packets within one process: with delay, loss and cuts, for simulations.
//!
//! What is lost and how long a packet takes follows from a seed. Under tokio's paused clock, and on one thread, a run is the same each time.
//! It is to gossip what [`Hub`](crate::transport::hub::Hub) is to links.

use super::driver::Datagrams;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many packets are under way to one node; further ones are lost, as those for a socket that nobody reads.
const UNDER_WAY_MAX: usize = 4096;
/// The least and the greatest time that a packet takes, in microseconds: those of one data centre.
const LATENCY_MICROS: std::ops::Range<u64> = 200..2000;

/// What carries the packets between the nodes of one process. Cheap to clone.
#[derive(Clone)]
pub struct PacketHub(Arc<Mutex<State>>);

struct State {
    nodes: BTreeMap<SocketAddr, Arc<Inbox>>,
    cuts: BTreeSet<(SocketAddr, SocketAddr)>,
    /// From whom to whom nothing gets, while the other direction works.
    one_way: BTreeSet<(SocketAddr, SocketAddr)>,
    /// The share of packets that is lost.
    loss: f64,
    random: fastrand::Rng,
    count: u64,
}

/// Packets under way, and where they come from, by the time at which they arrive and their number.
type UnderWay = BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>;

#[derive(Default)]
struct Inbox {
    packets: Mutex<UnderWay>,
    changed: Notify,
}

/// One node's place at a [`PacketHub`].
pub struct HubDatagrams {
    hub: PacketHub,
    me: SocketAddr,
    inbox: Arc<Inbox>,
}

fn in_order(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    (a.min(b), a.max(b))
}

impl PacketHub {
    /// A hub without nodes, which loses nothing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            nodes: BTreeMap::new(),
            cuts: BTreeSet::new(),
            one_way: BTreeSet::new(),
            loss: 0.0,
            random: fastrand::Rng::with_seed(seed),
            count: 0,
        })))
    }

    /// The place of a node; whoever had the address before gets nothing any more.
    #[must_use]
    pub fn node(&self, address: SocketAddr) -> HubDatagrams {
        let inbox = Arc::new(Inbox::default());
        self.0.lock().nodes.insert(address, inbox.clone());
        HubDatagrams {
            hub: self.clone(),
            me: address,
            inbox,
        }
    }

    /// Takes a node off the network.
    pub fn remove(&self, address: SocketAddr) {
        self.0.lock().nodes.remove(&address);
    }

    /// From now on nothing gets from one node to the other, either way. What is under way arrives.
    pub fn cut(&self, a: SocketAddr, b: SocketAddr) {
        self.0.lock().cuts.insert(in_order(a, b));
    }

    /// The same for one direction.
    pub fn cut_one_way(&self, from: SocketAddr, to: SocketAddr) {
        self.0.lock().one_way.insert((from, to));
    }

    /// Undoes [`PacketHub::cut`], and [`PacketHub::cut_one_way`] in both directions.
    pub fn heal(&self, a: SocketAddr, b: SocketAddr) {
        let mut state = self.0.lock();
        state.cuts.remove(&in_order(a, b));
        state.one_way.remove(&(a, b));
        state.one_way.remove(&(b, a));
    }

    /// The share of packets that is lost from now on, 0 to 1.
    pub fn set_loss(&self, loss: f64) {
        self.0.lock().loss = loss;
    }

    fn carry(&self, from: SocketAddr, to: SocketAddr, packet: &[u8]) {
        let mut state = self.0.lock();
        let is_lost = state.random.f64() < state.loss;
        let latency = Duration::from_micros(state.random.u64(LATENCY_MICROS));
        let is_cut =
            state.cuts.contains(&in_order(from, to)) || state.one_way.contains(&(from, to));
        if is_lost || is_cut {
            return;
        }
        state.count += 1;
        let (number, inbox) = (state.count, state.nodes.get(&to).cloned());
        drop(state);
        let Some(inbox) = inbox else { return };
        let mut packets = inbox.packets.lock();
        if packets.len() < UNDER_WAY_MAX {
            packets.insert((Instant::now() + latency, number), (from, packet.to_vec()));
            drop(packets);
            inbox.changed.notify_one();
        }
    }
}

impl Inbox {
    /// A packet that has arrived, or when the next one does.
    fn take(&self) -> Result<(SocketAddr, Vec<u8>), Option<Instant>> {
        let mut packets = self.packets.lock();
        match packets.first_entry() {
            Some(first) if first.key().0 <= Instant::now() => Ok(first.remove()),
            first => Err(first.map(|first| first.key().0)),
        }
    }
}

impl Datagrams for HubDatagrams {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let next = match self.inbox.take() {
                    Ok((from, packet)) => {
                        let length = packet.len().min(buffer.len());
                        buffer[..length].copy_from_slice(&packet[..length]);
                        return Ok((length, from));
                    }
                    Err(next) => next,
                };
                let arrival = async {
                    match next {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = arrival => {}
                    () = self.inbox.changed.notified() => {}
                }
            }
        })
    }

    fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.hub.carry(self.me, to, packet);
        Ok(())
    }
}

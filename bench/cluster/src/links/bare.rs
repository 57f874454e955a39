//! The peer: what one writes over one TLS connection without a library. Callers hand frames to a task that writes all that wait in one go;
//! a task that reads completes asks by their number, and hands messages on to the task that counts them.

use super::{ASKS, BIG_BYTES, BIGS, Cell, IN_FLIGHT, MIXED_ASKS, NOTE_BYTES, NOTES, p99};
use crate::Failed;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use swarm_cluster::security::Credentials;
use swarm_cluster::transport::tls::TlsNetwork;
use swarm_cluster::transport::{Network, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const BUFFER: usize = 64 * 1024;
/// How many frames wait for the task that writes.
const QUEUE: usize = 1024;

#[derive(Serialize, Deserialize)]
enum Frame {
    Ask(u64, String),
    Answer(u64, u64),
    Note(String),
    /// To be answered when so many notes have come.
    Until(u64, u64),
}

async fn write_all(mut frames: mpsc::Receiver<Frame>, mut to: WriteHalf<Box<dyn Stream>>) {
    let (mut waiting, mut bytes) = (Vec::new(), Vec::new());
    while frames.recv_many(&mut waiting, QUEUE).await > 0 {
        for frame in waiting.drain(..) {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            bytes = postcard::to_extend(&frame, bytes).unwrap_or_default();
            let length = u32::try_from(bytes.len() - start - 4).unwrap_or(u32::MAX);
            bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
            if bytes.len() >= BUFFER {
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                bytes.clear();
            }
        }
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
        bytes.clear();
    }
}

async fn next(
    from: &mut BufReader<ReadHalf<Box<dyn Stream>>>,
    bytes: &mut Vec<u8>,
) -> Option<Frame> {
    let length = from.read_u32_le().await.ok()?;
    bytes.resize(usize::try_from(length).ok()?, 0);
    from.read_exact(bytes).await.ok()?;
    postcard::from_bytes(bytes).ok()
}

pub(super) struct Server(TlsNetwork);

impl Server {
    pub(super) async fn bind(credentials: Credentials) -> Result<Self, Failed> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self(TlsNetwork::bind(listen, credentials).await?))
    }

    pub(super) fn address(&self) -> Result<SocketAddr, Failed> {
        Ok(self.0.local_addr()?)
    }

    pub(super) async fn serve(&self) -> Result<(), Failed> {
        let connection = self.0.accept().await?.handshake.await?;
        let (read, write) = tokio::io::split(connection.stream);
        let (out, to_write) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(to_write, write));
        let (hand_on, mut received) = mpsc::channel(QUEUE);
        let counting = tokio::spawn(async move {
            let (mut count, mut until) = (0_u64, None);
            while let Some(frame) = received.recv().await {
                match frame {
                    Frame::Ask(id, _) => drop(out.send(Frame::Answer(id, count)).await),
                    Frame::Note(_) => count += 1,
                    Frame::Until(id, number) => until = Some((id, number)),
                    Frame::Answer(..) => {}
                }
                if let Some((id, _)) = until.take_if(|(_, number)| *number == count) {
                    drop(out.send(Frame::Answer(id, count)).await);
                    count = 0;
                }
            }
        });
        let mut read = BufReader::with_capacity(BUFFER, read);
        let mut bytes = Vec::new();
        while let Some(frame) = next(&mut read, &mut bytes).await {
            hand_on.send(frame).await?;
        }
        drop(hand_on);
        Ok(counting.await?)
    }
}

type Pending = Mutex<HashMap<u64, oneshot::Sender<u64>>>;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    out: mpsc::Sender<Frame>,
    pending: Arc<Pending>,
    next_id: Arc<AtomicU64>,
}

impl Client {
    pub(super) async fn connect(credentials: Credentials, to: SocketAddr) -> Result<Self, Failed> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let network = TlsNetwork::bind(listen, credentials).await?;
        let connection = network.dial(&to.to_string()).await?;
        let (read, write) = tokio::io::split(connection.stream);
        let (out, to_write) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(to_write, write));
        let pending = Arc::new(Pending::default());
        tokio::spawn({
            let pending = pending.clone();
            async move {
                let mut read = BufReader::with_capacity(BUFFER, read);
                let mut bytes = Vec::new();
                while let Some(frame) = next(&mut read, &mut bytes).await {
                    if let Frame::Answer(id, value) = frame {
                        let asker = lock(&pending).remove(&id);
                        asker.map(|asker| asker.send(value));
                    }
                }
            }
        });
        Ok(Self {
            out,
            pending,
            next_id: Arc::default(),
        })
    }

    async fn ask(&self, frame: impl FnOnce(u64) -> Frame) -> Result<(), Failed> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (asker, answered) = oneshot::channel();
        lock(&self.pending).insert(id, asker);
        self.out.send(frame(id)).await?;
        answered.await?;
        Ok(())
    }

    async fn asks(self, count: u64) -> Result<Vec<Duration>, Failed> {
        let text = "x".repeat(NOTE_BYTES);
        let mut times = Vec::new();
        for _ in 0..count {
            let at = Instant::now();
            self.ask(|id| Frame::Ask(id, text.clone())).await?;
            times.push(at.elapsed());
        }
        Ok(times)
    }

    async fn notes(&self, count: u64, bytes: usize) -> Result<(), Failed> {
        let text = "x".repeat(bytes);
        for _ in 0..count {
            self.out.send(Frame::Note(text.clone())).await?;
        }
        self.ask(|id| Frame::Until(id, count)).await
    }

    async fn in_flight(&self) -> Result<(), Failed> {
        let mut asking = JoinSet::new();
        for n in 0..IN_FLIGHT {
            let share = (n as u64..ASKS).step_by(IN_FLIGHT).count() as u64;
            asking.spawn(self.clone().asks(share));
        }
        while let Some(asked) = asking.join_next().await {
            asked??;
        }
        Ok(())
    }

    /// One connection has one queue: an ask waits for the big ones that are before it.
    async fn mixed(&self) -> Result<Duration, Failed> {
        let is_over = Arc::new(AtomicBool::new(false));
        let sending = tokio::spawn({
            let (client, is_over) = (self.clone(), is_over.clone());
            async move {
                let text = "x".repeat(BIG_BYTES);
                let mut sent = 0;
                while !is_over.load(Ordering::Relaxed) {
                    client.out.send(Frame::Note(text.clone())).await?;
                    sent += 1;
                }
                client.ask(|id| Frame::Until(id, sent)).await
            }
        });
        let times = self.clone().asks(MIXED_ASKS).await?;
        is_over.store(true, Ordering::Relaxed);
        sending.await??;
        Ok(p99(times))
    }

    pub(super) async fn run(&self, cell: Cell) -> Result<Duration, Failed> {
        match cell {
            Cell::Sequential => {
                self.clone().asks(ASKS).await?;
            }
            Cell::InFlight => self.in_flight().await?,
            Cell::Notes => self.notes(NOTES, NOTE_BYTES).await?,
            Cell::Bigs => self.notes(BIGS, BIG_BYTES).await?,
            Cell::Mixed => return self.mixed().await,
        }
        Ok(Duration::ZERO)
    }
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<u64>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

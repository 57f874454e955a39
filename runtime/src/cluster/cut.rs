//! The node's network with a switch: while it is cut, nothing goes out and nothing comes in, on links and in gossip.
//!
//! For faults on purpose. Connections that exist stand still, new ones do not come about, packets are dropped. What a real cut does not do:
//! a connection that is given up meanwhile is closed, and the other side's system hears of that.

use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use swarm_cluster::gossip::Datagrams;
use swarm_cluster::transport::{Connection, DialError, Dialled, Incoming, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;

/// The switch. Cheap to clone.
#[derive(Clone)]
pub(super) struct Switch(Arc<State>);

struct State {
    is_cut: watch::Sender<bool>,
    until: Mutex<Option<Instant>>,
}

impl Default for Switch {
    fn default() -> Self {
        Self(Arc::new(State {
            is_cut: watch::Sender::new(false),
            until: Mutex::new(None),
        }))
    }
}

impl Switch {
    /// Cuts the network for so long; of two cuts the later end counts.
    pub(super) async fn cut(&self, duration: Duration) {
        let end = Instant::now() + duration;
        {
            let mut until = self.0.until.lock();
            *until = Some(until.map_or(end, |before| before.max(end)));
        }
        self.0.is_cut.send_replace(true);
        tokio::time::sleep_until(end).await;
        let mut until = self.0.until.lock();
        if until.is_some_and(|until| until <= Instant::now()) {
            *until = None;
            self.0.is_cut.send_replace(false);
        }
    }

    fn is_cut(&self) -> bool {
        *self.0.is_cut.borrow()
    }

    fn whole(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut is_cut = self.0.is_cut.subscribe();
        async move {
            // The sender goes with the network: then nothing is cut any more.
            drop(is_cut.wait_for(|is_cut| !*is_cut).await);
        }
    }
}

/// A network with the switch.
pub(super) struct Switched<N> {
    pub(super) inner: N,
    pub(super) switch: Switch,
}

impl<N: Network> Network for Switched<N> {
    fn dial<'a>(&'a self, address: &'a str) -> Dialled<'a, Result<Connection, DialError>> {
        Box::pin(async move {
            self.switch.whole().await;
            let connection = self.inner.dial(address).await?;
            Ok(switched(connection, &self.switch))
        })
    }

    fn accept(&self) -> Dialled<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let incoming = self.inner.accept().await?;
            let switch = self.switch.clone();
            Ok(Incoming {
                from: incoming.from,
                handshake: Box::pin(async move {
                    switch.whole().await;
                    Ok(switched(incoming.handshake.await?, &switch))
                }),
            })
        })
    }
}

impl<D: Datagrams> Datagrams for Switched<D> {
    fn receive<'a>(
        &'a self,
        buffer: &'a mut [u8],
    ) -> Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let received = self.inner.receive(buffer).await;
                if !self.switch.is_cut() {
                    return received;
                }
            }
        })
    }

    fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        if self.switch.is_cut() {
            return Ok(());
        }
        self.inner.send(packet, to)
    }
}

fn switched(connection: Connection, switch: &Switch) -> Connection {
    Connection {
        stream: Box::new(SwitchedStream {
            inner: connection.stream,
            switch: switch.clone(),
            reading: None,
            writing: None,
        }),
        ..connection
    }
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Stands still while the network is cut. Reader and writer wait each for itself.
struct SwitchedStream {
    inner: Box<dyn Stream>,
    switch: Switch,
    reading: Option<Wait>,
    writing: Option<Wait>,
}

fn poll_whole(switch: &Switch, wait: &mut Option<Wait>, cx: &mut Context<'_>) -> Poll<()> {
    while switch.is_cut() || wait.is_some() {
        let waiting = wait.get_or_insert_with(|| Box::pin(switch.whole()));
        ready!(waiting.as_mut().poll(cx));
        *wait = None;
    }
    Poll::Ready(())
}

impl AsyncRead for SwitchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(poll_whole(&this.switch, &mut this.reading, cx));
        Pin::new(&mut this.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SwitchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(poll_whole(&this.switch, &mut this.writing, cx));
        Pin::new(&mut this.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(poll_whole(&this.switch, &mut this.writing, cx));
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_stream_stands_still_while_it_is_cut_and_goes_on_after() {
        let (near, mut far) = tokio::io::duplex(64);
        let switch = Switch::default();
        let connection = Connection {
            stream: Box::new(near),
            purpose: swarm_cluster::transport::Purpose::Link,
            peer: None,
        };
        let mut near = switched(connection, &switch).stream;
        far.write_all(b"before").await.expect("is taken");
        let mut buffer = [0; 6];
        near.read_exact(&mut buffer).await.expect("comes");
        let began = Instant::now();
        let cut = switch.clone();
        tokio::spawn(async move { cut.cut(Duration::from_secs(5)).await });
        tokio::task::yield_now().await;
        assert!(switch.is_cut());
        far.write_all(b"during").await.expect("is taken");
        let both = async { tokio::join!(near.read_exact(&mut buffer), async {}) };
        both.await.0.expect("comes in the end");
        assert_eq!(&buffer, b"during");
        assert!(began.elapsed() >= Duration::from_secs(5));
        near.write_all(b"after").await.expect("is taken");
    }
}

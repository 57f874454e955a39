//! One address of another platform: its queue, and its one connection.

use super::acc::Acc;
use super::counts::count;
use super::tls::{HANDSHAKE_TIME_MAX, Stream};
use super::url::PeerUrl;
use super::wire::{self, WireError};
use std::time::Duration;
use swarm_protocols::mtp::package::Outgoing;
use swarm_protocols::{AclMessage, Aid, Path};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// How long a connection may take to come about.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a request may take, from its first byte to the head of its answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection is kept that nothing is sent on. JADE closes after 60 s; what is kept longer would break.
const IDLE_TIME_MAX: Duration = Duration::from_secs(45);

/// A message on its way out.
pub(super) struct Parcel {
    pub(super) out: Outgoing,
    /// Addresses that are left to try, the one in use first.
    pub(super) addresses: Vec<PeerUrl>,
    /// When it is no longer tried.
    pub(super) expires: Instant,
    pub(super) sender: Option<Path>,
    pub(super) receiver: Aid,
    pub(super) message: AclMessage,
}

/// Sends what comes, one after the other, until nothing has come for a while.
pub(super) async fn run(acc: Acc, url: PeerUrl, mut parcels: mpsc::Receiver<Parcel>) {
    let mut line = Line {
        url: &url,
        connection: None,
    };
    loop {
        match timeout(IDLE_TIME_MAX, parcels.recv()).await {
            Ok(Some(parcel)) => send(&acc, &mut line, parcel).await,
            Ok(None) => return,
            // Nothing may be put into the queue between the last look and its end.
            Err(_) if acc.forget_peer(&url, &mut parcels) => return,
            Err(_) => line.connection = None,
        }
    }
}

async fn send(acc: &Acc, line: &mut Line<'_>, mut parcel: Parcel) {
    let why = if Instant::now() >= parcel.expires {
        "it waited too long".to_owned()
    } else {
        match line.exchange(acc, &parcel.out).await {
            Ok(200..=299) => {
                count(&acc.counters().sent);
                return;
            }
            Ok(status) => format!("it answered with status {status}"),
            Err(error) => error.to_string(),
        }
    };
    tracing::debug!(peer = %line.url, receiver = %parcel.receiver.name, %why, "a message was not taken");
    parcel.addresses.remove(0);
    if parcel.addresses.is_empty() {
        acc.not_sent(
            parcel,
            &format!("Foreign agent unreachable: {}: {why}", line.url),
        );
    } else {
        acc.enqueue(parcel);
    }
}

struct Line<'a> {
    url: &'a PeerUrl,
    connection: Option<BufReader<Stream>>,
}

impl Line<'_> {
    /// Sends one request and waits for the status of its answer. A connection that was kept and broke is tried once more
    /// anew: the peer may then get the message twice.
    async fn exchange(&mut self, acc: &Acc, out: &Outgoing) -> Result<u16, WireError> {
        let request = wire::request(self.url, out);
        if let Some(kept) = self.connection.take().filter(is_quiet) {
            match self.on(kept, &request).await {
                Err(WireError::Io(_) | WireError::Closed) => count(&acc.counters().resent),
                answered => return answered,
            }
        }
        let address = (self.url.host(), self.url.port());
        let stream = within(CONNECT_TIME_MAX, async {
            Ok(TcpStream::connect(address).await?)
        });
        let stream = stream.await?;
        // Each request is one write; waiting for more would only delay it.
        stream.set_nodelay(true)?;
        let stream = if self.url.is_secure() {
            let tls = acc.tls();
            let secured = async { Ok(tls.connect(self.url.host(), stream).await?) };
            within(HANDSHAKE_TIME_MAX, secured).await?
        } else {
            Stream::Plain(stream)
        };
        self.on(BufReader::new(stream), &request).await
    }

    async fn on(
        &mut self,
        mut connection: BufReader<Stream>,
        request: &[u8],
    ) -> Result<u16, WireError> {
        let answer = within(ANSWER_TIME_MAX, async {
            let stream = connection.get_mut();
            stream.write_all(request).await?;
            stream.flush().await?;
            wire::answer(&mut connection).await
        });
        let answer = answer.await?;
        if answer.stays_open {
            self.connection = Some(connection);
        }
        Ok(answer.status)
    }
}

/// Whether a kept connection is open and has nothing to say. What it says unasked belongs to no request.
fn is_quiet(connection: &BufReader<Stream>) -> bool {
    let waits = matches!(
        connection.get_ref().tcp().try_read(&mut [0; 1]),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
    );
    waits && connection.buffer().is_empty()
}

async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    match timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(WireError::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} s", time.as_secs()),
        ))),
    }
}

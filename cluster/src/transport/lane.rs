//! The driver of one lane to one peer: one task that dials, takes over what the peer dialled, reads and writes.

use super::accept::{read_frame, say};
use super::links::{Accepted, LaneState, Peer, PingError, Shared};
use super::network::{Connection, DialError, Stream};
use super::window::{Epoch, Window};
use crate::identity::NodeId;
use crate::link::{Backoff, Broken, Decoder, Frame, Goodbye, Heard, HelloError, Message};
use bytes::BytesMut;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How much is written in one go.
const WRITE_BATCH_BYTES: usize = 64 * 1024;
/// How much is read in one go.
const READ_BYTES: usize = 128 * 1024;
/// A connection that lasted this long was a good one: the next failure starts the back-off anew.
const GOOD_AFTER: Duration = Duration::from_secs(1);

/// An open connection after both hellos.
struct Open {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    peer: NodeId,
}

/// Why a connection ended, or none came about.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("the peer closed the connection: {0}")]
    Goodbye(Goodbye),
    #[error("the peer closed the connection")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Decode(#[from] crate::link::DecodeError),
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] crate::link::Violation),
    #[error("the peer gives no sign")]
    Silent,
    #[error("the peer has made another connection")]
    Superseded,
    #[error("the peer was thrown out of the cluster")]
    Denied,
    #[error("the peer was given up")]
    Verdict,
    #[error("a new connection takes its place")]
    Renewed,
    #[error("the two sides began anew")]
    NotAgreed,
}

/// Runs until the links are gone.
pub(super) async fn run(links: Weak<Shared>, peer: Weak<Peer>, lane: Arc<LaneState>) {
    let mut backoff = Backoff::default();
    loop {
        let Some((shared, peer)) = links.upgrade().zip(peer.upgrade()) else {
            return;
        };
        carry_out_verdict(&shared, &peer, &lane);
        if !has_work(&peer, &lane) {
            drop((shared, peer));
            lane.changed.notified().await;
            continue;
        }
        let began = Instant::now();
        let ended = match connect(&shared, &peer, &lane).await {
            Ok(open) => serve(&shared, &lane, open).await,
            Err(ended) => ended,
        };
        note_end(&shared, &peer, &lane, &ended);
        if began.elapsed() >= GOOD_AFTER {
            backoff.succeeded();
        }
        if !matches!(
            ended,
            Ended::Superseded | Ended::Verdict | Ended::Renewed | Ended::NotAgreed
        ) {
            let wait = backoff.failed(shared.random());
            drop((shared, peer));
            rest(&lane, wait).await;
        }
    }
}

fn has_work(peer: &Peer, lane: &LaneState) -> bool {
    let has_address = peer.address.lock().is_some();
    let mut inner = lane.settled();
    let has_work = inner.incoming.is_some() || (has_address && inner.wants_connection());
    inner.is_idle = !has_work;
    has_work
}

/// Waits before the next attempt; not when the peer has come by itself, or is given up.
async fn rest(lane: &LaneState, wait: Duration) {
    // Elapsed or interrupted: both mean to go on.
    drop(tokio::time::timeout(wait, interrupted(lane)).await);
}

/// Resolves when the peer has made a connection, or is given up.
async fn interrupted(lane: &LaneState) {
    loop {
        {
            let inner = lane.inner.lock();
            if inner.incoming.is_some() || inner.verdict.is_some() || inner.renew {
                return;
            }
        }
        lane.changed.notified().await;
    }
}

fn carry_out_verdict(shared: &Shared, peer: &Peer, lane: &LaneState) {
    let broken = {
        let mut inner = lane.inner.lock();
        let Some(boot) = inner.verdict.take() else {
            return;
        };
        inner.is_wanted = false;
        inner.link.down(boot)
    };
    match broken {
        Some(broken) => tell_broken(shared, peer, lane, broken),
        // It was about another process.
        None => wake_waiters(lane),
    }
}

fn wake_waiters(lane: &LaneState) {
    let waiters = lane.inner.lock().take_waiters();
    for waiter in waiters {
        waiter.wake();
    }
}

fn tell_broken(shared: &Shared, peer: &Peer, lane: &LaneState, broken: Broken) {
    shared.handler.broken(&peer.name, lane.lane, broken);
    wake_waiters(lane);
}

fn note_end(shared: &Shared, peer: &Peer, lane: &LaneState, ended: &Ended) {
    let was_open = {
        let mut inner = lane.inner.lock();
        let was_open = inner.link.is_open();
        inner.link.closed();
        lane.released.lock().is_timed = false;
        inner.renew = false;
        inner.last_problem = Some(ended.to_string());
        let error = match ended {
            Ended::Dial(error) => PingError::Dial(error.clone()),
            _ => PingError::Closed,
        };
        if !matches!(ended, Ended::Superseded | Ended::Renewed | Ended::NotAgreed) {
            inner.fail_pings(&error);
        }
        for ping in inner.pings.values_mut() {
            ping.is_sent = false;
        }
        was_open
    };
    let is_abrupt = matches!(ended, Ended::Closed | Ended::Io(_));
    tracing::debug!(peer = %peer.name, lane = lane.lane.as_str(), %ended, "no connection");
    match ended {
        Ended::Goodbye(Goodbye::Evicted) => shared.handler.evicted(&peer.name),
        Ended::Goodbye(Goodbye::Version(theirs))
        | Ended::Hello(HelloError::Version { theirs, .. }) => {
            shared.handler.other_version(&peer.name, *theirs);
        }
        _ => {}
    }
    if was_open {
        shared
            .handler
            .closed(&peer.name, lane.lane, &ended.to_string(), is_abrupt);
    }
}

/// Gets a connection. When both sides dial at once, the connection that the lower name dialled is kept.
async fn connect(shared: &Shared, peer: &Peer, lane: &LaneState) -> Result<Open, Ended> {
    let accepted = lane.inner.lock().incoming.take();
    if let Some(accepted) = accepted {
        return take_over(shared, peer, lane, accepted).await;
    }
    let limit = shared.tuning.handshake_limit;
    let address = peer.address.lock().clone().ok_or(DialError::NoAddress {
        peer: peer.name.clone(),
    })?;
    let dialling = tokio::time::timeout(limit, dial(shared, peer, lane, &address));
    tokio::pin!(dialling);
    let gives_way = shared.me.name > peer.name;
    let dialled = tokio::select! {
        biased;
        () = interrupted(lane), if gives_way => {
            let accepted = lane.inner.lock().incoming.take();
            return match accepted {
                Some(accepted) => take_over(shared, peer, lane, accepted).await,
                None => Err(Ended::Verdict),
            };
        }
        dialled = &mut dialling => dialled,
    };
    dialled.unwrap_or_else(|_| {
        Err(Ended::Dial(DialError::Unreachable {
            address: address.clone(),
            why: format!("no answer within {limit:?}"),
        }))
    })
}

async fn dial(
    shared: &Shared,
    peer: &Peer,
    lane: &LaneState,
    address: &str,
) -> Result<Open, Ended> {
    let mut connection = shared.network.dial(address).await?;
    if let Some(found) = &connection.peer
        && *found != peer.name
    {
        return Err(Ended::Hello(HelloError::OtherNode {
            expected: peer.name.clone(),
            found: found.clone(),
        }));
    }
    let hello = lane.inner.lock().link.hello();
    say(&mut connection.stream, &Frame::Hello(Box::new(hello))).await;
    let mut decoder = Decoder::default();
    match read_frame(&mut connection.stream, &mut decoder).await {
        Some(Frame::Hello(hello)) => open(shared, peer, lane, connection, decoder, &hello, true),
        Some(Frame::Goodbye(goodbye)) => Err(Ended::Goodbye(goodbye)),
        Some(_) => Err(Ended::Violation(crate::link::Violation::Hello)),
        None => Err(Ended::Closed),
    }
}

async fn take_over(
    shared: &Shared,
    peer: &Peer,
    lane: &LaneState,
    accepted: Accepted,
) -> Result<Open, Ended> {
    let Accepted {
        connection,
        hello,
        decoder,
    } = accepted;
    let mut open = open(shared, peer, lane, connection, decoder, &hello, false)?;
    let mine = lane.inner.lock().link.hello();
    let answer = Frame::Hello(Box::new(mine));
    let said = tokio::time::timeout(
        shared.tuning.handshake_limit,
        say(&mut open.stream, &answer),
    );
    match said.await {
        Ok(()) => Ok(open),
        Err(_) => Err(Ended::Silent),
    }
}

/// Both hellos are known now, or will be as soon as ours is sent.
fn open(
    shared: &Shared,
    peer: &Peer,
    lane: &LaneState,
    connection: Connection,
    decoder: Decoder,
    hello: &crate::link::Hello,
    has_dialled: bool,
) -> Result<Open, Ended> {
    if !shared.handler.admits(&hello.node) {
        return Err(Ended::Denied);
    }
    let opened = {
        let mut inner = lane.inner.lock();
        let opened = inner.link.opened(hello)?;
        inner.connections += 1;
        inner.version = Some(opened.version);
        inner.last_problem = None;
        opened
    };
    if let Some(broken) = opened.broken {
        tell_broken(shared, peer, lane, broken);
    }
    peer.is_up();
    if has_dialled && !opened.is_agreed {
        return Err(Ended::NotAgreed);
    }
    lane.inner.lock().is_wanted = false;
    wake_waiters(lane);
    shared
        .handler
        .opened(&opened.peer, lane.lane, opened.resumed_at);
    Ok(Open {
        stream: connection.stream,
        decoder,
        peer: opened.peer,
    })
}

/// Ends its task with it.
struct Reader(JoinHandle<Ended>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads and writes until the connection is of no use any more. When this returns nothing of it is under way.
async fn serve(shared: &Arc<Shared>, lane: &Arc<LaneState>, open: Open) -> Ended {
    let (read, write) = tokio::io::split(open.stream);
    let mut reader = Reader(tokio::spawn(read_all(
        Arc::downgrade(shared),
        lane.clone(),
        read,
        open.decoder,
        open.peer,
    )));
    let ended = tokio::select! {
        biased;
        ended = write_all(shared, lane, write) => ended,
        ended = &mut reader.0 => return ended.unwrap_or(Ended::Closed),
    };
    // What it has begun to deliver must be delivered before a next connection delivers anything.
    reader.0.abort();
    match (&mut reader.0).await {
        // It had the better reason.
        Ok(by_reader) => by_reader,
        Err(_) => ended,
    }
}

async fn read_all(
    links: Weak<Shared>,
    lane: Arc<LaneState>,
    mut read: ReadHalf<Box<dyn Stream>>,
    mut decoder: Decoder,
    peer: NodeId,
) -> Ended {
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let Some(shared) = links.upgrade() else {
            return Ended::Closed;
        };
        let (epoch, taken) = take_frames(&shared, &lane, &mut decoder, &mut messages);
        // What came before a violation counts.
        if let Some(epoch) = epoch.filter(|_| !messages.is_empty()) {
            let window = Window::new(lane.clone(), epoch);
            let handler = &shared.handler;
            handler.messages(&peer, lane.lane, &mut messages, &window);
            messages.clear();
        }
        if let Err(ended) = taken {
            return ended;
        }
        drop(shared);
        decoder.buffer().reserve(READ_BYTES);
        match read.read_buf(decoder.buffer()).await {
            Ok(0) => return Ended::Closed,
            Ok(_) => {}
            Err(error) => return Ended::Io(error),
        }
    }
}

fn take_frames(
    shared: &Shared,
    lane: &LaneState,
    decoder: &mut Decoder,
    messages: &mut Vec<Message>,
) -> (Option<Epoch>, Result<(), Ended>) {
    let now = shared.now();
    let mut inner = lane.inner.lock();
    inner.link.heard_at(now);
    let mut outcome = Ok(());
    let mut waiters = Vec::new();
    loop {
        let frame = match decoder.frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                outcome = Err(error.into());
                break;
            }
        };
        match inner.link.handle(frame, now) {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Message(message)) => messages.push(message),
            Ok(Heard::Room) => waiters.extend(inner.take_waiters()),
            Ok(Heard::Pong(token)) => {
                if let Some(ping) = inner.pings.remove(&token) {
                    drop(ping.answer.send(Ok(ping.asked_at.elapsed())));
                }
            }
            Ok(Heard::Goodbye(goodbye)) => {
                outcome = Err(Ended::Goodbye(goodbye));
                break;
            }
            Err(violation) => {
                outcome = Err(violation.into());
                break;
            }
        }
    }
    let epoch = inner.link.epoch();
    let is_due = inner.link.is_write_due(now) && std::mem::take(&mut inner.is_idle);
    drop(inner);
    for waiter in waiters {
        waiter.wake();
    }
    if is_due {
        lane.changed.notify_one();
    }
    (epoch, outcome)
}

async fn write_all(
    shared: &Shared,
    lane: &LaneState,
    mut write: WriteHalf<Box<dyn Stream>>,
) -> Ended {
    let mut out = BytesMut::with_capacity(4096);
    let mut asked_at = None;
    loop {
        let next = match fill(shared, lane, &mut out, &mut asked_at) {
            Ok(next) => next,
            Err(ended) => return ended,
        };
        if !out.is_empty() {
            let written = async {
                write.write_all(&out).await?;
                write.flush().await
            };
            tokio::select! {
                biased;
                written = written => if let Err(error) = written {
                    return Ended::Io(error);
                },
                () = interrupted(lane) => continue,
            }
            out.clear();
            if out.capacity() > WRITE_BATCH_BYTES * 2 {
                out = BytesMut::with_capacity(4096);
            }
            continue;
        }
        let wait = next.saturating_sub(shared.now());
        // Elapsed or changed: both mean to look again.
        drop(tokio::time::timeout(wait, lane.changed.notified()).await);
    }
}

/// Puts what is due into `out`, and says until when nothing else is.
fn fill(
    shared: &Shared,
    lane: &LaneState,
    out: &mut BytesMut,
    asked_at: &mut Option<Duration>,
) -> Result<Duration, Ended> {
    let now = shared.now();
    let mut inner = lane.settled();
    if inner.verdict.is_some() {
        return Err(Ended::Verdict);
    }
    if inner.incoming.is_some() {
        return Err(Ended::Superseded);
    }
    if std::mem::take(&mut inner.renew) {
        return Err(Ended::Renewed);
    }
    inner.send_pings();
    let silence = shared.tuning.silence_limit;
    let mut next = now + Duration::from_secs(3600);
    if let Some(since) = inner.link.silent_since() {
        if now >= since + silence * 2 {
            return Err(Ended::Silent);
        }
        if now >= since + silence {
            if *asked_at != Some(since) {
                *asked_at = Some(since);
                inner.link.ping(0);
            }
            next = since + silence * 2;
        } else {
            next = since + silence;
        }
    }
    while out.len() < WRITE_BATCH_BYTES && inner.link.write(now, out) {}
    if let Some(deadline) = inner.link.deadline() {
        next = next.min(deadline);
    }
    inner.is_idle = out.is_empty();
    lane.released.lock().is_timed = inner.link.is_release_timed();
    Ok(next)
}

//! Taking connections in: bounded in number and time before anybody has shown who it is.

use super::links::{Accepted, Shared};
use super::network::{Connection, Incoming, Purpose, Stream};
use crate::link::{Decoder, Frame, Goodbye, Hello};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Weak;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

/// How long the listener rests after the system had no connection to give.
const REST: Duration = Duration::from_millis(50);

/// Takes connections in until the links are gone. Owns the handshakes that it begins.
pub(super) async fn run(links: Weak<Shared>) {
    let mut handshakes: JoinSet<Option<IpAddr>> = JoinSet::new();
    let mut by_address: BTreeMap<IpAddr, usize> = BTreeMap::new();
    loop {
        let Some(shared) = links.upgrade() else {
            return;
        };
        let network = shared.network.clone();
        let (most, most_each) = (
            shared.tuning.handshakes_max,
            shared.tuning.handshakes_per_address_max,
        );
        drop(shared);
        tokio::select! {
            biased;
            Some(done) = handshakes.join_next(), if !handshakes.is_empty() => {
                if let Ok(Some(from)) = done
                    && let Some(count) = by_address.get_mut(&from)
                {
                    *count -= 1;
                    if *count == 0 {
                        by_address.remove(&from);
                    }
                }
            }
            incoming = network.accept() => match incoming {
                Ok(incoming) => {
                    let from = incoming.from;
                    let mine = from.map_or(0, |from| by_address.get(&from).copied().unwrap_or(0));
                    if handshakes.len() >= most || mine >= most_each {
                        // Closed at once: whoever floods us has no claim on a place that others need.
                        drop(incoming);
                        continue;
                    }
                    if let Some(from) = from {
                        *by_address.entry(from).or_default() += 1;
                    }
                    let links = links.clone();
                    handshakes.spawn(async move {
                        welcome(links, incoming).await;
                        from
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take connections in");
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
}

async fn welcome(links: Weak<Shared>, incoming: Incoming) {
    let Some(limit) = links.upgrade().map(|s| s.tuning.handshake_limit) else {
        return;
    };
    // Who is slower than this, or breaks the rules, is let go without a word.
    drop(
        tokio::time::timeout(limit, async {
            match incoming.handshake.await {
                Ok(connection) if connection.purpose == Purpose::Join => {
                    if let Some(shared) = links.upgrade() {
                        shared.handler.join(connection);
                    }
                }
                Ok(connection) => introduce(&links, connection).await,
                Err(error) => tracing::debug!(%error, "an incoming connection came to nothing"),
            }
        })
        .await,
    );
}

async fn introduce(links: &Weak<Shared>, mut connection: Connection) {
    let mut decoder = Decoder::default();
    let Some(hello) = read_hello(&mut connection.stream, &mut decoder).await else {
        return;
    };
    let Some(shared) = links.upgrade() else {
        return;
    };
    if let Some(goodbye) = objection(&shared, &connection, &hello) {
        tracing::warn!(peer = %hello.node, %goodbye, "refused a link");
        say(&mut connection.stream, &Frame::Goodbye(goodbye)).await;
        return;
    }
    let peer = shared.peer(&hello.node.name);
    let state = peer.lane(hello.lane);
    let replaced = state.inner.lock().incoming.replace(Accepted {
        connection,
        hello,
        decoder,
    });
    state.changed.notify_one();
    drop(replaced);
}

fn objection(shared: &Shared, connection: &Connection, hello: &Hello) -> Option<Goodbye> {
    let has_other_name = connection
        .peer
        .as_ref()
        .is_some_and(|proved| *proved != hello.node.name);
    if has_other_name || hello.to != shared.me.name || hello.node.name == shared.me.name {
        return Some(Goodbye::OtherNode);
    }
    if hello.cluster != shared.cluster {
        return Some(Goodbye::OtherCluster);
    }
    let versions = shared.tuning.versions;
    if hello.common_version(versions).is_none() {
        return Some(Goodbye::Version(versions));
    }
    (!shared.handler.admits(&hello.node)).then_some(Goodbye::Evicted)
}

/// The first frame, if it is a hello. What was read beyond it stays in the decoder.
pub(super) async fn read_hello(
    stream: &mut Box<dyn Stream>,
    decoder: &mut Decoder,
) -> Option<Hello> {
    match read_frame(stream, decoder).await {
        Some(Frame::Hello(hello)) => Some(*hello),
        _ => None,
    }
}

pub(super) async fn read_frame(
    stream: &mut Box<dyn Stream>,
    decoder: &mut Decoder,
) -> Option<Frame> {
    loop {
        match decoder.frame() {
            Ok(Some(frame)) => return Some(frame),
            Ok(None) => {}
            Err(_) => return None,
        }
        if stream.read_buf(decoder.buffer()).await.ok()? == 0 {
            return None;
        }
    }
}

/// Writes one frame. Whether it arrives does not matter to who calls this: the connection shows it.
pub(super) async fn say(stream: &mut Box<dyn Stream>, frame: &Frame) {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    if stream.write_all(&out).await.is_ok() {
        drop(stream.flush().await);
    }
}

//! Requests from one node to another: a method, a target and a body, and one answer, as the API has them.
//!
//! They travel on the control lane between members that have proved who they are. Each waits for a bounded time, and ends at once when
//! its node is declared down. An answer comes in parts, each with its number, so that one that was dropped on the way is noticed.
//!
//! Refused: answers of more than 64 MiB, more than 1024 requests that wait at once, and more than 64 that are answered at once.

use super::member::Inner;
use super::orders;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use swarm_cluster::identity::NodeId;
use swarm_cluster::transport::{Links, Service};
use swarm_protocols::Name;
use tokio::sync::{Semaphore, oneshot};

/// The version of the messages, their first byte. Others are not read.
const VERSION: u8 = 1;
/// How many bytes of an answer travel in one message.
const PART_BYTES: usize = 256 * 1024;
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest body of a request: it is one message of a link.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// How many requests of this node may wait for their answers.
const PENDING_MAX: usize = 1024;
/// How many requests of others are answered at once.
const SERVING_MAX: usize = 64;
/// How long answering one may take.
const SERVING_LIMIT: Duration = Duration::from_secs(120);

/// A request to another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// JSON, or nothing.
    pub body: Vec<u8>,
}

impl Forwarded {
    /// A request for what is at `target`.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.into(),
            body: Vec::new(),
        }
    }
}

/// The answer of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// A status of HTTP.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

impl Answered {
    /// Whether it was done.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn busy() -> Self {
        Self {
            status: 503,
            body: br#"{"error":{"code":"busy","message":"the node answers too many requests of others","try":"try again"}}"#.to_vec(),
        }
    }
}

/// Answers the requests of other nodes.
pub trait Answerer: Send + Sync + 'static {
    /// The answer to one request of a member. Dropped when it takes too long.
    fn answer(&self, from: NodeId, request: Forwarded) -> BoxFuture<'static, Answered>;
}

/// Why a request has no answer. Whether it was done is not known, but for [`RequestError::NoSuchNode`], [`RequestError::TooMany`] and
/// [`RequestError::TooLarge`] of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No member of that name is known here. Nothing was sent.
    #[error("no node {0} is known")]
    NoSuchNode(Name),
    /// The node was declared down before it answered.
    #[error("the node is down")]
    Down,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The request or the answer is larger than one may be.
    #[error("larger than a request or an answer may be")]
    TooLarge,
    /// Too many wait. Nothing was sent.
    #[error("too many requests wait for their answers")]
    TooMany,
    /// A part of the answer was lost.
    #[error("a part of the answer is missing")]
    Incomplete,
}

#[derive(Serialize, Deserialize)]
enum RequestMessage {
    Ask {
        id: u64,
        request: Forwarded,
    },
    Part {
        id: u64,
        index: u32,
        is_last: bool,
        status: u16,
        bytes: Vec<u8>,
    },
}

fn encode(message: &RequestMessage) -> Vec<u8> {
    postcard::to_extend(message, vec![VERSION]).unwrap_or_default()
}

fn decode(bytes: &[u8]) -> Option<RequestMessage> {
    let (&VERSION, body) = bytes.split_first()? else {
        return None;
    };
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Some(message),
        Ok(_) | Err(_) => None,
    }
}

type Outcome = Result<Answered, RequestError>;

struct Pending {
    node: Name,
    parts: u32,
    body: Vec<u8>,
    done: oneshot::Sender<Outcome>,
}

/// The requests of one node, and those that it answers.
pub(super) struct Requests {
    pending: Mutex<BTreeMap<u64, Pending>>,
    next: AtomicU64,
    answerer: Mutex<Option<Weak<dyn Answerer>>>,
    serving: Arc<Semaphore>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            next: AtomicU64::new(1),
            answerer: Mutex::default(),
            serving: Arc::new(Semaphore::new(SERVING_MAX)),
        }
    }
}

/// A request that nobody waits for any more is forgotten.
struct Waiting<'a>(&'a Requests, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.pending.lock().remove(&self.1);
    }
}

impl Requests {
    pub(super) fn answer_with(&self, answerer: Weak<dyn Answerer>) {
        *self.answerer.lock() = Some(answerer);
    }

    pub(super) async fn ask(
        &self,
        links: &Links,
        node: &Name,
        request: Forwarded,
        within: Duration,
    ) -> Outcome {
        if request.body.len() + request.target.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLarge);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, answered) = oneshot::channel();
        {
            let mut pending = self.pending.lock();
            if pending.len() >= PENDING_MAX {
                return Err(RequestError::TooMany);
            }
            let waits = Pending {
                node: node.clone(),
                parts: 0,
                body: Vec::new(),
                done,
            };
            pending.insert(id, waits);
        }
        let _waiting = Waiting(self, id);
        let exchange = async {
            let message = encode(&RequestMessage::Ask { id, request });
            if links.tell(node, Service::Requests, message).await.is_err() {
                return Err(RequestError::NoSuchNode(node.clone()));
            }
            answered.await.unwrap_or(Err(RequestError::Down))
        };
        tokio::time::timeout(within, exchange)
            .await
            .unwrap_or(Err(RequestError::Timeout(within)))
    }

    /// What waits for a node that is down has no answer.
    pub(super) fn node_lost(&self, node: &Name) {
        let lost: Vec<Pending> = {
            let mut pending = self.pending.lock();
            let ids: Vec<u64> = pending
                .iter()
                .filter(|(_, waits)| waits.node == *node)
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| pending.remove(id)).collect()
        };
        for waits in lost {
            // Who no longer waits does not need to know.
            drop(waits.done.send(Err(RequestError::Down)));
        }
    }

    fn part(&self, from: &NodeId, (id, index): (u64, u32), last: Option<u16>, bytes: &[u8]) {
        let mut pending = self.pending.lock();
        let Some(waits) = pending.get_mut(&id).filter(|waits| waits.node == from.name) else {
            return;
        };
        let failure = if index != waits.parts {
            Some(RequestError::Incomplete)
        } else if waits.body.len() + bytes.len() > ANSWER_BYTES_MAX {
            Some(RequestError::TooLarge)
        } else {
            None
        };
        waits.parts += 1;
        if failure.is_none() {
            waits.body.extend_from_slice(bytes);
        }
        if failure.is_none() && last.is_none() {
            return;
        }
        if let Some(waits) = pending.remove(&id) {
            let outcome = match (failure, last) {
                (None, Some(status)) => Ok(Answered {
                    status,
                    body: waits.body,
                }),
                (failure, _) => Err(failure.unwrap_or(RequestError::Incomplete)),
            };
            drop(waits.done.send(outcome));
        }
    }

    fn answerer(&self) -> Option<Arc<dyn Answerer>> {
        self.answerer.lock().as_ref()?.upgrade()
    }
}

/// Something about requests has arrived from a member.
pub(super) fn arrived(member: &Arc<Inner>, from: &NodeId, bytes: &Bytes) {
    match decode(bytes) {
        Some(RequestMessage::Part {
            id,
            index,
            is_last,
            status,
            bytes,
        }) => {
            let last = is_last.then_some(status);
            member.requests.part(from, (id, index), last, &bytes);
        }
        Some(RequestMessage::Ask { id, request }) => serve(member, from, id, request),
        None => tracing::warn!(%from, "a request that makes no sense: it speaks another version"),
    }
}

fn serve(member: &Arc<Inner>, from: &NodeId, id: u64, request: Forwarded) {
    let place = member.requests.serving.clone().try_acquire_owned();
    let links = member.links.clone();
    let from = from.clone();
    let weak = Arc::downgrade(member);
    let answerer = member.requests.answerer();
    member.runtime.spawn(async move {
        let answering = async {
            if place.is_err() {
                return Answered::busy();
            }
            if orders::is_order(&request.target) {
                return match weak.upgrade() {
                    Some(member) => orders::carry_out(&member, &from, &request).await,
                    None => Answered::busy(),
                };
            }
            match answerer {
                Some(answerer) => answerer.answer(from.clone(), request).await,
                None => Answered::busy(),
            }
        };
        let whole = async {
            let answered = answering.await;
            send(&links, &from.name, id, &answered).await;
        };
        if tokio::time::timeout(SERVING_LIMIT, whole).await.is_err() {
            tracing::debug!(%from, "a request was not answered in time");
        }
        drop(place);
    });
}

async fn send(links: &Links, to: &Name, id: u64, answered: &Answered) {
    let mut chunks = answered.body.chunks(PART_BYTES).peekable();
    let mut index = 0;
    loop {
        let bytes = chunks.next().unwrap_or_default();
        let is_last = chunks.peek().is_none();
        let part = RequestMessage::Part {
            id,
            index,
            is_last,
            status: answered.status,
            bytes: bytes.to_vec(),
        };
        let told = links.tell(to, Service::Requests, encode(&part)).await;
        // Who asked is gone.
        if is_last || told.is_err() {
            return;
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_cluster::identity::BootId;

    fn node(name: &str) -> NodeId {
        NodeId {
            name: Name::new(name).expect("valid"),
            boot: BootId(1),
        }
    }

    fn pending(requests: &Requests, id: u64) -> oneshot::Receiver<Outcome> {
        let (done, answered) = oneshot::channel();
        let waits = Pending {
            node: node("n2").name,
            parts: 0,
            body: Vec::new(),
            done,
        };
        requests.pending.lock().insert(id, waits);
        answered
    }

    #[test]
    fn parts_make_an_answer_and_a_missing_one_is_noticed() {
        let requests = Requests::default();
        let mut whole = pending(&requests, 1);
        requests.part(&node("n2"), (1, 0), None, b"ab");
        // Nobody else answers for it.
        requests.part(&node("n3"), (1, 1), Some(500), b"x");
        requests.part(&node("n2"), (1, 1), Some(200), b"c");
        let answered = whole.try_recv().expect("answered").expect("whole");
        assert_eq!((answered.status, &answered.body[..]), (200, &b"abc"[..]));
        let mut torn = pending(&requests, 2);
        requests.part(&node("n2"), (2, 0), None, b"ab");
        requests.part(&node("n2"), (2, 2), Some(200), b"c");
        assert_eq!(
            torn.try_recv().expect("told"),
            Err(RequestError::Incomplete)
        );
        assert!(requests.pending.lock().is_empty());
    }

    #[test]
    fn what_waits_for_a_lost_node_is_told_at_once() {
        let requests = Requests::default();
        let mut answered = pending(&requests, 1);
        requests.node_lost(&node("n3").name);
        assert!(answered.try_recv().is_err());
        requests.node_lost(&node("n2").name);
        assert_eq!(answered.try_recv().expect("told"), Err(RequestError::Down));
    }

    #[test]
    fn garbled_messages_are_not_read() {
        let mut bytes = encode(&RequestMessage::Ask {
            id: 1,
            request: Forwarded::get("/v1/status"),
        });
        assert!(decode(&bytes).is_some());
        bytes.push(0);
        assert!(decode(&bytes).is_none());
        bytes[0] = VERSION + 1;
        assert!(decode(&bytes).is_none());
        assert!(decode(&[]).is_none());
    }
}

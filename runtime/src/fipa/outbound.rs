//! The way out: from an agent of here to one of another platform.

use super::acc::{Acc, now};
use super::counts::count;
use super::peer::{self, Parcel};
use super::url::PeerUrl;
use std::time::Duration;
use swarm_actors::AclGateway;
use swarm_protocols::mtp::package::{self, Unsendable};
use swarm_protocols::{AclMessage, Aid, Path};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// How many addresses of other platforms are written to at a time. Beyond it a message for another one fails at once.
const PEERS_MAX: usize = 256;
/// How many messages wait for one address. Beyond it the next one fails at once.
const PARCELS_MAX: usize = 1024;
/// How long a message is tried, over all addresses of its receiver.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// How many addresses of a receiver are tried.
const ADDRESSES_MAX: usize = 8;

impl AclGateway for Acc {
    fn platform(&self) -> &str {
        &self.options().platform
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.url().to_owned()]
    }

    fn forward(&self, from: &Path, mut message: AclMessage, receiver: &Aid) {
        message.sender = Some(self.sender(from, message.sender.take()));
        self.send(Some(from), message, receiver);
    }
}

impl Acc {
    /// The sender as others can write back to it: with this platform's address, and under a name that is found again. An agent
    /// without a registered name goes by its path.
    fn sender(&self, from: &Path, stated: Option<Aid>) -> Aid {
        match stated {
            Some(aid) if !self.is_here(&aid) => aid,
            stated => {
                let stated = stated.unwrap_or_else(|| Aid::named(""));
                let found = self.system().and_then(|system| system.agent_of(&stated));
                let local = match found {
                    Some(agent) if agent.path() == from => stated.local_name().to_owned(),
                    _ => from.to_string(),
                };
                let mut aid = self.aid(&local);
                aid.user_slots = stated.user_slots;
                aid
            }
        }
    }

    /// Sends a message to one receiver of another platform. `from` is the agent that hears of it when that fails; none for
    /// the AMS, whom nobody tells.
    pub(super) fn send(&self, from: Option<&Path>, message: AclMessage, receiver: &Aid) {
        let addresses: Vec<PeerUrl> = receiver
            .addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .take(ADDRESSES_MAX)
            .collect();
        let written = loop {
            let boundary = format!("swarm-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            match package::write(&message, receiver, now(), &boundary) {
                // By chance, or because somebody copied a boundary that was seen.
                Err(Unsendable::Boundary) => {}
                written => break written,
            }
        };
        let no_address = addresses.is_empty();
        let (out, why) = match written {
            Ok(out) if no_address => (
                out,
                Some(
                    "Foreign agent with no address: none that starts with http:// or https://"
                        .to_owned(),
                ),
            ),
            Ok(out) => (out, None),
            Err(error) => {
                self.tell(from, &message, receiver, &format!("Service error: {error}"));
                return;
            }
        };
        let parcel = Parcel {
            out,
            addresses,
            expires: Instant::now() + SEND_TIME_MAX,
            sender: from.cloned(),
            receiver: receiver.clone(),
            message,
        };
        match why {
            Some(why) => self.not_sent(parcel, &why),
            None => self.enqueue(parcel),
        }
    }

    /// Puts a message into the queue of the first address that is left to it.
    pub(super) fn enqueue(&self, parcel: Parcel) {
        let Some(url) = parcel.addresses.first().cloned() else {
            return;
        };
        let refused = {
            let mut peers = self.peers().lock();
            let is_room = peers.len() < PEERS_MAX || peers.contains_key(&url);
            if is_room {
                let queue = peers.entry(url.clone()).or_insert_with(|| {
                    let (sender, receiver) = mpsc::channel(PARCELS_MAX);
                    let task = peer::run(self.clone(), url.clone(), receiver);
                    self.runtime().spawn(task);
                    sender
                });
                queue.try_send(parcel)
            } else {
                Err(TrySendError::Full(parcel))
            }
        };
        if let Err(TrySendError::Full(parcel) | TrySendError::Closed(parcel)) = refused {
            let why = format!("Foreign agent unreachable: too many messages wait for {url}");
            self.not_sent(parcel, &why);
        }
    }

    /// Ends a peer's task if nothing waits for it.
    pub(super) fn forget_peer(&self, url: &PeerUrl, parcels: &mut mpsc::Receiver<Parcel>) -> bool {
        let mut peers = self.peers().lock();
        let is_empty = parcels.is_empty();
        if is_empty {
            peers.remove(url);
        }
        is_empty
    }

    /// A message that nobody has taken.
    pub(super) fn not_sent(&self, parcel: Parcel, why: &str) {
        count(&self.counters().unsent);
        let sender = parcel.sender.as_ref();
        self.tell(sender, &parcel.message, &parcel.receiver, why);
    }

    /// Tells an agent of here that its message did not arrive.
    fn tell(&self, from: Option<&Path>, message: &AclMessage, receiver: &Aid, why: &str) {
        tracing::info!(receiver = %receiver.name, why, "an ACL message did not reach another platform");
        let agent = from.and_then(|from| self.system()?.lookup(from));
        let failure = self.failure(message, receiver, why);
        if let (Some(agent), Some(failure)) = (agent, failure) {
            count(&self.counters().failures);
            // An agent whose mailbox is full finds the message in its dead letters at best; there is nobody else to tell.
            let _ = agent.try_send_acl(failure);
        }
    }
}

//! The agent communication channel: what the way in and the way out share.

use super::counts::Counters;
use super::peer::Parcel;
use super::recent::Recent;
use super::server::FipaOptions;
use super::tls::Tls;
use super::url::PeerUrl;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use swarm_actors::{AnyRef, System, WeakSystem};
use swarm_protocols::sl::{self, management};
use swarm_protocols::{AclMessage, Aid, Performative, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Cheap to clone. Does not keep the system alive.
#[derive(Clone)]
pub(super) struct Acc(Arc<Inner>);

struct Inner {
    system: WeakSystem,
    /// The node's name.
    node: String,
    options: FipaOptions,
    tls: Tls,
    /// Where others reach this platform.
    url: String,
    counters: Arc<Counters>,
    recent: Mutex<Recent>,
    peers: Mutex<BTreeMap<PeerUrl, mpsc::Sender<Parcel>>>,
    /// The transport's own threads.
    runtime: Handle,
}

impl Acc {
    pub(super) fn new(
        system: &System,
        options: FipaOptions,
        tls: Tls,
        url: String,
        runtime: Handle,
    ) -> Self {
        Self(Arc::new(Inner {
            system: system.downgrade(),
            node: system.node().to_string(),
            options,
            tls,
            url,
            counters: Arc::default(),
            recent: Mutex::default(),
            peers: Mutex::default(),
            runtime,
        }))
    }

    pub(super) fn system(&self) -> Option<System> {
        self.0.system.upgrade()
    }

    pub(super) fn options(&self) -> &FipaOptions {
        &self.0.options
    }

    pub(super) fn tls(&self) -> &Tls {
        &self.0.tls
    }

    pub(super) fn url(&self) -> &str {
        &self.0.url
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    pub(super) fn recent(&self) -> &Mutex<Recent> {
        &self.0.recent
    }

    pub(super) fn peers(&self) -> &Mutex<BTreeMap<PeerUrl, mpsc::Sender<Parcel>>> {
        &self.0.peers
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Whether an agent of that name is one of here: of the platform, of the node by itself, or of none that is named.
    pub(super) fn is_here(&self, aid: &Aid) -> bool {
        aid.platform().is_none_or(|platform| {
            platform.eq_ignore_ascii_case(&self.0.options.platform)
                || platform.eq_ignore_ascii_case(&self.0.node)
        })
    }

    /// The agent of here that an AID names.
    pub(super) fn agent(&self, aid: &Aid) -> Option<AnyRef> {
        self.system()
            .filter(|_| self.is_here(aid))
            .and_then(|system| system.agent_of(aid))
    }

    /// The AID of an agent of here, with the address at which others reach it.
    pub(super) fn aid(&self, local: &str) -> Aid {
        let mut aid = Aid::named(format!("{local}@{}", self.0.options.platform));
        aid.addresses.push(self.0.url.clone());
        aid
    }

    /// What the AMS tells the sender of a message that could not be delivered to one of its receivers (fipa.md a.2, R7).
    /// None where the message is such a failure itself, or where nobody is known who could be told.
    pub(super) fn failure(
        &self,
        message: &AclMessage,
        receiver: &Aid,
        why: &str,
    ) -> Option<AclMessage> {
        let sender = message.sender.as_ref()?;
        if message.is_delivery_failure() {
            return None;
        }
        let mut failure = message.reply(Performative::Failure);
        failure.sender = Some(self.aid("ams"));
        failure.receiver = vec![sender.clone()];
        failure.language = Some(sl::LANGUAGE.into());
        failure.ontology = Some(management::ONTOLOGY.into());
        failure.encoding = None;
        let content = sl::write(&management::delivery_failure(sender, receiver, why));
        failure.content = content.ok().map(String::into_bytes);
        Some(failure)
    }
}

/// What time it is.
pub(super) fn now() -> Timestamp {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(since_1970)
}

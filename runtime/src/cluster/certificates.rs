//! Renewing this node's certificate, and renewing those of others.

use super::member::{Inner, wall_ms};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Weak;
use std::time::Duration;
use swarm_cluster::identity::NodeId;
use swarm_cluster::security::watch::{Stage, stage};
use swarm_cluster::security::{NODE_CERTIFICATE_LIFE, NodeCertificate, NodeKey};
use swarm_cluster::transport::Service;

/// How often the certificate is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// What nodes say to each other about certificates.
#[derive(Serialize, Deserialize)]
enum CertificateMessage {
    /// Certify this key for the sender.
    Request(Vec<u8>),
    /// The chain for the last request, and the roots.
    Answer(Vec<Vec<u8>>, Vec<Vec<u8>>),
}

/// A key whose certificate was asked for.
#[derive(Default)]
pub(super) struct Renewal {
    key: Mutex<Option<NodeKey>>,
    told: Mutex<Option<Stage>>,
}

/// Looks at the certificate until the node is gone.
pub(super) async fn watch(member: Weak<Inner>) {
    loop {
        {
            let Some(member) = member.upgrade() else {
                return;
            };
            look(&member);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn look(member: &Inner) {
    let described = member.credentials.current().described.clone();
    let now = wall_ms() / 1000;
    let (stage, _) = stage(described.not_before, described.not_after, now);
    let before = member.renewal.told.lock().replace(stage);
    if before != Some(stage) && stage > Stage::Fresh {
        let left = described.not_after.saturating_sub(now);
        tracing::warn!(
            stage = stage.as_str(),
            left_s = left,
            "the node's certificate"
        );
        if let Some(system) = member.system.upgrade() {
            let detail = format!("{}: {left} s left", stage.as_str());
            system.publish_custom(None, "certificate", &detail);
        }
    }
    if stage > Stage::Fresh {
        renew(member, now);
    }
}

fn renew(member: &Inner, now: u64) {
    if let Some(authority) = &member.authority {
        let name = &member.links.me().name;
        match authority.issue(name, now, NODE_CERTIFICATE_LIFE) {
            Ok(certificate) => {
                let roots = member.kept.lock().roots.clone();
                take(member, certificate, roots);
            }
            Err(error) => tracing::error!(%error, "cannot renew the certificate"),
        }
        return;
    }
    let key = match NodeKey::generate() {
        Ok(key) => key,
        Err(error) => {
            tracing::error!(%error, "cannot renew the certificate");
            return;
        }
    };
    let Ok(request) = key.request(&member.links.me().name) else {
        return;
    };
    *member.renewal.key.lock() = Some(key);
    // All are asked; who holds the authority answers, and the first answer fits the key.
    if let Ok(bytes) = postcard::to_allocvec(&CertificateMessage::Request(request)) {
        for peer in member.peers() {
            member
                .links
                .say(&peer, Service::Certificates, bytes.clone());
        }
    }
}

pub(super) fn message(member: &Inner, from: &NodeId, bytes: &[u8]) {
    match postcard::from_bytes(bytes) {
        Ok(CertificateMessage::Request(request)) => {
            let Some(authority) = &member.authority else {
                return;
            };
            let now = wall_ms() / 1000;
            // For the name that the link has proved, and no other.
            match authority.certify(&from.name, &request, now, NODE_CERTIFICATE_LIFE) {
                Ok(chain) => {
                    let roots = member.kept.lock().roots.clone();
                    let answer = CertificateMessage::Answer(chain, roots);
                    if let Ok(bytes) = postcard::to_allocvec(&answer) {
                        member.links.say(&from.name, Service::Certificates, bytes);
                    }
                }
                Err(error) => tracing::warn!(%from, %error, "did not renew a certificate"),
            }
        }
        Ok(CertificateMessage::Answer(chain, roots)) => {
            let key = member.renewal.key.lock().take();
            if let Some(key) = key {
                take(member, key.certified(chain), roots);
            }
        }
        Err(_) => tracing::warn!(%from, "a message about certificates that makes no sense"),
    }
}

fn take(member: &Inner, certificate: NodeCertificate, roots: Vec<Vec<u8>>) {
    if let Err(error) = member
        .credentials
        .replace(certificate.clone(), roots.clone())
    {
        tracing::error!(%error, "the new certificate cannot be used");
        return;
    }
    {
        let mut kept = member.kept.lock();
        kept.chain = certificate.chain().map(<[u8]>::to_vec).collect();
        kept.key = certificate.secret_key().to_vec();
        kept.roots = roots;
        member.store(&kept);
    }
    for peer in member.peers() {
        member.links.reconnect(&peer);
    }
    tracing::info!("the node's certificate was renewed");
}

//! The exchange that admits a node: it shows a token and asks for a certificate, and learns who is a member.
//!
//! It runs over TLS in which the joining node checks the other side against the fingerprint in its token, so that a token is never
//! shown to anybody but a node of its cluster. One request, one answer, both bounded in size; each failure has a type of its own.

use super::certificate::CertificateError;
use super::credentials::{ALPN_JOIN, provider};
use super::token::{JoinToken, TokenGrant, TokenId, TokenRefusal, TokenStore};
use super::{NodeCertificate, NodeKey, PinnedRoot, PinnedVerdict, Verifier};
use crate::identity::NodeId;
use crate::link::{WIRE_VERSIONS, common_version};
use crate::transport::Stream;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Name;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// How long joining may take in all.
pub const JOIN_LIMIT: Duration = Duration::from_millis(4_500);
/// How far two clocks may be apart.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_millis(2_500);
/// For how long a node that closes the connection is tried again: it takes only so many in at once. What is left of [`JOIN_LIMIT`] is for
/// the exchange.
const BUSY_LIMIT: Duration = Duration::from_secs(3);
/// How long is waited before that: at least this, and up to twice as long, so that those who were turned away together do not come back together.
const BUSY_WAIT: Duration = Duration::from_millis(100);
/// The longest request: a certificate request and some names.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The longest answer: certificates, and a list of members.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What a joining node says.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The link versions that it speaks, oldest and newest.
    pub versions: (u16, u16),
    /// Which token it has.
    pub token: TokenId,
    secret: [u8; 32],
    /// Who it is.
    pub node: NodeId,
    /// The request to certify its key.
    pub csr: Vec<u8>,
    /// Its clock, in milliseconds since 1970 UTC.
    pub clock_ms: u64,
    /// Where its links listen.
    pub address: String,
}

impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinRequest")
            .field("node", &self.node)
            .field("token", &self.token)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A member, as a joining node needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Who.
    pub node: NodeId,
    /// Where its links listen, and its gossip: the same port.
    pub address: String,
}

/// What an admitted node gets.
#[derive(Clone, Serialize, Deserialize)]
pub struct Admission {
    /// The cluster's id.
    pub cluster: u128,
    /// The cluster's name.
    pub cluster_name: Name,
    /// The node's certificate, and what lies between it and a root.
    pub chain: Vec<Vec<u8>>,
    /// Whom to trust.
    pub roots: Vec<Vec<u8>>,
    /// The authority, sealed with the token's secret, when the node becomes a voter.
    pub authority: Option<Vec<u8>>,
    /// The keys that gossip is sealed with, as the membership part wrote them.
    pub gossip_keys: Vec<u8>,
    /// Who is a member, the node that answers first.
    pub members: Vec<Seed>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission")
            .field("cluster", &self.cluster_name)
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

/// Why a node was not let in. Nothing was changed, and the token was not used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum JoinRefusal {
    /// The token is of no use.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// The clocks are too far apart for certificates to mean anything.
    #[error("the clocks of the two nodes are {} s apart", .apart_ms / 1000)]
    ClockSkew {
        /// How far, in milliseconds.
        apart_ms: u64,
    },
    /// There is no link version that both speak.
    #[error("the cluster speaks link versions {} to {}", .theirs.0, .theirs.1)]
    Version {
        /// What the cluster speaks, oldest and newest.
        theirs: (u16, u16),
    },
    /// A live member has that name.
    #[error("a member called {name} is alive")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// This node does not hold the authority's key, and reaches none that does.
    #[error("this node does not hold the cluster's authority and reaches no voter")]
    NotHere,
    /// The request makes no sense.
    #[error("the request was not understood: {0}")]
    Malformed(String),
    /// The token is limited in uses, and the member that counts them does not answer.
    #[error("the token's uses are counted by {home}, which does not answer")]
    NotCounted {
        /// The member.
        home: Name,
    },
}

#[derive(Serialize, Deserialize)]
enum JoinAnswer {
    Admitted(Box<Admission>),
    Refused(JoinRefusal),
}

/// Why joining failed. This node is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Nobody answers at the address. Retry when the node there is up, or the network is whole.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said.
        why: String,
    },
    /// Something answers that is no node: the address is wrong.
    #[error("what answers at {address} is no Swarm node: {why}")]
    NotANode {
        /// Where.
        address: String,
        /// What it did.
        why: String,
    },
    /// A node of another cluster than the token's answers. The token was not shown to it.
    #[error("the node at {address} belongs to another cluster than the token")]
    OtherCluster {
        /// Where.
        address: String,
    },
    /// The certificate of the node there does not hold by this node's clock.
    #[error(
        "by this node's clock the certificate of {address} does not hold; one of the two clocks is wrong"
    )]
    ClockSkew {
        /// Where.
        address: String,
    },
    /// The cluster said no.
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
    /// No answer in time.
    #[error("{address} did not answer within {within:?}")]
    Timeout {
        /// Where.
        address: String,
        /// How long.
        within: Duration,
    },
    /// What the cluster gave cannot be used.
    #[error("what {address} answered cannot be used: {source}")]
    Unusable {
        /// Where.
        address: String,
        /// Why.
        source: CertificateError,
    },
}

/// A node that was let in.
#[derive(Debug)]
pub struct Joined {
    /// What it got.
    pub admission: Admission,
    /// Its certificate.
    pub certificate: NodeCertificate,
}

/// Joins at `address` (`HOST:PORT`), within [`JOIN_LIMIT`]. Dropping the future gives up; the node there may have counted a use.
///
/// # Errors
/// [`JoinError`].
pub async fn join(
    address: &str,
    token: &JoinToken,
    node: NodeId,
    listens_at: String,
    clock_ms: u64,
) -> Result<Joined, JoinError> {
    let attempt = attempt(address, token, node, listens_at, clock_ms);
    match tokio::time::timeout(JOIN_LIMIT, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(JoinError::Timeout {
            address: address.to_owned(),
            within: JOIN_LIMIT,
        }),
    }
}

async fn attempt(
    address: &str,
    token: &JoinToken,
    node: NodeId,
    listens_at: String,
    clock_ms: u64,
) -> Result<Joined, JoinError> {
    let unusable = |source| JoinError::Unusable {
        address: address.to_owned(),
        source,
    };
    let key = NodeKey::generate().map_err(unusable)?;
    let request = JoinRequest {
        versions: WIRE_VERSIONS,
        token: token.id,
        secret: token.secret,
        csr: key.request(&node.name).map_err(unusable)?,
        node,
        clock_ms,
        address: listens_at,
    };
    let mut stream = connect_when_free(address, token.authority).await?;
    let not_a_node = |why: std::io::Error| JoinError::NotANode {
        address: address.to_owned(),
        why: why.to_string(),
    };
    write(&mut stream, &request).await.map_err(not_a_node)?;
    let answer = read(&mut stream, ANSWER_BYTES_MAX).await;
    match answer.map_err(not_a_node)? {
        JoinAnswer::Refused(refusal) => Err(refusal.into()),
        JoinAnswer::Admitted(admission) if admission.cluster != token.cluster => {
            Err(JoinError::OtherCluster {
                address: address.to_owned(),
            })
        }
        JoinAnswer::Admitted(admission) => {
            let certificate = key.certified(admission.chain.clone());
            certificate.describe().map_err(unusable)?;
            Ok(Joined {
                admission: *admission,
                certificate,
            })
        }
    }
}

/// Connects, again and again while the other side closes the connection before either side has shown anything.
async fn connect_when_free(
    address: &str,
    authority: [u8; 32],
) -> Result<Box<dyn Stream>, JoinError> {
    let began = Instant::now();
    loop {
        match connect(address, authority).await {
            Err(NotConnected::Closed(_)) if began.elapsed() < BUSY_LIMIT => {
                tokio::time::sleep(BUSY_WAIT.mul_f64(1.0 + fastrand::f64())).await;
            }
            connected => return connected.map_err(NotConnected::into_error),
        }
    }
}

/// Why there is no connection.
enum NotConnected {
    /// It was closed during TLS, before the other side had shown a certificate: too many are joining there, or it is no node.
    Closed(JoinError),
    Failed(JoinError),
}

impl NotConnected {
    fn into_error(self) -> JoinError {
        match self {
            Self::Closed(error) | Self::Failed(error) => error,
        }
    }
}

impl From<JoinError> for NotConnected {
    fn from(error: JoinError) -> Self {
        Self::Failed(error)
    }
}

async fn connect(address: &str, authority: [u8; 32]) -> Result<Box<dyn Stream>, NotConnected> {
    let unreachable = |why: String| JoinError::Unreachable {
        address: address.to_owned(),
        why,
    };
    let tcp = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address))
        .await
        .map_err(|_| unreachable(format!("no answer within {CONNECT_LIMIT:?}")))?
        .map_err(|error| unreachable(error.to_string()))?;
    let provider = provider();
    let pinned = Arc::new(Verifier {
        trust: PinnedRoot {
            fingerprint: authority,
            verdict: Mutex::new(None),
        },
        provider: provider.clone(),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unreachable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(pinned.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_JOIN.to_vec()];
    config.resumption = Resumption::disabled();
    let connected = TlsConnector::from(Arc::new(config))
        .connect(server_name(), tcp)
        .await;
    let verdict = *pinned.trust.verdict.lock();
    let address = address.to_owned();
    match (connected, verdict) {
        (Ok(stream), _) => Ok(Box::new(stream)),
        (Err(_), Some(PinnedVerdict::OtherAuthority | PinnedVerdict::Invalid)) => {
            Err(JoinError::OtherCluster { address }.into())
        }
        (Err(_), Some(PinnedVerdict::NotInTerm)) => Err(JoinError::ClockSkew { address }.into()),
        (Err(error), verdict) => {
            let why = error.to_string();
            let not_a_node = JoinError::NotANode { address, why };
            let is_closed = matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            );
            Err(match verdict {
                None if is_closed => NotConnected::Closed(not_a_node),
                _ => NotConnected::Failed(not_a_node),
            })
        }
    }
}

/// What the node that decides knows.
pub struct Gate<'a> {
    /// The tokens that were made here.
    pub tokens: &'a TokenStore,
    /// The names of live members.
    pub alive: &'a BTreeSet<Name>,
    /// The clock, in milliseconds since 1970 UTC.
    pub clock_ms: u64,
}

/// Whether a node is let in. Pure: issuing the certificate and counting the use are the caller's.
///
/// # Errors
/// [`JoinRefusal`]. What a stranger may learn comes after the token was found to be good.
pub fn decide(request: &JoinRequest, gate: &Gate<'_>) -> Result<TokenGrant, JoinRefusal> {
    let now = gate.clock_ms / 1000;
    let grant = gate.tokens.check(request.token, &request.secret, now)?;
    if common_version(request.versions, WIRE_VERSIONS).is_none() {
        return Err(JoinRefusal::Version {
            theirs: WIRE_VERSIONS,
        });
    }
    let apart_ms = gate.clock_ms.abs_diff(request.clock_ms);
    if Duration::from_millis(apart_ms) > CLOCK_SKEW_MAX {
        return Err(JoinRefusal::ClockSkew { apart_ms });
    }
    if gate.alive.contains(&request.node.name) {
        return Err(JoinRefusal::NameTaken {
            name: request.node.name.clone(),
        });
    }
    if request.address.len() > 300 {
        return Err(JoinRefusal::Malformed("a long address".to_owned()));
    }
    Ok(grant)
}

/// The secret of a request whose token was found to be good: what an authority that goes with the admission is sealed with.
#[must_use]
pub fn seal_key(request: &JoinRequest) -> &[u8; 32] {
    &request.secret
}

/// As [`seal_key`], for the side that joins.
#[must_use]
pub fn open_key(token: &JoinToken) -> &[u8; 32] {
    &token.secret
}

/// Reads the request of somebody who wants to join. The caller bounds the time.
///
/// # Errors
/// When the connection fails, or what comes is no request.
pub async fn receive(stream: &mut Box<dyn Stream>) -> std::io::Result<JoinRequest> {
    read(stream, REQUEST_BYTES_MAX).await
}

/// Answers it.
///
/// # Errors
/// When the connection fails.
pub async fn answer(
    stream: &mut Box<dyn Stream>,
    outcome: Result<Admission, JoinRefusal>,
) -> std::io::Result<()> {
    let answer = match outcome {
        Ok(admission) => JoinAnswer::Admitted(Box::new(admission)),
        Err(refusal) => JoinAnswer::Refused(refusal),
    };
    write(stream, &answer).await?;
    stream.shutdown().await
}

async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &T,
) -> std::io::Result<()> {
    let invalid = |_| std::io::Error::from(std::io::ErrorKind::InvalidData);
    let body = postcard::to_allocvec(value).map_err(invalid)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await
}

async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
) -> std::io::Result<T> {
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(invalid("longer than may be"));
    }
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body).await?;
    if body.len() != length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&body).map_err(|_| invalid("not what was expected"))
}

/// Any name: nodes are told apart by the names in their certificates, not by their hosts.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from("node.swarm.internal").expect("a valid DNS name")
}

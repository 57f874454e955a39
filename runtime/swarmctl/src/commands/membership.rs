//! How a node that `up` or `join` starts comes into a cluster.

use crate::cli::Join;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use serde::Serialize;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use swarm_cluster::security::join::{JoinError, JoinRefusal};
use swarm_cluster::security::{JoinToken, TokenRefusal};
use swarm_protocols::Name;
use swarm_runtime::cluster::{Cluster, ClusterError, ClusterOptions, Expelled, Joined, Way};
use swarm_runtime::config::{Origin, Settings};
use swarm_runtime::node::Node;

/// How long the token holds that `up` prints.
const FIRST_TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// What `up` tells of how others join it.
#[derive(Serialize)]
pub(crate) struct JoinCommand {
    pub(crate) address: String,
    pub(crate) token: String,
}

/// What a node tells of its cluster.
#[derive(Serialize)]
pub(crate) struct ClusterLine {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) members: Vec<MemberLine>,
    pub(crate) took_ms: u64,
}

/// A member that was there.
#[derive(Serialize)]
pub(crate) struct MemberLine {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) address: String,
}

fn parsed(token: &str) -> Result<JoinToken, Failure> {
    token
        .parse()
        .map_err(|error: swarm_cluster::security::TokenError| {
            Failure::new(
                ExitStatus::Usage,
                "bad-token",
                error.to_string(),
                "copy the whole token; `swarmctl token create` makes a new one",
            )
        })
}

/// The way of a node that joins.
pub(crate) fn way_of(join: &Join) -> Result<Way, Failure> {
    Ok(Way::Join {
        contacts: join.contacts.clone(),
        token: parsed(&join.token)?,
    })
}

/// Makes the node a member.
pub(crate) async fn enter(
    node: &Node,
    settings: &Settings,
    data: &Path,
    way: Way,
) -> Result<(Cluster, Joined), Failure> {
    let advertise = match &settings.advertise.value {
        Some(text) => Some(resolved(text).await?),
        None => None,
    };
    let options = ClusterOptions {
        node: settings.name.value.clone(),
        listen: settings.listen.value,
        may_move: settings.listen.origin == Origin::Default,
        advertise,
        data: Some(data.to_owned()),
        way,
    };
    let (cluster, joined) = Cluster::start(node.system(), options)
        .await
        .map_err(|error| failure(&error))?;
    node.enter(cluster.clone());
    Ok((cluster, joined))
}

/// Makes the node of one command a member for as long as that takes: nothing of it is kept.
pub(crate) async fn visit(
    node: &Node,
    contacts: &[String],
    token: &str,
) -> Result<Cluster, Failure> {
    let options = ClusterOptions {
        node: node.name().clone(),
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        may_move: true,
        advertise: None,
        data: None,
        way: Way::Join {
            contacts: contacts.to_vec(),
            token: parsed(token)?,
        },
    };
    let (cluster, _) = Cluster::start(node.system(), options)
        .await
        .map_err(|error| failure(&error))?;
    node.enter(cluster.clone());
    Ok(cluster)
}

async fn resolved(text: &str) -> Result<SocketAddr, Failure> {
    let unknown = |why: String| {
        Failure::new(
            ExitStatus::Usage,
            "bad-setting",
            format!("--advertise {text}: {why}"),
            "--advertise with an address that other nodes can connect to",
        )
    };
    let mut found = tokio::net::lookup_host(text)
        .await
        .map_err(|error| unknown(error.to_string()))?;
    found
        .next()
        .ok_or_else(|| unknown("no such host".to_owned()))
}

/// The first cluster's name, unless it is given.
pub(crate) fn default_cluster() -> Name {
    Name::new("swarm").unwrap_or_else(|_| unreachable!("a valid name"))
}

/// With what others join this node; nothing on a node that cannot let anybody in.
pub(crate) fn join_command(cluster: &Cluster) -> Option<JoinCommand> {
    let token = cluster.create_token(FIRST_TOKEN_LIFE, None, true).ok()?;
    Some(JoinCommand {
        address: cluster.address().to_string(),
        token: token.reveal(),
    })
}

pub(crate) async fn line(cluster: &Cluster, joined: Joined) -> ClusterLine {
    let members = cluster.members().await;
    ClusterLine {
        name: cluster.name().to_string(),
        address: cluster.address().to_string(),
        members: members
            .into_iter()
            .map(|member| MemberLine {
                name: member.name.to_string(),
                state: member.state,
                address: member.address.to_string(),
            })
            .collect(),
        took_ms: u64::try_from(joined.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Why a node ends by itself.
pub(crate) fn expelled(why: &Expelled) -> Failure {
    let (code, next_step) = match why {
        Expelled::Evicted => (
            "evicted",
            "`swarmctl join` with a new token lets it in again",
        ),
        Expelled::NameTaken(_) => ("name-taken", "--name with a name that no member has"),
    };
    Failure::new(ExitStatus::Refused, code, why.to_string(), next_step)
}

/// Each failure has its own code and says what to do.
fn failure(error: &ClusterError) -> Failure {
    let (exit, code, next_step) = match error {
        ClusterError::Join(error) => of_join(error),
        ClusterError::Listen { cause, .. } if cause.kind() == ErrorKind::AddrInUse => (
            ExitStatus::Refused,
            "address-in-use",
            "--listen with another port; port 0 picks a free one",
        ),
        ClusterError::Listen { .. } => (
            ExitStatus::Refused,
            "cannot-listen",
            "--listen with an address of this machine",
        ),
        ClusterError::OtherIdentity { .. } => (
            ExitStatus::Refused,
            "other-identity",
            "--data with another folder, or --name with that node's name",
        ),
        ClusterError::NameTaken(_) => (
            ExitStatus::Refused,
            "name-taken",
            "--name with a name that no member has",
        ),
        ClusterError::Version { .. } => (
            ExitStatus::CheckFailed,
            "version-mismatch",
            "use a swarmctl whose minor version is the cluster's or next to it",
        ),
        ClusterError::NoAnswer(_) => (
            ExitStatus::TimedOut,
            "no-answer",
            "check that UDP and TCP at the members' addresses can be reached from here",
        ),
        ClusterError::Kept(_) | ClusterError::Vault(_) => (
            ExitStatus::Refused,
            "bad-cluster-data",
            "restore the folder cluster/ of the data folder, or remove it and join again",
        ),
        ClusterError::Certificate(_)
        | ClusterError::Token(_)
        | ClusterError::NoAuthority
        | ClusterError::NoRandomness => (ExitStatus::Failed, "no-cluster", "report this"),
    };
    Failure::new(exit, code, error.to_string(), next_step)
}

fn of_join(error: &JoinError) -> (ExitStatus, &'static str, &'static str) {
    match error {
        JoinError::Unreachable { .. } => (
            ExitStatus::Unreachable,
            "join-unreachable",
            "check that the node is up and that this machine can reach its --listen port",
        ),
        JoinError::Timeout { .. } => (
            ExitStatus::TimedOut,
            "join-timeout",
            "check the address: what is there accepts connections and says nothing",
        ),
        JoinError::NotANode { .. } => (
            ExitStatus::NotFound,
            "join-wrong-address",
            "use the address that `swarmctl up` or `swarmctl token create` prints, not the API's",
        ),
        JoinError::OtherCluster { .. } => (
            ExitStatus::Refused,
            "join-other-cluster",
            "use a token of the cluster that is at that address",
        ),
        JoinError::ClockSkew { .. } => clocks(),
        JoinError::Unusable { .. } => (ExitStatus::Failed, "join-unusable", "report this"),
        JoinError::Refused(refusal) => match refusal {
            JoinRefusal::Token(TokenRefusal::Wrong) => token("token-wrong"),
            JoinRefusal::Token(TokenRefusal::Expired) => token("token-expired"),
            JoinRefusal::Token(TokenRefusal::UsedUp) => token("token-used-up"),
            JoinRefusal::Token(TokenRefusal::Revoked) => token("token-revoked"),
            JoinRefusal::ClockSkew { .. } => clocks(),
            JoinRefusal::Version { .. } => (
                ExitStatus::CheckFailed,
                "version-mismatch",
                "use a swarmctl whose minor version is the cluster's or next to it",
            ),
            JoinRefusal::NameTaken { .. } => (
                ExitStatus::Refused,
                "name-taken",
                "--name with a name that no member has",
            ),
            JoinRefusal::NotHere => (
                ExitStatus::Refused,
                "not-here",
                "join when a voter is up, or at a voter's address",
            ),
            JoinRefusal::NotCounted { .. } => (
                ExitStatus::Unreachable,
                "token-not-counted",
                "wait for that node, or `swarmctl token create` at another one",
            ),
            JoinRefusal::Malformed(_) => (ExitStatus::Failed, "join-malformed", "report this"),
        },
    }
}

fn token(code: &'static str) -> (ExitStatus, &'static str, &'static str) {
    (
        ExitStatus::Refused,
        code,
        "`swarmctl token create` at the node that you join makes a new one",
    )
}

fn clocks() -> (ExitStatus, &'static str, &'static str) {
    (
        ExitStatus::CheckFailed,
        "clock-skew",
        "set both machines' clocks, with NTP for example",
    )
}

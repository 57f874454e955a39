//! Two processes: agents over links, and frames over one bare TLS connection, in turn.

mod bare;
mod swarm;

use crate::Failed;
use crate::machine::{cpu_of, median};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use swarm_cluster::security::{Authority, Credentials, NODE_CERTIFICATE_LIFE, NodeCertificate};
use swarm_protocols::Name;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const CLUSTER: u128 = 0xbe;
const REPETITIONS: usize = 5;
/// What one cell does.
pub(crate) const ASKS: u64 = 20_000;
pub(crate) const NOTES: u64 = 300_000;
pub(crate) const BIGS: u64 = 8_000;
pub(crate) const MIXED_ASKS: u64 = 2_000;
pub(crate) const IN_FLIGHT: usize = 64;
pub(crate) const NOTE_BYTES: usize = 64;
pub(crate) const BIG_BYTES: usize = 64 * 1024;

/// Who a process is in this cluster of two.
#[derive(Serialize, Deserialize)]
struct Papers {
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
    root: Vec<u8>,
}

impl Papers {
    fn issue(authority: &Authority, node: &str, now: u64) -> Result<Self, Failed> {
        let certificate = authority.issue(&Name::new(node)?, now, NODE_CERTIFICATE_LIFE)?;
        Ok(Self {
            chain: certificate.chain().map(<[u8]>::to_vec).collect(),
            key: certificate.secret_key().to_vec(),
            root: authority.root().to_vec(),
        })
    }

    fn credentials(self) -> Result<Credentials, Failed> {
        let certificate = NodeCertificate::from_der(self.chain, self.key)?;
        Ok(Credentials::new(certificate, vec![self.root])?)
    }
}

/// What can be asked of either.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    /// One ask after the other.
    Sequential,
    /// So many asks at once.
    InFlight,
    /// Messages of 64 bytes, one way.
    Notes,
    /// Messages of 64 KiB, one way.
    Bigs,
    /// One ask after the other, while messages of 64 KiB are sent: how long the slowest hundredth takes.
    Mixed,
}

impl Cell {
    const ALL: [Self; 5] = [
        Self::Sequential,
        Self::InFlight,
        Self::Notes,
        Self::Bigs,
        Self::Mixed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::InFlight => "in-flight",
            Self::Notes => "notes",
            Self::Bigs => "bigs",
            Self::Mixed => "mixed",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Sequential => "sequential asks/s",
            Self::InFlight => "asks/s, 64 in flight",
            Self::Notes => "64-byte messages/s, one way",
            Self::Bigs => "64-KiB messages, MB/s",
            Self::Mixed => "p99 of asks beside 64-KiB messages, ms",
        }
    }

    /// How many operations it is.
    fn count(self) -> u64 {
        match self {
            Self::Sequential | Self::InFlight => ASKS,
            Self::Notes => NOTES,
            Self::Bigs => BIGS,
            Self::Mixed => MIXED_ASKS,
        }
    }

    fn bar(self) -> &'static str {
        match self {
            Self::Sequential | Self::Bigs => ">= 0.7",
            Self::InFlight | Self::Notes => ">= 0.5",
            Self::Mixed => "<= 5 ms",
        }
    }
}

/// One cell of one subject: its figure, and the CPU of both processes for each operation.
struct Figure {
    value: f64,
    cpu_us: f64,
}

/// The other process.
struct Other {
    child: Child,
    pid: u32,
    address: SocketAddr,
    line: String,
}

impl Other {
    async fn start(subject: &str, papers: &Papers) -> Result<Self, Failed> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--child", subject])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or("it has ended")?;
        let mut stdin = child.stdin.take().ok_or("no stdin")?;
        let line = serde_json::to_string(papers)? + "\n";
        tokio::io::AsyncWriteExt::write_all(&mut stdin, line.as_bytes()).await?;
        child.stdin = Some(stdin);
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let (address, line) = line.trim().split_once(' ').ok_or("it did not start")?;
        Ok(Self {
            child,
            pid,
            address: address.parse()?,
            line: line.to_owned(),
        })
    }

    fn cpu(&self) -> Result<Duration, Failed> {
        Ok(cpu_of(self.pid)? + cpu_of(std::process::id())?)
    }
}

/// The process that is spoken to: until its standard input ends.
pub(crate) async fn child(subject: &str) -> Result<(), Failed> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let papers: Papers = serde_json::from_str(&lines.next_line().await?.ok_or("no papers")?)?;
    let credentials = papers.credentials()?;
    let say = |line: String| -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    };
    match subject {
        "swarm" => {
            let node = swarm::Node::start("b", credentials).await?;
            let echo = node.serve().await?;
            say(format!("{} {}", node.address(), echo))?;
            while lines.next_line().await?.is_some() {}
        }
        _ => {
            let server = bare::Server::bind(credentials).await?;
            say(format!("{} -", server.address()?))?;
            tokio::select! {
                served = server.serve() => served?,
                _ = async { while let Ok(Some(_)) = lines.next_line().await {} } => {}
            }
        }
    }
    Ok(())
}

fn result(cell: Cell, took: Duration, p99: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    match cell {
        Cell::Sequential | Cell::InFlight | Cell::Notes => cell.count() as f64 / seconds,
        Cell::Bigs => (BIGS * BIG_BYTES as u64) as f64 / 1e6 / seconds,
        Cell::Mixed => p99.as_secs_f64() * 1e3,
    }
}

/// Runs both, and shows their ratios: of all rows, or of the one that is named.
pub(crate) async fn run(only: Option<&str>) -> Result<(), Failed> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let authority = Authority::generate(CLUSTER, &Name::new("bench")?, now)?;
    let papers = |node| Papers::issue(&authority, node, now);
    let (near, far) = (papers("a")?, papers("b")?);
    let mut swarm_far = Other::start("swarm", &far).await?;
    let mut bare_far = Other::start("bare", &far).await?;
    let node = swarm::Node::start("a", papers("a")?.credentials()?).await?;
    let agents = node.meet(swarm_far.address, &swarm_far.line)?;
    let bare = bare::Client::connect(near.credentials()?, bare_far.address).await?;

    println!(
        "\n## Links: two processes, medians of {REPETITIONS}\n\n| | bare TLS | Swarm | ratio | bar | bare CPU µs | Swarm CPU µs |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for cell in Cell::ALL {
        if only.is_some_and(|only| only != cell.name()) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let before = swarm_far.cpu()?;
            let at = Instant::now();
            let p99 = agents.run(cell).await?;
            ours.push(Figure {
                value: result(cell, at.elapsed(), p99),
                cpu_us: (swarm_far.cpu()? - before).as_secs_f64() * 1e6 / cell.count() as f64,
            });
            let before = bare_far.cpu()?;
            let at = Instant::now();
            let p99 = bare.run(cell).await?;
            theirs.push(Figure {
                value: result(cell, at.elapsed(), p99),
                cpu_us: (bare_far.cpu()? - before).as_secs_f64() * 1e6 / cell.count() as f64,
            });
        }
        let value = |figures: &[Figure]| median(figures.iter().map(|f| f.value).collect());
        let cpu = |figures: &[Figure]| median(figures.iter().map(|f| f.cpu_us).collect());
        let (own, peer) = (value(&ours), value(&theirs));
        println!(
            "| {} | {peer:.1} | {own:.1} | {:.2} | {} | {:.2} | {:.2} |",
            cell.about(),
            own / peer,
            cell.bar(),
            cpu(&theirs),
            cpu(&ours),
        );
    }
    drop(agents);
    swarm_far.child.kill().await?;
    bare_far.child.kill().await?;
    Ok(())
}

/// The time that one in a hundred exceeds.
pub(crate) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times
        .get(times.len() * 99 / 100)
        .copied()
        .unwrap_or_default()
}

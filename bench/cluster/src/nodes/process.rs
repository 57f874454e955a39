//! One `swarmctl` process, and what its API says.

use super::space::{Relay, Space, exchange};
use crate::Failed;
use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// What a node takes another for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Alive,
    Suspect,
    Down,
    Left,
}

/// How others join a first node.
#[derive(Clone, Deserialize)]
pub(super) struct Join {
    address: String,
    token: String,
}

#[derive(Deserialize)]
struct Ready {
    api: String,
    join: Option<Join>,
}

#[derive(Deserialize)]
struct Member {
    name: String,
    state: State,
}

/// A process that has not said yet that it is ready. Killed when dropped.
pub(super) struct Starting {
    name: String,
    process: Process,
    stdout: BufReader<ChildStdout>,
    relay: Option<Arc<Relay>>,
}

/// A running node. Killed when dropped.
pub(super) struct Node {
    pub(super) name: String,
    process: Process,
    /// HOST:PORT.
    api: String,
    /// Who asks its API when it is in another namespace.
    relay: Option<Arc<Relay>>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn swarmctl() -> Result<PathBuf, Failed> {
    let beside = std::env::current_exe()?.with_file_name("swarmctl");
    if beside.is_file() {
        return Ok(beside);
    }
    Err(format!(
        "{} is not there; try: cargo build --release -p swarmctl",
        beside.display()
    )
    .into())
}

fn start(
    name: &str,
    data: &Path,
    verb: &[&str],
    space: Option<&Space>,
) -> Result<Starting, Failed> {
    let program = swarmctl()?;
    let (mut command, listen) = match space {
        Some(space) => (space.command(&program), format!("{}:0", space.address)),
        None => (Command::new(program), "127.0.0.1:0".to_owned()),
    };
    let mut child = command
        .args(verb)
        .args(["-o", "json", "--api", "127.0.0.1:0", "--listen", &listen])
        .args(["--allow-chaos", "--name", name, "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no stdout")?;
    Ok(Starting {
        name: name.to_owned(),
        process: Process(child),
        stdout: BufReader::new(stdout),
        relay: space.map(Space::relay),
    })
}

impl Starting {
    fn wait(mut self) -> Result<(Node, Option<Join>), Failed> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line)
            .map_err(|error| format!("{} did not become ready: {error}: {line}", self.name))?;
        let node = Node {
            name: self.name,
            process: self.process,
            api: ready.api.trim_start_matches("http://").to_owned(),
            relay: self.relay,
        };
        Ok((node, ready.join))
    }

    pub(super) fn ready(self) -> Result<Node, Failed> {
        Ok(self.wait()?.0)
    }
}

impl Node {
    /// The first one of a cluster, in a namespace or here.
    pub(super) fn first(
        name: &str,
        data: &Path,
        space: Option<&Space>,
    ) -> Result<(Self, Join), Failed> {
        let (node, join) = start(name, data, &["up"], space)?.wait()?;
        Ok((node, join.ok_or("a first node says how to join it")?))
    }

    pub(super) fn start_joining(
        name: &str,
        data: &Path,
        join: &Join,
        space: Option<&Space>,
    ) -> Result<Starting, Failed> {
        let verb = ["join", &join.address, "--token", &join.token];
        start(name, data, &verb, space)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(super) fn kill(&mut self) -> Result<(), Failed> {
        self.process.0.kill()?;
        self.wait()
    }

    /// Asks it to leave and to end.
    pub(super) fn terminate(&self) -> Result<(), Failed> {
        let status = Command::new("kill").arg(self.pid().to_string()).status()?;
        if status.success() {
            return Ok(());
        }
        Err("it could not be told to end".into())
    }

    pub(super) fn wait(&mut self) -> Result<(), Failed> {
        self.process.0.wait()?;
        Ok(())
    }

    /// The members as it sees them.
    pub(super) fn members(&self) -> Result<Vec<(String, State)>, Failed> {
        let body = self.request("GET", "/v1/nodes", "")?;
        let value: serde_json::Value = serde_json::from_str(&body)?;
        let members: Vec<Member> = serde_json::from_value(value["nodes"].clone())?;
        Ok(members.into_iter().map(|m| (m.name, m.state)).collect())
    }

    /// Cuts a node off for a time.
    pub(super) fn cut(&self, name: &str, time: Duration) -> Result<(), Failed> {
        let fault = serde_json::json!({
            "node": name,
            "fault": "cut",
            "for_ms": u64::try_from(time.as_millis())?,
        });
        self.request("POST", "/v1/nodes/chaos", &fault.to_string())?;
        Ok(())
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Result<String, Failed> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.api,
            body.len()
        );
        let answer = match &self.relay {
            Some(relay) => relay.exchange(&self.api, request.as_bytes())?,
            None => exchange(&self.api, request.as_bytes())?,
        };
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("{path}: {head}: {body}").into());
        }
        Ok(body.to_owned())
    }
}

//! Running the real program: commands to their end, and nodes for as long as a test needs them.

#![allow(
    dead_code,
    reason = "every test program includes this module and uses a part of it"
)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take before the test says that it hangs. A node that compiles 18 MB of Python before it is ready takes minutes
/// where its compiler is not optimised.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program, without what the environment of the test may set.
pub(crate) fn swarmctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarmctl"));
    for name in [
        "SWARM_NODE",
        "SWARM_CONTEXT",
        "SWARM_OUTPUT",
        "SWARM_TIMEOUT",
        "SWARM_LOG",
        "RUST_LOG",
        "SWARM_NAME",
        "SWARM_API",
        "SWARM_DATA",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    // Contexts of whoever runs the tests stay out of them.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

impl Said {
    /// Stdout as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON document ({error}): {self:?}"))
    }

    /// Stdout as JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line);
        let lines: Result<_, _> = self.stdout.lines().map(read).collect();
        lines.unwrap_or_else(|error| panic!("no JSON lines ({error}): {self:?}"))
    }

    /// Stderr's last line as the JSON object of a failure.
    pub(crate) fn failure(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("no JSON failure ({error}): {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

pub(crate) fn run(arguments: &[&str]) -> Said {
    swarmctl(arguments)
        .output()
        .expect("the program starts")
        .into()
}

pub(crate) fn run_with_stdin(arguments: &[&str], stdin: &str) -> Said {
    let mut child = swarmctl(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("it is piped");
    let text = stdin.to_owned();
    let writer = std::thread::spawn(move || {
        // The program may end before it has read everything.
        let _ = input.write_all(text.as_bytes());
    });
    let said = child.wait_with_output().expect("it ends").into();
    writer.join().expect("the writer does not panic");
    said
}

/// The manifest of the dispatch example.
pub(crate) fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/dispatch/swarm.toml");
    path.to_str().expect("a UTF-8 path").to_owned()
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

pub(crate) fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).expect("a temporary file can be written");
    path.to_str().expect("a UTF-8 path").to_owned()
}

/// Sends a signal to a process that the test has started.
pub(crate) fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .status()
        .expect("kill exists");
    assert!(status.success(), "kill -{name} {process}");
}

/// The lines of a stream as they come. The thread ends with the stream.
pub(crate) fn lines_of(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (give, take) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if give.send(line).is_err() {
                break;
            }
        }
    });
    take
}

pub(crate) fn next_line(lines: &mpsc::Receiver<String>) -> String {
    lines.recv_timeout(PATIENCE).expect("a line comes in time")
}

/// Looks again and again until what is looked at is as it should be.
#[track_caller]
pub(crate) fn eventually<T: std::fmt::Debug>(
    look: impl Fn() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let begin = std::time::Instant::now();
    loop {
        let seen = look();
        if is_so(&seen) {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "last seen: {seen:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A node in a process of its own.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    pub(crate) ready: Value,
    stdout: mpsc::Receiver<String>,
    data: Option<TempDir>,
}

impl Node {
    /// Starts a node with this manifest and waits until it is ready.
    pub(crate) fn up(arguments: &[&str]) -> Self {
        Self::start("up", arguments)
    }

    /// Starts a node with `up` or `join` and waits until it is ready.
    pub(crate) fn start(command: &str, arguments: &[&str]) -> Self {
        Self::start_in(command, folder(), arguments)
    }

    /// Starts a node with this data folder.
    pub(crate) fn start_in(command: &str, data: TempDir, arguments: &[&str]) -> Self {
        let path = data.path().to_str().expect("a UTF-8 path");
        let mut node = Self::start_at(command, path, arguments);
        node.data = Some(data);
        node
    }

    /// The same with a data folder that outlives it.
    pub(crate) fn start_at(command: &str, data: &str, arguments: &[&str]) -> Self {
        let mut all = vec![
            command,
            "-o",
            "json",
            "--api",
            "127.0.0.1:0",
            "--data",
            data,
        ];
        all.extend(arguments);
        let mut child = swarmctl(&all)
            .env("SWARM_LOG", "off")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let stdout = lines_of(child.stdout.take().expect("it is piped"));
        let ready: Value = serde_json::from_str(&next_line(&stdout)).expect("the line is JSON");
        Self {
            child,
            url: ready["api"].as_str().expect("the API's address").to_owned(),
            ready,
            stdout,
            data: None,
        }
    }

    /// Kills it and gives its data folder back.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
        self.data.take().expect("it has a data folder")
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command against this node.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let mut all = vec!["--node", &self.url];
        all.extend(arguments);
        run(&all)
    }

    /// Waits for the process to end; returns its status and what else it said on stdout.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>) {
        let begin = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                self.data.take();
                return (status.code(), self.stdout.iter().collect());
            }
            assert!(begin.elapsed() < PATIENCE, "the node does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already, or is ended now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

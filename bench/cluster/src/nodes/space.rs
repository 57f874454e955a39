//! Two network namespaces with a wire between them, and a process in each that speaks to the APIs there. Needs root and `ip`.

use crate::Failed;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The hidden argument with which this program is started in a namespace.
const RELAY: &str = "--relay";
/// How long an API may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Sends one request as it is and returns the whole answer.
pub(super) fn exchange(api: &str, request: &[u8]) -> Result<String, Failed> {
    let mut stream = TcpStream::connect(api)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Does the same for who asks on standard input, in the namespace that this process is in, until that ends: a line with address and length,
/// then the request; the answer is a line with its length, or `-` and why there is none, then the answer.
pub(crate) fn relay() -> Result<(), Failed> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let (api, length) = line.trim_end().split_once(' ').ok_or("no length")?;
        let mut request = vec![0; length.parse()?];
        input.read_exact(&mut request)?;
        match exchange(api, &request) {
            Ok(answer) => write!(output, "{}\n{answer}", answer.len())?,
            Err(error) => writeln!(output, "-{}", error.to_string().replace('\n', " "))?,
        }
        output.flush()?;
        line.clear();
    }
    Ok(())
}

/// A network namespace at one end of the wire.
pub(super) struct Space {
    relay: Arc<Relay>,
    name: Removed,
    /// The address of all nodes in it.
    pub(super) address: &'static str,
}

/// A process in a namespace that asks APIs there. Ends when it is dropped.
pub(super) struct Relay(Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>);

/// Two namespaces and the wire between them: a bridge in a third one.
pub(super) struct Wire {
    pub(super) near: Space,
    pub(super) far: Space,
    between: Removed,
}

/// The name of a namespace, which is removed when this is dropped.
struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        // One that was never made is not there to be removed.
        drop(ip(&format!("netns del {}", self.0)));
    }
}

fn ip(arguments: &str) -> Result<(), Failed> {
    let done = Command::new("ip")
        .args(arguments.split_whitespace())
        .status()?;
    if done.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {done}; network namespaces need root").into())
}

impl Wire {
    pub(super) fn new() -> Result<Self, Failed> {
        let tag = format!("swb{}", std::process::id() % 100_000);
        let between = Removed(format!("{tag}s"));
        let near = Space::new(format!("{tag}a"), "10.99.8.1")?;
        let far = Space::new(format!("{tag}b"), "10.99.8.2")?;
        let switch = &between.0;
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for (port, space) in [("near", &near), ("far", &far)] {
            let (name, address) = (&space.name.0, space.address);
            ip(&format!(
                "link add eth0 netns {name} type veth peer name {port} netns {switch}"
            ))?;
            ip(&format!("-n {switch} link set {port} master br0"))?;
            ip(&format!("-n {switch} link set {port} up"))?;
            ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
        }
        Ok(Self { near, far, between })
    }

    /// Nothing comes through any more. The devices at both ends do not notice: packets are lost, not refused.
    pub(super) fn cut(&self) -> Result<(), Failed> {
        ip(&format!("-n {} link set far nomaster", self.between.0))
    }

    pub(super) fn heal(&self) -> Result<(), Failed> {
        ip(&format!("-n {} link set far master br0", self.between.0))
    }
}

impl Space {
    fn new(name: String, address: &'static str) -> Result<Self, Failed> {
        let name = Removed(name);
        ip(&format!("netns add {}", name.0))?;
        ip(&format!("-n {} link set lo up", name.0))?;
        Ok(Self {
            relay: Arc::new(Relay::start(&name.0)?),
            name,
            address,
        })
    }

    pub(super) fn relay(&self) -> Arc<Relay> {
        self.relay.clone()
    }

    /// `program` in this namespace; it takes the place of `ip`, so the process is its own.
    pub(super) fn command(&self, program: &Path) -> Command {
        command_in(&self.name.0, program)
    }
}

fn command_in(space: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space]).arg(program);
    command
}

impl Relay {
    fn start(space: &str) -> Result<Self, Failed> {
        let mut child = command_in(space, &std::env::current_exe()?)
            .arg(RELAY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = child.stdout.take().ok_or("no stdout")?;
        Ok(Self(Mutex::new((child, input, BufReader::new(output)))))
    }

    pub(super) fn exchange(&self, api: &str, request: &[u8]) -> Result<String, Failed> {
        let mut relay = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, input, output) = &mut *relay;
        writeln!(input, "{api} {}", request.len())?;
        input.write_all(request)?;
        input.flush()?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        let length = match line.trim_end() {
            "" => return Err("the relay has ended".into()),
            length => match length.strip_prefix('-') {
                Some(why) => return Err(why.into()),
                None => length.parse()?,
            },
        };
        let mut answer = vec![0; length];
        output.read_exact(&mut answer)?;
        Ok(String::from_utf8(answer)?)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let relay = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It may have ended already.
        drop(relay.0.kill());
        drop(relay.0.wait());
    }
}

/// Whether this program was started to be a relay.
pub(crate) fn is_relay(argument: &str) -> bool {
    argument == RELAY
}

//! A node with its transport, a client that sends exactly what it is told to, and peers that answer in their own ways.

use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{Agent, AnyRef, Failure, NoMessage, Turn};
use swarm_protocols::acl::{Reading, Timestamp};
use swarm_protocols::mtp::TransportEnvelope;
use swarm_protocols::mtp::package;
use swarm_protocols::{AclMessage, Aid, Name, Path, Performative};
use swarm_runtime::fipa::{Counts, FipaOptions, FipaServer};
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Behaviours, Node, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than anything here takes, shorter than anybody's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How a captured request of JADE is answered, and how Swarm's own peers here answer: no length, and the connection stays.
pub(crate) const JADE_ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-cache\r\nConnection: Keep-Alive\r\n\r\n<html><body><h1>200 OK</h1></body></html>\r\n";

/// A running node that is the platform `platB`.
pub(crate) struct Platform {
    pub(crate) node: Node,
    pub(crate) fipa: FipaServer,
    /// What the agent `r2` was told.
    pub(crate) heard: mpsc::UnboundedReceiver<AclMessage>,
}

const MANIFEST: &str = r#"
[node]
name = "n1"

[supervisor."/"]

[agent."/r3"]
behaviour = "echo"
registered = "r3"

[agent."/r2"]
behaviour = "recorder"
registered = "r2"

[agent."/nameless"]
behaviour = "recorder"

[agent."/deaf"]
behaviour = "recorder"
registered = "deaf"
mailbox = { capacity = 1, when_full = "fail" }
"#;

/// Keeps what it is told, and sends on what it is asked to: the content of a request is `NAME URL`.
struct Recorder(mpsc::UnboundedSender<AclMessage>);

impl Agent for Recorder {
    type Message = NoMessage;

    async fn handle(&mut self, _: &mut Turn<'_, Self>, message: NoMessage) -> Result<(), Failure> {
        match message {}
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        if message.performative == Performative::Request {
            let (name, urls) = message
                .text()
                .and_then(|text| text.split_once(' '))
                .expect("NAME URL");
            let mut receiver = Aid::named(name);
            receiver.addresses = urls.split(' ').map(str::to_owned).collect();
            let mut inform = AclMessage::new(Performative::Inform);
            inform.receiver = vec![receiver];
            inform.content = Some("h\u{e9}llo".as_bytes().to_vec());
            inform.conversation_id = Some("c1".into());
            inform.reply_with = Some("r1".into());
            turn.send_to_receivers(inform);
        } else {
            // The test may be over.
            let _ = self.0.send((*message).clone());
        }
        Ok(())
    }
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut FipaOptions)) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let behaviours: Behaviours = swarm_runtime::behaviours::builtin().with(
            "recorder",
            "keeps what it is told",
            move |_: &Value| {
                let tell = tell.clone();
                Ok(move || Recorder(tell.clone()))
            },
        );
        let manifest = Manifest::parse(MANIFEST, &behaviours).expect("a manifest");
        let name = Name::new("n1").expect("a name");
        let node = Node::new(NodeOptions::new(name, manifest, behaviours));
        node.start_tree().await.expect("the tree starts");
        let mut options = FipaOptions::new("127.0.0.1:0".parse().expect("an address"), "platB");
        change(&mut options);
        let starting = node.clone();
        let fipa = tokio::task::spawn_blocking(move || FipaServer::start(&starting, options))
            .await
            .expect("no panic")
            .expect("it listens");
        Self { node, fipa, heard }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.fipa.url().strip_prefix("http://").expect("http");
        url.strip_suffix("/acc")
            .expect("/acc")
            .parse()
            .expect("an address")
    }

    pub(crate) fn agent(&self, path: &str) -> AnyRef {
        let path = Path::new(path).expect("a path");
        self.node.system().lookup(&path).expect("an agent")
    }

    /// Has an agent send to a receiver of another platform.
    pub(crate) async fn have_sent(&self, path: &str, receiver: &str, urls: &str) {
        let mut request = AclMessage::new(Performative::Request);
        request.content = Some(format!("{receiver} {urls}").into_bytes());
        self.agent(path)
            .send_acl(request)
            .await
            .expect("it takes it");
    }

    /// The next message that a recorder was told.
    pub(crate) async fn next(&mut self) -> AclMessage {
        let heard = timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("in time").expect("a message")
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::to(self.address()).await
    }

    /// Waits until the counts are as wanted.
    pub(crate) async fn counts(&self, is_wanted: impl Fn(&Counts) -> bool) {
        let waiting = async {
            while !is_wanted(&self.fipa.counts()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "{:?}", self.fipa.counts());
    }
}

/// One answer: its head, and its body of the announced length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// A connection that sends exactly what it is told to.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it is listening");
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it reads");
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, bytes: &[u8]) -> Answer {
        self.send(bytes).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Answer {
        let head = loop {
            if let Some(at) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                break self.read.drain(..at + 4).collect::<Vec<_>>();
            }
            assert!(
                self.more().await,
                "closed: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        };
        let head = String::from_utf8(head).expect("text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
        while self.read.len() < length {
            assert!(self.more().await, "closed within the body of {head}");
        }
        let body = self.read.drain(..length).collect();
        Answer {
            head,
            body: String::from_utf8(body).expect("text"),
        }
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Whether the other side closes now, without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        timeout(PATIENCE, self.more()).await.is_ok_and(|more| !more) && self.read.is_empty()
    }
}

/// The bytes of a captured request.
pub(crate) fn capture(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/../protocols/tests/captures/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A captured request whose sender has its address at `home`, and its length set right.
pub(crate) fn captured_from(name: &str, home: SocketAddr) -> Vec<u8> {
    let text = String::from_utf8(capture(name)).expect("text");
    let text = text.replace("127.0.0.1:7811", &home.to_string());
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    // JADE does not count the line end that follows the last boundary line's own.
    let length = body.len() - 2;
    let head: Vec<_> = head
        .lines()
        .map(|line| match line.strip_prefix("Content-Length: ") {
            Some(_) => format!("Content-Length: {length}"),
            None => line.to_owned(),
        })
        .collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}

/// The body of a request to an agent of `platB`.
pub(crate) fn body(receiver: &str, acl: &str) -> String {
    body_of(
        &format!(
            "<envelope><params index=\"1\"><to><agent-identifier><name>{receiver}@platB</name></agent-identifier></to>\
             <acl-representation>fipa.acl.rep.string.std</acl-representation></params></envelope>"
        ),
        acl,
    )
}

pub(crate) fn body_of(envelope: &str, acl: &str) -> String {
    format!(
        "pre\r\n--b\r\nContent-Type: application/xml\r\n\r\n{envelope}\r\n--b\r\nContent-Type: application/text\r\n\r\n{acl}\r\n--b--\r\n"
    )
}

/// A request with that body.
pub(crate) fn post(body: &str) -> Vec<u8> {
    format!(
        "POST /acc HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What a peer was sent.
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) envelope: TransportEnvelope,
    pub(crate) message: AclMessage,
    /// Which of its connections it came by, from 0.
    pub(crate) connection: usize,
}

/// Another platform: takes requests and answers each in the same way.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    got: mpsc::UnboundedReceiver<Got>,
}

impl Peer {
    /// One that answers as JADE does.
    pub(crate) async fn jade() -> Self {
        Self::answering(JADE_ANSWER).await
    }

    /// One that answers so; with nothing where that is empty.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, got) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                tokio::spawn(serve(stream, connection, answer, tell.clone()));
            }
        });
        Self { address, got }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/acc", self.address)
    }

    pub(crate) async fn next(&mut self) -> Got {
        let got = timeout(PATIENCE, self.got.recv()).await;
        got.expect("in time").expect("a request")
    }

    /// Whether nothing else has come.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    answer: &str,
    tell: mpsc::UnboundedSender<Got>,
) {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let end = loop {
            if let Some(at) = read.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => read.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        };
        let head = String::from_utf8(read.drain(..end).collect()).expect("text");
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("a header")
        };
        let length: usize = header("Content-Length: ").parse().expect("a number");
        while read.len() < length {
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => read.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        let body: Vec<u8> = read.drain(..length).collect();
        let reading = Reading::at(Timestamp::UNIX_EPOCH);
        let incoming = package::read(header("Content-Type: "), &body, &reading).expect("a message");
        let got = Got {
            envelope: incoming.envelope,
            message: incoming.message,
            connection,
            head: head.clone(),
        };
        if tell.send(got).is_err() {
            return;
        }
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

//! A client that sends exactly what it is told to, and a node to send it to.

use crate::subjects::behaviours;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use swarm_protocols::Name;
use swarm_runtime::api::ApiServer;
use swarm_runtime::manifest::Manifest;
use swarm_runtime::node::{Node, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes, shorter than anybody's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node with its API.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) api: ApiServer,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a failure, after checking that it has the form of all failures.
    #[track_caller]
    pub(crate) fn fault(&self) -> (u16, String) {
        let json = self.json();
        let error = &json["error"];
        for part in ["code", "message", "try"] {
            assert!(
                error[part].as_str().is_some_and(|text| !text.is_empty()),
                "no {part}: {self:?}"
            );
        }
        (
            self.status,
            error["code"].as_str().expect("a code").to_owned(),
        )
    }
}

impl Served {
    /// A started node that runs `manifest`.
    pub(crate) async fn start(manifest: &str) -> Self {
        let served = Self::unstarted(manifest);
        served.node.start_tree().await.expect("the tree starts");
        served
    }

    pub(crate) fn unstarted(manifest: &str) -> Self {
        let behaviours = behaviours();
        let manifest =
            Manifest::parse(manifest, &behaviours).unwrap_or_else(|rejected| panic!("{rejected}"));
        let mut options = NodeOptions::new(Name::new("n1").expect("a name"), manifest, behaviours);
        options.seed = Some(7);
        let node = Node::new(options);
        let api = ApiServer::start(node.clone(), "127.0.0.1:0".parse().expect("an address"))
            .expect("a free port");
        Self { node, api }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.api.address()
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, None).await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        self.ask("POST", target, Some(body)).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.ask("DELETE", target, None).await
    }

    async fn ask(&self, method: &str, target: &str, body: Option<Value>) -> Answer {
        let host = self.address();
        let (headers, body) = match body {
            Some(body) => ("content-type: application/json\r\n", body.to_string()),
            None => ("", String::new()),
        };
        self.raw(&format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// Sends bytes and reads the answer to its end.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address()).await.expect("connects");
            // A server that says no without reading on may close early; its answer is still there to be read.
            let _ = stream.write_all(request.as_bytes()).await;
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let text = tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("an answer in time");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        Answer {
            status,
            head: head.to_lowercase(),
            text: body.to_owned(),
        }
    }

    /// Asks until `wanted` is so, or says what was seen last.
    pub(crate) async fn until(&self, target: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let start = std::time::Instant::now();
        loop {
            let answer = self.get(target).await;
            let json = answer.json();
            if wanted(&json) {
                return json;
            }
            assert!(start.elapsed() < PATIENCE, "never so; last: {json}");
            tokio::task::yield_now().await;
        }
    }
}

//! What `events --follow` and `conversation tail` have in common: a stream of records until it is enough.

use crate::cli::Format;
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Stop};
use crate::output::{Output, write_stdout};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::pin;
use swarm_runtime::api::types::LaggedRecord;

/// One stream of a node.
pub(super) struct Stream<'a, Q> {
    pub(super) path: &'a str,
    pub(super) query: &'a Q,
    /// The name of the server-sent events that are records.
    pub(super) event: &'a str,
    /// What the records are, in the plural.
    pub(super) what: &'a str,
    /// After how many shown records it is enough; none for never.
    pub(super) limit: Option<usize>,
}

impl<Q: Serialize> Stream<'_, Q> {
    /// Writes each record as a line: as it came under `jsonl`, else as `line` has it. Those of which `line` makes nothing are
    /// passed over.
    pub(super) async fn follow<T: DeserializeOwned>(
        &self,
        client: &NodeClient,
        output: Output,
        line: impl Fn(&T) -> Option<String>,
    ) -> Result<ExitStatus, Stop> {
        if output.format == Format::Json {
            let usage =
                Failure::usage("a stream has no end, so it is no JSON document", "-o jsonl");
            return Err(usage.into());
        }
        let mut stream = pin!(client.follow(self.path, self.query).await?);
        let mut left = self.limit;
        while left != Some(0) {
            let Some(event) = stream.next().await else {
                return Err(self.ended(client).into());
            };
            let (name, data) = event?;
            if name == self.event {
                let record: T = serde_json::from_str(&data).map_err(unreadable)?;
                if let Some(text) = line(&record) {
                    let text = if output.is_json() {
                        data.replace('\n', "")
                    } else {
                        text
                    };
                    write_stdout(&format!("{text}\n"))?;
                    left = left.map(|left| left - 1);
                }
            } else if name == "lagged" {
                let lagged: LaggedRecord = serde_json::from_str(&data).map_err(unreadable)?;
                output.note(&format!(
                    "{} {} were missed: this program read too slowly",
                    lagged.missed, self.what
                ));
            }
            // Newer nodes may say more.
        }
        Ok(ExitStatus::Done)
    }

    fn ended(&self, client: &NodeClient) -> Failure {
        Failure::new(
            ExitStatus::Unreachable,
            "stream-ended",
            format!(
                "{} ended the stream of {}: the node was stopped",
                client.address(),
                self.what
            ),
            "swarmctl status",
        )
    }
}

fn unreadable(_: serde_json::Error) -> Failure {
    Failure::new(
        ExitStatus::Failed,
        "bad-event",
        "the node sent an event that this program cannot read",
        "compare swarmctl version with the node's",
    )
}

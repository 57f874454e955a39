//! `cfp`: one contract net with the members of a group.

use crate::cli::{Cfp, Global};
use crate::client::NodeClient;
use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::{Align, Table, printable};
use crate::words::span_ms;
use serde_json::Value;
use std::time::Duration;
use swarm_runtime::api::types::{CfpAnswer, CfpRequest};

/// How much longer the answer is waited for than everything in it may take.
const GRACE: Duration = Duration::from_secs(30);

pub(crate) async fn run(global: &Global, output: Output, asked: &Cfp) -> Result<ExitStatus, Stop> {
    let patience = asked.deadline + asked.result_within.saturating_mul(2) + GRACE;
    let client = NodeClient::new(global)?.with_timeout(patience);
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let request = CfpRequest {
        group: asked.to.clone(),
        task: asked.task.clone(),
        content: content(asked.content.as_deref()),
        deadline_ms: Some(ms(asked.deadline)),
        result_ms: Some(ms(asked.result_within)),
        accept: Some(asked.accept),
        reserve: asked.reserve,
    };
    let answer: CfpAnswer = client.post("/v1/cfp", &request).await?;
    output.document(&answer, || text(&answer))?;
    Ok(if answer.end == "done" {
        ExitStatus::Done
    } else {
        ExitStatus::Failed
    })
}

/// JSON where it is, else a text.
fn content(text: Option<&str>) -> Value {
    match text {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

fn text(answer: &CfpAnswer) -> String {
    let mut table = Table::new(&[
        ("BIDDER", Align::Left),
        ("BID", Align::Left),
        ("AWARD", Align::Left),
        ("END", Align::Left),
        ("RESULT", Align::Left),
    ]);
    for bid in &answer.bids {
        let shown = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        table.row(vec![
            bid.bidder.clone(),
            shown(&bid.bid).unwrap_or_else(|| "-".to_owned()),
            if bid.awarded { "awarded" } else { "" }.to_owned(),
            bid.end.clone(),
            shown(&bid.result).unwrap_or_default(),
        ]);
    }
    format!(
        "{}{} in {}; swarmctl conversation show {}\n",
        table.render(),
        printable(&answer.end),
        span_ms(answer.ms),
        answer.conversation
    )
}

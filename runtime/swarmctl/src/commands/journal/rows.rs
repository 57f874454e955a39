//! Streams and events as they are shown, wherever they come from.

use crate::exit::ExitStatus;
use crate::failure::Stop;
use crate::output::Output;
use crate::table::{Align, Table};
use serde_json::{Value, json};
use swarm_runtime::api::types::{JournalEvent, JournalHead};

pub(super) fn heads(output: Output, heads: &[JournalHead]) -> Result<ExitStatus, Stop> {
    output.list(heads, || {
        let mut table = Table::new(&[
            ("STREAM", Align::Left),
            ("EVENTS", Align::Right),
            ("TRUNCATED", Align::Right),
            ("BATCHES", Align::Right),
            ("HASH", Align::Left),
        ]);
        for head in heads {
            table.row(vec![
                head.stream.clone(),
                head.last_seq.to_string(),
                head.truncated.to_string(),
                head.last_batch.to_string(),
                head.hash.clone(),
            ]);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}

pub(super) fn events(output: Output, events: &[JournalEvent]) -> Result<ExitStatus, Stop> {
    let rows: Vec<Value> = events.iter().map(row).collect();
    output.list(&rows, || {
        let mut table = Table::new(&[
            ("SEQ", Align::Right),
            ("AT", Align::Left),
            ("TYPE", Align::Right),
            ("VERSION", Align::Right),
            ("BYTES", Align::Right),
            ("PAYLOAD", Align::Left),
        ]);
        for event in events {
            let payload = bytes_of(&event.payload);
            table.row(vec![
                event.seq.to_string(),
                event.at.to_string(),
                event.type_id.to_string(),
                event.version.to_string(),
                payload.len().to_string(),
                preview(&payload),
            ]);
        }
        table
    })?;
    Ok(ExitStatus::Done)
}

/// The event, and what of its payload is plain to people.
fn row(event: &JournalEvent) -> Value {
    let payload = bytes_of(&event.payload);
    let mut row = json!(event);
    if let Some(row) = row.as_object_mut() {
        row.insert("bytes".to_owned(), payload.len().into());
        row.insert("text".to_owned(), json!(std::str::from_utf8(&payload).ok()));
    }
    row
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// What is shown to people of a payload: as text where it is one.
fn preview(bytes: &[u8]) -> String {
    const SHOWN: usize = 32;
    let is_text = std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(char::is_control));
    let start = &bytes[..bytes.len().min(SHOWN)];
    let rest = if bytes.len() > SHOWN { "…" } else { "" };
    if is_text {
        format!("{}{rest}", String::from_utf8_lossy(start))
    } else {
        let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("0x{hex}{rest}")
    }
}

//! The past of durable guests, told by the component that the manifest names.

use crate::node::{Historian, PastState};
use serde_json::{Value, json};
use swarm_actors::durable::{self, CodecError, Form, RecoveryFailed, Written};
use swarm_actors::journal::{Journal, Recorded, Seq, StreamName};
use swarm_wasm::durable::{DurableGuest, GuestEvent};

/// A guest that is not at work.
pub(super) struct Retrospect(pub(super) DurableGuest);

impl Historian for Retrospect {
    fn state_at(
        &self,
        journal: &dyn Journal,
        stream: &StreamName,
        at: Option<Seq>,
    ) -> Result<PastState, RecoveryFailed> {
        let mut then = durable::state_at(&self.0, journal, stream, at)?;
        let encoded = self.0.encoded_blocking(&mut then.state);
        let encoded = encoded.map_err(|reason| RecoveryFailed::NotBegun {
            stream: stream.clone(),
            cause: format!("it gives no state: {reason}"),
        })?;
        Ok(PastState {
            seq: then.seq,
            state: shown(&encoded.bytes),
        })
    }

    fn event(&self, recorded: &Recorded) -> Result<Vec<Value>, CodecError> {
        let data = &recorded.data;
        let event = GuestEvent::read(Written {
            form: Form {
                type_id: data.type_id,
                version: data.version,
            },
            meta: &data.meta,
            payload: &data.payload,
        })?;
        let mut told = json!({
            "kind": event.kind,
            "version": event.version,
            "data": shown(&event.data),
        });
        if let Some(content_type) = event.content_type {
            told["content_type"] = Value::String(content_type);
        }
        Ok(vec![told])
    }
}

/// Bytes as what they are: JSON, a text, or hexadecimal digits.
fn shown(bytes: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": digits })
        }
    }
}

//! A guest's events as a journal has them, and back. Pure.
//!
//! A kind is a text; the journal's type is a number of it, and the text stands in the event's metadata, which is what counts: two
//! kinds with one number are still two kinds.

use crate::bindings::swarm::agent::types::Event;
use sha2::{Digest as _, Sha256};
use swarm_actors::durable::{CodecError, Written};
use swarm_actors::journal::{EventData, SEALED_VERSION};

/// The longest kind, and the longest content type, in bytes.
const TEXT_BYTES_MAX: usize = 128;
/// The highest version of a kind; the journal keeps those beyond for itself.
const VERSION_MAX: u32 = SEALED_VERSION as u32 - 1;

/// What a guest's event is, besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestEvent {
    /// What kind of event it is.
    pub kind: String,
    /// The version of the kind's form.
    pub version: u16,
    /// What its bytes are, where the guest says so.
    pub content_type: Option<String>,
    /// The event itself.
    pub data: Vec<u8>,
}

impl GuestEvent {
    /// Reads what a journal has of an event.
    ///
    /// # Errors
    /// [`CodecError::BadBytes`] when no guest has written that.
    pub fn read(event: Written<'_>) -> Result<Self, CodecError> {
        let bad = || CodecError::BadBytes(event.form);
        let meta = std::str::from_utf8(event.meta).map_err(|_| bad())?;
        let (kind, content_type) = match meta.split_once('\n') {
            Some((kind, content_type)) => (kind, Some(content_type)),
            None => (meta, None),
        };
        if !is_text(kind)
            || !content_type.is_none_or(is_text)
            || type_of(kind) != event.form.type_id
        {
            return Err(bad());
        }
        Ok(Self {
            kind: kind.to_owned(),
            version: event.form.version,
            content_type: content_type.map(ToOwned::to_owned),
            data: event.payload.to_vec(),
        })
    }
}

/// The number of a kind: the first four bytes of its SHA-256.
fn type_of(kind: &str) -> u32 {
    let digest = Sha256::digest(kind.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn is_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Why an event of a guest's cannot be written, if so.
pub(super) fn fault(event: &Event) -> Option<String> {
    if !is_text(&event.kind) {
        return Some(format!(
            "an event's kind has 1 to {TEXT_BYTES_MAX} bytes and no control characters"
        ));
    }
    if !event.content_type.as_deref().is_none_or(is_text) {
        return Some(format!(
            "an event's content type has 1 to {TEXT_BYTES_MAX} bytes and no control characters"
        ));
    }
    if !(1..=VERSION_MAX).contains(&event.version) {
        return Some(format!(
            "the version of event {} is not within 1 to {VERSION_MAX}",
            event.kind
        ));
    }
    None
}

/// The event for a journal.
pub(super) fn write(event: &Event) -> Result<EventData, CodecError> {
    if let Some(fault) = fault(event) {
        return Err(CodecError::NotEncoded(fault));
    }
    let meta = match &event.content_type {
        Some(content_type) => format!("{}\n{content_type}", event.kind),
        None => event.kind.clone(),
    };
    Ok(EventData {
        type_id: type_of(&event.kind),
        version: u16::try_from(event.version).unwrap_or(u16::MAX),
        tags: Vec::new(),
        meta: meta.into_bytes(),
        payload: event.data.clone(),
    })
}

/// The event for a guest.
pub(super) fn read(event: Written<'_>) -> Result<Event, CodecError> {
    let read = GuestEvent::read(event)?;
    Ok(Event {
        kind: read.kind,
        version: u32::from(read.version),
        content_type: read.content_type,
        data: read.data,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use swarm_actors::durable::Form;

    fn event(kind: &str, version: u32, content_type: Option<&str>) -> Event {
        Event {
            kind: kind.to_owned(),
            version,
            content_type: content_type.map(ToOwned::to_owned),
            data: vec![1, 2],
        }
    }

    #[test]
    fn an_event_goes_into_a_journal_and_comes_back() {
        for event in [
            event("added", 1, None),
            event("füllt", 32_767, Some("application/json")),
        ] {
            let data = write(&event).unwrap();
            let form = Form {
                type_id: data.type_id,
                version: data.version,
            };
            let written = Written {
                form,
                meta: &data.meta,
                payload: &data.payload,
            };
            let back = read(written).unwrap();
            assert_eq!(
                (back.kind, back.version, back.content_type, back.data),
                (event.kind, event.version, event.content_type, event.data)
            );
        }
    }

    #[test]
    fn the_form_is_frozen() {
        let data = write(&event("added", 3, Some("text/plain"))).unwrap();
        assert_eq!(data.type_id, 0x279b_8a60);
        assert_eq!(data.version, 3);
        assert_eq!(data.meta, b"added\ntext/plain");
        assert_eq!(data.payload, [1, 2]);
    }

    #[test]
    fn what_no_journal_can_tell_apart_is_refused() {
        let long = "x".repeat(129);
        for bad in [
            event("", 1, None),
            event(&long, 1, None),
            event("a\nb", 1, None),
            event("a", 0, None),
            event("a", 32_768, None),
            event("a", 1, Some("")),
            event("a", 1, Some("a\nb")),
        ] {
            assert!(matches!(write(&bad), Err(CodecError::NotEncoded(_))));
        }
    }

    #[test]
    fn an_event_that_no_guest_wrote_is_an_error() {
        for meta in [
            b"".as_slice(),
            b"\xff",
            b"other",
            b"added\n",
            b"added\nx\ny",
        ] {
            let written = Written {
                form: Form {
                    type_id: type_of("added"),
                    version: 1,
                },
                meta,
                payload: &[],
            };
            assert!(GuestEvent::read(written).is_err(), "{meta:?}");
        }
    }
}

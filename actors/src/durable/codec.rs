//! Events as bytes: types, versions, and how old versions become new ones.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many upcasts one stored event may take. A chain that is longer goes in a circle.
pub const UPCASTS_MAX: u32 = 64;

/// What form an event's bytes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What kind of event it is. Never given to another kind.
    pub type_id: u32,
    /// Which version of that kind's form. Rises whenever the form changes.
    pub version: u16,
}

/// Bytes that are no event that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Nobody knows that form.
    #[error("nothing reads events of type {} version {}", .0.type_id, .0.version)]
    UnknownForm(Form),
    /// The bytes do not have it.
    #[error("the bytes are no event of type {} version {}", .0.type_id, .0.version)]
    BadBytes(Form),
    /// The event could not be made bytes of.
    #[error("the event cannot be encoded: {0}")]
    NotEncoded(String),
    /// Upcasting does not come to an end.
    #[error("upcasting type {} version {} does not come to an end", .0.type_id, .0.version)]
    Circle(Form),
    /// The agent's code does not take it.
    #[error("the agent's code does not take it: {0}")]
    Refused(String),
}

/// An event that can be stored and read back, in its present form and in every form that it ever had.
///
/// The default encoding is postcard, which does not describe itself: fields and variants may only be appended together with a
/// new version. Keep the bytes of every released version in a test.
pub trait Stored: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The form of this event's bytes today.
    fn form(&self) -> Form;

    /// Whether this is a form of today; others are upcast first.
    #[must_use]
    fn is_current(form: Form) -> bool {
        form.version == 1
    }

    /// Makes an event of an older form into events of a newer one: none, one, or several.
    ///
    /// # Errors
    /// [`CodecError::UnknownForm`], which is the default.
    fn upcast(form: Form, payload: &[u8]) -> Result<Vec<(Form, Vec<u8>)>, CodecError> {
        let _ = payload;
        Err(CodecError::UnknownForm(form))
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`CodecError::NotEncoded`].
    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        encode(self)
    }

    /// Reads bytes of a form of today.
    ///
    /// # Errors
    /// [`CodecError::BadBytes`].
    fn decode(form: Form, payload: &[u8]) -> Result<Self, CodecError> {
        decode(payload).ok_or(CodecError::BadBytes(form))
    }

    /// Reads bytes of any form.
    ///
    /// # Errors
    /// [`CodecError`].
    fn read(form: Form, payload: &[u8]) -> Result<Vec<Self>, CodecError> {
        let mut events = Vec::new();
        let mut waiting = vec![(form, payload.to_vec())];
        let mut upcasts = 0;
        while let Some((present, payload)) = waiting.pop() {
            if Self::is_current(present) {
                events.push(Self::decode(present, &payload)?);
            } else if upcasts == UPCASTS_MAX {
                return Err(CodecError::Circle(form));
            } else {
                upcasts += 1;
                waiting.extend(Self::upcast(present, &payload)?.into_iter().rev());
            }
        }
        Ok(events)
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    postcard::to_stdvec(value).map_err(|e| CodecError::NotEncoded(e.to_string()))
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Paid {
        cents: u64,
        currency: String,
    }

    impl Stored for Paid {
        fn form(&self) -> Form {
            Form {
                type_id: 1,
                version: 3,
            }
        }

        fn is_current(form: Form) -> bool {
            form == Form {
                type_id: 1,
                version: 3,
            }
        }

        /// Version 1 counted whole units, version 2 had no currency; type 9 became two payments.
        fn upcast(form: Form, payload: &[u8]) -> Result<Vec<(Form, Vec<u8>)>, CodecError> {
            let one = |version| Form {
                type_id: 1,
                version,
            };
            match (form.type_id, form.version) {
                (1, 1) => {
                    let units: u64 = decode(payload).ok_or(CodecError::BadBytes(form))?;
                    Ok(vec![(one(2), encode(&(units * 100))?)])
                }
                (1, 2) => {
                    let cents: u64 = decode(payload).ok_or(CodecError::BadBytes(form))?;
                    let currency = "EUR".to_owned();
                    Ok(vec![(one(3), encode(&Paid { cents, currency })?)])
                }
                (9, 1) => Ok(vec![(one(1), vec![1]), (one(2), vec![5])]),
                (8, 1) => Ok(vec![(form, payload.to_vec())]),
                _ => Err(CodecError::UnknownForm(form)),
            }
        }
    }

    fn read(type_id: u32, version: u16, bytes: &[u8]) -> Result<Vec<u64>, CodecError> {
        let events = Paid::read(Form { type_id, version }, bytes)?;
        Ok(events.into_iter().map(|paid| paid.cents).collect())
    }

    #[test]
    fn golden_bytes_of_every_version_are_read() {
        assert_eq!(read(1, 1, &[7]), Ok(vec![700]));
        assert_eq!(read(1, 2, &[0xac, 2]), Ok(vec![300]));
        assert_eq!(read(1, 3, b"\x05\x03USD"), Ok(vec![5]));
        assert_eq!(read(9, 1, &[]), Ok(vec![100, 5]), "in order");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_skipped() {
        let form = |type_id, version| Form { type_id, version };
        assert_eq!(read(1, 4, &[]), Err(CodecError::UnknownForm(form(1, 4))));
        assert_eq!(read(2, 1, &[]), Err(CodecError::UnknownForm(form(2, 1))));
        assert_eq!(read(1, 3, &[5]), Err(CodecError::BadBytes(form(1, 3))));
        assert_eq!(read(1, 1, &[7, 7]), Err(CodecError::BadBytes(form(1, 1))));
        assert_eq!(read(8, 1, &[]), Err(CodecError::Circle(form(8, 1))));
    }
}

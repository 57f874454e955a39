//! The JSON form, for the API, for WASM guests and for people. Swarm's own.
//!
//! One object; fields that are absent or `null` are absent parameters, fields that are not listed here are refused:
//!
//! | field | value |
//! | --- | --- |
//! | `performative` | one of the 22 acts, in any case; the only field that must be there |
//! | `sender` | an agent identifier |
//! | `receiver`, `reply_to` | an array of agent identifiers |
//! | `content` | a string: the content, where it is UTF-8 |
//! | `content_base64` | a string: the content in Base64, where it is not. Not together with `content` |
//! | `language`, `encoding`, `ontology`, `protocol`, `conversation_id`, `reply_with`, `in_reply_to` | a string |
//! | `reply_by` | a string: an RFC 3339 date-time, written in UTC with milliseconds |
//! | `user` | an array of `{"name":"X-…","value":"…"}`, in their order |
//!
//! An agent identifier is `{"name":…,"addresses":[…],"resolvers":[…],"user":[…]}`; only `name` must be there.

use super::codec::{Fault, ParseError, Place, Reading};
use super::string::spelling::is_user_name;
use super::{AclMessage, Aid, Performative, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// Reads one message; nothing but white space may follow it.
///
/// The depth is bounded by the JSON reader's 128 levels, not by [`Limits::depth_max`](super::Limits::depth_max).
///
/// # Errors
/// [`ParseError`] with the place where the JSON reader noticed it.
pub fn parse(bytes: &[u8], reading: &Reading) -> Result<AclMessage, ParseError> {
    let (length, limit) = (bytes.len(), reading.limits.bytes_max);
    if length > limit {
        return Err(ParseError {
            place: Place::of(bytes, 0),
            fault: Fault::TooLong { length, limit },
        });
    }
    let Written(message) = serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let what = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(what, _)| what);
        ParseError {
            place: Place::of(bytes, offset_of(bytes, error.line(), error.column())),
            fault: Fault::Json(what.to_owned()),
        }
    })?;
    Ok(message)
}

/// Writes a message as one line without a line end. Reading it gives an identical message, unless a user-defined name is
/// none or an agent has no name: then the reader refuses it.
#[must_use]
pub fn emit(message: &AclMessage) -> Vec<u8> {
    serde_json::to_vec(&View::of(message)).unwrap_or_else(|error| {
        unreachable!("a message is strings and lists of them, and those are always JSON: {error}")
    })
}

/// The byte before which the JSON reader stopped; its lines count from 1 and its columns are bytes.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let line_start = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .nth(line.wrapping_sub(2));
    (line_start.unwrap_or(0) + column.saturating_sub(1)).min(bytes.len())
}

/// A message as it is written and read.
struct Written(AclMessage);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let view = View::deserialize(deserializer)?;
        let content = match (view.content, view.content_base64) {
            (Some(_), Some(_)) => {
                return Err(D::Error::custom(
                    "content and content_base64 exclude each other",
                ));
            }
            (Some(text), None) => Some(text.into_owned().into_bytes()),
            (None, Some(base64)) => Some(base64.0.into_owned()),
            (None, None) => None,
        };
        Ok(Self(AclMessage {
            performative: view.performative.0,
            sender: view.sender.map(AidView::into_aid),
            receiver: aids(view.receiver),
            reply_to: aids(view.reply_to).into(),
            content,
            language: view.language.map(Into::into),
            encoding: view.encoding.map(Into::into),
            ontology: view.ontology.map(Into::into),
            protocol: view.protocol.map(Into::into),
            conversation_id: view.conversation_id.as_deref().map(Into::into),
            reply_with: view.reply_with.as_deref().map(Into::into),
            in_reply_to: view.in_reply_to.as_deref().map(Into::into),
            reply_by: view.reply_by.map(|time| time.0),
            user_parameters: user_defined(view.user).into(),
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct View<'a> {
    performative: Act,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<AidView<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiver: Option<Vec<AidView<'a>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Vec<AidView<'a>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_base64: Option<Base64<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ontology: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_with: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_by: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Vec<UserView<'a>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AidView<'a> {
    #[serde(deserialize_with = "agent_name")]
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<Cow<'a, str>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolvers: Option<Vec<AidView<'a>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Vec<UserView<'a>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserView<'a> {
    #[serde(deserialize_with = "user_name")]
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'a> View<'a> {
    fn of(message: &'a AclMessage) -> Self {
        fn text(value: Option<&str>) -> Option<Cow<'_, str>> {
            value.map(Cow::Borrowed)
        }
        let content = message.content.as_deref();
        let readable = content.and_then(|content| std::str::from_utf8(content).ok());
        Self {
            performative: Act(message.performative),
            sender: message.sender.as_ref().map(AidView::of),
            receiver: some_of(&message.receiver, AidView::of),
            reply_to: some_of(&message.reply_to, AidView::of),
            content: text(readable),
            content_base64: content
                .filter(|_| readable.is_none())
                .map(|content| Base64(Cow::Borrowed(content))),
            language: text(message.language.as_deref()),
            encoding: text(message.encoding.as_deref()),
            ontology: text(message.ontology.as_deref()),
            protocol: text(message.protocol.as_deref()),
            conversation_id: text(message.conversation_id.as_deref()),
            reply_with: text(message.reply_with.as_deref()),
            in_reply_to: text(message.in_reply_to.as_deref()),
            reply_by: message.reply_by.map(Moment),
            user: some_of(&message.user_parameters, UserView::of),
        }
    }
}

impl<'a> AidView<'a> {
    fn of(aid: &'a Aid) -> Self {
        Self {
            name: Cow::Borrowed(&aid.name),
            addresses: some_of(&aid.addresses, |address| Cow::Borrowed(address.as_str())),
            resolvers: some_of(&aid.resolvers, Self::of),
            user: some_of(&aid.user_slots, UserView::of),
        }
    }

    fn into_aid(self) -> Aid {
        Aid {
            name: self.name.into(),
            addresses: self
                .addresses
                .unwrap_or_default()
                .into_iter()
                .map(Cow::into_owned)
                .collect(),
            resolvers: aids(self.resolvers).into(),
            user_slots: user_defined(self.user).into(),
        }
    }
}

impl<'a> UserView<'a> {
    fn of((name, value): &'a (String, String)) -> Self {
        Self {
            name: Cow::Borrowed(name),
            value: Cow::Borrowed(value),
        }
    }
}

/// The list as it is written: none where it is empty.
fn some_of<'a, T, V>(list: &'a [T], view: impl Fn(&'a T) -> V) -> Option<Vec<V>> {
    (!list.is_empty()).then(|| list.iter().map(view).collect())
}

fn aids(views: Option<Vec<AidView<'_>>>) -> Vec<Aid> {
    let views = views.unwrap_or_default();
    views.into_iter().map(AidView::into_aid).collect()
}

fn user_defined(views: Option<Vec<UserView<'_>>>) -> Vec<(String, String)> {
    let views = views.unwrap_or_default();
    views
        .into_iter()
        .map(|view| (view.name.into_owned(), view.value.into_owned()))
        .collect()
}

fn agent_name<'de, D: Deserializer<'de>, T: From<String>>(from: D) -> Result<T, D::Error> {
    let name = String::deserialize(from)?;
    if name.is_empty() {
        return Err(D::Error::custom("an agent identifier without a name"));
    }
    Ok(name.into())
}

fn user_name<'de, D: Deserializer<'de>, T: From<String>>(from: D) -> Result<T, D::Error> {
    let name = String::deserialize(from)?;
    if !is_user_name(&name) {
        return Err(D::Error::custom(format!(
            "{name:?} is no name of a user-defined parameter: X- and a word"
        )));
    }
    Ok(name.into())
}

struct Act(Performative);

impl Serialize for Act {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Act {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        word.parse().map(Self).map_err(D::Error::custom)
    }
}

struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::from_rfc3339(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no date-time such as 2026-01-01T12:00:00.000Z"
            ))
        })
    }
}

struct Base64<'a>(Cow<'a, [u8]>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD
            .decode(text)
            .map(|bytes| Self(Cow::Owned(bytes)))
            .map_err(|error| D::Error::custom(format!("no Base64: {error}")))
    }
}

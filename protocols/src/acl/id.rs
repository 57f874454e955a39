//! The texts that tie messages together.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident($text:ty);)*) => {$(
        $(#[$doc])*
        ///
        /// Any text, the empty one included; compared byte by byte. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($text);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<SmolStr> for $name {
            fn from(text: SmolStr) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

text_ids! {
    /// What all messages of one conversation carry: `:conversation-id`. Globally unique.
    ConversationId(Arc<str>);
    /// What an answer is tied to its question by: the `:reply-with` of the question is the `:in-reply-to` of the answer.
    ReplyWith(SmolStr);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_map_of_ids_is_asked_with_a_plain_text() {
        let map = BTreeMap::from([(ConversationId::from("c1"), 1)]);
        assert_eq!(map.get("c1"), Some(&1));
        assert_eq!(ReplyWith::from("r1".to_owned()), "r1");
    }

    #[test]
    fn an_id_is_a_bare_string_in_json() {
        let id = ConversationId::from("C1(x)");
        let text = serde_json::to_string(&id).expect("to json");
        assert_eq!(text, r#""C1(x)""#);
        assert_eq!(serde_json::from_str::<ConversationId>(&text).ok(), Some(id));
    }
}

//! Names of streams and tags.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

const NAME_BYTES_MAX: usize = 1024;

/// What a stream is called: 1 to 1024 of `[a-z0-9._/:@#-]`. A durable agent's stream has the name of its path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

/// A mark that events of several streams may carry, to be found by: 1 to 1024 of the same characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

/// A text that is no name of a stream or tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name: 1 to 1024 of a-z 0-9 . _ / : @ # -")]
pub struct NameRefused(pub String);

fn check(text: &str) -> Result<Arc<str>, NameRefused> {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/:@#-".contains(&b);
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_allowed) {
        Ok(text.into())
    } else {
        Err(NameRefused(text.chars().take(NAME_BYTES_MAX).collect()))
    }
}

impl StreamName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameRefused`].
    pub fn new(text: &str) -> Result<Self, NameRefused> {
        check(text).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `-`, or all of it.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl Tag {
    /// Parses a tag.
    ///
    /// # Errors
    /// [`NameRefused`].
    pub fn new(text: &str) -> Result<Self, NameRefused> {
        check(text).map(Self)
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameRefused;
            fn try_from(text: String) -> Result<Self, NameRefused> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text!(StreamName);
text!(Tag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_the_border() {
        assert_eq!(
            StreamName::new("/bank/alice-2").map(|n| n.category().to_owned()),
            Ok("/bank/alice".into())
        );
        for bad in ["", "A", "a b", "ü", &"x".repeat(1025)] {
            assert!(StreamName::new(bad).is_err(), "{bad}");
            assert!(Tag::new(bad).is_err(), "{bad}");
        }
    }
}

//! Names of tools and of callers.

use std::fmt;
use std::sync::Arc;
use swarm_protocols::Path;

/// The longest name of a tool, in bytes: a server's name, a slash, and the longest name that MCP allows.
const TOOL_NAME_BYTES_MAX: usize = 257;
/// The longest name of a caller, in bytes.
const CALLER_BYTES_MAX: usize = 1024;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has no characters, or a part between slashes has none.
    #[error("a part of the name is empty")]
    Empty,
    /// It has too many bytes.
    #[error("the name has more than {bytes_max} bytes")]
    TooLong {
        /// How many it may have.
        bytes_max: usize,
    },
    /// It has a character that a name cannot have.
    #[error("{character:?} cannot be in a name")]
    Character {
        /// The first of them.
        character: char,
    },
    /// A pattern is a name, or the beginning of one that ends with `*` and has the slash after its server's name.
    #[error("a star stands only at the end, behind a server's name and a slash")]
    Star,
}

/// The name of a tool: `http-fetch`, or `server/tool` for one of an MCP server. Letters, digits, `.`, `_`, `-`, and slashes
/// between parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolName(Arc<str>);

impl ToolName {
    /// Checks a text.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        if text.len() > TOOL_NAME_BYTES_MAX {
            return Err(BadName::TooLong {
                bytes_max: TOOL_NAME_BYTES_MAX,
            });
        }
        for part in text.split('/') {
            if part.is_empty() {
                return Err(BadName::Empty);
            }
            let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if let Some(character) = part.chars().find(|c| !allowed(c)) {
                return Err(BadName::Character { character });
            }
        }
        Ok(Self(text.into()))
    }

    /// The name as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which tools a grant is about: one name, or all that begin alike (`files/*`, `files/read-*`).
///
/// A star never reaches over a server's name, so that a server that is added later is never granted by accident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolPattern {
    text: Arc<str>,
}

impl ToolPattern {
    /// Checks a text.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        match text.strip_suffix('*') {
            Some(prefix) => {
                if !prefix.contains('/') {
                    return Err(BadName::Star);
                }
                // What a name may begin with is what a name is, but for a slash at its end.
                ToolName::new(prefix.strip_suffix('/').unwrap_or(prefix))?;
            }
            None => drop(ToolName::new(text)?),
        }
        Ok(Self { text: text.into() })
    }

    /// Whether `name` is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.text.strip_suffix('*') {
            Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
            None => *self.text == *name,
        }
    }

    /// How much of a name it fixes: of two patterns that match, the one that fixes more is the closer one. A name fixes
    /// more than any beginning of it.
    pub(crate) fn closeness(&self) -> usize {
        match self.text.strip_suffix('*') {
            Some(prefix) => prefix.len(),
            None => usize::MAX,
        }
    }

    /// The pattern as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Who calls: an agent by its path, or another party by a name of its own. Stores and idempotency keys belong to a caller
/// and outlive an agent's crash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(Arc<str>);

impl Caller {
    /// Checks a text: 1 to 1024 bytes without control characters.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        if text.len() > CALLER_BYTES_MAX {
            return Err(BadName::TooLong {
                bytes_max: CALLER_BYTES_MAX,
            });
        }
        match text.chars().find(|c| c.is_control()) {
            Some(character) => Err(BadName::Character { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The agent at a path of the tree.
    #[must_use]
    pub fn agent(path: &Path) -> Self {
        Self(path.as_str().into())
    }

    /// The caller as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_never_reaches_over_a_servers_name() {
        for text in ["*", "http*", "a*/b", "a/*b"] {
            assert!(ToolPattern::new(text).is_err(), "{text}");
        }
        let all = ToolPattern::new("files/*").expect("a pattern");
        assert!(all.matches("files/read") && all.matches("files/deep/read"));
        assert!(
            !all.matches("files/") && !all.matches("files-secret/read") && !all.matches("files")
        );
    }

    #[test]
    fn hostile_names_are_refused() {
        for text in [
            "",
            "/",
            "a//b",
            "a b",
            "a\n",
            "../\u{0}",
            "ä",
            &"a".repeat(258),
        ] {
            assert!(ToolName::new(text).is_err(), "{text:?}");
        }
        for text in ["http-fetch", "Srv/Tool_1.x", "a/b/c"] {
            assert!(ToolName::new(text).is_ok(), "{text:?}");
        }
        assert!(Caller::new("/a\u{1b}[0m").is_err());
    }
}

//! What a caller may call.

use crate::name::{BadName, ToolPattern};
use serde_json::{Map, Value};

/// What a grant says about one tool beside its name, such as the hosts that `http-fetch` may speak to. Which keys there
/// are is the tool's affair ([`Tool::check_arguments`](crate::Tool::check_arguments)).
pub type Arguments = Map<String, Value>;

/// Which tools a caller may call, and with which arguments. None unless stated.
///
/// Where more than one pattern matches a name, the closest one alone counts: a name before any beginning, a longer
/// beginning before a shorter one. Arguments are never added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    list: Vec<(ToolPattern, Arguments)>,
}

/// Why a grant cannot be added. The grants are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGrant {
    /// The pattern is none.
    #[error("{pattern:?} names no tools: {problem}")]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        problem: BadName,
    },
    /// The same pattern is granted already; which arguments would count?
    #[error("{pattern} is granted twice")]
    Twice {
        /// The pattern.
        pattern: ToolPattern,
    },
    /// There are [`GRANTS_MAX`] already.
    #[error("more than {GRANTS_MAX} grants")]
    TooMany,
}

/// How many grants one caller may have.
pub const GRANTS_MAX: usize = 256;

impl Grants {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These, and the tools that `pattern` names, without arguments.
    ///
    /// # Errors
    /// [`BadGrant`].
    pub fn with(self, pattern: &str) -> Result<Self, BadGrant> {
        self.with_arguments(pattern, Arguments::new())
    }

    /// These, and the tools that `pattern` names, with arguments for them.
    ///
    /// # Errors
    /// [`BadGrant`].
    pub fn with_arguments(mut self, pattern: &str, arguments: Arguments) -> Result<Self, BadGrant> {
        let pattern = ToolPattern::new(pattern).map_err(|problem| BadGrant::Pattern {
            pattern: pattern.to_owned(),
            problem,
        })?;
        if self.list.iter().any(|(other, _)| *other == pattern) {
            return Err(BadGrant::Twice { pattern });
        }
        if self.list.len() >= GRANTS_MAX {
            return Err(BadGrant::TooMany);
        }
        self.list.push((pattern, arguments));
        Ok(self)
    }

    /// The arguments for a tool; none if it is not granted.
    #[must_use]
    pub fn for_tool(&self, name: &str) -> Option<&Arguments> {
        self.list
            .iter()
            .filter(|(pattern, _)| pattern.matches(name))
            .max_by_key(|(pattern, _)| pattern.closeness())
            .map(|(_, arguments)| arguments)
    }

    /// All grants, in the order of their statement.
    pub fn iter(&self) -> impl Iterator<Item = (&ToolPattern, &Arguments)> {
        self.list
            .iter()
            .map(|(pattern, arguments)| (pattern, arguments))
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn arguments(text: &str) -> Arguments {
        Arguments::from_iter([("is".to_owned(), json!(text))])
    }

    #[test]
    fn the_closest_grant_alone_counts() {
        let grants = Grants::new()
            .with_arguments("s/*", arguments("all"))
            .and_then(|g| g.with_arguments("s/read-file", arguments("one")))
            .and_then(|g| g.with_arguments("s/read-*", arguments("some")))
            .expect("grants");
        let found = |name: &str| grants.for_tool(name).map(|a| a["is"].clone());
        assert_eq!(found("s/read-file"), Some(json!("one")));
        assert_eq!(found("s/read-line"), Some(json!("some")));
        assert_eq!(found("s/write"), Some(json!("all")));
        assert_eq!(found("t/write"), None);
    }

    #[test]
    fn a_pattern_is_granted_once() {
        let twice = Grants::new().with("time").and_then(|g| g.with("time"));
        assert!(matches!(twice, Err(BadGrant::Twice { .. })));
    }
}

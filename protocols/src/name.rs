//! Names and paths. A name is 1 to 128 of `[a-z0-9._-]`, so that names compare the same everywhere; a path is `/a/b`.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The longest path, in bytes: thirty-two names of full length.
const PATH_BYTES_MAX: usize = 32 * (NAME_BYTES_MAX + 1);

/// A valid name: 1 to 128 of `[a-z0-9._-]`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is no name. Nothing was changed; the same text fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must have at least one character")]
    Empty,
    /// The text has more than 128 bytes.
    #[error("a name has at most {NAME_BYTES_MAX} characters, this one has {bytes}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The text has a character that names do not have.
    #[error("a name consists of a-z, 0-9, '.', '_' and '-', not {character:?}")]
    BadCharacter {
        /// The first offending character.
        character: char,
    },
}

impl Name {
    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    /// [`NameError`] when `text` is empty, too long or has a character outside `[a-z0-9._-]`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_name(text)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: text.len() });
    }
    match text
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-'))
    {
        Some(character) => Err(NameError::BadCharacter { character }),
        None => Ok(()),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// A place in the supervision tree: `/` is the root, `/a/b` the child `b` of the child `a` of the root. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Path(Arc<str>);

/// Why a text is no path. Nothing was changed; the same text fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A path begins with `/`.
    #[error("a path begins with '/'")]
    NotAbsolute,
    /// The path is longer than any tree is deep.
    #[error("a path has at most {PATH_BYTES_MAX} characters, this one has {bytes}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// One of the names between the slashes is not a name.
    #[error("{segment:?} in a path: {cause}")]
    BadSegment {
        /// The offending segment.
        segment: String,
        /// What is wrong with it.
        #[source]
        cause: NameError,
    },
}

impl Path {
    /// The root, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Checks `text` and makes a path of it.
    ///
    /// # Errors
    /// [`PathError`] when it does not begin with `/`, is too long, or has a segment that is not a [`Name`].
    pub fn new(text: &str) -> Result<Self, PathError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PathError::NotAbsolute);
        };
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong { bytes: text.len() });
        }
        if !rest.is_empty() {
            for segment in rest.split('/') {
                check_name(segment).map_err(|cause| PathError::BadSegment {
                    segment: segment.to_owned(),
                    cause,
                })?;
            }
        }
        Ok(Self(text.into()))
    }

    /// The path of the child `name` of this one.
    #[must_use]
    pub fn child(&self, name: &Name) -> Self {
        if self.is_root() {
            Self(format!("/{name}").into())
        } else {
            Self(format!("{}/{name}", self.0).into())
        }
    }

    /// The path one level up; none for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind('/') {
            Some(0) | None => Some(Self::root()),
            Some(at) => Some(Self(self.0[..at].into())),
        }
    }

    /// The last name in it; none for the root.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        let last = self.0.rsplit('/').next().filter(|s| !s.is_empty())?;
        Some(Name(last.into()))
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether this is `other` or stands below it.
    #[must_use]
    pub fn is_within(&self, other: &Path) -> bool {
        other.is_root()
            || self == other
            || self
                .0
                .strip_prefix(other.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// The names from the root down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|s| !s.is_empty())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl FromStr for Path {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Path {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_alphabet_are_refused_with_the_character() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(
            Name::new("Pool"),
            Err(NameError::BadCharacter { character: 'P' })
        );
        assert_eq!(
            Name::new(&"a".repeat(129)),
            Err(NameError::TooLong { bytes: 129 })
        );
        assert!(Name::new(&"a".repeat(128)).is_ok());
    }

    #[test]
    fn a_path_knows_its_parent_its_name_and_what_stands_below_it() {
        let path = Path::new("/pool/worker-1").expect("valid");
        let pool = Path::new("/pool").expect("valid");
        assert_eq!(path.parent(), Some(pool.clone()));
        assert_eq!(pool.parent(), Some(Path::root()));
        assert_eq!(Path::root().parent(), None);
        assert_eq!(path.name(), Name::new("worker-1").ok());
        assert_eq!(Path::root().name(), None);
        assert!(path.is_within(&pool) && path.is_within(&Path::root()));
        assert!(!Path::new("/pool2").expect("valid").is_within(&pool));
    }

    #[test]
    fn a_path_with_an_empty_segment_is_refused() {
        assert!(Path::new("/a//b").is_err());
        assert!(Path::new("/a/").is_err());
        assert!(Path::new("a").is_err());
    }
}

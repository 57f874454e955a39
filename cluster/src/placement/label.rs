//! What nodes are labelled with, and what a child asks of a node's labels.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use swarm_protocols::{Name, NameError};

/// The most labels of one node, and the most that one child may ask for.
pub const LABELS_MAX: usize = 32;

/// Labels: names with a value each, such as `zone=a`. In order of names. At most [`LABELS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Name, Name>", into = "BTreeMap<Name, Name>")]
pub struct Labels(BTreeMap<Name, Name>);

/// Why a text is no label, or a label was not taken. Nothing was changed; the same again fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no `=`.
    #[error("{0:?} is no NAME=VALUE")]
    NoValue(String),
    /// The name or the value is no name.
    #[error("{text:?}: {cause}")]
    BadName {
        /// What was given.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: NameError,
    },
    /// The label is there already.
    #[error("the label {0} is there twice")]
    Twice(Name),
    /// There are [`LABELS_MAX`] already.
    #[error("more than {LABELS_MAX} labels")]
    TooMany,
}

impl Labels {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`LabelError::Twice`], [`LabelError::TooMany`].
    pub fn add(&mut self, name: Name, value: Name) -> Result<(), LabelError> {
        if self.0.contains_key(&name) {
            return Err(LabelError::Twice(name));
        }
        if self.0.len() == LABELS_MAX {
            return Err(LabelError::TooMany);
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Whether all of `asked` are among these, with the same values.
    #[must_use]
    pub fn have(&self, asked: &Self) -> bool {
        asked
            .iter()
            .all(|(name, value)| self.0.get(name) == Some(value))
    }

    /// All of them, in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<Name, Name>> for Labels {
    type Error = LabelError;
    fn try_from(labels: BTreeMap<Name, Name>) -> Result<Self, LabelError> {
        if labels.len() > LABELS_MAX {
            return Err(LabelError::TooMany);
        }
        Ok(Self(labels))
    }
}

impl From<Labels> for BTreeMap<Name, Name> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

impl FromStr for Labels {
    type Err = LabelError;
    /// `NAME=VALUE`, several with commas between them.
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let mut labels = Self::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| LabelError::NoValue(part.to_owned()))?;
            let checked = |text: &str| {
                Name::new(text.trim()).map_err(|cause| LabelError::BadName {
                    text: part.to_owned(),
                    cause,
                })
            };
            labels.add(checked(name)?, checked(value)?)?;
        }
        Ok(labels)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{name}={value}")?;
        }
        Ok(())
    }
}

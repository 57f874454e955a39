//! Typed reading of TOML tables. Every read notes its own mistakes and goes on, so that one run finds all of them.

use super::problem::{Problems, closest};
use crate::duration::{DurationError, parse_duration};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use swarm_protocols::Name;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A value and its place in the text.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table that is being read. Keys that nobody asked for by the time of [`Section::finish`] are unknown.
pub(super) struct Section<'a, 'i> {
    /// The table's own key, for messages: `agent."/pool/worker"`.
    pub(super) key: String,
    /// Where it begins.
    pub(super) span: Range<usize>,
    table: &'a DeTable<'i>,
    known: Vec<&'static str>,
}

/// A time span that may be without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Finite(Duration),
    Infinite,
}

impl<'a, 'i> Section<'a, 'i> {
    pub(super) fn new(key: impl Into<String>, span: Range<usize>, table: &'a DeTable<'i>) -> Self {
        Self {
            key: key.into(),
            span,
            table,
            known: Vec::new(),
        }
    }

    /// The key of an entry, for messages.
    pub(super) fn key_of(&self, entry: &str) -> String {
        if self.key.is_empty() {
            entry.to_owned()
        } else {
            format!("{}.{entry}", self.key)
        }
    }

    /// The entries in the order of the text, whatever their keys.
    pub(super) fn entries(
        table: &'a DeTable<'i>,
    ) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
    }

    pub(super) fn get(&mut self, entry: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        if !self.known.contains(&entry) {
            self.known.push(entry);
        }
        self.table.get(entry)
    }

    pub(super) fn text(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Located<&'a str>> {
        let value = self.get(entry)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Located {
                value: text,
                span: value.span(),
            }),
            other => {
                self.wrong_type(problems, entry, value, "a string", other);
                None
            }
        }
    }

    pub(super) fn boolean(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Located<bool>> {
        let value = self.get(entry)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(Located {
                value: *flag,
                span: value.span(),
            }),
            other => {
                self.wrong_type(problems, entry, value, "true or false", other);
                None
            }
        }
    }

    pub(super) fn integer(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
        range: RangeInclusive<u32>,
    ) -> Option<Located<u32>> {
        let value = self.get(entry)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(problems, entry, value, "a whole number", value.get_ref());
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX);
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => Some(Located {
                value: number,
                span: value.span(),
            }),
            _ => {
                problems.note(
                    &value.span(),
                    self.key_of(entry),
                    format!(
                        "{} is not within {} to {}",
                        integer.as_str(),
                        range.start(),
                        range.end()
                    ),
                    None,
                );
                None
            }
        }
    }

    /// A number from 0 to 1.
    pub(super) fn share(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Located<f64>> {
        let value = self.get(entry)?;
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            other => {
                self.wrong_type(problems, entry, value, "a number from 0 to 1", other);
                return None;
            }
        };
        match number.filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => Some(Located {
                value: number,
                span: value.span(),
            }),
            None => {
                problems.note(
                    &value.span(),
                    self.key_of(entry),
                    "must be a number from 0 to 1",
                    None,
                );
                None
            }
        }
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        let text = self.text(problems, entry)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(Located {
                value: *value,
                span: text.span,
            });
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        problems.note(
            &text.span,
            self.key_of(entry),
            format!("{:?} is none of {}", text.value, words.join(", ")),
            closest(text.value, words).map(|word| format!("{word:?}")),
        );
        None
    }

    /// A duration above zero.
    pub(super) fn duration(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Located<Duration>> {
        let span = self.span_of_time(problems, entry, &[])?;
        match span.value {
            Ok(duration) if duration.is_zero() => {
                problems.note(
                    &span.span,
                    self.key_of(entry),
                    "must be longer than zero",
                    None,
                );
                None
            }
            Ok(duration) => Some(Located {
                value: duration,
                span: span.span,
            }),
            Err(_) => None,
        }
    }

    /// A duration above zero, or `infinity`.
    pub(super) fn deadline(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Located<Span>> {
        let span = self.span_of_time(problems, entry, &["infinity"])?;
        match span.value {
            Ok(duration) if duration.is_zero() => {
                problems.note(
                    &span.span,
                    self.key_of(entry),
                    "must be longer than zero",
                    None,
                );
                None
            }
            Ok(duration) => Some(Located {
                value: Span::Finite(duration),
                span: span.span,
            }),
            Err(_) => Some(Located {
                value: Span::Infinite,
                span: span.span,
            }),
        }
    }

    /// A duration, or one of `words` (as the error).
    pub(super) fn span_of_time(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
        words: &[&'static str],
    ) -> Option<Located<Result<Duration, &'static str>>> {
        let value = self.get(entry)?;
        let key = self.key_of(entry);
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let number = number.as_str();
                let (message, suggestion) = if number.starts_with('-') {
                    (
                        DurationError::Negative.to_string(),
                        DurationError::Negative.suggestion(),
                    )
                } else {
                    // Nobody means an hour and more in seconds; they think in milliseconds.
                    let unit = if number.len() > 3 { "ms" } else { "s" };
                    (
                        "a duration is a string with a unit, not an integer".to_owned(),
                        Some(format!("\"{number}{unit}\"")),
                    )
                };
                problems.note(&value.span(), key, message, suggestion);
                return None;
            }
            other => {
                self.wrong_type(problems, entry, value, "a duration in a string", other);
                return None;
            }
        };
        if let Some(word) = words.iter().find(|word| **word == text.as_ref()) {
            return Some(Located {
                value: Err(word),
                span: value.span(),
            });
        }
        match parse_duration(text) {
            Ok(duration) => Some(Located {
                value: Ok(duration),
                span: value.span(),
            }),
            Err(error) => {
                let suggestion = match closest(text, words.iter().copied()) {
                    Some(word) => Some(format!("{word:?}")),
                    None => error.suggestion(),
                };
                problems.note(&value.span(), key, error.to_string(), suggestion);
                None
            }
        }
    }

    pub(super) fn name(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Located<Name>> {
        let text = self.text(problems, entry)?;
        self.checked_name(problems, entry, text.value, &text.span)
    }

    /// A list of names, each at most once.
    pub(super) fn names(&mut self, problems: &mut Problems<'_>, entry: &'static str) -> Vec<Name> {
        let Some(value) = self.get(entry) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(problems, entry, value, "a list of names", value.get_ref());
            return Vec::new();
        };
        let mut names: Vec<Name> = Vec::new();
        for item in items.iter() {
            let DeValue::String(text) = item.get_ref() else {
                self.wrong_type(problems, entry, item, "a name in a string", item.get_ref());
                continue;
            };
            let Some(name) = self.checked_name(problems, entry, text, &item.span()) else {
                continue;
            };
            if names.contains(&name.value) {
                problems.note(
                    &item.span(),
                    self.key_of(entry),
                    format!("{name} is named twice", name = name.value),
                    None,
                );
            } else {
                names.push(name.value);
            }
        }
        names
    }

    /// A table inside this one.
    pub(super) fn section(
        &mut self,
        problems: &mut Problems<'_>,
        entry: &'static str,
    ) -> Option<Section<'a, 'i>> {
        let value = self.get(entry)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.key_of(entry), value.span(), table)),
            other => {
                self.wrong_type(problems, entry, value, "a table", other);
                None
            }
        }
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems<'_>) {
        for (key, _) in Self::entries(self.table) {
            let word = key.get_ref().as_ref();
            if self.known.contains(&word) {
                continue;
            }
            let suggestion = match closest(word, self.known.iter().copied()) {
                Some(known) => known.to_owned(),
                None => format!("one of {}", self.known.join(", ")),
            };
            problems.note(
                &key.span(),
                self.key_of(&quoted(word)),
                "unknown key",
                Some(suggestion),
            );
        }
    }

    fn checked_name(
        &self,
        problems: &mut Problems<'_>,
        entry: &str,
        text: &str,
        span: &Range<usize>,
    ) -> Option<Located<Name>> {
        match Name::new(text) {
            Ok(name) => Some(Located {
                value: name,
                span: span.clone(),
            }),
            Err(error) => {
                let lower = text.to_lowercase().replace([' ', '/'], "-");
                let suggestion = Name::new(&lower)
                    .ok()
                    .map(|name| format!("{:?}", name.as_str()));
                problems.note(span, self.key_of(entry), error.to_string(), suggestion);
                None
            }
        }
    }

    fn wrong_type(
        &self,
        problems: &mut Problems<'_>,
        entry: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        found: &DeValue<'_>,
    ) {
        problems.note(
            &value.span(),
            self.key_of(entry),
            format!("expected {expected}, found {}", type_of(found)),
            None,
        );
    }
}

/// A key as it is written in TOML: bare where it can be, else in quotes.
pub(super) fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// What a value is, with an article.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

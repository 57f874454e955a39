//! Keys by category, and what is done with one.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The form of sealed bytes: this byte, the key's number (u32, little-endian), the nonce, then ciphertext and tag.
const FORM: u8 = 1;
const HEAD: usize = 1 + 4 + NONCE_LEN;
/// How many keys one file may have.
const KEYS_MAX: usize = 10_000;

/// Keys by category. The category `*` stands for all that have none of their own.
#[derive(Default)]
pub struct Keys {
    categories: BTreeMap<String, Category>,
}

struct Category {
    keys: BTreeMap<u32, LessSafeKey>,
    active: u32,
}

/// Why a file of keys was refused. No key was taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileRefused {
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: std::io::Error,
    },
    /// A line of it is none of `CATEGORY NUMBER KEY`, with 64 hexadecimal digits. The line itself is not told: it may hold a key.
    #[error("{} line {line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Why sealed bytes cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOpened {
    #[error("it is sealed with key {number} of category {category}, which is not given")]
    NoKey { category: String, number: u32 },
    #[error("it is not what was sealed with key {number} of category {category}")]
    Altered { category: String, number: u32 },
    #[error("its form is unknown")]
    Form,
}

/// Whether the system gave no random numbers, without which nothing is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRandom;

impl Keys {
    /// No keys: nothing is sealed, and nothing that is can be read.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a file of lines `CATEGORY NUMBER KEY`: the category or `*`, a number from 1 that the category has once, and 64
    /// hexadecimal digits. A category's last line is the key that seals. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`KeyFileRefused`].
    pub fn read(path: &Path) -> Result<Self, KeyFileRefused> {
        let text = std::fs::read_to_string(path).map_err(|error| KeyFileRefused::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text).map_err(|(line, why)| KeyFileRefused::Line {
            path: path.to_owned(),
            line,
            why,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut keys = Self::default();
        let mut count = 0;
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            count += 1;
            if count > KEYS_MAX {
                return Err((line, "more than 10000 keys"));
            }
            let mut words = text.split_whitespace();
            let (Some(category), Some(number), Some(key), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err((line, "not CATEGORY NUMBER KEY"));
            };
            let number = match number.parse::<u32>() {
                Ok(number) if number > 0 => number,
                _ => return Err((line, "the number is not from 1 to 4294967295")),
            };
            let key = key_of(key).ok_or((line, "the key is not 64 hexadecimal digits"))?;
            let known = keys
                .categories
                .entry(category.to_owned())
                .or_insert_with(|| Category {
                    keys: BTreeMap::new(),
                    active: number,
                });
            if known.keys.insert(number, key).is_some() {
                return Err((line, "the category has that number already"));
            }
            known.active = number;
        }
        Ok(keys)
    }

    fn category(&self, category: &str) -> Option<(&str, &Category)> {
        let own = self.categories.get_key_value(category);
        own.or_else(|| self.categories.get_key_value("*"))
            .map(|(name, keys)| (name.as_str(), keys))
    }

    /// Whether what a category says is sealed.
    pub(super) fn seals(&self, category: &str) -> bool {
        self.category(category).is_some()
    }

    /// Seals bytes of a category, bound to `what`.
    pub(super) fn seal(
        &self,
        category: &str,
        what: &[u8],
        bytes: &[u8],
    ) -> Result<Vec<u8>, NoRandom> {
        let (_, keys) = self.category(category).ok_or(NoRandom)?;
        let key = keys.keys.get(&keys.active).ok_or(NoRandom)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| NoRandom)?;
        let mut sealed = Vec::with_capacity(HEAD + bytes.len() + AES_256_GCM.tag_len());
        sealed.push(FORM);
        sealed.extend(keys.active.to_le_bytes());
        sealed.extend(nonce);
        let mut body = bytes.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(what), &mut body)
            .map_err(|_| NoRandom)?;
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what was sealed.
    pub(super) fn open(
        &self,
        category: &str,
        what: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, NotOpened> {
        let (head, body) = sealed.split_at_checked(HEAD).ok_or(NotOpened::Form)?;
        let (Some((&FORM, head)), Ok(nonce)) = (
            head.split_first(),
            <[u8; NONCE_LEN]>::try_from(&head[HEAD - NONCE_LEN..]),
        ) else {
            return Err(NotOpened::Form);
        };
        let number = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let no_key = |category: &str| NotOpened::NoKey {
            category: category.to_owned(),
            number,
        };
        let (name, keys) = self.category(category).ok_or_else(|| no_key(category))?;
        let key = keys.keys.get(&number).ok_or_else(|| no_key(name))?;
        let mut bytes = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        match key.open_in_place(nonce, Aad::from(what), &mut bytes) {
            Ok(opened) => {
                let length = opened.len();
                bytes.truncate(length);
                Ok(bytes)
            }
            Err(_) => Err(NotOpened::Altered {
                category: name.to_owned(),
                number,
            }),
        }
    }
}

fn key_of(digits: &str) -> Option<LessSafeKey> {
    let mut key = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    UnboundKey::new(&AES_256_GCM, &key)
        .ok()
        .map(LessSafeKey::new)
}

impl fmt::Debug for Keys {
    /// Categories and numbers, no keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self
            .categories
            .iter()
            .map(|(name, category)| (name, category.keys.keys().collect::<Vec<_>>()));
        f.debug_map().entries(numbers).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
    const TWO: &str = "0202020202020202020202020202020202020202020202020202020202020202";

    #[test]
    fn what_is_sealed_is_opened_with_the_key_of_then_and_for_what_it_was_sealed() {
        let old = Keys::parse(&format!("a 1 {ONE}\n")).expect("keys");
        let new =
            Keys::parse(&format!("# rotated\na 1 {ONE}\na 2 {TWO}\n* 1 {TWO}")).expect("keys");
        let sealed = old.seal("a", b"what", b"secret").expect("sealed");
        assert_eq!(new.open("a", b"what", &sealed), Ok(b"secret".to_vec()));
        let altered = NotOpened::Altered {
            category: "a".to_owned(),
            number: 1,
        };
        assert_eq!(new.open("a", b"other", &sealed), Err(altered));
        let sealed = new.seal("a", b"what", b"secret").expect("sealed");
        let no_key = NotOpened::NoKey {
            category: "a".to_owned(),
            number: 2,
        };
        assert_eq!(old.open("a", b"what", &sealed), Err(no_key));
        assert!(!old.seals("b"));
        let sealed = new.seal("b", b"", b"").expect("sealed");
        assert_eq!(
            new.open("c", b"", &sealed),
            Ok(Vec::new()),
            "one key for all others"
        );
        for length in 0..sealed.len() {
            assert!(new.open("b", b"", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn a_line_that_is_no_key_is_refused_by_its_number() {
        let table = [("a 1", 1), ("a 0 00", 1), ("\na 1 zz", 2), ("a x 00", 1)];
        for (text, line) in table {
            let refused = Keys::parse(text).expect_err(text);
            assert_eq!(refused.0, line, "{text}");
        }
        let twice = Keys::parse(&format!("a 1 {ONE}\na 1 {TWO}"));
        assert_eq!(twice.expect_err("twice").0, 2);
        assert!(!format!("{:?}", Keys::parse(&format!("a 1 {ONE}"))).contains("0101"));
    }
}

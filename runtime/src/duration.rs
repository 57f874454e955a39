//! Durations as people write them: `250ms`, `5s`, `1m30s`.

use std::fmt;
use std::time::Duration;

/// The longest duration that settings take: a year. Timers hold it without overflow, and nobody means more.
pub const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Units from the biggest to the smallest, in milliseconds. They are written in this order.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is nothing in it.
    #[error("a duration cannot be empty")]
    Empty,
    /// It begins with a minus.
    #[error("a duration cannot be negative")]
    Negative,
    /// A number stands alone.
    #[error("a duration needs a unit")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// A unit that there is not, or one out of order.
    #[error("{text:?} is no duration: numbers with units d, h, m, s, ms, the bigger unit first")]
    Malformed {
        /// The whole text.
        text: String,
    },
    /// Longer than [`DURATION_MAX`].
    #[error("{text:?} is longer than a year")]
    TooLong {
        /// The whole text.
        text: String,
    },
}

impl DurationError {
    /// What could be written instead.
    #[must_use]
    pub fn suggestion(&self) -> Option<String> {
        match self {
            Self::NoUnit { number } => Some(format!("\"{number}s\"")),
            Self::Empty | Self::Negative | Self::Malformed { .. } => {
                Some("a text such as \"5s\", \"250ms\" or \"1m30s\"".to_owned())
            }
            Self::TooLong { .. } => None,
        }
    }
}

/// Reads a duration: whole numbers, each with a unit of `d`, `h`, `m`, `s`, `ms`, the bigger unit first.
///
/// # Errors
/// [`DurationError`] says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed {
        text: text.to_owned(),
    };
    let too_long = || DurationError::TooLong {
        text: text.to_owned(),
    };
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let mut rest = text;
    let mut total_ms = 0_u64;
    let mut units_left = &UNITS[..];
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if number.is_empty() {
            return Err(malformed());
        }
        if tail.is_empty() {
            return Err(if rest == text {
                DurationError::NoUnit {
                    number: number.to_owned(),
                }
            } else {
                malformed()
            });
        }
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let at = units_left
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        let number = number.parse::<u64>().map_err(|_| too_long())?;
        total_ms = number
            .checked_mul(units_left[at].1)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(too_long)?;
        units_left = &units_left[at + 1..];
        rest = tail;
    }
    let duration = Duration::from_millis(total_ms);
    if duration > DURATION_MAX {
        return Err(too_long());
    }
    Ok(duration)
}

/// Writes a duration the way [`parse_duration`] reads it; what is below a millisecond is cut off.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    Shown(duration).to_string()
}

struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in UNITS {
            if ms >= size {
                write!(f, "{}{unit}", ms / size)?;
                ms %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for (text, ms) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_fault() {
        assert_eq!(parse_duration(""), Err(DurationError::Empty));
        assert_eq!(parse_duration("-5s"), Err(DurationError::Negative));
        assert_eq!(
            parse_duration("5"),
            Err(DurationError::NoUnit { number: "5".into() })
        );
        for text in ["s", "5 s", "5x", "30s1m", "1s1s", "1.5s", "5s3", "５s", "∞"] {
            assert!(
                matches!(parse_duration(text), Err(DurationError::Malformed { .. })),
                "{text}"
            );
        }
        for text in ["366d", "99999999999999999999s", "18446744073709551615d"] {
            assert!(
                matches!(parse_duration(text), Err(DurationError::TooLong { .. })),
                "{text}"
            );
        }
    }
}

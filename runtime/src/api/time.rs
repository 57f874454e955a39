//! Points in time as the API writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A point in time; RFC 3339 in UTC with milliseconds when written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: i64,
}

/// The text is no RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no RFC 3339 time")]
pub struct TimeError {
    text: String,
}

impl Time {
    /// The system's clock, now.
    #[must_use]
    pub fn now() -> Self {
        Self {
            unix_ms: jiff::Timestamp::now().as_millisecond(),
        }
    }

    /// The time `unix_ms` milliseconds after the epoch.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self { unix_ms }
    }
}

impl From<std::time::SystemTime> for Time {
    /// Rounded down to milliseconds; a time beyond what can be said becomes the furthest that can.
    fn from(time: std::time::SystemTime) -> Self {
        let before = time < std::time::UNIX_EPOCH;
        let time = jiff::Timestamp::try_from(time).unwrap_or(if before {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        Self::from_unix_ms(time.as_millisecond())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.unix_ms).unwrap_or(if self.unix_ms < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        write!(f, "{time:.3}")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Self::from_unix_ms(time.as_millisecond())),
            Err(_) => Err(TimeError {
                text: text.to_owned(),
            }),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_with_milliseconds_and_read_back() {
        let time = Time::from_unix_ms(1_700_000_000_120);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.120Z");
        assert_eq!("2023-11-14T22:13:20.120Z".parse(), Ok(time));
        assert!("yesterday".parse::<Time>().is_err());
    }
}

//! A point in time as a plain value. Nothing here knows what time it is.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A UTC instant in whole milliseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999, which is what a FIPA
/// date-time can write. Leap seconds do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Timestamp(i64);

/// An instant outside of the years 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{millis} ms from 1970 is not within the years 0000 to 9999")]
pub struct TimestampOutOfRange {
    /// Milliseconds since 1970 UTC.
    pub millis: i64,
}

const MS_PER_DAY: i64 = 86_400_000;

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// 0000-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant that many milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampOutOfRange`] outside of [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub const fn from_millis(millis: i64) -> Result<Self, TimestampOutOfRange> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 {
            return Err(TimestampOutOfRange { millis });
        }
        Ok(Self(millis))
    }

    /// Milliseconds since 1970 UTC.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// That much later; [`MAX`](Self::MAX) where it would lie beyond.
    #[must_use]
    pub fn saturating_add(self, time: Duration) -> Self {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// How much later this is than the other; zero where it is not.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Reads an RFC 3339 date-time, such as `2026-01-01T12:00:00.123Z` or `2026-01-01T13:00:00+01:00`. What is finer than a
    /// millisecond is cut off. None where it is none, or lies outside of the range.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| decimal(bytes.get(from..to)?);
        let is_shaped = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')]
            .iter()
            .all(|&(at, mark)| bytes.get(at) == Some(&mark))
            && matches!(bytes.get(10), Some(b'T' | b't'));
        if !is_shaped {
            return None;
        }
        let rest = bytes.get(19..)?;
        let fraction = match rest.strip_prefix(b".") {
            Some(tail) => tail.iter().take_while(|byte| byte.is_ascii_digit()).count() + 1,
            None => 0,
        };
        if fraction == 1 {
            return None;
        }
        let milli = (1..=3).fold(0, |sum, at| {
            let digit = if at < fraction { rest[at] - b'0' } else { 0 };
            sum * 10 + i64::from(digit)
        });
        let written = Self::from_fields(&DateFields {
            year: number(0, 4)?,
            month: number(5, 7)?,
            day: number(8, 10)?,
            hour: number(11, 13)?,
            minute: number(14, 16)?,
            second: number(17, 19)?,
            milli,
        })?;
        let offset_minutes = match &rest[fraction..] {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let (hours, minutes) = (decimal(&[*h1, *h2])?, decimal(&[*m1, *m2])?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let minutes = hours * 60 + minutes;
                if *sign == b'+' { minutes } else { -minutes }
            }
            _ => return None,
        };
        Self::from_millis(written.0 - offset_minutes * 60_000).ok()
    }

    pub(crate) fn from_fields(fields: &DateFields) -> Option<Self> {
        fields.is_valid().then(|| Self(fields.millis()))
    }

    pub(crate) fn fields(self) -> DateFields {
        let days = self.0.div_euclid(MS_PER_DAY);
        let ms = self.0.rem_euclid(MS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        DateFields {
            year,
            month,
            day,
            hour: ms / 3_600_000,
            minute: ms / 60_000 % 60,
            second: ms / 1000 % 60,
            milli: ms % 1000,
        }
    }
}

/// A date and time of day, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateFields {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) milli: i64,
}

impl DateFields {
    /// Whether there is such a date and time of day.
    pub(crate) fn is_valid(&self) -> bool {
        (0..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_of_month(self.year, self.month)).contains(&self.day)
            && (0..24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second)
            && (0..1000).contains(&self.milli)
    }

    fn millis(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day) * MS_PER_DAY + self.time_millis()
    }

    fn time_millis(&self) -> i64 {
        ((self.hour * 60 + self.minute) * 60 + self.second) * 1000 + self.milli
    }

    /// As a length of time, a year being 365 days and a month 30: what JADE makes of a relative time (fipa.md b.4), except
    /// that milliseconds count.
    pub(crate) fn span_millis(&self) -> i64 {
        (self.year * 365 + self.month * 30 + self.day) * MS_PER_DAY + self.time_millis()
    }
}

fn decimal(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. The year is taken to begin in March, so that the leap day is
/// its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl TryFrom<i64> for Timestamp {
    type Error = TimestampOutOfRange;

    fn try_from(millis: i64) -> Result<Self, TimestampOutOfRange> {
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

impl fmt::Display for Timestamp {
    /// As RFC 3339 has it: `2026-01-01T12:00:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.fields();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year, at.month, at.day, at.hour, at.minute, at.second, at.milli
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(millis: i64, text: &str) {
        let time = Timestamp::from_millis(millis).expect("within range");
        assert_eq!(time.to_string(), text);
        assert_eq!(Timestamp::from_fields(&time.fields()), Some(time));
        assert_eq!(Timestamp::from_rfc3339(text), Some(time));
    }

    #[test]
    fn an_instant_and_its_calendar_date_are_the_same() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_767_268_800_123, "2026-01-01T12:00:00.123Z");
        check(Timestamp::MIN.as_millis(), "0000-01-01T00:00:00.000Z");
        check(Timestamp::MAX.as_millis(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_lies_outside_the_four_digit_years_is_refused() {
        for millis in [
            i64::MIN,
            Timestamp::MIN.as_millis() - 1,
            Timestamp::MAX.as_millis() + 1,
        ] {
            assert_eq!(
                Timestamp::from_millis(millis),
                Err(TimestampOutOfRange { millis })
            );
            assert!(serde_json::from_str::<Timestamp>(&millis.to_string()).is_err());
        }
    }

    #[test]
    fn rfc_3339_is_read_with_any_fraction_and_offset() {
        let noon = Timestamp::from_rfc3339("2026-01-01T12:00:00Z").expect("a date");
        assert_eq!(noon.as_millis(), 1_767_268_800_000);
        for same in [
            "2026-01-01T13:30:00+01:30",
            "2026-01-01t12:00:00.0009z",
            "2025-12-31T23:00:00.000000000-13:00",
        ] {
            assert_eq!(Timestamp::from_rfc3339(same), Some(noon), "{same}");
        }
        let half = Timestamp::from_rfc3339("2026-01-01T12:00:00.5Z").expect("a date");
        assert_eq!(half.as_millis() - noon.as_millis(), 500);
        for none in [
            "",
            "2026-01-01",
            "2026-01-01T12:00:00",
            "2026-01-01 12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-01T12:00:00.Z",
            "2026-01-01T12:00:00+1:00",
            "2026-01-01T12:00:00+24:00",
            "2026-01-01T12:00:00Zx",
            "+026-01-01T12:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "20é6-01-01T12:00:00Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(none), None, "{none}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_reads_back() {
        for day in 0..146_097 {
            let (year, month, date) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, date), day);
            assert!((1..=days_of_month(year, month)).contains(&date));
        }
    }

    #[test]
    fn time_does_not_leave_its_range() {
        let late = Timestamp::MAX.saturating_add(Duration::MAX);
        assert_eq!(late, Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_since(late), Duration::ZERO);
    }
}

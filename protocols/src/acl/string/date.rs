//! Date-times as FIPA spells them (fipa.md b.4): `[sign] YYYYMMDD T hhmmssmmm [letter]`.

use crate::acl::codec::Reading;
use crate::acl::time::DateFields;
use crate::acl::{Timestamp, TimestampOutOfRange};

/// Digits, `T` and digits, without sign and letter.
const CORE: usize = 18;

/// A date-time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateToken {
    sign: Option<Sign>,
    fields: DateFields,
    letter: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

impl DateToken {
    /// Reads the whole of a token. None where it has not the form of a date-time.
    pub(crate) fn read(token: &[u8]) -> Option<Self> {
        let (sign, rest) = match token.first()? {
            b'+' => (Some(Sign::Plus), &token[1..]),
            b'-' => (Some(Sign::Minus), &token[1..]),
            _ => (None, token),
        };
        let (core, letter) = match rest.len() {
            CORE => (rest, None),
            n if n == CORE + 1 && rest[CORE].is_ascii_alphabetic() => {
                (&rest[..CORE], Some(rest[CORE]))
            }
            _ => return None,
        };
        if core[8] != b'T' {
            return None;
        }
        let number = |from: usize, to: usize| {
            core[from..to].iter().try_fold(0_i64, |sum, digit| {
                digit
                    .is_ascii_digit()
                    .then(|| sum * 10 + i64::from(digit - b'0'))
            })
        };
        Some(Self {
            sign,
            fields: DateFields {
                year: number(0, 4)?,
                month: number(4, 6)?,
                day: number(6, 8)?,
                hour: number(9, 11)?,
                minute: number(11, 13)?,
                second: number(13, 15)?,
                milli: number(15, 18)?,
            },
            letter,
        })
    }

    /// The sign, the seventeen digits and the letter, as the bit-efficient form has them.
    pub(in crate::acl) fn split(token: &[u8]) -> Option<(Option<u8>, Vec<u8>, Option<u8>)> {
        let date = Self::read(token)?;
        let sign = date.sign.map(|_| token[0]);
        let core = &token[usize::from(sign.is_some())..][..CORE];
        Some((sign, [&core[..8], &core[9..]].concat(), date.letter))
    }

    /// The instant that it means. A relative one counts from now, a local one is told by the offset. None where there is no
    /// such date or it lies outside of what can be written.
    pub(crate) fn instant(&self, reading: &Reading) -> Option<Timestamp> {
        let millis = match self.sign {
            Some(Sign::Plus) => reading.now.as_millis() + self.fields.span_millis(),
            Some(Sign::Minus) => reading.now.as_millis() - self.fields.span_millis(),
            None => {
                let written = Timestamp::from_fields(&self.fields)?.as_millis();
                match self.letter {
                    Some(b'Z') => written,
                    Some(_) | None => written - i64::from(reading.local_offset_minutes) * 60_000,
                }
            }
        };
        let instant: Result<_, TimestampOutOfRange> = Timestamp::from_millis(millis);
        instant.ok()
    }
}

/// An absolute date in UTC, `20260101T120000123Z`.
pub(crate) fn spell(time: Timestamp) -> String {
    let at = time.fields();
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}{:03}Z",
        at.year, at.month, at.day, at.hour, at.minute, at.second, at.milli
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2026-01-01T12:00:00.000Z";

    fn reading() -> Reading {
        let noon = Timestamp::from_millis(1_767_268_800_000).expect("within range");
        assert_eq!(noon.to_string(), NOON);
        Reading {
            local_offset_minutes: 90,
            ..Reading::at(noon)
        }
    }

    fn check(token: &str, expected: Option<&str>) {
        let instant = DateToken::read(token.as_bytes()).and_then(|token| token.instant(&reading()));
        assert_eq!(
            instant.map(|time| time.to_string()).as_deref(),
            expected,
            "{token}"
        );
    }

    #[test]
    fn dates_with_z_are_utc_and_all_others_local() {
        check("20260101T120000123Z", Some("2026-01-01T12:00:00.123Z"));
        check("20260101T120000123", Some("2026-01-01T10:30:00.123Z"));
        check("20260101T120000123A", Some("2026-01-01T10:30:00.123Z"));
    }

    #[test]
    fn relative_dates_count_from_now_with_their_milliseconds() {
        check("+00000000T000030005", Some("2026-01-01T12:00:30.005Z"));
        check("-00000001T000000000", Some("2025-12-31T12:00:00.000Z"));
        check("+00010100T000000000Z", Some("2027-01-31T12:00:00.000Z"));
        check("+99990000T000000000", None);
    }

    #[test]
    fn dates_that_do_not_exist_are_none() {
        for token in [
            "20261301T990000000Z",
            "20260230T000000000Z",
            "20260101T240000000Z",
            "20260101T126000000Z",
            "2026-01-01T12:00:00Z",
            "20260101T120000Z",
            "20260101t120000000Z",
            "20260101T120000000ZZ",
            "20260101T1200000001",
            "",
            "+",
        ] {
            check(token, None);
        }
    }

    #[test]
    fn what_is_spelled_reads_back() {
        for time in [Timestamp::MIN, Timestamp::MAX, reading().now] {
            let token = spell(time);
            let read = DateToken::read(token.as_bytes()).expect("a date");
            assert_eq!(read.instant(&reading()), Some(time), "{token}");
        }
    }
}

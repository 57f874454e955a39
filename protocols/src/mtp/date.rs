//! Dates of envelopes: as those of messages, but read by position, since JADE writes `Z` where a `T` should be.

use crate::acl::Timestamp;
use crate::acl::string::spell_date;
use crate::acl::time::DateFields;

/// Reads a date of an envelope. Whatever stands between day and hour and behind the milliseconds is ignored; a date without
/// a zone is taken to be UTC, as nobody can know the sender's. None where there is no such date.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let bytes = text.trim().as_bytes();
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0_i64, |sum, digit| {
            let is_digit = digit.is_ascii_digit();
            is_digit.then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    Timestamp::from_fields(&DateFields {
        year: number(0, 4)?,
        month: number(4, 6)?,
        day: number(6, 8)?,
        hour: number(9, 11)?,
        minute: number(11, 13)?,
        second: number(13, 15)?,
        milli: number(15, 18)?,
    })
}

/// As the standard has it, with `T` and `Z`, which JADE reads too.
pub(super) fn spell(time: Timestamp) -> String {
    spell_date(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_date_are_read() {
        for text in [
            "20260101Z120000123",
            "20260101T120000123",
            " 20260101T120000123Z ",
        ] {
            let date = read(text).expect(text);
            assert_eq!(date.to_string(), "2026-01-01T12:00:00.123Z");
            assert_eq!(spell(date), "20260101T120000123Z");
        }
        for text in [
            "",
            "2026-01-01T12:00:00Z",
            "20261301Z120000123",
            "20260101Z12",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

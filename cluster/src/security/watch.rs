//! When a certificate is to be renewed, and when people are to be told. Pure: times are seconds since 1970 UTC.

/// Certificates that live longer than this are renewed by people; those that live shorter, by themselves.
pub const LONG_LIVED_SECONDS: u64 = 31 * DAY;
const DAY: u64 = 24 * 60 * 60;

/// How near its end a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Far from it.
    Fresh,
    /// A third of its life is left, or 30 days of a long-lived one: it should be renewed.
    Due,
    /// A sixth of its life is left, or 7 days of a long-lived one: something keeps it from being renewed.
    Late,
    /// A tenth of its life is left, or one day of a long-lived one.
    Urgent,
    /// It does not hold any more. New connections fail.
    Expired,
}

impl Stage {
    /// The stage as one stable lowercase word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Due => "due",
            Self::Late => "late",
            Self::Urgent => "urgent",
            Self::Expired => "expired",
        }
    }
}

/// The stage of a certificate that holds from `not_before` to `not_after`, and when the next one begins (none after the last).
#[must_use]
pub fn stage(not_before: u64, not_after: u64, now: u64) -> (Stage, Option<u64>) {
    let life = not_after.saturating_sub(not_before);
    let left = if life > LONG_LIVED_SECONDS {
        [30 * DAY, 7 * DAY, DAY]
    } else {
        [life / 3, life / 6, life / 10]
    };
    let begins = [
        (Stage::Due, not_after.saturating_sub(left[0])),
        (Stage::Late, not_after.saturating_sub(left[1])),
        (Stage::Urgent, not_after.saturating_sub(left[2])),
        (Stage::Expired, not_after),
    ];
    let stage = begins
        .iter()
        .rev()
        .find(|(_, at)| now >= *at)
        .map_or(Stage::Fresh, |(stage, _)| *stage);
    let next = begins.iter().find(|(_, at)| now < *at).map(|(_, at)| *at);
    (stage, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_life_is_warned_of_at_a_third_and_a_tenth_a_long_one_by_days() {
        let short = 24 * 3600;
        for (now, expected) in [
            (0, Stage::Fresh),
            (short * 2 / 3 - 1, Stage::Fresh),
            (short * 2 / 3, Stage::Due),
            (short * 5 / 6, Stage::Late),
            (short * 9 / 10, Stage::Urgent),
            (short, Stage::Expired),
        ] {
            assert_eq!(stage(0, short, now).0, expected, "at {now}");
        }
        let long = 365 * DAY;
        for (left, expected) in [
            (31, Stage::Fresh),
            (30, Stage::Due),
            (7, Stage::Late),
            (1, Stage::Urgent),
            (0, Stage::Expired),
        ] {
            assert_eq!(stage(0, long, long - left * DAY).0, expected, "{left} days");
        }
    }

    #[test]
    fn each_stage_says_when_the_next_one_begins() {
        let mut now = 0;
        let mut seen = vec![stage(0, 3600, now).0];
        while let Some(next) = stage(0, 3600, now).1 {
            assert!(next > now);
            now = next;
            seen.push(stage(0, 3600, now).0);
        }
        assert_eq!(
            seen,
            [
                Stage::Fresh,
                Stage::Due,
                Stage::Late,
                Stage::Urgent,
                Stage::Expired
            ]
        );
    }
}

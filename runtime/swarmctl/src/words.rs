//! Numbers and times in words.

use std::time::Duration;

/// `1 actor`, `2 actors`.
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// An age or duration, coarse: `850ms`, `12s`, `3m4s`, `2h5m`, `4d3h`.
pub(crate) fn span(duration: Duration) -> String {
    let ms = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The same for milliseconds.
pub(crate) fn span_ms(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_coarse() {
        let table = [
            (850, "850ms"),
            (59_999, "59s"),
            (184_000, "3m4s"),
            (7_500_000, "2h5m"),
            (356_400_000, "4d3h"),
        ];
        for (ms, expected) in table {
            assert_eq!(span_ms(ms), expected);
        }
        assert_eq!(
            (count(1, "job"), count(0, "job")),
            ("1 job".into(), "0 jobs".into())
        );
    }
}

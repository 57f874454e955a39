//! What is written in arguments: times, rates, shares.

use std::time::Duration;

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    swarm_runtime::duration::parse_duration(text).map_err(|error| match error.suggestion() {
        Some(suggestion) => format!("{error}; write {suggestion}"),
        None => error.to_string(),
    })
}

/// A duration in which something can happen.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        time => Ok(time),
    }
}

/// The shortest interval at which a node is asked again.
const WATCH_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// An interval: a duration, or a bare number of seconds.
pub(super) fn watch_interval(text: &str) -> Result<Duration, String> {
    let interval = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => duration(text)?,
    };
    if interval < WATCH_INTERVAL_MIN {
        return Err("must be 100ms or more".to_owned());
    }
    Ok(interval)
}

/// The most faults per second that can be asked for.
const RATE_MAX: f64 = 10_000.0;

/// Reads times per second: `50/s`, `30/m`, or a bare number.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let (number, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.split('/').next().unwrap_or(text), 1.0),
        Some((number, "m")) => (number, 60.0),
        Some((number, "h")) => (number, 3600.0),
        Some(_) => return Err("a rate is a number per s, m or h, such as 50/s".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number / seconds <= RATE_MAX => Ok(number / seconds),
        Ok(_) => Err(format!("a rate is above 0 and at most {RATE_MAX}/s")),
        Err(_) => Err("a rate is a number per s, m or h, such as 50/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_minute_or_hour() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("30/m"), Ok(0.5));
        assert_eq!(rate("2"), Ok(2.0));
        for bad in ["0", "-1/s", "x", "5/d", "nan", "inf", "1e9/s", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_interval_is_a_duration_or_a_number_of_seconds() {
        assert_eq!(watch_interval("3"), Ok(Duration::from_secs(3)));
        assert_eq!(watch_interval("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "", "1ms", "x"] {
            assert!(watch_interval(bad).is_err(), "{bad}");
        }
    }
}

//! What the text of a setting must look like, the same for flag, environment and file.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use swarm_cluster::placement::{LabelError, Labels};

/// Why a text is no value for a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl SettingError {
    pub(super) fn new(message: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            suggestion: Some(suggestion.into()),
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Json => "json",
        }
    }
}

/// `plain` or `json`.
///
/// # Errors
/// Any other word.
pub fn check_log_format(text: &str) -> Result<LogFormat, SettingError> {
    match text {
        "plain" => Ok(LogFormat::Plain),
        "json" => Ok(LogFormat::Json),
        _ => Err(SettingError::new(
            format!("{text:?} is none of plain, json"),
            "\"plain\"",
        )),
    }
}

/// A filter such as `info` or `warn,swarm_runtime=debug`.
///
/// # Errors
/// The filter cannot be read.
pub fn check_log(text: &str) -> Result<String, SettingError> {
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(SettingError::new(
            format!("{text:?} is no log filter: {error}"),
            "\"info\" or \"warn,swarm_runtime=debug\"",
        )),
    }
}

/// The name of a folder.
///
/// # Errors
/// An empty text, or one with a NUL in it.
pub fn check_data(text: &str) -> Result<String, SettingError> {
    if text.is_empty() || text.contains('\0') {
        return Err(SettingError::new(
            "the name of the data folder is empty or has a NUL in it",
            "\"/var/lib/swarm\"",
        ));
    }
    Ok(text.to_owned())
}

/// A number of agents.
///
/// # Errors
/// The text is no number from 1 to 1 000 000.
pub fn check_agents_max(text: &str) -> Result<u32, SettingError> {
    match text.parse::<u32>() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        _ => Err(SettingError::new(
            format!("{text:?} is no number from 1 to 1000000"),
            "10000",
        )),
    }
}

/// `NAME=VALUE`, several with commas between them.
///
/// # Errors
/// The text is no list of labels.
pub fn check_labels(text: &str) -> Result<Labels, SettingError> {
    text.parse()
        .map_err(|error: LabelError| SettingError::new(error.to_string(), "\"zone=a,disk=ssd\""))
}

/// An address and port of this machine on which nodes are to be heard.
///
/// # Errors
/// The text is no `ADDRESS:PORT`.
pub fn check_listen(text: &str) -> Result<SocketAddr, SettingError> {
    socket_address(text, "0.0.0.0:7591")
}

/// An address and port on the loopback interface: without TLS and credentials the API answers nowhere else.
///
/// # Errors
/// The text is no `ADDRESS:PORT`, or the address is not loopback.
pub fn check_api(text: &str) -> Result<SocketAddr, SettingError> {
    let address = socket_address(text, "127.0.0.1:7590")?;
    if !address.ip().is_loopback() {
        return Err(SettingError::new(
            format!(
                "{} is not a loopback address, and the API has no TLS and no credentials yet",
                address.ip()
            ),
            format!("\"127.0.0.1:{}\"", address.port()),
        ));
    }
    Ok(address)
}

/// `HOST:PORT`, what other nodes are told to connect to.
///
/// # Errors
/// The text is no `HOST:PORT`, or names an address that cannot be reached by others.
pub fn check_advertise(text: &str) -> Result<String, SettingError> {
    let wrong = |message: String| SettingError::new(message, "\"host.example:7591\"");
    if let Ok(address) = text.parse::<SocketAddr>() {
        if address.ip().is_unspecified() {
            return Err(wrong(format!(
                "{} is no address that others can connect to",
                address.ip()
            )));
        }
        if address.port() == 0 {
            return Err(wrong(
                "port 0 is none that others can connect to".to_owned(),
            ));
        }
        return Ok(text.to_owned());
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| wrong(format!("{text:?} has no port")))?;
    let good_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(good_label) {
        return Err(wrong(format!("{host:?} is no host name")));
    }
    match port.parse::<u16>() {
        Ok(port) if port != 0 => Ok(text.to_owned()),
        _ => Err(wrong(format!("{port:?} is no port"))),
    }
}

fn socket_address(text: &str, example: &str) -> Result<SocketAddr, SettingError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let suggestion = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("\"{ip}:7590\""),
        Ok(IpAddr::V6(ip)) => format!("\"[{ip}]:7590\""),
        Err(_) => format!("{example:?}"),
    };
    Err(SettingError::new(
        format!("{text:?} is no ADDRESS:PORT"),
        suggestion,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_answers_on_loopback_only() {
        assert!(check_api("127.0.0.1:0").is_ok());
        assert!(check_api("[::1]:7590").is_ok());
        assert_eq!(
            check_api("localhost:80").map(|a| a.to_string()),
            Ok("127.0.0.1:80".to_owned())
        );
        let error = check_api("0.0.0.0:7590").expect_err("not loopback");
        assert!(error.message.contains("not a loopback address"), "{error}");
        assert_eq!(error.suggestion.as_deref(), Some("\"127.0.0.1:7590\""));
        assert!(check_api("7590").is_err());
    }

    #[test]
    fn what_is_advertised_can_be_connected_to() {
        for good in [
            "host:1",
            "a.b-c.example:7591",
            "10.0.0.1:7591",
            "[::1]:7591",
        ] {
            assert!(check_advertise(good).is_ok(), "{good}");
        }
        for bad in [
            "host",
            "host:0",
            "0.0.0.0:7591",
            ":7591",
            "-a:1",
            "a b:1",
            "h:70000",
            "10.0.0.1:0",
        ] {
            assert!(check_advertise(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_log_filter_that_cannot_be_read_is_refused() {
        assert!(check_log("warn,swarm_runtime=debug").is_ok());
        assert!(check_log("swarm=loud=er").is_err());
    }
}

//! HTTP/1.1 as its client side must be towards JADE: an answer may have a body without any sign of its length on a
//! connection that stays open (fipa.md c.5, c.6), on which clients that go by the rules wait for a minute.

use super::url::PeerUrl;
use std::time::Duration;
use swarm_protocols::mtp::package::Outgoing;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The longest head of an answer.
const HEAD_BYTES_MAX: u64 = 16 * 1024;
/// The longest body of an answer that is read, so that the connection can be used again.
const BODY_BYTES_MAX: u64 = 64 * 1024;
/// How long a body without a length may take to come, after its head. It comes in the same packet.
const BODY_TIME_MAX: Duration = Duration::from_millis(200);
/// How a body of JADE ends.
const JADE_END: &[u8] = b"</html>\r\n";

/// What a peer answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether another request may follow on the connection.
    pub(super) stays_open: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it closed the connection without an answer")]
    Closed,
    #[error("its answer is no HTTP")]
    NoHttp,
}

/// A whole request.
pub(super) fn request(url: &PeerUrl, out: &Outgoing) -> Vec<u8> {
    let head = format!(
        "POST {} HTTP/1.1\r\nCache-Control: no-cache\r\nMime-Version: 1.0\r\nHost: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: Keep-Alive\r\n\r\n",
        url.path(),
        url.authority(),
        out.content_type,
        out.body.len()
    );
    [head.as_bytes(), &out.body].concat()
}

/// Reads one answer.
pub(super) async fn answer(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Answer, WireError> {
    loop {
        let head = head(from).await?;
        // "Continue" and the like come before the answer.
        if !(100..200).contains(&head.status) {
            let stays_open = head.keeps_alive && body(from, &head).await;
            return Ok(Answer {
                status: head.status,
                stays_open,
            });
        }
    }
}

struct Head {
    status: u16,
    length: Option<u64>,
    is_chunked: bool,
    keeps_alive: bool,
}

async fn head(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Head, WireError> {
    let mut from = from.take(HEAD_BYTES_MAX);
    let mut line = String::new();
    // Empty lines in front are the tail of the last body.
    while line.trim().is_empty() {
        line.clear();
        if from.read_line(&mut line).await.map_err(no_text)? == 0 {
            return Err(WireError::Closed);
        }
    }
    let (version, rest) = line.trim().split_once(' ').ok_or(WireError::NoHttp)?;
    let status = rest.split(' ').next().and_then(|code| code.parse().ok());
    let status = match status {
        Some(status @ 100..=599) if version.starts_with("HTTP/1.") => status,
        _ => return Err(WireError::NoHttp),
    };
    let mut head = Head {
        status,
        length: None,
        is_chunked: false,
        keeps_alive: version == "HTTP/1.1",
    };
    loop {
        line.clear();
        if from.read_line(&mut line).await.map_err(no_text)? == 0 {
            return Err(WireError::Closed);
        }
        if line.trim().is_empty() {
            return Ok(head);
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(WireError::NoHttp);
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = Some(value.parse().map_err(|_| WireError::NoHttp)?),
            "transfer-encoding" => head.is_chunked = true,
            "connection" if value.eq_ignore_ascii_case("close") => head.keeps_alive = false,
            "connection" if value.eq_ignore_ascii_case("keep-alive") => head.keeps_alive = true,
            _ => {}
        }
    }
}

fn no_text(error: std::io::Error) -> WireError {
    match error.kind() {
        std::io::ErrorKind::InvalidData => WireError::NoHttp,
        _ => WireError::Io(error),
    }
}

/// Reads past a body. False where nobody can tell where it ends.
async fn body(from: &mut (impl AsyncBufRead + Unpin), head: &Head) -> bool {
    if matches!(head.status, 204 | 304) {
        return true;
    }
    match head.length {
        _ if head.is_chunked => false,
        Some(length) if length > BODY_BYTES_MAX => false,
        Some(length) => {
            let mut body = from.take(length);
            let mut nowhere = tokio::io::sink();
            let read = tokio::io::copy(&mut body, &mut nowhere);
            matches!(tokio::time::timeout(BODY_TIME_MAX, read).await, Ok(Ok(n)) if n == length)
        }
        None => {
            let read = jade_body(from);
            matches!(tokio::time::timeout(BODY_TIME_MAX, read).await, Ok(true))
        }
    }
}

/// Reads up to the end that JADE's bodies have.
async fn jade_body(from: &mut (impl AsyncBufRead + Unpin)) -> bool {
    let mut from = from.take(BODY_BYTES_MAX);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return false,
            Ok(_) if line.ends_with(JADE_END) => return true,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &[u8], expected: Option<(u16, bool)>) {
        let mut bytes = bytes;
        let answer = answer(&mut bytes).await.ok();
        let answer = answer.map(|answer| (answer.status, answer.stays_open));
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn an_answer_of_jade_is_read_up_to_its_end_without_a_length() {
        let jade = include_bytes!("../../../protocols/tests/captures/cn-AtoB-response.http");
        check(jade, Some((200, true))).await;
        let twice = [&jade[..], b"\r\n", &jade[..]].concat();
        let mut twice = &twice[..];
        for _ in 0..2 {
            let answer = answer(&mut twice).await.expect("an answer");
            assert_eq!((answer.status, answer.stays_open), (200, true));
        }
        assert!(twice.is_empty());
    }

    #[tokio::test]
    async fn answers_of_others_are_read_too() {
        check(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Some((200, true)),
        )
        .await;
        check(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            Some((204, true)),
        )
        .await;
        check(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            Some((200, false)),
        )
        .await;
        check(b"HTTP/1.0 200 OK\r\n\r\n", Some((200, false))).await;
        check(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Some((200, false)),
        )
        .await;
        check(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok",
            Some((200, false)),
        )
        .await;
        check(b"HTTP/1.1 406 Not Acceptable\n\n", Some((406, false))).await;
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        for bytes in [
            &b""[..],
            b"\r\n",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 999 x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            b"\xff\xff\r\n",
        ] {
            check(bytes, None).await;
        }
        let endless = vec![b'x'; 1 << 20];
        check(&endless, None).await;
    }
}

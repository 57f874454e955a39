//! The body of a request: two parts between lines of a boundary (RFC 2046, fipa.md c.1).
//!
//! Parts are delimited by the boundary alone. Line ends are CRLF, and a bare LF is read, too; what stands before the first
//! boundary and behind the last is ignored.

/// The longest boundary that is read. RFC 2046 allows 70.
const BOUNDARY_BYTES_MAX: usize = 200;
/// The longest head of a part.
const PART_HEAD_BYTES_MAX: usize = 8 * 1024;

/// A body that has not the parts that it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The content type is another.
    #[error("the content type is {0:?} and not multipart/mixed")]
    NotMultipart(String),
    /// The content type names no boundary, or one that cannot be.
    #[error("the content type names no usable boundary")]
    NoBoundary,
    /// Some boundary line is missing.
    #[error("the body has no {0} boundary line")]
    MissingLine(&'static str),
    /// The head of a part does not end, or is longer than can be.
    #[error("the head of part {0} does not end with an empty line")]
    NoPartHead(usize),
    /// Other than two parts.
    #[error("the body has {0} parts instead of an envelope and a message")]
    PartCount(usize),
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its content type, as it came.
    pub content_type: Option<&'a str>,
    /// What is in it.
    pub body: &'a [u8],
}

/// The boundary that a content type names. Quotes around it are optional, as is a blank before the semicolon.
///
/// # Errors
/// [`SplitError::NotMultipart`], [`SplitError::NoBoundary`].
pub fn boundary(content_type: &str) -> Result<String, SplitError> {
    let (kind, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        let shown = content_type.chars().take(80).collect();
        return Err(SplitError::NotMultipart(shown));
    }
    let found = parameter(rest, "boundary").ok_or(SplitError::NoBoundary)?;
    let is_usable = (1..=BOUNDARY_BYTES_MAX).contains(&found.len())
        && found
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !found.ends_with(' ');
    if is_usable {
        Ok(found)
    } else {
        Err(SplitError::NoBoundary)
    }
}

/// A parameter of a header, such as `charset` in `text/plain; charset="UTF-8"`.
pub(super) fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters.trim_start();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (text, behind) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (text, behind) = quoted.split_once('"')?;
                (text, behind)
            }
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        let name = name.trim().trim_start_matches(';').trim();
        if name.eq_ignore_ascii_case(wanted) {
            return Some(text.trim().to_owned());
        }
        rest = behind.trim_start().trim_start_matches(';').trim_start();
    }
    None
}

/// The two parts of a body: envelope and message.
///
/// # Errors
/// [`SplitError`].
pub fn split<'a>(body: &'a [u8], boundary: &str) -> Result<[Part<'a>; 2], SplitError> {
    let mark = format!("--{boundary}");
    let mut at = 0;
    let mut line = next_line(body, &mut at, &mark).ok_or(SplitError::MissingLine("first"))?;
    let mut parts = Vec::new();
    while !line.is_last {
        let start = line.end;
        at = start;
        line = next_line(body, &mut at, &mark).ok_or(SplitError::MissingLine("closing"))?;
        parts.push(&body[start..line.start.max(start)]);
        // More than two is wrong whatever they are.
        if parts.len() > 2 {
            break;
        }
    }
    match parts.as_slice() {
        [envelope, message] => Ok([part(envelope, 1)?, part(message, 2)?]),
        _ => Err(SplitError::PartCount(parts.len())),
    }
}

/// A line that is the boundary.
struct Line {
    /// Where the part before it ends: in front of the line end before the boundary.
    start: usize,
    /// Where what follows it begins.
    end: usize,
    is_last: bool,
}

/// The next boundary line at or behind `at`, which is the start of a line.
fn next_line(body: &[u8], at: &mut usize, mark: &str) -> Option<Line> {
    while *at < body.len() {
        let start = *at;
        let rest = &body[start..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.map_or(rest.len(), |newline| newline + 1);
        *at = start + length;
        let Some(tail) = rest[..length].strip_prefix(mark.as_bytes()) else {
            continue;
        };
        let tail = tail.trim_ascii_end();
        // `--boundaryX` is no boundary.
        if !tail.is_empty() && tail != b"--" {
            continue;
        }
        let before = &body[..start];
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        return Some(Line {
            start: before.len(),
            end: start + length,
            is_last: tail == b"--",
        });
    }
    None
}

/// Splits a part into head and body. A part that begins with an empty line has no head.
fn part(bytes: &[u8], number: usize) -> Result<Part<'_>, SplitError> {
    let mut content_type = None;
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let newline = rest.iter().position(|&byte| byte == b'\n');
        let newline = newline.filter(|newline| at + newline < PART_HEAD_BYTES_MAX);
        let newline = newline.ok_or(SplitError::NoPartHead(number))?;
        at += newline + 1;
        let line = rest[..newline].trim_ascii_end();
        if line.is_empty() {
            return Ok(Part {
                content_type,
                body: &bytes[at..],
            });
        }
        let line = std::str::from_utf8(line).unwrap_or_default();
        if let Some((name, value)) = line.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-type")
        {
            content_type = Some(value.trim());
        }
    }
}

/// Puts a body together as JADE does and needs it: preamble, quoted boundary elsewhere, one header in each part, and a line
/// end behind the closing boundary. The boundary must occur in neither part; see [`is_free`].
#[must_use]
pub fn join(boundary: &str, envelope: &[u8], payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(envelope.len() + payload.len() + 256);
    for piece in [
        b"This is not part of the MIME multipart encoded message.\r\n--",
        boundary.as_bytes(),
        b"\r\nContent-Type: application/xml\r\n\r\n",
        envelope,
        b"\r\n--",
        boundary.as_bytes(),
        b"\r\nContent-Type: ",
        payload_type.as_bytes(),
        b"\r\n\r\n",
        payload,
        b"\r\n--",
        boundary.as_bytes(),
        b"--\r\n",
    ] {
        body.extend_from_slice(piece);
    }
    body
}

/// Whether the boundary occurs nowhere in a part.
#[must_use]
pub fn is_free(boundary: &str, part: &[u8]) -> bool {
    let boundary = boundary.as_bytes();
    !boundary.is_empty()
        && !part
            .windows(boundary.len())
            .any(|window| window == boundary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_found_in_every_form_of_the_header() {
        for header in [
            "multipart/mixed ; boundary=\"abc\"",
            "multipart/mixed;boundary=abc",
            "Multipart/Mixed; charset=\"a;b\" ; BOUNDARY = abc ; x=y",
        ] {
            assert_eq!(boundary(header).as_deref(), Ok("abc"), "{header}");
        }
        for header in [
            "multipart/mixed",
            "multipart/mixed; boundary=",
            "multipart/mixed; boundary=\"abc",
            "multipart/mixed; boundary=\"a\u{e9}\"",
        ] {
            assert_eq!(boundary(header), Err(SplitError::NoBoundary), "{header}");
        }
        let related = boundary("multipart/related; boundary=abc");
        assert!(matches!(related, Err(SplitError::NotMultipart(_))));
    }

    fn check(body: &str, expected: Result<(&str, &str), SplitError>) {
        let parts = split(body.as_bytes(), "b").map(|[envelope, message]| {
            let text = |part: Part<'_>| String::from_utf8_lossy(part.body).into_owned();
            (text(envelope), text(message))
        });
        let expected =
            expected.map(|(envelope, message)| (envelope.to_owned(), message.to_owned()));
        assert_eq!(parts, expected, "{body:?}");
    }

    #[test]
    fn parts_are_what_stands_between_boundary_lines() {
        check(
            "pre\r\n--b\r\nA: b\r\n\r\n<e/>\r\n--b\r\nC: d\r\n\r\n(m)\r\n--b--\r\nepilogue",
            Ok(("<e/>", "(m)")),
        );
        // No preamble, no last line end, bare LF, blanks behind the boundary, parts without a head.
        check("--b\n\n<e/>\n--b \t\n\n(m)\n--b--", Ok(("<e/>", "(m)")));
        // What only looks like a boundary.
        check(
            "--b\r\n\r\n<e/>\r\n--b\r\n\r\n(m\r\n\r\n--bX\r\n x--b\r\n)\r\n--b--",
            Ok(("<e/>", "(m\r\n\r\n--bX\r\n x--b\r\n)")),
        );
        check("--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--", Ok(("", "")));
    }

    #[test]
    fn a_body_with_other_parts_is_refused() {
        check("", Err(SplitError::MissingLine("first")));
        check(
            "--b\r\n\r\n<e/>\r\n--b\r\n\r\n(m)\r\n",
            Err(SplitError::MissingLine("closing")),
        );
        check("--b--", Err(SplitError::PartCount(0)));
        check("--b\r\n\r\n<e/>\r\n--b--", Err(SplitError::PartCount(1)));
        check(
            "--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--",
            Err(SplitError::PartCount(3)),
        );
        check(
            "--b\r\n<e/>\r\n--b\r\n\r\n(m)\r\n--b--",
            Err(SplitError::NoPartHead(1)),
        );
    }

    #[test]
    fn what_is_joined_is_split_into_the_same() {
        let payload = b"(inform :content \"--bX\r\n\r\n\")";
        let body = join("b1", b"<e/>", "application/text; charset=UTF-8", payload);
        let [envelope, message] = split(&body, "b1").expect("two parts");
        assert_eq!((envelope.body, message.body), (&b"<e/>"[..], &payload[..]));
        assert_eq!(
            message.content_type,
            Some("application/text; charset=UTF-8")
        );
        assert!(is_free("b1", payload) && !is_free("bX", payload));
    }
}

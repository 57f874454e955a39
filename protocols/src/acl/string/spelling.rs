//! Which text may stand bare, without quotes.

use super::date::DateToken;

/// White space between tokens.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What ends a bare token.
pub(crate) fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')')
}

/// A number of the grammar: `[sign]` digits with at most one point and an exponent, with a digit in front of the exponent.
pub(crate) fn is_number(token: &[u8]) -> bool {
    let unsigned = match token.first() {
        Some(b'+' | b'-') => &token[1..],
        _ => token,
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let points = mantissa.iter().filter(|&&byte| byte == b'.').count();
    let is_mantissa = points <= 1
        && mantissa.len() > points
        && mantissa
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    is_mantissa && exponent.is_none_or(is_integer)
}

fn is_integer(token: &[u8]) -> bool {
    let digits = match token.first() {
        Some(b'+' | b'-') => &token[1..],
        _ => token,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Whether the token may be read as a word, by the standard or by JADE: it does not begin as a number or a byte-length
/// string does.
pub(crate) fn is_readable_word(token: &[u8]) -> bool {
    !matches!(token.first(), None | Some(b'#' | b'-' | b'0'..=b'9'))
}

/// Whether the text may be written as a bare word, so that the standard and JADE read it as one: no character outside of
/// ASCII, no quote, and a first one that neither takes for something else.
pub(crate) fn is_writable_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_first = matches!(bytes.first(), Some(first) if !b"#-@+:?.0123456789".contains(first));
    is_first
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'"'))
}

/// Whether the text may be written bare where an expression is wanted: a word, a number or a date.
pub(crate) fn is_writable_expression(text: &str) -> bool {
    is_writable_word(text)
        || is_number(text.as_bytes())
        || DateToken::read(text.as_bytes()).is_some()
}

/// Whether this is the name of a user-defined parameter or slot: `X-` in any case, and a tail.
pub(crate) fn is_user_name(name: &str) -> bool {
    let is_tail = |byte: u8| byte > b' ' && !is_delimiter(byte);
    matches!(name.as_bytes(), [b'X' | b'x', b'-', tail @ ..] if !tail.is_empty() && tail.iter().copied().all(is_tail))
}

/// Whether this can stand as a URL in a sequence of addresses.
pub(crate) fn is_writable_url(url: &str) -> bool {
    !url.is_empty() && url.bytes().all(|byte| byte > b' ' && !is_delimiter(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_grammar() {
        for number in ["0", "12", "-7.5", "+1", "1.", ".5", "-12.5e3", "1E-9"] {
            assert!(is_number(number.as_bytes()), "{number}");
        }
        for other in [
            "", "-", ".", "1d", "0x1p3", "1e", "1.2.3", "e5", "1e5.", "--1",
        ] {
            assert!(!is_number(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_jade_would_misread_is_not_written_bare() {
        for word in ["fipa-sl", "r3@platB1795188458205", "a\\b", "C120_i_0"] {
            assert!(is_writable_word(word), "{word}");
        }
        for text in [
            "", "@x", "#x", "-x", "1d", "a b", "café", "a\"b", "C1(x)", ":x", "+x",
        ] {
            assert!(!is_writable_expression(text), "{text}");
        }
    }
}

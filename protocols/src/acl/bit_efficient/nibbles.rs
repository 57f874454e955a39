//! Numbers and dates, two characters to a byte. 0 is padding, 1 to 10 are the digits, 12 to 15 `+`, `e`, `-`, `.`.

/// The half byte of a character; none where it has none.
pub(super) fn of_char(char: u8) -> Option<u8> {
    Some(match char {
        b'0'..=b'9' => char - b'0' + 1,
        b'+' => 12,
        b'e' => 13,
        b'-' => 14,
        b'.' => 15,
        _ => return None,
    })
}

/// The character of a half byte; none for the padding and for 11.
pub(super) fn to_char(nibble: u8) -> Option<u8> {
    Some(match nibble {
        1..=10 => b'0' + nibble - 1,
        12 => b'+',
        13 => b'e',
        14 => b'-',
        15 => b'.',
        _ => return None,
    })
}

/// The characters packed, the last half padded. None where one of them has no half byte.
pub(super) fn pack(chars: &[u8]) -> Option<Vec<u8>> {
    chars
        .chunks(2)
        .map(|pair| {
            let low = pair.get(1).map_or(Some(0), |&char| of_char(char))?;
            Some(of_char(pair[0])? << 4 | low)
        })
        .collect()
}

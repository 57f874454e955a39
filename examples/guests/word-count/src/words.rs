//! Counting, with the definitions of `swarmctl dispatch --task word-count`.

/// The words, lines and bytes of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Maximal runs of characters that are not white space.
    pub words: u64,
    /// Line feeds, plus one for a last line without one.
    pub lines: u64,
    /// Bytes in UTF-8.
    pub bytes: u64,
}

/// Counts a text.
pub fn count(text: &str) -> Count {
    let line_feeds = text.bytes().filter(|byte| *byte == b'\n').count();
    let is_in_line = !text.is_empty() && !text.ends_with('\n');
    Count {
        words: text.split_whitespace().count() as u64,
        lines: line_feeds as u64 + u64::from(is_in_line),
        bytes: text.len() as u64,
    }
}

impl Count {
    /// The form that the native worker gives it.
    pub fn to_json(self) -> String {
        let Self {
            words,
            lines,
            bytes,
        } = self;
        format!(r#"{{"words":{words},"lines":{lines},"bytes":{bytes}}}"#)
    }
}

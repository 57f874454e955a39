//! Counting words: what the task `word-count` does, and the plain sequential count that it is checked against.

use serde::{Deserialize, Serialize};

/// The words, lines and bytes of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordCount {
    /// Maximal runs of characters that are not white space (Unicode `White_Space`).
    pub words: u64,
    /// Line feeds, plus one for a last line without one.
    pub lines: u64,
    /// Bytes of the text in UTF-8.
    pub bytes: u64,
}

/// Counts a text in one go.
#[must_use]
pub fn count_words(text: &str) -> WordCount {
    let mut counter = WordCounter::default();
    counter.feed(text);
    counter.finish()
}

/// Counts a text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordCounter {
    count: WordCount,
    is_in_word: bool,
    is_in_line: bool,
}

impl WordCounter {
    /// Takes in the next piece. A word or line may go on from one piece to the next.
    pub fn feed(&mut self, piece: &str) {
        for character in piece.chars() {
            let is_word = !character.is_whitespace();
            self.count.words += u64::from(is_word && !self.is_in_word);
            self.is_in_word = is_word;
            self.is_in_line = character != '\n';
            self.count.lines += u64::from(character == '\n');
        }
        self.count.bytes += piece.len() as u64;
    }

    /// The count of everything that was taken in.
    #[must_use]
    pub fn finish(mut self) -> WordCount {
        self.count.lines += u64::from(self.is_in_line);
        self.count
    }
}

/// The pieces of a text, each at most `bytes_max` long (or one character), cut between characters.
pub(super) fn pieces(text: &str, bytes_max: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.floor_char_boundary(bytes_max).max(first.len_utf8());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lines_and_bytes_are_counted_as_defined() {
        let table = [
            ("", (0, 0, 0)),
            ("\n", (0, 1, 1)),
            ("a", (1, 1, 1)),
            ("a\n", (1, 1, 2)),
            ("a\nb", (2, 2, 3)),
            ("  two  words \r\n\n", (2, 2, 16)),
            // A no-break space and a line separator are white space, a zero-width space is not.
            ("a\u{a0}b\u{2028}c\u{200b}d", (3, 1, 12)),
        ];
        for (text, (words, lines, bytes)) in table {
            let expected = WordCount {
                words,
                lines,
                bytes,
            };
            assert_eq!(count_words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_in_pieces_counts_like_the_whole() {
        let text = "one t\u{fc}o\nthr\u{1f980}ee \u{3000} four\n\nfive";
        for bytes_max in 0..text.len() + 1 {
            let mut counter = WordCounter::default();
            let mut whole = String::new();
            for piece in pieces(text, bytes_max) {
                counter.feed(piece);
                whole.push_str(piece);
            }
            assert_eq!(whole, text);
            assert_eq!(counter.finish(), count_words(text), "{bytes_max}");
        }
    }
}

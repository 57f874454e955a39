//! From text to terms.

use super::term::{Arguments, Call, Term, is_name, is_sl_number};
use crate::acl::string::spelling::is_readable_word;
use crate::acl::string::{DateToken, Lexer, Scalar};
use crate::acl::{Fault, ParseError, Reading};

/// Reads content: a tuple of formulas, actions and identifying expressions. Only blanks may follow it.
///
/// # Errors
/// [`ParseError`] with the place.
pub fn parse(bytes: &[u8], reading: &Reading) -> Result<Vec<Term>, ParseError> {
    let mut lexer = lexer(bytes, reading)?;
    lexer.open("the opening parenthesis of the content")?;
    let mut terms = Vec::new();
    while !lexer.close() {
        terms.push(lexer.term()?);
    }
    lexer.end()?;
    Ok(terms)
}

/// Reads a single term. Only blanks may follow it.
///
/// # Errors
/// [`ParseError`] with the place.
pub fn parse_term(bytes: &[u8], reading: &Reading) -> Result<Term, ParseError> {
    let mut lexer = lexer(bytes, reading)?;
    let term = lexer.term()?;
    lexer.end()?;
    Ok(term)
}

fn lexer<'a>(bytes: &'a [u8], reading: &'a Reading) -> Result<Lexer<'a>, ParseError> {
    let lexer = Lexer::new(bytes, reading);
    let (length, limit) = (bytes.len(), reading.limits.bytes_max);
    if length > limit {
        return Err(lexer.fault(0, Fault::TooLong { length, limit }));
    }
    Ok(lexer)
}

const TERM: &str = "a word, string, number, date, variable or opening parenthesis";

impl Lexer<'_> {
    fn end(&mut self) -> Result<(), ParseError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("nothing more")),
        }
    }

    /// Calls itself for each level of parentheses, of which there are at most as many as the limits say.
    fn term(&mut self) -> Result<Term, ParseError> {
        match self.peek() {
            Some(b'(') => self.call(),
            Some(b'?') => {
                let start = self.at;
                let token = self.token(TERM)?;
                let name = self.text(&token[1..])?;
                if is_name(&name) {
                    return Ok(Term::Variable(name));
                }
                self.at = start;
                Err(self.expected("the name of a variable"))
            }
            Some(b':') => Err(self.expected(TERM)),
            _ => self.constant(),
        }
    }

    fn constant(&mut self) -> Result<Term, ParseError> {
        self.skip_blanks();
        let start = self.at;
        match self.scalar(TERM)? {
            Scalar::Literal(inside) => self.literal_text(inside).map(Term::String),
            Scalar::Bytes(bytes) => self.text(bytes).map(Term::String),
            Scalar::Bare(token) => {
                let text = self.text(token)?;
                if DateToken::read(token).is_some() {
                    Ok(Term::Date(text))
                } else if is_sl_number(token) {
                    Ok(Term::Number(text))
                } else if is_readable_word(token) {
                    // A word that could not be written bare, such as one with an accent, is text.
                    Ok(Term::text(text))
                } else {
                    self.at = start;
                    Err(self.expected(TERM))
                }
            }
        }
    }

    fn call(&mut self) -> Result<Term, ParseError> {
        self.open(TERM)?;
        let start = self.at;
        let Term::Symbol(head) = self.constant()? else {
            self.at = start;
            return Err(self.expected("a word behind the parenthesis"));
        };
        let arguments = if self.peek() == Some(b':') {
            Arguments::Named(self.slots()?)
        } else {
            Arguments::Positional(self.positional()?)
        };
        Ok(Term::Call(Call { head, arguments }))
    }

    fn positional(&mut self) -> Result<Vec<Term>, ParseError> {
        let mut terms = Vec::new();
        while !self.close() {
            terms.push(self.term()?);
        }
        Ok(terms)
    }

    fn slots(&mut self) -> Result<Vec<(String, Term)>, ParseError> {
        const SLOT: &str = "a slot or a closing parenthesis";
        let mut slots = Vec::new();
        while !self.close() {
            let start = self.at;
            let name = self.name(SLOT)?;
            let name = self.text(name)?;
            if !is_name(&name) {
                self.at = start;
                return Err(self.expected(SLOT));
            }
            slots.push((name, self.term()?));
        }
        Ok(slots)
    }
}

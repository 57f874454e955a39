//! The string form, `fipa.acl.rep.string.std` (FIPA SC00070I, fipa.md b).
//!
//! [`parse`] takes whatever the standard or JADE 4.6.5 would take, [`emit`] writes what both read. For every message that
//! can be written, reading what was written gives the same message again, whatever its content is.
//!
//! Deviations, all on purpose: text that ends in a backslash is written as a byte-length string, as no literal can hold it;
//! nested expressions are kept as their spelling and written as a string; a date is checked field by field, and a message
//! that was read has its dates as UTC instants.

pub(in crate::acl) mod date;
mod lexer;
mod reader;
pub(crate) mod spelling;
mod writer;

pub(crate) use date::{DateToken, spell as spell_date};
pub(crate) use lexer::{Lexer, Scalar};
pub use reader::parse;
pub(crate) use writer::push_string;
pub use writer::{BytesForm, Writing, emit};

/// The name of this form in an envelope.
pub const REPRESENTATION: &str = "fipa.acl.rep.string.std";

/// The parameter by which JADE says that the content is Base64 (fipa.md b.7).
const JADE_ENCODING: &str = "X-JADE-Encoding";
/// The one value of it that means something.
const BASE64: &str = "Base64";

//! The tools that every node can offer.

mod key_value;
mod time;

pub use key_value::{KeyValue, KeyValueBounds};
pub use time::Time;

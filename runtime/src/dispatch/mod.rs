//! Placeholder line, replaced by the first module.

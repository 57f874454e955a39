//! Nothing: the tests of whole nodes stand in `tests/` beside this file.

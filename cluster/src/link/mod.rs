//! Authenticated connections between two nodes.

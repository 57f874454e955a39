//! How envelopes travel between nodes.

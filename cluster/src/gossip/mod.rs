//! The packets of membership: sealed, checked for replay, carried over UDP.

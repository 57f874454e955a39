//! What the transport has done since it was started.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often each thing has happened since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Each count with its name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        /// The counters behind [`Counts`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }
        }
    };
}

counts! {
    /// Connections that were taken.
    connections,
    /// Connections that were turned away, as too many were open.
    connections_refused,
    /// Requests whose message was taken.
    received,
    /// Requests that were answered with a 4xx.
    refused,
    /// Messages that were put into a mailbox; one request may be several.
    delivered,
    /// Second copies that were dropped.
    duplicates,
    /// Messages that could not be put into a mailbox: no such agent, no room.
    undeliverable,
    /// Messages that a peer has taken.
    sent,
    /// Messages that no address of their receiver has taken.
    unsent,
    /// Times that a message was sent again on a new connection, as the old one broke.
    resent,
    /// Failures that were told to a sender.
    failures,
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

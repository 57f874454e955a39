//! What an agent may ask of its host. In a component these are the imports; elsewhere the [`testkit`](crate::testkit) answers.

#[cfg(target_arch = "wasm32")]
use crate::bindings::swarm::agent as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testkit::host;

/// Messages to other agents. What is sent leaves when the turn ends well.
pub mod messaging {
    use super::host;
    pub use crate::bindings::swarm::agent::messaging::Recipient;
    use crate::{Aid, Error, Message};

    /// This agent's own identifier.
    #[must_use]
    pub fn me() -> Aid {
        host::messaging::me()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Error`]; nothing was sent.
    pub fn send(to: &Recipient, message: &Message) -> Result<(), Error> {
        host::messaging::send(to, message)
    }

    /// Answers the message of this turn.
    ///
    /// # Errors
    /// [`Error`]; nothing was sent.
    pub fn answer(message: &Message) -> Result<(), Error> {
        host::messaging::answer(message)
    }
}

/// A small store of the agent's own, which outlives a crash. Changes take effect when the turn ends well.
pub mod state {
    use super::host;
    use crate::Error;

    /// What a key holds.
    #[must_use]
    pub fn get(key: &str) -> Option<Vec<u8>> {
        host::state::get(key)
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
        host::state::set(key, value)
    }

    /// Forgets a key.
    pub fn delete(key: &str) {
        host::state::delete(key);
    }

    /// All keys, sorted.
    #[must_use]
    pub fn keys() -> Vec<String> {
        host::state::keys()
    }
}

/// Timers. They are set and cancelled when the turn ends well, and end with the life that set them.
pub mod timers {
    use super::host;
    use crate::Error;

    /// Has `on_timer` called once, after so many milliseconds.
    ///
    /// # Errors
    /// [`Error`]; no timer was set.
    pub fn after(milliseconds: u64, tag: u64) -> Result<u64, Error> {
        host::timers::after(milliseconds, tag)
    }

    /// Has `on_timer` called every so many milliseconds.
    ///
    /// # Errors
    /// [`Error`]; no timer was set.
    pub fn every(milliseconds: u64, tag: u64) -> Result<u64, Error> {
        host::timers::every(milliseconds, tag)
    }

    /// Cancels a timer.
    pub fn cancel(timer: u64) {
        host::timers::cancel(timer);
    }
}

/// The time. It stands still during a turn.
pub mod clock {
    use super::host;

    /// Milliseconds since 1970 UTC, when the turn began.
    #[must_use]
    pub fn now() -> u64 {
        host::clock::now()
    }
}

/// Random numbers from the host's seeded source; not for secrets.
pub mod random {
    use super::host;

    /// A number.
    #[must_use]
    pub fn next() -> u64 {
        host::random::next()
    }

    /// Bytes; at most 4096.
    #[must_use]
    pub fn bytes(count: u32) -> Vec<u8> {
        host::random::bytes(count)
    }
}

/// Lines in the node's log.
pub mod log {
    use super::host;
    use crate::Error;
    pub use crate::bindings::swarm::agent::log::Level;

    /// Writes a line.
    ///
    /// # Errors
    /// [`Error`]; nothing was written.
    pub fn write(level: Level, text: &str) -> Result<(), Error> {
        host::log::write(level, text)
    }
}

/// Named tools of the host.
pub mod tools {
    use super::host;
    use crate::Error;
    pub use crate::bindings::swarm::agent::tools::{Options, Tool};

    /// The tools that this agent may call.
    #[must_use]
    pub fn available() -> Vec<Tool> {
        host::tools::available()
    }

    /// Calls a tool with an input in JSON, and waits. What the turn has asked for so far stays buffered.
    ///
    /// # Errors
    /// [`Error`]; docs/tools.md says which of them leave nothing done.
    pub fn call(name: &str, input: &str, options: &Options) -> Result<String, Error> {
        host::tools::call(name, input, options)
    }

    /// Calls a tool with an input that is a Rust type, and reads its answer as one.
    ///
    /// # Errors
    /// As [`call`]; [`Error::Invalid`] for an input that has no form in JSON, [`Error::Failed`] for an answer of another form.
    #[cfg(feature = "json")]
    pub fn call_json<T: serde::de::DeserializeOwned>(
        name: &str,
        input: &impl serde::Serialize,
        options: &Options,
    ) -> Result<T, Error> {
        let input = serde_json::to_string(input).map_err(|e| Error::Invalid(e.to_string()))?;
        let answer = call(name, &input, options)?;
        serde_json::from_str(&answer).map_err(|e| Error::Failed(e.to_string()))
    }

    impl Default for Options {
        /// As long as the host lets it, and without a key.
        fn default() -> Self {
            Self {
                within: None,
                idempotency_key: None,
            }
        }
    }

    impl Options {
        /// With an idempotency key: a call that is repeated with it (by the life after a crash, say) is done once.
        #[must_use]
        pub fn once(key: impl Into<String>) -> Self {
            Self {
                idempotency_key: Some(key.into()),
                ..Self::default()
            }
        }

        /// For so many milliseconds at most.
        #[must_use]
        pub fn within(mut self, milliseconds: u64) -> Self {
            self.within = Some(milliseconds);
            self
        }
    }
}

//! The trait that a guest implements, and the macro that makes a component of it.

use crate::{Message, SavedState};

/// A volatile agent. Each callback is a turn: what it sends, schedules or stores takes effect when it returns `Ok`, and not at
/// all otherwise. An `Err` ends this life with that reason, a panic is a crash; the supervisor decides what follows.
pub trait Agent: Sized {
    /// A life begins. `config` is the JSON object of the manifest, `{}` where there is none.
    ///
    /// # Errors
    /// The text becomes the reason why the agent did not start.
    fn on_start(config: &str) -> Result<Self, String>;

    /// Handles one message.
    ///
    /// # Errors
    /// The text becomes the reason of this life's end.
    fn on_message(&mut self, message: Message) -> Result<(), String>;

    /// A timer has fired.
    ///
    /// # Errors
    /// As for [`Agent::on_message`].
    fn on_timer(&mut self, timer: u64, tag: u64) -> Result<(), String> {
        let _ = (timer, tag);
        Ok(())
    }

    /// An ordered end. Never called after a crash or a kill.
    fn on_stop(&mut self, reason: &str) {
        let _ = reason;
    }

    /// The state, for another version of this code. Nothing to keep by default.
    ///
    /// # Errors
    /// The upgrade does not take place.
    fn snapshot(&mut self) -> Result<SavedState, String> {
        Ok(SavedState {
            version: 0,
            bytes: Vec::new(),
        })
    }

    /// Takes a state over, right after [`Agent::on_start`]. By default only nothing can be taken over.
    ///
    /// # Errors
    /// The upgrade is rolled back.
    fn restore(&mut self, state: SavedState) -> Result<(), String> {
        if state.bytes.is_empty() {
            Ok(())
        } else {
            Err(format!("cannot read a state of version {}", state.version))
        }
    }
}

/// Makes a type that implements [`Agent`] the agent of this component. Once per crate, which is a `cdylib`.
#[macro_export]
macro_rules! export_agent {
    ($agent:ty) => {
        const _: () = {
            use ::std::cell::RefCell;
            use ::std::string::String;
            use $crate::bindings::exports::swarm::agent::lifecycle::{
                Guest, Message, SavedState, TimerId,
            };

            // A component has one thread, and its host enters it once at a time.
            ::std::thread_local! {
                static AGENT: RefCell<Option<$agent>> = const { RefCell::new(None) };
            }

            fn with<T>(call: impl FnOnce(&mut $agent) -> Result<T, String>) -> Result<T, String> {
                AGENT.with_borrow_mut(|agent| match agent {
                    Some(agent) => call(agent),
                    None => Err(String::from("not started")),
                })
            }

            #[cfg_attr(
                not(target_arch = "wasm32"),
                expect(dead_code, reason = "exported in a component only")
            )]
            struct Component;

            impl Guest for Component {
                fn on_start(config: String) -> Result<(), String> {
                    let agent = <$agent as $crate::Agent>::on_start(&config)?;
                    AGENT.set(Some(agent));
                    Ok(())
                }
                fn on_message(message: Message) -> Result<(), String> {
                    with(|agent| $crate::Agent::on_message(agent, message))
                }
                fn on_timer(timer: TimerId, tag: u64) -> Result<(), String> {
                    with(|agent| $crate::Agent::on_timer(agent, timer, tag))
                }
                fn on_stop(reason: String) {
                    let _ = with(|agent| {
                        $crate::Agent::on_stop(agent, &reason);
                        Ok(())
                    });
                }
                fn snapshot() -> Result<SavedState, String> {
                    with(|agent| $crate::Agent::snapshot(agent))
                }
                fn restore(state: SavedState) -> Result<(), String> {
                    with(|agent| $crate::Agent::restore(agent, state))
                }
            }

            // Elsewhere a linker has no use for these names.
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export_volatile!(Component with_types_in $crate::bindings);
        };
    };
}

//! The trait that a durable guest implements, and the macro that makes a component of it.

use crate::{Event, Message, SavedState};

/// A durable agent: what it was told comes to events, and its state comes from these alone.
///
/// [`on_message`](Self::on_message) and [`on_timer`](Self::on_timer) are turns: they look at the state, and say which events
/// follow. The host writes those, together with what the turn sends and the timers that it sets, in one go; then it has
/// [`apply`](Self::apply) change the state, and only then anything leaves. A turn that fails leaves nothing behind. After a
/// crash, or when it is woken, the next life is given a snapshot and the events behind it, or all events.
///
/// So `apply`, `snapshot` and `restore` must depend on what they are given and on nothing else. The host sees to it: the time,
/// random numbers and the own name trap there, messages and timers are denied; a log line of a replay goes nowhere.
///
/// ```
/// use swarm_guest::{Act, DurableAgent, Event, Message, SavedState, export_durable_agent, messaging};
///
/// #[derive(Default)]
/// struct Count(u64);
///
/// impl DurableAgent for Count {
///     fn on_start(_config: &str) -> Result<Self, String> {
///         Ok(Self::default())
///     }
///     fn on_message(&self, message: Message) -> Result<Vec<Event>, String> {
///         let answer = Message::text(Act::Inform, (self.0 + 1).to_string());
///         let answer = Message { receivers: message.reply(Act::Inform).receivers, ..answer };
///         messaging::answer(&answer).map_err(|error| error.to_string())?;
///         Ok(vec![Event::new("counted", 1, "")])
///     }
///     fn apply(&mut self, event: Event) -> Result<(), String> {
///         match (event.kind.as_str(), event.version) {
///             ("counted", 1) => self.0 += 1,
///             _ => return Err(event.unknown()),
///         }
///         Ok(())
///     }
///     fn snapshot(&self) -> Result<SavedState, String> {
///         Ok(SavedState { version: 1, bytes: self.0.to_string().into_bytes() })
///     }
///     fn restore(&mut self, state: SavedState) -> Result<(), String> {
///         let text = String::from_utf8(state.bytes).map_err(|error| error.to_string())?;
///         self.0 = text.parse().map_err(|_| "not a count".to_owned())?;
///         Ok(())
///     }
/// }
///
/// export_durable_agent!(Count);
///
/// let mut bench = swarm_guest::testkit::DurableBench::<Count>::start("{}").expect("starts");
/// let turn = bench.tell(Message::text(Act::Request, "")).expect("ends well");
/// assert_eq!(turn.events.len(), 1);
/// bench.crash("{}").expect("replays");
/// let turn = bench.tell(Message::text(Act::Request, "")).expect("ends well");
/// assert_eq!(turn.told.answers[0].as_text(), Some("2"));
/// ```
pub trait DurableAgent: Sized {
    /// A life begins, with the state before any event. `config` is the JSON object of the manifest, `{}` where there is none.
    ///
    /// # Errors
    /// The text becomes the reason why the agent could not be woken; it is tried again.
    fn on_start(config: &str) -> Result<Self, String>;

    /// Decides what a message leads to.
    ///
    /// # Errors
    /// The text becomes the reason of this life's end. Nothing has happened. A refusal that the asker is to see is an answer.
    fn on_message(&self, message: Message) -> Result<Vec<Event>, String>;

    /// A timer has fired: decides what that leads to. Timers are in the journal, and outlive lives and nodes.
    ///
    /// # Errors
    /// As for [`on_message`](Self::on_message). A timer that has ended three lives fires no more.
    fn on_timer(&self, timer: u64, tag: u64) -> Result<Vec<Event>, String> {
        let _ = (timer, tag);
        Ok(Vec::new())
    }

    /// Changes the state by one event that is in the journal. It reads every version of every kind that it ever wrote.
    ///
    /// # Errors
    /// At a replay the agent is *held*, with the text and the number of the event, until somebody restarts it; never return one
    /// for what this code has written.
    fn apply(&mut self, event: Event) -> Result<(), String>;

    /// The state, to shorten the next replay.
    ///
    /// # Errors
    /// No snapshot is taken.
    fn snapshot(&self) -> Result<SavedState, String>;

    /// Takes a state over, right after [`on_start`](Self::on_start).
    ///
    /// # Errors
    /// The snapshot is passed over: an older one, or the events, will do.
    fn restore(&mut self, state: SavedState) -> Result<(), String>;

    /// An ordered end. Never called after a crash or a kill, nor when the agent leaves memory for a while.
    fn on_stop(&mut self, reason: &str) {
        let _ = reason;
    }
}

impl Event {
    /// An event of that kind and version. Its content type is not stated.
    #[must_use]
    pub fn new(kind: &str, version: u32, data: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: kind.to_owned(),
            version,
            content_type: None,
            data: data.into(),
        }
    }

    /// What to say about an event that is not known.
    #[must_use]
    pub fn unknown(&self) -> String {
        format!("nothing reads event {} version {}", self.kind, self.version)
    }

    /// An event of that kind and version with a value in JSON.
    ///
    /// # Errors
    /// The value has no form in JSON.
    #[cfg(feature = "json")]
    pub fn json(kind: &str, version: u32, value: &impl serde::Serialize) -> Result<Self, String> {
        let data = serde_json::to_vec(value).map_err(|error| error.to_string())?;
        Ok(Self {
            content_type: Some("application/json".to_owned()),
            ..Self::new(kind, version, data)
        })
    }

    /// The value in JSON that it holds.
    ///
    /// # Errors
    /// It holds something else.
    #[cfg(feature = "json")]
    pub fn read_json<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.data)
            .map_err(|error| format!("event {} version {}: {error}", self.kind, self.version))
    }
}

/// Makes a type that implements [`DurableAgent`] the agent of this component. Once per crate, which is a `cdylib`.
#[macro_export]
macro_rules! export_durable_agent {
    ($agent:ty) => {
        const _: () = {
            use ::std::cell::RefCell;
            use ::std::string::String;
            use ::std::vec::Vec;
            use $crate::bindings::durable::exports::swarm::agent::durable_lifecycle::{
                Event, Guest, Message, SavedState, TimerId,
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
                    let agent = <$agent as $crate::DurableAgent>::on_start(&config)?;
                    AGENT.set(Some(agent));
                    Ok(())
                }
                fn on_message(message: Message) -> Result<Vec<Event>, String> {
                    with(|agent| $crate::DurableAgent::on_message(agent, message))
                }
                fn on_timer(timer: TimerId, tag: u64) -> Result<Vec<Event>, String> {
                    with(|agent| $crate::DurableAgent::on_timer(agent, timer, tag))
                }
                fn apply(event: Event) -> Result<(), String> {
                    with(|agent| $crate::DurableAgent::apply(agent, event))
                }
                fn on_stop(reason: String) {
                    let _ = with(|agent| {
                        $crate::DurableAgent::on_stop(agent, &reason);
                        Ok(())
                    });
                }
                fn snapshot() -> Result<SavedState, String> {
                    with(|agent| $crate::DurableAgent::snapshot(agent))
                }
                fn restore(state: SavedState) -> Result<(), String> {
                    with(|agent| $crate::DurableAgent::restore(agent, state))
                }
            }

            // Elsewhere a linker has no use for these names.
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::durable::export_durable!(
                Component with_types_in $crate::bindings::durable
            );
        };
    };
}

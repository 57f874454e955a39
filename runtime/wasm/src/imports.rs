//! What a guest may ask for, as far as its grants and limits go. Every string and list in here was written by a guest.

use crate::bindings::swarm::agent::messaging::Recipient;
use crate::bindings::swarm::agent::types::{Aid, Error, Message};
use crate::bindings::swarm::agent::{clock, log, messaging, random, state, timers, types};
use crate::convert;
use crate::kept;
use crate::sandbox::{Effect, Sandbox};
use swarm_actors::AnyRef;
use swarm_protocols::{Limit, Name, Path};
use wasmtime::Result;

/// The longest key of a store, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// The most random bytes at a time.
const RANDOM_BYTES_MAX: u32 = 4096;
/// The longest time that a timer can be set to: a year.
const TIMER_MS_MAX: u64 = 365 * 86_400_000;

impl types::Host for Sandbox {}

impl messaging::Host for Sandbox {
    fn me(&mut self) -> Result<Aid> {
        self.in_a_turn()?;
        Ok(convert::aid_to_guest(&self.aid))
    }

    fn send(&mut self, to: Recipient, message: Message) -> Result<Result<(), Error>> {
        if self.is_still {
            return self.refuse(Limit::SendRate, Error::Denied);
        }
        let targets = match self.targets(&to) {
            Ok(targets) => targets,
            Err(error) => return self.refuse(Limit::SendRate, error),
        };
        if targets.is_empty() {
            return self.refuse(Limit::SendRate, Error::NotFound);
        }
        if let Err((limit, error)) = self.admit(&message, targets.len() as u64) {
            return self.refuse(limit, error);
        }
        let message = match convert::from_guest(message) {
            Ok(message) => message,
            Err(error) => return self.refuse(Limit::SendRate, error),
        };
        for target in targets {
            let mut message = message.clone();
            if message.receiver.is_empty()
                && let Some(name) = target.path().name()
            {
                let node = self.aid.name.split_once('@').map_or("", |(_, node)| node);
                message.receiver = vec![swarm_protocols::Aid::named(format!("{name}@{node}"))];
            }
            self.turn.effects.push(Effect::Send(target, message));
        }
        Ok(Ok(()))
    }

    fn answer(&mut self, message: Message) -> Result<Result<(), Error>> {
        let Some(asked) = self.turn.message.clone() else {
            return self.refuse(Limit::SendRate, Error::NotFound);
        };
        if let Err((limit, error)) = self.admit(&message, 1) {
            return self.refuse(limit, error);
        }
        let mut message = match convert::from_guest(message) {
            Ok(message) => message,
            Err(error) => return self.refuse(Limit::SendRate, error),
        };
        // An answer goes to who asked, whoever it names: to others it takes `send`, and a grant.
        message.receiver = if asked.reply_to.is_empty() {
            asked.sender.iter().cloned().collect()
        } else {
            asked.reply_to.clone().into()
        };
        self.turn.effects.push(Effect::Answer(message));
        Ok(Ok(()))
    }
}

impl Sandbox {
    /// Whether a message may go out to so many, and counts it.
    fn admit(&mut self, message: &Message, copies: u64) -> std::result::Result<(), (Limit, Error)> {
        let bytes = convert::bytes(message);
        if bytes > self.limits.message_bytes {
            let error = Error::TooLarge(self.limits.message_bytes);
            return Err((Limit::MessageSize, error));
        }
        if !self.takes_sends(copies) {
            return Err((Limit::SendRate, Error::Overloaded));
        }
        if !self.takes_bytes(bytes.saturating_mul(copies).saturating_add(256)) {
            return Err((Limit::HostBytes, Error::Overloaded));
        }
        Ok(())
    }

    /// The agents that a recipient stands for, as far as they are granted.
    fn targets(&mut self, to: &Recipient) -> std::result::Result<Vec<AnyRef>, Error> {
        let Some(system) = self.system.upgrade() else {
            return Err(Error::Failed("the node stops".to_owned()));
        };
        let grants = self.grants.clone();
        let Some(granted) = &grants.messaging else {
            return Err(Error::Denied);
        };
        let name = |text: &str| Name::new(text).map_err(|error| Error::Invalid(error.to_string()));
        match to {
            Recipient::Agent(text) => {
                let name = name(text)?;
                let found = system.whereis(&name);
                let is_granted = granted.agents.contains(&name)
                    || found
                        .as_ref()
                        .is_some_and(|agent| granted.allows_path(agent.path()));
                if !is_granted {
                    return Err(Error::Denied);
                }
                Ok(found.into_iter().collect())
            }
            Recipient::Path(text) => {
                let path = Path::new(text).map_err(|error| Error::Invalid(error.to_string()))?;
                if !granted.allows_path(&path) {
                    return Err(Error::Denied);
                }
                Ok(system.lookup(&path).into_iter().collect())
            }
            Recipient::Group(text) => {
                let name = name(text)?;
                if !granted.groups.contains(&name) {
                    return Err(Error::Denied);
                }
                Ok(system.group(&name))
            }
            Recipient::OneOf(text) => {
                let name = name(text)?;
                if !granted.groups.contains(&name) {
                    return Err(Error::Denied);
                }
                let mut members = system.group(&name);
                if members.is_empty() {
                    return Ok(members);
                }
                let at = usize::try_from(self.random() % members.len() as u64).unwrap_or(0);
                Ok(vec![members.swap_remove(at)])
            }
        }
    }
}

impl state::Host for Sandbox {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        if let Some(drafted) = self.turn.draft.get(&key) {
            return Ok(drafted.clone());
        }
        Ok(self.kept.lock().get(&key).cloned())
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<Result<(), Error>> {
        if key.len() > KEY_BYTES_MAX {
            let error = Error::Invalid(format!("a key has at most {KEY_BYTES_MAX} bytes"));
            return self.refuse(Limit::HostBytes, error);
        }
        // What is replaced still counts until the turn commits.
        let kept = match self.turn.kept_bytes {
            Some(bytes) => bytes,
            None => *self.turn.kept_bytes.insert(kept::bytes(&self.kept.lock())),
        };
        let bytes = kept::entry_bytes(&key, &value);
        if kept.saturating_add(self.turn.bytes) > self.limits.host_bytes
            || !self.takes_bytes(bytes)
            || kept.saturating_add(self.turn.bytes) > self.limits.host_bytes
        {
            let error = Error::TooLarge(self.limits.host_bytes);
            return self.refuse(Limit::HostBytes, error);
        }
        self.turn.draft.insert(key, Some(value));
        Ok(Ok(()))
    }

    fn delete(&mut self, key: String) -> Result<()> {
        // A draft holds no more keys than the store has, and those that were set.
        if self.turn.draft.contains_key(&key) || self.kept.lock().contains_key(&key) {
            self.turn.draft.insert(key, None);
        }
        Ok(())
    }

    fn keys(&mut self) -> Result<Vec<String>> {
        let mut keys: Vec<String> = self
            .kept
            .lock()
            .keys()
            .filter(|key| !self.turn.draft.contains_key(*key))
            .cloned()
            .collect();
        let drafted = self.turn.draft.iter();
        keys.extend(drafted.filter_map(|(key, value)| value.as_ref().map(|_| key.clone())));
        keys.sort();
        Ok(keys)
    }
}

impl timers::Host for Sandbox {
    fn after(&mut self, milliseconds: u64, tag: u64) -> Result<Result<u64, Error>> {
        self.set_timer(milliseconds, tag, false)
    }

    fn every(&mut self, milliseconds: u64, tag: u64) -> Result<Result<u64, Error>> {
        self.set_timer(milliseconds, tag, true)
    }

    fn cancel(&mut self, timer: u64) -> Result<()> {
        self.in_a_turn()?;
        // Each id is cancelled at most once, so a loop of these fills nothing.
        let cancelled = |effect: &Effect| matches!(effect, Effect::Cancel(id) if *id == timer);
        if timer <= self.timer_last && !self.turn.effects.iter().any(cancelled) {
            if !self.takes_bytes(64) {
                return Ok(());
            }
            self.turn.effects.push(Effect::Cancel(timer));
        }
        Ok(())
    }
}

impl Sandbox {
    fn set_timer(
        &mut self,
        milliseconds: u64,
        tag: u64,
        repeats: bool,
    ) -> Result<Result<u64, Error>> {
        if self.is_still {
            return self.refuse(Limit::Timers, Error::Denied);
        }
        if milliseconds > TIMER_MS_MAX {
            let error = Error::Invalid("a timer is set to a year at most".to_owned());
            return self.refuse(Limit::Timers, error);
        }
        if self.timers >= self.limits.timers {
            return self.refuse(Limit::Timers, Error::Overloaded);
        }
        self.timers += 1;
        self.timer_last += 1;
        let id = self.timer_last;
        self.turn.effects.push(Effect::After {
            id,
            milliseconds,
            tag,
            repeats,
        });
        Ok(Ok(id))
    }
}

impl clock::Host for Sandbox {
    fn now(&mut self) -> Result<u64> {
        self.in_a_turn()?;
        Ok(self.turn.now_ms)
    }
}

impl random::Host for Sandbox {
    fn next(&mut self) -> Result<u64> {
        self.in_a_turn()?;
        Ok(self.random())
    }

    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        self.in_a_turn()?;
        let count = count.min(RANDOM_BYTES_MAX) as usize;
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.random().to_le_bytes());
        }
        bytes.truncate(count);
        Ok(bytes)
    }
}

impl log::Host for Sandbox {
    fn write(&mut self, level: log::Level, text: String) -> Result<Result<(), Error>> {
        // A line costs something even when it is empty.
        if !self.takes_log(text.len() as u64 + 64) {
            return self.refuse(Limit::LogVolume, Error::Overloaded);
        }
        if self.is_silent || self.replayed.is_some() {
            return Ok(Ok(()));
        }
        let (path, text) = (&self.path, text.escape_debug());
        match level {
            log::Level::Trace => tracing::trace!(target: "swarm_wasm::guest", %path, "{text}"),
            log::Level::Debug => tracing::debug!(target: "swarm_wasm::guest", %path, "{text}"),
            log::Level::Info => tracing::info!(target: "swarm_wasm::guest", %path, "{text}"),
            log::Level::Warn => tracing::warn!(target: "swarm_wasm::guest", %path, "{text}"),
            log::Level::Error => tracing::error!(target: "swarm_wasm::guest", %path, "{text}"),
        }
        Ok(Ok(()))
    }
}

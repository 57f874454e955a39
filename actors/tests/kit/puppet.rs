//! A puppet: an agent whose turns are closures, for what the counting agent has no message for.

use super::{SECOND, until};
use futures_util::future::BoxFuture;
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use swarm_actors::*;
use swarm_protocols::ExitReason;

/// One turn.
pub type Deed = Box<
    dyn for<'a, 'b> FnOnce(&'a mut Turn<'b, Puppet>) -> BoxFuture<'a, Result<(), Failure>> + Send,
>;

/// One init.
pub type Beginning = Arc<
    dyn for<'a, 'b> Fn(&'a mut Turn<'b, Puppet>) -> BoxFuture<'a, Result<Init, Failure>>
        + Send
        + Sync,
>;

#[derive(Clone, Default)]
pub struct Puppet {
    /// Of all lives together.
    notes: Arc<Mutex<Vec<String>>>,
    beginning: Option<Beginning>,
    hangs_in_terminate: bool,
}

pub enum Say {
    Note(String),
    /// Answers with all notes.
    Notes(ReplyTo<Vec<String>>),
    Do(Deed),
    /// Is stashed, again and again.
    Stash(ReplyTo<Vec<String>>),
    /// Brings something, and nothing is done with it.
    Carry(Box<dyn Any + Send>),
    /// Hangs. Has copies, one of which panics.
    HangWithCopies(FragileCopies),
}

/// Counts the copies that are made, and panics at one of them.
#[derive(Clone)]
pub struct FragileCopies {
    pub made: Arc<AtomicU32>,
    pub panics_at: u32,
}

impl Message for Say {
    fn copy(&self) -> Option<Self> {
        let Self::HangWithCopies(copies) = self else {
            return None;
        };
        let number = copies.made.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(number != copies.panics_at, "told to, in a copy");
        Some(Self::HangWithCopies(copies.clone()))
    }
}

/// Panics when it is dropped, and says how often that happened.
pub struct Bomb(pub Arc<AtomicU32>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if !std::thread::panicking() {
            panic!("told to, in a drop");
        }
    }
}

impl Puppet {
    /// Whose init is `beginning`.
    pub fn that_begins<F>(beginning: F) -> Self
    where
        F: for<'a, 'b> Fn(&'a mut Turn<'b, Puppet>) -> BoxFuture<'a, Result<Init, Failure>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            beginning: Some(Arc::new(beginning)),
            ..Self::default()
        }
    }

    pub fn that_hangs_in_terminate() -> Self {
        Self {
            hangs_in_terminate: true,
            ..Self::default()
        }
    }

    pub fn called(self, id: &str) -> AgentSpec<Self> {
        AgentSpec::new(id, move || self.clone()).expect("a name")
    }

    fn note(&self, note: String) {
        self.notes.lock().expect("not poisoned").push(note);
    }
}

impl Agent for Puppet {
    type Message = Say;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        match self.beginning.clone() {
            Some(beginning) => beginning(turn).await,
            None => Ok(Init::Ready),
        }
    }

    async fn handle(&mut self, turn: &mut Turn<'_, Self>, message: Say) -> Result<(), Failure> {
        match message {
            Say::Note(note) => self.note(note),
            Say::Notes(reply) => {
                let notes = self.notes.lock().expect("not poisoned").clone();
                turn.reply(reply, notes);
            }
            Say::Do(deed) => deed(turn).await?,
            Say::Stash(reply) => turn.stash(Say::Stash(reply))?,
            Say::Carry(_) => {}
            Say::HangWithCopies(_) => std::future::pending().await,
        }
        Ok(())
    }

    async fn on_down(&mut self, turn: &mut Turn<'_, Self>, down: Down) -> Result<(), Failure> {
        let life = turn.incarnation().0;
        self.note(format!("down in life {life}: {}", down.reason));
        Ok(())
    }

    async fn on_exit(&mut self, turn: &mut Turn<'_, Self>, exit: Exit) -> Result<(), Failure> {
        let life = turn.incarnation().0;
        self.note(format!("exit in life {life}: {}", exit.reason));
        Ok(())
    }

    async fn on_watch(&mut self, _: &mut Turn<'_, Self>, watched: Watched) -> Result<(), Failure> {
        self.note(match watched.event {
            WatchEvent::Restarted { incarnation } => format!("now in life {incarnation}"),
            WatchEvent::Ended { .. } => "ended for good".to_owned(),
        });
        Ok(())
    }

    async fn terminate(&mut self, _: &ExitReason) {
        if self.hangs_in_terminate {
            std::future::pending().await
        }
    }
}

pub fn puppet(id: &str) -> AgentSpec<Puppet> {
    Puppet::default().called(id)
}

pub fn note(text: &str) -> Say {
    Say::Note(text.to_owned())
}

pub fn deed<F>(deed: F) -> Say
where
    F: for<'a, 'b> FnOnce(&'a mut Turn<'b, Puppet>) -> BoxFuture<'a, Result<(), Failure>>
        + Send
        + 'static,
{
    Say::Do(Box::new(deed))
}

/// What it has noted, once it has handled what was sent to it before.
pub async fn notes(agent: &AgentRef<Say>) -> Vec<String> {
    agent.ask(Say::Notes, SECOND).await.expect("it answers")
}

/// A mailbox for that many.
pub fn room_for(capacity: u32) -> MailboxOptions {
    MailboxOptions {
        capacity,
        ..MailboxOptions::default()
    }
}

/// Waits until it is in that life, and answers there.
pub async fn lives(agent: &AgentRef<Say>, life: u64) {
    let any = agent.any();
    until(&format!("{} is in life {life}", any.path()), || {
        any.incarnation().0 == life && any.is_alive()
    })
    .await;
    notes(agent).await;
    assert_eq!(any.incarnation().0, life, "{}", any.path());
}

/// Whether the end of that life was reported as a crash.
pub fn is_reported(system: &System, agent: &AgentRef<Say>, life: u64) -> bool {
    system
        .crash_reports()
        .iter()
        .any(|report| report.path == *agent.path() && report.pid.incarnation.0 == life)
}

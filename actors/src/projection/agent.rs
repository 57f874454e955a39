//! A projection as an agent: it follows its node's journal by itself.

use super::projector::{Lag, Projection, ProjectionFailed, Projector};
use crate::agent::{Agent, Failure, Init, Message};
use crate::ask::{AskError, ReplyTo};
use crate::durable::Durability;
use crate::journal::Journal;
use crate::reference::AgentRef;
use crate::turn::Turn;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::AclMessage;

/// How soon a projection that is up to date looks at the journal again.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

/// How many events one turn applies, so that questions are answered in between.
const EVENTS_PER_TURN: usize = 4096;

/// A view that was fed is saved at the latest after so many intervals.
const SAVE_AFTER_TURNS: u32 = 200;

type Answering<V> = Box<dyn Fn(&V, &AclMessage) -> AclMessage + Send + Sync>;

/// What is done with a view.
pub type Reading<P> = Box<dyn FnOnce(&Projector<P>) + Send>;

/// An agent that feeds a projection, answers questions about its view and tells its lag.
pub struct ProjectionAgent<P: Projection> {
    name: String,
    durability: Durability,
    /// Until its init.
    projection: Option<P>,
    /// Taken out while it is where it may block.
    projector: Option<Projector<P>>,
    lag: Lag,
    turns: u32,
    is_saved: bool,
    answering: Option<Arc<Answering<P::View>>>,
}

/// What it can be told.
pub enum ProjectionMessage<P: Projection> {
    /// Look at the journal.
    Follow,
    /// Do something with the view as it is.
    Read(Reading<P>),
    /// Make the view anew, out of all events.
    Rebuild(ReplyTo<()>),
}

impl<P: Projection> Message for ProjectionMessage<P> {}

impl<P: Projection> ProjectionAgent<P> {
    /// The projection `name` of that journal.
    #[must_use]
    pub fn new(projection: P, name: &str, durability: &Durability) -> Self {
        Self {
            name: name.to_owned(),
            durability: durability.clone(),
            projection: Some(projection),
            projector: None,
            lag: durability.lag_of(name),
            turns: 0,
            is_saved: true,
            answering: None,
        }
    }

    /// The same, which also answers ACL messages.
    #[must_use]
    pub fn answering(
        mut self,
        answer: impl Fn(&P::View, &AclMessage) -> AclMessage + Send + Sync + 'static,
    ) -> Self {
        self.answering = Some(Arc::new(Box::new(answer)));
        self
    }

    /// Works on the projector where that may block.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Projector<P>, &dyn Journal) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let mut projector = self.projector.take().ok_or("its init did not run")?;
        let journal = self.durability.journal().clone();
        let (projector, done) = if journal.reads_block() {
            let job = move || {
                let done = work(&mut projector, &*journal);
                (projector, done)
            };
            tokio::task::spawn_blocking(job).await?
        } else {
            let done = work(&mut projector, &*journal);
            (projector, done)
        };
        self.projector = Some(projector);
        Ok(done)
    }

    async fn follow(&mut self, turn: &mut Turn<'_, Self>) -> Result<(), Failure> {
        let count = self
            .work(|projector, journal| projector.feed(journal, EVENTS_PER_TURN))
            .await??;
        self.turns += 1;
        self.is_saved &= count == 0;
        let is_due = self.projector.as_ref().is_some_and(Projector::is_save_due)
            || (!self.is_saved && self.turns >= SAVE_AFTER_TURNS);
        if is_due {
            let now_ms = turn.system().wall_ms();
            let saving = self
                .work(move |projector, journal| projector.save(journal, now_ms))
                .await?;
            saving.await.map_err(ProjectionFailed::NotSaved)?;
            self.is_saved = true;
            self.turns = 0;
        }
        let after = if count == EVENTS_PER_TURN {
            Duration::ZERO
        } else {
            FOLLOW_INTERVAL
        };
        turn.schedule(after, ProjectionMessage::Follow)?;
        Ok(())
    }
}

impl<P: Projection> Agent for ProjectionAgent<P> {
    type Message = ProjectionMessage<P>;

    async fn init(&mut self, turn: &mut Turn<'_, Self>) -> Result<Init, Failure> {
        let projection = self.projection.take().ok_or("a life begins once")?;
        let (name, journal) = (self.name.clone(), self.durability.journal().clone());
        let lag = self.lag.clone();
        let open = move || Projector::open(projection, &name, &*journal, lag);
        let opened = if self.durability.journal().reads_block() {
            tokio::task::spawn_blocking(open).await?
        } else {
            open()
        };
        self.projector = Some(opened?);
        turn.schedule(Duration::ZERO, ProjectionMessage::Follow)?;
        Ok(Init::Ready)
    }

    async fn handle(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: ProjectionMessage<P>,
    ) -> Result<(), Failure> {
        match message {
            ProjectionMessage::Follow => self.follow(turn).await,
            ProjectionMessage::Read(read) => {
                if let Some(projector) = &self.projector {
                    read(projector);
                }
                Ok(())
            }
            ProjectionMessage::Rebuild(reply) => {
                self.work(|projector, journal| projector.rebuild(journal))
                    .await?;
                self.is_saved = false;
                turn.reply(reply, ());
                Ok(())
            }
        }
    }

    async fn on_acl(
        &mut self,
        turn: &mut Turn<'_, Self>,
        message: Arc<AclMessage>,
    ) -> Result<(), Failure> {
        let answer = match (&self.answering, &self.projector) {
            (Some(answering), Some(projector)) => answering(projector.view(), &message),
            _ => message.reply(swarm_protocols::Performative::NotUnderstood),
        };
        turn.answer(answer);
        Ok(())
    }
}

/// A projection that can be asked.
pub struct ProjectionRef<P: Projection>(pub AgentRef<ProjectionMessage<P>>);

impl<P: Projection> ProjectionRef<P> {
    /// Does something with the view and the offset as they are, on the projection's own turn: it should be short.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Projector<P>) -> T + Send + 'static,
        within: Duration,
    ) -> Result<T, AskError> {
        let make = |reply: ReplyTo<T>| {
            ProjectionMessage::Read(Box::new(move |projector: &Projector<P>| {
                reply.send(read(projector));
            }))
        };
        self.0.ask(make, within).await
    }

    /// Makes the view anew, out of all events that are not truncated. Answered when it has begun.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn rebuild(&self, within: Duration) -> Result<(), AskError> {
        self.0.ask(ProjectionMessage::Rebuild, within).await
    }
}

//! What a child spec says, as each child keeps it: small, because there may be a million of them.

use super::Contained;
use crate::child::StartChild;
use crate::spec::{Backoff, ChildSpec, ChildType, Restart, Shutdown};
use crate::supervisor::SpecView;
use std::sync::Arc;
use std::time::Duration;
use swarm_protocols::Name;

/// A child spec without its id, which is the name of the child or of the template.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The start function.
    pub start: Contained<Arc<dyn StartChild>>,
    pub(super) restart: Restart,
    pub(super) shutdown: Shutdown,
    pub(super) child_type: ChildType,
    pub(super) significant: bool,
    extras: Option<Arc<Extras>>,
}

/// What OTP does not have and few specs make use of; those that do are often many of one kind, and share it.
#[derive(Clone, Debug, PartialEq)]
struct Extras {
    restart_delay: Option<Backoff>,
    start_timeout: Option<Duration>,
}

impl Recipe {
    /// How long the start may take.
    #[must_use]
    pub fn start_timeout(&self) -> Option<Duration> {
        self.extras.as_ref()?.start_timeout
    }

    pub(super) fn restart_delay(&self) -> Option<Backoff> {
        self.extras.as_ref()?.restart_delay
    }

    /// Keeps one copy of what it has in common with the child before it.
    pub(super) fn share(&mut self, before: &Self) {
        if self.extras == before.extras {
            self.extras.clone_from(&before.extras);
        }
    }

    pub(super) fn view(&self, id: &Name) -> SpecView {
        SpecView {
            id: id.clone(),
            restart: self.restart,
            shutdown: self.shutdown,
            child_type: self.child_type,
            significant: self.significant,
        }
    }
}

impl From<ChildSpec> for Recipe {
    fn from(spec: ChildSpec) -> Self {
        let has_extras = spec.restart_delay.is_some() || spec.start_timeout.is_some();
        Self {
            start: Contained::new(spec.start),
            restart: spec.restart,
            shutdown: spec.shutdown,
            child_type: spec.child_type,
            significant: spec.significant,
            extras: has_extras.then(|| {
                Arc::new(Extras {
                    restart_delay: spec.restart_delay,
                    start_timeout: spec.start_timeout,
                })
            }),
        }
    }
}

/// What the instances of a `simple_one_for_one` supervisor are made from.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) id: Name,
    pub(super) recipe: Recipe,
}

impl From<ChildSpec> for Template {
    fn from(spec: ChildSpec) -> Self {
        Self {
            id: spec.id.clone(),
            recipe: spec.into(),
        }
    }
}

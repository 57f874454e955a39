//! What all lives of the durable agents of one spec have in common, and which code each of them runs.

use crate::grants::Grants;
use crate::host::Component;
use crate::kept::Store;
use crate::life::{Life, Moment};
use crate::limits::Limits;
use crate::sandbox::Seat;
use crate::trial::Trial;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use swarm_actors::WeakSystem;
use swarm_actors::durable::Durability;
use swarm_protocols::{Aid, ExitReason, Path};

type DurableLife = Life<crate::bindings::durable::Durable>;

/// A component as a durable agent's code, with all that its lives have in common.
pub struct DurablePlan {
    component: Component,
    config: String,
    grants: Arc<Grants>,
    pub(super) limits: Arc<Limits>,
    system: WeakSystem,
    /// Where its agents' events are. None when nobody runs them: only their past is looked at.
    pub(super) durability: Option<Durability>,
    /// The code of agents that were upgraded, by path.
    changed: Mutex<BTreeMap<Path, Changed>>,
}

/// The code of an agent that is not what it began with.
#[derive(Clone)]
pub(super) struct Changed {
    pub(super) component: Component,
    /// While the code before follows it, and could take over.
    pub(super) probation: Option<Probation>,
}

/// What new code may still be taken back with.
#[derive(Clone)]
pub(super) struct Probation {
    pub(super) before: Component,
    /// How many turns are left.
    pub(super) left: u32,
    /// Who watches it, and says what becomes of it; nobody else does then.
    pub(super) trial: Option<Arc<Trial>>,
}

impl DurablePlan {
    /// A plan for agents in `system` whose events are in that journal. `config` is the JSON object that `on-start` gets.
    #[must_use]
    pub fn new(
        component: Component,
        config: String,
        grants: Grants,
        limits: Limits,
        system: WeakSystem,
        durability: Durability,
    ) -> Arc<Self> {
        Self::with(component, config, grants, limits, system, Some(durability))
    }

    /// A plan for looking at what agents were: it runs none.
    #[must_use]
    pub fn of_the_past(
        component: Component,
        config: String,
        grants: Grants,
        limits: Limits,
    ) -> Arc<Self> {
        let nowhere = WeakSystem::default();
        Self::with(component, config, grants, limits, nowhere, None)
    }

    fn with(
        component: Component,
        config: String,
        grants: Grants,
        limits: Limits,
        system: WeakSystem,
        durability: Option<Durability>,
    ) -> Arc<Self> {
        Arc::new(Self {
            component,
            config,
            grants: Arc::new(grants),
            limits: Arc::new(limits),
            system,
            durability,
            changed: Mutex::default(),
        })
    }

    /// The same for the past of its agents under other code.
    pub(super) fn with_code(&self, component: Component) -> Arc<Self> {
        Arc::new(Self {
            component,
            config: self.config.clone(),
            grants: self.grants.clone(),
            limits: self.limits.clone(),
            system: self.system.clone(),
            durability: None,
            changed: Mutex::default(),
        })
    }

    /// What the agent at `path` runs.
    pub(super) fn code_of(&self, path: &Path) -> Changed {
        let changed = self.changed.lock();
        changed.get(path).cloned().unwrap_or_else(|| Changed {
            component: self.component.clone(),
            probation: None,
        })
    }

    /// What the agent at `path` runs from now on, in all of its lives.
    pub(super) fn change(&self, path: &Path, changed: Changed) {
        self.changed.lock().insert(path.clone(), changed);
    }

    /// Counts a turn of new code that went well. True when the code before need not follow any longer.
    pub(super) fn is_proven(&self, path: &Path) -> bool {
        let mut changed = self.changed.lock();
        let Some(probation) = changed
            .get_mut(path)
            .and_then(|changed| changed.probation.as_mut())
        else {
            return false;
        };
        probation.left = probation.left.saturating_sub(1);
        // While somebody watches, that somebody decides, and the way back stays open.
        probation.left == 0 && probation.trial.is_none()
    }

    /// A guest of that code with the state before any event.
    pub(super) async fn begin(
        &self,
        path: &Path,
        component: &Component,
    ) -> Result<DurableLife, ExitReason> {
        let cell = self.system.upgrade().and_then(|system| system.lookup(path));
        let seat = Seat {
            limits: self.limits.clone(),
            grants: self.grants.clone(),
            system: self.system.clone(),
            path: path.clone(),
            aid: cell.map_or_else(|| Aid::named(path.as_str()), |cell| cell.aid()),
            kept: Store::default(),
            tools: None,
        };
        let mut life = DurableLife::begin(component, seat, Moment::still()).await?;
        life.on_start(&self.config).await?;
        Ok(life)
    }
}

impl DurablePlan {
    /// The system that its agents are in, while there is one.
    pub(super) fn system(&self) -> Option<swarm_actors::System> {
        self.system.upgrade()
    }
}

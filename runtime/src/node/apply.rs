//! Another manifest for a node that runs: its supervisors take over what can be, and what cannot is stopped and started.

use super::blueprint::Draft;
use super::{Node, NodeState, tree};
use crate::api::types::ManifestAnswer;
use crate::cluster::{Cluster, Forwarded};
use crate::manifest::{Change, Declaration, Manifest, Rejected, Step, changes};
use crate::placement;
use std::sync::Arc;
use std::time::Duration;
use swarm_cluster::placement::{Edition, digest_of};
use swarm_protocols::{Name, Path};
use swarm_supervisors::{CallError, Strategy};

/// How long what was placed may take to go, before it is declared without a place.
const GONE_LIMIT: Duration = Duration::from_secs(70);
/// How long another node may take to hand over its manifest.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// Why a manifest was not applied. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApplyError {
    /// It has mistakes, as this node sees it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// An agent of it cannot run here.
    #[error("{0}")]
    Bad(String),
    /// It starts more agents than this node takes.
    #[error("it starts {agents} agents, and this node has at most {max}")]
    TooMany {
        /// How many.
        agents: u64,
        /// How many the node takes.
        max: u32,
    },
    /// The node is starting or stopping.
    #[error("the node is {0}")]
    NotNow(NodeState),
    /// A later one was applied already.
    #[error("generation {} is not later than {}, which runs", given.generation, runs.generation)]
    NotLater {
        /// What was to be applied.
        given: Edition,
        /// What runs.
        runs: Edition,
    },
}

/// What applying a manifest has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which manifest runs now.
    pub edition: Edition,
    /// What was done.
    pub steps: Vec<Step>,
    /// What did not come up; the rest was done.
    pub problems: Vec<String>,
}

impl Node {
    /// What applying this manifest would do here. Changes nothing.
    ///
    /// # Errors
    /// [`ApplyError::Rejected`].
    pub fn plan(&self, text: &str) -> Result<Vec<Step>, ApplyError> {
        let new = Manifest::parse(text, &self.0.behaviours)?;
        Ok(changes(&self.manifest().root, &new.root))
    }

    /// Which manifest runs.
    #[must_use]
    pub fn edition(&self) -> Edition {
        self.manifest().edition
    }

    /// The text of the manifest that was applied last; none while the node runs the one that it was started with.
    #[must_use]
    pub fn applied_text(&self) -> Option<Arc<str>> {
        self.0.applied.lock().clone()
    }

    /// Makes the running tree what this manifest declares. Its `[node]`, `[cluster]` and tools are not looked at: those are read at the start.
    /// One at a time; goes on when the caller stops waiting.
    ///
    /// # Errors
    /// [`ApplyError`]: nothing was changed. What did not come up afterwards is in [`Applied::problems`].
    pub async fn apply(&self, text: &str, generation: u64) -> Result<Applied, ApplyError> {
        let node = self.clone();
        let text: Arc<str> = text.into();
        let task = self
            .0
            .agents
            .spawn(async move { node.apply_here(text, generation).await });
        task.await
            .unwrap_or_else(|_| Err(ApplyError::Bad("it was cut off".to_owned())))
    }

    /// Takes over the manifest that another node runs.
    pub(crate) async fn fetch_manifest(
        &self,
        cluster: &Cluster,
        from: &Name,
    ) -> Result<(), String> {
        let request = Forwarded::get("/v1/manifest");
        let answered = cluster
            .request(from, request, FETCH_LIMIT)
            .await
            .map_err(|error| error.to_string())?;
        if !answered.is_success() {
            return Err(format!("answered with status {}", answered.status));
        }
        let answer: ManifestAnswer = serde_json::from_slice(&answered.body)
            .map_err(|_| "its answer cannot be read".to_owned())?;
        let Some(text) = answer.text else {
            return Ok(());
        };
        // It may name components that were pushed before this node came.
        for problem in self.catch_up_components().await {
            tracing::warn!(problem, "a component of another member was not fetched");
        }
        let applied = self.apply(&text, answer.generation).await;
        let applied = applied.map_err(|error| error.to_string())?;
        for problem in applied.problems {
            tracing::error!(problem, "after another manifest was applied");
        }
        Ok(())
    }

    async fn apply_here(&self, text: Arc<str>, generation: u64) -> Result<Applied, ApplyError> {
        let _one_at_a_time = self.0.applying.lock().await;
        let state = self.state().0;
        if !matches!(state, NodeState::Running | NodeState::TreeFailed) {
            return Err(ApplyError::NotNow(state));
        }
        let old = self.manifest();
        let edition = Edition {
            generation,
            digest: digest_of(&text),
        };
        if edition == old.edition {
            return Ok(Applied {
                edition,
                steps: Vec::new(),
                problems: Vec::new(),
            });
        }
        if edition < old.edition {
            let runs = old.edition;
            return Err(ApplyError::NotLater {
                given: edition,
                runs,
            });
        }
        let behaviours = &self.0.behaviours;
        let new = old.followed_by(Manifest::parse(&text, behaviours)?, edition);
        if let Some(max) = self.0.agents_max {
            let agents = placement::fixed_agents(&new.root);
            if agents > u64::from(max) {
                return Err(ApplyError::TooMany { agents, max });
            }
        }
        let bad = |error: tree::BadAgent| ApplyError::Bad(error.to_string());
        tree::reserve(&new.root, behaviours).map_err(bad)?;
        if tree::needs_journal(&new.root, behaviours) {
            let opened = self.open_disk().await;
            opened.map_err(ApplyError::Bad)?;
        }
        let draft = Draft::of(&new.root, behaviours, self.system(), self.tools()).map_err(bad)?;
        let steps = changes(&old.root, &new.root);
        tracing::info!(
            generation,
            steps = steps.len(),
            "another manifest is applied"
        );
        let problems = self.change(&old, new, draft, &steps).await;
        self.keep_applied(generation, &text);
        *self.0.applied.lock() = Some(text);
        let detail = format!("generation {generation}, {} changes", steps.len());
        self.system()
            .publish_custom(None, "manifest-applied", &detail);
        Ok(Applied {
            edition,
            steps,
            problems,
        })
    }

    async fn change(
        &self,
        old: &Manifest,
        new: Manifest,
        draft: Draft,
        steps: &[Step],
    ) -> Vec<String> {
        let is_failed = self.state().0 == NodeState::TreeFailed;
        for step in steps.iter().filter(|_| !is_failed) {
            self.stop_before(old, &new, step).await;
        }
        self.0.blueprint.take_over(draft);
        let new = Arc::new(new);
        *self.0.manifest.write() = new.clone();
        if is_failed {
            return match self.start_tree_here().await {
                Ok(()) => Vec::new(),
                Err(error) => vec![error.to_string()],
            };
        }
        self.place_children().await;
        self.wait_for_the_placed(old, steps).await;
        let mut problems = Vec::new();
        self.reconfigure(&new, steps, &mut problems).await;
        for step in steps {
            self.start_after(old, &new, step, &mut problems).await;
        }
        problems
    }

    /// Stops what is no more, or is to be something else.
    async fn stop_before(&self, old: &Manifest, new: &Manifest, step: &Step) {
        let Some((declared, before)) = old.declared_at(&step.path) else {
            return;
        };
        let is_template = matches!(declared, Declaration::Template(_));
        let is_whole = match &step.change {
            Change::Remove => true,
            // It becomes one that is placed.
            Change::Replace(keys) if keys.contains(&"place") => true,
            // Instances keep the recipe that they were started with.
            Change::Replace(_) => step.is_supervisor || is_template,
            Change::Add | Change::Adjust(_) => false,
        };
        if place_of(declared) {
            // Placement stops it when it hears that it is not declared any more.
            return;
        }
        let stay = match new.declared_at(&step.path) {
            Some((_, places)) if !is_whole => places,
            Some(_) | None => Vec::new(),
        };
        for path in before.iter().filter(|path| !stay.contains(path)) {
            self.stop_child_at(path).await;
        }
    }

    /// Waits until what had a place and has none any more is gone.
    async fn wait_for_the_placed(&self, old: &Manifest, steps: &[Step]) {
        let mut gone = Vec::new();
        for step in steps {
            let changes_place = match &step.change {
                Change::Remove => true,
                Change::Replace(keys) => keys.contains(&"place"),
                Change::Add | Change::Adjust(_) => false,
            };
            if let Some((declared, places)) = old.declared_at(&step.path)
                && changes_place
                && place_of(declared)
            {
                gone.extend(places);
            }
        }
        let Some(handle) = self.0.placement.get() else {
            return;
        };
        if gone.is_empty() {
            return;
        }
        let edition = self.edition();
        let is_gone = handle.until(|core| {
            let own = core.standing();
            own.edition == edition && !gone.iter().any(|path| own.holds.contains(path))
        });
        // Later ones are stopped when they come to it.
        drop(tokio::time::timeout(GONE_LIMIT, is_gone).await);
    }

    /// Has every supervisor that something changed for take over its part.
    async fn reconfigure(&self, new: &Manifest, steps: &[Step], problems: &mut Vec<String>) {
        let mut paths: Vec<Path> = Vec::new();
        for step in steps {
            paths.extend(step.path.parent());
            if step.is_supervisor && matches!(step.change, Change::Adjust(_)) {
                paths.push(step.path.clone());
            }
        }
        paths.sort();
        paths.dedup();
        for path in paths {
            if !matches!(
                new.declared_at(&path),
                Some((Declaration::Supervisor(_), _))
            ) {
                continue;
            }
            // One that is placed elsewhere does not run here.
            if let Some(supervisor) = self.system().supervisor(&path).await
                && let Err(error) = supervisor.reconfigure().await
            {
                problems.push(format!("{path}: {error}"));
            }
        }
    }

    async fn start_after(
        &self,
        old: &Manifest,
        new: &Manifest,
        step: &Step,
        problems: &mut Vec<String>,
    ) {
        let Some((declared, after)) = new.declared_at(&step.path) else {
            return;
        };
        let before = old.declared_at(&step.path).map(|(_, places)| places);
        let before = before.unwrap_or_default();
        let is_placed = place_of(declared);
        let replaced = match &step.change {
            Change::Replace(keys) => {
                !keys.contains(&"place") && matches!(declared, Declaration::Agent(_))
            }
            Change::Add | Change::Remove | Change::Adjust(_) => false,
        };
        for path in after {
            let outcome = match (is_placed, replaced && before.contains(&path)) {
                // Wherever it runs, its node does this.
                (true, true) if self.has_placed(&path).await => self.cycle(&path).await,
                (true, _) => Ok(()),
                (false, true) => self.cycle(&path).await,
                (false, false) => self.begin(new, &path).await,
            };
            if let Err(error) = outcome {
                problems.push(format!("{path}: {error}"));
            }
        }
        if let Declaration::Supervisor(supervisor) = declared
            && !is_placed
            && !matches!(step.change, Change::Adjust(_))
        {
            problems.extend(tree::start_instances(self.system(), supervisor).await);
        }
    }

    async fn cycle(&self, path: &Path) -> Result<(), CallError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(());
        };
        let supervisor = self.system().supervisor(&parent).await;
        let supervisor = supervisor.ok_or(CallError::NoProc)?;
        supervisor.cycle_child(name).await.map(drop)
    }

    /// Starts a child that may run already.
    async fn begin(&self, new: &Manifest, path: &Path) -> Result<(), CallError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Ok(());
        };
        let Some(supervisor) = self.system().supervisor(&parent).await else {
            // Below a supervisor that is placed elsewhere.
            return Ok(());
        };
        if let Some((Declaration::Supervisor(declared), _)) = new.declared_at(&parent)
            && declared.flags.strategy == Strategy::SimpleOneForOne
        {
            return match supervisor.start_instance(Some(name), None).await {
                Ok(_) | Err(CallError::AlreadyStarted(_)) => Ok(()),
                Err(error) => Err(error),
            };
        }
        match supervisor.restart_child(name).await {
            Ok(_) | Err(CallError::Running | CallError::Restarting) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn place_of(declared: Declaration<'_>) -> bool {
    match declared {
        Declaration::Supervisor(supervisor) => supervisor.child.place.is_some(),
        Declaration::Agent(agent) => agent.child.place.is_some(),
        Declaration::Template(_) => false,
    }
}

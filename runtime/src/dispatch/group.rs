//! Workers that are the members of a group of agents in this process.

use super::job::{FailureCode, Job, Outcome};
use super::verdict::End;
use super::workers::{NoWorkers, Report, Workers};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::{ActorState, AnyRef, AskError, System};
use swarm_protocols::{AclMessage, Address, ExitReason, Name, Performative};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The language of jobs and answers.
pub(super) const LANGUAGE: &str = "application/json";

/// How soon to look again when no worker was alive: restarts take well below a millisecond, unless there is a delay between
/// them; then the wait grows up to the second value.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// How long a node may have been silent before what is under way on it is handed to somebody else: membership has asked it directly,
/// through others and over its link by then, and a pause of that length is no rare thing.
const DOUBT_GRACE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const DOUBT_LOOK: Duration = Duration::from_millis(200);

/// When so many groups are known, those that nobody gives jobs to now are forgotten.
const GROUPS_KEPT: usize = 256;

/// When the jobs of so many workers are counted, counting begins anew.
const WORKERS_KEPT: usize = 65_536;

/// How long to leave a job alone that no worker took, so that a worker that refuses is not asked without pause.
pub(super) const NOT_TAKEN_PAUSE: Duration = Duration::from_millis(10);

/// Which workers have a job now. Everything in a process that gives jobs to the same agents must share one of these, so
/// that each worker has one job at a time; cheap to clone.
#[derive(Clone, Default)]
pub struct Desk(Arc<DeskState>);

#[derive(Default)]
struct DeskState {
    /// Workers with a job. Locked for single look-ups and changes only.
    busy: Mutex<HashSet<Address>>,
    /// How many jobs each worker has had, so that those that look alike take turns.
    had: Mutex<HashMap<Address, u64>>,
    /// Told when a worker of the group is free again.
    freed: Mutex<HashMap<Name, Arc<Notify>>>,
}

impl Desk {
    /// The workers of `group` in `system`, for attempts that may take `deadline` each. A choice waits for as long as there
    /// are workers alive, and `patience` longer when there are none.
    #[must_use]
    pub fn workers(
        &self,
        system: &System,
        group: &Name,
        deadline: Duration,
        patience: Duration,
    ) -> GroupWorkers {
        let freed = {
            let mut groups = self.0.freed.lock();
            // Anybody may ask for groups that there are not.
            if groups.len() >= GROUPS_KEPT {
                groups.retain(|_, freed| Arc::strong_count(freed) > 1);
            }
            Arc::clone(groups.entry(group.clone()).or_default())
        };
        GroupWorkers {
            desk: self.clone(),
            system: system.clone(),
            group: group.clone(),
            freed,
            deadline,
            patience,
            names_nodes: false,
        }
    }

    /// Sets the worker aside, unless it has a job.
    fn take(&self, worker: &AnyRef) -> bool {
        let is_free = self.0.busy.lock().insert(worker.address());
        if is_free {
            let mut had = self.0.had.lock();
            if had.len() >= WORKERS_KEPT {
                had.clear();
            }
            *had.entry(worker.address()).or_default() += 1;
        }
        is_free
    }

    /// Whom to ask first: the lowest. Of two that are equal in all else the address decides.
    fn load(&self, worker: &AnyRef) -> (bool, u64, u64, Address) {
        let address = worker.address();
        let had = self.0.had.lock().get(&address).copied().unwrap_or(0);
        (worker.is_doubtful(), worker.mailbox_depth(), had, address)
    }
}

/// The members of one group, on all nodes. The least loaded of those that are alive and have no job gets the next one; each has one at a
/// time, so a job's deadline is not spent in a queue behind other jobs. The mailboxes of other nodes are not seen: among workers that
/// look alike, the one that had the fewest jobs from here goes first. Those on a node that does not answer come last of all, and a job
/// that such a node has had for too long is handed over again.
#[derive(Clone)]
pub struct GroupWorkers {
    desk: Desk,
    pub(super) system: System,
    pub(super) group: Name,
    freed: Arc<Notify>,
    pub(super) deadline: Duration,
    patience: Duration,
    names_nodes: bool,
}

/// A worker that is set aside for one job.
pub struct Chosen {
    pub(super) worker: AnyRef,
    desk: Desk,
    freed: Arc<Notify>,
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.desk.0.busy.lock().remove(&self.worker.address());
        self.freed.notify_one();
    }
}

impl GroupWorkers {
    /// Those that are alive and have no job, the least loaded first, and whether anybody is alive at all.
    pub(super) fn free(&self) -> (Vec<AnyRef>, bool) {
        let mut free = self.system.group(&self.group);
        free.retain(AnyRef::is_alive);
        let is_any_alive = !free.is_empty();
        {
            let busy = self.desk.0.busy.lock();
            free.retain(|member| !busy.contains(&member.address()));
        }
        free.retain(takes_messages);
        free.sort_by_cached_key(|member| self.desk.load(member));
        (free, is_any_alive)
    }

    /// Sets a worker aside, unless it has a job.
    pub(super) fn set_aside(&self, worker: &AnyRef) -> Option<Chosen> {
        self.desk.take(worker).then(|| Chosen {
            worker: worker.clone(),
            desk: self.desk.clone(),
            freed: Arc::clone(&self.freed),
        })
    }

    /// The least loaded free worker, and whether any worker is alive at all.
    fn look(&self) -> (Option<Chosen>, bool) {
        let mut free = self.system.group(&self.group);
        free.retain(AnyRef::is_alive);
        let is_any_alive = !free.is_empty();
        {
            let busy = self.desk.0.busy.lock();
            free.retain(|member| !busy.contains(&member.address()));
        }
        let mut free: Vec<_> = free
            .into_iter()
            .map(|member| (self.desk.load(&member), member))
            .collect();
        let mut chosen = None;
        while let Some(least) = (0..free.len()).min_by_key(|at| free[*at].0) {
            let (_, member) = free.swap_remove(least);
            // Another chooser may have been faster.
            if takes_messages(&member) && self.desk.take(&member) {
                chosen = Some(member);
                break;
            }
        }
        let chosen = chosen.map(|worker| Chosen {
            worker,
            desk: self.desk.clone(),
            freed: Arc::clone(&self.freed),
        });
        (chosen, is_any_alive)
    }
}

fn takes_messages(worker: &AnyRef) -> bool {
    match worker.info().state {
        ActorState::Running | ActorState::Asleep | ActorState::Starting => true,
        ActorState::Paused
        | ActorState::Draining
        | ActorState::Restarting
        | ActorState::Stopped
        | ActorState::Ended => false,
    }
}

impl Workers for GroupWorkers {
    type Chosen = Chosen;

    async fn choose(&self, _: &Arc<Job>) -> Result<Chosen, NoWorkers> {
        self.wait_for(|| self.look()).await
    }

    async fn perform(&self, chosen: Chosen, job: Arc<Job>) -> Result<Report, NoWorkers> {
        let worker = &chosen.worker;
        let end = tokio::select! {
            end = self.attempt(worker, &job) => end,
            () = given_up(worker) => End::Died(ExitReason::Unreachable),
        };
        Ok(self.report(worker, end))
    }
}

/// Resolves when the worker's node has not answered for too long. Never for one of this node.
pub(super) async fn given_up(worker: &AnyRef) {
    if !worker.is_remote() {
        return std::future::pending().await;
    }
    let mut doubtful_since: Option<Instant> = None;
    loop {
        tokio::time::sleep(DOUBT_LOOK).await;
        if !worker.is_doubtful() {
            doubtful_since = None;
            continue;
        }
        let since = *doubtful_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= DOUBT_GRACE {
            return;
        }
    }
}

impl GroupWorkers {
    /// Says in its reports which node a worker is on.
    #[must_use]
    pub fn naming_nodes(mut self) -> Self {
        self.names_nodes = true;
        self
    }

    pub(super) fn report(&self, worker: &AnyRef, end: End) -> Report {
        // Where an agent of another node stands may have become known only now.
        let now = worker.is_remote().then(|| {
            let members = self.system.group(&self.group);
            members
                .into_iter()
                .find(|member| member.address() == worker.address())
        });
        let path = now
            .flatten()
            .map_or_else(|| worker.path().clone(), |member| member.path().clone());
        let node = self
            .names_nodes
            .then(|| Arc::from(worker.info().node.as_str()));
        Report {
            node,
            ..Report::of(path.as_str(), end)
        }
    }

    async fn attempt(&self, worker: &AnyRef, job: &Job) -> End {
        let mut request = AclMessage::new(Performative::Request);
        request.language = Some(LANGUAGE.into());
        request.protocol = Some("fipa-request".into());
        request.content = Some(job.content());
        match worker.ask_acl(request, self.deadline).await {
            Ok(answer) => End::Answered(read_answer(&answer)),
            Err(AskError::Crashed(reason)) => End::Died(reason),
            // The worker's end with its node: the job may have been done, as after any death of a worker.
            Err(AskError::Unreachable) => {
                // The group may still name those of a node that was given up a moment ago.
                tokio::time::sleep(NOT_TAKEN_PAUSE).await;
                End::Died(ExitReason::Unreachable)
            }
            Err(AskError::NoReply) => End::Silent,
            Err(AskError::Timeout { .. }) => {
                // It has had only this job from here; what hangs is ended, so that it takes no other job's time.
                worker.kill();
                End::Overdue {
                    deadline: self.deadline,
                }
            }
            Err(AskError::NoProc | AskError::Refused | AskError::Full | AskError::ToSelf) => {
                tokio::time::sleep(NOT_TAKEN_PAUSE).await;
                End::NotTaken
            }
        }
    }

    /// Looks until something is found, and `patience` longer than anybody was alive.
    pub(super) async fn wait_for<T>(
        &self,
        look: impl Fn() -> (Option<T>, bool),
    ) -> Result<T, NoWorkers> {
        let mut last_alive = Instant::now();
        let mut pause = LOOK_AGAIN.0;
        loop {
            let freed = self.freed.notified();
            match look() {
                (Some(found), _) => return Ok(found),
                (None, true) => last_alive = Instant::now(),
                (None, false) if last_alive.elapsed() >= self.patience => {
                    return Err(NoWorkers::NobodyAlive {
                        group: self.group.to_string(),
                        waited: self.patience,
                    });
                }
                (None, false) => {}
            }
            // Freed workers are told; what was restarted, resumed or has joined is looked for.
            tokio::select! {
                () = freed => {}
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LOOK_AGAIN.1),
            }
        }
    }
}

/// What a living worker's answer means.
pub(super) fn read_answer(answer: &AclMessage) -> Outcome {
    let act = answer.performative;
    let text = answer.content.clone().map(String::from_utf8);
    let content = match text {
        None => None,
        Some(Ok(text)) => match RawValue::from_string(text) {
            Ok(content) => Some(content),
            Err(error) => return unreadable(act, &error),
        },
        Some(Err(error)) => return unreadable(act, &error),
    };
    match (act, content) {
        (Performative::Inform, content) => {
            Outcome::Done(content.unwrap_or_else(|| RawValue::NULL.to_owned()))
        }
        (_, Some(content)) => Outcome::Failed {
            code: FailureCode::Failed,
            error: error_in(&content).unwrap_or(content),
        },
        (act, None) => Outcome::failed(
            FailureCode::Failed,
            &format!("the worker answered with {act} and no reason"),
        ),
    }
}

fn unreadable(act: Performative, error: &dyn std::fmt::Display) -> Outcome {
    Outcome::failed(
        FailureCode::Failed,
        &format!("the worker answered with {act} and content that is not JSON: {error}"),
    )
}

/// The `error` of `{"error":…}`.
fn error_in(content: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Fault {
        error: Box<RawValue>,
    }
    // A sequence would be taken for the fields in order.
    let object = Some(content.get()).filter(|text| text.starts_with('{'))?;
    let fault: Fault = serde_json::from_str(object).ok()?;
    Some(fault.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviours::TextWorker;
    use crate::dispatch::{JobId, JobResult, run_one};
    use swarm_actors::{AgentSpec, SystemOptions};
    use swarm_supervisors::{SupervisorFlags, SupervisorSpec};

    fn answer(act: Performative, content: Option<&str>) -> (bool, String) {
        let mut message = AclMessage::new(act);
        message.content = content.map(|content| content.as_bytes().to_vec());
        match read_answer(&message) {
            Outcome::Done(output) => (true, output.get().to_owned()),
            Outcome::Failed { error, .. } => (false, error.get().to_owned()),
        }
    }

    #[test]
    fn an_inform_is_the_output_and_anything_else_the_error() {
        assert_eq!(
            answer(Performative::Inform, Some("{\"a\":1}")),
            (true, "{\"a\":1}".into())
        );
        assert_eq!(answer(Performative::Inform, None), (true, "null".into()));
        assert_eq!(
            answer(Performative::Failure, Some("{\"error\":\"no\"}")),
            (false, "\"no\"".into())
        );
        assert_eq!(
            answer(Performative::Refuse, Some("[1]")),
            (false, "[1]".into())
        );
        assert!(!answer(Performative::Inform, Some("not JSON")).0);
        assert!(!answer(Performative::NotUnderstood, None).0);
    }

    /// Workers under a supervisor that restarts them as often as it takes.
    async fn pool(count: u32) -> System {
        let node = Name::new("n").unwrap();
        let system = System::new(SystemOptions::new(node, 1));
        let workers = AgentSpec::new("w", TextWorker::default)
            .unwrap()
            .groups(vec![group()])
            .replicas(&system, count);
        let flags = SupervisorFlags {
            intensity: 100_000,
            ..SupervisorFlags::default()
        };
        system
            .start_tree(SupervisorSpec::new(flags, workers))
            .await
            .unwrap();
        system
    }

    fn group() -> Name {
        Name::new("workers").unwrap()
    }

    fn job(task: &str, input: &str) -> Job {
        Job {
            id: JobId::text("j"),
            task: task.to_owned(),
            input: RawValue::from_string(input.to_owned()).unwrap(),
        }
    }

    async fn result_of(system: &System, task: &str, input: &str) -> JobResult {
        let deadline = Duration::from_millis(300);
        let workers = Desk::default().workers(system, &group(), deadline, deadline);
        run_one(&workers, job(task, input), 2).await.unwrap()
    }

    #[tokio::test]
    async fn a_living_worker_answers() {
        let system = pool(2).await;
        let result = result_of(&system, "word-count", "\"a b\"").await;
        let Outcome::Done(output) = result.outcome else {
            panic!("{result:?}")
        };
        assert_eq!(output.get(), r#"{"words":2,"lines":1,"bytes":3}"#);
        assert_eq!(result.attempts, 1);
        let failed = result_of(&system, "fail", "0").await;
        assert_eq!(failed.attempts, 1);
        assert!(!failed.outcome.is_ok());
    }

    #[tokio::test]
    async fn panics_and_hangs_are_attempts_and_the_workers_come_back() {
        let system = pool(1).await;
        for task in ["panic", "hang"] {
            let result = result_of(&system, task, "0").await;
            assert_eq!(result.attempts, 2, "{task}");
            let Outcome::Failed { code, .. } = result.outcome else {
                panic!("{task} has an output")
            };
            assert_eq!(code, FailureCode::Poisoned);
        }
        assert!(result_of(&system, "upper", "\"a\"").await.outcome.is_ok());
    }

    #[tokio::test]
    async fn a_job_whose_worker_is_killed_goes_to_its_next_life() {
        let system = pool(1).await;
        let killer = async {
            let worker = system.group(&group()).remove(0);
            // Killed in the middle of its turn, and once more in the next life's.
            for life in 1..=2 {
                while worker.detail().current.is_none() || worker.incarnation().0 != life {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                worker.kill();
            }
        };
        let deadline = Duration::from_secs(20);
        let workers = Desk::default().workers(&system, &group(), deadline, deadline);
        let both =
            async { tokio::join!(run_one(&workers, job("sleep", r#"{"ms":200}"#), 1), killer) };
        let (result, ()) = tokio::time::timeout(deadline, both).await.unwrap();
        let result = result.unwrap();
        assert!(result.outcome.is_ok(), "{result:?}");
        assert_eq!(result.attempts, 3);
    }

    #[tokio::test]
    async fn each_worker_has_one_job_at_a_time() {
        let system = pool(2).await;
        let desk = Desk::default();
        let deadline = Duration::from_secs(5);
        let workers = desk.workers(&system, &group(), deadline, deadline);
        let job = Arc::new(job("upper", "\"a\""));
        let first = workers.choose(&job).await.unwrap();
        let second = workers.choose(&job).await.unwrap();
        assert_ne!(first.worker.path(), second.worker.path());
        let path = first.worker.path().clone();
        let mut third = std::pin::pin!(workers.choose(&job));
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        drop(first);
        assert_eq!(third.await.unwrap().worker.path(), &path);
    }

    #[tokio::test]
    async fn a_group_without_living_members_is_waited_for_and_then_given_up() {
        let system = pool(1).await;
        system.stop_tree(Duration::from_secs(5)).await;
        let patience = Duration::from_millis(50);
        let workers = Desk::default().workers(&system, &group(), patience, patience);
        let ended = run_one(&workers, job("upper", "\"a\""), 1).await;
        assert_eq!(
            ended.unwrap_err(),
            NoWorkers::NobodyAlive {
                group: "workers".to_owned(),
                waited: patience,
            }
        );
    }
}

//! Workers that bid for each job: a contract net decides who has it (fipa.md d.4).

use super::bids::rank;
use super::group::{Chosen, GroupWorkers, LANGUAGE, NOT_TAKEN_PAUSE, given_up, read_answer};
use super::job::{FailureCode, Job, Outcome};
use super::verdict::End;
use super::workers::{NoWorkers, Report, Workers};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::AnyRef;
use swarm_actors::conversation::{Answers, ProtocolRef, RunError};
use swarm_protocols::interaction::{
    About, CONTENT_BYTES_MAX, Decision, End as Ended, Opening, Outcome as Agreed, Part, Question,
    Rules,
};
use swarm_protocols::{Aid, ExitReason};
use tokio::sync::oneshot;

/// How many of the free workers are called for one job: the least loaded. More bids make no better choice among equals.
const BIDDERS_MAX: usize = 16;

/// How long a worker has for its bid. Only workers without a job are called, and a bid takes them microseconds.
const BID_WITHIN: Duration = Duration::from_millis(500);

/// How much longer than an attempt its conversation may be waited for: it ends by itself before.
const GRACE: Duration = Duration::from_secs(5);

/// The members of a group, each of which bids its queue and its fitness for the task. The best bid of those that are alive and
/// have no job gets it.
pub struct BiddingWorkers {
    group: GroupWorkers,
    caller: ProtocolRef,
}

/// A job that was awarded, and is under way.
pub struct Awarded(Award);

enum Award {
    Running {
        chosen: Chosen,
        agreed: BoxFuture<'static, Result<Agreed, RunError>>,
    },
    /// Everybody who was called refused it, for this reason.
    Refused { by: String, reason: Outcome },
}

impl BiddingWorkers {
    /// The workers of `group`, called by `caller`.
    #[must_use]
    pub fn new(group: GroupWorkers, caller: ProtocolRef) -> Self {
        Self { group, caller }
    }

    /// Calls for bids for one job. `None` when nobody has bid for a reason that may pass.
    async fn call(&self, free: &[AnyRef], job: &Arc<Job>) -> Option<Award> {
        let bidders = named(free);
        let mut opening = Opening::new(
            "",
            Aid::named(""),
            bidders.iter().map(|(aid, _)| aid.clone()).collect(),
            Rules::ContractNet,
            About {
                content: json!({ "task": job.task, "bytes": job.input.get().len() })
                    .to_string()
                    .into_bytes(),
                language: Some(LANGUAGE.into()),
                ..About::default()
            },
        );
        let deadline = self.group.deadline;
        opening.reply_within = Some(BID_WITHIN);
        opening.result_within = Some(deadline);
        opening.expires_in = Some(deadline + BID_WITHIN + GRACE);
        let (choose, chosen) = oneshot::channel();
        let answers = self.award_by(bidders.clone(), job.clone(), choose);
        let places = bidders.iter().map(|(_, worker)| worker.clone()).collect();
        let caller = self.caller.clone();
        let mut agreed: BoxFuture<'static, _> = Box::pin(async move {
            let within = deadline + BID_WITHIN + GRACE + GRACE;
            caller.run(opening, places, answers, within).await
        });
        tokio::select! {
            biased;
            Ok(chosen) = chosen => Some(Award::Running { chosen, agreed }),
            ended = &mut agreed => refused(ended.ok()?),
        }
    }

    /// Awards the job to the best bidder that is still free.
    fn award_by(
        &self,
        bidders: Vec<(Aid, AnyRef)>,
        job: Arc<Job>,
        choose: oneshot::Sender<Chosen>,
    ) -> Answers {
        let group = self.group.clone();
        let choose = Mutex::new(Some(choose));
        Arc::new(move |question| {
            let Question::Evaluate(proposals) = question else {
                return None;
            };
            let chosen = rank(proposals).into_iter().find_map(|bidder| {
                let chosen = group.set_aside(&bidders.get(bidder)?.1)?;
                Some((bidder, chosen))
            });
            let mut accept = Vec::new();
            if let Some((bidder, chosen)) = chosen
                && let Some(choose) = choose.lock().take()
                && choose.send(chosen).is_ok()
            {
                accept.push(bidder);
            }
            Some(Decision::Award {
                accept,
                reserve: Vec::new(),
                content: job.content(),
            })
        })
    }
}

/// The workers with their names, each name once: two agents of the same name cannot be told apart in a conversation.
fn named(free: &[AnyRef]) -> Vec<(Aid, AnyRef)> {
    let mut named: Vec<(Aid, AnyRef)> = Vec::new();
    for worker in free.iter().take(BIDDERS_MAX) {
        let aid = worker.aid();
        if named.iter().all(|(other, _)| *other != aid) {
            named.push((aid, worker.clone()));
        }
    }
    named
}

/// When everybody said no, there is no use in calling again.
fn refused(agreed: Agreed) -> Option<Award> {
    let is_no = |part: &Part| matches!(part.end, Ended::Refused | Ended::NotUnderstood);
    if !agreed.parts.iter().all(is_no) {
        return None;
    }
    let part = agreed.parts.into_iter().next()?;
    let reason = match &part.message {
        Some(answer) => read_answer(answer),
        None => Outcome::failed(FailureCode::Failed, "no worker bids for it"),
    };
    Some(Award::Refused {
        by: part.participant.name.into(),
        reason,
    })
}

impl Workers for BiddingWorkers {
    type Chosen = Awarded;

    async fn choose(&self, job: &Arc<Job>) -> Result<Awarded, NoWorkers> {
        if job.bytes() > CONTENT_BYTES_MAX {
            let reason = format!("a contract net takes jobs of up to {CONTENT_BYTES_MAX} bytes");
            return Ok(Awarded(Award::Refused {
                by: String::new(),
                reason: Outcome::failed(FailureCode::BadJob, &reason),
            }));
        }
        loop {
            let free = self
                .group
                .wait_for(|| {
                    let (free, is_any_alive) = self.group.free();
                    ((!free.is_empty()).then_some(free), is_any_alive)
                })
                .await?;
            if let Some(award) = self.call(&free, job).await {
                return Ok(Awarded(award));
            }
            tokio::time::sleep(NOT_TAKEN_PAUSE).await;
        }
    }

    async fn perform(&self, awarded: Awarded, _: Arc<Job>) -> Result<Report, NoWorkers> {
        let (chosen, agreed) = match awarded.0 {
            Award::Running { chosen, agreed } => tokio::select! {
                agreed = agreed => (chosen, agreed),
                () = given_up(&chosen.worker) => {
                    let end = End::Died(ExitReason::Unreachable);
                    return Ok(self.group.report(&chosen.worker, end));
                }
            },
            Award::Refused { by, reason } => return Ok(Report::of(&by, End::Answered(reason))),
        };
        let worker = &chosen.worker;
        let name = worker.aid();
        let part = agreed
            .map_err(|error| NoWorkers::Unreachable(error.to_string()))?
            .parts
            .into_iter()
            .find(|part| part.participant == name);
        let end = match part {
            None => End::NotTaken,
            Some(part) => self.end_of(worker, part).await,
        };
        Ok(self.group.report(worker, end))
    }
}

impl BiddingWorkers {
    async fn end_of(&self, worker: &AnyRef, part: Part) -> End {
        match (part.end, part.message) {
            (Ended::Done, Some(answer)) => End::Answered(read_answer(&answer)),
            (Ended::Failed, Some(answer)) if !answer.is_delivery_failure() => {
                End::Answered(read_answer(&answer))
            }
            (Ended::Down, _) if worker.is_remote() => End::Died(ExitReason::Unreachable),
            (Ended::Down, _) => End::Died(worker.detail().last_exit.unwrap_or(ExitReason::Killed)),
            (Ended::TimedOut, _) => {
                // It has had only this job from here; what hangs is ended, so that it takes no other job's time.
                worker.kill();
                End::Overdue {
                    deadline: self.group.deadline,
                }
            }
            _ => {
                tokio::time::sleep(NOT_TAKEN_PAUSE).await;
                End::NotTaken
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Desk, JobId, JobResult, run_one};
    use super::*;
    use crate::behaviours::TextWorker;
    use serde_json::value::RawValue;
    use swarm_actors::conversation::{ConversationBook, ProtocolSpec};
    use swarm_actors::{AgentSpec, System, SystemOptions};
    use swarm_protocols::{Name, Path};
    use swarm_supervisors::{SupervisorFlags, SupervisorSpec};

    struct Pool {
        system: System,
        caller: ProtocolRef,
        book: ConversationBook,
    }

    async fn pool(count: u32) -> Pool {
        let system = System::new(SystemOptions::new(Name::new("n").unwrap(), 1));
        let book = ConversationBook::default();
        let mut children = AgentSpec::new("w", TextWorker::default)
            .unwrap()
            .groups(vec![Name::new("workers").unwrap()])
            .replicas(&system, count);
        children.push(ProtocolSpec::alone("caller", &book).unwrap().child(&system));
        let flags = SupervisorFlags {
            intensity: 100_000,
            ..SupervisorFlags::default()
        };
        system
            .start_tree(SupervisorSpec::new(flags, children))
            .await
            .unwrap();
        let caller = system.lookup(&Path::new("/caller").unwrap()).unwrap();
        Pool {
            caller: ProtocolRef::of(&caller).unwrap(),
            system,
            book,
        }
    }

    impl Pool {
        async fn result_of(&self, task: &str, input: &str) -> JobResult {
            let deadline = Duration::from_millis(300);
            let group = Name::new("workers").unwrap();
            let group = Desk::default().workers(&self.system, &group, deadline, deadline);
            let job = Job {
                id: JobId::text("j"),
                task: task.to_owned(),
                input: RawValue::from_string(input.to_owned()).unwrap(),
            };
            let workers = BiddingWorkers::new(group, self.caller.clone());
            run_one(&workers, job, 2).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_job_is_awarded_by_bids_and_has_its_result() {
        let pool = pool(3).await;
        let result = pool.result_of("word-count", "\"a b\"").await;
        let Outcome::Done(output) = result.outcome else {
            panic!("{result:?}")
        };
        assert_eq!(output.get(), r#"{"words":2,"lines":1,"bytes":3}"#);
        assert_eq!(result.attempts, 1);
        let failed = pool.result_of("fail", "0").await;
        assert_eq!(failed.attempts, 1);
        assert!(!failed.outcome.is_ok());
        let nets = pool.book.list();
        assert_eq!(nets[0].parties.len(), 3, "all three were called");
        assert_eq!(nets[0].outcome, Some(Ended::Done));
    }

    #[tokio::test]
    async fn a_worker_that_failed_at_a_task_is_less_fit_for_it() {
        let pool = pool(2).await;
        let first = pool.result_of("fail", "0").await.worker;
        let second = pool.result_of("fail", "0").await.worker;
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_task_that_nobody_knows_fails_once_and_for_all() {
        let pool = pool(2).await;
        let result = pool.result_of("paint", "0").await;
        let Outcome::Failed { error, .. } = result.outcome else {
            panic!("it has an output")
        };
        assert!(error.get().contains("unknown task"), "{error}");
    }

    #[tokio::test]
    async fn panics_and_hangs_are_attempts_and_the_workers_come_back() {
        let pool = pool(1).await;
        for task in ["panic", "hang"] {
            let result = pool.result_of(task, "0").await;
            assert_eq!(result.attempts, 2, "{task}");
            let Outcome::Failed { code, .. } = result.outcome else {
                panic!("{task} has an output")
            };
            assert_eq!(code, FailureCode::Poisoned);
        }
        assert!(pool.result_of("upper", "\"a\"").await.outcome.is_ok());
    }
}

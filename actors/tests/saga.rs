//! Sagas over durable agents, on a journal in memory and in virtual time.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use swarm_actors::Failure;
use swarm_actors::durable::{
    Decider, Decision, Durability, DurableRef, DurableSpec, Form, Stored, state_at,
};
use swarm_actors::journal::{MemoryJournal, StreamName};
use swarm_actors::saga::{
    Outcome, Progress, Saga, SagaCommand, SagaStatus, Sagas, StepRequest, StepTicket, Trouble, Why,
};
use swarm_actors::testkit::TestSystem;
use swarm_protocols::Path;

const WITHIN: Duration = Duration::from_secs(60);

/// Notes what it is asked, in order.
struct Witness;

#[derive(Serialize, Deserialize)]
enum Asked {
    Do(StepTicket, Manner),
    Told(String),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Manner {
    Does,
    Refuses,
    /// Does it, and says nothing.
    IsSilent,
}

#[derive(Clone, Serialize, Deserialize)]
struct Noted(String);

impl Stored for Noted {
    fn form(&self) -> Form {
        Form {
            type_id: 1,
            version: 1,
        }
    }
}

impl Decider for Witness {
    type State = Vec<String>;
    type Command = Asked;
    type Event = Noted;
    type Answer = ();

    fn decide(
        &self,
        _: &Vec<String>,
        asked: Asked,
        turn: &mut Decision<'_, Self>,
    ) -> Result<(), Failure> {
        match asked {
            Asked::Told(text) => turn.record(Noted(text)),
            Asked::Do(ticket, manner) => {
                let sign = if ticket.is_undo { '-' } else { '+' };
                turn.record(Noted(format!("{sign}{}", ticket.step)));
                match manner {
                    Manner::Does => ticket.done(turn),
                    Manner::Refuses => ticket.refuse(turn, "will not"),
                    Manner::IsSilent => {}
                }
            }
        }
        Ok(())
    }

    fn evolve(&self, noted: &mut Vec<String>, event: &Noted) {
        noted.push(event.0.clone());
    }
}

/// Four steps of one witness, of which one goes otherwise.
struct Scripted;

#[derive(Clone, Serialize, Deserialize)]
struct Script {
    odd: u32,
    manner: Manner,
    undo: Manner,
}

fn witness() -> Path {
    Path::new("/witness").expect("a path")
}

impl Saga for Scripted {
    type Input = Script;

    fn steps(&self, _: &Script) -> u32 {
        4
    }

    fn perform(&self, script: &Script, step: u32, request: &mut StepRequest) {
        // The third step needs nobody.
        if step == 2 {
            return;
        }
        let manner = if step == script.odd {
            script.manner
        } else {
            Manner::Does
        };
        request.ask::<Witness>(&witness(), &Asked::Do(request.ticket(), manner));
    }

    fn compensate(&self, script: &Script, step: u32, request: &mut StepRequest) {
        if step == 2 {
            return;
        }
        request.ask::<Witness>(&witness(), &Asked::Do(request.ticket(), script.undo));
    }

    fn deadline(&self, _: &Script, _: u32) -> Option<Duration> {
        Some(Duration::from_secs(5))
    }

    fn ended(&self, _: &Script, outcome: &Outcome, request: &mut StepRequest) {
        let text = match outcome {
            Outcome::Completed => "completed",
            Outcome::Undone(_) => "undone",
            Outcome::NotUndone { .. } => "not undone",
        };
        request.ask::<Witness>(&witness(), &Asked::Told(text.to_owned()));
    }
}

struct Stage {
    system: TestSystem,
    journal: Arc<MemoryJournal>,
    sagas: DurableRef<Sagas<Scripted>>,
    witness: DurableRef<Witness>,
}

impl Stage {
    async fn new() -> Self {
        let system = TestSystem::start().await;
        let journal = Arc::new(MemoryJournal::new());
        let durability = Durability::new(journal.clone());
        let spec = DurableSpec::new("witness", Witness, &durability).expect("a name");
        let witness = system.spawn_durable(spec).await.expect("started");
        let spec = DurableSpec::new("sagas", Sagas(Scripted), &durability).expect("a name");
        let sagas = system.spawn_durable(spec).await.expect("started");
        Self {
            system,
            journal,
            sagas,
            witness,
        }
    }

    fn kill(&self, path: &Path) {
        self.system.lookup(path).expect("it is there").kill();
    }

    async fn ask(&self, command: SagaCommand<Script>) -> SagaStatus {
        let mut last = None;
        // A life that is killed while it is asked leaves the ask without an answer.
        for _ in 0..100 {
            match self.sagas.ask(command.clone(), WITHIN).await {
                Ok(answer) => return answer.expect("it is taken"),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("no answer: {last:?}")
    }

    async fn begin(&self, id: &str, odd: u32, manner: Manner, undo: Manner) -> SagaStatus {
        let (id, input) = (id.to_owned(), Script { odd, manner, undo });
        self.ask(SagaCommand::Begin { id, input }).await
    }

    async fn outcome(&self, id: &str) -> Outcome {
        let mut last = None;
        for _ in 0..1000 {
            let id = id.to_owned();
            match self.ask(SagaCommand::Tell { id }).await {
                SagaStatus::Ended(outcome) => return outcome,
                other => last = Some(other),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end: {last:?}")
    }

    /// What the witness noted, once it has been told of the end.
    async fn noted(&self, count: usize) -> Vec<String> {
        let stream = StreamName::new("/witness").expect("a name");
        for _ in 0..1000 {
            let state = state_at(&Witness, &*self.journal, &stream, None).expect("readable");
            if state.state.len() >= count {
                return state.state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it was not told")
    }
}

const ODD_NEVER: u32 = 9;

#[tokio::test(start_paused = true)]
async fn a_saga_performs_its_steps_in_order_and_completes() {
    let stage = Stage::new().await;
    stage
        .begin("a", ODD_NEVER, Manner::Does, Manner::Does)
        .await;
    assert_eq!(stage.outcome("a").await, Outcome::Completed);
    assert_eq!(stage.noted(4).await, ["+0", "+1", "+3", "completed"]);
    // The same id is the same saga.
    let again = stage.begin("a", 0, Manner::Refuses, Manner::Does).await;
    assert_eq!(again, SagaStatus::Ended(Outcome::Completed));
    let unknown = stage.ask(SagaCommand::Tell { id: "b".into() }).await;
    assert_eq!(unknown, SagaStatus::Unknown);
}

#[tokio::test(start_paused = true)]
async fn what_was_done_before_a_refusal_is_undone_in_reverse_order() {
    let stage = Stage::new().await;
    stage.begin("a", 3, Manner::Refuses, Manner::Does).await;
    let why = Why::Refused("will not".to_owned());
    let undone = Outcome::Undone(Trouble { step: 3, why });
    assert_eq!(stage.outcome("a").await, undone);
    assert_eq!(
        stage.noted(6).await,
        ["+0", "+1", "+3", "-1", "-0", "undone"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_overdue_is_undone_as_well() {
    let stage = Stage::new().await;
    let begun = stage.begin("a", 1, Manner::IsSilent, Manner::Does).await;
    assert_eq!(begun, SagaStatus::Open(Progress::Performing(0)));
    let undone = Outcome::Undone(Trouble {
        step: 1,
        why: Why::Overdue,
    });
    assert_eq!(stage.outcome("a").await, undone);
    assert_eq!(stage.noted(5).await, ["+0", "+1", "-1", "-0", "undone"]);
}

#[tokio::test(start_paused = true)]
async fn a_compensation_that_is_refused_is_told_and_the_others_are_done() {
    let stage = Stage::new().await;
    stage.begin("a", 3, Manner::Refuses, Manner::Refuses).await;
    let Outcome::NotUndone { steps, .. } = stage.outcome("a").await else {
        panic!("nothing was undone")
    };
    assert_eq!(steps, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_somebody_else_counts_for_nothing() {
    let stage = Stage::new().await;
    stage.begin("a", 0, Manner::IsSilent, Manner::Does).await;
    let answered = SagaCommand::Answered(swarm_actors::saga::StepAnswer {
        ticket: StepTicket {
            saga: "a".to_owned(),
            step: 0,
            is_undo: false,
        },
        refused: None,
    });
    let status = stage.ask(answered).await;
    assert_eq!(status, SagaStatus::Open(Progress::Performing(0)));
}

#[tokio::test(start_paused = true)]
async fn every_saga_ends_though_both_sides_are_killed_again_and_again() {
    let stage = Stage::new().await;
    let mut random = fastrand::Rng::with_seed(11);
    let mut expected = 0;
    for n in 0..60_u32 {
        let manner = random.choice([Manner::Does, Manner::Refuses, Manner::IsSilent]);
        let odd = random.u32(0..4);
        // What a kill has left without an answer is asked again: it is the same saga.
        stage
            .begin(&n.to_string(), odd, manner.expect("one"), Manner::Does)
            .await;
        expected += 1;
        if random.bool() {
            stage.kill(stage.sagas.path());
        }
        if random.bool() {
            stage.kill(stage.witness.path());
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..400))).await;
    }
    for n in 0..expected {
        let outcome = stage.outcome(&n.to_string()).await;
        assert!(
            !matches!(outcome, Outcome::NotUndone { .. }),
            "saga {n}: {outcome:?}"
        );
    }
    drop(stage.system);
}

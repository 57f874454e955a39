//! New code for agents that run: by each strategy, watched, and taken back when it does badly.

#![allow(clippy::unwrap_used, reason = "test code")]

mod kit;

use kit::{Guests, host, tally, tally_next};
use std::path::PathBuf;
use std::time::Duration;
use swarm_actors::AnyRef;
use swarm_protocols::{AclMessage, Path, Performative};
use swarm_wasm::deployment::{
    Deployments, NotBegun, Outcome, Phase, Place, Report, Rules, Strategy, Target,
};
use swarm_wasm::{Class, Component, Grants, Limits, Plan};

fn load(file: PathBuf) -> Component {
    let (grants, limits) = (Grants::all(), Limits::default());
    host()
        .load_file(&file, Class::Default, &grants, &limits)
        .unwrap()
}

/// Agents that add up, with the first version of their code.
struct Tallies {
    guests: Guests,
    deployments: Deployments,
}

impl Tallies {
    async fn start(count: usize, config: &str) -> Self {
        let config = config.to_owned();
        let plan = Plan::new(load(tally()), config, Grants::all(), Limits::default());
        Self {
            guests: Guests::many(plan, count).await,
            deployments: Deployments::default(),
        }
    }

    fn agent(&self, at: usize) -> AnyRef {
        let path = Path::new(&format!("/guest-{at}")).unwrap();
        self.guests.system.lookup(&path).unwrap()
    }

    async fn ask(&self, at: usize, order: &str) -> String {
        let answer = self
            .agent(at)
            .ask_acl(request(order), Duration::from_secs(60))
            .await
            .unwrap();
        answer.text().unwrap().to_owned()
    }

    /// The version of an agent's code.
    async fn version(&self, at: usize) -> u64 {
        let answer = self.ask(at, "\"version\"").await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["version"].as_u64().unwrap()
    }

    fn begin(&self, count: usize, rules: Rules) -> Result<Report, NotBegun> {
        let next = load(tally_next());
        let digest = next.inspection().digest;
        let target = |at| Target {
            agent: self.agent(at),
            component: next.clone(),
        };
        let targets = (1..=count).map(target).collect();
        self.deployments.begin(digest, targets, rules)
    }

    fn report(&self, id: u64) -> Report {
        self.deployments.get(id).unwrap()
    }

    /// Sends an order to each of the first agents until the deployment is as wanted.
    async fn until(
        &self,
        id: u64,
        count: usize,
        order: &str,
        is_so: impl Fn(&Report) -> bool,
    ) -> Report {
        for _ in 0..20_000 {
            let report = self.report(id);
            if is_so(&report) {
                return report;
            }
            for at in 1..=count {
                // A crash of it is what some orders are for.
                let _ = self
                    .agent(at)
                    .ask_acl(request(order), Duration::from_secs(60))
                    .await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it did not come to that: {:?}", self.report(id));
    }

    async fn over(&self, id: u64, count: usize, order: &str) -> Outcome {
        let report = self.until(id, count, order, is_over).await;
        match report.phase {
            Phase::Over(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

fn is_over(report: &Report) -> bool {
    matches!(report.phase, Phase::Over(_))
}

fn request(order: &str) -> AclMessage {
    let mut message = AclMessage::new(Performative::Request);
    message.content = Some(order.as_bytes().to_vec());
    message
}

/// Rules that leave the pace to the turns.
fn rules(strategy: Strategy) -> Rules {
    Rules {
        strategy,
        probation: 2,
        stages: vec![50, 100],
        stage_time: Duration::ZERO,
        stage_turns: 6,
        within: Duration::from_secs(300),
        ..Rules::default()
    }
}

const ADD: &str = r#"{"add":1}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_deployment_keeps_state_and_life_and_stays_over_a_crash() {
    let tallies = Tallies::start(3, "{}").await;
    for at in 1..=3 {
        tallies.ask(at, r#"{"add":5}"#).await;
    }
    let id = tallies.begin(3, rules(Strategy::Direct)).unwrap().id;
    let outcome = tallies.over(id, 3, "\"total\"").await;
    assert_eq!(outcome, Outcome::Deployed(3));
    for at in 1..=3 {
        assert_eq!(tallies.ask(at, "\"total\"").await, r#"{"total":5}"#);
        assert_eq!(tallies.version(at).await, 2);
        assert_eq!(tallies.agent(at).incarnation().0, 1);
    }
    tallies.agent(1).kill();
    tallies
        .guests
        .until(|| tallies.agent(1).incarnation().0 == 2)
        .await;
    assert_eq!(tallies.version(1).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_first_turns_fail_goes_back_with_its_state_and_the_turn_is_done() {
    let tallies = Tallies::start(2, "{}").await;
    tallies.ask(1, r#"{"add":7}"#).await;
    let id = tallies.begin(2, rules(Strategy::Direct)).unwrap().id;
    let is_new = |report: &Report| report.agents.iter().all(|(_, place)| *place == Place::New);
    tallies.until(id, 0, ADD, is_new).await;
    // The new code crashes at this, the old one does not.
    assert_eq!(tallies.ask(1, "\"legacy\"").await, r#"{"total":7}"#);
    assert_eq!(tallies.version(1).await, 1);
    for _ in 0..2 {
        tallies.ask(2, ADD).await;
    }
    assert_eq!(tallies.over(id, 0, ADD).await, Outcome::Deployed(1));
    let places = tallies.report(id).agents;
    assert_eq!((&places[0].1, &places[1].1), (&Place::Back, &Place::Kept));
    assert_eq!(tallies.agent(1).incarnation().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_does_not_start_or_does_not_take_the_state_changes_nothing() {
    for (config, order, why) in [
        (r#"{"old-only":true}"#, ADD, "does not start"),
        ("{}", r#"{"add":666}"#, "does not take the state"),
    ] {
        for strategy in Strategy::ALL {
            let tallies = Tallies::start(2, config).await;
            tallies.ask(1, order).await;
            let rules = Rules {
                within: Duration::from_secs(1),
                ..rules(strategy)
            };
            let id = tallies.begin(2, rules).unwrap().id;
            tallies.over(id, 0, ADD).await;
            let report = tallies.report(id);
            let Place::Failed(said) = &report.agents[0].1 else {
                panic!("{strategy:?}: {report:?}");
            };
            assert!(said.contains(why), "{said}");
            assert_eq!(tallies.version(1).await, 1, "{strategy:?}");
            assert_eq!(tallies.agent(1).incarnation().0, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_to_some_first_and_then_to_all() {
    let tallies = Tallies::start(4, "{}").await;
    let id = tallies.begin(4, rules(Strategy::Canary)).unwrap().id;
    let half = |report: &Report| {
        let new = report
            .agents
            .iter()
            .filter(|(_, place)| *place == Place::New);
        new.count() == 2
    };
    tallies.until(id, 0, ADD, half).await;
    assert_eq!(tallies.version(4).await, 1);
    assert_eq!(tallies.over(id, 4, ADD).await, Outcome::Deployed(4));
    assert_eq!(tallies.version(4).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_crashes_is_taken_back_and_its_supervisor_lives() {
    let tallies = Tallies::start(4, "{}").await;
    let calm = Rules {
        probation: 0,
        stage_time: Duration::from_secs(3600),
        within: Duration::from_secs(36_000),
        ..rules(Strategy::Canary)
    };
    let id = tallies.begin(4, calm).unwrap().id;
    let outcome = tallies.over(id, 4, "\"legacy\"").await;
    let Outcome::TakenBack(why) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(why.contains("failed") || why.contains("restarts"), "{why}");
    for at in 1..=4 {
        assert_eq!(tallies.version(at).await, 1);
        assert_eq!(tallies.ask(at, "\"legacy\"").await.len(), 11);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_slow_is_taken_back_with_what_it_has_added_meanwhile() {
    let tallies = Tallies::start(2, "{}").await;
    let rules = Rules {
        stage_time: Duration::from_secs(3600),
        within: Duration::from_secs(36_000),
        turn_time_max: Some(Duration::from_millis(1)),
        ..rules(Strategy::Canary)
    };
    let id = tallies.begin(2, rules).unwrap().id;
    let new = |report: &Report| report.agents[0].1 == Place::New;
    tallies.until(id, 0, ADD, new).await;
    let mut added = 0;
    let outcome = loop {
        if let Phase::Over(outcome) = tallies.report(id).phase {
            break outcome;
        }
        tallies.ask(1, ADD).await;
        added += 1;
        tallies.ask(1, "\"report\"").await;
    };
    assert!(matches!(outcome, Outcome::TakenBack(why) if why.contains("95 of 100")));
    assert_eq!(tallies.version(1).await, 1);
    let total = format!(r#"{{"total":{added}}}"#);
    assert_eq!(tallies.ask(1, "\"total\"").await, total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_agent_waits_for_its_new_code_and_an_abort_reaches_it_too() {
    let tallies = Tallies::start(1, "{}").await;
    let agent = tallies.agent(1);
    agent.pause();
    let id = tallies.begin(1, rules(Strategy::Canary)).unwrap().id;
    tallies.guests.until(|| agent.mailbox_depth() == 1).await;
    let deployments = tallies.deployments.clone();
    let aborting = tokio::spawn(async move { deployments.abort(id).await });
    let taking_back = |report: &Report| matches!(report.phase, Phase::TakingBack(_));
    tallies.until(id, 0, ADD, taking_back).await;
    agent.resume();
    let report = aborting.await.unwrap().unwrap();
    assert_eq!(report.agents[0].1, Place::Back);
    assert_eq!(tallies.version(1).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_compared_and_has_no_effect() {
    let tallies = Tallies::start(1, "{}").await;
    tallies.ask(1, r#"{"add":3}"#).await;
    let rules = Rules {
        stage_turns: 20,
        ..rules(Strategy::Shadow)
    };
    let id = tallies.begin(1, rules).unwrap().id;
    let followed = |report: &Report| report.agents[0].1 == Place::Followed;
    tallies.until(id, 0, ADD, followed).await;
    for _ in 0..18 {
        assert!(!tallies.ask(1, ADD).await.is_empty());
    }
    // Here they differ, and here the new one crashes.
    assert_eq!(tallies.version(1).await, 1);
    assert_eq!(tallies.ask(1, "\"legacy\"").await, r#"{"total":21}"#);
    assert_eq!(tallies.over(id, 0, ADD).await, Outcome::Watched);
    let seen = tallies.report(id).seen;
    assert_eq!((seen.turns, seen.failed), (20, 1));
    assert_eq!((seen.same, seen.different), (18, 2));
    let told = seen.differences.join("; ");
    assert!(
        told.contains(r#"version\":1"#) && told.contains("it failed"),
        "{told}"
    );
    assert_eq!(tallies.version(1).await, 1);
    assert_eq!(tallies.agent(1).incarnation().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn blue_green_is_warmed_and_then_takes_over_everywhere() {
    let tallies = Tallies::start(3, "{}").await;
    let id = tallies.begin(3, rules(Strategy::BlueGreen)).unwrap().id;
    let watched = |report: &Report| {
        let mut places = report.agents.iter();
        places.all(|(_, place)| *place == Place::Followed)
    };
    tallies.until(id, 0, ADD, watched).await;
    assert_eq!(tallies.version(1).await, 1);
    assert_eq!(tallies.over(id, 3, ADD).await, Outcome::Deployed(3));
    for at in 1..=3 {
        assert_eq!(tallies.version(at).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_takes_everybody_back_and_is_on_record() {
    let tallies = Tallies::start(2, "{}").await;
    tallies.ask(1, r#"{"add":9}"#).await;
    let calm = Rules {
        stage_time: Duration::from_secs(3600),
        within: Duration::from_secs(36_000),
        stages: vec![100],
        ..rules(Strategy::Canary)
    };
    let id = tallies.begin(2, calm.clone()).unwrap().id;
    let is_new = |report: &Report| report.agents.iter().all(|(_, place)| *place == Place::New);
    tallies.until(id, 0, ADD, is_new).await;
    assert_eq!(tallies.version(1).await, 2);
    let busy = tallies.begin(1, calm.clone());
    assert!(matches!(busy, Err(NotBegun::Busy { .. })), "{busy:?}");
    let report = tallies.deployments.abort(id).await.unwrap();
    let aborted = Outcome::TakenBack("it was aborted".to_owned());
    assert_eq!(report.phase, Phase::Over(aborted));
    assert_eq!(tallies.version(1).await, 1);
    assert_eq!(tallies.ask(1, "\"total\"").await, r#"{"total":9}"#);
    assert!(tallies.deployments.abort(77).await.is_none());
    // There is nothing in the way of the next one.
    tallies.begin(1, calm).unwrap();
    assert_eq!(tallies.deployments.list().len(), 2);
}

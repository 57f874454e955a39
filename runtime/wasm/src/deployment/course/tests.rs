//! Deployments on paper.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rules(strategy: Strategy) -> Rules {
    Rules {
        strategy,
        probation: 3,
        stages: vec![10, 50, 100],
        stage_time: 10 * SECOND,
        stage_turns: 20,
        turn_time_max: Some(Duration::from_millis(10)),
        within: 1000 * SECOND,
        ..Rules::default()
    }
}

/// A deployment whose agents do what they are told.
struct Play {
    course: Course,
    now: Duration,
    told: Vec<Action>,
}

impl Play {
    fn begin(strategy: Strategy, agents: usize) -> Self {
        let (course, told) = Course::begin(rules(strategy), agents, Duration::ZERO);
        let now = Duration::ZERO;
        Self { course, now, told }
    }

    /// All that was told is done well, and what that leads to, too.
    fn obey(&mut self) -> Vec<Action> {
        let mut all = Vec::new();
        while !self.told.is_empty() {
            for action in std::mem::take(&mut self.told) {
                all.push(action.clone());
                let (Action::Change(agent) | Action::Follow(agent) | Action::Back(agent)) = action
                else {
                    continue;
                };
                let more = self.course.handle(Event::Done(agent, Ok(())), self.now);
                self.told.extend(more);
            }
        }
        all
    }

    /// So much later each agent with new code has had so many turns, of which so many failed.
    fn later(&mut self, seconds: u32, turns: u64, failed: u64) {
        let seen = Observed::of_turns(turns, failed, Duration::from_micros(100));
        self.later_seen(seconds, &seen);
    }

    fn later_seen(&mut self, seconds: u32, seen: &Observed) {
        self.now += seconds * SECOND;
        let has_new = |place: &Place| matches!(place, Place::New | Place::Followed);
        let places = self.course.places.iter();
        let seen = places.map(|place| match has_new(place) {
            true => seen.clone(),
            false => Observed::default(),
        });
        let seen = seen.collect();
        self.told
            .extend(self.course.handle(Event::Seen(seen), self.now));
    }

    fn count(&self, wanted: &Place) -> usize {
        let places = self.course.places.iter();
        places.filter(|place| *place == wanted).count()
    }
}

#[test]
fn a_canary_goes_from_stage_to_stage_and_is_kept() {
    let mut play = Play::begin(Strategy::Canary, 20);
    play.obey();
    assert_eq!((play.count(&Place::New), play.count(&Place::Old)), (2, 18));
    // Long enough, but too little seen; then enough, but too early for the next.
    play.later(10, 5, 0);
    assert_eq!(play.told, []);
    play.later(1, 10, 0);
    play.obey();
    assert_eq!(play.count(&Place::New), 10);
    play.later(1, 1000, 0);
    assert_eq!(play.told, []);
    play.later(9, 1000, 0);
    play.obey();
    assert_eq!(
        (play.count(&Place::New), &play.course.phase),
        (20, &Phase::Stage(100))
    );
    play.later(10, 2000, 0);
    assert_eq!(play.obey().len(), 20);
    assert_eq!(play.course.phase, Phase::Over(Outcome::Deployed(20)));
    assert_eq!(play.count(&Place::Kept), 20);
}

#[test]
fn a_canary_that_does_badly_is_taken_back_and_nobody_else_gets_it() {
    let slow = Observed::of_turns(50, 0, Duration::from_millis(40));
    let restarted = Observed {
        restarts: 1,
        ..Observed::of_turns(50, 0, Duration::ZERO)
    };
    let failing = Observed::of_turns(50, 3, Duration::ZERO);
    for (seen, why) in [
        (slow, "95 of 100"),
        (restarted, "1 restarts"),
        (failing, "turns failed"),
    ] {
        let mut play = Play::begin(Strategy::Canary, 20);
        play.obey();
        play.later_seen(1, &seen);
        assert_eq!(play.obey(), [Action::Back(0), Action::Back(1)]);
        let Phase::Over(Outcome::TakenBack(said)) = &play.course.phase else {
            panic!("{why}: {:?}", play.course.phase);
        };
        assert!(said.contains(why), "{said}");
        assert_eq!((play.count(&Place::Back), play.count(&Place::Old)), (2, 18));
    }
    // At the bound is not beyond it.
    let mut play = Play::begin(Strategy::Canary, 20);
    play.obey();
    play.later(1, 100, 5);
    assert_eq!(play.told, []);
}

#[test]
fn an_agent_that_does_not_take_it_ends_a_canary_but_not_a_direct_deployment() {
    for (strategy, expected) in [
        (Strategy::Canary, vec![Action::Back(0)]),
        (Strategy::Direct, vec![]),
    ] {
        let (mut course, _) = Course::begin(rules(strategy), 11, Duration::ZERO);
        let told = course.handle(Event::Done(0, Ok(())), SECOND);
        assert_eq!(told, []);
        let mut told = course.handle(Event::Done(1, Err("no".to_owned())), SECOND);
        for agent in 2..11 {
            if course.places[agent] == Place::Changing {
                told.extend(course.handle(Event::Done(agent, Ok(())), SECOND));
            }
        }
        assert_eq!(told, expected, "{strategy:?}");
    }
}

#[test]
fn a_direct_deployment_waits_for_the_probation_of_each_and_tells_who_went_back() {
    let mut play = Play::begin(Strategy::Direct, 3);
    assert_eq!(play.obey().len(), 3);
    play.later(1, 2, 0);
    assert_eq!(play.told, []);
    let back = Observed {
        rolled_back: 1,
        ..Observed::of_turns(1, 1, Duration::ZERO)
    };
    let fine = Observed::of_turns(3, 0, Duration::ZERO);
    let seen = vec![fine.clone(), back, fine];
    play.told = play.course.handle(Event::Seen(seen), 2 * SECOND);
    assert_eq!(play.told, [Action::Keep(0), Action::Keep(2)]);
    assert_eq!(play.course.phase, Phase::Over(Outcome::Deployed(2)));
    assert_eq!(play.course.places[1], Place::Back);
}

#[test]
fn blue_green_warms_beside_the_old_code_and_changes_all_at_once() {
    let mut play = Play::begin(Strategy::BlueGreen, 3);
    play.obey();
    assert_eq!(
        (&play.course.phase, play.count(&Place::Followed)),
        (&Phase::Watching, 3)
    );
    play.later(10, 10, 0);
    let told = play.obey();
    assert_eq!(told.len(), 6);
    assert_eq!(
        (&play.course.phase, play.count(&Place::New)),
        (&Phase::Stage(100), 3)
    );
    // What the shadows saw does not count any more.
    play.later(10, 1, 0);
    assert_eq!(play.told, []);
    play.later(1, 10, 0);
    play.obey();
    assert_eq!(play.course.phase, Phase::Over(Outcome::Deployed(3)));
}

#[test]
fn blue_green_that_fails_while_it_is_warmed_changes_nothing() {
    let mut play = Play::begin(Strategy::BlueGreen, 2);
    play.obey();
    play.later(1, 10, 9);
    assert_eq!(play.obey(), [Action::Leave(0), Action::Leave(1)]);
    assert!(matches!(
        play.course.phase,
        Phase::Over(Outcome::TakenBack(_))
    ));
    assert_eq!(play.count(&Place::Old), 2);
}

#[test]
fn a_shadow_is_watched_whatever_it_does_and_never_takes_over() {
    let mut play = Play::begin(Strategy::Shadow, 2);
    play.obey();
    play.later(9, 100, 100);
    assert_eq!(play.told, []);
    play.later(1, 100, 100);
    assert_eq!(play.obey(), [Action::Leave(0), Action::Leave(1)]);
    assert_eq!(play.course.phase, Phase::Over(Outcome::Watched));
}

#[test]
fn an_abort_takes_back_whoever_has_it_or_is_about_to() {
    let (mut course, told) = Course::begin(rules(Strategy::Direct), 2, Duration::ZERO);
    assert_eq!(told, [Action::Change(0), Action::Change(1)]);
    course.handle(Event::Done(0, Ok(())), SECOND);
    assert_eq!(course.handle(Event::Abort, SECOND), [Action::Back(0)]);
    // It had been told to change, and says so only now.
    course.handle(Event::Done(0, Ok(())), SECOND);
    assert_eq!(
        course.handle(Event::Done(1, Ok(())), SECOND),
        [Action::Back(1)]
    );
    course.handle(Event::Done(1, Ok(())), SECOND);
    let over = Phase::Over(Outcome::TakenBack("it was aborted".to_owned()));
    assert_eq!(course.phase, over);
    assert_eq!(course.handle(Event::Abort, SECOND), []);
}

#[test]
fn a_stage_without_traffic_is_taken_back_when_its_time_is_over() {
    let mut play = Play::begin(Strategy::Canary, 2);
    play.obey();
    play.later(999, 1, 0);
    assert_eq!(play.told, []);
    play.later(1, 1, 0);
    play.obey();
    assert!(matches!(
        play.course.phase,
        Phase::Over(Outcome::TakenBack(_))
    ));
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    let with = |change: &dyn Fn(&mut Rules)| {
        let mut rules = rules(Strategy::Canary);
        change(&mut rules);
        rules.check()
    };
    assert_eq!(with(&|_| {}), Ok(()));
    for stages in [
        vec![],
        vec![0, 100],
        vec![50, 50, 100],
        vec![50],
        vec![100, 50],
    ] {
        let refused = with(&|rules| rules.stages.clone_from(&stages));
        assert_eq!(refused, Err(super::super::BadRules::Stages), "{stages:?}");
    }
    assert!(with(&|rules| rules.errors_per_mille_max = 1001).is_err());
    assert!(with(&|rules| rules.within = 29 * SECOND).is_err());
}

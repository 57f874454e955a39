//! The course of a deployment: what is to be done next, as a function of what has happened and of the time. No clock, no agents.

use super::rules::{Rules, Strategy};
use crate::trial::Observed;
use std::time::Duration;

/// Where one agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It runs the code that it had.
    Old,
    /// It was told to change.
    Changing,
    /// It runs the new code, and may be taken back.
    New,
    /// It was told that a shadow follows it.
    Joining,
    /// A shadow follows it.
    Followed,
    /// It was told to go back.
    Returning,
    /// It runs the new code for good.
    Kept,
    /// It runs the old code again.
    Back,
    /// It did not change, or did not go back; why.
    Failed(String),
}

/// What happens to a deployment. Agents are named by their place in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An agent has done what it was told, or says why not.
    Done(usize, Result<(), String>),
    /// What was seen so far of each agent's new code.
    Seen(Vec<Observed>),
    /// Somebody wants it to be given up.
    Abort,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Tell an agent to change to the new code.
    Change(usize),
    /// Have a shadow follow an agent.
    Follow(usize),
    /// End an agent's shadow.
    Leave(usize),
    /// Let an agent keep the new code.
    Keep(usize),
    /// Take an agent back.
    Back(usize),
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new code is in place; how many agents have it.
    Deployed(usize),
    /// A shadow was watched to its end. Nothing was changed.
    Watched,
    /// The old code is in place; why.
    TakenBack(String),
}

/// What a deployment is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New code runs beside the old.
    Watching,
    /// So many percent of the agents have the new code, or are told to.
    Stage(u8),
    /// The agents go back; why.
    TakingBack(String),
    /// It is over.
    Over(Outcome),
}

/// A deployment.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    rules: Rules,
    pub(crate) places: Vec<Place>,
    pub(crate) phase: Phase,
    /// When the stage began, and what had been seen by then.
    stage_began: Duration,
    turns_before: u64,
    seen: Vec<Observed>,
}

impl Course {
    /// Of so many agents, one at least, and what is to be done first.
    pub(crate) fn begin(rules: Rules, agents: usize, now: Duration) -> (Self, Vec<Action>) {
        let mut course = Self {
            rules,
            places: vec![Place::Old; agents],
            phase: Phase::Watching,
            stage_began: now,
            turns_before: 0,
            seen: vec![Observed::default(); agents],
        };
        let actions = match course.rules.strategy {
            Strategy::Shadow | Strategy::BlueGreen => course.send_all(Place::Joining),
            Strategy::Direct => course.enter_stage(100, now),
            Strategy::Canary => course.enter_stage(course.rules.stages[0], now),
        };
        (course, actions)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub(crate) fn handle(&mut self, event: Event, now: Duration) -> Vec<Action> {
        if self.is_over() {
            return Vec::new();
        }
        match event {
            Event::Done(agent, done) => self.done(agent, done),
            Event::Seen(seen) => self.see(seen),
            Event::Abort => return self.take_back("it was aborted".to_owned()),
        }
        self.go_on(now)
    }

    /// What was seen of all agents together.
    pub(crate) fn total(&self) -> Observed {
        let none = Observed::default();
        self.seen.iter().fold(none, |sum, one| sum.plus(one))
    }

    fn see(&mut self, seen: Vec<Observed>) {
        self.seen = seen;
        for (place, seen) in self.places.iter_mut().zip(&self.seen) {
            if *place == Place::New && seen.rolled_back > 0 {
                *place = Place::Back;
            }
        }
    }

    fn done(&mut self, agent: usize, done: Result<(), String>) {
        let Some(place) = self.places.get_mut(agent) else {
            return;
        };
        *place = match (&*place, done) {
            (_, Err(why)) => Place::Failed(why),
            (Place::Changing, Ok(())) => Place::New,
            (Place::Joining, Ok(())) => Place::Followed,
            (Place::Returning, Ok(())) => Place::Back,
            // Told to stay or to be left alone: it is where it is said to be already.
            (place, Ok(())) => place.clone(),
        };
    }

    /// What follows from where everything is.
    fn go_on(&mut self, now: Duration) -> Vec<Action> {
        if self.is_waiting() {
            return Vec::new();
        }
        if let Phase::TakingBack(why) = &self.phase {
            // Who had been told to change when it began has changed meanwhile, and goes back, too.
            return self.take_back(why.clone());
        }
        if let Some(why) = self.is_bad() {
            return self.take_back(why);
        }
        let turns = self.total().turns.saturating_sub(self.turns_before);
        if self.has_seen_enough(turns, now) {
            return self.next(now);
        }
        if now >= self.rules.within {
            return match self.rules.strategy {
                Strategy::Direct | Strategy::Shadow => self.next(now),
                Strategy::BlueGreen | Strategy::Canary => {
                    let wanted = self.rules.stage_turns;
                    let why = format!("its stage saw {turns} turns in time, {wanted} were wanted");
                    self.take_back(why)
                }
            };
        }
        Vec::new()
    }

    /// Whether an agent has not yet said whether it did what it was told.
    fn is_waiting(&self) -> bool {
        let waits =
            |place: &Place| matches!(place, Place::Changing | Place::Joining | Place::Returning);
        self.places.iter().any(waits)
    }

    /// Whether the stage may end.
    fn has_seen_enough(&self, turns: u64, now: Duration) -> bool {
        if self.phase == Phase::Watching && !self.places.contains(&Place::Followed) {
            return true;
        }
        if self.rules.strategy != Strategy::Direct {
            let lasted = now.saturating_sub(self.stage_began);
            return lasted >= self.rules.stage_time && turns >= self.rules.stage_turns;
        }
        // Until each is through its probation.
        let probation = u64::from(self.rules.probation);
        let mut agents = self.places.iter().zip(&self.seen);
        agents.all(|(place, seen)| *place != Place::New || seen.turns >= probation)
    }

    /// Why it is to be taken back, if it is.
    fn is_bad(&self) -> Option<String> {
        if self.rules.strategy == Strategy::Direct {
            return None;
        }
        let is_stage = matches!(self.phase, Phase::Stage(_));
        if self.rules.strategy != Strategy::Shadow {
            let failed = self.places.iter().find_map(|place| match place {
                Place::Failed(why) => Some(why),
                _ => None,
            });
            if let Some(why) = failed {
                return Some(format!("an agent did not take it: {why}"));
            }
        } else if !is_stage {
            // A shadow harms nobody, however it does; what it does is what is to be seen.
            return None;
        }
        let seen = self.total();
        if seen.failed * 1000 > seen.turns.saturating_mul(self.rules.errors_per_mille_max) {
            return Some(format!("{} of {} turns failed", seen.failed, seen.turns));
        }
        let most = self.rules.restarts_max;
        if let Some(bad) = self.seen.iter().find(|seen| seen.restarts > most) {
            return Some(format!(
                "{} restarts of an agent, {most} are allowed",
                bad.restarts
            ));
        }
        if seen.rolled_back > 0 {
            return Some(format!(
                "{} agents went back by themselves",
                seen.rolled_back
            ));
        }
        if let Some(most) = self.rules.turn_time_max {
            let took = seen.turn_time_p95();
            if took > most {
                return Some(format!(
                    "95 of 100 turns take up to {took:?}, {most:?} are allowed"
                ));
            }
        }
        None
    }

    /// The stage is passed.
    fn next(&mut self, now: Duration) -> Vec<Action> {
        match (&self.phase, self.rules.strategy) {
            (Phase::Watching, Strategy::BlueGreen) => {
                let mut actions = self.leave_all();
                actions.extend(self.enter_stage(100, now));
                actions
            }
            (Phase::Watching, _) => {
                let actions = self.leave_all();
                self.phase = Phase::Over(Outcome::Watched);
                actions
            }
            (Phase::Stage(percent), Strategy::Canary) if *percent < 100 => {
                let later = self.rules.stages.iter().find(|stage| *stage > percent);
                let stage = later.copied().unwrap_or(100);
                self.enter_stage(stage, now)
            }
            _ => self.finish(),
        }
    }

    fn finish(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (agent, place) in self.places.iter_mut().enumerate() {
            if *place == Place::New {
                *place = Place::Kept;
                actions.push(Action::Keep(agent));
            }
        }
        self.phase = Phase::Over(match actions.len() {
            0 => Outcome::TakenBack("no agent took it, or stayed with it".to_owned()),
            kept => Outcome::Deployed(kept),
        });
        actions
    }

    fn enter_stage(&mut self, percent: u8, now: Duration) -> Vec<Action> {
        self.phase = Phase::Stage(percent);
        self.stage_began = now;
        self.turns_before = self.total().turns;
        let count = (self.places.len() * usize::from(percent)).div_ceil(100);
        let mut actions = Vec::new();
        for (agent, place) in self.places.iter_mut().enumerate().take(count) {
            if *place == Place::Old {
                *place = Place::Changing;
                actions.push(Action::Change(agent));
            }
        }
        actions
    }

    fn send_all(&mut self, to: Place) -> Vec<Action> {
        self.places.fill(to);
        (0..self.places.len()).map(Action::Follow).collect()
    }

    fn leave_all(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (agent, place) in self.places.iter_mut().enumerate() {
            if *place == Place::Followed {
                *place = Place::Old;
                actions.push(Action::Leave(agent));
            }
        }
        // What the shadows did is not the new code's own record.
        if self.rules.strategy == Strategy::BlueGreen {
            self.seen.fill(Observed::default());
        }
        actions
    }

    fn take_back(&mut self, why: String) -> Vec<Action> {
        if !matches!(self.phase, Phase::TakingBack(_)) {
            self.phase = Phase::TakingBack(why);
        }
        let mut actions = Vec::new();
        for (agent, place) in self.places.iter_mut().enumerate() {
            match place {
                Place::New => {
                    *place = Place::Returning;
                    actions.push(Action::Back(agent));
                }
                Place::Followed => {
                    *place = Place::Old;
                    actions.push(Action::Leave(agent));
                }
                _ => {}
            }
        }
        if !self.is_waiting() {
            let Phase::TakingBack(why) = &self.phase else {
                return actions;
            };
            self.phase = Phase::Over(Outcome::TakenBack(why.clone()));
        }
        actions
    }
}

#[cfg(test)]
mod tests;

//! Calls: what can be asked of a supervisor at run time.

use super::{
    Action, Activity, Answer, Contained, Core, Recipe, Request, Row, SlotKey, StartWhy, State,
    StopWhy, Template,
};
use crate::child::StartError;
use crate::spec::{ChildSpec, SpecError, Strategy, SupervisorSpec, check_child};
use crate::supervisor::{Args, CallError, ChildKey, Counts, SpecView};
use std::collections::HashSet;
use swarm_protocols::Name;

impl Core {
    pub(super) fn on_call(&mut self, ticket: u64, request: Request) {
        match request {
            Request::StartChild(spec) => self.on_start_child(ticket, spec),
            Request::StartInstance(name, args) => self.on_start_instance(ticket, name, args),
            Request::Terminate {
                key,
                stranger_alive,
            } => self.on_terminate(ticket, &key, stranger_alive),
            Request::Restart(key) => match self.stopped(&key) {
                Ok(slot) => self.start(slot, StartWhy::Resumed { ticket }),
                Err(error) => self.answer(ticket, Err(error)),
            },
            Request::Delete(key) => {
                let answer = self.stopped(&key).map(|slot| {
                    self.remove(slot);
                    Answer::Done
                });
                self.answer(ticket, answer);
            }
            Request::Cycle(key) => match self.find(&key) {
                Ok(slot) if self.slots.at(slot).is_temporary() => {
                    self.answer(ticket, Err(CallError::Temporary));
                }
                Ok(slot) => self.stop_one(slot, StopWhy::Cycle { ticket }),
                Err(error) => self.answer(ticket, Err(error)),
            },
            Request::WhichChildren => {
                let simple = self.is_simple();
                let rows = self
                    .slots
                    .in_order()
                    .rev()
                    .map(|(key, slot)| row(key, slot, simple))
                    .collect();
                self.answer(ticket, Ok(Answer::Children(rows)));
            }
            Request::WhichChild(key) => {
                let simple = self.is_simple();
                let answer = self
                    .find(&key)
                    .map(|slot| Answer::Child(row(slot, self.slots.at(slot), simple)));
                self.answer(ticket, answer);
            }
            Request::CountChildren => {
                let counts = self.counts();
                self.answer(ticket, Ok(Answer::Counts(counts)));
            }
            Request::Spec(key) => {
                let answer = self.spec(&key).map(Answer::Spec);
                self.answer(ticket, answer);
            }
            Request::Reconfigure => {
                self.activity = Activity::Reconfiguring { ticket };
                self.act(Action::Init);
            }
        }
    }

    fn on_start_child(&mut self, ticket: u64, spec: Contained<Box<ChildSpec>>) {
        if self.is_simple() {
            self.answer(ticket, Err(CallError::SimpleOneForOne));
            return;
        }
        if let Err(error) = check_child(&spec, self.flags.auto_shutdown) {
            self.answer(ticket, Err(error.into()));
            return;
        }
        if let Err(error) = self.name_is_free(&spec.id).and_then(|()| self.has_room()) {
            self.answer(ticket, Err(error));
            return;
        }
        let name = spec.id.clone();
        let recipe = Recipe::from(*spec.into_inner());
        let key = self.slots.push(recipe, name, None);
        self.start(key, StartWhy::Added { ticket });
    }

    fn on_start_instance(
        &mut self,
        ticket: u64,
        name: Option<Name>,
        args: Option<Contained<Args>>,
    ) {
        let Some(template) = self.template.clone() else {
            self.answer(ticket, Err(CallError::NotSimpleOneForOne));
            return;
        };
        let name = match name {
            Some(name) => match self.name_is_free(&name) {
                Ok(()) => name,
                Err(error) => {
                    self.answer(ticket, Err(error));
                    return;
                }
            },
            None => self.next_name(&template.id),
        };
        if let Err(error) = self.has_room() {
            self.answer(ticket, Err(error));
            return;
        }
        let key = self.slots.push(template.recipe, name, args);
        self.start(key, StartWhy::Added { ticket });
    }

    fn has_room(&self) -> Result<(), CallError> {
        match self.flags.children_max {
            Some(max) if self.slots.len() >= max as usize => Err(CallError::Full { max }),
            Some(_) | None => Ok(()),
        }
    }

    fn name_is_free(&mut self, name: &Name) -> Result<(), CallError> {
        match self.slots.by_name(name) {
            None => Ok(()),
            Some(key) => Err(match self.slots.at(key).state {
                State::Running => CallError::AlreadyStarted(self.slots.at(key).running_pid()),
                State::Stopped | State::Restarting | State::Delayed => CallError::AlreadyPresent,
            }),
        }
    }

    /// A name for an instance that came without one.
    fn next_name(&mut self, template: &Name) -> Name {
        loop {
            let n = self.next_instance;
            self.next_instance += 1;
            let name = Name::new(&format!("{template}-{n}"))
                // The template's own name leaves no room for a number.
                .or_else(|_| Name::new(&n.to_string()))
                .expect("a decimal number is a name");
            if self.slots.by_name(&name).is_none() {
                return name;
            }
        }
    }

    fn on_terminate(&mut self, ticket: u64, key: &ChildKey, stranger_alive: bool) {
        match self.find(key) {
            Ok(slot) => self.stop_one(slot, StopWhy::Terminate { ticket }),
            // A life that is over, whosever it was, is as terminated as can be (S104).
            Err(CallError::NotFound)
                if self.is_simple() && matches!(key, ChildKey::Pid(_)) && !stranger_alive =>
            {
                self.answer(ticket, Ok(Answer::Done));
            }
            Err(error) => self.answer(ticket, Err(error)),
        }
    }

    fn find(&mut self, key: &ChildKey) -> Result<SlotKey, CallError> {
        let found = match key {
            ChildKey::Name(name) => self.slots.by_name(name),
            ChildKey::Id(_) if self.is_simple() => return Err(CallError::SimpleOneForOne),
            ChildKey::Id(id) => self.slots.by_name(id),
            ChildKey::Pid(pid) if self.is_simple() => self.slots.by_pid(*pid),
            ChildKey::Pid(_) => None,
        };
        found.ok_or(CallError::NotFound)
    }

    /// The child that `restart_child` or `delete_child` means, if it is stopped.
    fn stopped(&mut self, key: &ChildKey) -> Result<SlotKey, CallError> {
        if self.is_simple() {
            return Err(CallError::SimpleOneForOne);
        }
        let slot = self.find(key)?;
        match self.slots.at(slot).state {
            State::Stopped => Ok(slot),
            State::Restarting | State::Delayed => Err(CallError::Restarting),
            State::Running => Err(CallError::Running),
        }
    }

    fn counts(&mut self) -> Counts {
        let mut counts = Counts::default();
        let template = self.template.clone();
        for (_, slot) in self.slots.in_order() {
            counts.specs += 1;
            counts.active += usize::from(slot.is_active());
            if slot.is_supervisor() {
                counts.supervisors += 1;
            } else {
                counts.workers += 1;
            }
        }
        if template.is_some() {
            counts.specs = 1;
        }
        counts
    }

    fn spec(&mut self, key: &ChildKey) -> Result<SpecView, CallError> {
        if let (Some(template), ChildKey::Id(id)) = (&self.template, key) {
            return if template.id == *id {
                Ok(template.recipe.view(id))
            } else {
                Err(CallError::NotFound)
            };
        }
        let slot = self.find(key)?;
        let slot = self.slots.at(slot);
        let id = self.template.as_ref().map_or(&slot.name, |t| &t.id);
        Ok(slot.recipe.view(id))
    }

    /// Takes over a new configuration without touching what runs (otp.md A12).
    pub(super) fn on_init(&mut self, answer: Result<Option<SupervisorSpec>, StartError>) {
        let Activity::Reconfiguring { ticket } =
            std::mem::replace(&mut self.activity, Activity::Idle)
        else {
            unreachable!("init is only answered when it was asked for");
        };
        let done = match answer {
            Ok(None) => Ok(()),
            Ok(Some(spec)) => self.take_over(spec).map_err(CallError::Invalid),
            Err(error) => Err(super::call_error(error)),
        };
        self.answer(ticket, done.map(|()| Answer::Done));
    }

    fn can_become(&self, spec: &SupervisorSpec) -> Result<(), SpecError> {
        spec.check()?;
        if self.is_simple() == (spec.flags.strategy == Strategy::SimpleOneForOne) {
            Ok(())
        } else {
            Err(SpecError::StrategyChange)
        }
    }

    fn take_over(&mut self, spec: SupervisorSpec) -> Result<(), SpecError> {
        if let Err(error) = self.can_become(&spec) {
            spec.children
                .into_iter()
                .for_each(|refused| drop(Contained::new(refused)));
            return Err(error);
        }
        self.flags = spec.flags;
        if self.is_simple() {
            self.template = spec.children.into_iter().next().map(Template::from);
            return Ok(());
        }
        let mut left = self.slots.keys_in_order();
        let mut order = Vec::with_capacity(left.len());
        let mut named: HashSet<SlotKey> = HashSet::with_capacity(spec.children.len());
        for child in spec.children {
            let name = child.id.clone();
            let key = match self.slots.by_name(&name) {
                Some(key) => {
                    self.slots.at_mut(key).recipe = child.into();
                    key
                }
                None => self.slots.push(child.into(), name, None),
            };
            self.slots.at_mut(key).is_static = true;
            named.insert(key);
            order.push(key);
        }
        // Children that are no longer named stay as they are and go last (S151).
        left.retain(|key| !named.contains(key));
        order.extend(left);
        self.slots.reorder(&order);
        Ok(())
    }
}

fn row(key: SlotKey, slot: &super::Slot, simple: bool) -> Row {
    Row {
        slot: key,
        id: (!simple).then(|| slot.name.clone()),
        name: slot.name.clone(),
        state: slot.child_state(),
        child_type: slot.recipe.child_type,
    }
}

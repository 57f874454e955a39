//! The directory facilitator: what agents offer, and who finds it.

use super::entries::{Changed, Entries};
use super::search::{self, Search, SearchKey, Searches};
use super::subscriptions::{Subscription, Subscriptions};
use super::talk;
use crate::acl::{AclMessage, Aid, Performative, Reading, Timestamp};
use crate::sl::management::{
    self, Act, Action, Answer, Description, DfAgentDescription, Reason, SearchConstraints,
};
use std::time::Duration;

/// The type of the service by which one directory is registered in another.
const DF_SERVICE: &str = "fipa-df";

/// What a directory takes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DfLimits {
    /// Entries. Beyond it a registration fails with `internal-error`. Default 100 000.
    pub entries_max: usize,
    /// Subscriptions. Beyond it they are refused. Default 10 000.
    pub subscriptions_max: usize,
    /// Results of one search, whatever it asks for. Default 100, as in JADE.
    pub results_max: usize,
    /// The longest lease; one that asks for more, or for ever, gets this. Default none: for ever.
    pub lease_max: Option<Duration>,
    /// How deep a search may go on in other directories. Default 8.
    pub depth_max: u32,
    /// How many directories one search goes on in from here. Default 64.
    pub children_max: usize,
    /// Searches that wait for other directories. Beyond it a search is answered from here alone. Default 1 024.
    pub searches_max: usize,
    /// How many search-ids are remembered. Default 4 096.
    pub search_ids_max: usize,
    /// How long other directories are waited for, where the search has no earlier `reply-by`. Default 10 s.
    pub patience: Duration,
}

impl Default for DfLimits {
    fn default() -> Self {
        Self {
            entries_max: 100_000,
            subscriptions_max: 10_000,
            results_max: 100,
            lease_max: None,
            depth_max: 8,
            children_max: 64,
            searches_max: 1024,
            search_ids_max: 4096,
            patience: Duration::from_secs(10),
        }
    }
}

/// What is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DfOut {
    /// The answer to the message that came, if it can be given now.
    pub reply: Option<AclMessage>,
    /// The answer comes later, in `finished`, under this key.
    pub pending: Option<SearchKey>,
    /// Answers to earlier messages.
    pub finished: Vec<(SearchKey, AclMessage)>,
    /// Notifications of subscribers, and searches in other directories; their receivers are in them.
    pub sends: Vec<AclMessage>,
}

/// A directory facilitator. Never fails: what it cannot do it says in its answers.
#[derive(Clone, Debug)]
pub struct Df {
    aid: Aid,
    limits: DfLimits,
    entries: Entries,
    subscriptions: Subscriptions,
    searches: Searches,
}

impl Df {
    /// An empty directory that speaks as `aid`.
    #[must_use]
    pub fn new(aid: Aid, limits: DfLimits) -> Self {
        Self {
            aid,
            limits,
            entries: Entries::default(),
            subscriptions: Subscriptions::default(),
            searches: Searches::default(),
        }
    }

    /// All entries that were made here, by name.
    pub fn entries(&self) -> impl Iterator<Item = &DfAgentDescription> {
        self.entries.own().values()
    }

    /// A number that is another one whenever an entry was made, changed or removed here.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.entries.revision()
    }

    /// The directory of the same platform on another node has entered or changed `agent`, or removed it (`None`). It is found by
    /// searches and told to subscribers as if it had been entered here; changed it can be on its own node only. An entry of here
    /// with the same AID hides it.
    pub fn hear(&mut self, node: &str, agent: &Aid, entry: Option<DfAgentDescription>) -> DfOut {
        let mut out = DfOut::default();
        let changed = self.entries.hear(node, agent, entry);
        if changed.before != changed.after {
            self.notify(&changed, &mut out);
        }
        out
    }

    /// Why an agent cannot be changed here.
    fn not_here(&self, agent: &Aid) -> Reason {
        match self.entries.node_of(agent) {
            Some(node) => Reason::InternalError(format!("it is entered on node {node}; ask there")),
            None => Reason::NotRegistered,
        }
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// When [`Df::on_time`] is due next: the end of a lease or of a search's patience.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [self.entries.next_deadline(), self.searches.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Takes a message. `may` says whether its sender may change the entry of that agent.
    pub fn on_message(
        &mut self,
        message: &AclMessage,
        may: impl Fn(&Aid) -> bool,
        now: Timestamp,
    ) -> DfOut {
        let mut out = self.on_time(now);
        match message.performative {
            Performative::Request => self.on_request(message, may, now, &mut out),
            Performative::Subscribe => self.on_subscribe(message, now, &mut out),
            Performative::Cancel => self.on_cancel(message, &mut out),
            Performative::Agree => {}
            Performative::Inform
            | Performative::Refuse
            | Performative::Failure
            | Performative::NotUnderstood => self.on_answer(message, now, &mut out),
            other => {
                let reason = Reason::UnsupportedAct(other.to_string());
                out.reply = talk::reason(&self.aid, message, None, &reason);
            }
        }
        out
    }

    /// Ends what is over: leases, and the patience of searches.
    pub fn on_time(&mut self, now: Timestamp) -> DfOut {
        let mut out = DfOut::default();
        while let Some(agent) = self.entries.over(now) {
            self.remove(&agent, &mut out);
        }
        while let Some(key) = self.searches.late(now) {
            self.finish(key, &mut out);
        }
        out
    }

    /// An agent ended for good: its entry and its subscriptions go, searches no longer wait for it.
    pub fn forget(&mut self, agent: &Aid) -> DfOut {
        let mut out = DfOut::default();
        self.subscriptions.forget(agent);
        self.remove(agent, &mut out);
        out
    }

    fn on_request(
        &mut self,
        message: &AclMessage,
        may: impl Fn(&Aid) -> bool,
        now: Timestamp,
        out: &mut DfOut,
    ) {
        let action = match talk::action(message, &Reading::at(now)) {
            Ok(action) => action,
            Err(reason) => {
                out.reply = talk::reason(&self.aid, message, None, &reason);
                return;
            }
        };
        match self.act(message, &action, may, now, out) {
            Ok(Some(content)) => {
                let answer = talk::answer(&self.aid, message, Performative::Inform, &content);
                out.reply = Some(answer);
            }
            // The answer comes later.
            Ok(None) => {}
            Err(reason) => {
                out.reply = talk::reason(&self.aid, message, Some(&action), &reason);
            }
        }
    }

    /// Does what is asked; the content of the inform, or none where others are asked first.
    fn act(
        &mut self,
        message: &AclMessage,
        action: &Action,
        may: impl Fn(&Aid) -> bool,
        now: Timestamp,
        out: &mut DfOut,
    ) -> Result<Option<Vec<crate::sl::Term>>, Reason> {
        let wrong = || Reason::UnrecognisedValue("ams-agent-description".to_owned());
        match &action.act {
            Act::Register(Description::Df(entry)) => {
                let name = checked(entry, &may)?;
                if self.entries.get(&name).is_some() {
                    return Err(Reason::AlreadyRegistered);
                }
                if self.entries.own().len() >= self.limits.entries_max {
                    return Err(Reason::InternalError("the directory is full".to_owned()));
                }
                let granted = self.granted(entry, now)?;
                self.enter(name, granted.clone(), out);
                Ok(Some(done(action, granted, Act::Register)))
            }
            Act::Modify(Description::Df(entry)) => {
                let name = checked(entry, &may)?;
                if !self.entries.own().contains_key(&name) {
                    return Err(self.not_here(&name));
                }
                let granted = self.granted(entry, now)?;
                self.enter(name, granted.clone(), out);
                Ok(Some(done(action, granted, Act::Modify)))
            }
            Act::Deregister(Description::Df(entry)) => {
                let name = named(entry)?;
                authorised(&name, &may)?;
                if !self.entries.own().contains_key(&name) {
                    return Err(self.not_here(&name));
                }
                self.remove(&name, out);
                Ok(Some(management::done(action)))
            }
            Act::Search {
                template: Description::Df(template),
                constraints,
            } => self.search(message, action, template, constraints, now, out),
            Act::Register(Description::Ams(_))
            | Act::Modify(Description::Ams(_))
            | Act::Deregister(Description::Ams(_))
            | Act::Search {
                template: Description::Ams(_),
                ..
            } => Err(wrong()),
            Act::GetDescription => Err(Reason::UnsupportedFunction("get-description".to_owned())),
        }
    }

    /// The entry with the lease that it gets.
    fn granted(
        &self,
        entry: &DfAgentDescription,
        now: Timestamp,
    ) -> Result<DfAgentDescription, Reason> {
        if entry.lease_time.is_some_and(|until| until <= now) {
            return Err(Reason::UnrecognisedParameterValue {
                object: "df-agent-description".to_owned(),
                parameter: "lease-time".to_owned(),
            });
        }
        let longest = self.limits.lease_max.map(|lease| now.saturating_add(lease));
        let lease_time = match (entry.lease_time, longest) {
            (Some(asked), Some(longest)) => Some(asked.min(longest)),
            (asked, longest) => asked.or(longest),
        };
        Ok(DfAgentDescription {
            lease_time,
            ..entry.clone()
        })
    }

    fn enter(&mut self, name: Aid, entry: DfAgentDescription, out: &mut DfOut) {
        let changed = self.entries.enter(name, entry);
        self.notify(&changed, out);
    }

    fn remove(&mut self, name: &Aid, out: &mut DfOut) {
        if let Some(changed) = self.entries.remove(name) {
            self.notify(&changed, out);
        }
    }

    /// Tells subscribers of one change: the entry as it is now, or its name alone when it is gone or no longer what they
    /// look for (fipa.md e.2).
    fn notify(&self, changed: &Changed, out: &mut DfOut) {
        let (before, after) = (changed.before.as_ref(), changed.after.as_ref());
        let matched = |entry: Option<&DfAgentDescription>, template| {
            entry.is_some_and(|entry| entry.matches(template))
        };
        for subscription in self.subscriptions.iter() {
            let told = if matched(after, &subscription.template) {
                after.cloned()
            } else if matched(before, &subscription.template) {
                before.map(|entry| DfAgentDescription {
                    name: entry.name.clone(),
                    ..DfAgentDescription::default()
                })
            } else {
                None
            };
            if let Some(entry) = told {
                out.sends
                    .push(notification(&self.aid, subscription, &[entry]));
            }
        }
    }

    fn search(
        &mut self,
        message: &AclMessage,
        action: &Action,
        template: &DfAgentDescription,
        constraints: &SearchConstraints,
        now: Timestamp,
        out: &mut DfOut,
    ) -> Result<Option<Vec<crate::sl::Term>>, Reason> {
        let wanted = self.wanted(constraints);
        let depth = self.depth(constraints);
        if let Some(search_id) = &constraints.search_id
            && !self.searches.serve(search_id, self.limits.search_ids_max)
        {
            return Err(Reason::InternalError("search-id already served".to_owned()));
        }
        let found = self.matching(template, wanted);
        let is_enough = found.len() >= wanted || depth == 0;
        if is_enough || self.searches.len() >= self.limits.searches_max {
            return Ok(Some(result(action, &found)));
        }
        let key = self.searches.next_key();
        let search_id = constraints.search_id.clone().unwrap_or_else(|| {
            // Its own mark: a ring of directories must not serve it twice.
            let mark = format!("{}-{}-{}", self.aid.name, now.as_millis(), key.0);
            self.searches.serve(&mark, self.limits.search_ids_max);
            mark
        });
        let onward = SearchConstraints {
            max_depth: Some(i64::from(depth - 1)),
            max_results: Some(i64::try_from(wanted - found.len()).unwrap_or(i64::MAX)),
            search_id: Some(search_id),
        };
        let asked = self.ask_children(key, message.sender.as_ref(), template, &onward);
        if asked.is_empty() {
            return Ok(Some(result(action, &found)));
        }
        let patience = now.saturating_add(self.limits.patience);
        let search = Search {
            asked: message.clone(),
            action: action.clone(),
            found,
            wanted,
            waiting: asked
                .iter()
                .map(|(child, request)| (*child, request.receiver[0].clone()))
                .collect(),
            deadline: message.reply_by.map_or(patience, |by| by.min(patience)),
        };
        out.sends
            .extend(asked.into_iter().map(|(_, request)| request));
        self.searches.put(key, search);
        out.pending = Some(key);
        Ok(None)
    }

    /// The searches in the directories that are registered here, but for the one that asks.
    fn ask_children(
        &self,
        key: SearchKey,
        asker: Option<&Aid>,
        template: &DfAgentDescription,
        constraints: &SearchConstraints,
    ) -> Vec<(usize, AclMessage)> {
        let is_directory = |entry: &&DfAgentDescription| {
            entry.services.iter().any(|service| {
                let service_type = service.service_type.as_deref().unwrap_or_default();
                service_type.eq_ignore_ascii_case(DF_SERVICE)
            })
        };
        self.entries
            .iter()
            .filter(is_directory)
            .filter_map(|entry| entry.name.as_ref())
            .filter(|name| **name != self.aid && Some(*name) != asker)
            .take(self.limits.children_max)
            .enumerate()
            .filter_map(|(child, name)| {
                let action = Action {
                    actor: name.clone(),
                    act: Act::Search {
                        template: Description::Df(template.clone()),
                        constraints: constraints.clone(),
                    },
                };
                let mut request = talk::request(&self.aid, name, &action)?;
                let mark = search::mark(key, child);
                request.conversation_id = Some(format!("df-search-{mark}").as_str().into());
                request.reply_with = Some(mark.as_str().into());
                Some((child, request))
            })
            .collect()
    }

    /// Another directory answered a search that went on there.
    fn on_answer(&mut self, message: &AclMessage, now: Timestamp, out: &mut DfOut) {
        let mark = message.in_reply_to.as_ref().map(|mark| mark.as_str());
        let Some((key, child)) = mark.and_then(search::marked) else {
            return;
        };
        let Some(search) = self.searches.get_mut(key) else {
            return;
        };
        if !search.answered(child, message) {
            return;
        }
        let reading = Reading::at(now);
        if message.performative == Performative::Inform
            && let Ok(content) = talk::content(message, &reading)
            && let Some(Answer::Result(_, terms)) = Answer::read(&content, &reading)
        {
            let entries = terms
                .iter()
                .filter_map(|term| DfAgentDescription::read(term, &reading).ok());
            search.take(entries.collect());
        }
        if search.is_over() {
            self.finish(key, out);
        }
    }

    fn finish(&mut self, key: SearchKey, out: &mut DfOut) {
        if let Some(search) = self.searches.take(key) {
            let content = result(&search.action, &search.found);
            let answer = talk::answer(&self.aid, &search.asked, Performative::Inform, &content);
            out.finished.push((key, answer));
        }
    }

    fn on_subscribe(&mut self, message: &AclMessage, now: Timestamp, out: &mut DfOut) {
        let reading = Reading::at(now);
        let search = talk::content(message, &reading)
            .and_then(|content| management::subscribed(&content, &reading));
        let action = match search {
            Ok(action) => action,
            Err(reason) => {
                out.reply = talk::reason(&self.aid, message, None, &reason);
                return;
            }
        };
        let Act::Search {
            template: Description::Df(template),
            constraints,
        } = &action.act
        else {
            let reason = Reason::UnrecognisedValue("content".to_owned());
            out.reply = talk::reason(&self.aid, message, Some(&action), &reason);
            return;
        };
        if self.subscriptions.len() >= self.limits.subscriptions_max
            && !self.subscriptions.has(message)
        {
            let reason = Reason::InternalError("too many subscriptions".to_owned());
            out.reply = talk::reason(&self.aid, message, Some(&action), &reason);
            return;
        }
        let found = self.matching(template, self.wanted(constraints));
        let subscription = Subscription {
            subscribe: message.clone(),
            template: template.clone(),
            search: action.clone(),
        };
        // One answer at least: with nothing to tell yet, an agree (d.10).
        out.reply = Some(if found.is_empty() {
            let content = management::subscription(&action);
            talk::answer(&self.aid, message, Performative::Agree, &content)
        } else {
            notification(&self.aid, &subscription, &found)
        });
        self.subscriptions.put(subscription);
    }

    fn on_cancel(&mut self, message: &AclMessage, out: &mut DfOut) {
        out.reply = match self.subscriptions.cancel(message) {
            Some(subscription) => {
                let content = management::subscription(&subscription.search);
                let inform = Performative::Inform;
                Some(talk::answer(&self.aid, message, inform, &content))
            }
            None => {
                let reason = Reason::InternalError("no such subscription".to_owned());
                talk::reason(&self.aid, message, None, &reason)
            }
        };
    }

    fn matching(&self, template: &DfAgentDescription, wanted: usize) -> Vec<DfAgentDescription> {
        // A name finds its entry without a look at all of them.
        if let Some(name) = &template.name {
            let entry = self.entries.get(name).into_iter();
            return entry
                .filter(|entry| wanted > 0 && entry.matches(template))
                .cloned()
                .collect();
        }
        self.entries
            .iter()
            .filter(|entry| entry.matches(template))
            .take(wanted)
            .cloned()
            .collect()
    }

    /// How many results a search may have: 1 unless it says otherwise, all for a negative number (fipa.md e.1).
    fn wanted(&self, constraints: &SearchConstraints) -> usize {
        let asked = constraints.max_results.unwrap_or(1);
        usize::try_from(asked).map_or(self.limits.results_max, |asked| {
            asked.min(self.limits.results_max)
        })
    }

    /// How deep a search goes on: 0 unless it says otherwise, as deep as allowed for a negative number.
    fn depth(&self, constraints: &SearchConstraints) -> u32 {
        let asked = constraints.max_depth.unwrap_or(0);
        u32::try_from(asked).map_or(if asked < 0 { self.limits.depth_max } else { 0 }, |asked| {
            asked.min(self.limits.depth_max)
        })
    }
}

fn named(entry: &DfAgentDescription) -> Result<Aid, Reason> {
    entry.name.clone().ok_or_else(|| Reason::MissingParameter {
        object: "df-agent-description".to_owned(),
        parameter: "name".to_owned(),
    })
}

fn checked(entry: &DfAgentDescription, may: impl Fn(&Aid) -> bool) -> Result<Aid, Reason> {
    entry.check_entry()?;
    let name = named(entry)?;
    authorised(&name, may)?;
    Ok(name)
}

fn authorised(agent: &Aid, may: impl Fn(&Aid) -> bool) -> Result<(), Reason> {
    if may(agent) {
        Ok(())
    } else {
        Err(Reason::Unauthorised)
    }
}

/// The content of an inform that it is done; with the lease that was granted where that is not the one asked for.
fn done(
    action: &Action,
    granted: DfAgentDescription,
    act: fn(Description) -> Act,
) -> Vec<crate::sl::Term> {
    management::done(&Action {
        actor: action.actor.clone(),
        act: act(Description::Df(granted)),
    })
}

fn result(action: &Action, found: &[DfAgentDescription]) -> Vec<crate::sl::Term> {
    management::result(action, found.iter().map(DfAgentDescription::term).collect())
}

fn notification(me: &Aid, subscription: &Subscription, found: &[DfAgentDescription]) -> AclMessage {
    let terms = found.iter().map(DfAgentDescription::term).collect();
    let content = management::notification(&subscription.search, terms);
    talk::answer(me, &subscription.subscribe, Performative::Inform, &content)
}

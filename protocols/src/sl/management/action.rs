//! What an AMS and a DF can be asked to do.

use super::slots::{Slots, Writing};
use super::{AmsAgentDescription, DfAgentDescription, Reason};
use crate::acl::{Aid, Reading};
use crate::sl::Term;

/// `(action AID act)`: somebody is to do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Who: the AMS or the DF that is asked.
    pub actor: Aid,
    /// What.
    pub act: Act,
}

/// What can be asked for. Arguments stand by position (fipa.md e.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make an entry.
    Register(Description),
    /// Take an entry away; only its name counts.
    Deregister(Description),
    /// Put this in the place of an entry.
    Modify(Description),
    /// Find entries that match a template.
    Search {
        /// What is looked for.
        template: Description,
        /// How far and how much.
        constraints: SearchConstraints,
    },
    /// Describe the platform (AMS only).
    GetDescription,
}

/// An entry of either directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description {
    /// Of a DF.
    Df(DfAgentDescription),
    /// Of an AMS.
    Ams(AmsAgentDescription),
}

/// How far a search goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchConstraints {
    /// How many federated directories deep; 0, this one alone, where it is absent.
    pub max_depth: Option<i64>,
    /// How many entries at most; 1 where it is absent, all where it is negative.
    pub max_results: Option<i64>,
    /// What marks one search on its way through several directories.
    pub search_id: Option<String>,
}

const CONSTRAINTS: &str = "search-constraints";

impl Action {
    /// Reads an action.
    ///
    /// # Errors
    /// The [`Reason`] to answer with.
    pub fn read(term: &Term, reading: &Reading) -> Result<Self, Reason> {
        let content = || Reason::UnrecognisedValue("content".to_owned());
        let call = term.as_call("action").ok_or_else(content)?;
        let Some([actor, act]) = call.positional() else {
            return Err(content());
        };
        Ok(Self {
            actor: actor.as_aid().ok_or_else(content)?,
            act: Act::read(act, reading)?,
        })
    }

    /// As a term.
    #[must_use]
    pub fn term(&self) -> Term {
        Term::call("action", vec![Term::aid(&self.actor), self.act.term()])
    }
}

impl Act {
    fn read(term: &Term, reading: &Reading) -> Result<Self, Reason> {
        let (head, arguments) = match term {
            Term::Call(call) => (call.head.as_str(), call.positional()),
            Term::Symbol(head) => (head.as_str(), Some(&[][..])),
            _ => return Err(Reason::UnrecognisedValue("content".to_owned())),
        };
        let arguments = arguments.ok_or(Reason::UnexpectedArgument)?;
        match head.to_ascii_lowercase().as_str() {
            "register" => one(arguments, reading).map(Self::Register),
            "deregister" => one(arguments, reading).map(Self::Deregister),
            "modify" => one(arguments, reading).map(Self::Modify),
            "search" => match arguments {
                [template, constraints] => Ok(Self::Search {
                    template: Description::read(template, reading)?,
                    constraints: SearchConstraints::read(constraints)?,
                }),
                // JADE wants the constraints to be there, too (fipa.md e.2).
                [] | [_] => Err(Reason::MissingArgument),
                _ => Err(Reason::UnexpectedArgumentCount),
            },
            "get-description" => match arguments {
                [] => Ok(Self::GetDescription),
                _ => Err(Reason::UnexpectedArgumentCount),
            },
            _ => Err(Reason::UnsupportedFunction(head.to_owned())),
        }
    }

    fn term(&self) -> Term {
        match self {
            Self::Register(entry) => Term::call("register", vec![entry.term()]),
            Self::Deregister(entry) => Term::call("deregister", vec![entry.term()]),
            Self::Modify(entry) => Term::call("modify", vec![entry.term()]),
            Self::Search {
                template,
                constraints,
            } => Term::call("search", vec![template.term(), constraints.term()]),
            Self::GetDescription => Term::call("get-description", Vec::new()),
        }
    }
}

fn one(arguments: &[Term], reading: &Reading) -> Result<Description, Reason> {
    match arguments {
        [entry] => Description::read(entry, reading),
        [] => Err(Reason::MissingArgument),
        _ => Err(Reason::UnexpectedArgumentCount),
    }
}

impl Description {
    /// Reads an entry or a template of either directory.
    ///
    /// # Errors
    /// The [`Reason`] to answer with.
    pub fn read(term: &Term, reading: &Reading) -> Result<Self, Reason> {
        if term.as_call("ams-agent-description").is_some() {
            AmsAgentDescription::read(term).map(Self::Ams)
        } else {
            DfAgentDescription::read(term, reading).map(Self::Df)
        }
    }

    /// As a term.
    #[must_use]
    pub fn term(&self) -> Term {
        match self {
            Self::Df(entry) => entry.term(),
            Self::Ams(entry) => entry.term(),
        }
    }
}

impl SearchConstraints {
    fn read(term: &Term) -> Result<Self, Reason> {
        let slots = Slots::of(
            term,
            CONSTRAINTS,
            &["max-depth", "max-results", "search-id"],
        )?;
        Ok(Self {
            max_depth: slots.integer("max-depth")?,
            max_results: slots.integer("max-results")?,
            search_id: slots.text("search-id")?,
        })
    }

    fn term(&self) -> Term {
        Writing::default()
            .integer("max-depth", self.max_depth)
            .integer("max-results", self.max_results)
            .text("search-id", self.search_id.as_deref())
            .object(CONSTRAINTS)
    }
}

//! Reading the slots of an object.

use super::Reason;
use crate::acl::Aid;
use crate::sl::Term;

/// The slots of one object, with its name for what may be wrong.
pub(super) struct Slots<'a> {
    object: &'static str,
    slots: &'a [(String, Term)],
}

impl<'a> Slots<'a> {
    /// The slots of this object, if it is one, and if it has none but these.
    pub(super) fn of(term: &'a Term, object: &'static str, known: &[&str]) -> Result<Self, Reason> {
        let slots = term.as_call(object).and_then(|call| call.named());
        let Some(slots) = slots else {
            return Err(Reason::UnrecognisedValue(object.to_owned()));
        };
        let is_known = |name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        if let Some((unknown, _)) = slots.iter().find(|(name, _)| !is_known(name)) {
            return Err(Reason::UnexpectedParameter {
                object: object.to_owned(),
                parameter: unknown.clone(),
            });
        }
        Ok(Self { object, slots })
    }

    /// What a slot holds, read by `read`; where it stands twice, the last.
    pub(super) fn get<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Term) -> Option<T>,
    ) -> Result<Option<T>, Reason> {
        let found = self
            .slots
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, term)) = found else {
            return Ok(None);
        };
        read(term)
            .map(Some)
            .ok_or_else(|| Reason::UnrecognisedParameterValue {
                object: self.object.to_owned(),
                parameter: name.to_owned(),
            })
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Reason> {
        self.get(name, |term| term.as_text().map(str::to_owned))
    }

    pub(super) fn aid(&self, name: &str) -> Result<Option<Aid>, Reason> {
        self.get(name, Term::as_aid)
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Reason> {
        self.get(name, Term::as_integer)
    }

    /// Texts of a set; none where the slot is absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Reason> {
        let texts = self.get(name, |term| {
            let members = term.as_members()?.iter();
            members
                .map(|member| member.as_text().map(str::to_owned))
                .collect()
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// Objects of a set; none where the slot is absent.
    pub(super) fn objects<T>(
        &self,
        name: &str,
        read: impl Fn(&Term) -> Result<T, Reason>,
    ) -> Result<Vec<T>, Reason> {
        let members = self.get(name, Term::as_members)?.unwrap_or_default();
        members.iter().map(read).collect()
    }
}

/// Slots that are being written.
#[derive(Default)]
pub(super) struct Writing(Vec<(String, Term)>);

impl Writing {
    pub(super) fn slot(mut self, name: &str, value: Option<Term>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value)));
        self
    }

    pub(super) fn text(self, name: &str, value: Option<&str>) -> Self {
        self.slot(name, value.map(Term::text))
    }

    pub(super) fn aid(self, name: &str, value: Option<&Aid>) -> Self {
        self.slot(name, value.map(Term::aid))
    }

    pub(super) fn integer(self, name: &str, value: Option<i64>) -> Self {
        self.slot(name, value.map(Term::integer))
    }

    /// A set; left away where it is empty.
    pub(super) fn set<'a, T: 'a>(
        self,
        name: &str,
        members: &'a [T],
        term: impl Fn(&'a T) -> Term,
    ) -> Self {
        let set = (!members.is_empty()).then(|| Term::set(members.iter().map(term).collect()));
        self.slot(name, set)
    }

    pub(super) fn texts(self, name: &str, members: &[String]) -> Self {
        self.set(name, members, |text| Term::text(text.as_str()))
    }

    pub(super) fn object(self, head: &str) -> Term {
        Term::described(head, self.0)
    }
}

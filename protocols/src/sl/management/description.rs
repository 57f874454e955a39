//! What agents, services and platforms are described by, and how a description matches a template.

use super::Reason;
use super::slots::{Slots, Writing};
use crate::acl::{Aid, Reading, Timestamp};
use crate::sl::Term;

/// An entry of a DF, or a template for it: then every slot may be absent and matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DfAgentDescription {
    /// Whose entry it is; must be there to register.
    pub name: Option<Aid>,
    /// What the agent offers.
    pub services: Vec<ServiceDescription>,
    /// The interaction protocols that it speaks.
    pub protocols: Vec<String>,
    /// The ontologies that it knows.
    pub ontologies: Vec<String>,
    /// The content languages that it reads.
    pub languages: Vec<String>,
    /// Until when the entry stands; for ever where it is absent.
    pub lease_time: Option<Timestamp>,
    /// Where the entry may be seen.
    pub scope: Vec<String>,
}

/// A service of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDescription {
    /// Its name; must be there to register.
    pub name: Option<String>,
    /// Its type; must be there to register.
    pub service_type: Option<String>,
    /// The interaction protocols that it speaks.
    pub protocols: Vec<String>,
    /// The ontologies that it knows.
    pub ontologies: Vec<String>,
    /// The content languages that it reads.
    pub languages: Vec<String>,
    /// Who owns it.
    pub ownership: Option<String>,
    /// Whatever else it is said to be.
    pub properties: Vec<Property>,
}

/// A property of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value: any term.
    pub value: Option<Term>,
}

/// An entry of an AMS, or a template for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AmsAgentDescription {
    /// Whose entry it is; must be there to register.
    pub name: Option<Aid>,
    /// Who owns the agent.
    pub ownership: Option<String>,
    /// The state of its life cycle.
    pub state: Option<AgentState>,
}

/// A state of the life cycle (fipa.md e.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentState {
    /// Created and not yet invoked.
    Initiated,
    /// Running.
    Active,
    /// Suspended, by itself or by the AMS.
    Suspended,
    /// Waiting for something, by its own wish.
    Waiting,
    /// On its way to another place.
    Transit,
    /// Prepared, and not in memory (JADE).
    Latent,
}

/// What a platform says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApDescription {
    /// Its name.
    pub name: Option<String>,
    /// What it can be reached by.
    pub services: Vec<ApService>,
}

/// A service of a platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApService {
    /// Its name.
    pub name: Option<String>,
    /// Its type, such as `fipa.mts.mtp.http.std`.
    pub service_type: Option<String>,
    /// Where it is.
    pub addresses: Vec<String>,
}

const DF: &str = "df-agent-description";
const SERVICE: &str = "service-description";
const PROPERTY: &str = "property";
const AMS: &str = "ams-agent-description";
const AP: &str = "ap-description";
const AP_SERVICE: &str = "ap-service";

fn missing(object: &str, parameter: &str) -> Reason {
    Reason::MissingParameter {
        object: object.to_owned(),
        parameter: parameter.to_owned(),
    }
}

impl DfAgentDescription {
    /// Reads a description or a template.
    ///
    /// # Errors
    /// The [`Reason`] to refuse it with.
    pub fn read(term: &Term, reading: &Reading) -> Result<Self, Reason> {
        let slots = Slots::of(
            term,
            DF,
            &[
                "name",
                "services",
                "protocols",
                "ontologies",
                "languages",
                "lease-time",
                "scope",
            ],
        )?;
        Ok(Self {
            name: slots.aid("name")?,
            services: slots.objects("services", ServiceDescription::read)?,
            protocols: slots.texts("protocols")?,
            ontologies: slots.texts("ontologies")?,
            languages: slots.texts("languages")?,
            lease_time: slots.get("lease-time", |term| term.as_date(reading))?,
            scope: slots.texts("scope")?,
        })
    }

    /// As a term.
    #[must_use]
    pub fn term(&self) -> Term {
        Writing::default()
            .aid("name", self.name.as_ref())
            .set("services", &self.services, ServiceDescription::term)
            .texts("protocols", &self.protocols)
            .texts("ontologies", &self.ontologies)
            .texts("languages", &self.languages)
            .slot("lease-time", self.lease_time.map(Term::date))
            .texts("scope", &self.scope)
            .object(DF)
    }

    /// Whether everything is there that an entry must have.
    ///
    /// # Errors
    /// [`Reason::MissingParameter`].
    pub fn check_entry(&self) -> Result<(), Reason> {
        if self.name.is_none() {
            return Err(missing(DF, "name"));
        }
        for service in &self.services {
            if service.name.is_none() {
                return Err(missing(SERVICE, "name"));
            }
            if service.service_type.is_none() {
                return Err(missing(SERVICE, "type"));
            }
        }
        Ok(())
    }

    /// Whether this entry matches a template: each slot that the template has must match, of sets each member of the
    /// template some member of the entry. Text is compared without regard to ASCII case. Lease and scope play no part.
    #[must_use]
    pub fn matches(&self, template: &Self) -> bool {
        let same_name = template.name.is_none() || template.name == self.name;
        same_name
            && has_all(&self.protocols, &template.protocols)
            && has_all(&self.ontologies, &template.ontologies)
            && has_all(&self.languages, &template.languages)
            && template
                .services
                .iter()
                .all(|wanted| self.services.iter().any(|service| service.matches(wanted)))
    }
}

impl ServiceDescription {
    fn read(term: &Term) -> Result<Self, Reason> {
        let slots = Slots::of(
            term,
            SERVICE,
            &[
                "name",
                "type",
                "protocols",
                "ontologies",
                "languages",
                "ownership",
                "properties",
            ],
        )?;
        Ok(Self {
            name: slots.text("name")?,
            service_type: slots.text("type")?,
            protocols: slots.texts("protocols")?,
            ontologies: slots.texts("ontologies")?,
            languages: slots.texts("languages")?,
            ownership: slots.text("ownership")?,
            properties: slots.objects("properties", Property::read)?,
        })
    }

    fn term(&self) -> Term {
        Writing::default()
            .text("name", self.name.as_deref())
            .text("type", self.service_type.as_deref())
            .texts("protocols", &self.protocols)
            .texts("ontologies", &self.ontologies)
            .texts("languages", &self.languages)
            .text("ownership", self.ownership.as_deref())
            .set("properties", &self.properties, Property::term)
            .object(SERVICE)
    }

    fn matches(&self, template: &Self) -> bool {
        is_same(self.name.as_deref(), template.name.as_deref())
            && is_same(
                self.service_type.as_deref(),
                template.service_type.as_deref(),
            )
            && is_same(self.ownership.as_deref(), template.ownership.as_deref())
            && has_all(&self.protocols, &template.protocols)
            && has_all(&self.ontologies, &template.ontologies)
            && has_all(&self.languages, &template.languages)
            && template.properties.iter().all(|wanted| {
                let has = |property: &Property| property.matches(wanted);
                self.properties.iter().any(has)
            })
    }
}

impl Property {
    fn read(term: &Term) -> Result<Self, Reason> {
        let slots = Slots::of(term, PROPERTY, &["name", "value"])?;
        Ok(Self {
            name: slots
                .text("name")?
                .ok_or_else(|| missing(PROPERTY, "name"))?,
            value: slots.get("value", |term| Some(term.clone()))?,
        })
    }

    fn term(&self) -> Term {
        Writing::default()
            .text("name", Some(&self.name))
            .slot("value", self.value.clone())
            .object(PROPERTY)
    }

    fn matches(&self, template: &Self) -> bool {
        let same_value = match (&self.value, &template.value) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(value), Some(wanted)) => match (value.as_text(), wanted.as_text()) {
                (Some(value), Some(wanted)) => value.eq_ignore_ascii_case(wanted),
                _ => value == wanted,
            },
        };
        same_value && self.name.eq_ignore_ascii_case(&template.name)
    }
}

impl AmsAgentDescription {
    /// Reads a description or a template. User-defined slots are not among what it may have.
    ///
    /// # Errors
    /// The [`Reason`] to refuse it with.
    pub fn read(term: &Term) -> Result<Self, Reason> {
        let slots = Slots::of(term, AMS, &["name", "ownership", "state"])?;
        Ok(Self {
            name: slots.aid("name")?,
            ownership: slots.text("ownership")?,
            state: slots.get("state", |term| AgentState::named(term.as_text()?))?,
        })
    }

    /// As a term.
    #[must_use]
    pub fn term(&self) -> Term {
        Writing::default()
            .aid("name", self.name.as_ref())
            .text("ownership", self.ownership.as_deref())
            .text("state", self.state.map(AgentState::as_str))
            .object(AMS)
    }

    /// Whether this entry matches a template: each slot that the template has must be equal.
    #[must_use]
    pub fn matches(&self, template: &Self) -> bool {
        (template.name.is_none() || template.name == self.name)
            && is_same(self.ownership.as_deref(), template.ownership.as_deref())
            && (template.state.is_none() || template.state == self.state)
    }
}

impl AgentState {
    const ALL: [Self; 6] = [
        Self::Initiated,
        Self::Active,
        Self::Suspended,
        Self::Waiting,
        Self::Transit,
        Self::Latent,
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Waiting => "waiting",
            Self::Transit => "transit",
            Self::Latent => "latent",
        }
    }

    /// The state of that word, in any case.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(word))
    }
}

impl ApDescription {
    /// Reads the description of a platform.
    ///
    /// # Errors
    /// The [`Reason`] to refuse it with.
    pub fn read(term: &Term) -> Result<Self, Reason> {
        let slots = Slots::of(term, AP, &["name", "ap-services"])?;
        Ok(Self {
            name: slots.text("name")?,
            services: slots.objects("ap-services", ApService::read)?,
        })
    }

    /// As a term.
    #[must_use]
    pub fn term(&self) -> Term {
        Writing::default()
            .text("name", self.name.as_deref())
            .set("ap-services", &self.services, ApService::term)
            .object(AP)
    }
}

impl ApService {
    fn read(term: &Term) -> Result<Self, Reason> {
        let slots = Slots::of(term, AP_SERVICE, &["name", "type", "addresses"])?;
        Ok(Self {
            name: slots.text("name")?,
            service_type: slots.text("type")?,
            addresses: slots.texts("addresses")?,
        })
    }

    fn term(&self) -> Term {
        let urls = self.addresses.iter().map(|url| Term::text(url.as_str()));
        let addresses = (!self.addresses.is_empty()).then(|| Term::sequence(urls.collect()));
        Writing::default()
            .text("name", self.name.as_deref())
            .text("type", self.service_type.as_deref())
            .slot("addresses", addresses)
            .object(AP_SERVICE)
    }
}

/// Whether a slot of an entry is as the template wants it, if it wants anything.
fn is_same(entry: Option<&str>, template: Option<&str>) -> bool {
    match (entry, template) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(entry), Some(template)) => entry.eq_ignore_ascii_case(template),
    }
}

fn has_all(entry: &[String], template: &[String]) -> bool {
    template
        .iter()
        .all(|wanted| entry.iter().any(|has| has.eq_ignore_ascii_case(wanted)))
}

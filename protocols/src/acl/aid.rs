//! Agent identifiers (FIPA SC00023K, fipa.md a.4).

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use thin_vec::ThinVec;

/// An agent identifier.
///
/// Two AIDs name the same agent when their names are equal, ASCII case aside; addresses, resolvers and user slots play no
/// part. `==`, `Ord` and `Hash` follow that rule; [`is_identical`](Self::is_identical) compares everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aid {
    /// `local@platform`.
    pub name: SmolStr,
    /// Transport addresses, the one to try first in front.
    #[serde(default)]
    pub addresses: ThinVec<String>,
    /// Agents that can be asked for the addresses, the one to ask first in front.
    #[serde(default, with = "super::flat")]
    pub resolvers: ThinVec<Aid>,
    /// `X-` slots with their full names, in the order in which they came; unknown ones are kept.
    #[serde(default)]
    pub user_slots: ThinVec<(String, String)>,
}

impl Aid {
    /// An AID that consists of a name alone.
    #[must_use]
    pub fn named(name: impl Into<SmolStr>) -> Self {
        Self {
            name: name.into(),
            addresses: ThinVec::new(),
            resolvers: ThinVec::new(),
            user_slots: ThinVec::new(),
        }
    }

    /// The part of the name before the last `@`; the whole name where there is none.
    #[must_use]
    pub fn local_name(&self) -> &str {
        self.name
            .rsplit_once('@')
            .map_or(&self.name, |(local, _)| local)
    }

    /// The part of the name after the last `@`.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        self.name.rsplit_once('@').map(|(_, platform)| platform)
    }

    /// Whether this is the agent management system of its platform: the name `ams@…` is reserved for it.
    #[must_use]
    pub fn is_ams(&self) -> bool {
        self.local_name().eq_ignore_ascii_case("ams")
    }

    /// The value of a user slot, its name in any case and with its `X-`; the last one where there are several.
    #[must_use]
    pub fn user_slot(&self, name: &str) -> Option<&str> {
        last_named(&self.user_slots, name)
    }

    /// Whether the two are alike in every slot, not only the same agent.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        self.name == other.name
            && self.addresses == other.addresses
            && are_identical(&self.resolvers, &other.resolvers)
            && self.user_slots == other.user_slots
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.name.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

/// The value of the last entry of that name, ASCII case aside.
pub(super) fn last_named<'a>(entries: &'a [(String, String)], name: &str) -> Option<&'a str> {
    entries
        .iter()
        .rev()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

pub(super) fn are_identical(these: &[Aid], those: &[Aid]) -> bool {
    these.len() == those.len() && these.iter().zip(those).all(|(a, b)| a.is_identical(b))
}

impl PartialEq for Aid {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for Aid {}

impl Hash for Aid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl PartialOrd for Aid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Aid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashSet};

    #[test]
    fn the_same_agent_is_one_in_any_case_and_at_any_address() {
        let mut here = Aid::named("Seller@Market");
        here.addresses = thin_vec::thin_vec!["http://h/acc".to_owned()];
        let there = Aid::named("seller@market");
        assert_eq!(here, there);
        assert!(!here.is_identical(&there));
        assert_eq!(HashSet::from([here.clone(), there.clone()]).len(), 1);
        assert_eq!(BTreeSet::from([here, there]).len(), 1);
        assert_ne!(Aid::named("a@p"), Aid::named("a@q"));
    }

    #[test]
    fn the_platform_is_what_follows_the_last_at() {
        let aid = Aid::named("a@b@p");
        assert_eq!((aid.local_name(), aid.platform()), ("a@b", Some("p")));
        let bare = Aid::named("a");
        assert_eq!((bare.local_name(), bare.platform()), ("a", None));
        assert!(Aid::named("AMS@p").is_ams() && !Aid::named("amsel@p").is_ams());
    }

    #[test]
    fn a_user_slot_is_found_in_any_case_and_the_last_one_counts() {
        let mut aid = Aid::named("a@p");
        aid.user_slots = thin_vec::thin_vec![
            ("X-n".to_owned(), "1".to_owned()),
            ("x-N".to_owned(), "2".to_owned()),
        ];
        assert_eq!(aid.user_slot("X-N"), Some("2"));
        assert_eq!(aid.user_slot("X-m"), None);
    }
}

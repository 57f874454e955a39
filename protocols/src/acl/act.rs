//! The communicative acts.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! performatives {
    ($($variant:ident $token:literal $doc:literal;)*) => {
        /// A communicative act (FIPA SC00037J).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Performative {
            $(#[doc = $doc] $variant,)*
        }

        impl Performative {
            /// All 22 acts, in alphabetical order.
            pub const ALL: [Self; 22] = [$(Self::$variant),*];

            /// The act's token, in lower case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $token,)* }
            }
        }
    };
}

performatives! {
    AcceptProposal "accept-proposal" "I accept your proposal.";
    Agree "agree" "I will do it.";
    Cancel "cancel" "I no longer want what I asked for.";
    Cfp "cfp" "Who will do this, and on what conditions?";
    Confirm "confirm" "It is true, though you were unsure.";
    Disconfirm "disconfirm" "It is false, though you believed it.";
    Failure "failure" "I tried and failed.";
    Inform "inform" "It is so.";
    InformIf "inform-if" "Tell whether it is so.";
    InformRef "inform-ref" "Tell what is meant.";
    NotUnderstood "not-understood" "I did not understand that.";
    Propagate "propagate" "Take this and pass it on.";
    Propose "propose" "I will do it under these conditions.";
    Proxy "proxy" "Send this to those that match.";
    QueryIf "query-if" "Is it so?";
    QueryRef "query-ref" "What is it?";
    Refuse "refuse" "I will not do it; nothing was started.";
    RejectProposal "reject-proposal" "I do not accept your proposal.";
    Request "request" "Do this.";
    RequestWhen "request-when" "Do this once that becomes true.";
    RequestWhenever "request-whenever" "Do this whenever that becomes true.";
    Subscribe "subscribe" "Tell me now and whenever it changes.";
}

impl fmt::Display for Performative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names none of the 22 acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of the 22 communicative acts")]
pub struct UnknownPerformative(pub String);

impl FromStr for Performative {
    type Err = UnknownPerformative;

    /// Reads an act's token, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownPerformative> {
        Self::ALL
            .into_iter()
            .find(|act| act.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPerformative(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_act_reads_back_in_any_case() {
        for act in Performative::ALL {
            assert_eq!(act.as_str().to_uppercase().parse(), Ok(act));
        }
        assert!("tell".parse::<Performative>().is_err());
    }

    #[test]
    fn the_acts_stand_in_alphabetical_order() {
        // The bit-efficient form numbers them so.
        assert!(
            Performative::ALL
                .map(Performative::as_str)
                .is_sorted_by(|a, b| a < b)
        );
    }
}

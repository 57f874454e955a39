//! Identifiers. Each is a newtype, so that one cannot be passed where another is meant.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The identity of a cell (or of any other supervised actor): 128 random bits, stable over restarts and moves.
///
/// In human-readable formats it is 32 hexadecimal digits, as JSON's numbers do not go that far; elsewhere the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u128);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u128(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            if text.len() != 32 {
                return Err(D::Error::custom("an address has 32 hexadecimal digits"));
            }
            u128::from_str_radix(&text, 16)
                .map(Self)
                .map_err(|_| D::Error::custom("an address has 32 hexadecimal digits"))
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The how-many-eth life of a cell's behaviour. The first is 1; every restart adds one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The life after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What OTP calls a pid: one life of one actor. Two lives of one actor share the address and differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid {
    /// Who.
    pub address: Address,
    /// Which life of it.
    pub incarnation: Incarnation,
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.address, self.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_hexadecimal_text_in_json_and_a_number_on_the_wire() {
        let address = Address(u128::MAX - 1);
        let json = serde_json::to_value(address).expect("serializes");
        assert_eq!(json, "fffffffffffffffffffffffffffffffe");
        assert_eq!(
            serde_json::from_value::<Address>(json).expect("parses"),
            address
        );
        assert!(serde_json::from_str::<Address>("\"xyz\"").is_err());
        let bytes = postcard::to_allocvec(&address).expect("serializes");
        assert_eq!(
            postcard::from_bytes::<Address>(&bytes).expect("parses"),
            address
        );
    }
}

//! Tokens to join with: single-purpose, expiring, limited in uses, stored hashed.

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use swarm_protocols::Name;

/// What every token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "swarm_join_";
/// How many tokens a cluster keeps at most, those that do not hold any more included.
const TOKENS_MAX: usize = 1024;

/// Which token: no secret, and what lists and logs show.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 6]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl FromStr for TokenId {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let bytes = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| TokenError::Malformed)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| TokenError::Malformed)
    }
}

/// A token as the joining node has it. It lets a node in: no `Display`, and its `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    version: u8,
    /// Which token.
    pub id: TokenId,
    /// The cluster that it is for.
    pub cluster: u128,
    /// The SHA-256 of the authority's certificate: whom the joining node may talk to.
    pub authority: [u8; 32],
    /// Until when it holds, in seconds since 1970 UTC.
    pub expires: u64,
    pub(super) secret: [u8; 32],
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why a text is no token, or none could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token: mistyped, or cut off.
    #[error("this is not a join token; it may have been cut off when it was copied")]
    Malformed,
    /// Of a version that this build does not know.
    #[error("the token was made by a newer version")]
    Version,
    /// As many tokens are kept as may be. Revoke some.
    #[error("{TOKENS_MAX} tokens are kept already; revoke some")]
    TooMany,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl JoinToken {
    /// The token as text: to be shown to the operator who asked for it, and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut bytes = postcard::to_allocvec(self).unwrap_or_default();
        // A few bits that find a mistyped token before anybody is asked.
        let check = ring::digest::digest(&ring::digest::SHA256, &bytes);
        bytes.extend_from_slice(&check.as_ref()[..4]);
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let body = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(TokenError::Malformed)?;
        if body.len() > 512 {
            return Err(TokenError::Malformed);
        }
        let bytes = BASE64URL_NOPAD
            .decode(body.as_bytes())
            .map_err(|_| TokenError::Malformed)?;
        let (bytes, check) = bytes.split_last_chunk::<4>().ok_or(TokenError::Malformed)?;
        let expected = ring::digest::digest(&ring::digest::SHA256, bytes);
        if expected.as_ref()[..4] != check[..] {
            return Err(TokenError::Malformed);
        }
        match bytes.first() {
            Some(1) => postcard::from_bytes(bytes).map_err(|_| TokenError::Malformed),
            _ => Err(TokenError::Version),
        }
    }
}

/// What a token is to allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTerms {
    /// Until when, in seconds since 1970 UTC.
    pub expires: u64,
    /// How many nodes may join with it; none for any number.
    pub uses: Option<u32>,
    /// Whether nodes that join with it become voters, which hold the authority's key.
    pub makes_voters: bool,
}

/// What a token that was redeemed allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// Which token.
    pub id: TokenId,
    /// Whether the node becomes a voter.
    pub makes_voters: bool,
    /// The member that has to count the use before anybody is let in, for a token that is limited in uses.
    pub counted_by: Option<Name>,
}

/// Why a token lets nobody in. It is not used up by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TokenRefusal {
    /// Unknown, revoked long ago, or with another secret.
    #[error("the token is wrong")]
    Wrong,
    /// Its time is up.
    #[error("the token has expired")]
    Expired,
    /// As many nodes have joined with it as may.
    #[error("the token has been used as often as it may")]
    UsedUp,
    /// It was taken back.
    #[error("the token has been revoked")]
    Revoked,
}

/// What is kept of a token: not the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    hash: [u8; 32],
    created: u64,
    expires: u64,
    uses: Option<u32>,
    used: u32,
    is_revoked: bool,
    makes_voters: bool,
    /// The member that made it, and counts its uses.
    home: Name,
}

/// What lists show of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    /// Which.
    pub id: TokenId,
    /// When it was made, in seconds since 1970 UTC.
    pub created: u64,
    /// Until when it holds.
    pub expires: u64,
    /// How many nodes may join with it.
    pub uses: Option<u32>,
    /// How many have.
    pub used: u32,
    /// Whether it was taken back.
    pub is_revoked: bool,
    /// Whether nodes that join with it become voters.
    pub makes_voters: bool,
    /// The member that made it, and counts its uses.
    pub home: Name,
}

/// The tokens of a cluster, as a member knows them. Serializes to what is kept on disk and told to others: hashes, no secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct TokenStore {
    tokens: BTreeMap<TokenId, Kept>,
}

impl Kept {
    /// A token that is over is remembered for a day, so that those who try it are told why.
    fn is_kept(&self, now: u64) -> bool {
        self.expires.saturating_add(86_400) > now
    }
}

fn hash(id: TokenId, secret: &[u8; 32]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &id.0);
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&key, secret).as_ref());
    out
}

impl TokenStore {
    /// Makes a token at the member `home`. The only time that it is known as a whole.
    ///
    /// # Errors
    /// [`TokenError::TooMany`] and [`TokenError::NoRandomness`]; nothing was changed.
    pub fn create(
        &mut self,
        cluster: u128,
        authority: [u8; 32],
        terms: TokenTerms,
        home: &Name,
        now: u64,
    ) -> Result<JoinToken, TokenError> {
        self.tokens.retain(|_, kept| kept.is_kept(now));
        if self.tokens.len() >= TOKENS_MAX {
            return Err(TokenError::TooMany);
        }
        let (mut id, mut secret) = ([0; 6], [0; 32]);
        let random = SystemRandom::new();
        random
            .fill(&mut id)
            .and_then(|()| random.fill(&mut secret))
            .map_err(|_| TokenError::NoRandomness)?;
        let id = TokenId(id);
        self.tokens.insert(
            id,
            Kept {
                hash: hash(id, &secret),
                created: now,
                expires: terms.expires,
                uses: terms.uses,
                used: 0,
                is_revoked: false,
                makes_voters: terms.makes_voters,
                home: home.clone(),
            },
        );
        Ok(JoinToken {
            version: 1,
            id,
            cluster,
            authority,
            expires: terms.expires,
            secret,
        })
    }

    /// Checks a token, in a time that tells nothing about its secret. Does not use it up: see [`TokenStore::note_use`].
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub fn check(
        &self,
        id: TokenId,
        secret: &[u8; 32],
        now: u64,
    ) -> Result<TokenGrant, TokenRefusal> {
        let kept = self.tokens.get(&id).ok_or(TokenRefusal::Wrong)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &id.0);
        hmac::verify(&key, secret, &kept.hash).map_err(|_| TokenRefusal::Wrong)?;
        if kept.is_revoked {
            return Err(TokenRefusal::Revoked);
        }
        if now >= kept.expires {
            return Err(TokenRefusal::Expired);
        }
        if kept.uses.is_some_and(|uses| kept.used >= uses) {
            return Err(TokenRefusal::UsedUp);
        }
        Ok(TokenGrant {
            id,
            makes_voters: kept.makes_voters,
            counted_by: kept.uses.map(|_| kept.home.clone()),
        })
    }

    /// Counts a use, at the token's home, before somebody is let in: a limited token is never used more often than it may.
    ///
    /// # Errors
    /// [`TokenRefusal`]; nothing was counted.
    pub fn spend(&mut self, id: TokenId, now: u64) -> Result<(), TokenRefusal> {
        let kept = self.tokens.get_mut(&id).ok_or(TokenRefusal::Wrong)?;
        if kept.is_revoked {
            return Err(TokenRefusal::Revoked);
        }
        if now >= kept.expires {
            return Err(TokenRefusal::Expired);
        }
        if kept.uses.is_some_and(|uses| kept.used >= uses) {
            return Err(TokenRefusal::UsedUp);
        }
        kept.used = kept.used.saturating_add(1);
        Ok(())
    }

    /// Takes over what another member knows: its tokens, what was revoked, and the higher count of each. Tokens that are over for a day are
    /// not taken, nor are more than may be kept.
    pub fn merge(&mut self, other: Self, now: u64) {
        for (id, theirs) in other.tokens {
            if let Some(ours) = self.tokens.get_mut(&id) {
                ours.is_revoked |= theirs.is_revoked;
                ours.used = ours.used.max(theirs.used);
            } else if theirs.is_kept(now) && self.tokens.len() < TOKENS_MAX {
                self.tokens.insert(id, theirs);
            }
        }
        self.tokens.retain(|_, kept| kept.is_kept(now));
    }

    /// A node has joined with it.
    pub fn note_use(&mut self, id: TokenId) {
        if let Some(kept) = self.tokens.get_mut(&id) {
            kept.used = kept.used.saturating_add(1);
        }
    }

    /// Takes a token back: nobody joins with it any more. False when there is none.
    pub fn revoke(&mut self, id: TokenId) -> bool {
        self.tokens
            .get_mut(&id)
            .map(|kept| kept.is_revoked = true)
            .is_some()
    }

    /// All tokens, in order of their making.
    #[must_use]
    pub fn list(&self) -> Vec<TokenInfo> {
        let mut all: Vec<TokenInfo> = self
            .tokens
            .iter()
            .map(|(id, kept)| TokenInfo {
                id: *id,
                created: kept.created,
                expires: kept.expires,
                uses: kept.uses,
                used: kept.used,
                is_revoked: kept.is_revoked,
                makes_voters: kept.makes_voters,
                home: kept.home.clone(),
            })
            .collect();
        all.sort_by_key(|info| (info.created, info.id));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> TokenTerms {
        TokenTerms {
            expires: 1000,
            uses: Some(2),
            makes_voters: true,
        }
    }

    fn token(store: &mut TokenStore) -> JoinToken {
        let home = Name::new("n1").expect("valid");
        store
            .create(7, [3; 32], terms(), &home, 10)
            .expect("makes one")
    }

    #[test]
    fn a_token_survives_being_copied_and_a_mistyped_one_is_found_out() {
        let token = token(&mut TokenStore::default());
        let text = token.reveal();
        assert_eq!(text.parse::<JoinToken>(), Ok(token));
        assert_eq!(
            text[..text.len() - 1].parse::<JoinToken>(),
            Err(TokenError::Malformed)
        );
        let mut mistyped = text.into_bytes();
        mistyped[20] = if mistyped[20] == b'A' { b'B' } else { b'A' };
        let mistyped = String::from_utf8(mistyped).expect("ascii");
        assert_eq!(mistyped.parse::<JoinToken>(), Err(TokenError::Malformed));
        assert_eq!("".parse::<JoinToken>(), Err(TokenError::Malformed));
    }

    #[test]
    fn a_token_expires_is_used_up_and_is_revoked() {
        let mut store = TokenStore::default();
        let token = token(&mut store);
        let check = |store: &TokenStore, now| store.check(token.id, &token.secret, now).err();
        assert_eq!(check(&store, 999), None);
        assert_eq!(check(&store, 1000), Some(TokenRefusal::Expired));
        store.note_use(token.id);
        assert_eq!(check(&store, 11), None);
        store.note_use(token.id);
        assert_eq!(check(&store, 11), Some(TokenRefusal::UsedUp));
        assert!(store.revoke(token.id));
        assert_eq!(check(&store, 11), Some(TokenRefusal::Revoked));
        assert_eq!(
            store.check(token.id, &[0; 32], 11).err(),
            Some(TokenRefusal::Wrong)
        );
    }

    #[test]
    fn neither_what_is_kept_nor_what_is_logged_has_the_secret() {
        let mut store = TokenStore::default();
        let token = token(&mut store);
        let kept = postcard::to_allocvec(&store).expect("serializes");
        assert!(
            !kept
                .windows(8)
                .any(|w| token.secret.windows(8).any(|s| s == w)),
            "no part of the secret is kept"
        );
        let logged = format!("{token:?} {:?}", store.list());
        assert!(!logged.contains(&token.reveal()[PREFIX.len()..][60..90]));
    }

    #[test]
    fn a_limited_token_is_spent_no_more_often_than_it_may_whoever_hears_of_it_when() {
        let mut home = TokenStore::default();
        let token = token(&mut home);
        let mut other = TokenStore::default();
        other.merge(home.clone(), 10);
        let grant = other.check(token.id, &token.secret, 10).expect("is known");
        assert_eq!(grant.counted_by.expect("is counted").as_str(), "n1");
        assert_eq!(home.spend(token.id, 10), Ok(()));
        other.merge(home.clone(), 10);
        assert_eq!(home.spend(token.id, 10), Ok(()));
        assert_eq!(home.spend(token.id, 10), Err(TokenRefusal::UsedUp));
        // An old copy takes nothing back.
        home.merge(other.clone(), 10);
        assert_eq!(home.spend(token.id, 10), Err(TokenRefusal::UsedUp));
        assert!(other.revoke(token.id));
        home.merge(other, 10);
        assert_eq!(home.spend(token.id, 10), Err(TokenRefusal::Revoked));
    }
}

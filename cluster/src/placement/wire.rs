//! The messages of placement. Versioned, bounded, parsed whole.

use super::label::Labels;
use super::standing::{DECLARED_MAX, Declared, Edition, PLACED_MAX, Standing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use swarm_protocols::Path;

const VERSION: u8 = 1;

/// Why bytes are no message of placement. Nothing took effect; the same bytes fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementWireError {
    /// There is not even a version.
    #[error("the message is empty")]
    Empty,
    /// Another version.
    #[error("version {found} of the message is not {VERSION}")]
    Version {
        /// The version it says.
        found: u8,
    },
    /// It does not parse.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] postcard::Error),
    /// It says that it has more than may be, is out of order, or goes on behind its end.
    #[error("the message has more than it may have, or is out of order")]
    OutOfBounds,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// What the sender has and holds; the higher version is the later one.
    Standing {
        version: u64,
        /// Which version of the receiver's standing the sender knows; 0 for none, as after it held the receiver for down.
        knows: u64,
        standing: Standing,
    },
    /// The sender knows the receiver's standing of this version.
    Heard { version: u64 },
}

#[derive(Serialize, Deserialize)]
enum Wire {
    Standing {
        version: u64,
        knows: u64,
        labels: Labels,
        is_draining: bool,
        room: Option<u32>,
        edition: Edition,
        declared: Vec<Declared>,
        holds: Paths,
        claims: Paths,
    },
    Heard {
        version: u64,
    },
}

/// Some of the children of a manifest.
#[derive(Serialize, Deserialize)]
struct Paths {
    held: Vec<Held>,
    /// What is declared no longer.
    others: Vec<Path>,
}

/// Which children of one declaration are meant: by place among the declared, and by ranges of replicas (none for the child itself).
#[derive(Serialize, Deserialize)]
struct Held {
    declared: u32,
    ranges: Vec<(u32, u32)>,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let wire = match self {
            Self::Heard { version } => Wire::Heard { version: *version },
            Self::Standing {
                version,
                knows,
                standing,
            } => wire_of(*version, *knows, standing),
        };
        let mut bytes = vec![VERSION];
        // Plain data into memory: there is nothing that could fail.
        bytes.extend(postcard::to_allocvec(&wire).unwrap_or_default());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, PlacementWireError> {
        let (version, rest) = bytes.split_first().ok_or(PlacementWireError::Empty)?;
        if *version != VERSION {
            return Err(PlacementWireError::Version { found: *version });
        }
        let (wire, rest) = postcard::take_from_bytes::<Wire>(rest)?;
        if !rest.is_empty() {
            return Err(PlacementWireError::OutOfBounds);
        }
        match wire {
            Wire::Heard { version } => Ok(Self::Heard { version }),
            Wire::Standing {
                version,
                knows,
                labels,
                is_draining,
                room,
                edition,
                declared,
                holds,
                claims,
            } => {
                let in_order = declared.windows(2).all(|pair| pair[0].path < pair[1].path);
                let count: u64 = declared.iter().map(|d| u64::from(d.count())).sum();
                let is_bounded = declared.len() <= DECLARED_MAX
                    && count <= u64::from(PLACED_MAX)
                    && holds.is_bounded()
                    && claims.is_bounded();
                if !in_order || !is_bounded {
                    return Err(PlacementWireError::OutOfBounds);
                }
                let holds = holds.of(&declared)?;
                let claims = claims.of(&declared)?;
                let standing = Standing {
                    labels,
                    is_draining,
                    room,
                    edition,
                    declared,
                    holds,
                    claims,
                };
                Ok(Self::Standing {
                    version,
                    knows,
                    standing,
                })
            }
        }
    }
}

fn wire_of(version: u64, knows: u64, standing: &Standing) -> Wire {
    Wire::Standing {
        version,
        knows,
        labels: standing.labels.clone(),
        is_draining: standing.is_draining,
        room: standing.room,
        edition: standing.edition,
        declared: standing.declared.clone(),
        holds: Paths::new(&standing.holds, &standing.declared),
        claims: Paths::new(&standing.claims, &standing.declared),
    }
}

impl Paths {
    fn new(paths: &BTreeSet<Path>, declared: &[Declared]) -> Self {
        let mut others = paths.clone();
        let mut held = Vec::new();
        for (at, declared) in declared.iter().enumerate() {
            let mut ranges: Vec<(u32, u32)> = Vec::new();
            let mut add = |n: u32, path: Option<Path>| {
                if !path.is_some_and(|path| others.remove(&path)) {
                    return;
                }
                match ranges.last_mut() {
                    Some((_, last)) if *last + 1 == n => *last = n,
                    _ => ranges.push((n, n)),
                }
            };
            match declared.replicas {
                None => add(0, Some(declared.path.clone())),
                Some(replicas) => (1..=replicas).for_each(|n| add(n, declared.replica(n))),
            }
            if !ranges.is_empty() {
                held.push(Held {
                    declared: u32::try_from(at).unwrap_or(u32::MAX),
                    ranges,
                });
            }
        }
        Self {
            held,
            others: others.into_iter().collect(),
        }
    }

    fn is_bounded(&self) -> bool {
        self.held.len() <= DECLARED_MAX && self.others.len() <= PLACED_MAX as usize
    }

    fn of(self, declared: &[Declared]) -> Result<BTreeSet<Path>, PlacementWireError> {
        let mut paths: BTreeSet<Path> = self.others.into_iter().collect();
        for held in self.held {
            let declared = usize::try_from(held.declared)
                .ok()
                .and_then(|at| declared.get(at))
                .ok_or(PlacementWireError::OutOfBounds)?;
            // Ranges rise, and the number of replicas was checked: this ends.
            let mut next = 0;
            for (first, last) in held.ranges {
                let is_sound = next <= first && first <= last;
                match declared.replicas {
                    None if is_sound && last == 0 => {
                        paths.insert(declared.path.clone());
                    }
                    Some(replicas) if is_sound && 1 <= first && last <= replicas => {
                        paths.extend((first..=last).filter_map(|n| declared.replica(n)));
                    }
                    None | Some(_) => return Err(PlacementWireError::OutOfBounds),
                }
                next = last + 1;
            }
        }
        Ok(paths)
    }
}

//! The subjects: one module each, with the same work in it.

use crate::sample::Sample;
use crate::workload::{Bench, Scale};

pub(crate) mod figures;
mod kameo;
mod ractor;
mod swarm;
mod tokio;

/// What is measured, and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// This project.
    Swarm,
    /// ractor with this workspace's features: the crate underneath.
    Ractor,
    /// ractor with its default features, in a program of its own.
    RactorDefault,
    /// Another actor library on tokio.
    Kameo,
    /// Tasks and channels, without actors.
    Tokio,
    /// The original.
    Erlang,
}

impl Subject {
    pub(crate) const ALL: [Self; 6] = [
        Self::Swarm,
        Self::Ractor,
        Self::RactorDefault,
        Self::Kameo,
        Self::Tokio,
        Self::Erlang,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Swarm => "swarm",
            Self::Ractor => "ractor",
            Self::RactorDefault => "ractor-default",
            Self::Kameo => "kameo",
            Self::Tokio => "tokio",
            Self::Erlang => "erlang",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }

    /// Runs one sample in this process. `None` where the subject has nothing to show in this bench, or is a program of
    /// its own.
    pub(crate) fn run(self, bench: Bench, scale: Scale) -> Option<Sample> {
        match self {
            Self::Swarm => Some(swarm::run(bench, scale)),
            Self::Ractor => ractor::run(bench, scale),
            Self::Kameo => kameo::run(bench, scale),
            Self::Tokio => tokio::run(bench, scale),
            Self::RactorDefault | Self::Erlang => None,
        }
    }
}

//! The one subject of this program.

use crate::sample::Sample;
use crate::workload::{Bench, Scale};

#[path = "../../src/subjects/figures.rs"]
pub(crate) mod figures;
#[path = "../../src/subjects/ractor/mod.rs"]
mod ractor;

pub(crate) struct Subject;

impl Subject {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        (name == "ractor").then_some(Self)
    }

    pub(crate) fn run(self, bench: Bench, scale: Scale) -> Option<Sample> {
        ractor::run(bench, scale)
    }
}

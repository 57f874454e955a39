//! A node for the run alone: the tree of a manifest, without an API.

use super::{Ended, Run};
use crate::failure::Failure;
use crate::output::Output;
use std::path::Path;
use swarm_protocols::Name;

pub(super) struct Embedded;

impl Embedded {
    pub(super) async fn start(_: Output, _: &Path, _: &Name) -> Result<Self, Failure> {
        todo!()
    }
    pub(super) async fn run(&self, _: Run<'_>) -> Result<Ended, Failure> {
        todo!()
    }
    pub(super) async fn stop(self) {}
}

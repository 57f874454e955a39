//! The journal on disk, row by row: the same tests as the journal in memory.

mod common;

swarm_actors::journal_kit!(crate::common::DiskFixture::new());

//! The journal in memory, row by row.

swarm_actors::journal_kit!(swarm_actors::journal::kit::MemoryFixture::new());

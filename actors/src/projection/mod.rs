//! Projections: what is read out of the events of many streams, kept ready to be asked.
//!
//! A projection is a function of events in the order of their positions. Its *view* is what they come to so far, its *offset* the
//! position up to where. Both are saved together, in one snapshot of the journal's, so that after a crash no event is applied
//! twice to a view and none is left out. A view can be made anew at any time, and is, when its form has changed.
//!
//! What it is not: up to date. It follows the journal; how far it is behind is its *lag*, a metric of its node
//! (`swarm_projection_lag`). What was truncated before the projection came to it is not in its view.
//!
//! [`Projector`] is a projection at work, driven by whoever has it; [`ProjectionAgent`] is one that follows by itself.

mod agent;
mod projector;

pub use agent::{FOLLOW_INTERVAL, ProjectionAgent, ProjectionMessage, ProjectionRef, Reading};
pub use projector::{Lag, Projection, ProjectionFailed, Projector, SAVE_AFTER_EVENTS};

//! `event-counts`: how often each durable agent of the node was changed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use swarm_actors::journal::Recorded;
use swarm_actors::projection::Projection;

/// Of how many streams events are counted one by one; those of others together.
const STREAMS_MAX: usize = 10_000;

/// Counts the events in the node's journal, stream by stream.
#[derive(Clone, Copy, Debug)]
pub struct EventCounts;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCountsView {
    /// All events.
    pub events: u64,
    /// By stream: the paths of agents, and what else is recorded.
    pub streams: BTreeMap<String, u64>,
    /// Events of streams that came when there were 10 000.
    pub others: u64,
}

impl Projection for EventCounts {
    type View = EventCountsView;

    fn apply(&self, view: &mut EventCountsView, event: &Recorded) {
        view.events += 1;
        let name = event.stream.as_str();
        let has_room = view.streams.len() < STREAMS_MAX;
        match view.streams.get_mut(name) {
            Some(count) => *count += 1,
            None if has_room => {
                view.streams.insert(name.to_owned(), 1);
            }
            None => view.others += 1,
        }
    }
}

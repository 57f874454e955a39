//! Where placed children run.

use crate::api::server::Api;
use crate::api::types::{PlacedNowhere, PlacementAnswer, PlacementNode};
use crate::node::PlacedNode;
use axum::Json;
use axum::extract::State;
use swarm_cluster::placement::NoPlace;

pub(in crate::api) async fn show(State(api): State<Api>) -> Json<PlacementAnswer> {
    let view = api.node.placed();
    let nowhere = view.nowhere.iter().map(|(path, why)| PlacedNowhere {
        path: path.to_string(),
        why: match why {
            NoPlace::NoNode => "no-node",
            NoPlace::NoRoom => "no-room",
        }
        .to_owned(),
    });
    Json(PlacementAnswer {
        nowhere: nowhere.collect(),
        is_settled: view.is_settled,
        nodes: view.nodes.into_iter().map(node).collect(),
    })
}

fn node(node: PlacedNode) -> PlacementNode {
    let labels = node.labels.iter();
    PlacementNode {
        name: node.name.to_string(),
        labels: labels
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
        is_draining: node.is_draining,
        room: node.room,
        generation: node.edition.generation,
        holds: node.holds.iter().map(ToString::to_string).collect(),
    }
}

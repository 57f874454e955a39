//! The tree: seen, and started again.

use super::{no_such_actor, path_of};
use crate::api::fault::Fault;
use crate::api::input::{NoBody, QueryOf};
use crate::api::server::Api;
use crate::api::types::{TreeNode, TreeQuery, TreeStartAnswer};
use crate::api::view;
use crate::node::StartTreeError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use swarm_protocols::Path;

pub(in crate::api) async fn tree(
    State(api): State<Api>,
    QueryOf(query): QueryOf<TreeQuery>,
) -> Result<Json<TreeNode>, Fault> {
    let top = match &query.path {
        Some(text) => path_of(text)?,
        None => Path::root(),
    };
    let actors = api.node.system().actors();
    match view::tree(&api.node.manifest(), &actors, &top, query.depth) {
        Some(node) => Ok(Json(node)),
        None => Err(no_such_actor(&top)),
    }
}

pub(in crate::api) async fn start(
    State(api): State<Api>,
    NoBody: NoBody,
) -> Result<Json<TreeStartAnswer>, Fault> {
    api.node.start_tree().await.map_err(|error| match &error {
        StartTreeError::NotFailed(state) => Fault::new(
            StatusCode::CONFLICT,
            "tree-not-failed",
            format!("the tree is {state}"),
            "only a tree that failed can be started again",
        ),
        StartTreeError::Failed(_) => Fault::new(
            StatusCode::CONFLICT,
            "tree-did-not-start",
            error.to_string(),
            "`swarmctl events` shows what failed; mend it and try again",
        ),
    })?;
    Ok(Json(TreeStartAnswer {
        state: api.node.state().0,
        actors: api.node.system().actors().len() as u64,
    }))
}

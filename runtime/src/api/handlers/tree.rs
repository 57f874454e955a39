//! The tree: seen, and started again.

use super::{no_such_actor, path_of};
use crate::api::fanout::{self, Gathered, Scope};
use crate::api::fault::Fault;
use crate::api::input::{NoBody, QueryOf};
use crate::api::server::Api;
use crate::api::types::{NodeTree, TreeAnswer, TreeQuery, TreeStartAnswer, Unanswered};
use crate::api::view;
use crate::node::StartTreeError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::collections::VecDeque;
use swarm_protocols::Path;

pub(in crate::api) async fn tree(
    State(api): State<Api>,
    scope: Scope,
    QueryOf(query): QueryOf<TreeQuery>,
) -> Result<Json<TreeAnswer>, Fault> {
    let top = match &query.path {
        Some(text) => path_of(text)?,
        None => Path::root(),
    };
    let others: Gathered<TreeAnswer> = fanout::gather(&api, scope, "/v1/tree", &query).await;
    let mut unanswered = others.unanswered;
    let mut others: VecDeque<NodeTree> = others
        .answers
        .into_iter()
        .map(|(node, answer)| NodeTree {
            node,
            tree: answer.tree,
        })
        .collect();
    let actors = api.node.system().actors();
    let own = view::tree(&api.node.manifest(), &actors, &top, query.depth).map(|tree| NodeTree {
        node: api.node.name().to_string(),
        tree,
    });
    let first = own.or_else(|| others.pop_front());
    let Some(NodeTree { node, tree }) = first else {
        return Err(no_such_actor(&top));
    };
    // Where there is no such place nothing is missing.
    unanswered.retain(|other: &Unanswered| other.why != fanout::NOT_THERE);
    Ok(Json(TreeAnswer {
        tree,
        node,
        others: others.into(),
        unanswered,
    }))
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

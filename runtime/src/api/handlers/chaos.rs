//! Chaos runs.
use crate::api::fault::Fault;
use crate::api::server::Api;
use axum::extract::State;
use axum::http::StatusCode;

#[derive(Default)]
pub(in crate::api) struct Runs;

fn not_yet() -> Fault {
    Fault::new(
        StatusCode::NOT_IMPLEMENTED,
        "not-implemented",
        "not there yet",
        "",
    )
}
pub(in crate::api) async fn start(State(_): State<Api>) -> Fault {
    not_yet()
}
pub(in crate::api) async fn show(State(_): State<Api>) -> Fault {
    not_yet()
}
pub(in crate::api) async fn stop(State(_): State<Api>) -> Fault {
    not_yet()
}

//! Jobs.
use crate::api::fault::Fault;
use crate::api::server::Api;
use axum::extract::State;
use axum::http::StatusCode;

pub(in crate::api) async fn perform(State(_): State<Api>) -> Fault {
    Fault::new(
        StatusCode::NOT_IMPLEMENTED,
        "not-implemented",
        "not there yet",
        "",
    )
}

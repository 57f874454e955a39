//! How a request fails: one JSON form for every status.

use super::types::{ApiError, ErrorAnswer};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) error: ApiError,
}

impl Fault {
    pub(super) fn new(
        status: StatusCode,
        code: &str,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error: ApiError {
                code: code.to_owned(),
                message: message.into(),
                next_step: next_step.into(),
            },
        }
    }

    /// A field or parameter that has the right type and a value that is not allowed.
    pub(super) fn invalid(
        field: &str,
        message: impl std::fmt::Display,
        next_step: impl Into<String>,
    ) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-value",
            format!("{field}: {message}"),
            next_step,
        )
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorAnswer { error: self.error })).into_response()
    }
}

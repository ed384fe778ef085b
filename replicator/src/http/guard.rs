//! Who may ask what: nobody through a web page, and where a token is configured only those who show it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refuse;
use crate::config::Http;

/// Asked by probes, which have no secret; what they are told without one holds none.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Whether a request may have the reasons, which name tables and quote errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// It has shown the token, or none is configured.
    Known,
    /// It asks for what is open to all.
    Unknown,
}

/// Lets a request through with its [`Asker`], or refuses it.
pub(super) async fn judge(State(http): State<Arc<Http>>, mut request: Request, next: Next) -> Response {
    // A page in someone's browser can send requests to loopback, and a pause must not come from there. Browsers say so by
    // this header; other clients do not send it.
    if request.method() == axum::http::Method::POST && request.headers().contains_key(header::ORIGIN) {
        return refuse(
            StatusCode::FORBIDDEN,
            "requests that change something are not taken from web pages; use concord or curl".to_owned(),
        );
    }
    let asker = match http.token() {
        Ok(None) => Asker::Known,
        Ok(Some(token)) if shown(&request).is_some_and(|shown| token.is(shown)) => Asker::Known,
        Ok(Some(_)) => Asker::Unknown,
        Err(error) => {
            tracing::error!("requests over HTTP are refused: {error}");
            Asker::Unknown
        }
    };
    if asker == Asker::Unknown && !OPEN.contains(&request.uri().path()) {
        let error = "this needs the token of token_file in [region.http], as the header `Authorization: Bearer TOKEN`";
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (challenge, refuse(StatusCode::UNAUTHORIZED, error.to_owned())).into_response();
    }
    request.extensions_mut().insert(asker);
    next.run(request).await
}

/// The token that a request shows.
fn shown(request: &Request) -> Option<&[u8]> {
    let shown = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = shown.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

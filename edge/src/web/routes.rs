//! From a request to an answer.

use std::sync::Arc;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode, Uri, header};

use super::answer::{Answer, error, json, messages, text};
use super::guard::Guard;
use super::{PageShared, clips, events, files, thresholds};

/// Longest body of a request, bytes.
const MAX_BODY: usize = 4096;

/// A body has this long to come.
const BODY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Answers `request`, unless it may not be answered.
pub(super) async fn answer(request: Request<Incoming>, guard: &Guard, shared: Arc<PageShared>) -> Answer {
    if let Err(refusal) = guard.check(&request).await {
        return refusal;
    }
    let path = request.uri().path().to_string();
    match (request.method(), path.as_str()) {
        (&Method::GET | &Method::HEAD, path) if !is_changed(path) => get(path, request.uri(), &request, shared).await,
        (&Method::POST, path) if is_changed(path) => change(path, request, shared).await,
        (_, path) => {
            let allowed = if is_changed(path) { "POST" } else { "GET, HEAD" };
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("The methods allowed here: {allowed}.\n"));
            answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
            answer
        }
    }
}

/// Whether requests change what is at `path`.
fn is_changed(path: &str) -> bool {
    matches!(path, "/api/thresholds" | "/api/clips/mark" | "/api/clips/delete")
}

async fn get(path: &str, uri: &Uri, request: &Request<Incoming>, shared: Arc<PageShared>) -> Answer {
    match path {
        "/api/about" => json(&shared.site.about()),
        "/api/health" => aside(move || json(&(shared.site.shown.health)())).await,
        "/api/live" => match shared.live.watch() {
            Some(body) => messages(body),
            None => {
                error(StatusCode::SERVICE_UNAVAILABLE, "too many browsers are connected at once: close one of them")
            }
        },
        "/api/events" | "/api/events.csv" | "/api/events.json" => {
            let (path, query) = (path.to_string(), uri.query().unwrap_or_default().to_string());
            aside(move || events::answer(&path, &query, &shared)).await
        }
        "/api/preview" => {
            let query = uri.query().unwrap_or_default().to_string();
            aside(move || thresholds::preview(&query, &shared.site)).await
        }
        path if path.starts_with("/api/clips/") => {
            let (name, headers) = (path["/api/clips/".len()..].to_string(), request.headers().clone());
            aside(move || clips::sound(&name, &headers, &shared.site)).await
        }
        _ => files::answer(path, request.headers()),
    }
}

/// Slow work, on a thread of its own, so that the messages continue.
async fn aside(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let failed = || error(StatusCode::INTERNAL_SERVER_ERROR, "the request failed: see the log of the daemon");
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| failed())
}

async fn change(path: &str, request: Request<Incoming>, shared: Arc<PageShared>) -> Answer {
    let body = tokio::time::timeout(BODY_PATIENCE, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let bytes = match body {
        Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in full"),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long");
        }
        Ok(Err(_)) => return error(StatusCode::BAD_REQUEST, "the request did not arrive in full"),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let path = path.to_string();
    let work = move || match path.as_str() {
        "/api/clips/mark" => clips::mark(&bytes, &shared.site),
        "/api/clips/delete" => clips::delete(&bytes, &shared.site),
        _ => thresholds::write(&bytes, &shared.site),
    };
    aside(work).await
}

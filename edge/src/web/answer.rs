//! Answers and their headers.

use std::convert::Infallible;

use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// A whole body, or one that continues.
pub(super) type Answer = Response<Either<Full<Bytes>, Channel<Bytes, Infallible>>>;

/// The page is made of its own files, runs no script of the document, loads nothing from elsewhere,
/// and is shown in no other page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A body of one type.
pub(super) fn body(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Answer {
    finished(status, kind, Either::Left(Full::new(bytes.into())))
}

/// A sentence.
pub(super) fn text(status: StatusCode, words: impl Into<String>) -> Answer {
    let mut answer = body(status, "text/plain; charset=utf-8", words.into());
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"Earwitness\", charset=\"UTF-8\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}

/// A JSON document.
pub(super) fn json(value: &Value) -> Answer {
    body(StatusCode::OK, "application/json", value.to_string())
}

/// What went wrong, for the page's scripts.
pub(super) fn error(status: StatusCode, words: impl Into<String>) -> Answer {
    body(status, "application/json", json!({ "error": words.into() }).to_string())
}

/// Messages that come one after another.
pub(super) fn messages(messages: Channel<Bytes, Infallible>) -> Answer {
    finished(StatusCode::OK, "text/event-stream", Either::Right(messages))
}

/// A file for the reader to keep, called `name`.
pub(super) fn download(kind: &'static str, name: &str, bytes: String) -> Answer {
    let mut answer = body(StatusCode::OK, kind, bytes);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    answer
}

fn finished(status: StatusCode, kind: &'static str, body: Either<Full<Bytes>, Channel<Bytes, Infallible>>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // What is heard now is not what was heard before.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

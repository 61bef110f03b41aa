//! The files of the page, which are part of the program.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::answer::{Answer, body, text};

/// A file: its path, its type, its bytes.
type File = (&'static str, &'static str, &'static [u8]);

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [File; 11] = [
    ("/", "text/html; charset=utf-8", include_bytes!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("page/page.css")),
    ("/icon.svg", "image/svg+xml", include_bytes!("page/icon.svg")),
    ("/app.js", JAVASCRIPT, include_bytes!("page/app.js")),
    ("/dom.js", JAVASCRIPT, include_bytes!("page/dom.js")),
    ("/live.js", JAVASCRIPT, include_bytes!("page/live.js")),
    ("/strip.js", JAVASCRIPT, include_bytes!("page/strip.js")),
    ("/events.js", JAVASCRIPT, include_bytes!("page/events.js")),
    ("/clips.js", JAVASCRIPT, include_bytes!("page/clips.js")),
    ("/thresholds.js", JAVASCRIPT, include_bytes!("page/thresholds.js")),
    ("/health.js", JAVASCRIPT, include_bytes!("page/health.js")),
];

/// By which a browser asks whether what it has is still right: of all files, which change together.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    FILES.iter().for_each(|(_, _, bytes)| hash.update(bytes));
    let hex: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
});

/// The file at `path`, if there is one.
pub(super) fn answer(path: &str, headers: &HeaderMap) -> Answer {
    let Some((_, kind, bytes)) = FILES.iter().find(|(known, _, _)| *known == path) else {
        return text(StatusCode::NOT_FOUND, "There is nothing here: the page is at /\n");
    };
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == TAG.as_bytes());
    let mut answer =
        if is_known { body(StatusCode::NOT_MODIFIED, kind, "") } else { body(StatusCode::OK, kind, *bytes) };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

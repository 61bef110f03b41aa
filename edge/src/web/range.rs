//! A part of a body, where only that is asked for (RFC 9110, section 14). Safari asks for the first
//! two bytes of what it is to play, and plays nothing from a server that sends all of it then.

use std::ops::Range;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::answer::{Answer, body, text};

/// What is asked for of a body.
#[derive(Debug, PartialEq)]
enum Wanted {
    All,
    Part(Range<usize>),
    /// Something after its end.
    Nothing,
}

/// What the request with these `headers` asks for of a body.
pub(super) fn answer(kind: &'static str, bytes: Vec<u8>, headers: &HeaderMap) -> Answer {
    let bytes = Bytes::from(bytes);
    let n_bytes = bytes.len();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    // What is sent has no version that could be compared with that of a condition.
    let range = range.filter(|_| !headers.contains_key(header::IF_RANGE));
    let (mut answer, range) = match range.map_or(Wanted::All, |range| wanted(range, n_bytes)) {
        Wanted::All => (body(StatusCode::OK, kind, bytes), None),
        Wanted::Part(part) => {
            let range = format!("bytes {}-{}/{n_bytes}", part.start, part.end - 1);
            (body(StatusCode::PARTIAL_CONTENT, kind, bytes.slice(part)), Some(range))
        }
        Wanted::Nothing => {
            let words = format!("There are {n_bytes} bytes.\n");
            (text(StatusCode::RANGE_NOT_SATISFIABLE, words), Some(format!("bytes */{n_bytes}")))
        }
    };
    let headers = answer.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    answer
}

/// What `range` asks for of `n_bytes`. All of them is an answer to everything but one range of
/// bytes, such as several.
fn wanted(range: &str, n_bytes: usize) -> Wanted {
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'));
    let number = |text: &str| if text.is_empty() { Some(None) } else { digits(text).map(Some) };
    match bounds.and_then(|(first, last)| number(first).zip(number(last))) {
        Some((Some(first), Some(last))) if first > last => Wanted::All,
        Some((Some(first), _)) if first >= n_bytes => Wanted::Nothing,
        Some((Some(first), last)) => {
            Wanted::Part(first..last.map_or(n_bytes, |last| n_bytes.min(last.saturating_add(1))))
        }
        // The last ones.
        Some((None, Some(n))) if n == 0 || n_bytes == 0 => Wanted::Nothing,
        Some((None, Some(n))) => Wanted::Part(n_bytes.saturating_sub(n)..n_bytes),
        Some((None, None)) | None => Wanted::All,
    }
}

fn digits(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_a_part_and_anything_else_is_all_of_them() {
        for (range, part) in [
            ("bytes=0-1", 0..2),
            ("bytes=0-", 0..10),
            ("bytes=3-3", 3..4),
            ("bytes=4-99999999999999999999999", 4..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
        ] {
            assert_eq!(wanted(range, 10), Wanted::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=10-11", "bytes=99999999999999999999999-", "bytes=-0"] {
            assert_eq!(wanted(range, 10), Wanted::Nothing, "{range}");
        }
        assert_eq!(wanted("bytes=-1", 0), Wanted::Nothing);
        for range in ["", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,4-5", "bytes=+0-1", "lines=0-1"] {
            assert_eq!(wanted(range, 10), Wanted::All, "{range}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_judged_gets_all() {
        let status = |headers: &[(header::HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
            answer("audio/flac", b"fLaC".to_vec(), &headers).status()
        };
        assert_eq!(status(&[(header::RANGE, "bytes=0-1")]), StatusCode::PARTIAL_CONTENT);
        assert_eq!(status(&[(header::RANGE, "bytes=4-")]), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(status(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"x\"")]), StatusCode::OK);
    }
}

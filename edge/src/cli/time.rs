//! Times as people type them.

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Unit};

/// A time such as `2026-01-31T12:00:00Z`, or a span until now such as `90min`, `24h` or `7d`, in
/// which a day has 24 hours.
///
/// # Errors
///
/// When it is neither.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    since_at(text, Timestamp::now())
}

fn since_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let expected = || "expected a span such as 90min, 24h or 7d, or a time such as 2026-01-31T12:00:00Z".to_string();
    let span: Span = text.parse().map_err(|_| expected())?;
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| expected())?;
    let ago = SignedDuration::try_from_secs_f64(seconds.abs()).map_err(|_| expected())?;
    now.checked_sub(ago).map_err(|_| expected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_are_understood() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let since = |text| since_at(text, now).map(|time| time.to_string());
        assert_eq!(since("24h").unwrap(), "2026-01-30T12:00:00Z");
        assert_eq!(since("7d").unwrap(), "2026-01-24T12:00:00Z");
        assert_eq!(since("1d 90min").unwrap(), "2026-01-30T10:30:00Z");
        assert_eq!(since("2026-01-31T13:00:00+02:00").unwrap(), "2026-01-31T11:00:00Z");
        for text in ["", "24", "yesterday", "1 month", "99999999d"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}

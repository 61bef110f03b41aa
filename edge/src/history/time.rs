//! Points in time as people type them: words enter, a timestamp leaves.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// What can be typed, for messages.
const FORMS: &str =
    "how long ago (24h, 90min, 7d), or when (2026-01-31, \"2026-01-31 18:00\", 18:00, today, yesterday), or all";

/// The point in time that `text` means, seen from `now` in `zone`; `None` for one before
/// everything.
///
/// # Errors
///
/// What is wrong with the text, and what is expected instead.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    let now = now.to_zoned(zone.clone());
    let at = |zoned: Result<Zoned, jiff::Error>| zoned.ok().map(|zoned| zoned.timestamp());
    let found = match text {
        "all" => return Ok(None),
        "now" => Some(now.timestamp()),
        "today" => at(now.start_of_day()),
        "yesterday" => at(now.yesterday().and_then(|day| day.start_of_day())),
        _ => typed(text, &now),
    };
    let found = found.ok_or_else(|| format!("expected {FORMS}; actual {text:?}"))?;
    if found > now.timestamp() {
        return Err(format!("{text:?} is in the future: expected {FORMS}"));
    }
    Ok(Some(found))
}

fn typed(text: &str, now: &Zoned) -> Option<Timestamp> {
    let local = |time: DateTime| time.to_zoned(now.time_zone().clone()).ok().map(|zoned| zoned.timestamp());
    if let Ok(span) = text.trim_end_matches("ago").trim_end().parse::<Span>() {
        return now.checked_sub(span.abs()).ok().map(|zoned| zoned.timestamp());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    // A time alone is the last one that has been.
    if !text.contains('-')
        && let Ok(time) = text.parse::<Time>()
    {
        let today = now.date().to_datetime(time);
        let time = if today > now.datetime() { now.date().yesterday().ok()?.to_datetime(time) } else { today };
        return local(time);
    }
    let date = || text.parse::<Date>().ok().filter(|_| !text.contains([':', 'T']));
    match date() {
        Some(date) => local(date.to_datetime(Time::midnight())),
        None => text.parse::<DateTime>().ok().and_then(local),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_meant() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // A quarter past nine in the evening there.
        let now: Timestamp = "2026-01-31T20:15:00Z".parse().unwrap();
        for (text, expected) in [
            ("24h", "2026-01-30T20:15:00Z"),
            ("90 min", "2026-01-31T18:45:00Z"),
            ("1h30m ago", "2026-01-31T18:45:00Z"),
            ("7d", "2026-01-24T20:15:00Z"),
            ("2 weeks", "2026-01-17T20:15:00Z"),
            ("now", "2026-01-31T20:15:00Z"),
            ("today", "2026-01-30T23:00:00Z"),
            ("yesterday", "2026-01-29T23:00:00Z"),
            ("2026-01-15", "2026-01-14T23:00:00Z"),
            ("2026-01-15 18:00", "2026-01-15T17:00:00Z"),
            ("2026-01-15T18:00:30", "2026-01-15T17:00:30Z"),
            ("2026-01-15T18:00:00Z", "2026-01-15T18:00:00Z"),
            ("18:00", "2026-01-31T17:00:00Z"),
            ("22:00", "2026-01-30T21:00:00Z"),
        ] {
            assert_eq!(parse(text, now, &zone), Ok(Some(expected.parse().unwrap())), "{text}");
        }
        assert_eq!(parse("all", now, &zone), Ok(None));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_expected() {
        let now: Timestamp = "2026-01-31T20:15:00Z".parse().unwrap();
        for text in ["", "soon", "24", "2026-02-30", "h24", "25:00", "9999-99-99", "24h 5"] {
            let error = parse(text, now, &TimeZone::UTC).unwrap_err();
            assert!(error.contains("24h") && error.contains(&format!("{text:?}")), "{text}: {error}");
        }
        assert!(parse("2027-01-01", now, &TimeZone::UTC).unwrap_err().contains("in the future"));
        assert!(parse("99999999 years", now, &TimeZone::UTC).is_err());
    }
}

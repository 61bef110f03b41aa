//! When it is quiet: moments enter, whether they lie in quiet hours leaves, and when those begin
//! and end. No clock is read here.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::QuietRange;

/// How far to look for the beginning or end of quiet hours: every range begins once a week.
const HORIZON_DAYS: i32 = 8;

/// Ranges of local time in one time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    ranges: Vec<QuietRange>,
    zone: TimeZone,
}

/// Why this machine's `zone` is not known and UTC is used instead, if that is so.
pub fn why_unknown(zone: &TimeZone) -> Option<String> {
    let wanted = || std::env::var_os("TZ").filter(|zone| !zone.is_empty());
    zone.is_unknown().then(|| match wanted() {
        Some(zone) => format!("the environment variable TZ is {zone:?}, which is not a time zone"),
        None => "this machine has no time zone".to_string(),
    })
}

impl QuietHours {
    /// The hours of all `ranges` together; without any it is never quiet.
    pub fn new(ranges: Vec<QuietRange>, zone: TimeZone) -> Self {
        QuietHours { ranges, zone }
    }

    /// The ranges.
    pub fn ranges(&self) -> &[QuietRange] {
        &self.ranges
    }

    /// The time zone of the ranges.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The zone's name, for people.
    pub fn zone_name(&self) -> String {
        match (self.why_unknown(), self.zone.iana_name()) {
            (Some(reason), _) => format!("UTC ({reason})"),
            (None, Some(name)) => name.to_string(),
            (None, None) => "this machine's time zone".to_string(),
        }
    }

    /// Why the zone is not known and UTC is used instead, if that is so.
    pub fn why_unknown(&self) -> Option<String> {
        why_unknown(&self.zone)
    }

    /// Whether `time` lies in quiet hours. Their first moment does, their end does not.
    pub fn is_quiet(&self, time: Timestamp) -> bool {
        self.end_of_range(time).is_some()
    }

    /// When the quiet hours end in which `time` lies; `None` if it lies in none or they last for
    /// longer than a week.
    pub fn end(&self, time: Timestamp) -> Option<Timestamp> {
        let horizon = self.date(time)?.checked_add(HORIZON_DAYS.days()).ok()?;
        let mut end = self.end_of_range(time)?;
        // One range may end within another.
        while let Some(later) = self.end_of_range(end) {
            if self.date(later)? > horizon {
                return None;
            }
            end = later;
        }
        Some(end)
    }

    /// When it is going to be quiet after `time`; `None` if it is quiet already, and if it never
    /// is.
    pub fn next_begin(&self, time: Timestamp) -> Option<Timestamp> {
        if self.is_quiet(time) {
            return None;
        }
        self.spans(self.date(time)?, 0, HORIZON_DAYS).map(|(begin, _)| begin).filter(|begin| *begin > time).min()
    }

    /// The latest end among the ranges in which `time` lies.
    fn end_of_range(&self, time: Timestamp) -> Option<Timestamp> {
        // Yesterday's range may reach into today; a change of the clock at midnight may turn today
        // into tomorrow.
        let spans = self.spans(self.date(time)?, -1, 1);
        spans.filter(|(begin, end)| (*begin..*end).contains(&time)).map(|(_, end)| end).max()
    }

    /// Beginnings and ends of all ranges that begin on the days from `first` to `last`, counted
    /// from `date`.
    fn spans(&self, date: Date, first: i32, last: i32) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let dates = (first..=last).filter_map(move |n_days| date.checked_add(n_days.days()).ok());
        dates.flat_map(move |date| self.ranges.iter().filter_map(move |range| range.on(date, &self.zone)))
    }

    fn date(&self, time: Timestamp) -> Option<Date> {
        Some(self.zone.to_datetime(time).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin's rules since 1996, without a database: 2 o'clock becomes 3 on the last Sunday of
    /// March, 3 becomes 2 on that of October.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn hours(ranges: &[&str]) -> QuietHours {
        QuietHours::new(ranges.iter().map(|range| range.parse().unwrap()).collect(), berlin())
    }

    fn utc(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    /// The moments from `first` on for `n_hours`, every ten minutes, at which it is quiet; as spans
    /// of UTC time.
    fn spans(hours: &QuietHours, first: &str, n_hours: i64) -> Vec<String> {
        let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
        for n in 0..n_hours * 6 {
            let time = utc(first) + (10 * n).minutes();
            if !hours.is_quiet(time) {
                continue;
            }
            match spans.last_mut().filter(|(_, last)| *last + 10.minutes() == time) {
                Some((_, last)) => *last = time,
                None => spans.push((time, time)),
            }
        }
        let show = |time: &Timestamp| time.strftime("%d %H:%M").to_string();
        spans.iter().map(|(first, last)| format!("{} to {}", show(first), show(&(*last + 10.minutes())))).collect()
    }

    #[test]
    fn the_first_moment_is_quiet_and_the_end_is_not() {
        let hours = hours(&["22:00-07:00"]);
        for (time, quiet) in [
            ("2026-01-31T20:59:59.999999Z", false),
            ("2026-01-31T21:00:00Z", true),
            ("2026-01-31T23:00:00Z", true),
            ("2026-02-01T05:59:59.999999Z", true),
            ("2026-02-01T06:00:00Z", false),
        ] {
            assert_eq!(hours.is_quiet(utc(time)), quiet, "{time}");
        }
    }

    #[test]
    fn a_range_belongs_to_the_day_on_which_it_begins() {
        // 2026-01-05 is a Monday; Berlin is an hour ahead of UTC.
        let hours = hours(&["mon-fri 22:00-06:30", "sat,sun 23:00-09:00", "wed 12:00-13:00"]);
        assert_eq!(
            spans(&hours, "2026-01-05T11:00:00Z", 7 * 24),
            [
                "05 21:00 to 06 05:30",
                "06 21:00 to 07 05:30",
                "07 11:00 to 07 12:00",
                "07 21:00 to 08 05:30",
                "08 21:00 to 09 05:30",
                "09 21:00 to 10 05:30",
                "10 22:00 to 11 08:00",
                "11 22:00 to 12 08:00",
            ]
        );
    }

    #[test]
    fn a_whole_day_is_a_day_of_local_time() {
        assert_eq!(spans(&hours(&["sun 00:00-24:00"]), "2026-01-09T00:00:00Z", 96), ["10 23:00 to 11 23:00"]);
        // Of 23 hours and of 25.
        assert_eq!(spans(&hours(&["sun 00:00-24:00"]), "2026-03-27T00:00:00Z", 96), ["28 23:00 to 29 22:00"]);
        assert_eq!(spans(&hours(&["sun 00:00-24:00"]), "2026-10-23T00:00:00Z", 96), ["24 22:00 to 25 23:00"]);
    }

    #[test]
    fn in_spring_a_time_that_is_left_out_is_the_moment_of_the_change() {
        let day = |range: &str| spans(&hours(&[range]), "2026-03-28T12:00:00Z", 24);
        assert_eq!(day("22:00-07:00"), ["28 21:00 to 29 05:00"]);
        // 2:30 does not exist; at 1:00 UTC it is 3:00.
        assert_eq!(day("22:00-02:30"), ["28 21:00 to 29 01:00"]);
        assert_eq!(day("02:30-04:00"), ["29 01:00 to 29 02:00"]);
        assert_eq!(day("02:10-02:50"), [""; 0]);
        assert_eq!(day("01:30-02:10"), ["29 00:30 to 29 01:00"]);
    }

    #[test]
    fn in_autumn_a_time_that_comes_twice_makes_the_range_longer() {
        let day = |range: &str| spans(&hours(&[range]), "2026-10-24T12:00:00Z", 24);
        assert_eq!(day("22:00-07:00"), ["24 20:00 to 25 06:00"]);
        // 2:30 is at 0:30 UTC and again at 1:30.
        assert_eq!(day("22:00-02:30"), ["24 20:00 to 25 01:30"]);
        assert_eq!(day("02:30-04:00"), ["25 00:30 to 25 03:00"]);
        assert_eq!(day("02:10-02:50"), ["25 00:10 to 25 01:50"]);
    }

    #[test]
    fn a_change_of_the_clock_at_midnight_is_nothing_special() {
        // The Azores: an hour behind UTC in winter; the clock goes from 0:00 to 1:00 and from 1:00
        // back to 0:00.
        let zone = TimeZone::posix("<-01>1<+00>,M3.5.0/0,M10.5.0/1").unwrap();
        let hours = QuietHours::new(vec!["sun 00:00-00:30".parse().unwrap()], zone);
        assert_eq!(spans(&hours, "2026-03-28T12:00:00Z", 24), [""; 0]);
        assert_eq!(spans(&hours, "2026-10-24T12:00:00Z", 24), ["25 00:00 to 25 01:30"]);
        // Midnight itself comes twice: at 0:00 it becomes 23:00 again.
        let zone = TimeZone::posix("<-01>1<+00>,M3.5.0/0,M10.5.0/0").unwrap();
        let hours = QuietHours::new(vec!["sat 23:20-23:40".parse().unwrap()], zone);
        assert_eq!(spans(&hours, "2026-10-24T12:00:00Z", 24), ["24 23:20 to 25 00:40"]);
    }

    #[test]
    fn beginnings_and_ends_are_found() {
        let hours = hours(&["22:00-02:00", "01:00-05:00", "sat 12:00-13:00"]);
        let noon = utc("2026-01-05T11:00:00Z");
        assert_eq!(hours.next_begin(noon), Some(utc("2026-01-05T21:00:00Z")));
        assert_eq!(hours.end(noon), None);
        let night = utc("2026-01-05T21:30:00Z");
        assert_eq!(hours.next_begin(night), None);
        assert_eq!(hours.end(night), Some(utc("2026-01-06T04:00:00Z")), "the ranges overlap");

        let weekly = super::tests::hours(&["mon 12:00-13:00"]);
        let monday = utc("2026-01-05T11:00:00Z");
        assert_eq!(weekly.end(monday), Some(utc("2026-01-05T12:00:00Z")));
        assert_eq!(weekly.next_begin(utc("2026-01-05T12:00:00Z")), Some(utc("2026-01-12T11:00:00Z")));
    }

    #[test]
    fn it_may_never_be_quiet_and_always() {
        let never = hours(&[]);
        let noon = utc("2026-01-05T11:00:00Z");
        assert_eq!((never.is_quiet(noon), never.next_begin(noon), never.end(noon)), (false, None, None));
        let always = hours(&["00:00-24:00"]);
        assert_eq!((always.is_quiet(noon), always.next_begin(noon), always.end(noon)), (true, None, None));
        for extreme in [Timestamp::MIN, Timestamp::MAX] {
            assert!(!never.is_quiet(extreme));
            let _ = (always.is_quiet(extreme), always.end(extreme), always.next_begin(extreme));
        }
    }
}

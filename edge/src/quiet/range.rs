//! A range of quiet hours as it is written: text such as `mon-fri 22:00-06:30` enters, spans of
//! time on given days leave.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::Deserialize;

const SYNTAX: &str = "a range such as \"22:00-07:00\" or \"mon-fri,sun 22:00-06:30\"";

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// From one local time to another on given days of the week; over midnight where the second is not
/// later than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QuietRange {
    /// By weekday from Monday: whether a range begins on it. It may end on the day after.
    days: [bool; 7],
    from: Time,
    /// Midnight at the end of a day is 00:00 of the next.
    to: Time,
}

impl QuietRange {
    /// The range that begins on `date`, if one does: its first moment, and the first one after it.
    ///
    /// The clock's changes make it no shorter than the local times can be understood: of a time
    /// that comes twice, the beginning takes the first and the end the second; a time that is left
    /// out is the moment of the change.
    pub(super) fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if !self.days[index(date.weekday())] {
            return None;
        }
        let end_date = if self.to <= self.from { date.tomorrow().ok()? } else { date };
        let begin = moment(date.to_datetime(self.from), zone, false)?;
        let end = moment(end_date.to_datetime(self.to), zone, true)?;
        (begin < end).then_some((begin, end))
    }
}

/// When the clocks of `zone` show `time`, for the last time or for the first.
fn moment(time: DateTime, zone: &TimeZone, last: bool) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        // The earlier reading is the time as if the clock had not been changed before it, so the
        // change comes next.
        AmbiguousOffset::Gap { .. } => {
            let before = ambiguous.earlier().ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
        _ if last => ambiguous.later().ok(),
        _ => ambiguous.earlier().ok(),
    }
}

fn index(day: Weekday) -> usize {
    day.to_monday_zero_offset() as usize
}

impl FromStr for QuietRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (days, times) = match text.trim().rsplit_once(char::is_whitespace) {
            Some((days, times)) => (parse_days(days)?, times),
            None => ([true; 7], text.trim()),
        };
        let (from, to) = times.split_once('-').ok_or_else(|| format!("expected {SYNTAX}, actual {text:?}"))?;
        if from.trim() == "24:00" {
            return Err(format!("expected a range that begins from 00:00 to 23:59, actual {text:?}"));
        }
        let range = QuietRange { days, from: parse_time(from)?, to: parse_time(to)? };
        if range.from == range.to && to.trim() != "24:00" {
            return Err(format!("expected two different times, or 00:00-24:00 for a whole day, actual {text:?}"));
        }
        Ok(range)
    }
}

impl TryFrom<String> for QuietRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `mon-fri,sun`: single days and spans of days, which may reach over Sunday.
fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_day(first)?, parse_day(last)?);
        (0..=(last + 7 - first) % 7).for_each(|n| days[(first + n) % 7] = true);
    }
    Ok(days)
}

/// A weekday's name or the beginning of one, at least three letters.
fn parse_day(text: &str) -> Result<usize, String> {
    let name = text.trim().to_lowercase();
    let found = DAYS.iter().position(|day| name.len() >= 3 && day.starts_with(&name));
    found.ok_or_else(|| format!("expected a day from mon to sun, actual {text:?}"))
}

fn parse_time(text: &str) -> Result<Time, String> {
    let expected = || format!("expected a time from 00:00 to 24:00, actual {:?}", text.trim());
    let (hour, minute) = text.trim().split_once(':').ok_or_else(expected)?;
    let number = |digits: &str| digits.parse::<i8>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match (number(hour), number(minute).filter(|_| minute.len() == 2)) {
        (Some(24), Some(0)) => Ok(Time::midnight()),
        (Some(hour), Some(minute)) => Time::new(hour, minute, 0, 0).map_err(|_| expected()),
        _ => Err(expected()),
    }
}

/// As it is written in a configuration: `mon-fri,sun 22:00-06:30`.
impl fmt::Display for QuietRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let mut separator = "";
            let mut day = 0;
            while day < 7 {
                let n = self.days[day..].iter().take_while(|on| **on).count();
                match n {
                    0 => {}
                    1 => write!(f, "{separator}{}", &DAYS[day][..3])?,
                    _ => write!(f, "{separator}{}-{}", &DAYS[day][..3], &DAYS[day + n - 1][..3])?,
                }
                if n > 0 {
                    separator = ",";
                }
                day += n + 1;
            }
            write!(f, " ")?;
        }
        write!(f, "{}-", self.from.strftime("%H:%M"))?;
        if self.to == Time::midnight() { write!(f, "24:00") } else { write!(f, "{}", self.to.strftime("%H:%M")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<QuietRange>().unwrap_err()
    }

    #[test]
    fn ranges_are_read_as_people_write_them() {
        let shown = |text: &str| text.parse::<QuietRange>().unwrap().to_string();
        for text in ["22:00-07:00", "mon-fri 22:00-06:30", "mon,wed-fri,sun 23:00-09:00", "sun 00:00-24:00"] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown(" Saturday,SUN  9:05-0:00 "), "sat-sun 09:05-24:00");
        assert_eq!(shown("fri-mon 1:00-2:00"), "mon,fri-sun 01:00-02:00");
        assert_eq!(shown("mon-sun 1:00-2:00"), "01:00-02:00");
    }

    #[test]
    fn what_is_no_range_is_refused_with_a_reason() {
        assert!(error("22:00").contains("such as \"22:00-07:00\""));
        assert!(error("").contains("such as"));
        assert!(error("22:00-7").contains("actual \"7\""));
        assert!(error("22-7:00").contains("actual \"22\""));
        assert!(error("25:00-07:00").contains("actual \"25:00\""));
        assert!(error("22:60-07:00").contains("actual \"22:60\""));
        assert!(error("+2:00-07:00").contains("actual \"+2:00\""));
        assert!(error("22:0-07:00").contains("actual \"22:0\""));
        assert!(error("24:00-07:00").contains("begins from 00:00"));
        assert!(error("07:00-07:00").contains("whole day"));
        assert!(error("mo 22:00-07:00").contains("a day from mon to sun, actual \"mo\""));
        assert!(error("mon- 22:00-07:00").contains("a day from mon to sun, actual \"\""));
        assert!(error("funday 22:00-07:00").contains("actual \"funday\""));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(days: [bool; 7], from in 0_i8..24, minute in 0_i8..60, to in 0_i8..24) {
            prop_assume!(days.contains(&true) && (from, minute) != (to, 0));
            let (from, to) = (Time::constant(from, minute, 0, 0), Time::constant(to, 0, 0, 0));
            let range = QuietRange { days, from, to };
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }

        #[test]
        fn no_text_is_too_strange(text in "[a-z0-9:, -]{0,24}") {
            if let Ok(range) = text.parse::<QuietRange>() {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
            }
        }
    }
}

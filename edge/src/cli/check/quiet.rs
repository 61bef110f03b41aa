//! Quiet hours in words: those of each label enter, a line for all labels that share them leaves.

use edge::decide::Rules;
use edge::quiet::QuietHours;
use jiff::Timestamp;

/// The quiet hours of the labels that are reported, seen from `now`.
pub(super) fn hours(labels: &[String], rules: &Rules, hours: &[Option<QuietHours>], now: Timestamp) -> String {
    let classes = labels.iter().zip(&rules.classes).zip(hours);
    let reported: Vec<(&str, Option<&QuietHours>)> = classes
        .filter(|((_, class), _)| class.is_some())
        .map(|((label, _), hours)| (label.as_str(), hours.as_ref()))
        .collect();
    let mut groups: Vec<&QuietHours> = Vec::new();
    for hours in reported.iter().filter_map(|(_, hours)| *hours) {
        if !groups.contains(&hours) {
            groups.push(hours);
        }
    }
    let lines = groups.iter().map(|group| {
        let (in_group, others): (Vec<_>, Vec<_>) = reported.iter().partition(|(_, hours)| *hours == Some(*group));
        let [in_group, others] =
            [in_group, others].map(|labels: Vec<_>| labels.into_iter().map(|(label, _)| label).collect::<Vec<&str>>());
        let whose = match others.len() {
            0 => "any label".into(),
            n if n < in_group.len() => format!("any label except {}", others.join(", ")),
            _ => in_group.join(", "),
        };
        let ranges: Vec<_> = group.ranges().iter().map(ToString::to_string).collect();
        let (ranges, zone) = (ranges.join(" and "), group.zone_name());
        format!("{ranges} in {zone}: events of {whose} that begin then are not reported; {}", when(group, now))
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { "never".into() } else { lines.join("\n           ") }
}

/// The quiet hours that it is in, or the next.
fn when(hours: &QuietHours, now: Timestamp) -> String {
    let local = |time: Timestamp| time.to_zoned(hours.zone().clone()).strftime("%a %Y-%m-%d %H:%M").to_string();
    if hours.is_quiet(now) {
        return match hours.end(now) {
            Some(end) => format!("now, until {}", local(end)),
            None => "always".into(),
        };
    }
    match hours.next_begin(now).and_then(|begin| Some((begin, hours.end(begin)?))) {
        Some((begin, end)) => format!("next from {} to {}", local(begin), local(end)),
        None => "not in the next days".into(),
    }
}

#[cfg(test)]
mod tests {
    use edge::decide::Average;
    use edge_frontend::Activation;
    use jiff::tz::TimeZone;

    use super::*;

    fn rules(n_classes: usize) -> Rules {
        let class = edge::decide::ClassRules {
            window_frames: 1,
            threshold_on: 0.5,
            threshold_off: 0.5,
            min_duration_frames: 1,
            min_gap_frames: 1,
            cooldown_frames: 0,
            max_duration_frames: 1,
        };
        Rules {
            activation: Activation::Softmax,
            average: Average::Logits,
            temperature: 1.0,
            frame_period_s: 0.08,
            slot_offset_s: 0.0,
            lookback_frames: 1,
            level_gate_dbfs: None,
            min_energy: None,
            background: None,
            classes: vec![Some(class); n_classes],
        }
    }

    #[test]
    fn labels_that_share_their_hours_are_on_one_line() {
        let labels = ["dog", "bell", "alarm", "baby"].map(str::to_string);
        let berlin = || TimeZone::get("Europe/Berlin").unwrap();
        let night = || Some(QuietHours::new(vec!["mon-fri 22:00-06:30".parse().unwrap()], berlin()));
        let always = Some(QuietHours::new(vec!["00:00-24:00".parse().unwrap()], berlin()));
        // A Wednesday evening, an hour ahead of UTC.
        let now: Timestamp = "2026-11-25T19:00:00Z".parse().unwrap();
        let text = |hours: [Option<QuietHours>; 4], now| super::hours(&labels, &rules(4), &hours, now);
        assert_eq!(text([const { None }; 4], now), "never");
        assert_eq!(
            text([night(), night(), None, night()], now),
            "mon-fri 22:00-06:30 in Europe/Berlin: events of any label except alarm that begin then are not reported; \
             next from Wed 2026-11-25 22:00 to Thu 2026-11-26 06:30"
        );
        let both = text([night(), night(), always, night()], now + jiff::ToSpan::hours(3));
        assert!(
            both.contains("any label except alarm that begin then are not reported; now, until Thu 2026-11-26 06:30\n")
        );
        assert!(both.ends_with("events of alarm that begin then are not reported; always"), "{both}");
        let mut denied = rules(4);
        denied.classes[2] = None;
        let hours = [night(), night(), None, night()];
        assert!(
            super::hours(&labels, &denied, &hours, now)
                .contains("events of any label that begin then are not reported")
        );
    }
}

//! Sounds as a file for spreadsheets: RFC 4180, with a header.

use crate::event::Event;

const HEADER: &str = "id,device,model,label,onset,offset,duration_s,score,peak_score\r\n";

/// The sounds as CSV, one per line. Times are UTC, as in the events; a sound that has not ended has
/// neither offset nor duration.
pub fn csv(events: &[Event]) -> String {
    let mut text = HEADER.to_string();
    for event in events {
        let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let fields = [
            event.id.to_string(),
            quoted(&event.device),
            quoted(&event.model),
            quoted(&event.label),
            time(event.onset),
            event.offset.map(time).unwrap_or_default(),
            event.duration_s.map(|duration_s| duration_s.to_string()).unwrap_or_default(),
            event.score.to_string(),
            event.peak_score.to_string(),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// In quotes where the field has what separates fields (RFC 4180, 2.5 to 2.7).
fn quoted(field: &str) -> String {
    match field.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::sound;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let [onset, _] = sound("water, \"hot\"", "2026-01-31T12:00:00Z", 1.0);
        let [_, offset] = sound("bell", "2026-01-31T12:00:00Z", 2.5);
        let text = csv(&[onset.clone(), offset.clone()]);
        let expected = format!(
            "id,device,model,label,onset,offset,duration_s,score,peak_score\r\n\
             {},ear,test-1.0.0,\"water, \"\"hot\"\"\",2026-01-31T12:00:00.000Z,,,0.5,0.75\r\n\
             {},ear,test-1.0.0,bell,2026-01-31T12:00:00.000Z,2026-01-31T12:00:02.500Z,2.5,0.5,0.75\r\n",
            onset.id, offset.id
        );
        assert_eq!(text, expected);
    }
}

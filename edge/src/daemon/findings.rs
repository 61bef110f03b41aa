//! What a health message means, in words: a report enters, findings leave, each with what to do
//! about it.

use serde::Serialize;

use super::health::HealthReport;
use crate::capture::Condition;

/// A share of the time above which computing may not keep up.
const HIGH_LOAD: f64 = 0.7;

/// Boards slow down from about here on, degrees.
const HOT_CELSIUS: f64 = 80.0;

/// A clock that is further off is reported, parts in a million.
const MAX_DRIFT_PPM: f64 = 300.0;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weight {
    /// Nothing to do.
    Good,
    /// It could be better.
    Note,
    /// Something does not work.
    Problem,
}

/// One thing that the report shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct HealthFinding {
    weight: Weight,
    /// What there is.
    words: String,
    /// What to do about it; empty if nothing is to be done.
    advice: String,
}

/// What `report` shows, the worst first.
pub(super) fn findings(report: &HealthReport) -> Vec<HealthFinding> {
    let mut found = Vec::new();
    let mut add =
        |weight, words: String, advice: &str| found.push(HealthFinding { weight, words, advice: advice.into() });
    of_source(report, &mut add);
    of_stream(report, &mut add);
    of_sinks(report, &mut add);
    if found.iter().all(|finding| finding.weight == Weight::Good) && report.hearing.capture == Condition::Listening {
        let words = "Listening, and everything works.".into();
        found.insert(0, HealthFinding { weight: Weight::Good, words, advice: String::new() });
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.weight as u8));
    found
}

fn of_source(report: &HealthReport, add: &mut impl FnMut(Weight, String, &str)) {
    let hearing = &report.hearing;
    let reason = hearing.capture_reason.as_deref().unwrap_or("the reason is not known");
    let advice = match hearing.capture {
        Condition::Listening => None,
        Condition::Opening => Some((Weight::Note, "The source is being opened", "Wait a moment.")),
        Condition::Ended => Some((Weight::Note, "The source has ended", "")),
        Condition::Lost => Some((
            Weight::Problem,
            "Nothing is heard",
            "Check the plug, the cable and the power, and whether another program uses the device; `earwitness \
             devices` lists what there is. The daemon keeps trying.",
        )),
        Condition::Dead => Some((
            Weight::Problem,
            "Only silence arrives",
            "Unmute the microphone (alsamixer, F4) and check whether it has a mute switch. The daemon reopens it from \
             time to time.",
        )),
        Condition::Garbage => Some((
            Weight::Problem,
            "What arrives is not sound",
            "Set rate, format and raw_channels of the source to what is really sent.",
        )),
        Condition::Clipped => Some((
            Weight::Problem,
            "Too loud",
            "Turn the microphone down (alsamixer, F4), or move it away from the loud sound: clipped sound is hard to \
             recognise. gain_db does not help, because it is applied afterwards.",
        )),
        Condition::Dc => Some((
            Weight::Note,
            "The sound has a large DC offset",
            "The sound card or its cable is faulty. Recognition continues.",
        )),
    };
    if let Some((weight, words, advice)) = advice {
        add(weight, format!("{words}: {reason}."), advice);
    }
    for hint in &hearing.capture_hints {
        add(Weight::Note, sentence(hint), "");
    }
    if hearing.n_reopened > 0 {
        let words = format!("The source was opened again {}.", times(hearing.n_reopened));
        add(Weight::Good, words, "If this continues, check the cable, the plug and the power supply.");
    }
}

fn of_stream(report: &HealthReport, add: &mut impl FnMut(Weight, String, &str)) {
    let stream = &report.stream;
    if stream.load > HIGH_LOAD {
        let words = format!("Recognition takes {:.0} % of the time.", stream.load * 100.0);
        let advice =
            "It may soon fall behind: use the model's 8-bit file (model.precision), a smaller model, or fewer sources.";
        add(Weight::Problem, words, advice);
    }
    if stream.n_dropped > 0 {
        let words = format!("Samples were lost {} because recognition did not keep up.", times(stream.n_overruns));
        add(Weight::Note, words, "Check what else this machine does, and whether it gets too hot.");
    }
    if stream.n_xruns > 0 {
        let words = format!("The sound card lost samples {}.", times(stream.n_xruns));
        add(Weight::Note, words, "A few are harmless. Many point to a USB hub or a machine that is too busy.");
    }
    if let Some(ppm) = stream.drift_ppm.filter(|ppm| ppm.abs() > MAX_DRIFT_PPM) {
        let words = format!("The source's clock is off by {ppm:.0} parts in a million.");
        add(Weight::Note, words, "Times of events are corrected for it. If the source is a pipe, check its rate.");
    }
    if let Some(celsius) = report.board_celsius.filter(|celsius| *celsius >= HOT_CELSIUS) {
        add(
            Weight::Problem,
            format!("The board is at {celsius} °C."),
            "Give it air or a heat sink: it slows down when it is hot.",
        );
    }
    if stream.n_suppressed > 0 {
        let words = format!("Not reported because of quiet hours: {}.", events(stream.n_suppressed));
        add(Weight::Good, words, "");
    }
}

fn of_sinks(report: &HealthReport, add: &mut impl FnMut(Weight, String, &str)) {
    if let Some(fault) = &report.journal_fault {
        let advice = "Events are kept in memory meanwhile, and would be lost if the power failed. Make sure that the \
                      disk has room and can be written.";
        add(Weight::Problem, format!("Events cannot be written to the disk: {}.", fault.text()), advice);
    }
    if let Some(fault) = report.clips.as_ref().and_then(|clips| clips.fault.as_ref()) {
        let advice =
            "Events are still reported. Make sure that the folder of clips.folder can be written and has room.";
        add(Weight::Problem, format!("The sound of events cannot be kept: {}.", fault.text()), advice);
    }
    #[cfg(feature = "mqtt")]
    if let Some(mqtt) = &report.mqtt {
        if !mqtt.connected {
            let why = mqtt.fault.as_ref().map(|fault| format!(": {}", fault.text())).unwrap_or_default();
            let waiting = format!("Waiting to be sent: {}.", events(mqtt.spool_events));
            add(Weight::Problem, format!("There is no connection to the broker{why}."), &waiting);
        } else if let Some(fault) = &mqtt.fault {
            add(Weight::Problem, sentence(fault.text()), "");
        }
        if mqtt.n_spool_dropped > 0 {
            let words = format!("Dropped before the broker received them: {}.", events(mqtt.n_spool_dropped));
            add(
                Weight::Problem,
                words,
                "Raise journal.max_mb or journal.max_age_days, and find out why the broker is away for so long.",
            );
        }
    }
    #[cfg(feature = "webhook")]
    for webhook in &report.webhooks {
        if let Some(fault) = &webhook.fault {
            let waiting = format!("Waiting to be posted: {}.", events(webhook.waiting_events));
            add(Weight::Problem, format!("{} does not accept events: {}.", webhook.url, fault.text()), &waiting);
        }
        if webhook.n_refused > 0 {
            let words = format!("Refused by {} and left out: {}.", webhook.url, events(webhook.n_refused));
            add(Weight::Note, words, "The log says why. See url, headers and template of the webhook.");
        }
    }
}

/// `hint` with a capital and a stop.
fn sentence(hint: &str) -> String {
    let mut letters = hint.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if hint.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn times(n: u64) -> String {
    if n == 1 { "once".into() } else { format!("{n} times") }
}

fn events(n: u64) -> String {
    if n == 1 { "1 event".into() } else { format!("{n} events") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Hearing;
    use crate::fault::Fault;
    use crate::status::Status;

    fn report(hearing: &Hearing, status: &Status) -> HealthReport {
        HealthReport {
            stream: status.snapshot(),
            hearing: hearing.snapshot(),
            board_celsius: Some(50.0),
            #[cfg(feature = "mqtt")]
            mqtt: None,
            #[cfg(feature = "webhook")]
            webhooks: Vec::new(),
            journal_fault: None,
            clips: None,
        }
    }

    #[test]
    fn where_all_is_well_that_is_what_is_said() {
        let hearing = Hearing::of("ear");
        hearing.listening();
        let found = findings(&report(&hearing, &Status::default()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].weight, found[0].words.as_str()), (Weight::Good, "Listening, and everything works."));
    }

    #[test]
    #[cfg(all(feature = "mqtt", feature = "webhook"))]
    fn a_connection_that_loses_events_is_not_well_and_neither_is_a_webhook_that_refused_some() {
        let (hearing, status) = (Hearing::of("ear"), Status::default());
        hearing.listening();
        let link = crate::publish::mqtt::MqttLink::default().snapshot();
        let fault = Fault::new("status-not-back", "the broker acknowledges messages but they do not come back");
        let webhook = crate::publish::webhook::WebhookSnapshot {
            url: "https://ntfy.sh/..".into(),
            n_posted: 7,
            n_refused: 2,
            waiting_events: 0,
            fault: None,
        };
        let found = findings(&HealthReport {
            mqtt: Some(crate::publish::mqtt::MqttSnapshot { connected: true, fault: Some(fault), ..link }),
            webhooks: vec![webhook],
            ..report(&hearing, &status)
        });
        let said: Vec<_> = found.iter().map(|finding| (finding.weight, finding.words.as_str())).collect();
        assert_eq!(
            said,
            [
                (Weight::Problem, "The broker acknowledges messages but they do not come back."),
                (Weight::Note, "Refused by https://ntfy.sh/.. and left out: 2 events."),
            ]
        );
    }

    #[test]
    fn the_worst_comes_first_and_each_says_what_to_do() {
        let (hearing, status) = (Hearing::of("ear"), Status::default());
        status.add_suppressed();
        status.add_xrun();
        hearing.lost(Fault::new("does-not-open", "no such device"));
        let report = HealthReport {
            journal_fault: Some(Fault::new("full", "the disk is full")),
            board_celsius: Some(85.0),
            ..report(&hearing, &status)
        };
        let found = findings(&report);
        let words: Vec<&str> = found.iter().map(|finding| finding.words.as_str()).collect();
        assert_eq!(
            words,
            [
                "Nothing is heard: no such device.",
                "The board is at 85 °C.",
                "Events cannot be written to the disk: the disk is full.",
                "The sound card lost samples once.",
                "Not reported because of quiet hours: 1 event.",
            ]
        );
        let advised = found.iter().filter(|finding| finding.weight != Weight::Good);
        assert!(advised.clone().count() == 4 && advised.clone().all(|finding| !finding.advice.is_empty()), "{found:?}");
    }
}

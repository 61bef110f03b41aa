//! The broker: whether it is reached, accepts this device and lets it use its topics, and until
//! when certificates are valid.

#[cfg(not(feature = "mqtt"))]
use edge::config::Settings;

use super::finding::Finding;

#[cfg(not(feature = "mqtt"))]
pub(super) fn certificates(_: &Settings) -> Vec<Finding> {
    Vec::new()
}

#[cfg(not(feature = "mqtt"))]
pub(super) fn connection(_: &Settings) -> Vec<Finding> {
    vec![Finding::ok("broker", "this build has no MQTT support (cargo feature `mqtt`)")]
}

#[cfg(feature = "mqtt")]
pub(super) use with_mqtt::{certificates, connection};

#[cfg(feature = "mqtt")]
mod with_mqtt {
    use std::time::Duration;

    use edge::config::Settings;
    use edge::publish::mqtt::{certificate_ends, probe};

    use super::super::finding::CORRECT;
    use super::Finding;
    use crate::cli::doctor::certificate::dated;

    const CA_FILE: &str = "mqtt.ca_file";

    /// How long the broker may take.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// The certificates that the configuration names.
    pub(crate) fn certificates(settings: &Settings) -> Vec<Finding> {
        let Some(mqtt) = &settings.mqtt else { return Vec::new() };
        match certificate_ends(mqtt) {
            Err(error) => vec![Finding::problem("certificate", settings.locate(error)).advise(CORRECT)],
            Ok(ends) => {
                let of = |end: edge::publish::mqtt::CertificateEnd| {
                    dated(&format!("{} ({})", end.file.display(), end.key), end.end, CA_FILE)
                };
                ends.into_iter().map(of).collect()
            }
        }
    }

    /// Connects to the broker.
    pub(crate) fn connection(settings: &Settings) -> Vec<Finding> {
        let Some(mqtt) = &settings.mqtt else {
            return vec![Finding::ok("broker", "none is configured: events go to standard output")];
        };
        let found = match probe(mqtt, &settings.name, PATIENCE) {
            Ok(found) => found,
            Err(error) => return vec![Finding::problem("broker", settings.locate(error)).advise(CORRECT)],
        };
        let mut findings = Vec::new();
        if let Some(fault) = found.connection {
            let finding = Finding::problem("broker", format!("{}: {fault}", mqtt.url)).advise(advice(fault.kind()));
            findings.push(finding.advise("events wait for it in the journal meanwhile"));
        } else {
            let user = mqtt.user.as_ref().map_or("without a user name".into(), |user| format!("as {user:?}"));
            findings.push(Finding::ok("broker", format!("{} accepts this device {user}", mqtt.url)));
            findings.push(match found.topics {
                Some(fault) => Finding::problem("topics", fault).advise(format!(
                    "in the broker's access control, let this device write and read {}/{}/#",
                    mqtt.topic, settings.name
                )),
                None => Finding::ok("topics", format!("{}/{}/.. can be written and read", mqtt.topic, settings.name)),
            });
        }
        findings.extend(found.certificate_end.map(|end| dated(&"the broker's certificate", end, CA_FILE)));
        findings
    }

    /// What to do about a broker that cannot be used, by the kind of its fault.
    fn advice(kind: &str) -> &'static str {
        match kind {
            "broker-unknown" => "check the name in mqtt.url; `getent hosts NAME` shows whether this machine finds it",
            "broker-refused" => "start the broker, let it listen in the network, and check the port in mqtt.url",
            "broker-unreachable" => "check the network of this machine, and the address in mqtt.url",
            "broker-silent" => "check the address in mqtt.url, and whether a firewall blocks the connection",
            "broker-closed" | "broker-unavailable" => "the broker's log says why",
            "login-refused" => "correct user, password_file and client_id in [mqtt]; the broker's log says which it is",
            // The remedy is in the sentence.
            _ => "as the sentence says; docs/troubleshooting.md lists what a broker may answer",
        }
    }
}

//! Whether a broker can be used: settings enter, the broker's answer leaves. For setting up a
//! device or finding out what is wrong with it; a daemon may be connected meanwhile.
//!
//! The connection has a client id of its own, no last will, and leaves nothing behind. Whether the
//! topics may be used is found out as the daemon does it: by what comes back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rumqttc::{Client, ConnectReturnCode, Connection, Event as Packet, Incoming, QoS, SubscribeReasonCode};

use super::{faults, options};
use crate::error::Result;
use crate::fault::Fault;
use crate::publish::MqttSettings;
use crate::publish::tls::{self, Presented};
use crate::publish::validity;

/// How long a message may take to come back after the broker has acknowledged it.
const ECHO: Duration = Duration::from_secs(2);

/// A broker's answer.
#[derive(Debug, Default)]
pub struct Probe {
    /// Why there is no connection, if there is none.
    pub connection: Option<Fault>,
    /// Why the device's topics cannot be used, where that could be tried.
    pub topics: Option<Fault>,
    /// Until when the broker's certificate holds, where it has shown one.
    pub certificate_end: Option<Timestamp>,
}

/// Until when a certificate of the configuration holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// The key that names its file, such as `mqtt.ca_file`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// The last moment.
    pub end: Timestamp,
}

/// Connects as the daemon `name` would, writes to a topic of its own and reads what comes back.
/// Takes `patience` at most.
///
/// # Errors
///
/// For certificates and keys that cannot be used.
pub fn probe(settings: &MqttSettings, name: &str, patience: Duration) -> Result<Probe> {
    let settings = MqttSettings { client_id: format!("{}-check", settings.client_id), ..settings.clone() };
    let presented = Arc::new(Presented::new());
    let tls = if settings.url.tls { Some(Arc::new(tls::config(&options::peer(&settings), &presented)?)) } else { None };
    let mut options = options::login(&settings, tls.as_ref(), &settings.url.host.bare());
    options.set_clean_session(true);
    let (client, connection) = Client::new(options, 8);
    let topic = format!("{}/{name}/check", settings.topic);
    let mut probe = Attempt { settings: &settings, client, connection, topic }.run(Instant::now() + patience);
    probe.certificate_end = presented.get().and_then(|certificate| validity::not_after(certificate));
    Ok(probe)
}

/// Until when the certificates of the configuration hold: of each file the one that ends first.
///
/// # Errors
///
/// For certificates that cannot be read.
pub fn certificate_ends(settings: &MqttSettings) -> Result<Vec<CertificateEnd>> {
    let ca_file = settings.ca_file.as_ref().map(|file| ("mqtt.ca_file", file));
    let cert_file = settings.client_cert.as_ref().map(|(file, _)| ("mqtt.cert_file", file));
    let mut ends = Vec::new();
    for (key, file) in ca_file.into_iter().chain(cert_file) {
        let certificates = tls::certificates(key, file)?;
        let end = certificates.iter().filter_map(|certificate| validity::not_after(certificate)).min();
        ends.extend(end.map(|end| CertificateEnd { key, file: file.clone(), end }));
    }
    Ok(ends)
}

struct Attempt<'a> {
    settings: &'a MqttSettings,
    client: Client,
    connection: Connection,
    topic: String,
}

impl Attempt<'_> {
    fn run(mut self, deadline: Instant) -> Probe {
        let settings = self.settings;
        let url = &settings.url;
        let of_connection = |fault| Probe { connection: Some(fault), ..Probe::default() };
        let of_topics = |fault| Probe { topics: Some(fault), ..Probe::default() };
        let mut is_connected = false;
        let mut acknowledged: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let until = acknowledged.map_or(deadline, |since| deadline.min(since + ECHO));
            if now >= until {
                return match (is_connected, acknowledged) {
                    (false, _) => of_connection(Fault::new("broker-silent", format!("{url} does not answer in time"))),
                    (true, None) => of_topics(Fault::new(
                        "topic-unanswered",
                        format!("the broker does not acknowledge a message on {}", self.topic),
                    )),
                    (true, Some(_)) => of_topics(self.not_back()),
                };
            }
            match self.connection.recv_timeout(until - now) {
                Ok(Ok(Packet::Incoming(Incoming::ConnAck(ack)))) if ack.code == ConnectReturnCode::Success => {
                    is_connected = true;
                    // There is room for both.
                    let _ = self.client.try_subscribe(&self.topic, QoS::AtMostOnce);
                }
                Ok(Ok(Packet::Incoming(Incoming::SubAck(ack)))) => {
                    if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                        self.part();
                        let text = format!("the broker does not let this device read {}: allow it there", self.below());
                        return of_topics(Fault::new("subscription-refused", text));
                    }
                    let _ = self.client.try_publish(&self.topic, QoS::AtLeastOnce, false, "check");
                }
                Ok(Ok(Packet::Incoming(Incoming::PubAck(_)))) => acknowledged = Some(Instant::now()),
                Ok(Ok(Packet::Incoming(Incoming::Publish(message)))) if message.topic == self.topic => {
                    self.part();
                    return Probe::default();
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) if is_connected => {
                    let fault = faults::fault(&error, url);
                    let text = format!("{fault} after a message on {}: is the topic permitted there?", self.topic);
                    return of_topics(Fault::new("topic-refused", text));
                }
                Ok(Err(error)) => {
                    return of_connection(faults::before_acceptance(faults::fault(&error, url), url));
                }
                // The time is looked at above.
                Err(_) => {}
            }
        }
    }

    fn below(&self) -> &str {
        self.topic.strip_suffix("check").unwrap_or(&self.topic)
    }

    fn not_back(&self) -> Fault {
        let text = format!(
            "the broker acknowledges messages but {} does not come back: its access control (ACL) forbids writing or \
             reading there; allow both below {}",
            self.topic,
            self.below()
        );
        Fault::new("topic-not-back", text)
    }

    /// Says goodbye, so that the broker's log has no error.
    fn part(&mut self) {
        let _ = self.client.try_disconnect();
        while let Ok(Ok(_)) = self.connection.recv_timeout(Duration::from_millis(200)) {}
    }
}

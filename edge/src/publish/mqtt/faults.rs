//! Why there is no connection: the library's errors enter, faults with cause and remedy leave.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};

use crate::error::one_line;
use crate::fault::Fault;
use crate::publish::{BrokerUrl, address};

/// A connection that the broker ended without a reason, or that broke.
pub(super) const CLOSED: &str = "broker-closed";

/// The broker did not answer in time.
pub(super) const SILENT: &str = "broker-silent";

/// The fault that `error` is, of a connection to `url`.
pub(super) fn fault(error: &ConnectionError, url: &BrokerUrl) -> Fault {
    if let Some(error) = source::<rustls::Error>(error) {
        return tls(error, url);
    }
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => silent(url),
        ConnectionError::MqttState(StateError::AwaitPingResp) => silent(url),
        ConnectionError::MqttState(StateError::ConnectionAborted) => closed(url),
        error => match (source::<io::Error>(error), error) {
            (Some(error), _) => io(error, url),
            (None, ConnectionError::MqttState(StateError::Deserialization(error))) => {
                Fault::new("broker-protocol", format!("{url} violates the protocol: {error}"))
            }
            _ => Fault::new("broker-failed", format!("the connection to {url} fails: {}", one_line(error))),
        },
    }
}

fn silent(url: &BrokerUrl) -> Fault {
    Fault::new(SILENT, format!("{url} does not answer in time"))
}

/// `fault`, of a connection that the broker had not accepted: one that it closed may be to a port
/// for the other kind of connection, which most brokers show in no other way.
pub(super) fn before_acceptance(fault: Fault, url: &BrokerUrl) -> Fault {
    if fault.kind() != CLOSED {
        return fault;
    }
    let text = match url.tls {
        true => format!("{url} has closed the connection: the port may not speak TLS: try mqtt://, or another port"),
        false => format!("{url} has closed the connection: the port may want TLS: try mqtts://, or another port"),
    };
    Fault::new(CLOSED, text)
}

fn closed(url: &BrokerUrl) -> Fault {
    Fault::new(CLOSED, format!("{url} has closed the connection"))
}

fn refused(code: ConnectReturnCode) -> Fault {
    match code {
        // Mosquitto answers the second to a wrong password, and to a client id that is not among
        // its clientid_prefixes.
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => Fault::new(
            "login-refused",
            "the broker refuses the user name, the password or the client id: check user, password and client_id in \
             [mqtt]",
        ),
        ConnectReturnCode::BadClientId => {
            Fault::new("client-id-refused", "the broker refuses the client id: set another one with mqtt.client_id")
        }
        ConnectReturnCode::RefusedProtocolVersion => Fault::new(
            "protocol-refused",
            "the broker does not accept MQTT 3.1.1: allow that version in its configuration",
        ),
        code => Fault::new("broker-unavailable", format!("the broker is not available ({code:?})")),
    }
}

fn io(error: &io::Error, url: &BrokerUrl) -> Fault {
    let host = &url.host;
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            Fault::new("broker-refused", format!("nothing listens at {url}: connection refused"))
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => closed(url),
        ErrorKind::TimedOut => silent(url),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Fault::new("broker-unreachable", format!("there is no route to {host}: {error}"))
        }
        _ if address::is_unknown_name(error) => {
            let remedy = if host.is_mdns() {
                "names in .local need multicast DNS (package libnss-mdns or systemd-resolved), or use the address"
            } else {
                "is it spelled right, and does this machine reach its name server?"
            };
            Fault::new("broker-unknown", format!("there is no address for the name {host}: {remedy} ({error})"))
        }
        _ => Fault::new("broker-io", format!("the connection to {url} fails: {error}")),
    }
}

fn tls(error: &rustls::Error, url: &BrokerUrl) -> Fault {
    let host = &url.host;
    let pin = "copy the broker's certificate to this device and name it with mqtt.ca_file";
    let text = error.to_string();
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Fault::new(
                "certificate-expired",
                format!("the broker's certificate has expired: renew it, or set this machine's clock, or {pin}"),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Fault::new(
                "certificate-not-valid-yet",
                "the broker's certificate is not valid yet: is this machine's clock right?",
            ),
            // Of another authority that has the same name, the second.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Fault::new(
                "certificate-unknown",
                format!(
                    "the broker's certificate is signed by no authority that this device trusts: {pin}, or that of \
                     its authority"
                ),
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Fault::new(
                "certificate-other-name",
                format!(
                    "the broker's certificate is not for the name {host} ({}): use a name that it has, or {pin}",
                    one_line(&text)
                ),
            ),
            _ if text.contains("UnsupportedCertVersion") => Fault::new(
                "certificate-version",
                "the broker's certificate is of X.509 version 1, which is no longer accepted: make a new one, for \
                 example \
                 with openssl req -x509",
            ),
            _ if text.contains("CaUsedAsEndEntity") => Fault::new(
                "certificate-of-authority",
                format!("the broker shows an authority's certificate (CA:TRUE) as its own: {pin}"),
            ),
            _ => Fault::new("certificate-refused", format!("the broker's certificate is not valid: {text}; {pin}")),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure,
        ) => Fault::new(
            "client-certificate-refused",
            format!(
                "the broker wants a certificate of this device, or another one (mqtt.cert_file, mqtt.key_file): {text}"
            ),
        ),
        rustls::Error::InvalidMessage(_) => Fault::new(
            "no-tls",
            format!(
                "the server at {host}:{} does not speak TLS: use mqtt://, or the port for TLS, often 8883",
                url.port
            ),
        ),
        _ => Fault::new("tls-failed", format!("TLS with {host} fails: {text}")),
    }
}

/// The error of type `T` that `error` is, or is due to, whatever it is wrapped in.
fn source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> BrokerUrl {
        "mqtts://broker.local".parse().unwrap()
    }

    fn of_tls(error: rustls::Error) -> Fault {
        fault(&ConnectionError::Io(io::Error::new(ErrorKind::InvalidData, error)), &url())
    }

    #[test]
    fn a_time_in_an_error_makes_no_other_fault() {
        let expired = |now: u64| {
            let time = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
            of_tls(CertificateError::ExpiredContext { time, not_after: time }.into())
        };
        assert_eq!(expired(1), expired(2));
        assert_eq!(expired(1).kind(), "certificate-expired");
    }

    #[test]
    fn a_connection_that_is_closed_at_once_may_be_of_the_wrong_kind() {
        let of = |url: &str, kind: ErrorKind| {
            let url: BrokerUrl = url.parse().unwrap();
            before_acceptance(fault(&ConnectionError::Io(kind.into()), &url), &url)
        };
        for (url, words) in [("mqtts://b", ": the port may not speak TLS: try mqtt://"), ("mqtt://b", "try mqtts://")] {
            let closed = of(url, ErrorKind::UnexpectedEof);
            assert!(closed.kind() == CLOSED && closed.text().contains(words), "{closed}");
            assert!(!of(url, ErrorKind::ConnectionRefused).text().contains("TLS"));
        }
    }

    #[test]
    fn faults_have_kinds_and_remedies() {
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        let cases = [
            (of_tls(CertificateError::UnknownIssuer.into()), "certificate-unknown", "mqtt.ca_file"),
            (fault(&ConnectionError::Io(lookup), &url()), "broker-unknown", "libnss-mdns"),
            (fault(&ConnectionError::NetworkTimeout, &url()), SILENT, "does not answer"),
            (fault(&ConnectionError::Io(ErrorKind::ConnectionReset.into()), &url()), CLOSED, "closed"),
            (fault(&ConnectionError::Io(ErrorKind::ConnectionRefused.into()), &url()), "broker-refused", "refused"),
            (
                of_tls(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)),
                "client-certificate-refused",
                "mqtt.cert_file",
            ),
        ];
        for (fault, kind, words) in cases {
            assert_eq!(fault.kind(), kind, "{fault}");
            assert!(fault.text().contains(words), "{fault}");
        }
    }
}

//! How to reach a broker, as validated settings: [`config`](crate::config) makes them from a file
//! and the command line. They exist in every build, because one without MQTT has to refuse them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How to reach a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSettings {
    /// Where it is.
    pub url: BrokerUrl,
    /// How it knows this device.
    pub client_id: String,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Root certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key by which this device identifies itself.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// First part of all topics.
    pub topic: String,
    /// Seconds between two signs of life.
    pub keep_alive_s: u16,
    /// Seconds between two health messages; 0 for none.
    pub health_s: u32,
    /// First part of the topics on which this device announces itself to Home Assistant; `None`
    /// where it does not.
    pub home_assistant: Option<String>,
}

/// Address of an MQTT broker: `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Name or address; an IPv6 address in brackets.
    pub host: String,
    /// 1883, or 8883 with TLS, unless given.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl FromStr for BrokerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(format!("expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT], actual {text:?}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("user and password do not belong into the URL, where other users of this machine see them: \
                        use mqtt.user and mqtt.password_file"
                .into());
        }
        // The last colon separates the port unless it is inside an IPv6 address's brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(format!("expected a host behind {}://, actual {rest:?}", if tls { "mqtts" } else { "mqtt" }));
        }
        let port = match port {
            None => 1883 + if tls { 7000 } else { 0 },
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or(format!("expected a port from 1 to 65535, actual {port:?}"))?,
        };
        Ok(BrokerUrl { host: host.into(), port, tls })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broker_urls_have_default_ports() {
        let url: BrokerUrl = "mqtt://broker.lan".parse().unwrap();
        assert_eq!(url, BrokerUrl { host: "broker.lan".into(), port: 1883, tls: false });
        assert_eq!("mqtts://10.0.0.2/".parse::<BrokerUrl>().unwrap().to_string(), "mqtts://10.0.0.2:8883");
        assert_eq!("mqtt://[::1]:1884".parse::<BrokerUrl>().unwrap().to_string(), "mqtt://[::1]:1884");
        assert_eq!("mqtt://[::1]".parse::<BrokerUrl>().unwrap().port, 1883);
    }

    #[test]
    fn what_is_no_broker_url_is_refused_with_a_reason() {
        let error = |text: &str| text.parse::<BrokerUrl>().unwrap_err();
        assert!(error("broker.lan:1883").contains("mqtt://HOST"));
        assert!(error("http://a").contains("mqtt://HOST"));
        assert!(error("mqtt://").contains("host"));
        assert!(error("mqtt://a:b").contains("port"));
        assert!(error("mqtt://a:0").contains("port"));
        assert!(error("mqtt://u:p@a").contains("mqtt.password_file"));
    }
}

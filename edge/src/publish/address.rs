//! Where a broker is, read from a URL once and for all: an address that cannot be meant is refused
//! with the remedy, and no message repeats a password.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::port;

/// Address of an MQTT broker: `mqtt://HOST[:PORT]` or `mqtts://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Name or address.
    pub host: Host,
    /// 1883, or 8883 with TLS, unless given.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Whether the system has found no address for a name, which it says in words alone.
#[cfg(any(feature = "mqtt", feature = "webhook"))]
pub(super) fn is_unknown_name(error: &std::io::Error) -> bool {
    error.to_string().contains("lookup address")
}

/// A machine in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, which may stand for several addresses.
    Name(String),
    /// An address.
    Address(IpAddr),
    /// An IPv6 address that is valid on one link alone, and which: `fe80::1%eth0`.
    OnLink(Ipv6Addr, String),
}

impl Host {
    /// As the system's resolver and TLS take it: without brackets.
    pub fn bare(&self) -> String {
        match self {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
            Host::OnLink(address, zone) => format!("{address}%{zone}"),
        }
    }

    /// Whether the name is one that machines of a local network give themselves (multicast DNS).
    pub fn is_mdns(&self) -> bool {
        matches!(self, Host::Name(name) if name.trim_end_matches('.').to_ascii_lowercase().ends_with(".local"))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V6(_)) | Host::OnLink(..) => write!(f, "[{}]", self.bare()),
            Host::Name(_) | Host::Address(_) => f.write_str(&self.bare()),
        }
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('[') {
            let Some(inner) = inner.strip_suffix(']') else { return Err("a ']' is missing after the address".into()) };
            // RFC 6874 writes the '%' before a zone as "%25".
            let inner = inner.replacen("%25", "%", 1);
            let (address, zone) = inner.split_once('%').map_or((inner.as_str(), None), |(a, zone)| (a, Some(zone)));
            let address: Ipv6Addr = address.parse().map_err(|_| format!("{address:?} is not an IPv6 address"))?;
            return match zone {
                None => Ok(Host::Address(address.into())),
                Some("") => Err("the zone after '%' is missing, for example %eth0".into()),
                Some(zone) => Ok(Host::OnLink(address, zone.into())),
            };
        }
        if text.is_empty() {
            return Err("the host is missing".into());
        }
        if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
            let address = text.parse::<Ipv4Addr>().map_err(|_| format!("{text:?} is not an IPv4 address"))?;
            return Ok(Host::Address(address.into()));
        }
        let is_strange = |c: char| c.is_whitespace() || c.is_control() || "/?#@:[]%\\\"'<>,;".contains(c);
        match text.find(is_strange) {
            Some(_) => Err(format!("{text:?} is not a host name")),
            None => Ok(Host::Name(text.into())),
        }
    }
}

impl FromStr for BrokerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let expected =
            || format!("expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT], actual {:?}", without_login(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" | "tls" => true,
            "ws" | "wss" => {
                return Err("MQTT over WebSockets is not supported: use the broker's mqtt:// or mqtts:// port".into());
            }
            _ => return Err(expected()),
        };
        if rest.contains('@') {
            return Err("user and password do not belong in the URL, where other users of this machine see them: \
                        use mqtt.user and mqtt.password_file"
                .into());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if !rest.starts_with('[') && rest.matches(':').count() > 1 {
            return Err(format!("an IPv6 address is written in brackets: mqtt://[{rest}]"));
        }
        let (host, port) = port::split(rest);
        let scheme = if tls { "mqtts" } else { "mqtt" };
        let host: Host = host.parse().map_err(|reason| format!("expected a host after {scheme}://: {reason}"))?;
        if tls && matches!(host, Host::OnLink(..)) {
            let reason = "an address with a zone cannot be used with TLS: use the broker's name or another address";
            return Err(reason.into());
        }
        let port = match port {
            None if tls => 8883,
            None => 1883,
            Some(text) => port::parse(text).ok_or(format!("expected a port from 1 to 65535, actual {text:?}"))?,
        };
        Ok(BrokerUrl { host, port, tls })
    }
}

/// `text` without what may be a user name and a password.
fn without_login(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}..@{host}")
        }
        None => text.to_string(),
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
    fn broker_urls_have_default_ports_and_schemes_in_any_case() {
        let url: BrokerUrl = "mqtt://broker.lan".parse().unwrap();
        assert_eq!(url, BrokerUrl { host: Host::Name("broker.lan".into()), port: 1883, tls: false });
        for (text, full) in [
            ("mqtts://10.0.0.2/", "mqtts://10.0.0.2:8883"),
            ("MQTT://Broker:1884", "mqtt://Broker:1884"),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
            ("Mqtts://[::1]", "mqtts://[::1]:8883"),
            ("mqtt://[fe80::1%eth0]", "mqtt://[fe80::1%eth0]:1883"),
            ("mqtt://[fe80::1%25eth0]:1", "mqtt://[fe80::1%eth0]:1"),
        ] {
            assert_eq!(text.parse::<BrokerUrl>().unwrap().to_string(), full);
        }
        let bare = |text: &str| text.parse::<BrokerUrl>().unwrap().host.bare();
        assert_eq!((bare("mqtts://[::1]"), bare("mqtt://[fe80::1%eth0]")), ("::1".into(), "fe80::1%eth0".into()));
    }

    #[test]
    fn what_is_no_broker_url_is_refused_with_a_reason() {
        let cases = [
            ("broker.lan:1883", "mqtt://HOST"),
            ("http://a", "mqtt://HOST"),
            ("mqtt://", "the host is missing"),
            ("mqtt://a:b", "port"),
            ("mqtt://a:0", "port"),
            ("mqtt://::1", "in brackets: mqtt://[::1]"),
            ("mqtt://[::1", "']' is missing"),
            ("mqtt://[fe80::1%]", "zone"),
            ("mqtts://[fe80::1%eth0]", "cannot be used with TLS"),
            ("mqtt://10.0.0.256", "not an IPv4 address"),
            ("mqtt://a b", "not a host name"),
            ("ws://a", "WebSockets"),
        ];
        for (text, words) in cases {
            let error = text.parse::<BrokerUrl>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_repeated() {
        for text in ["mqtt://u:geheim@a", "http://u:geheim@a", "u:geheim@a", "mqtt://u:geheim@", "MQTTS://u:geheim@b:1"]
        {
            let error = text.parse::<BrokerUrl>().unwrap_err();
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn names_of_local_networks_are_known() {
        let is_mdns = |text: &str| text.parse::<Host>().unwrap().is_mdns();
        assert!(is_mdns("broker.local") && is_mdns("Broker.LOCAL."));
        assert!(!is_mdns("broker.lan") && !is_mdns("local"));
    }
}

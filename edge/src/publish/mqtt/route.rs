//! Which way to the broker is tried next. A name may stand for several addresses, of which some may
//! be dead: half-working IPv6 drops everything silently. An attempt goes to the name, for which the
//! library tries one address after the other within its time; when that is over, the next attempt
//! goes to the next address alone.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::publish::{BrokerUrl, Host};

pub(super) struct Route {
    url: BrokerUrl,
    /// The addresses after the first one, once they were needed.
    others: Vec<String>,
    /// Which of them is tried; 0 is the name itself.
    at: usize,
}

impl Route {
    pub(super) fn new(url: &BrokerUrl) -> Self {
        Route { url: url.clone(), others: Vec::new(), at: 0 }
    }

    /// Where the next attempt goes.
    pub(super) fn target(&self) -> String {
        match self.at.checked_sub(1).and_then(|at| self.others.get(at)) {
            Some(address) => address.clone(),
            None => self.url.host.bare(),
        }
    }

    /// The attempt has failed, after its time was over or at once.
    pub(super) fn failed(&mut self, in_silence: bool) {
        let url = self.url.clone();
        self.failed_with(in_silence, || resolve(&url));
    }

    fn failed_with(&mut self, in_silence: bool, resolve: impl FnOnce() -> Vec<String>) {
        if self.at == 0 && in_silence {
            self.others = resolve();
        }
        // At once means that the library has tried all addresses of the name.
        if self.at > 0 || in_silence {
            self.at = (self.at + 1) % (self.others.len() + 1);
        }
    }
}

fn resolve(url: &BrokerUrl) -> Vec<String> {
    let Host::Name(name) = &url.host else { return Vec::new() };
    let addresses = (name.as_str(), url.port).to_socket_addrs();
    others(addresses.map(Iterator::collect).unwrap_or_default(), url.tls)
}

/// All but the first, as the library takes them. TLS knows no zones.
fn others(addresses: Vec<SocketAddr>, tls: bool) -> Vec<String> {
    let text = |address: SocketAddr| match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => (!tls).then(|| format!("{}%{}", v6.ip(), v6.scope_id())),
        other => Some(other.ip().to_string()),
    };
    let mut texts: Vec<String> = Vec::new();
    for text in addresses.into_iter().skip(1).filter_map(text) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_when_one_is_silent() {
        let mut route = Route::new(&"mqtt://broker.example".parse().unwrap());
        assert_eq!(route.target(), "broker.example");
        route.failed(false);
        assert_eq!(route.target(), "broker.example", "all addresses were tried");
        // The first address swallows everything, the second one, too, and the third refuses.
        let addresses = || vec!["10.0.0.2".into(), "10.0.0.3".into()];
        let mut targets = Vec::new();
        for in_silence in [true, true, false, true] {
            route.failed_with(in_silence, addresses);
            targets.push(route.target());
        }
        assert_eq!(targets, ["10.0.0.2", "10.0.0.3", "broker.example", "10.0.0.2"]);
        let mut one = Route::new(&"mqtt://10.0.0.1".parse().unwrap());
        one.failed(true);
        assert_eq!(one.target(), "10.0.0.1");
    }

    #[test]
    fn all_addresses_but_the_first_are_kept_with_their_zones() {
        let addresses = ["[2001:db8::1]:1", "10.0.0.2:1", "[fe80::1%3]:1", "10.0.0.2:1"];
        let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(others(addresses.clone(), false), ["10.0.0.2", "fe80::1%3"]);
        assert_eq!(others(addresses, true), ["10.0.0.2"]);
        assert!(others(Vec::new(), false).is_empty());
    }
}

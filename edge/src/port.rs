//! Addresses at which the page and the metrics are served: an address enters, a listener leaves, as
//! soon as there can be one.
//!
//! When the machine starts, its address in the network may come later than the daemon, and another
//! program may have the port for a while. Recognition waits for neither: who serves listens on a
//! thread of its own, and tries until it works.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fault::{Fault, FaultLog};

/// How long to wait before the next attempt.
const RETRY: Duration = Duration::from_secs(5);

/// Whether the address that `key` of the configuration gives could be listened on, now or later:
/// another program may have the port, such as the daemon whose configuration is checked, and the
/// network may not be there yet.
///
/// # Errors
///
/// What the system reports, if waiting does not help.
pub(crate) fn check(key: &str, address: SocketAddr) -> Result<()> {
    match try_out(address) {
        Err(error) if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => {
            let remedy = if error.kind() == ErrorKind::PermissionDenied { ": use a port from 1024 on" } else { "" };
            Err(Error::usage(key, format!("{address}: {error}{remedy}")))
        }
        _ => Ok(()),
    }
}

/// Whether an address can be listened on at this moment. What this needs is given back at once.
///
/// # Errors
///
/// What the system reports.
pub fn try_out(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// Host and port of `address`. The last colon separates them, unless it is inside an IPv6 address's
/// brackets.
pub(crate) fn split(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    }
}

/// A port to connect to.
pub(crate) fn parse(port: &str) -> Option<u16> {
    port.parse().ok().filter(|port| *port > 0)
}

/// Whether `host`, as an address has it, ends in a port that can be, or in none.
pub(crate) fn has_valid_port(host: &str) -> bool {
    split(host).1.is_none_or(|port| parse(port).is_some())
}

/// Why an address cannot be listened on now, if it is not an address of this machine.
pub fn why_absent(address: SocketAddr) -> Option<String> {
    let absent = try_out(address).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable);
    absent.then(|| format!("{} is not an address of this machine", address.ip()))
}

/// What `bind` listens with at `address`, for `what` is served there. Waits for as long as it
/// takes, and logs why.
pub(crate) fn listen<L>(address: SocketAddr, what: &str, bind: impl Fn(SocketAddr) -> io::Result<L>) -> L {
    listen_every(RETRY, address, what, bind)
}

fn listen_every<L>(retry: Duration, address: SocketAddr, what: &str, bind: impl Fn(SocketAddr) -> io::Result<L>) -> L {
    let mut faults = FaultLog::default();
    loop {
        match bind(address) {
            Ok(listener) => return listener,
            Err(error) => {
                let text = format!("{what} cannot be served at {address}: {error}; recognition continues");
                let fault = Fault::new("port", text);
                if faults.occurred_by(&fault, &error.to_string()).is_some() {
                    tracing::warn!(%address, "{fault}; trying again every {} s", retry.as_secs());
                }
                thread::sleep(retry);
            }
        }
    }
}

/// Whether only one of two addresses can be listened on. Port 0 is any that is free.
pub(crate) fn are_same(a: SocketAddr, b: SocketAddr) -> bool {
    // The address :: also takes what is sent to those of IPv4.
    let covers = |any: IpAddr, ip: IpAddr| any == ip || any.is_unspecified() && (any.is_ipv6() || ip.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_that_another_program_has_is_waited_for() {
        // Of the addresses of this machine (RFC 1122) one that no other test uses: a connection
        // could take the port for its near end once it is free.
        let taken = TcpListener::bind("127.84.20.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        check("web.listen", address).unwrap();
        let waiting =
            thread::spawn(move || listen_every(Duration::from_millis(10), address, "the page", TcpListener::bind));
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(taken);
        assert_eq!(waiting.join().unwrap().local_addr().unwrap(), address);
    }

    #[test]
    fn an_address_that_the_network_does_not_have_may_come_later() {
        // Of documentation (RFC 5737).
        let absent = address("192.0.2.1:8420");
        check("web.listen", absent).unwrap();
        assert_eq!(why_absent(absent).as_deref(), Some("192.0.2.1 is not an address of this machine"));
        assert_eq!(why_absent(address("127.0.0.1:0")), None);
    }

    #[test]
    fn two_addresses_are_the_same_where_one_covers_the_other() {
        for (a, b, same) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
        ] {
            assert_eq!(are_same(address(a), address(b)), same, "{a}, {b}");
            assert_eq!(are_same(address(b), address(a)), same, "{b}, {a}");
        }
    }
}

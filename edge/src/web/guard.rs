//! Who may ask for what. A request enters, and leaves or is refused.
//!
//! - Under which **name**: an address, this machine's names, or one of the configuration. The name
//!   of another site that suddenly leads here (DNS rebinding) is not among them.
//! - From which **page**: browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`).
//!   Only this page itself may ask for anything but the page, and only it may change something.
//! - With which **password**, where there is one: HTTP's own "Basic" authentication (RFC 7617),
//!   with any name.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request, StatusCode};
use sha2::{Digest, Sha256};

use super::answer::{Answer, text};
use crate::config::WebSettings;

/// Whoever gives a wrong password waits this long for the answer.
const WRONG_PASSWORD: Duration = Duration::from_secs(1);

/// Domains of home networks, in which this machine's name is its own.
const HOME_DOMAINS: [&str; 3] = ["local", "lan", "home.arpa"];

/// What a request must have.
pub(super) struct Guard {
    password: Option<[u8; 32]>,
    /// Names by which the page may be asked for, in lower case.
    hosts: Vec<String>,
}

impl Guard {
    pub(super) fn new(settings: &WebSettings) -> Self {
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_lowercase();
        let mut hosts = settings.hosts.clone();
        hosts.push("localhost".into());
        if !machine.is_empty() {
            hosts.extend(HOME_DOMAINS.iter().map(|domain| format!("{machine}.{domain}")));
            hosts.push(machine);
        }
        Guard { password: settings.password.as_ref().map(|password| digest(password.as_bytes())), hosts }
    }

    /// Refuses a request that may not be answered.
    ///
    /// # Errors
    ///
    /// The answer that it gets instead.
    pub(super) async fn check<B>(&self, request: &Request<B>) -> Result<(), Answer> {
        let headers = request.headers();
        let host = header(headers, HOST.as_str()).unwrap_or_default();
        if !self.knows(host) {
            let words = format!(
                "This page is not known by the name {:?}. Open it by its address, or add the name to web.hosts in the \
                 configuration.\n",
                name_of(host)
            );
            return Err(text(StatusCode::MISDIRECTED_REQUEST, words));
        }
        if !comes_from_here(request, host) {
            return Err(text(StatusCode::FORBIDDEN, "Requests from other sites are refused.\n"));
        }
        self.check_password(headers).await
    }

    fn knows(&self, host: &str) -> bool {
        let name = name_of(host);
        name.parse::<IpAddr>().is_ok() || is_ipv6(name) || self.hosts.contains(&name.to_lowercase())
    }

    async fn check_password(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let Some(expected) = &self.password else { return Ok(()) };
        let given = header(headers, AUTHORIZATION.as_str()).and_then(password_of);
        match given {
            // Digests have the same length, and where they differ reveals nothing about the
            // password.
            Some(given) if digest(&given) == *expected => return Ok(()),
            Some(_) => tokio::time::sleep(WRONG_PASSWORD).await,
            None => {}
        }
        Err(text(StatusCode::UNAUTHORIZED, "A password is needed.\n"))
    }
}

/// The host of `Host: host:port`.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_ipv6(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

/// Whether the page itself, or a person, asks. A client that is not a browser does not send that,
/// and has no page that could trick it.
fn comes_from_here<B>(request: &Request<B>, host: &str) -> bool {
    let headers = request.headers();
    let origin = header(headers, ORIGIN.as_str());
    let is_own_origin = origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, from)| from == host));
    let site = header(headers, "sec-fetch-site");
    let is_own_site = matches!(site, None | Some("same-origin" | "none"));
    let is_navigation = header(headers, "sec-fetch-mode") == Some("navigate");
    if request.method() == Method::GET || request.method() == Method::HEAD {
        // A link on another site may lead here.
        return is_own_origin && (is_own_site || is_navigation && request.uri().path() == "/");
    }
    // A form of another site cannot send this type without asking first.
    let is_json = header(headers, CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("application/json"));
    is_own_origin && is_own_site && is_json
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// The password of `Basic base64(name:password)`.
fn password_of(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

fn digest(password: &[u8]) -> [u8; 32] {
    Sha256::digest(password).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str]) -> Guard {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        Guard::new(&WebSettings { listen: "127.0.0.1:1".parse().unwrap(), password: None, hosts, write: false })
    }

    #[test]
    fn the_page_is_known_by_addresses_and_by_its_own_names() {
        let guard = guard(&["ear.example.org"]);
        for host in ["127.0.0.1", "127.0.0.1:8420", "192.168.1.5:80", "[::1]:8420", "localhost:8420", "LOCALHOST"] {
            assert!(guard.knows(host), "{host}");
        }
        assert!(guard.knows("Ear.example.org:443"));
        for host in
            ["", "evil.example", "evil.example:8420", "127.0.0.1.evil.example", "[::1", "localhost.evil.example"]
        {
            assert!(!guard.knows(host), "{host}");
        }
    }

    #[test]
    fn another_site_may_link_here_and_nothing_else() {
        let asks = |method: &str, path: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            comes_from_here(&request.body(()).unwrap(), "ear:80")
        };
        let (cross, navigate) = (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"));
        assert!(asks("GET", "/", &[]) && asks("GET", "/api/about", &[("sec-fetch-site", "same-origin")]));
        assert!(asks("GET", "/", &[cross, navigate]));
        assert!(!asks("GET", "/api/about", &[cross]) && !asks("GET", "/api/events.csv", &[cross, navigate]));
        assert!(!asks("GET", "/api/about", &[("origin", "http://evil.example")]));
        let json = ("content-type", "application/json");
        assert!(asks("POST", "/api/thresholds", &[json, ("origin", "http://ear:80")]));
        assert!(asks("POST", "/api/thresholds", &[json]), "a script on the machine");
        for headers in [
            &[][..],
            &[("content-type", "text/plain")],
            &[json, ("origin", "null")],
            &[json, ("origin", "http://ear:81")],
            &[json, ("origin", "http://evil.example")],
            &[json, ("sec-fetch-site", "same-site")],
        ] {
            assert!(!asks("POST", "/api/thresholds", headers), "{headers:?}");
        }
    }

    #[test]
    fn a_password_may_have_colons_and_any_name() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(password_of(&basic("me:a:b")).as_deref(), Some(&b"a:b"[..]));
        assert_eq!(password_of(&basic(":x")).as_deref(), Some(&b"x"[..]));
        for wrong in ["Basic", "Basic !", &basic("x"), "Bearer eDp4"] {
            assert_eq!(password_of(wrong), None, "{wrong}");
        }
    }
}

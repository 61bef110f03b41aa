//! Where events are posted and as what, as validated settings. They exist in every build, because
//! one without webhooks has to refuse them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::template::Template;
use crate::decide::Phase;
use crate::port::has_valid_port;

/// Where events are posted and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The address.
    pub url: WebhookUrl,
    /// Root certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Labels whose events are posted; all if `None`.
    pub labels: Option<Vec<String>>,
    /// Phases that are posted.
    pub phases: Vec<Phase>,
    /// Names and values of headers.
    pub headers: Vec<(String, Template)>,
    /// The body; the event's JSON object if `None`.
    pub template: Option<Template>,
}

/// Address of an HTTP server: `http://HOST/..` or `https://HOST/..`. It may hold a secret, so it is
/// never shown whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(String);

impl WebhookUrl {
    /// The whole address.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The name or address of the server, without port and brackets.
    pub fn host(&self) -> &str {
        let (_, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for WebhookUrl {
    /// Scheme and host, without what may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        write!(f, "{scheme}://{}/..", rest.split(['/', '?', '#']).next().unwrap_or_default())
    }
}

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let expected = || "expected http://HOST/.. or https://HOST/..".to_string();
        let (scheme, rest) = text.split_once("://").ok_or_else(expected)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(expected());
        }
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err("user and password do not belong in the URL: give them as headers.Authorization".into());
        }
        if host.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(expected());
        }
        if !has_valid_port(host) {
            return Err("the port after the host must be a number from 1 to 65535".into());
        }
        Ok(WebhookUrl(format!("{scheme}://{rest}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_and_not_shown_whole() {
        let url: WebhookUrl = "HTTPS://ntfy.sh/my-secret-topic?auth=x".parse().unwrap();
        assert_eq!(url.secret(), "https://ntfy.sh/my-secret-topic?auth=x");
        assert_eq!(url.to_string(), "https://ntfy.sh/..");
        assert!(url.is_tls());
        assert_eq!(url.host(), "ntfy.sh");
        for (text, host) in
            [("http://a:80", "a"), ("https://[fe80::1]:8443/x", "fe80::1"), ("http://1.2.3.4?a", "1.2.3.4")]
        {
            assert_eq!(text.parse::<WebhookUrl>().unwrap().host(), host);
        }
        for text in ["ntfy.sh/topic", "ftp://a/b", "http://", "http:///a", "http://a b/c", "http://u:geheim@a/b"] {
            let error = text.parse::<WebhookUrl>().unwrap_err();
            assert!(!error.contains("geheim"), "{error}");
        }
        for text in ["http://a:99999/x", "https://[::1]:0/", "http://a:"] {
            assert!(text.parse::<WebhookUrl>().unwrap_err().contains("a number from 1 to 65535"), "{text}");
        }
    }
}

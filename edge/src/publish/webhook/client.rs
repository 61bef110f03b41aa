//! One request: an event enters, its outcome leaves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Response};
use ureq::unversioned::resolver::DefaultResolver;

use super::connector::Trusting;
use super::settings::{WebhookSettings, WebhookUrl};
use crate::error::Result;
use crate::fault::Fault;
use crate::publish::address;
use crate::publish::tls::{self, Peer, Presented};

/// A server has this long to answer, from the name's look-up to the end of its headers.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The longest wait that a server can ask for.
const LAST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The server has the event.
    Taken,
    /// The server refuses this event.
    Refused(Fault),
    /// Not now.
    Failed {
        fault: Fault,
        /// When the server asks to be tried again.
        retry_after: Option<Duration>,
    },
}

/// Posts events to one server.
pub(super) struct Client {
    agent: Agent,
    settings: WebhookSettings,
}

impl Client {
    /// A client whose server's certificate will be in `presented`, should it show one.
    ///
    /// # Errors
    ///
    /// When the certificates cannot be used by which the server is to be known.
    pub(super) fn new(settings: &WebhookSettings, presented: &Arc<Presented>) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirected POST would become another request.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Events are rare: a connection that is kept would be closed by then.
            .max_idle_connections(0)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("earwitness/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = if settings.url.is_tls() {
            let (section, host) = ("webhook", settings.url.host().to_string());
            let peer = Peer { what: "server", section, host, ca_file: settings.ca_file.as_deref(), client_cert: None };
            let connector = Trusting::new(tls::config(&peer, presented)?);
            Agent::with_parts(config, connector.over_tcp(), DefaultResolver::default())
        } else {
            config.new_agent()
        };
        Ok(Client { agent, settings: settings.clone() })
    }

    /// Posts the event whose JSON object this is.
    pub(super) fn post(&self, payload: &str) -> Outcome {
        let event: Value = serde_json::from_str(payload).unwrap_or_default();
        let body =
            self.settings.template.as_ref().map_or_else(|| payload.to_string(), |template| template.fill(&event));
        let is_json = self.settings.template.as_ref().is_none_or(|template| template.is_json());
        let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        let mut request = self.agent.post(self.settings.url.secret());
        if !self.settings.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", kind);
        }
        for (name, value) in self.headers(&event) {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(response) => self.outcome(&response),
            Err(error) => Outcome::Failed { fault: self.fault(&error), retry_after: None },
        }
    }

    /// Asks the server what can be done at the address (OPTIONS; RFC 9110, 9.3.7), which does
    /// nothing there. Returns the status, and what speaks against posting events to it.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(super) fn ask(&self) -> Result<(u16, Option<Fault>), Fault> {
        let mut request = self.agent.options(self.settings.url.secret());
        for (name, value) in self.headers(&Value::Null) {
            request = request.header(name, value);
        }
        let response = request.call().map_err(|error| self.fault(&error))?;
        let code = response.status().as_u16();
        let doubt = match code {
            // It answers, and many servers know nothing but what they are for.
            200..=299 | 400 | 405 | 501 => self.not_for_post(&response),
            _ => Some(self.objection(&response)),
        };
        Ok((code, doubt))
    }

    /// What ends a header would begin another one.
    fn headers(&self, event: &Value) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.settings.headers.iter().filter_map(move |(name, template)| {
            let value: String = template.fill(event).chars().filter(|c| !c.is_control()).collect();
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        })
    }

    fn outcome<T>(&self, response: &Response<T>) -> Outcome {
        match response.status().as_u16() {
            200..=299 => Outcome::Taken,
            // Bad request, too large, not understood: another event may be better.
            400 | 413 | 422 => {
                let text = format!("{} answers {}", self.settings.url, response.status());
                Outcome::Refused(Fault::new("webhook-refused", text))
            }
            _ => {
                let seconds = header(response, "retry-after").and_then(|text| text.trim().parse::<u64>().ok());
                let retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(LAST_RETRY_AFTER));
                Outcome::Failed { fault: self.objection(response), retry_after }
            }
        }
    }

    /// What is wrong by the status of an answer.
    fn objection<T>(&self, response: &Response<T>) -> Fault {
        let (url, status) = (&self.settings.url, response.status());
        let fault = |kind, what: &str| Fault::new(kind, format!("{url} answers {status}{what}"));
        match status.as_u16() {
            301 | 302 | 303 | 307 | 308 => {
                // The new address holds the same secret as the old one. A path alone is no address.
                let to = header(response, "location").and_then(|to| to.parse::<WebhookUrl>().ok());
                let to = to.map_or("another one".into(), |to| to.to_string());
                fault("webhook-redirected", &format!(": the address is now {to}; set url to it"))
            }
            401 | 403 | 407 => fault("webhook-login", ": are the headers right that authorise the request?"),
            404 | 405 | 410 => fault("webhook-not-found", ": is the address right?"),
            429 => fault("webhook-too-many", ": too many events"),
            300..=399 => {
                fault("webhook-error", ", which is no answer to a request to take an event: is the address right?")
            }
            _ => fault("webhook-error", ""),
        }
    }

    /// A server that names what it takes (RFC 9110, 10.2.1), but not what events are posted by.
    fn not_for_post<T>(&self, response: &Response<T>) -> Option<Fault> {
        let allowed = header(response, "allow")?;
        let takes_posts = allowed.split(',').any(|method| method.trim().eq_ignore_ascii_case("POST"));
        let text = format!("{} accepts {allowed} but not POST: is the address right?", self.settings.url);
        (!takes_posts && !allowed.trim().is_empty()).then(|| Fault::new("webhook-not-found", text))
    }

    fn distrusted(&self, error: &rustls::Error) -> Fault {
        let remedy = "if the server is yours, name its certificate, or that of its authority, with ca_file";
        let url = &self.settings.url;
        if matches!(error, rustls::Error::InvalidMessage(_)) {
            let text =
                format!("{url} does not speak TLS: write http:// in place of https://, or name the port for TLS");
            return Fault::new("webhook-failed", text);
        }
        Fault::new("webhook-certificate", format!("the certificate of {url} is not trusted: {error}; {remedy}"))
    }

    fn fault(&self, error: &ureq::Error) -> Fault {
        let url = &self.settings.url;
        match error {
            ureq::Error::Timeout(_) => Fault::new("webhook-silent", format!("{url} does not answer in time")),
            ureq::Error::HostNotFound => Fault::new("webhook-unknown", format!("there is no address for {url}")),
            // What goes wrong while the connection is made may come as one of input and output.
            ureq::Error::Io(error) => as_tls(error).map_or_else(|| self.broken(error), |error| self.distrusted(error)),
            ureq::Error::Rustls(error) => self.distrusted(error),
            ureq::Error::Protocol(_) => {
                Fault::new("webhook-failed", format!("{url} answers, but not as a web server does"))
            }
            // Repeats the whole address.
            ureq::Error::BadUri(_) => Fault::new("webhook-address", format!("{url} is not an address")),
            error => Fault::new("webhook-failed", format!("{url} cannot be reached: {error}")),
        }
    }

    /// A connection that the system could not make, or that broke.
    fn broken(&self, error: &io::Error) -> Fault {
        let url = &self.settings.url;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Fault::new("webhook-down", format!("nothing listens at {url}: connection refused"))
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Fault::new("webhook-failed", format!("{url} closes the connection without an answer"))
            }
            _ if address::is_unknown_name(error) => {
                let text = format!("there is no address for {url}: is the name spelled right?");
                Fault::new("webhook-unknown", text)
            }
            _ => Fault::new("webhook-failed", format!("{url} cannot be reached: {error}")),
        }
    }
}

/// TLS's error, if it is one.
fn as_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A header of an answer, if it is readable.
fn header<'a, T>(response: &'a Response<T>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

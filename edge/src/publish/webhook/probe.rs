//! Whether a webhook can be used: settings enter, the server's answer leaves. Nothing is posted:
//! the server is asked what it takes (OPTIONS), by the daemon's own client.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::WebhookSettings;
use super::client::Client;
use crate::error::Result;
use crate::fault::Fault;
use crate::publish::tls::{self, Presented};
use crate::publish::validity::not_after;

/// A server's answer.
#[derive(Debug)]
pub struct Probe {
    /// The status of its answer, or why there is none.
    pub answer: Result<u16, Fault>,
    /// What speaks against posting events there although it answers.
    pub doubt: Option<Fault>,
    /// Until when its certificate holds, where it has shown one.
    pub certificate_end: Option<Timestamp>,
    /// Until when the certificates of `ca_file` hold: the one that ends first.
    pub ca_file_end: Option<(PathBuf, Timestamp)>,
}

/// Asks the server of a webhook. Takes the daemon's patience at most, 15 seconds.
///
/// # Errors
///
/// For certificates that cannot be used.
pub fn probe(settings: &WebhookSettings) -> Result<Probe> {
    let presented = Arc::new(Presented::new());
    let (answer, doubt) = match Client::new(settings, &presented)?.ask() {
        Ok((status, doubt)) => (Ok(status), doubt),
        Err(fault) => (Err(fault), None),
    };
    let certificates = settings.ca_file.as_ref().map(|file| tls::certificates("webhook.ca_file", file)).transpose()?;
    let ca_end = certificates.iter().flatten().filter_map(|certificate| not_after(certificate)).min();
    Ok(Probe {
        answer,
        doubt,
        certificate_end: presented.get().and_then(|certificate| not_after(certificate)),
        ca_file_end: settings.ca_file.clone().zip(ca_end),
    })
}

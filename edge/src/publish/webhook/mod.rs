//! Events to HTTP servers: a request per event, on a thread per server.
//!
//! Every event that is wanted is posted at least once, in order, through the
//! [journal](crate::journal): it is acknowledged when the server has answered with a status from
//! 200 to 299. A server that is away, answers nothing, or an error, is asked again after a second,
//! then two, and so on up to five minutes, or when it asks for that (`Retry-After`); events wait
//! meanwhile. An event that the server cannot make anything of (400, 413, 422) is left out after
//! three attempts, and that is reported: asking again would not mend it, and others wait after it.

#[cfg(feature = "webhook")]
mod client;
#[cfg(feature = "webhook")]
mod connector;
#[cfg(feature = "webhook")]
mod probe;
mod settings;
#[cfg(feature = "webhook")]
mod sink;
mod template;

#[cfg(feature = "webhook")]
pub use probe::{Probe, probe};
pub use settings::{WebhookSettings, WebhookUrl};
#[cfg(feature = "webhook")]
pub use sink::{WebhookLink, WebhookSink, WebhookSnapshot, sink_name};
pub use template::Template;

/// Whether events could be posted by `settings`: the file that they name is read.
///
/// # Errors
///
/// For certificates that cannot be used.
#[cfg(feature = "webhook")]
pub fn check(settings: &WebhookSettings) -> crate::error::Result<()> {
    client::Client::new(settings, &Default::default()).map(drop)
}

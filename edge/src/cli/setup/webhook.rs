//! Which web server events are posted to: its address is asked for and tried, without an event.

use edge::Result;

use super::ask::Asker;
use super::template::ConfigTemplate;
use crate::cli::args::SetupArgs;

#[cfg(not(feature = "webhook"))]
pub(super) fn choose(args: &SetupArgs, _: &mut Asker, _: &mut ConfigTemplate) -> Result<()> {
    match args.webhook {
        Some(_) => Err(edge::Error::usage("--webhook", "this build has no webhooks (cargo feature `webhook`)")),
        None => Ok(()),
    }
}

/// Asks for the address until its server answers as it should, or is kept although it does not.
#[cfg(feature = "webhook")]
pub(super) fn choose(args: &SetupArgs, asker: &mut Asker, template: &mut ConfigTemplate) -> Result<()> {
    let mut url = args.webhook.clone().unwrap_or_default();
    loop {
        if args.webhook.is_none() {
            let question = "Web server to post events to, such as https://ntfy.sh/TOPIC; empty for none";
            url = asker.text(question, &url)?;
        }
        if url.is_empty() {
            return Ok(());
        }
        match settings(&url) {
            Err(error) if args.webhook.is_some() => return Err(error),
            Err(error) => asker.say(format_args!("{error}"))?,
            Ok(settings) => {
                let works = try_out(asker, &settings)?;
                if works || args.webhook.is_some() || asker.confirm("Keep it anyway?", false)? {
                    break;
                }
            }
        }
    }
    template.set("webhook", "url", url.as_str());
    asker.say(format_args!("webhook     anyone who can read the configuration can post there too"))
}

/// As the daemon would have it: through a configuration, which has the one validation.
#[cfg(feature = "webhook")]
fn settings(url: &str) -> Result<edge::publish::webhook::WebhookSettings> {
    use edge::Error;
    use edge::config::{Overrides, Settings};

    let mut template = ConfigTemplate::new();
    template.set("webhook", "url", url);
    let named = |error| match error {
        Error::Usage { reason, .. } => Error::usage("--webhook", reason),
        other => other,
    };
    let settings = Settings::from_text(&template.text(), &Overrides::default()).map_err(named)?;
    settings.webhooks.into_iter().next().ok_or_else(|| Error::usage("--webhook", "the address is missing"))
}

/// Whether the server answers as it should; if not, it says why.
#[cfg(feature = "webhook")]
fn try_out(asker: &mut Asker, settings: &edge::publish::webhook::WebhookSettings) -> Result<bool> {
    let url = &settings.url;
    asker.say(format_args!("Trying {url} .."))?;
    let found = match edge::publish::webhook::probe(settings) {
        Ok(found) => found,
        Err(error) => {
            asker.say(format_args!("webhook     {error}"))?;
            return Ok(false);
        }
    };
    match (found.answer, found.doubt) {
        (Err(fault), _) => {
            asker.say(format_args!("webhook     {fault}"))?;
            asker.say(format_args!("            the daemon will keep trying, and events wait meanwhile"))?;
            Ok(false)
        }
        (Ok(_), Some(doubt)) => {
            asker.say(format_args!("webhook     {doubt}"))?;
            Ok(false)
        }
        (Ok(_), None) => {
            asker.say(format_args!("webhook     {url} answers; no event was posted"))?;
            Ok(true)
        }
    }
}

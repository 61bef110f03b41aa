//! Where events are posted: the sections `[[webhook]]` enter, complete settings leave.

use crate::config::{ConfigFile, WebhookSection};
use crate::decide::Phase;
use crate::error::Result;
use crate::publish::webhook::WebhookSettings;

/// The settings of all webhooks.
pub(super) fn webhooks(sections: &[WebhookSection], file: &ConfigFile) -> Result<Vec<WebhookSettings>> {
    let settings = |(index, section): (usize, &WebhookSection)| {
        let Some(url) = section.url.clone() else { return Err(file.error("webhook", "each [[webhook]] needs a url")) };
        let phases = section.phases.clone().unwrap_or_else(|| vec![Phase::Onset, Phase::Offset]);
        if phases.is_empty() || section.labels.as_ref().is_some_and(Vec::is_empty) {
            return Err(file.error("webhook", format!("{url}: an empty list of phases or labels posts nothing")));
        }
        if section.ca_file.is_some() && !url.is_tls() {
            let reason = format!("a certificate is given but {url} is not encrypted: use https://");
            return Err(file.error(&format!("webhook.{index}.ca_file"), reason));
        }
        Ok(WebhookSettings {
            url,
            ca_file: section.ca_file.as_deref().map(|path| file.resolve(path)),
            labels: section.labels.clone(),
            phases,
            headers: section.headers.clone().into_iter().collect(),
            template: section.template.clone(),
        })
    };
    sections.iter().enumerate().map(settings).collect()
}

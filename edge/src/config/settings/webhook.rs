//! Where events are posted: the sections `[[webhook]]` enter, complete settings leave.

use crate::config::{Source, WebhookSection};
use crate::decide::Phase;
use crate::error::Result;
use crate::publish::webhook::WebhookSettings;

/// The settings of all webhooks.
pub(super) fn webhooks(sections: &[WebhookSection], file: &Source) -> Result<Vec<WebhookSettings>> {
    let settings = |section: &WebhookSection| {
        let Some(url) = section.url.clone() else { return Err(file.error("webhook", "each [[webhook]] needs a url")) };
        let phases = section.phases.clone().unwrap_or_else(|| vec![Phase::Onset, Phase::Offset]);
        if phases.is_empty() || section.labels.as_ref().is_some_and(Vec::is_empty) {
            return Err(file.error("webhook", format!("{url}: an empty list of phases or labels posts nothing")));
        }
        Ok(WebhookSettings {
            url,
            labels: section.labels.clone(),
            phases,
            headers: section.headers.clone().into_iter().collect(),
            template: section.template.clone(),
        })
    };
    sections.iter().map(settings).collect()
}

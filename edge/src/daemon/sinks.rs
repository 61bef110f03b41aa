//! Where events go: settings enter, a publisher leaves.

use std::sync::Arc;

use crate::clips::ClipsGauge;
use crate::config::Settings;
use crate::decide::Rules;
use crate::error::Result;
use crate::event::Event;
use crate::journal::Journal;
use crate::model::Model;
#[cfg(feature = "serial")]
use crate::publish::LampSink;
use crate::publish::stdout::{StdoutSink, WhenBehind};
use crate::publish::{Label, Publisher};

#[cfg(feature = "serial")]
use super::ear::Ear;

#[cfg(feature = "mqtt")]
pub(super) use crate::publish::mqtt::MqttLink;

/// Without MQTT there is no connection to report.
#[cfg(not(feature = "mqtt"))]
pub(super) enum MqttLink {}

#[cfg(feature = "webhook")]
pub(super) use crate::publish::webhook::WebhookLink;

/// Without webhooks there is nothing to report.
#[cfg(not(feature = "webhook"))]
pub(super) enum WebhookLink {}

/// How the journal, the sinks and the clips are doing.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) journal: Journal,
    /// The connection to the broker, if there is one.
    #[cfg_attr(not(feature = "mqtt"), allow(dead_code))]
    pub(super) mqtt: Option<Arc<MqttLink>>,
    #[cfg_attr(not(feature = "webhook"), allow(dead_code))]
    pub(super) webhooks: Vec<Arc<WebhookLink>>,
    /// The clips, if they are kept.
    pub(super) clips: Option<ClipsGauge>,
}

/// The sinks of a daemon.
pub(super) struct Sinks {
    pub(super) publisher: Publisher,
    /// How the sinks are doing.
    pub(super) links: Links,
    /// Offsets of events that the daemon before this one could not end.
    pub(super) owed: Vec<Event>,
}

/// Opens the journal and all sinks.
pub(super) fn start(settings: &Settings, rules: &Rules, model: &Model) -> Result<Sinks> {
    // Those that go on where an earlier process ended.
    let webhooks = webhook_names(settings);
    let mqtt = settings.mqtt.iter().map(|_| crate::journal::MQTT);
    let kept: Vec<&str> = mqtt.chain(webhooks.iter().map(String::as_str)).collect();
    let journal = Journal::open(settings.journal.clone(), &kept);
    let owed = journal.interrupted();
    let links = Links { journal: journal.clone(), mqtt: None, webhooks: Vec::new(), clips: None };
    let mut sinks = Sinks { publisher: Publisher::new(journal.clone()), links, owed };
    add_mqtt(&mut sinks, &journal, settings, &labels(rules, model), model)?;
    add_webhooks(&mut sinks, &journal, settings, &webhooks)?;
    // Sound that is being made does not wait for a slow reader; sound that was recorded does.
    let live = settings.sources.iter().any(|source| source.spec.is_live(&source.options) != Some(false));
    sinks.publisher.add(StdoutSink::stdout(&journal, if live { WhenBehind::GoOn } else { WhenBehind::Wait })?);
    Ok(sinks)
}

/// The labels of `model` that can be events, and whether they are reported.
pub(super) fn labels(rules: &Rules, model: &Model) -> Vec<Label> {
    let label = |(name, is_reported): (&str, bool)| Label { name: name.to_string(), is_reported };
    rules.reported(&model.manifest.labels).map(label).collect()
}

/// Adds the lamps of microcontrollers that are sources.
#[cfg(feature = "serial")]
pub(super) fn add_lamps(publisher: &mut Publisher, ears: &[Ear]) {
    let lamps: Vec<_> = ears.iter().filter_map(|ear| Some((ear.name.clone(), ear.lamps.clone()?))).collect();
    if !lamps.is_empty() {
        publisher.add(LampSink::new(lamps));
    }
}

#[cfg(feature = "mqtt")]
fn add_mqtt(sinks: &mut Sinks, journal: &Journal, settings: &Settings, labels: &[Label], model: &Model) -> Result<()> {
    use crate::publish::mqtt::{Device, MqttSink};

    let Some(mqtt) = &settings.mqtt else { return Ok(()) };
    let topic = format!("{}/{}", mqtt.topic, settings.name);
    let device = |source: &crate::config::SourceSettings| Device { name: source.name.clone(), model: model.id() };
    let devices: Vec<_> = settings.sources.iter().map(device).collect();
    let sink = MqttSink::start(mqtt, &settings.name, &devices, labels, journal)?;
    let n_waiting = sink.n_waiting();
    tracing::info!(
        url = %mqtt.url,
        client_id = mqtt.client_id,
        topic,
        n_waiting,
        "events go to {} at {topic}; {n_waiting} are waiting",
        mqtt.url
    );
    sinks.links.mqtt = Some(sink.link());
    sinks.publisher.add(sink);
    Ok(())
}

/// A plan without MQTT names no broker.
#[cfg(not(feature = "mqtt"))]
fn add_mqtt(_: &mut Sinks, _: &Journal, _: &Settings, _: &[Label], _: &Model) -> Result<()> {
    Ok(())
}

/// What the journal calls the webhooks, in their order.
#[cfg(feature = "webhook")]
fn webhook_names(settings: &Settings) -> Vec<String> {
    let urls: Vec<_> = settings.webhooks.iter().map(|webhook| &webhook.url).collect();
    (0..urls.len()).map(|at| crate::publish::webhook::sink_name(&urls, at)).collect()
}

#[cfg(not(feature = "webhook"))]
fn webhook_names(_: &Settings) -> Vec<String> {
    Vec::new()
}

#[cfg(feature = "webhook")]
fn add_webhooks(sinks: &mut Sinks, journal: &Journal, settings: &Settings, names: &[String]) -> Result<()> {
    for (webhook, name) in settings.webhooks.iter().zip(names) {
        let sink = crate::publish::webhook::WebhookSink::start(webhook, name, journal)?;
        let n_waiting = sink.link().snapshot().waiting_events;
        tracing::info!(url = %webhook.url, n_waiting, "events are posted to {}; {n_waiting} are waiting", webhook.url);
        sinks.links.webhooks.push(sink.link());
        sinks.publisher.add(sink);
    }
    Ok(())
}

/// A plan without webhooks names none.
#[cfg(not(feature = "webhook"))]
fn add_webhooks(_: &mut Sinks, _: &Journal, _: &Settings, _: &[String]) -> Result<()> {
    Ok(())
}

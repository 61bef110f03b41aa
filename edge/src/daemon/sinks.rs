//! Where events go: settings enter, a publisher leaves.

use std::sync::Arc;

use crate::config::Settings;
use crate::decide::Rules;
use crate::error::Result;
use crate::event::Event;
use crate::model::Model;
#[cfg(feature = "serial")]
use crate::publish::LampSink;
use crate::publish::stdout::{Lines, WhenFull};
use crate::publish::{Label, Publisher};

#[cfg(feature = "serial")]
use super::ear::Ear;

#[cfg(feature = "mqtt")]
pub(super) use crate::publish::mqtt::Link;

/// Without MQTT there is no connection to tell of.
#[cfg(not(feature = "mqtt"))]
pub(super) enum Link {}

/// The sinks of a daemon.
pub(super) struct Sinks {
    pub(super) publisher: Publisher,
    /// The state of the connection to the broker, if there is one.
    pub(super) link: Option<Arc<Link>>,
    /// Offsets of events that the daemon before this one could not end.
    pub(super) owed: Vec<Event>,
}

/// Opens all sinks.
pub(super) fn start(settings: &Settings, rules: &Rules, model: &Model) -> Result<Sinks> {
    let mut sinks = Sinks { publisher: Publisher::new(), link: None, owed: Vec::new() };
    // First the one that keeps what it is given: what is on standard output has been kept.
    add_mqtt(&mut sinks, settings, &labels(rules, model), model)?;
    // Sound that is being made does not wait for a slow reader; sound that was recorded does.
    let live = settings.sources.iter().any(|source| source.spec.is_live(&source.options) == Some(true));
    sinks.publisher.add(Lines::stdout(if live { WhenFull::Drop } else { WhenFull::Wait })?);
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
fn add_mqtt(sinks: &mut Sinks, settings: &Settings, labels: &[Label], model: &Model) -> Result<()> {
    use crate::publish::mqtt::{Device, MqttSink};
    use crate::publish::spool::{Backlog, Limits};

    let Some(mqtt) = &settings.mqtt else { return Ok(()) };
    let mut backlog = match &mqtt.spool {
        Some(spool) => Backlog::open(&spool.file, Limits { max_bytes: spool.max_bytes, max_age: spool.max_age })?,
        None => Backlog::in_memory(),
    };
    let n_waiting = backlog.depth().n_events;
    let spool = mqtt.spool.as_ref().map(|spool| tracing::field::display(spool.file.display().to_string()));
    let topic = format!("{}/{}", mqtt.topic, settings.name);
    tracing::info!(url = %mqtt.url, client_id = mqtt.client_id, topic, spool, n_waiting, "events go to {} at {topic}; {n_waiting} wait", mqtt.url);
    sinks.owed = backlog.interrupted();
    let device = |source: &crate::config::SourceSettings| Device { name: source.name.clone(), model: model.id() };
    let devices: Vec<_> = settings.sources.iter().map(device).collect();
    let sink = MqttSink::start(mqtt, &settings.name, &devices, labels, backlog)?;
    sinks.link = Some(sink.link());
    sinks.publisher.add(sink);
    Ok(())
}

#[cfg(not(feature = "mqtt"))]
fn add_mqtt(_: &mut Sinks, settings: &Settings, _: &[Label], _: &Model) -> Result<()> {
    match &settings.mqtt {
        Some(_) => Err(crate::error::Error::usage("mqtt.url", "this build has no MQTT support (cargo feature `mqtt`)")),
        None => Ok(()),
    }
}

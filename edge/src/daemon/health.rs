//! The periodic report of the daemon's own state: figures of a source, its hearing, the connection
//! and the board enter, one JSON object per source leaves.

use std::time::{Duration, Instant};

use crate::capture::HearingSnapshot;
use crate::clips::{ClipsGauge, ClipsSnapshot};
use crate::config::Settings;
use crate::fault::Fault;
#[cfg(feature = "web")]
use crate::journal::Journal;
use crate::pipeline::WorkerShared;
use crate::publish::Publisher;
use crate::status::Snapshot;
use serde::Serialize;

use super::ear::Ear;
use super::sinks::Links;

/// Where the kernel reports the temperature of the processor, thousandths of a degree.
const TEMPERATURE_FILE: &str = "/sys/class/thermal/thermal_zone0/temp";

/// When to report, and on what besides the sources.
pub(super) struct Health {
    period: Duration,
    due: Instant,
    pub(super) reporter: Reporter,
}

/// What there is to report on besides the sources.
#[derive(Clone)]
pub(super) struct Reporter {
    #[cfg_attr(not(feature = "mqtt"), allow(dead_code))]
    links: Links,
}

/// What is reported of a source.
#[derive(Debug, Serialize)]
pub(super) struct HealthReport {
    #[serde(flatten)]
    pub(super) stream: Snapshot,
    #[serde(flatten)]
    pub(super) hearing: HearingSnapshot,
    /// Temperature of the board, if it is known.
    pub(super) board_celsius: Option<f64>,
    #[cfg(feature = "mqtt")]
    pub(super) mqtt: Option<crate::publish::mqtt::MqttSnapshot>,
    #[cfg(feature = "webhook")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) webhooks: Vec<crate::publish::webhook::WebhookSnapshot>,
    /// Why events are kept in memory that should be on the disk.
    pub(super) journal_fault: Option<Fault>,
    /// The clips, if they are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clips: Option<ClipsSnapshot>,
}

impl Health {
    /// By the period of the settings; without a broker there is no one to report to.
    pub(super) fn new(settings: &Settings, links: Links) -> Self {
        let period = Duration::from_secs(settings.mqtt.as_ref().map_or(0, |mqtt| mqtt.health_s).into());
        Health { period, due: Instant::now() + period, reporter: Reporter { links } }
    }

    /// Reports if it is time to. A period of 0 means never.
    pub(super) fn publish(&mut self, ears: &[Ear], publisher: &mut Publisher) {
        if self.period.is_zero() || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + self.period;
        for ear in ears {
            match serde_json::to_string(&self.reporter.report(&ear.shared)) {
                Ok(json) => publisher.health(&ear.name, &json),
                Err(error) => tracing::error!(%error, "the daemon's own state cannot be written as JSON: {error}"),
            }
        }
    }
}

impl Reporter {
    /// Where events are.
    #[cfg(feature = "web")]
    pub(super) fn journal(&self) -> Journal {
        self.links.journal.clone()
    }

    /// What is to be reported now about a source.
    pub(super) fn report(&self, source: &WorkerShared) -> HealthReport {
        HealthReport {
            stream: source.status.snapshot(),
            hearing: source.hearing.snapshot(),
            board_celsius: board_celsius(),
            #[cfg(feature = "mqtt")]
            mqtt: self.links.mqtt.as_ref().map(|link| link.snapshot()),
            #[cfg(feature = "webhook")]
            webhooks: self.links.webhooks.iter().map(|link| link.snapshot()).collect(),
            journal_fault: self.links.journal.fault(),
            clips: self.links.clips.as_ref().map(ClipsGauge::snapshot),
        }
    }
}

/// Temperature of the board in degrees, to a tenth.
fn board_celsius() -> Option<f64> {
    let thousandths: f64 = std::fs::read_to_string(TEMPERATURE_FILE).ok()?.trim().parse().ok()?;
    Some((thousandths / 100.0).round() / 10.0)
}

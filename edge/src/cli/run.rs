//! `earwitness run`: joins the source, the worker and the sinks, and waits for the end.
//!
//! The main thread turns the worker's transitions into events, but those of quiet hours, and hands them to the publisher; signals only set a flag that it and
//! the worker look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use edge::capture::{self, SourceSpec};
use edge::clock::Clock;
use edge::config::Settings;
use edge::decide::Rules;
use edge::event::EventBuilder;
use edge::model::Model;
use edge::pipeline::{Chain, Worker};
use edge::publish::Publisher;
use edge::publish::stdout::{Lines, WhenFull};
use edge::quiet::{QuietFilter, QuietHours};
use edge::status::Status;
use edge::{Error, Result};

use super::args::RunArgs;

/// How often the main thread looks at the flags when there are no events.
const TICK: Duration = Duration::from_millis(50);

pub(super) fn run(args: &RunArgs) -> Result<()> {
    let settings = Settings::load(args.config.as_deref(), &args.overrides())?;
    super::logging::start(&settings.log)?;
    let stop = stop_on_signals()?;
    let (model, engine) =
        super::load(settings.model_dir.as_deref(), settings.precision, |model| settings.model(model))?;
    let rules = settings.rules(&model.manifest)?;
    let quiet_hours = settings.quiet_hours(&model.manifest)?;
    log_quiet_hours(&quiet_hours);
    tracing::info!(model = %model.id(), dir = %model.dir.display(), precision = %engine.precision(), "model");

    let mut publisher = publisher(&settings, &rules, &model)?;
    let status = Arc::new(Status::default());
    let source = capture::start(&settings.source, settings.fast, &status)?;
    tracing::info!(source = source.description, sample_rate = source.sample_rate, device = settings.name, "listening");
    let chain = Chain::new(&model.manifest, rules, engine, source.sample_rate, Arc::clone(&status))?;
    let clock = Arc::new(Clock::starting_now());
    let worker = Worker::spawn(source, chain, Arc::clone(&clock), Arc::clone(&status), Arc::clone(&stop))?;

    let mut quiet = QuietFilter::new(quiet_hours, Arc::clone(&status));
    let mut builder = EventBuilder::new(&settings.name, model.id(), &model.manifest.labels);
    let mut health = Health::new(settings.mqtt.as_ref().map_or(0, |mqtt| mqtt.health_s));
    loop {
        match worker.transitions.recv_timeout(TICK) {
            Ok(transition) => {
                let wall_time = |t_s| clock.wall_time(t_s);
                if quiet.passes(&transition, wall_time) {
                    publisher.publish(builder.build(&transition, wall_time));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if !publisher.is_open() {
            tracing::info!("nobody reads the events any more");
            stop.store(true, Ordering::Relaxed);
        }
        health.publish(&mut publisher, &status);
    }
    let n_suppressed = status.snapshot().n_suppressed;
    if n_suppressed > 0 {
        tracing::info!(n_suppressed, "events of quiet hours were not reported");
    }
    let ended = worker.join();
    publisher.finish();
    ended
}

/// Says that there are quiet hours, and if it has to be guessed when they are.
fn log_quiet_hours(hours: &[Option<QuietHours>]) {
    let n_labels = hours.iter().flatten().count();
    if let Some(first) = hours.iter().flatten().next() {
        tracing::info!(n_labels, time_zone = first.zone_name(), "quiet hours");
        if first.zone().is_unknown() {
            tracing::warn!(
                "this machine has no time zone: quiet hours are in UTC unless quiet_hours.time_zone names one"
            );
        }
    }
}

/// A flag that SIGINT and SIGTERM set. A second signal ends the process at once: the first one may be stuck.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(Error::io("signal handler"))?;
    }
    Ok(stop)
}

fn publisher(settings: &Settings, rules: &Rules, model: &Model) -> Result<Publisher> {
    let mut publisher = Publisher::new();
    // Sound that is being made does not wait for a slow reader; sound that was recorded does.
    let live = matches!(settings.source, SourceSpec::Mic { .. });
    publisher.add(Lines::stdout(if live { WhenFull::Drop } else { WhenFull::Wait })?);
    add_mqtt(&mut publisher, settings, rules, model)?;
    Ok(publisher)
}

#[cfg(feature = "mqtt")]
fn add_mqtt(publisher: &mut Publisher, settings: &Settings, rules: &Rules, model: &Model) -> Result<()> {
    if let Some(mqtt) = &settings.mqtt {
        let labels =
            model.manifest.labels.iter().enumerate().filter(|(class_id, _)| Some(*class_id) != rules.background);
        let (reported, others): (Vec<_>, Vec<_>) = labels.partition(|(class_id, _)| rules.classes[*class_id].is_some());
        let [reported, others] =
            [reported, others].map(|classes| classes.iter().map(|(_, label)| label.to_string()).collect::<Vec<_>>());
        tracing::info!(url = %mqtt.url, client_id = mqtt.client_id, topic = format!("{}/{}", mqtt.topic, settings.name), "mqtt");
        publisher.add(edge::publish::mqtt::MqttSink::start(mqtt, &settings.name, &reported, &others)?);
    }
    Ok(())
}

#[cfg(not(feature = "mqtt"))]
fn add_mqtt(_: &mut Publisher, settings: &Settings, _: &Rules, _: &Model) -> Result<()> {
    match &settings.mqtt {
        Some(_) => Err(Error::usage("mqtt.url", "this build has no MQTT support (cargo feature `mqtt`)")),
        None => Ok(()),
    }
}

/// The periodic report of the daemon's own state.
struct Health {
    period: Duration,
    due: Instant,
}

impl Health {
    /// `period_s` of 0 means never.
    fn new(period_s: u32) -> Self {
        let period = Duration::from_secs(period_s.into());
        Health { period, due: Instant::now() + period }
    }

    fn publish(&mut self, publisher: &mut Publisher, status: &Status) {
        if self.period.is_zero() || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + self.period;
        match serde_json::to_string(&status.snapshot()) {
            Ok(json) => publisher.health(&json),
            Err(error) => tracing::error!(%error, "the daemon's own state cannot be written as JSON"),
        }
    }
}

//! The daemon: joins sources, workers and sinks, and waits for the end.
//!
//! The main thread takes the onsets and offsets of all workers, turns those outside of quiet hours
//! into events, and hands all that there are to the publisher at once: one write to the journal's
//! disk for all of them. Signals only set flags that it and the workers look at.

mod ear;
#[cfg(any(feature = "web", feature = "top"))]
mod findings;
mod health;
mod metrics;
#[cfg(feature = "web")]
mod page;
mod plan;
mod reload;
mod service;
mod signals;
mod sinks;
#[cfg(any(feature = "web", feature = "top"))]
mod viewers;

pub use plan::Plan;

use std::iter;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clips::Clips;
use crate::config::{Overrides, Settings};
use crate::engine::engines;
use crate::error::Result;
use crate::journal::QUEUE_EVENTS;
use crate::logging;
use crate::publish::{FINISH_TIMEOUT, Publisher};
use crate::quiet::QuietHours;

use self::ear::{Common, Ear};
use self::health::Health;
use self::service::Service;
use self::signals::Signals;

/// How often the main thread looks at the flags when there are no events.
const TICK: Duration = Duration::from_millis(50);

/// Onsets and offsets that are written to the journal at once.
const BATCH: usize = 1_000;

/// How often a sink may look after itself, and how exactly the journal knows until when an event
/// went on.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Listens and reports by the configuration file at `config`, or by none, under `overrides`, until
/// a signal ends it or until the last recording has ended.
///
/// # Errors
///
/// When it cannot begin, and when a source fails for good.
pub fn run(config: Option<&Path>, overrides: Overrides) -> Result<()> {
    let settings = Settings::load(config, &overrides)?;
    let log = logging::start(&settings.log)?;
    settings.notices.iter().for_each(|notice| tracing::warn!("{notice}"));
    let signals = Signals::install(config.is_some())?;
    let Plan { settings, model, engine, rules, quiet_hours } = Plan::new(settings)?;
    // First of all, so that a second daemon of the same configuration disturbs nothing.
    #[cfg(feature = "top")]
    let socket = settings.top.as_ref().map(crate::show::Socket::bind).transpose();
    #[cfg(feature = "top")]
    let socket = socket.map_err(|error| settings.locate(error))?;
    log_quiet_hours(&quiet_hours);
    let (id, dir, precision) = (model.id(), model.dir.display(), engine.precision());
    tracing::info!(model = %id, %dir, %precision, "model {id} of {dir}, {precision}");

    let engines = engines(engine, settings.sources.len())?;
    let sinks::Sinks { mut publisher, mut links, owed } = sinks::start(&settings, &rules, &model)?;
    publisher.publish(owed);

    let clips = settings.clips.as_ref().map(Clips::start).transpose()?;
    links.clips = clips.as_ref().map(Clips::gauge);
    let (sender, transitions) = mpsc::sync_channel(QUEUE_EVENTS);
    let mut ears = Vec::new();
    let common = Common {
        model: &model,
        rules: &rules,
        quiet_hours: &quiet_hours,
        remembers: settings.web.is_some(),
        stop: &signals.stop,
        clips: clips.as_ref(),
    };
    for (index, (source, engine)) in settings.sources.iter().zip(engines).enumerate() {
        ears.push(Ear::start(source, engine, &common, (index, sender.clone()))?);
    }
    #[cfg(feature = "serial")]
    sinks::add_lamps(&mut publisher, &ears);
    // The channel ends with the last worker.
    drop(sender);

    let mut health = Health::new(&settings, links);
    serve_metrics(&settings, &ears, &health)?;
    #[cfg(any(feature = "web", feature = "top"))]
    let mut viewers = viewers::Viewers::new(&settings, &common, &ears, &health.reporter);
    #[cfg(feature = "web")]
    {
        let reread = page::Reread { config, overrides: &overrides, flag: signals.reload_flag() };
        viewers.serve(&settings, &health.reporter, reread, &mut publisher)?;
    }
    #[cfg(feature = "top")]
    viewers.let_attach(socket, &mut publisher)?;
    let mut reloader = reload::Reloader::new(config.map(Path::to_path_buf), overrides, settings, rules, log);
    let mut service = Service::ready();
    let mut kept_alive = Instant::now();
    loop {
        match next(&transitions, publisher.is_behind() && !signals.stop.load(Ordering::Relaxed)) {
            Ok(first) => {
                let all = iter::once(first).chain(transitions.try_iter().take(BATCH));
                publisher.publish(all.filter_map(|(index, transition)| ears[index].event(&transition)));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if !publisher.is_open() {
            tracing::info!("standard output is closed; stopping");
            signals.stop.store(true, Ordering::Relaxed);
        }
        tell_who_listens(&mut ears, &mut publisher);
        if ears.iter().any(|ear| ear.shared.hearing.is_asked_to_restart()) {
            signals.stop.store(true, Ordering::Relaxed);
        }
        if signals.take_reload() {
            service.reloading();
            reloader.reload(&model, &mut ears, &mut publisher);
            #[cfg(any(feature = "web", feature = "top"))]
            viewers.set_rules(reloader.rules());
            service.reloaded();
        }
        if kept_alive.elapsed() >= KEEP_ALIVE {
            kept_alive = Instant::now();
            publisher.keep_alive();
        }
        health.publish(&ears, &mut publisher);
        service.look_after(&mut ears);
    }
    service.stopping();
    let ended = ears.into_iter().map(Ear::join).fold(Ok(()), Result::and);
    let published = publisher.finish();
    if let Some(clips) = clips {
        clips.finish(Instant::now() + FINISH_TIMEOUT);
    }
    ended.and(published)
}

/// The next onset or offset, if there is one within a moment. None is taken while the sinks are
/// `behind`: a recording waits then, but signals and health do not.
fn next<T>(transitions: &Receiver<T>, behind: bool) -> Result<T, RecvTimeoutError> {
    if behind {
        thread::sleep(TICK);
        return Err(RecvTimeoutError::Timeout);
    }
    transitions.recv_timeout(TICK)
}

/// Answers Prometheus, where the configuration has it so.
fn serve_metrics(settings: &Settings, ears: &[Ear], health: &Health) -> Result<()> {
    let Some(address) = settings.metrics else { return Ok(()) };
    let sources: Vec<_> = ears.iter().map(|ear| (ear.name.clone(), ear.shared.clone())).collect();
    let reporter = health.reporter.clone();
    let reports = move || sources.iter().map(|(name, shared)| (name.clone(), reporter.report(shared))).collect();
    metrics::serve(address, reports)
}

/// Tells the sinks whose source has begun or ceased to hear.
fn tell_who_listens(ears: &mut [Ear], publisher: &mut Publisher) {
    // When all have ended, the daemon ends, too, and logs it.
    if ears.iter().all(Ear::has_ended) {
        return;
    }
    for ear in ears {
        if let Some(hears) = ear.news_of_hearing() {
            publisher.listening(&ear.name, hears);
        }
    }
}

/// Says that there are quiet hours, and if it has to be guessed when they are.
fn log_quiet_hours(hours: &[Option<QuietHours>]) {
    let n_labels = hours.iter().flatten().count();
    let Some(first) = hours.iter().flatten().next() else { return };
    let time_zone = first.zone_name();
    tracing::info!(n_labels, time_zone, "quiet hours for {n_labels} labels, time zone {time_zone}");
    if let Some(reason) = first.why_unknown() {
        tracing::warn!("{reason}: quiet hours are in UTC unless quiet_hours.time_zone names a time zone");
    }
}

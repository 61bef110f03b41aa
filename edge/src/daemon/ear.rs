//! One source and what is made of it: settings enter, events leave on the main thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use crate::capture::{self, Condition};
use crate::clips::Clips;
use crate::config::SourceSettings;
use crate::decide::{Rules, Transition};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::event::{Event, EventBuilder};
use crate::live::Feed;
use crate::model::Model;
use crate::pipeline::{Chain, Worker, WorkerShared};
use crate::quiet::{QuietFilter, QuietHours};

/// A source that is being listened to.
pub(super) struct Ear {
    /// Its name in events and topics.
    pub(super) name: String,
    /// What its worker shares.
    pub(super) shared: WorkerShared,
    /// Log-mel frames and pulses when the service was last told that they advance.
    pub(super) progress: (u64, u64),
    /// Words for its lamps, if it is a microcontroller.
    #[cfg(feature = "serial")]
    pub(super) lamps: Option<capture::Lamps>,
    worker: Worker,
    quiet: QuietFilter,
    builder: EventBuilder,
    hears: bool,
    started: Instant,
}

/// A source that takes longer to open is not heard until it does.
const OPENING: Duration = Duration::from_secs(1);

/// What all sources have in common.
pub(super) struct Common<'a> {
    pub(super) model: &'a Model,
    pub(super) rules: &'a Rules,
    pub(super) quiet_hours: &'a [Option<QuietHours>],
    /// Whether the outputs of the last hour are kept.
    pub(super) remembers: bool,
    pub(super) stop: &'a Arc<AtomicBool>,
    pub(super) clips: Option<&'a Clips>,
}

impl Ear {
    /// Begins to listen. Onsets and offsets go, with `index`, to the `sender`.
    pub(super) fn start(
        settings: &SourceSettings,
        engine: Box<dyn Engine>,
        common: &Common<'_>,
        (index, sender): (usize, SyncSender<(usize, Transition)>),
    ) -> Result<Self> {
        let &Common { model, rules, quiet_hours, remembers, stop, clips } = common;
        let recent = clips.map(|clips| clips.listen_to(&settings.name));
        let shared = WorkerShared { recent: recent.clone(), ..WorkerShared::of(&settings.name) };
        if remembers {
            shared.tap.remember();
        }
        let frontend = &model.manifest.frontend;
        let source = capture::start(&settings.spec, &settings.options, frontend, &shared.status, &shared.hearing)?;
        #[cfg(feature = "serial")]
        let lamps = source.lamps.clone();
        // Until the rate of the source is known.
        let mut chain =
            Chain::new(&model.manifest, rules.clone(), engine, frontend.sample_rate, Arc::clone(&shared.status))?;
        chain.show(Feed::new(&shared.tap, &model.manifest));
        let worker = Worker::spawn(source, chain, shared.clone(), Arc::clone(stop), move |transition| {
            if let Some(recent) = &recent {
                recent.expect();
            }
            // Nobody listens any more only when the program is about to end.
            let _ = sender.send((index, transition));
        })?;
        Ok(Ear {
            name: settings.name.clone(),
            progress: (0, 0),
            quiet: QuietFilter::new(quiet_hours.to_vec(), Arc::clone(&shared.status)),
            builder: EventBuilder::new(&settings.name, model.id(), &model.manifest.labels),
            shared,
            #[cfg(feature = "serial")]
            lamps,
            worker,
            hears: true,
            started: Instant::now(),
        })
    }

    /// The event of `transition`, unless it is one of quiet hours.
    pub(super) fn event(&mut self, transition: &Transition) -> Option<Event> {
        let wall_time = |t_s| self.shared.clock.wall_time(t_s);
        let event = self.quiet.passes(transition, wall_time).then(|| self.builder.build(transition, wall_time));
        if let Some(recent) = &self.shared.recent {
            recent.settle(event.as_ref());
        }
        event
    }

    /// Whether the source hears anything, if that has changed since the last call. At first it is
    /// taken to do so.
    pub(super) fn news_of_hearing(&mut self) -> Option<bool> {
        let condition = self.shared.hearing.condition();
        let is_slow = condition == Condition::Opening && self.started.elapsed() > OPENING;
        let hears = condition.hears() && !is_slow;
        let changed = hears != self.hears;
        self.hears = hears;
        changed.then_some(hears)
    }

    /// Whether its source has come to its end, even if work is left.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.hearing.condition() == Condition::Ended
    }

    /// Goes on with other quiet hours.
    pub(super) fn set_quiet_hours(&mut self, quiet_hours: &[Option<QuietHours>]) {
        self.quiet.set_hours(quiet_hours.to_vec());
    }

    /// Whether it has come to its end, as a recording does.
    pub(super) fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    /// Waits for its end. The error names the source.
    pub(super) fn join(self) -> Result<()> {
        let n_suppressed = self.shared.status.snapshot().n_suppressed;
        if n_suppressed > 0 {
            tracing::info!(n_suppressed, "{n_suppressed} events in quiet hours were not reported");
        }
        self.worker
            .join()
            .inspect_err(|error: &Error| tracing::debug!(source = self.name, %error, "{} ended: {error}", self.name))
    }
}

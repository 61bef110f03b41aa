//! Sources that `top` opens itself: each has a pipeline of its own, as in the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};

use edge::Result;
use edge::capture;
use edge::config::SourceSettings;
use edge::decide::{Rules, Transition};
use edge::engine::{Engine, engines};
use edge::event::EventBuilder;
use edge::live::{Feed, Viewer};
use edge::model::Model;
use edge::pipeline::{Chain, Worker, WorkerShared};

use super::origin::{Info, Origin, figures};
use super::view::{Label, Thresholds, View};

/// All sources, one of which is shown.
pub(super) struct Ears {
    ears: Vec<Ear>,
    /// Which one.
    at: usize,
    viewer: Viewer,
    transitions: Receiver<(usize, Transition)>,
    stop: Arc<AtomicBool>,
    model: String,
    rules: Rules,
}

struct Ear {
    name: String,
    description: String,
    shared: WorkerShared,
    builder: EventBuilder,
    worker: Worker,
}

impl Ears {
    /// Begins to listen to all of `sources`.
    ///
    /// # Errors
    ///
    /// When one cannot be opened at all, or the network not be loaded.
    pub(super) fn start(
        sources: &[SourceSettings],
        model: &Model,
        engine: Box<dyn Engine>,
        rules: &Rules,
        view: &mut View,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, transitions) = mpsc::channel();
        let mut ears = Vec::new();
        for (index, (source, engine)) in sources.iter().zip(engines(engine, sources.len())?).enumerate() {
            let shared = WorkerShared::of(&source.name);
            let (manifest, options) = (&model.manifest, &source.options);
            let opened = capture::start(&source.spec, options, &manifest.frontend, &shared.status, &shared.hearing)?;
            let rate = manifest.frontend.sample_rate;
            let mut chain = Chain::new(manifest, rules.clone(), engine, rate, Arc::clone(&shared.status))?;
            chain.show(Feed::new(&shared.tap, manifest));
            let sender = sender.clone();
            let worker = Worker::spawn(opened, chain, shared.clone(), Arc::clone(&stop), move |transition| {
                // Nobody looks any more only when the program is about to end.
                let _ = sender.send((index, transition));
            })?;
            ears.push(Ear {
                name: source.name.clone(),
                description: source.spec.describe(options),
                builder: EventBuilder::new(&source.name, model.id(), &manifest.labels),
                shared,
                worker,
            });
        }
        let viewer = ears[0].shared.tap.attach();
        view.set_labels(labels(model, rules));
        Ok(Ears { ears, at: 0, viewer, transitions, stop, model: model.id(), rules: rules.clone() })
    }
}

impl Origin for Ears {
    fn collect(&mut self, view: &mut View) {
        while let Some(pulse) = self.viewer.try_next() {
            if let Some(scale) = self.ears[self.at].shared.tap.scale() {
                view.take(&pulse.columns, &scale.centres_hz, pulse.level, &pulse.scores);
            }
        }
        for (index, transition) in self.transitions.try_iter() {
            let ear = &mut self.ears[index];
            let event = ear.builder.build(&transition, |t_s| ear.shared.clock.wall_time(t_s));
            view.add(event);
        }
    }

    fn next(&mut self) {
        self.at = (self.at + 1) % self.ears.len();
        self.viewer = self.ears[self.at].shared.tap.attach();
    }

    fn adjust(&mut self, view: &View) {
        for (class, now) in self.rules.classes.iter_mut().zip(view.thresholds()) {
            if let (Some(class), Some(now)) = (class, now) {
                (class.threshold_on, class.threshold_off) = (now.on, now.off);
            }
        }
        self.ears.iter().for_each(|ear| ear.shared.set_rules(self.rules.clone()));
    }

    fn info(&self, _: &View) -> Info {
        let Ear { name, description, shared, .. } = &self.ears[self.at];
        let status = shared.status.snapshot();
        let hearing = shared.hearing.snapshot();
        let which = match self.ears.len() {
            1 => String::new(),
            n => format!(" ({} of {n})", self.at + 1),
        };
        Info {
            title: format!("{name}{which}: {description}, {}", self.model),
            health: figures(status.load, status.us_per_pulse, status.n_gaps, status.n_dropped, status.n_clipped),
            complaint: hearing.capture_reason.or_else(|| hearing.capture_hints.into_iter().next()),
            note: None,
        }
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.ears.into_iter().map(|ear| ear.worker.join()).fold(Ok(()), Result::and)
    }
}

/// The labels of a model under `rules`.
fn labels(model: &Model, rules: &Rules) -> Vec<Label> {
    let label = |(class_id, name): (usize, &String)| Label {
        name: name.clone(),
        is_background: Some(class_id) == rules.background,
        configured: rules.classes[class_id]
            .map(|class| Thresholds { on: class.threshold_on, off: class.threshold_off }),
    };
    model.manifest.labels.iter().enumerate().map(label).collect()
}

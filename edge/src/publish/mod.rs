//! Sinks: events enter, lines and messages leave. One thread a sink, each behind its own bounded queue, so that a sink that is
//! slow or away holds up neither the others nor the recognition.
//!
//! [`Publisher`] is used by the thread that collects the worker's events. Only [`mqtt`] knows the MQTT library.

#[cfg(feature = "serial")]
mod lamps;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod settings;
#[cfg(feature = "mqtt")]
pub mod spool;
pub mod stdout;

#[cfg(feature = "serial")]
pub use lamps::LampSink;
pub use settings::{BrokerUrl, MqttSettings, SpoolSettings};

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::event::Event;

/// Events that a sink keeps while it cannot get rid of them: some hours of a busy room, about 5 MB.
pub const QUEUE_EVENTS: usize = 10_000;

/// How long [`Publisher::finish`] waits for what is still queued.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// An event and its JSON object, rendered once for all sinks.
#[derive(Debug)]
pub struct Message {
    /// The event.
    pub event: Event,
    /// [`Event::to_json`].
    pub json: String,
}

/// A label that can be an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Whether its events are reported.
    pub is_reported: bool,
}

/// Where events go.
pub trait Sink: Send {
    /// A name for logs.
    fn name(&self) -> &str;

    /// Queues messages, in order.
    fn publish(&mut self, messages: &[Arc<Message>]);

    /// Passes on a device's own state, a JSON object, where the sink has a place for it.
    fn health(&mut self, _device: &str, _json: &str) {}

    /// Passes on whether a device hears anything, where the sink has a place for it.
    fn listening(&mut self, _device: &str, _hears: bool) {}

    /// Passes on which labels are reported from now on, where the sink has a place for that.
    fn set_labels(&mut self, _labels: &[Label]) {}

    /// Is called every few seconds, for what a sink has to do of its own.
    fn keep_alive(&mut self, _now: Timestamp) {}

    /// Whether anybody still listens.
    fn is_open(&self) -> bool;

    /// Delivers what is queued, until `deadline` at the latest, says goodbye and ends the thread.
    fn finish(&mut self, deadline: Instant);
}

/// All sinks.
#[derive(Default)]
pub struct Publisher {
    sinks: Vec<Box<dyn Sink>>,
}

impl Publisher {
    /// A publisher without sinks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sink. One that keeps what it is given comes first: then what the others say is kept already.
    pub fn add(&mut self, sink: impl Sink + 'static) {
        self.sinks.push(Box::new(sink));
    }

    /// Queues events at every sink, in order. Does not wait for any of them, unless a sink was made to.
    pub fn publish(&mut self, events: impl IntoIterator<Item = Event>) {
        let message = |event: Event| Arc::new(Message { json: event.to_json(), event });
        let messages: Vec<_> = events.into_iter().map(message).collect();
        if !messages.is_empty() {
            self.sinks.iter_mut().for_each(|sink| sink.publish(&messages));
        }
    }

    /// Passes a device's own state to the sinks that have a place for it.
    pub fn health(&mut self, device: &str, json: &str) {
        self.sinks.iter_mut().for_each(|sink| sink.health(device, json));
    }

    /// Tells the sinks whether a device hears anything.
    pub fn listening(&mut self, device: &str, hears: bool) {
        self.sinks.iter_mut().for_each(|sink| sink.listening(device, hears));
    }

    /// Tells the sinks which labels are reported from now on.
    pub fn set_labels(&mut self, labels: &[Label]) {
        self.sinks.iter_mut().for_each(|sink| sink.set_labels(labels));
    }

    /// Is to be called every few seconds.
    pub fn keep_alive(&mut self) {
        let now = Timestamp::now();
        self.sinks.iter_mut().for_each(|sink| sink.keep_alive(now));
    }

    /// Whether any sink still has a listener.
    pub fn is_open(&self) -> bool {
        self.sinks.iter().any(|sink| sink.is_open())
    }

    /// Ends all sinks after what is queued is delivered, or after [`FINISH_TIMEOUT`].
    pub fn finish(mut self) {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        for sink in &mut self.sinks {
            tracing::debug!(sink = sink.name(), "closing {}", sink.name());
            sink.finish(deadline);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::decide::Transition;
    use crate::event::{EventBuilder, Phase};

    /// An onset of `label`.
    pub(crate) fn message(label: &str) -> Arc<Message> {
        let transition = Transition {
            class_id: 0,
            phase: Phase::Onset,
            t_onset_s: 1.0,
            t_offset_s: None,
            score: 0.5,
            peak_score: 0.5,
        };
        let event = EventBuilder::new("test", "test-1.0.0", &[label.to_string()])
            .build(&transition, |_| jiff::Timestamp::UNIX_EPOCH);
        Arc::new(Message { json: event.to_json(), event })
    }

    struct Recorder(Arc<std::sync::Mutex<Vec<String>>>);

    impl Sink for Recorder {
        fn name(&self) -> &str {
            "recorder"
        }

        fn publish(&mut self, messages: &[Arc<Message>]) {
            self.0.lock().unwrap().extend(messages.iter().map(|message| message.event.label.clone()));
        }

        fn is_open(&self) -> bool {
            false
        }

        fn finish(&mut self, _deadline: Instant) {
            self.0.lock().unwrap().push("finished".into());
        }
    }

    #[test]
    fn every_sink_gets_every_event_and_its_end() {
        let seen: Vec<_> = (0..2).map(|_| Arc::default()).collect();
        let mut publisher = Publisher::new();
        assert!(!publisher.is_open());
        seen.iter().for_each(|seen| publisher.add(Recorder(Arc::clone(seen))));
        publisher.publish(["bell", "dog"].map(|label| message(label).event.clone()));
        publisher.finish();
        for seen in seen {
            assert_eq!(*seen.lock().unwrap(), ["bell", "dog", "finished"]);
        }
    }
}

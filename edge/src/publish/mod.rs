//! Sinks: the journal's records enter, lines and messages leave. One thread per sink, each with its
//! own place in the [journal](crate::journal), so that a sink that is slow or away holds up neither
//! the others nor the recognition.
//!
//! [`Publisher`] is used by the thread that collects the worker's events: it appends them to the
//! journal, and only then do the sinks hear of them. Only [`mqtt`] knows the MQTT library, only
//! [`webhook`] the HTTP client.

mod address;
#[cfg(feature = "serial")]
mod lamps;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod settings;
pub mod stdout;
#[cfg(any(feature = "mqtt", feature = "webhook"))]
mod tls;
#[cfg(any(feature = "mqtt", feature = "webhook"))]
mod validity;
pub mod webhook;

pub use address::{BrokerUrl, Host};
#[cfg(feature = "serial")]
pub use lamps::LampSink;
pub use settings::MqttSettings;

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::Result;
use crate::event::Event;
use crate::journal::Journal;

/// How long each sink has for what is still waiting, in [`Publisher::finish`].
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// A label that can be an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Whether its events are reported.
    pub is_reported: bool,
}

/// Where events go. A sink gets them from its [`Cursor`](crate::journal::Cursor), on a thread of
/// its own; what is here, the collecting thread calls.
pub trait Sink: Send {
    /// A name for logs.
    fn name(&self) -> &str;

    /// Hears of events as they happen, once the journal has them. For what concerns only the
    /// present: a sink that is to lose nothing reads the journal.
    fn notify(&mut self, _events: &[Event]) {}

    /// Passes on a device's own state, a JSON object, where the sink has a place for it.
    fn health(&mut self, _device: &str, _json: &str) {}

    /// Passes on whether a device hears anything, where the sink has a place for it.
    fn listening(&mut self, _device: &str, _hears: bool) {}

    /// Passes on which labels are reported from now on, where the sink has a place for that.
    fn set_labels(&mut self, _labels: &[Label]) {}

    /// Is called every few seconds, for what a sink has to do of its own.
    fn keep_alive(&mut self, _now: Timestamp) {}

    /// Whether it takes its events from the journal, so that none may be lost before it has them.
    fn reads_the_journal(&self) -> bool {
        true
    }

    /// Whether anybody still listens.
    fn is_open(&self) -> bool;

    /// Whether a recording had better wait for this sink.
    fn is_behind(&self) -> bool {
        false
    }

    /// Delivers what is waiting, until `deadline` at the latest, then disconnects and ends the
    /// thread.
    ///
    /// # Errors
    ///
    /// When the sink has lost something that it cannot deliver any more.
    fn finish(&mut self, deadline: Instant) -> Result<()>;
}

/// The journal and all sinks.
pub struct Publisher {
    journal: Journal,
    sinks: Vec<Box<dyn Sink>>,
}

impl Publisher {
    /// A publisher without sinks.
    pub fn new(journal: Journal) -> Self {
        Publisher { journal, sinks: Vec::new() }
    }

    /// Adds a sink, which reads the same journal.
    pub fn add(&mut self, sink: impl Sink + 'static) {
        self.sinks.push(Box::new(sink));
    }

    /// Appends events to the journal, and then tells every sink. Does not wait for any of them.
    pub fn publish(&mut self, events: impl IntoIterator<Item = Event>) {
        let events: Vec<Event> = events.into_iter().collect();
        if !events.is_empty() {
            self.journal.append(&events);
            self.sinks.iter_mut().for_each(|sink| sink.notify(&events));
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
        self.journal.keep_alive();
        self.sinks.iter_mut().for_each(|sink| sink.keep_alive(now));
    }

    /// Whether any sink still has a listener.
    pub fn is_open(&self) -> bool {
        self.sinks.iter().any(|sink| sink.is_open())
    }

    /// Whether a recording had better wait: its events go to one sink alone, nothing but memory
    /// holds them, and that is getting short.
    pub fn is_behind(&self) -> bool {
        let mut readers = self.sinks.iter().filter(|sink| sink.reads_the_journal());
        let first = readers.next();
        self.journal.is_memory() && readers.next().is_none() && first.is_some_and(|sink| sink.is_behind())
    }

    /// Ends all sinks at once, each after it has delivered what waits for it, or after
    /// [`FINISH_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// The first sink's that has lost something.
    pub fn finish(mut self) -> Result<()> {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        let results = thread::scope(|scope| {
            let ends: Vec<_> = self.sinks.iter_mut().map(|sink| scope.spawn(|| sink.finish(deadline))).collect();
            ends.into_iter().map(|end| end.join()).collect::<Vec<_>>()
        });
        let mut all = Ok(());
        for (result, sink) in results.into_iter().zip(&self.sinks) {
            match result {
                Ok(result) => all = all.and(result),
                Err(_) => tracing::error!("the sink {} ended in a panic", sink.name()),
            }
        }
        all
    }
}

/// Waits until `deadline` for the end of the `thread` of the sink `name`, and joins it then. One
/// that is stuck ends with the process. Returns whether it has ended.
fn join_until(thread: &mut Option<JoinHandle<()>>, deadline: Instant, name: &str) -> bool {
    while thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    if thread.take().is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the thread of {name} ended in a panic");
    }
    true
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use super::*;
    use crate::decide::Transition;
    use crate::event::{EventBuilder, Phase};
    use crate::journal::{Cursor, JournalSettings, Start};

    /// An onset of `label`.
    pub(crate) fn event(label: &str) -> Event {
        let transition = Transition {
            class_id: 0,
            phase: Phase::Onset,
            t_onset_s: 1.0,
            t_offset_s: None,
            score: 0.5,
            peak_score: 0.5,
        };
        let mut builder = EventBuilder::new("test", "test-1.0.0", &[label.to_string()]);
        builder.build(&transition, |_| Timestamp::constant(1_800_000_000, 0))
    }

    /// A journal that ends with the test.
    pub(crate) fn journal() -> Journal {
        Journal::open(JournalSettings::in_memory(), &[])
    }

    /// With all that it sees, and how many of its kind are ending.
    struct Recorder(Cursor, Arc<Mutex<Vec<String>>>, Arc<(Mutex<usize>, Condvar)>);

    const N_RECORDERS: usize = 3;

    impl Sink for Recorder {
        fn name(&self) -> &str {
            "recorder"
        }

        fn notify(&mut self, events: &[Event]) {
            // What a sink hears of, the journal has.
            let taken = self.0.take(10).iter().map(|record| record.label.clone()).collect::<Vec<_>>();
            assert_eq!(taken, events.iter().map(|event| event.label.clone()).collect::<Vec<_>>());
            self.1.lock().unwrap().extend(taken);
        }

        fn is_open(&self) -> bool {
            false
        }

        fn finish(&mut self, deadline: Instant) -> Result<()> {
            // A sink that uses up its time takes none from the others: all of them have it at once.
            let (n_ending, changed) = &*self.2;
            let mut n = n_ending.lock().unwrap();
            *n += 1;
            changed.notify_all();
            let left = deadline.saturating_duration_since(Instant::now());
            let (n, _) = changed.wait_timeout_while(n, left, |n| *n < N_RECORDERS).unwrap();
            self.1.lock().unwrap().push(format!("{} are ending", *n));
            Ok(())
        }
    }

    #[test]
    fn every_sink_gets_every_event_from_the_journal_and_its_own_time_to_end() {
        let seen: Vec<Arc<Mutex<Vec<String>>>> = (0..N_RECORDERS).map(|_| Arc::default()).collect();
        let n_ending: Arc<(Mutex<usize>, Condvar)> = Arc::default();
        let journal = journal();
        let mut publisher = Publisher::new(journal.clone());
        assert!(!publisher.is_open());
        for seen in &seen {
            let cursor = journal.reader("recorder", Start::Now);
            publisher.add(Recorder(cursor, Arc::clone(seen), Arc::clone(&n_ending)));
        }
        publisher.publish(["bell", "dog"].map(event));
        publisher.finish().unwrap();
        for seen in seen {
            assert_eq!(*seen.lock().unwrap(), ["bell", "dog", "3 are ending"]);
        }
    }

    /// A sink that is behind, and whether it reads the journal.
    struct Behind(bool);

    impl Sink for Behind {
        fn name(&self) -> &str {
            "behind"
        }

        fn reads_the_journal(&self) -> bool {
            self.0
        }

        fn is_open(&self) -> bool {
            true
        }

        fn is_behind(&self) -> bool {
            self.0
        }

        fn finish(&mut self, _: Instant) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_recording_waits_for_its_only_reader_whoever_looks_on() {
        let mut publisher = Publisher::new(journal());
        publisher.add(Behind(true));
        publisher.add(Behind(false));
        assert!(publisher.is_behind());
        publisher.add(Behind(true));
        assert!(!publisher.is_behind());
    }
}

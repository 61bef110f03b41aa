//! Events to an MQTT broker. One thread keeps the connection; a broker that is away is tried again
//! without end.
//!
//! | topic | payload | QoS | retained |
//! |---|---|---|---|
//! | `<prefix>/<device>/event` | the event's JSON object | 1 | no |
//! | `<prefix>/<device>/state/<label>` | `ON`, `OFF` | 1 | yes |
//! | `<prefix>/<device>/status` | `online`; `deaf` while its microphone fails; `offline`, also the last will | 1 | yes |
//! | `<prefix>/<device>/health` | the daemon's own state, JSON | 0 | no |
//! | `<discovery prefix>/..` | what Home Assistant is to know, see `discovery` | 1 | yes |
//!
//! A label that is not reported has no state: one that the broker keeps from before is removed, and
//! so is what an earlier configuration has left. All states begin with `OFF`, so nothing that a
//! daemon that died left behind stays `ON`.
//!
//! Events wait in the [journal](crate::journal) until the broker has acknowledged them: they are
//! delivered at least once, in order, with the same id and payload, no matter what happens to the
//! broker, the connection or the daemon meanwhile.

mod attempts;
mod connection;
mod discovery;
mod faults;
mod ids;
mod leftovers;
mod link;
mod options;
mod outbox;
mod probe;
mod refusal;
mod route;
mod topics;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use jiff::Timestamp;
use rumqttc::{Client, QoS};

use self::connection::{ConnectionShared, ConnectionState, Echo, Ending};
use self::leftovers::Leftovers;
pub use self::link::{MqttLink, MqttSnapshot};
use self::options::ConnectOptions;
use self::outbox::Outbox;
pub use self::probe::{CertificateEnd, Probe, certificate_ends, probe};
use self::topics::Topics;
use super::{Label, MqttSettings, Sink};
use crate::decide::Phase;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fault::FaultLog;
use crate::journal::{Journal, MQTT, Start};

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";
const DEAF: &str = "deaf";
const ON: &str = "ON";
const OFF: &str = "OFF";
/// A retained message without a payload takes the one away that the broker keeps (MQTT 3.1.1,
/// 3.3.1.3).
const NONE: &str = "";

/// A device of this daemon: one of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in events and topics.
    pub name: String,
    /// Name and version of its model.
    pub model: String,
}

/// Whether a connection could be set up by `settings`: the files that they name are read.
///
/// # Errors
///
/// For certificates and keys that cannot be used.
pub fn check(settings: &MqttSettings) -> Result<()> {
    ConnectOptions::new(settings, String::new(), OFFLINE).map(drop)
}

/// The connection to a broker.
pub struct MqttSink {
    shared: Arc<ConnectionShared>,
    thread: Option<JoinHandle<()>>,
}

impl MqttSink {
    /// Starts to connect and returns at once. `name` is the daemon's, on whose status topic the
    /// broker says when it is gone; `devices` are its sources, of which one may have that name;
    /// `labels` are those of all of them. What waits in the `journal` is delivered first.
    ///
    /// # Errors
    ///
    /// For certificates that cannot be read, and when the system refuses a thread. A broker that
    /// cannot be reached is not an error: it is logged and tried again.
    pub fn start(
        settings: &MqttSettings,
        name: &str,
        devices: &[Device],
        labels: &[Label],
        journal: &Journal,
    ) -> Result<Self> {
        let topics = Topics::new(settings, name, devices, labels);
        let values = topics.first_values(labels);
        let options = ConnectOptions::new(settings, topics.daemon_status().to_string(), OFFLINE)?;
        let leftovers = Leftovers::new(journal, &topics);
        // Room for everything that the outbox hands over at once, the subscriptions, the health
        // messages and the farewell.
        let n_requests = 64 + 4 * devices.len();
        let (client, connection) = Client::new(options.to(&settings.url.host.bare(), true), n_requests);
        let mut outbox = Outbox::new(journal.reader(MQTT, Start::Kept), values.clone());
        leftovers.kinds().into_iter().for_each(|kind| outbox.clear(kind));
        let link = Arc::new(MqttLink::default());
        let state = ConnectionState {
            outbox,
            client,
            ending: Ending::Running,
            first_values: values,
            leftovers,
            faults: FaultLog::default(),
            echo: Echo::default(),
            lacks_will: false,
        };
        let shared = Arc::new(ConnectionShared {
            peer: format!("mqtt broker {}:{}", settings.url.host, settings.url.port),
            url: settings.url.clone(),
            client_id: settings.client_id.clone(),
            topics,
            link: Arc::clone(&link),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let thread = std::thread::Builder::new()
            .name("mqtt".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run(connection, &options)
            })
            .map_err(Error::io("cannot start the mqtt thread"))?;
        Ok(MqttSink { shared, thread: Some(thread) })
    }

    /// Events that wait for the broker.
    pub fn n_waiting(&self) -> u64 {
        self.shared.lock().outbox.depth().n_events
    }

    /// The state of the connection and of what waits for it, for the health message.
    pub fn link(&self) -> Arc<MqttLink> {
        Arc::clone(&self.shared.link)
    }
}

impl Sink for MqttSink {
    fn name(&self) -> &str {
        &self.shared.peer
    }

    fn notify(&mut self, events: &[Event]) {
        let ConnectionShared { topics, .. } = &*self.shared;
        let mut state = self.shared.lock();
        for event in events {
            // What an earlier daemon left to be ended may have a label that is not reported any
            // more, and has no state.
            if let Some(index) = topics.state(&event.device, &event.label)
                && state.first_values[index].0 != NONE
            {
                state.outbox.set(index, if event.phase == Phase::Onset { ON } else { OFF });
            }
        }
        self.shared.pump(&mut state);
    }

    fn health(&mut self, device: &str, json: &str) {
        let state = self.shared.lock();
        if state.outbox.is_connected() {
            // Only the newest matters: one that cannot be sent now is not worth keeping.
            let _ = state.client.try_publish(self.shared.topics.health(device), QoS::AtMostOnce, false, json);
        }
    }

    fn listening(&mut self, device: &str, hears: bool) {
        let mut state = self.shared.lock();
        if let Some(index) = self.shared.topics.status(device) {
            state.outbox.set(index, if hears { ONLINE } else { DEAF });
            self.shared.pump(&mut state);
        }
    }

    fn set_labels(&mut self, labels: &[Label]) {
        let mut state = self.shared.lock();
        let values = self.shared.topics.first_values(labels);
        for (index, value) in values.iter().enumerate() {
            if *value != state.first_values[index] {
                state.outbox.set(index, value.0.clone());
            }
        }
        state.first_values = values;
        self.shared.pump(&mut state);
    }

    fn keep_alive(&mut self, _now: Timestamp) {
        let mut state = self.shared.lock();
        self.shared.look_after(&mut state);
        self.shared.pump(&mut state);
    }

    fn is_open(&self) -> bool {
        self.shared.lock().ending != Ending::Done
    }

    fn finish(&mut self, deadline: Instant) -> Result<()> {
        let mut state = self.shared.lock();
        if state.ending == Ending::Running {
            state.ending = Ending::Draining;
            self.shared.pump(&mut state);
            self.shared.changed.notify_all();
        }
        while state.ending != Ending::Done {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let depth = state.outbox.depth();
        let (n_lost, n_kept) = (depth.n_in_memory, depth.n_on_disk());
        if n_kept > 0 {
            tracing::info!(peer = self.shared.peer, n_kept, "{n_kept} events are kept for the next start");
        }
        if n_lost > 0 {
            tracing::warn!(peer = self.shared.peer, n_lost, "{n_lost} events not delivered");
        }
        let done = state.ending == Ending::Done;
        drop(state);
        // A thread that is still trying to connect ends with the process.
        if done && self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the mqtt thread ended in a panic");
        }
        Ok(())
    }
}

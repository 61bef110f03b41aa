//! Events to an MQTT broker. One thread keeps the connection; a broker that is away is tried again for ever.
//!
//! | topic | payload | QoS | retained |
//! |---|---|---|---|
//! | `<prefix>/<device>/event` | the event's JSON object | 1 | no |
//! | `<prefix>/<device>/state/<label>` | `ON`, `OFF` | 1 | yes |
//! | `<prefix>/<device>/status` | `online`; `deaf` while its microphone fails; `offline`, also the last will | 1 | yes |
//! | `<prefix>/<device>/health` | the daemon's own state, JSON | 0 | no |
//! | `<discovery prefix>/..` | what Home Assistant is to know, see `discovery` | 1 | yes |
//!
//! A label that is not reported has no state: one that the broker keeps from before is taken away. All states begin with `OFF`, so
//! nothing that a daemon that died left behind stays `ON`.
//!
//! Events wait in the [journal](crate::journal) until the broker has acknowledged them: they are
//! delivered at least once, in order, with the same id and payload, whatever happens to the broker, the
//! connection or the daemon meanwhile.

mod discovery;
mod link;
mod options;
mod outbox;
mod topics;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rumqttc::{Client, ConnectReturnCode, Connection, ConnectionError, Event as Packet, Incoming, Outgoing, QoS};

pub use self::link::{Link, LinkSnapshot};
use self::outbox::{Item, Outbox, Value};
use self::topics::Topics;
use super::{Label, MqttSettings, Sink};
use crate::decide::Phase;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::{Journal, MQTT, Start};

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";
const DEAF: &str = "deaf";
const ON: &str = "ON";
const OFF: &str = "OFF";
/// A retained message without a payload takes the one away that the broker keeps (MQTT 3.1.1, 3.3.1.3).
const NONE: &str = "";

/// Wait after the first failure to connect; doubled after each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// A device of this daemon: one of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in events and topics.
    pub name: String,
    /// Name and version of its model.
    pub model: String,
}

/// The connection to a broker.
pub struct MqttSink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// For logs: `mqtt broker 10.0.0.2:1883`.
    peer: String,
    topics: Topics,
    link: Arc<Link>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    outbox: Outbox,
    client: Client,
    ending: Ending,
    /// What the retained topics said at first, or by the labels that have been reported since.
    first_values: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Ending {
    /// Not yet.
    Running,
    /// What is queued is still to be delivered.
    Draining,
    /// `offline` is to be acknowledged.
    Farewell,
    /// The broker was told that this end is meant.
    Disconnecting,
    /// The thread is through.
    Done,
}

impl MqttSink {
    /// Starts to connect and returns at once. `name` is the daemon's, on whose status topic the broker says when it is gone; `devices`
    /// are its sources, of which one may have that name; `labels` are those of all of them. What waits in the `journal` is delivered first.
    ///
    /// # Errors
    ///
    /// For certificates that cannot be read, and when the system refuses a thread. A broker that cannot be reached is no
    /// error: it is logged and tried again.
    pub fn start(
        settings: &MqttSettings,
        name: &str,
        devices: &[Device],
        labels: &[Label],
        journal: &Journal,
    ) -> Result<Self> {
        let topics = Topics::new(settings, name, devices, labels);
        let values = topics.first_values(labels);
        let options = options::options(settings, topics.daemon_status().to_string(), OFFLINE)?;
        // Room for everything that the outbox hands over at once, the health message and the farewell.
        let (client, connection) = Client::new(options, 64);
        let outbox = Outbox::new(journal.reader(MQTT, Start::Kept), values.clone());
        let link = Arc::new(Link::default());
        let shared = Arc::new(Shared {
            peer: format!("mqtt broker {}:{}", settings.url.host, settings.url.port),
            topics,
            link: Arc::clone(&link),
            state: Mutex::new(State { outbox, client, ending: Ending::Running, first_values: values }),
            changed: Condvar::new(),
        });
        let thread = std::thread::Builder::new()
            .name("mqtt".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run(connection)
            })
            .map_err(Error::io("start the mqtt thread"))?;
        Ok(MqttSink { shared, thread: Some(thread) })
    }

    /// Events that wait for the broker.
    pub fn n_waiting(&self) -> u64 {
        self.shared.lock().outbox.depth().n_events
    }

    /// The state of the connection and of what waits for it, for the health message.
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.shared.link)
    }
}

impl Sink for MqttSink {
    fn name(&self) -> &str {
        &self.shared.peer
    }

    fn notify(&mut self, events: &[Event]) {
        let Shared { topics, .. } = &*self.shared;
        let mut state = self.shared.lock();
        for event in events {
            // What an earlier daemon left to be ended may have a label that is not reported any more, and has no state.
            if let Some(index) = topics.state(&event.device, &event.label)
                && state.first_values[index] != NONE
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
        for (index, value) in
            values.iter().enumerate().filter(|(index, value)| **value != state.first_values[*index]).collect::<Vec<_>>()
        {
            state.outbox.set(index, value.clone());
        }
        state.first_values = values;
        self.shared.pump(&mut state);
    }

    fn keep_alive(&mut self, _now: Timestamp) {
        let mut state = self.shared.lock();
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
        let n_lost = depth.n_in_memory;
        if depth.n_events > n_lost {
            let n_kept = depth.n_events - n_lost;
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: receives until the farewell is sent, reconnects until then.
    fn run(&self, mut connection: Connection) {
        let mut backoff = FIRST_BACKOFF;
        let mut last_failure = String::new();
        loop {
            match connection.recv() {
                Ok(Ok(packet)) => {
                    if matches!(packet, Packet::Incoming(Incoming::ConnAck(_))) {
                        tracing::info!(peer = self.peer, "connected to {}", self.peer);
                        self.link.connected();
                        backoff = FIRST_BACKOFF;
                        last_failure.clear();
                    }
                    if self.receive(&packet) {
                        break;
                    }
                }
                Ok(Err(error)) => {
                    self.forget_session(&mut connection);
                    if self.lock().ending >= Ending::Draining {
                        break;
                    }
                    self.report(&error, &mut last_failure, backoff);
                    // Half of it is chance, so that a house full of devices does not come back all at once.
                    self.pause(backoff.mul_f64(0.5 + 0.5 * fastrand::f64()));
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                }
                // Cannot be: the other end lives in `self.state`.
                Err(_) => break,
            }
        }
        self.lock().ending = Ending::Done;
        self.changed.notify_all();
    }

    /// Takes note of a packet, and returns whether it was the last one.
    fn receive(&self, packet: &Packet) -> bool {
        let mut state = self.lock();
        match packet {
            Packet::Incoming(Incoming::ConnAck(_)) => {
                state.outbox.connected();
                if let Some(birth) = self.topics.birth() {
                    // Without it Home Assistant only misses what it has forgotten itself; the next connection tries again.
                    let _ = state.client.try_subscribe(birth, QoS::AtLeastOnce);
                }
            }
            // Whoever has just come, or come back, may have missed everything.
            Packet::Incoming(Incoming::Publish(message))
                if self.topics.birth() == Some(&message.topic) && message.payload == ONLINE =>
            {
                state.outbox.repeat_retained();
            }
            Packet::Incoming(Incoming::PubAck(ack)) => state.outbox.acknowledged(ack.pkid),
            // Packets of quality 0 have no identifier.
            Packet::Outgoing(Outgoing::Publish(packet_id)) if *packet_id != 0 => state.outbox.sent(*packet_id),
            Packet::Outgoing(Outgoing::Disconnect) => return true,
            _ => return false,
        }
        self.pump(&mut state);
        false
    }

    /// Hands over what may be handed over, and takes the next step towards the end where that is wanted.
    fn pump(&self, state: &mut State) {
        self.hand_over(state);
        self.link.set_depth(&state.outbox.depth());
    }

    fn hand_over(&self, state: &mut State) {
        loop {
            while let Some(item) = state.outbox.next() {
                let (topic, payload, retain) = match &item {
                    Item::Event(record) => (self.topics.event(&record.device), record.payload.as_str(), false),
                    Item::Retained(index, value) => (self.topics.retained(*index).to_string(), value.as_ref(), true),
                };
                if state.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_err() {
                    state.outbox.put_back(item);
                    return;
                }
                state.outbox.handed(item);
            }
            if !state.outbox.is_connected() || !state.outbox.is_empty() {
                return;
            }
            match state.ending {
                Ending::Draining => {
                    self.topics.statuses().for_each(|index| state.outbox.set(index, OFFLINE));
                    state.ending = Ending::Farewell;
                }
                Ending::Farewell => {
                    if state.client.try_disconnect().is_ok() {
                        state.ending = Ending::Disconnecting;
                    }
                    return;
                }
                Ending::Running | Ending::Disconnecting | Ending::Done => return,
            }
        }
    }

    /// Takes everything back that the library was given: on the next connection the outbox hands it over again, in order. Left
    /// to itself the library would repeat some of it, forget the rest, and report what it had done with packets of the old session.
    fn forget_session(&self, connection: &mut Connection) {
        let mut state = self.lock();
        let library = &mut connection.eventloop;
        library.clean();
        library.pending.clear();
        library.state.events.clear();
        library.state.collision = None;
        state.outbox.disconnected();
        self.link.disconnected();
    }

    /// Logs a failure once, not once per attempt.
    fn report(&self, error: &ConnectionError, last_failure: &mut String, backoff: Duration) {
        let failure = describe(error);
        if failure == *last_failure {
            tracing::debug!(peer = self.peer, failure, ?backoff, "still not connected to {}: {failure}", self.peer);
        } else {
            tracing::warn!(
                peer = self.peer,
                failure,
                "not connected to {}, trying again until it works: {failure}",
                self.peer
            );
            *last_failure = failure;
        }
    }

    /// Waits, but not when the end is wanted.
    fn pause(&self, backoff: Duration) {
        let state = self.lock();
        let running = |state: &mut State| state.ending == Ending::Running;
        drop(self.changed.wait_timeout_while(state, backoff, running).unwrap_or_else(PoisonError::into_inner));
    }
}

fn describe(error: &ConnectionError) -> String {
    match error {
        // Mosquitto answers the second to a wrong password.
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "the broker refuses the user name or the password".into(),
        ConnectionError::Io(error) => error.to_string(),
        other => crate::error::one_line(other),
    }
}

//! Events to an MQTT broker. One thread keeps the connection; a broker that is away is tried again for ever.
//!
//! | topic | payload | QoS | retained |
//! |---|---|---|---|
//! | `<prefix>/<device>/event` | the event's JSON object | 1 | no |
//! | `<prefix>/<device>/state/<label>` | `ON`, `OFF` | 1 | yes |
//! | `<prefix>/<device>/status` | `online`, `offline`; also the last will | 1 | yes |
//! | `<prefix>/<device>/health` | the daemon's own state, JSON | 0 | no |
//!
//! A label that is not reported has no state: one that the broker keeps from before is taken away.
//!
//! Events stay in an outbox in memory until the broker acknowledges them, so an event is delivered at least once
//! across broken connections, with the same payload; what does not outlive the process is lost with it.

mod options;
mod outbox;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rumqttc::{Client, ConnectReturnCode, Connection, ConnectionError, Event as Packet, Incoming, Outgoing, QoS};

use self::outbox::{Item, Outbox};
use super::{Message, Sink};
use crate::config::MqttSettings;
use crate::error::{Error, Result};
use crate::event::Phase;

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";
const ON: &str = "ON";
const OFF: &str = "OFF";
/// A retained message without a payload takes the one away that the broker keeps (MQTT 3.1.1, 3.3.1.3).
const NONE: &str = "";

/// Index of the status among the outbox's retained values; the labels' states follow, then those of labels that are not reported.
const STATUS: usize = 0;

/// Wait after the first failure to connect; doubled after each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// The connection to a broker.
pub struct MqttSink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// For logs: `mqtt broker 10.0.0.2:1883`.
    peer: String,
    topics: Topics,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    outbox: Outbox,
    client: Client,
    ending: Ending,
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

struct Topics {
    event: String,
    health: String,
    /// In the order of the outbox's retained values.
    retained: Vec<String>,
    labels: Vec<String>,
}

impl MqttSink {
    /// Starts to connect and returns at once. `device` names the topics; `labels` are those that can be events. Of the `others` the
    /// broker may still keep a state, from a time when they were reported: it is taken away.
    ///
    /// # Errors
    ///
    /// For certificates that cannot be read, and when the system refuses a thread. A broker that cannot be reached is no
    /// error: it is logged and tried again.
    pub fn start(settings: &MqttSettings, device: &str, labels: &[String], others: &[String]) -> Result<Self> {
        let topics = Topics::new(&format!("{}/{device}", settings.topic), labels, others);
        let options = options::options(settings, topics.retained[STATUS].clone(), OFFLINE)?;
        // Room for everything that the outbox hands over at once, the health message and the farewell.
        let (client, connection) = Client::new(options, 64);
        let states = labels.iter().map(|_| OFF).chain(others.iter().map(|_| NONE));
        let outbox = Outbox::new(std::iter::once(ONLINE).chain(states));
        let shared = Arc::new(Shared {
            peer: format!("mqtt broker {}:{}", settings.url.host, settings.url.port),
            topics,
            state: Mutex::new(State { outbox, client, ending: Ending::Running }),
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
}

impl Sink for MqttSink {
    fn name(&self) -> &str {
        &self.shared.peer
    }

    fn publish(&mut self, message: &Arc<Message>) {
        let mut state = self.shared.lock();
        if let Some(at) = self.shared.topics.labels.iter().position(|label| *label == message.event.label) {
            state.outbox.set(STATUS + 1 + at, if message.event.phase == Phase::Onset { ON } else { OFF });
        }
        if let Some(n_dropped) = state.outbox.push(Arc::clone(message))
            && n_dropped.is_power_of_two()
        {
            tracing::warn!(peer = self.shared.peer, n_dropped, "broker away for too long, oldest events dropped");
        }
        self.shared.pump(&mut state);
    }

    fn health(&mut self, json: &str) {
        let state = self.shared.lock();
        if state.outbox.is_connected() {
            // Only the newest matters: one that cannot be sent now is not worth keeping.
            let _ = state.client.try_publish(&self.shared.topics.health, QoS::AtMostOnce, false, json);
        }
    }

    fn is_open(&self) -> bool {
        self.shared.lock().ending != Ending::Done
    }

    fn finish(&mut self, deadline: Instant) {
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
        let n_lost = state.outbox.n_undelivered();
        if n_lost > 0 {
            tracing::warn!(peer = self.shared.peer, n_lost, "events not delivered");
        }
        let done = state.ending == Ending::Done;
        drop(state);
        // A thread that is still trying to connect ends with the process.
        if done && self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the mqtt thread ended in a panic");
        }
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
                        tracing::info!(peer = self.peer, "connected");
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
                    self.pause(backoff);
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
            Packet::Incoming(Incoming::ConnAck(_)) => state.outbox.connected(),
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
        loop {
            while let Some(item) = state.outbox.next() {
                let (topic, payload, retain) = match &item {
                    Item::Event(message) => (&self.topics.event, message.json.as_str(), false),
                    Item::Retained(index, value) => (&self.topics.retained[*index], *value, true),
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
                    state.outbox.set(STATUS, OFFLINE);
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
    }

    /// Logs a failure once, not once per attempt.
    fn report(&self, error: &ConnectionError, last_failure: &mut String, backoff: Duration) {
        let failure = describe(error);
        if failure == *last_failure {
            tracing::debug!(peer = self.peer, failure, ?backoff, "still not connected");
        } else {
            tracing::warn!(peer = self.peer, failure, "not connected, trying again until it works");
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

impl Topics {
    fn new(root: &str, labels: &[String], others: &[String]) -> Self {
        let states = labels.iter().chain(others).map(|label| format!("{root}/state/{label}"));
        Topics {
            event: format!("{root}/event"),
            health: format!("{root}/health"),
            retained: std::iter::once(format!("{root}/status")).chain(states).collect(),
            labels: labels.to_vec(),
        }
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

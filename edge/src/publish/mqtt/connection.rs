//! The connection's thread: packets of the broker enter, what the outbox has leaves; after a
//! connection that ends it makes the next one, without end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::{Client, Connection, Event as Packet, Incoming, Outgoing, Publish, QoS, SubAck, SubscribeReasonCode};

use super::attempts::{Attempts, CLIENT_ID_TAKEN, client_id_taken};
use super::faults;
use super::leftovers::Leftovers;
use super::link::{LEFT_OUT, MqttLink};
use super::options::ConnectOptions;
use super::outbox::{Item, Outbox, Value};
use super::refusal::{Aside, MessageKind};
use super::topics::Topics;
use super::{OFFLINE, ONLINE};
use crate::fault::{Fault, FaultLog};
use crate::publish::BrokerUrl;

/// By then the broker has passed on what it has acknowledged, or it never will.
const ECHO: Duration = Duration::from_secs(5);

/// The fault that what is published is acknowledged and not passed on.
const NOT_BACK: &str = "status-not-back";

/// What the thread and the sink share.
pub(super) struct ConnectionShared {
    /// For logs: `mqtt broker 10.0.0.2:1883`.
    pub(super) peer: String,
    pub(super) url: BrokerUrl,
    pub(super) client_id: String,
    pub(super) topics: Topics,
    pub(super) link: Arc<MqttLink>,
    pub(super) state: Mutex<ConnectionState>,
    pub(super) changed: Condvar,
}

pub(super) struct ConnectionState {
    pub(super) outbox: Outbox,
    pub(super) client: Client,
    pub(super) ending: Ending,
    /// The first values of the retained topics, or those for the labels that are reported since a
    /// reload.
    pub(super) first_values: Vec<(Value, MessageKind)>,
    pub(super) leftovers: Leftovers,
    pub(super) faults: FaultLog,
    pub(super) echo: Echo,
    /// Whether the connection is to be made once more, with a last will that is retained, if the
    /// broker retains messages.
    pub(super) lacks_will: bool,
}

/// Whether what is published on the daemon's status topic comes back.
#[derive(Debug, Default)]
pub(super) struct Echo {
    acknowledged: Option<Instant>,
    seen: bool,
    /// How often the topic showed that the daemon is gone although it is not.
    n_denied: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Ending {
    /// Not yet.
    Running,
    /// What is queued is still to be delivered.
    Draining,
    /// `offline` is to be acknowledged.
    Farewell,
    /// The broker has been sent DISCONNECT.
    Disconnecting,
    /// The thread is through.
    Done,
}

impl ConnectionShared {
    pub(super) fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: receives until the farewell is sent, reconnects until then.
    pub(super) fn run(&self, mut connection: Connection, options: &ConnectOptions) {
        let mut attempts = Attempts::new(&self.url, &self.client_id);
        loop {
            match connection.recv() {
                Ok(Ok(packet)) => {
                    if matches!(packet, Packet::Incoming(Incoming::ConnAck(_))) {
                        attempts.connected();
                        self.link.connected();
                        self.report_connection(&attempts);
                        self.lock().lacks_will = attempts.lacks_will();
                    }
                    if attempts.is_sound() {
                        self.lock().outbox.relax();
                        self.link.mended(CLIENT_ID_TAKEN);
                    }
                    if self.receive(&packet) {
                        if self.lock().ending == Ending::Disconnecting {
                            break;
                        }
                        self.forget_session(&mut connection, false);
                        attempts.ask_again();
                        connection.eventloop.mqtt_options = options.to(&attempts.target(), attempts.keep_will());
                    }
                }
                Ok(Err(error)) => {
                    let fault = faults::fault(&error, &self.url);
                    let (n_in_flight, aside) = self.forget_session(&mut connection, attempts.is_hung_up(&fault));
                    if self.lock().ending >= Ending::Draining {
                        break;
                    }
                    let fault = attempts.failed(fault, n_in_flight);
                    if let Some((aside, item)) = aside {
                        self.report_aside(aside, &item);
                    }
                    self.report(&fault);
                    self.pause(attempts.wait());
                    connection.eventloop.mqtt_options = options.to(&attempts.target(), attempts.keep_will());
                }
                // Cannot be: the other end lives in `self.state`.
                Err(_) => break,
            }
        }
        self.lock().ending = Ending::Done;
        self.changed.notify_all();
    }

    /// Takes note of a packet, and returns whether it was the last one of the connection.
    fn receive(&self, packet: &Packet) -> bool {
        let mut state = self.lock();
        match packet {
            Packet::Incoming(Incoming::ConnAck(_)) => self.greet(&mut state),
            Packet::Incoming(Incoming::Publish(message)) => self.hear(&mut state, message),
            Packet::Incoming(Incoming::SubAck(ack)) => self.subscribed(&mut state, ack),
            Packet::Incoming(Incoming::PubAck(ack)) => match state.outbox.acknowledged(ack.pkid) {
                Some(Item::Retained(0, _)) => state.echo.acknowledged = Some(Instant::now()),
                Some(Item::Retained(index, _)) => state.leftovers.cleared(index),
                Some(Item::Event(_)) | None => {}
            },
            // Packets of quality 0 have no identifier.
            Packet::Outgoing(Outgoing::Publish(packet_id)) if *packet_id != 0 => state.outbox.sent(*packet_id),
            Packet::Outgoing(Outgoing::Disconnect) => return true,
            _ => return false,
        }
        self.pump(&mut state);
        false
    }

    /// The connection is there.
    fn greet(&self, state: &mut ConnectionState) {
        state.outbox.connected();
        state.echo = Echo { n_denied: state.echo.n_denied, ..Echo::default() };
        // What cannot be asked for now is with the next connection. First the status, which is
        // published after that and is to come back.
        let _ = state.client.try_subscribe(self.topics.daemon_status(), QoS::AtMostOnce);
        for birth in self.topics.births() {
            let _ = state.client.try_subscribe(birth, QoS::AtLeastOnce);
        }
        for filter in self.topics.leftovers() {
            let _ = state.client.try_subscribe(filter, QoS::AtMostOnce);
        }
        state.leftovers.asked();
    }

    fn hear(&self, state: &mut ConnectionState, message: &Publish) {
        let topic = message.topic.as_str();
        if topic == self.topics.daemon_status() {
            if message.retain {
                return;
            }
            state.echo.seen = true;
            self.link.mended(NOT_BACK);
            // The last will of another connection: ours is here.
            if message.payload == OFFLINE && state.ending == Ending::Running {
                state.echo.n_denied += 1;
                state.outbox.repeat(0);
                if state.echo.n_denied >= 2 {
                    self.report_to(&mut state.faults, &client_id_taken(&self.client_id));
                }
            }
        } else if self.topics.births().iter().any(|birth| birth == topic) {
            // Whoever has just come, or come back, may have missed everything.
            if message.payload == ONLINE {
                state.outbox.repeat_retained();
            }
        } else if message.retain
            && !message.payload.is_empty()
            && self.topics.is_ours(topic)
            && !self.topics.is_owned(topic)
            && let Some(kind) = state.leftovers.found(topic)
        {
            state.outbox.clear(kind);
        }
    }

    fn subscribed(&self, state: &mut ConnectionState, ack: &SubAck) {
        if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
            let text = "the broker does not let this device subscribe, so restarts of Home Assistant and retained \
                        messages of an earlier configuration go unnoticed; allow the device to read its own topics";
            self.report_to(&mut state.faults, &Fault::new("subscription-refused", text));
        }
    }

    /// Looks after what takes its time. Called every few seconds.
    pub(super) fn look_after(&self, state: &mut ConnectionState) {
        if !state.outbox.is_connected() {
            return;
        }
        if state.leftovers.is_through() {
            for filter in self.topics.leftovers() {
                let _ = state.client.try_unsubscribe(filter);
            }
        }
        if !state.outbox.leaves_out() {
            self.link.mended(LEFT_OUT);
        }
        let is_late = state.echo.acknowledged.is_some_and(|since| since.elapsed() >= ECHO);
        if is_late && !state.echo.seen {
            let topic = self.topics.daemon_status();
            let text = format!(
                "the broker acknowledges messages but {topic} does not come back: its access control (ACL) may forbid \
                 writing there, so that events are lost, or reading there; allow both"
            );
            self.report_to(&mut state.faults, &Fault::new(NOT_BACK, text));
        }
    }

    /// Hands over what may be handed over, and takes the next step towards the end if that was
    /// requested.
    pub(super) fn pump(&self, state: &mut ConnectionState) {
        self.hand_over(state);
        self.link.set_depth(&state.outbox.depth());
    }

    fn hand_over(&self, state: &mut ConnectionState) {
        loop {
            while let Some(item) = state.outbox.next() {
                let (topic, payload, retain) = match &item {
                    Item::Event(record) => (self.topics.event(&record.device), record.payload.as_str(), false),
                    Item::Retained(index, value) => (self.retained_topic(state, *index), value.as_ref(), true),
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
                Ending::Running => return self.ask_for_will(state),
                Ending::Disconnecting | Ending::Done => return,
            }
        }
    }

    /// Ends a connection that lacks a last will that is retained, now that the broker has retained
    /// the status and has everything: only a new connection may have one.
    fn ask_for_will(&self, state: &mut ConnectionState) {
        if state.lacks_will && state.echo.acknowledged.is_some() && state.client.try_disconnect().is_ok() {
            state.lacks_will = false;
            tracing::info!(
                peer = self.peer,
                "{} retains messages: connecting once more, with a last will that is retained",
                self.peer
            );
        }
    }

    fn retained_topic(&self, state: &ConnectionState, index: usize) -> String {
        self.topics.retained(index).map_or_else(|| state.leftovers.topic(index), str::to_string)
    }

    /// Takes everything back that the library was given: on the next connection the outbox hands it
    /// over again, in order. Left to itself the library would repeat some of it, forget the rest,
    /// and report what it had done with packets of the old session. Returns how much was on its
    /// way, and what is left out from now on.
    fn forget_session(&self, connection: &mut Connection, hung_up: bool) -> (usize, Option<(Aside, Item)>) {
        let mut state = self.lock();
        let library = &mut connection.eventloop;
        library.clean();
        library.pending.clear();
        library.state.events.clear();
        library.state.collision = None;
        self.link.disconnected();
        (state.outbox.n_in_flight(), state.outbox.disconnected(hung_up))
    }

    fn report_connection(&self, attempts: &Attempts) {
        let is_news = self.lock().faults.recovered();
        if is_news || attempts.is_first() {
            tracing::info!(peer = self.peer, "connected to {}", self.peer);
        }
        if attempts.is_first_without_will() {
            tracing::warn!(
                peer = self.peer,
                "{} refuses a last will that is retained, and accepts one that is not: a client that subscribes later \
                 may not learn that this device is offline",
                self.peer
            );
        }
    }

    /// Logs a failure to connect once, not once per attempt.
    fn report(&self, fault: &Fault) {
        let mut state = self.lock();
        self.link.set_fault(fault);
        match state.faults.occurred(fault) {
            Some(news) => tracing::warn!(
                peer = self.peer,
                kind = fault.kind(),
                "not connected to {}, trying again until it works: {fault}{}",
                self.peer,
                news.suffix()
            ),
            None => tracing::debug!(peer = self.peer, "still not connected to {}: {fault}", self.peer),
        }
    }

    /// Logs what is wrong although there is a connection.
    fn report_to(&self, faults: &mut FaultLog, fault: &Fault) {
        self.link.set_fault(fault);
        if let Some(news) = faults.occurred(fault) {
            tracing::warn!(peer = self.peer, kind = fault.kind(), "{}: {fault}{}", self.peer, news.suffix());
        }
    }

    fn report_aside(&self, aside: Aside, item: &Item) {
        let (topic, n_bytes) = match item {
            Item::Event(record) => (self.topics.event(&record.device), record.payload.len()),
            Item::Retained(index, value) => (self.retained_topic(&self.lock(), *index), value.len()),
        };
        let what = match (aside.all, aside.key.kind()) {
            (false, _) => "it is",
            (true, MessageKind::Events) => "all events are",
            (true, MessageKind::States) => "all statuses and states are",
            (true, MessageKind::Discovery) => "everything for Home Assistant's discovery is",
        };
        let how = if matches!(item, Item::Event(_)) { "an event" } else { "a retained message" };
        let text = format!(
            "{} disconnects when it receives {how} of {n_bytes} bytes on {topic}: {what} left out for an hour; the \
             broker may limit the size of messages, forbid the topic, or retain nothing",
            self.peer
        );
        tracing::warn!(peer = self.peer, topic, "{text}");
        self.link.set_fault(&Fault::new(LEFT_OUT, text));
    }

    /// Waits, unless the end was requested.
    fn pause(&self, wait: Duration) {
        let state = self.lock();
        let running = |state: &mut ConnectionState| state.ending == Ending::Running;
        drop(self.changed.wait_timeout_while(state, wait, running).unwrap_or_else(PoisonError::into_inner));
    }
}

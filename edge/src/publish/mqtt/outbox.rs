//! What is to be handed to the MQTT library, and what it has: acknowledgements come back and tell what is done with.
//!
//! The library forgets what it was given when a connection breaks and the broker holds no session, so everything is
//! remembered until its PubAck: two kinds of things, treated differently when the connection is back. **Events** are all
//! delivered, in order; they come from the journal. Of a **retained value** (the daemon's status, the state of a label, what Home
//! Assistant is to know) only the latest counts; all of them are published again on every connection, as the broker may have
//! lost them.
//!
//! Plain state behind the sink's mutex; what I/O there is, is the journal's.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::journal::{Cursor, Depth, Record};

/// Messages handed over and not yet acknowledged. Well below the library's own limit (100), above which it would stall.
const WINDOW: usize = 20;

/// Events taken from the journal at once.
const BATCH: usize = 64;

/// Something to publish.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Event(Arc<Record>),
    /// Index of a retained value, and the value.
    Retained(usize, Value),
}

/// What a retained topic says.
pub(super) type Value = Cow<'static, str>;

#[derive(Debug)]
pub(super) struct Outbox {
    connected: bool,
    journal: Cursor,
    /// The events of the journal that come next.
    events: VecDeque<Arc<Record>>,
    retained: Vec<Retained>,
    in_flight: VecDeque<InFlight>,
}

#[derive(Debug)]
struct Retained {
    value: Value,
    /// Not handed over since it changed, or since the connection was made.
    due: bool,
}

#[derive(Debug)]
struct InFlight {
    /// The library's packet identifier, once it has told it.
    packet_id: Option<u16>,
    item: Item,
}

impl Outbox {
    /// An outbox with the events of `journal` and these retained values, addressed by their index.
    pub(super) fn new(journal: Cursor, values: impl IntoIterator<Item = Value>) -> Self {
        Outbox {
            connected: false,
            journal,
            events: VecDeque::new(),
            retained: values.into_iter().map(|value| Retained { value, due: true }).collect(),
            in_flight: VecDeque::with_capacity(WINDOW),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Changes a retained value.
    pub(super) fn set(&mut self, index: usize, value: impl Into<Value>) {
        self.retained[index] = Retained { value: value.into(), due: true };
    }

    /// The connection is there. Whatever the broker had of the retained values may be gone.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        self.repeat_retained();
    }

    /// Publishes all retained values once more.
    pub(super) fn repeat_retained(&mut self) {
        self.retained.iter_mut().for_each(|retained| retained.due = true);
    }

    /// The connection is gone, and with it everything that was handed over and not acknowledged.
    pub(super) fn disconnected(&mut self) {
        self.connected = false;
        while let Some(InFlight { item, .. }) = self.in_flight.pop_back() {
            self.put_back(item);
        }
    }

    /// The next item to hand over, if there is one and the window has room.
    pub(super) fn next(&mut self) -> Option<Item> {
        if !self.connected || self.in_flight.len() >= WINDOW {
            return None;
        }
        let due = self.retained.iter_mut().enumerate().find(|(_, retained)| retained.due);
        if let Some((index, retained)) = due {
            retained.due = false;
            return Some(Item::Retained(index, retained.value.clone()));
        }
        loop {
            if self.events.is_empty() {
                self.events.extend(self.journal.take(BATCH));
            }
            let record = self.events.pop_front()?;
            if self.journal.is_kept(record.seq) {
                return Some(Item::Event(record));
            }
        }
    }

    /// `item` was handed over.
    pub(super) fn handed(&mut self, item: Item) {
        self.in_flight.push_back(InFlight { packet_id: None, item });
    }

    /// `item` could not be handed over, or is lost: it is the next one again.
    pub(super) fn put_back(&mut self, item: Item) {
        match item {
            Item::Event(record) => self.events.push_front(record),
            // What it was when it was handed over does not matter; what it is now is published.
            Item::Retained(index, _) => self.retained[index].due = true,
        }
    }

    /// The library has sent the oldest item that it was handed and that had no identifier yet.
    pub(super) fn sent(&mut self, packet_id: u16) {
        if let Some(entry) = self.in_flight.iter_mut().find(|entry| entry.packet_id.is_none()) {
            entry.packet_id = Some(packet_id);
        }
    }

    /// The broker has the message.
    pub(super) fn acknowledged(&mut self, packet_id: u16) {
        let Some(at) = self.in_flight.iter().position(|entry| entry.packet_id == Some(packet_id)) else { return };
        if let Some(InFlight { item: Item::Event(record), .. }) = self.in_flight.remove(at) {
            self.journal.acknowledge(record.seq);
        }
    }

    /// Whether the broker has everything.
    pub(super) fn is_empty(&self) -> bool {
        let nothing_due = self.retained.iter().all(|retained| !retained.due);
        nothing_due && self.in_flight.is_empty() && self.depth().n_events == 0
    }

    /// Events that the broker has not acknowledged.
    pub(super) fn depth(&self) -> Depth {
        self.journal.depth()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, MQTT, Start};
    use crate::publish::tests::{event, journal};

    fn outbox<const N: usize>(values: [&'static str; N]) -> (Outbox, Journal) {
        let journal = journal();
        (Outbox::new(journal.reader(MQTT, Start::Kept), values.map(Value::from)), journal)
    }

    fn label(item: &Item) -> String {
        match item {
            Item::Event(record) => record.label.clone(),
            Item::Retained(index, value) => format!("{index}={value}"),
        }
    }

    /// Hands over everything that may be handed over; packet identifiers count from `first_id`.
    fn hand_over(outbox: &mut Outbox, first_id: u16) -> Vec<String> {
        let mut labels = Vec::new();
        while let Some(item) = outbox.next() {
            labels.push(label(&item));
            outbox.handed(item);
            outbox.sent(first_id + labels.len() as u16 - 1);
        }
        labels
    }

    #[test]
    fn nothing_leaves_before_the_connection() {
        let (mut outbox, journal) = outbox(["online"]);
        journal.append(&[event("a")]);
        assert!(outbox.next().is_none());
        outbox.connected();
        assert_eq!(hand_over(&mut outbox, 1), ["0=online", "a"]);
        assert!(!outbox.is_empty());
        outbox.acknowledged(2);
        outbox.acknowledged(1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_in_order() {
        let (mut outbox, journal) = outbox(["online"]);
        outbox.connected();
        for name in ["a", "b", "c"] {
            journal.append(&[event(name)]);
        }
        hand_over(&mut outbox, 1);
        outbox.acknowledged(3);
        outbox.disconnected();
        journal.append(&[event("d")]);
        assert_eq!(outbox.depth().n_events, 3);
        outbox.connected();
        assert_eq!(hand_over(&mut outbox, 1), ["0=online", "a", "c", "d"]);
    }

    #[test]
    fn of_a_retained_value_only_the_latest_counts() {
        let (mut outbox, _journal) = outbox(["online", "OFF"]);
        outbox.connected();
        hand_over(&mut outbox, 1);
        outbox.set(1, "ON");
        outbox.disconnected();
        outbox.set(1, "OFF");
        outbox.connected();
        assert_eq!(hand_over(&mut outbox, 1), ["0=online", "1=OFF"]);
    }

    #[test]
    fn the_window_bounds_what_is_in_flight() {
        let (mut outbox, journal) = outbox([]);
        outbox.connected();
        for _ in 0..WINDOW + 5 {
            journal.append(&[event("a")]);
        }
        assert_eq!(hand_over(&mut outbox, 1).len(), WINDOW);
        outbox.acknowledged(7);
        assert_eq!(hand_over(&mut outbox, 100).len(), 1);
    }
}

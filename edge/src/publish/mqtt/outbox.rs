//! What is still to be delivered: messages enter, items to hand to the MQTT library leave, acknowledgements come back.
//!
//! The library forgets what it was given when a connection breaks and the broker holds no session, so everything stays here
//! until its PubAck: two kinds of things, treated differently when the connection is back. **Events** are all delivered, in
//! order. Of a **retained value** (the daemon's status, the state of a label) only the latest counts; all of them are
//! published again on every connection, as the broker may have lost them.
//!
//! Plain state behind the sink's mutex; does no I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::publish::{Message, QUEUE_EVENTS};

/// Messages handed over and not yet acknowledged. Well below the library's own limit (100), above which it would stall.
const WINDOW: usize = 20;

/// Something to publish.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Event(Arc<Message>),
    /// Index of a retained value, and the value.
    Retained(usize, &'static str),
}

#[derive(Debug)]
pub(super) struct Outbox {
    connected: bool,
    events: VecDeque<Arc<Message>>,
    retained: Vec<Retained>,
    in_flight: VecDeque<InFlight>,
    n_dropped: u64,
}

#[derive(Debug)]
struct Retained {
    value: &'static str,
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
    /// An outbox with these retained values, addressed by their index.
    pub(super) fn new(values: impl IntoIterator<Item = &'static str>) -> Self {
        Outbox {
            connected: false,
            events: VecDeque::new(),
            retained: values.into_iter().map(|value| Retained { value, due: true }).collect(),
            in_flight: VecDeque::with_capacity(WINDOW),
            n_dropped: 0,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Adds an event. A full queue loses its oldest event; returns how many have been lost so far if one was.
    pub(super) fn push(&mut self, message: Arc<Message>) -> Option<u64> {
        let full = self.events.len() >= QUEUE_EVENTS;
        if full {
            self.events.pop_front();
            self.n_dropped += 1;
        }
        self.events.push_back(message);
        full.then_some(self.n_dropped)
    }

    /// Changes a retained value.
    pub(super) fn set(&mut self, index: usize, value: &'static str) {
        self.retained[index] = Retained { value, due: true };
    }

    /// The connection is there. Whatever the broker had of the retained values may be gone.
    pub(super) fn connected(&mut self) {
        self.connected = true;
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
            return Some(Item::Retained(index, retained.value));
        }
        self.events.pop_front().map(Item::Event)
    }

    /// `item` was handed over.
    pub(super) fn handed(&mut self, item: Item) {
        self.in_flight.push_back(InFlight { packet_id: None, item });
    }

    /// `item` could not be handed over, or is lost: it is the next one again.
    pub(super) fn put_back(&mut self, item: Item) {
        match item {
            Item::Event(message) => self.events.push_front(message),
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
        if let Some(at) = self.in_flight.iter().position(|entry| entry.packet_id == Some(packet_id)) {
            self.in_flight.remove(at);
        }
    }

    /// Whether the broker has everything.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.in_flight.is_empty() && self.retained.iter().all(|retained| !retained.due)
    }

    /// Events that the broker has not acknowledged.
    pub(super) fn n_undelivered(&self) -> usize {
        let in_flight = self.in_flight.iter().filter(|entry| matches!(entry.item, Item::Event(_)));
        self.events.len() + in_flight.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::message;

    fn label(item: &Item) -> String {
        match item {
            Item::Event(message) => message.event.label.clone(),
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
        let mut outbox = Outbox::new(["online"]);
        outbox.push(message("a"));
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
        let mut outbox = Outbox::new(["online"]);
        outbox.connected();
        for name in ["a", "b", "c"] {
            outbox.push(message(name));
        }
        hand_over(&mut outbox, 1);
        outbox.acknowledged(3);
        outbox.disconnected();
        outbox.push(message("d"));
        assert_eq!(outbox.n_undelivered(), 3);
        outbox.connected();
        assert_eq!(hand_over(&mut outbox, 1), ["0=online", "a", "c", "d"]);
    }

    #[test]
    fn of_a_retained_value_only_the_latest_counts() {
        let mut outbox = Outbox::new(["online", "OFF"]);
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
        let mut outbox = Outbox::new([]);
        outbox.connected();
        for _ in 0..WINDOW + 5 {
            outbox.push(message("a"));
        }
        assert_eq!(hand_over(&mut outbox, 1).len(), WINDOW);
        outbox.acknowledged(7);
        assert_eq!(hand_over(&mut outbox, 100).len(), 1);
    }

    #[test]
    fn a_full_queue_loses_the_oldest_and_counts() {
        let mut outbox = Outbox::new([]);
        let first = message("first");
        assert_eq!(outbox.push(first), None);
        let other = message("other");
        for _ in 1..QUEUE_EVENTS {
            assert_eq!(outbox.push(Arc::clone(&other)), None);
        }
        assert_eq!(outbox.push(other), Some(1));
        outbox.connected();
        assert_eq!(label(&outbox.next().unwrap()), "other");
    }
}

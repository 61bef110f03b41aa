//! What is to be handed to the MQTT library, and what it has: acknowledgements come back and show
//! what is finished.
//!
//! The library forgets what it was given when a connection breaks and the broker holds no session,
//! so everything is remembered until its PubAck: two kinds of things, treated differently when the
//! connection is back. **Events** are all delivered, in order; they come from the journal. Of a
//! **retained value** (the daemon's status, the state of a label, what Home Assistant is to know)
//! only the latest counts; all of them are published again on every connection, as the broker may
//! have lost them. What the broker hangs up on is left out, see `refusal`.
//!
//! Plain state behind the sink's mutex; what I/O there is, is the journal's.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::NONE;
use super::refusal::{Aside, Key, MessageKind, Refusal};
use crate::journal::{Cursor, Depth, Record};

/// Messages handed over and not yet acknowledged. Well below the library's own limit (100), above
/// which it would stall.
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

/// The value of a retained topic.
pub(super) type Value = Cow<'static, str>;

#[derive(Debug)]
pub(super) struct Outbox {
    connected: bool,
    journal: Cursor,
    /// The events of the journal that come next.
    events: VecDeque<Arc<Record>>,
    /// Events that the broker hangs up on, until when they are left out.
    aside: Vec<Arc<Record>>,
    retained: Vec<Retained>,
    in_flight: VecDeque<InFlight>,
    refusal: Refusal,
}

#[derive(Debug)]
struct Retained {
    value: Value,
    kind: MessageKind,
    /// Not handed over since it changed, or since the connection was made.
    due: bool,
}

#[derive(Debug)]
struct InFlight {
    /// The library's packet identifier, once it is known.
    packet_id: Option<u16>,
    item: Item,
    since: Instant,
}

impl Outbox {
    /// An outbox with the events of `journal` and these retained values, addressed by their index.
    pub(super) fn new(journal: Cursor, values: impl IntoIterator<Item = (Value, MessageKind)>) -> Self {
        Outbox {
            connected: false,
            journal,
            events: VecDeque::new(),
            aside: Vec::new(),
            retained: values.into_iter().map(|(value, kind)| Retained { value, kind, due: true }).collect(),
            in_flight: VecDeque::with_capacity(WINDOW),
            refusal: Refusal::default(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Changes a retained value.
    pub(super) fn set(&mut self, index: usize, value: impl Into<Value>) {
        let retained = &mut self.retained[index];
        (retained.value, retained.due) = (value.into(), true);
    }

    /// One more topic whose retained message is to be taken away.
    pub(super) fn clear(&mut self, kind: MessageKind) {
        self.retained.push(Retained { value: NONE.into(), kind, due: true });
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

    /// Publishes a retained value once more.
    pub(super) fn repeat(&mut self, index: usize) {
        self.retained[index].due = true;
    }

    /// The connection is gone, and with it everything that was handed over and not acknowledged.
    /// Returns what is left out from now on, if the broker has ended it (`hung_up`) because of
    /// that.
    pub(super) fn disconnected(&mut self, hung_up: bool) -> Option<(Aside, Item)> {
        self.connected = false;
        let in_flight: Vec<_> =
            self.in_flight.iter().map(|entry| (self.key(&entry.item), entry.since.elapsed())).collect();
        let aside = if hung_up { self.refusal.hung_up(&in_flight, Instant::now()) } else { None };
        let item = self.in_flight.front().map(|entry| entry.item.clone());
        while let Some(InFlight { item, .. }) = self.in_flight.pop_back() {
            self.put_back(item);
        }
        aside.zip(item)
    }

    /// All is well with the connection for a while.
    pub(super) fn relax(&mut self) {
        self.refusal.relax();
    }

    fn key(&self, item: &Item) -> Key {
        match item {
            Item::Event(record) => Key::Event(record.seq),
            Item::Retained(index, _) => Key::Retained(*index, self.retained[*index].kind),
        }
    }

    /// The next item to hand over, if there is one and the window has room.
    pub(super) fn next(&mut self) -> Option<Item> {
        let careful = self.refusal.is_careful();
        if !self.connected || self.in_flight.len() >= if careful { 1 } else { WINDOW } {
            return None;
        }
        // What is retained says what is; but what is wrong with it must not keep the events back.
        if careful {
            self.next_event().or_else(|| self.next_retained())
        } else {
            self.next_retained().or_else(|| self.next_event())
        }
    }

    fn next_retained(&mut self) -> Option<Item> {
        let now = Instant::now();
        let (index, retained) = self.retained.iter_mut().enumerate().find(|(index, retained)| {
            retained.due && !self.refusal.is_aside(Key::Retained(*index, retained.kind), now)
        })?;
        retained.due = false;
        Some(Item::Retained(index, retained.value.clone()))
    }

    fn next_event(&mut self) -> Option<Item> {
        let now = Instant::now();
        if self.refusal.is_kind_aside(MessageKind::Events, now) {
            return None;
        }
        let is_back = |record: &Arc<Record>| !self.refusal.is_aside(Key::Event(record.seq), now);
        if let Some(at) = self.aside.iter().position(is_back) {
            return Some(Item::Event(self.aside.remove(at)));
        }
        loop {
            if self.events.is_empty() {
                self.events.extend(self.journal.take(BATCH));
            }
            let record = self.events.pop_front()?;
            if !self.journal.is_kept(record.seq) {
                continue;
            }
            if !self.refusal.is_aside(Key::Event(record.seq), now) {
                return Some(Item::Event(record));
            }
            self.aside.push(record);
        }
    }

    /// `item` was handed over.
    pub(super) fn handed(&mut self, item: Item) {
        self.in_flight.push_back(InFlight { packet_id: None, item, since: Instant::now() });
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

    /// The broker has the message. Returns which one that is.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> Option<Item> {
        let at = self.in_flight.iter().position(|entry| entry.packet_id == Some(packet_id))?;
        let item = self.in_flight.remove(at)?.item;
        self.refusal.acknowledged(self.key(&item));
        if let Item::Event(record) = &item {
            self.journal.acknowledge(record.seq);
        }
        if self.is_empty() {
            self.refusal.relax();
        }
        Some(item)
    }

    /// Whether the broker has everything, but what it hangs up on.
    pub(super) fn is_empty(&self) -> bool {
        let now = Instant::now();
        let is_due = |(index, retained): (usize, &Retained)| {
            retained.due && !self.refusal.is_aside(Key::Retained(index, retained.kind), now)
        };
        let events = self.refusal.is_kind_aside(MessageKind::Events, now)
            || (self.events.is_empty() && !self.journal.has_more());
        self.in_flight.is_empty() && events && !self.retained.iter().enumerate().any(is_due)
    }

    /// Whether there is something that the broker hangs up on.
    pub(super) fn leaves_out(&self) -> bool {
        self.refusal.is_any_aside(Instant::now())
    }

    /// How much was handed over and not acknowledged.
    pub(super) fn n_in_flight(&self) -> usize {
        self.in_flight.len()
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
        let values = values.map(|value| (Value::from(value), MessageKind::States));
        (Outbox::new(journal.reader(MQTT, Start::Kept), values), journal)
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
        assert!(outbox.disconnected(false).is_none());
        journal.append(&[event("d")]);
        assert_eq!(outbox.depth().n_events, 3);
        outbox.connected();
        assert_eq!(hand_over(&mut outbox, 1), ["0=online", "a", "c", "d"]);
        assert!(!outbox.leaves_out());
    }

    #[test]
    fn of_a_retained_value_only_the_latest_counts() {
        let (mut outbox, _journal) = outbox(["online", "OFF"]);
        outbox.connected();
        hand_over(&mut outbox, 1);
        outbox.set(1, "ON");
        assert!(outbox.disconnected(false).is_none());
        outbox.set(1, "OFF");
        outbox.connected();
        assert_eq!(hand_over(&mut outbox, 1), ["0=online", "1=OFF"]);
    }

    #[test]
    fn what_the_broker_hangs_up_on_is_left_out_and_the_events_flow() {
        let (mut outbox, journal) = outbox(["online", "too long", "OFF"]);
        journal.append(&[event("a")]);
        let mut arrived = Vec::new();
        let mut aside = None;
        for _ in 0..4 {
            outbox.connected();
            let mut id = 0;
            while let Some(item) = outbox.next() {
                let name = label(&item);
                outbox.handed(item);
                id += 1;
                outbox.sent(id);
                if name == "1=too long" {
                    break;
                }
                // When it is hurried, a broker may never acknowledge what it still received.
                if outbox.refusal.is_careful() {
                    outbox.acknowledged(id);
                    arrived.push(name);
                }
            }
            if outbox.is_empty() {
                break;
            }
            aside = outbox.disconnected(true).or(aside);
        }
        assert_eq!(arrived[0], "a");
        assert!(arrived.contains(&"2=OFF".to_string()) && outbox.is_empty(), "{arrived:?}");
        assert!(outbox.leaves_out());
        let (aside, item) = aside.unwrap();
        assert_eq!((aside.key, label(&item)), (Key::Retained(1, MessageKind::States), "1=too long".to_string()));
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

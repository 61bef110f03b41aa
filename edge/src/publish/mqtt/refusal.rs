//! What the broker hangs up on: the items that were on their way when a connection ended enter, and
//! what is to be left out for a while leaves.
//!
//! In MQTT 3.1.1 a broker that does not like a message, because it is too large, or its topic is
//! forbidden, or nothing may be retained, has no other way to say so than to close the connection.
//! Then the message must not be the first thing that every later connection sends.
//!
//! After a connection that ended with several items on their way, they are sent one at a time, so
//! that the culprit shows: an item that was alone on its way at the end of two connections in a
//! row, each soon after it was sent, is set aside for an hour. Two items of a kind set aside, with
//! none of the kind acknowledged in between, and the kind is set aside.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For this long an item is left out.
const ASIDE: Duration = Duration::from_secs(3600);

/// Ends of connections that make an item a culprit.
const N_DEATHS: u32 = 2;

/// Culprits that make a kind one.
const N_CULPRITS: u32 = 2;

/// A connection that ends later than this after an item was sent did not end because of it.
const SOON: Duration = Duration::from_secs(5);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An event, by its number in the journal.
    Event(i64),
    /// A retained value, by its index.
    Retained(usize, MessageKind),
}

/// Kinds of items, which a broker treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MessageKind {
    Events,
    /// Statuses and states of labels.
    States,
    /// What Home Assistant is to know.
    Discovery,
}

/// What is left out from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aside {
    pub(super) key: Key,
    /// Whether everything of its kind is left out, too.
    pub(super) all: bool,
}

/// What the broker hangs up on.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// Whether items are sent one at a time.
    careful: bool,
    suspect: Option<(Key, u32)>,
    items: HashMap<Key, Instant>,
    kinds: HashMap<MessageKind, Instant>,
    culprits: HashMap<MessageKind, u32>,
}

impl Key {
    pub(super) fn kind(self) -> MessageKind {
        match self {
            Key::Event(_) => MessageKind::Events,
            Key::Retained(_, kind) => kind,
        }
    }
}

impl Refusal {
    /// Whether items are to be sent one at a time, events first.
    pub(super) fn is_careful(&self) -> bool {
        self.careful
    }

    /// All is well: everything was delivered, or the connection has lived.
    pub(super) fn relax(&mut self) {
        (self.careful, self.suspect) = (false, None);
    }

    /// Whether the item is left out.
    pub(super) fn is_aside(&self, key: Key, now: Instant) -> bool {
        self.items.get(&key).is_some_and(|until| now < *until) || self.is_kind_aside(key.kind(), now)
    }

    /// Whether everything of the kind is left out.
    pub(super) fn is_kind_aside(&self, kind: MessageKind, now: Instant) -> bool {
        self.kinds.get(&kind).is_some_and(|until| now < *until)
    }

    /// Whether anything is left out.
    pub(super) fn is_any_aside(&self, now: Instant) -> bool {
        self.items.values().chain(self.kinds.values()).any(|until| now < *until)
    }

    pub(super) fn acknowledged(&mut self, key: Key) {
        self.suspect.take_if(|(suspect, _)| *suspect == key);
        self.culprits.remove(&key.kind());
    }

    /// The broker has ended the connection while these were on their way, each for this long.
    /// Returns what is left out because of that.
    pub(super) fn hung_up(&mut self, in_flight: &[(Key, Duration)], now: Instant) -> Option<Aside> {
        match in_flight {
            [] => return None,
            [(key, age)] if self.careful => {
                if *age > SOON {
                    self.suspect = None;
                    return None;
                }
                let n = self.suspect.filter(|(suspect, _)| suspect == key).map_or(1, |(_, n)| n + 1);
                self.suspect = Some((*key, n));
                if n < N_DEATHS {
                    return None;
                }
                self.suspect = None;
                self.items.retain(|_, until| now < *until);
                self.items.insert(*key, now + ASIDE);
                let n_culprits = self.culprits.entry(key.kind()).or_default();
                *n_culprits += 1;
                let all = *n_culprits >= N_CULPRITS;
                if all {
                    self.kinds.insert(key.kind(), now + ASIDE);
                }
                return Some(Aside { key: *key, all });
            }
            _ => self.careful = true,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = Key::Retained(0, MessageKind::States);
    const B: Key = Key::Retained(1, MessageKind::Discovery);
    const C: Key = Key::Retained(2, MessageKind::Discovery);
    const D: Key = Key::Retained(3, MessageKind::Discovery);

    fn soon(keys: &[Key]) -> Vec<(Key, Duration)> {
        keys.iter().map(|key| (*key, Duration::from_millis(10))).collect()
    }

    #[test]
    fn what_is_alone_at_two_ends_in_a_row_is_set_aside_for_an_hour() {
        let (mut refusal, now) = (Refusal::default(), Instant::now());
        assert_eq!(refusal.hung_up(&soon(&[A, B, C]), now), None);
        assert!(refusal.is_careful());
        refusal.acknowledged(A);
        assert_eq!(refusal.hung_up(&soon(&[B]), now), None);
        refusal.acknowledged(A);
        assert_eq!(refusal.hung_up(&soon(&[B]), now), Some(Aside { key: B, all: false }));
        assert!(refusal.is_aside(B, now) && !refusal.is_aside(C, now) && !refusal.is_aside(A, now));
        assert!(!refusal.is_aside(B, now + ASIDE));
        assert!(refusal.is_any_aside(now) && !refusal.is_any_aside(now + ASIDE));
        // The second one of its kind speaks for all.
        refusal.hung_up(&soon(&[C]), now);
        assert_eq!(refusal.hung_up(&soon(&[C]), now), Some(Aside { key: C, all: true }));
        assert!(
            refusal.is_aside(D, now) && refusal.is_kind_aside(MessageKind::Discovery, now) && !refusal.is_aside(A, now)
        );
    }

    #[test]
    fn brokers_that_die_for_other_reasons_have_nothing_set_aside() {
        let (mut refusal, now) = (Refusal::default(), Instant::now());
        for _ in 0..20 {
            // Killed while it works, then it acknowledges what it got last.
            assert_eq!(refusal.hung_up(&soon(&[A, B]), now), None);
            assert_eq!(refusal.hung_up(&soon(&[A]), now), None);
            refusal.acknowledged(A);
            // Killed after it has hung for a while, again and again.
            assert_eq!(refusal.hung_up(&[(B, SOON * 2)], now), None);
            assert_eq!(refusal.hung_up(&[(B, SOON * 2)], now), None);
            // Killed while it had nothing to do.
            assert_eq!(refusal.hung_up(&[], now), None);
        }
    }

    #[test]
    fn an_acknowledgement_says_that_the_kind_is_welcome() {
        let (mut refusal, now) = (Refusal::default(), Instant::now());
        refusal.hung_up(&soon(&[B, C]), now);
        refusal.hung_up(&soon(&[B]), now);
        assert!(refusal.hung_up(&soon(&[B]), now).is_some());
        refusal.acknowledged(D);
        refusal.hung_up(&soon(&[C]), now);
        assert_eq!(refusal.hung_up(&soon(&[C]), now), Some(Aside { key: C, all: false }));
    }
}

//! What an earlier configuration has left at the broker: retained messages on topics that no longer
//! have an owner, of a label that the model does not have, of another name, of Home Assistant where
//! that is switched off now. They are removed, or they would look healthy forever.
//!
//! They are known in two ways: the journal remembers which topics were owned; and the broker is
//! asked for what it has below the current names, which also finds what earlier versions left.

use std::time::{Duration, Instant};

use super::refusal::MessageKind;
use super::topics::Topics;
use crate::journal::Journal;

/// The journal's memo.
const MEMO: &str = "mqtt.retained";

/// A broker has sent what it has after this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than this is not what a daemon leaves.
const MAX: usize = 5_000;

#[derive(Debug)]
pub(super) struct Leftovers {
    journal: Journal,
    owned: Vec<String>,
    /// Topics with the index that their first one has in the outbox.
    topics: Vec<String>,
    first_index: usize,
    cleared: Vec<bool>,
    asked: Option<Instant>,
}

impl Leftovers {
    /// What the journal remembers of topics that are not among `topics`.
    pub(super) fn new(journal: &Journal, topics: &Topics) -> Self {
        let memo = journal.memo(MEMO).unwrap_or_default();
        let before: Vec<String> = serde_json::from_str(&memo).unwrap_or_default();
        let mut leftovers = Leftovers {
            journal: journal.clone(),
            owned: topics.owned().cloned().collect(),
            topics: Vec::new(),
            first_index: topics.n_retained(),
            cleared: Vec::new(),
            asked: None,
        };
        for topic in before.iter().filter(|topic| !topics.is_owned(topic)) {
            leftovers.found(topic);
        }
        leftovers.remember();
        leftovers
    }

    /// The kind of the topic, where it is a new one.
    pub(super) fn found(&mut self, topic: &str) -> Option<MessageKind> {
        if self.topics.len() >= MAX || self.topics.iter().any(|known| known == topic) {
            return None;
        }
        tracing::info!(topic, "{topic} is left from an earlier configuration: removed");
        self.topics.push(topic.to_string());
        self.cleared.push(false);
        Some(Self::kind(topic))
    }

    pub(super) fn kind(topic: &str) -> MessageKind {
        if topic.ends_with("/config") { MessageKind::Discovery } else { MessageKind::States }
    }

    /// The kinds of all topics, in the order of their indices.
    pub(super) fn kinds(&self) -> Vec<MessageKind> {
        self.topics.iter().map(|topic| Self::kind(topic)).collect()
    }

    /// The topic with this index.
    pub(super) fn topic(&self, index: usize) -> String {
        self.topics[index - self.first_index].clone()
    }

    /// The broker has taken it away.
    pub(super) fn cleared(&mut self, index: usize) {
        let Some(at) = index.checked_sub(self.first_index) else { return };
        if !std::mem::replace(&mut self.cleared[at], true) && self.cleared.iter().all(|cleared| *cleared) {
            self.remember();
        }
    }

    /// The broker was asked for what it has.
    pub(super) fn asked(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// Whether the broker has answered by now, if it was asked; once.
    pub(super) fn is_through(&mut self) -> bool {
        self.asked.take_if(|since| since.elapsed() >= PATIENCE).is_some()
    }

    fn remember(&self) {
        let left = self.topics.iter().zip(&self.cleared).filter(|(_, cleared)| !**cleared).map(|(topic, _)| topic);
        let all: Vec<&String> = self.owned.iter().chain(left).collect();
        if let Ok(text) = serde_json::to_string(&all) {
            self.journal.set_memo(MEMO, &text);
        }
    }
}

//! What the topics are called, and which of them are retained: settings, devices and labels enter,
//! names and values leave.

use std::collections::{HashMap, HashSet};

use super::ids::Ids;
use super::outbox::Value;
use super::refusal::MessageKind;
use super::{Device, NONE, OFF, ONLINE, discovery};
use crate::publish::{Label, MqttSettings};

/// Where Home Assistant announces itself unless it is configured otherwise, for any prefix of
/// discovery.
const HOME_ASSISTANT: &str = "homeassistant";

/// The topics of a daemon.
pub(super) struct Topics {
    prefix: String,
    name: String,
    /// Each with its id.
    devices: Vec<(Device, String)>,
    /// First part of Home Assistant's topics.
    home_assistant: Option<String>,
    /// In the order of the outbox's retained values; the daemon's status is the first.
    retained: Vec<(String, MessageKind)>,
    owned: HashSet<String>,
    /// Index of each device's status.
    statuses: HashMap<String, usize>,
    /// Index of the state of each label of each device.
    states: HashMap<(String, String), usize>,
}

impl Topics {
    /// The topics of the daemon `name`.
    pub(super) fn new(settings: &MqttSettings, name: &str, devices: &[Device], labels: &[Label]) -> Self {
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        let ids = Ids::with_others().of_all(&names);
        let mut topics = Topics {
            prefix: settings.topic.clone(),
            name: name.to_string(),
            devices: devices.iter().cloned().zip(ids).collect(),
            home_assistant: settings.home_assistant.clone(),
            retained: Vec::new(),
            owned: HashSet::new(),
            statuses: HashMap::new(),
            states: HashMap::new(),
        };
        for device in std::iter::once(name).chain(names) {
            if !topics.statuses.contains_key(device) {
                topics.statuses.insert(device.to_string(), topics.retained.len());
                topics.retained.push((format!("{}/{device}/status", settings.topic), MessageKind::States));
            }
        }
        for Device { name: device, .. } in devices {
            for Label { name: label, .. } in labels {
                topics.states.insert((device.clone(), label.clone()), topics.retained.len());
                topics.retained.push((format!("{}/{device}/state/{label}", settings.topic), MessageKind::States));
            }
        }
        let discovery = topics.discovery(labels).map(|(topic, _)| (topic, MessageKind::Discovery)).collect::<Vec<_>>();
        topics.retained.extend(discovery);
        topics.owned = topics.retained.iter().map(|(topic, _)| topic.clone()).collect();
        topics
    }

    /// The first values of the retained topics, in their order.
    pub(super) fn first_values(&self, labels: &[Label]) -> Vec<(Value, MessageKind)> {
        let statuses = self.statuses.iter().map(|_| ONLINE.into());
        let states =
            self.devices.iter().flat_map(|_| labels).map(|label| if label.is_reported { OFF } else { NONE }.into());
        let discovery = self.discovery(labels).map(|(_, config)| config.into());
        let kinds = self.retained.iter().map(|(_, kind)| *kind);
        statuses.chain(states).chain(discovery).zip(kinds).collect()
    }

    /// Topics and payloads for Home Assistant.
    fn discovery(&self, labels: &[Label]) -> impl Iterator<Item = (String, String)> {
        let of = |prefix: &String| {
            let messages = |(device, id): &(Device, String)| {
                discovery::messages(prefix, &self.prefix, &self.name, (device, id), labels)
            };
            self.devices.iter().flat_map(messages).collect::<Vec<_>>()
        };
        self.home_assistant.as_ref().map(of).unwrap_or_default().into_iter()
    }

    pub(super) fn event(&self, device: &str) -> String {
        format!("{}/{device}/event", self.prefix)
    }

    pub(super) fn health(&self, device: &str) -> String {
        format!("{}/{device}/health", self.prefix)
    }

    /// The topic of the retained value with this index, if it is one of these.
    pub(super) fn retained(&self, index: usize) -> Option<&str> {
        self.retained.get(index).map(|(topic, _)| topic.as_str())
    }

    /// How many retained values there are.
    pub(super) fn n_retained(&self) -> usize {
        self.retained.len()
    }

    /// All retained topics.
    pub(super) fn owned(&self) -> impl Iterator<Item = &String> {
        self.retained.iter().map(|(topic, _)| topic)
    }

    /// Whether the retained topic is one of these.
    pub(super) fn is_owned(&self, topic: &str) -> bool {
        self.owned.contains(topic)
    }

    /// Filters that match what an earlier daemon of the same name may have left.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let prefix = self.home_assistant.as_deref().unwrap_or(HOME_ASSISTANT);
        let of = |(device, id): &(Device, String)| {
            [format!("{}/{}/state/+", self.prefix, device.name), format!("{prefix}/+/{}/+/config", discovery::node(id))]
        };
        self.devices.iter().flat_map(of).collect()
    }

    /// Whether the topic matches one of [`leftovers`](Self::leftovers).
    pub(super) fn is_ours(&self, topic: &str) -> bool {
        let levels: Vec<&str> = topic.rsplit('/').collect();
        let ours = |(device, id): &(Device, String)| {
            let state = format!("{}/{}/state/", self.prefix, device.name);
            let is_state = topic.strip_prefix(&state).is_some_and(|label| !label.contains('/'));
            is_state || matches!(levels[..], ["config", _, node, ..] if node == discovery::node(id))
        };
        self.devices.iter().any(ours)
    }

    /// The topic of the last will.
    pub(super) fn daemon_status(&self) -> &str {
        &self.retained[0].0
    }

    /// Index of a device's status.
    pub(super) fn status(&self, device: &str) -> Option<usize> {
        self.statuses.get(device).copied()
    }

    /// Indices of all statuses.
    pub(super) fn statuses(&self) -> impl Iterator<Item = usize> {
        self.statuses.values().copied()
    }

    /// Index of the state of a device's label.
    pub(super) fn state(&self, device: &str, label: &str) -> Option<usize> {
        self.states.get(&(device.to_string(), label.to_string())).copied()
    }

    /// Where Home Assistant announces that it is online, if discovery is on.
    pub(super) fn births(&self) -> Vec<String> {
        let Some(prefix) = &self.home_assistant else { return Vec::new() };
        let mut births = vec![format!("{prefix}/status")];
        if prefix != HOME_ASSISTANT {
            births.push(format!("{HOME_ASSISTANT}/status"));
        }
        births
    }
}

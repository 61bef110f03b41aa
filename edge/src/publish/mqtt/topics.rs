//! What the topics are called, and which of them are retained: settings, devices and labels enter, names and values leave.

use std::collections::HashMap;

use super::outbox::Value;
use super::{Device, NONE, OFF, ONLINE, discovery};
use crate::publish::{Label, MqttSettings};

/// The topics of a daemon.
pub(super) struct Topics {
    prefix: String,
    name: String,
    devices: Vec<Device>,
    /// First part of Home Assistant's topics.
    home_assistant: Option<String>,
    /// Where it says that it is there.
    birth: Option<String>,
    /// In the order of the outbox's retained values; the daemon's status is the first.
    retained: Vec<String>,
    /// Index of each device's status.
    statuses: HashMap<String, usize>,
    /// Index of the state of each label of each device.
    states: HashMap<(String, String), usize>,
}

impl Topics {
    /// The topics of the daemon `name`.
    pub(super) fn new(settings: &MqttSettings, name: &str, devices: &[Device], labels: &[Label]) -> Self {
        let mut topics = Topics {
            prefix: settings.topic.clone(),
            name: name.to_string(),
            devices: devices.to_vec(),
            home_assistant: settings.home_assistant.clone(),
            birth: settings.home_assistant.as_ref().map(|prefix| format!("{prefix}/status")),
            retained: Vec::new(),
            statuses: HashMap::new(),
            states: HashMap::new(),
        };
        for device in std::iter::once(name).chain(devices.iter().map(|device| device.name.as_str())) {
            if !topics.statuses.contains_key(device) {
                topics.statuses.insert(device.to_string(), topics.retained.len());
                topics.retained.push(format!("{}/{device}/status", settings.topic));
            }
        }
        for Device { name: device, .. } in devices {
            for Label { name: label, .. } in labels {
                topics.states.insert((device.clone(), label.clone()), topics.retained.len());
                topics.retained.push(format!("{}/{device}/state/{label}", settings.topic));
            }
        }
        let discovery = topics.discovery(labels).map(|(topic, _)| topic).collect::<Vec<_>>();
        topics.retained.extend(discovery);
        topics
    }

    /// What the retained topics say at first, in their order.
    pub(super) fn first_values(&self, labels: &[Label]) -> Vec<Value> {
        let statuses = self.statuses.iter().map(|_| ONLINE.into());
        let states =
            self.devices.iter().flat_map(|_| labels).map(|label| if label.is_reported { OFF } else { NONE }.into());
        statuses.chain(states).chain(self.discovery(labels).map(|(_, config)| config.into())).collect()
    }

    /// Topics and payloads for Home Assistant.
    fn discovery(&self, labels: &[Label]) -> impl Iterator<Item = (String, String)> {
        let of = |prefix: &String| {
            let messages = |device| discovery::messages(prefix, &self.prefix, &self.name, device, labels);
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

    /// The topic of the retained value with this index.
    pub(super) fn retained(&self, index: usize) -> &str {
        &self.retained[index]
    }

    /// The topic of the last will.
    pub(super) fn daemon_status(&self) -> &str {
        &self.retained[0]
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

    /// Where Home Assistant says that it is there, if it is to know of us.
    pub(super) fn birth(&self) -> Option<&String> {
        self.birth.as_ref()
    }
}

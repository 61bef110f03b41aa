//! The discovery of Home Assistant: a device enters, one retained configuration per entity leaves
//! (<https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>).
//!
//! One binary sensor per label, without `off_delay`, because an event reports its own end; a sensor
//! for the level; diagnostic entities from the health message. Sounds are unavailable while the
//! daemon is gone or its microphone fails; the diagnostics only while it is gone.

use serde_json::{Value, json};

use super::ids::Ids;
use super::{DEAF, Device, NONE, OFF, OFFLINE, ON, ONLINE};
use crate::publish::Label;

/// A diagnostic sensor.
struct Diagnostic {
    id: &'static str,
    name: &'static str,
    unit: Option<&'static str>,
    class: Option<&'static str>,
    icon: &'static str,
    /// Reads the health message.
    template: &'static str,
}

const DIAGNOSTICS: &[Diagnostic] = &[
    Diagnostic {
        id: "load",
        name: "Load",
        unit: Some("%"),
        class: None,
        icon: "mdi:gauge",
        template: "{{ (value_json.load * 100) | round(2) }}",
    },
    Diagnostic {
        id: "us_per_pulse",
        name: "Time per pulse",
        // With a Greek mu, as Home Assistant has it, not a micro sign.
        unit: Some("\u{3bc}s"),
        class: Some("duration"),
        icon: "mdi:timer-outline",
        template: "{{ value_json.us_per_pulse }}",
    },
    Diagnostic {
        id: "frame_age",
        name: "Age of the last frame",
        unit: Some("s"),
        class: Some("duration"),
        icon: "mdi:timer-sand",
        template: "{{ value_json.last_frame_age_s }}",
    },
    Diagnostic {
        id: "gaps",
        name: "Gaps",
        unit: None,
        class: None,
        icon: "mdi:content-cut",
        template: "{{ value_json.n_gaps }}",
    },
    Diagnostic {
        id: "xruns",
        name: "Overruns of the driver",
        unit: None,
        class: None,
        icon: "mdi:alert-outline",
        template: "{{ value_json.n_xruns }}",
    },
    Diagnostic {
        id: "reopened",
        name: "Microphone re-opened",
        unit: None,
        class: None,
        icon: "mdi:microphone-question",
        template: "{{ value_json.n_reopened }}",
    },
    Diagnostic {
        id: "spool",
        name: "Events waiting",
        unit: None,
        class: None,
        icon: "mdi:tray-full",
        template: "{{ value_json.mqtt.spool_events }}",
    },
    Diagnostic {
        id: "reconnects",
        name: "Reconnections",
        unit: None,
        class: None,
        icon: "mdi:lan-disconnect",
        template: "{{ value_json.mqtt.n_reconnects }}",
    },
    Diagnostic {
        id: "temperature",
        name: "Temperature of the board",
        unit: Some("°C"),
        class: Some("temperature"),
        icon: "mdi:thermometer",
        template: "{{ value_json.board_celsius }}",
    },
];

const LEVEL: &str = "level";
const MICROPHONE_FAULT: &str = "microphone_fault";

/// What Home Assistant calls the device that has the id `id`.
pub(super) fn node(id: &str) -> String {
    format!("earwitness_{id}")
}

/// Topics and payloads for `device`, whose id is `id`, of the daemon `name`, whose topics begin
/// with `topic`.
pub(super) fn messages(
    prefix: &str,
    topic: &str,
    name: &str,
    (device, id): (&Device, &str),
    labels: &[Label],
) -> Vec<(String, String)> {
    let node = node(id);
    let root = format!("{topic}/{}", device.name);
    let reserved = DIAGNOSTICS.iter().map(|diagnostic| diagnostic.id).chain([LEVEL, MICROPHONE_FAULT]);
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    let objects = Ids::new(reserved).of_all(&names);
    let mut messages = Vec::new();
    let mut add = |component: &str, object: &str, config: Option<Value>| {
        let payload = config.map_or(NONE.to_string(), |config| config.to_string());
        messages.push((format!("{prefix}/{component}/{node}/{object}/config"), payload));
    };
    let entity = |(component, object): (&str, &str), entity_name: &str, hears: bool, config: Value| {
        let mut all = json!({
            "name": entity_name,
            "unique_id": format!("{node}_{object}"),
            // Without the domain, `object_id` was dropped with Home Assistant 2026.4.
            "default_entity_id": format!("{component}.{}", format!("{node}_{object}").to_lowercase()),
            "availability": availability(topic, name, &device.name, hears),
            "availability_mode": "all",
            "device": {
                "identifiers": [node],
                "name": device.name,
                "manufacturer": "Earwitness",
                "model": device.model,
                "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "origin": { "name": "earwitness", "sw_version": env!("CARGO_PKG_VERSION") },
        });
        merge(&mut all, config);
        all
    };

    for (Label { name: label, is_reported }, object) in labels.iter().zip(objects) {
        let config = json!({
            "state_topic": format!("{root}/state/{label}"),
            "payload_on": ON,
            "payload_off": OFF,
            "device_class": "sound",
        });
        let config = is_reported.then(|| entity(("binary_sensor", &object), &spoken(label), true, config));
        add("binary_sensor", &object, config);
    }
    let level = json!({
        "state_topic": format!("{root}/health"),
        "value_template": "{{ value_json.level_dbfs | round(1) }}",
        "unit_of_measurement": "dBFS",
        "state_class": "measurement",
        "icon": "mdi:volume-high",
    });
    add("sensor", LEVEL, Some(entity(("sensor", LEVEL), "Level", true, level)));
    let fault = json!({
        "state_topic": format!("{root}/status"),
        "value_template": format!("{{{{ '{ON}' if value == '{DEAF}' else '{OFF}' }}}}"),
        "device_class": "problem",
        "entity_category": "diagnostic",
    });
    let fault = entity(("binary_sensor", MICROPHONE_FAULT), "Microphone", false, fault);
    add("binary_sensor", MICROPHONE_FAULT, Some(fault));
    for Diagnostic { id: object, name: entity_name, unit, class, icon, template } in DIAGNOSTICS {
        let mut config = json!({
            "state_topic": format!("{root}/health"),
            "value_template": template,
            "entity_category": "diagnostic",
            "icon": icon,
        });
        // Absent and null are not the same there.
        for (key, value) in [("unit_of_measurement", unit), ("device_class", class)] {
            if let Some(value) = value {
                merge(&mut config, json!({ key: value }));
            }
        }
        add("sensor", object, Some(entity(("sensor", object), entity_name, false, config)));
    }
    messages
}

/// The status topics of which an entity's availability depends. One that needs to hear is not
/// available while the microphone fails.
fn availability(topic: &str, name: &str, device: &str, hears: bool) -> Value {
    let of = |device: &str, deaf: &str| {
        json!({
            "topic": format!("{topic}/{device}/status"),
            "value_template": format!("{{{{ '{deaf}' if value == '{DEAF}' else value }}}}"),
            "payload_available": ONLINE,
            "payload_not_available": OFFLINE,
        })
    };
    let deaf = if hears { OFFLINE } else { ONLINE };
    match name == device {
        true => json!([of(device, deaf)]),
        // The daemon's last will speaks for its sources.
        false => json!([of(name, ONLINE), of(device, deaf)]),
    }
}

/// Adds the members of the object `more` to the object `all`.
fn merge(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

/// A label as a person would write it: `crying_baby` is `Crying baby`.
fn spoken(label: &str) -> String {
    let text = label.replace(['_', '-'], " ");
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages that announce the device `name` of the daemon `hub`.
    fn messages_of(name: &str) -> Vec<(String, String)> {
        let device = Device { name: name.into(), model: "home-2.0.0".into() };
        let labels = [("crying_baby", true), ("water-flowing", true), ("dog", false)];
        let labels = labels.map(|(name, is_reported)| Label { name: name.into(), is_reported });
        messages("homeassistant", "earwitness", "hub", (&device, &super::super::ids::id(name)), &labels)
    }

    fn config(messages: &[(String, String)], topic: &str) -> Value {
        let (_, payload) = messages.iter().find(|(other, _)| other == topic).unwrap_or_else(|| panic!("no {topic}"));
        serde_json::from_str(payload).unwrap()
    }

    #[test]
    fn a_label_is_a_binary_sensor_that_its_device_and_its_daemon_make_available() {
        let messages = messages_of("cellar mic");
        let baby = config(&messages, "homeassistant/binary_sensor/earwitness_cellar_mic_b24be47b/crying_baby/config");
        assert_eq!(baby["name"], "Crying baby");
        assert_eq!(baby["unique_id"], "earwitness_cellar_mic_b24be47b_crying_baby");
        assert_eq!(baby["state_topic"], "earwitness/cellar mic/state/crying_baby");
        assert_eq!(baby["default_entity_id"], "binary_sensor.earwitness_cellar_mic_b24be47b_crying_baby");
        assert!(baby.get("off_delay").is_none() && baby.get("object_id").is_none());
        let topics: Vec<&str> =
            baby["availability"].as_array().unwrap().iter().map(|a| a["topic"].as_str().unwrap()).collect();
        assert_eq!(topics, ["earwitness/hub/status", "earwitness/cellar mic/status"]);
        assert_eq!(baby["availability"][1]["value_template"], "{{ 'offline' if value == 'deaf' else value }}");
        assert_eq!(baby["device"]["model"], "home-2.0.0");
    }

    #[test]
    fn a_label_that_is_not_reported_is_taken_away() {
        let messages = messages_of("cellar mic");
        let dog = messages.iter().find(|(topic, _)| topic.contains("/dog/")).unwrap();
        assert_eq!(
            *dog,
            ("homeassistant/binary_sensor/earwitness_cellar_mic_b24be47b/dog/config".to_string(), String::new())
        );
    }

    #[test]
    fn a_label_that_is_called_like_a_diagnostic_is_an_entity_of_its_own() {
        let device = Device { name: "hub".into(), model: "home-2.0.0".into() };
        let labels = ["load", "level", "microphone_fault", "门铃", "狗叫"];
        let labels = labels.map(|name| Label { name: name.into(), is_reported: true });
        let messages = messages("homeassistant", "earwitness", "hub", (&device, "hub"), &labels);
        let values = |key: &str| {
            let configs = messages.iter().map(|(_, payload)| serde_json::from_str::<Value>(payload).unwrap());
            let mut values: Vec<String> = configs.map(|config| config[key].as_str().unwrap().to_string()).collect();
            values.sort();
            let n = values.len();
            values.dedup();
            assert_eq!(values.len(), n, "{key}: {values:?}");
            values
        };
        values("unique_id");
        assert!(values("default_entity_id").iter().all(|id| id.is_ascii()));
    }

    #[test]
    fn the_entities_of_the_examples_are_announced() {
        let manifest = include_str!("../../../../models/home/manifest.toml");
        let labels = edge_frontend::Manifest::parse(manifest).unwrap().labels;
        let labels: Vec<Label> = labels.into_iter().map(|name| Label { name, is_reported: true }).collect();
        let device = Device { name: "kitchen-pi".into(), model: "home".into() };
        let messages = messages("homeassistant", "earwitness", "kitchen-pi", (&device, "kitchen-pi"), &labels);
        // As Home Assistant writes ids.
        let id = |(_, payload): &(String, String)| -> String {
            let config: Value = serde_json::from_str(payload).unwrap();
            config["default_entity_id"].as_str().unwrap().replace('-', "_")
        };
        let announced: Vec<String> = messages.iter().map(id).collect();
        for text in [
            include_str!("../../../../deploy/home-assistant/dashboard.yaml"),
            include_str!("../../../../deploy/home-assistant/packages/earwitness.yaml"),
            include_str!("../../../../docs/home-assistant.md"),
        ] {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches('.'));
            let named: Vec<&str> = words.filter(|word| word.contains(".earwitness_kitchen_pi")).collect();
            assert!(!named.is_empty());
            for entity in named {
                assert!(announced.iter().any(|id| id == entity), "{entity} is not announced");
            }
        }
    }

    #[test]
    fn diagnostics_outlive_the_microphone_and_ids_are_unique() {
        let messages = messages_of("hub");
        let load = config(&messages, "homeassistant/sensor/earwitness_hub/load/config");
        assert_eq!(load["entity_category"], "diagnostic");
        assert_eq!(load["availability"].as_array().unwrap().len(), 1);
        assert_eq!(load["availability"][0]["value_template"], "{{ 'online' if value == 'deaf' else value }}");
        let fault = config(&messages, "homeassistant/binary_sensor/earwitness_hub/microphone_fault/config");
        assert_eq!(fault["value_template"], "{{ 'ON' if value == 'deaf' else 'OFF' }}");
        let mut topics: Vec<&String> = messages.iter().map(|(topic, _)| topic).collect();
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), messages.len());
    }
}

//! Text with places for an event's fields: `{{label}} since {{onset}}`.
//!
//! In a text that is JSON, a field within quotes is part of a string, and a field outside quotes is
//! a value of its own: what the event does not have yet is `null` there.

use std::str::FromStr;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The fields of an event, in the order of its JSON object.
pub const FIELDS: [&str; 13] = [
    "id",
    "device",
    "model",
    "label",
    "class_id",
    "phase",
    "onset",
    "offset",
    "t_onset_s",
    "t_offset_s",
    "duration_s",
    "score",
    "peak_score",
];

/// A text with places for fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    is_json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field {
        name: String,
        /// Whether it stands within quotes.
        is_quoted: bool,
    },
}

impl Template {
    /// Whether the text is a JSON object or array once the fields are filled in.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// The text for an event. A field that the event does not have yet is empty, or `null` where
    /// JSON wants a value.
    pub fn fill(&self, event: &Value) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field { name, is_quoted: false } if self.is_json => {
                event.get(name).unwrap_or(&Value::Null).to_string()
            }
            Part::Field { name, .. } => self.field(event.get(name)),
        };
        self.parts.iter().map(part).collect()
    }

    fn field(&self, value: Option<&Value>) -> String {
        match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if self.is_json => {
                let quoted = Value::String(text.clone()).to_string();
                quoted[1..quoted.len() - 1].to_string()
            }
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        }
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut is_quoted = false;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { return Err("a '}}' is missing after '{{'".into()) };
            let name = name.trim();
            if !FIELDS.contains(&name) {
                return Err(format!("an event has no field {name:?}; it has {}", FIELDS.join(", ")));
            }
            is_quoted = is_quoted_after(before, is_quoted);
            parts.extend([Part::Text(before.into()), Part::Field { name: name.into(), is_quoted }]);
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text(String::new()));
        let template = Template { parts, is_json: true };
        let start = text.trim_start();
        if !start.starts_with(['{', '[']) || start.starts_with("{{") {
            return Ok(Template { is_json: false, ..template });
        }
        // All fields of an event at once, and none of them.
        let whole = FIELDS.map(|name| (name.to_string(), Value::from("text"))).into_iter().collect();
        for event in [Value::Object(whole), Value::Object(Map::new())] {
            match serde_json::from_str::<IgnoredAny>(&template.fill(&event)) {
                Ok(_) => {}
                Err(error) if start.starts_with('{') => {
                    return Err(format!("begins like JSON, but is not JSON once the fields are filled in: {error}"));
                }
                // A text in brackets.
                Err(_) => return Ok(Template { is_json: false, ..template }),
            }
        }
        Ok(template)
    }
}

/// Whether what follows `text` of a JSON document stands within quotes, if `text` itself begins
/// within quotes or not.
fn is_quoted_after(text: &str, mut is_quoted: bool) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => drop(characters.next()),
            _ => {}
        }
    }
    is_quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::event;

    fn filled(template: &str, label: &str) -> String {
        let event = serde_json::from_str(&event(label).to_json()).unwrap();
        template.parse::<Template>().unwrap().fill(&event)
    }

    #[test]
    fn fields_are_filled_in_and_absent_ones_are_empty() {
        assert_eq!(filled("{{label}}: {{ phase }} ({{score}}){{offset}}", "dog"), "dog: onset (0.5)");
        assert_eq!(filled("no fields { at all }", "dog"), "no fields { at all }");
    }

    #[test]
    fn in_json_fields_may_stand_within_quotes() {
        let text = filled(r#"{"content": "{{label}} heard", "n": {{peak_score}}}"#, "a \"b\"\n");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["content"].as_str(), value["n"].as_f64()), (Some("a \"b\"\n heard"), Some(0.5)));
    }

    #[test]
    fn in_json_fields_outside_quotes_are_values() {
        let text = filled(r#"{"a": {{label}}, "b": {{duration_s}}, "c": "\"{{offset}}", "d": [{{score}}]}"#, "a \"b\"");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::json!({ "a": "a \"b\"", "b": null, "c": "\"", "d": [0.5] }));
    }

    #[test]
    fn json_that_is_broken_is_refused_and_a_text_in_brackets_is_a_text() {
        for broken in [r#"{"a": "{{label}}", }"#, r#"{"a": "{{label}}"#, r#"{"a": {{label}}{{phase}}}"#] {
            let error = broken.parse::<Template>().unwrap_err();
            assert!(error.starts_with("begins like JSON, but is not JSON once the fields"), "{error}");
        }
        let text: Template = "[{{label}}] heard".parse().unwrap();
        assert!(!text.is_json());
        assert_eq!(filled("[{{label}}] heard", "dog"), "[dog] heard");
    }

    #[test]
    fn the_fields_are_those_of_an_event() {
        let event: serde_json::Map<String, Value> = serde_json::from_str(&event("dog").to_json()).unwrap();
        let mut fields: Vec<&str> = event.keys().map(String::as_str).collect();
        let mut known = FIELDS.to_vec();
        fields.sort_unstable();
        known.sort_unstable();
        assert_eq!(fields, known);
        assert!("{{lable}}".parse::<Template>().unwrap_err().contains("label"));
        assert!("{{label".parse::<Template>().is_err());
    }
}

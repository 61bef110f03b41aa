//! Text with places for an event's fields: `{{label}} since {{onset}}`.
//!
//! In a text that is a JSON object or array, fields are written so that they may stand within
//! quotes.

use std::str::FromStr;

use serde_json::Value;

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
    Field(String),
}

impl Template {
    /// Whether the text is a JSON object or array.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// The text for an event. A field that the event does not have yet is empty.
    pub fn fill(&self, event: &Value) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(name) => self.field(event.get(name)),
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
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { return Err("a '}}' is missing after '{{'".into()) };
            let name = name.trim();
            if !FIELDS.contains(&name) {
                return Err(format!("an event has no field {name:?}; it has {}", FIELDS.join(", ")));
            }
            parts.extend([Part::Text(before.into()), Part::Field(name.into())]);
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Template {
            parts,
            is_json: text.trim_start().starts_with(['{', '[']) && !text.trim_start().starts_with("{{"),
        })
    }
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

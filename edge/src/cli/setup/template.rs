//! The configuration to be written: the example with all its comments, in which keys get values.

use toml::Value;

/// Every key with its default and its purpose.
const EXAMPLE: &str = include_str!("../../../earwitness.example.toml");

/// The example, with what was set.
pub(super) struct ConfigTemplate {
    lines: Vec<String>,
}

impl ConfigTemplate {
    pub(super) fn new() -> Self {
        let example = EXAMPLE.lines().map(str::to_string).collect();
        ConfigTemplate { lines: example }
    }

    /// Gives `key` of `section`, which is empty for the keys before all sections, a value.
    ///
    /// # Panics
    ///
    /// When the example does not have the key, which is a mistake of this program; a test has all
    /// of them.
    pub(super) fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let header = format!("[{section}]");
        // One of several is an example as a whole.
        let several = format!("#[[{section}]]");
        if let Some(line) = self.lines.iter_mut().find(|line| **line == several) {
            line.remove(0);
        }
        let is_header = |line: &String| *line == header || *line == several[1..];
        let start = if section.is_empty() { Some(0) } else { self.lines.iter().position(is_header) };
        let start = start.unwrap_or_else(|| unreachable!("the example has no section {header}"));
        let names = |line: &str| {
            let line = line.strip_prefix('#').unwrap_or(line);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let of_section = self.lines.iter().enumerate().skip(start + usize::from(!section.is_empty()));
        let mut of_section = of_section.take_while(|(_, line)| !line.starts_with('['));
        let at = of_section.find(|(_, line)| names(line)).map(|(at, _)| at);
        let at = at.unwrap_or_else(|| unreachable!("the example has no key {key} in {header}"));
        self.lines[at] = format!("{key} = {}", value.into());
    }

    /// The whole file.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_get_values_in_their_sections_and_comments_stay() {
        let mut template = ConfigTemplate::new();
        template.set("", "name", "kitchen \"pi\"");
        template.set("source", "input", "exec:arecord");
        template.set("source", "device", "usb:@1-1.3");
        template.set("source", "gain_db", f64::from(12.0_f32));
        template.set("mqtt", "url", "mqtts://broker");
        template.set("mqtt", "user", "ann");
        template.set("mqtt", "password_file", "mqtt.password");
        template.set("mqtt", "ca_file", "ca.pem");
        template.set("mqtt", "home_assistant", true);
        template.set("webhook", "url", "https://ntfy.sh/topic");
        template.set("journal", "keep_days", 30);
        let text = template.text();
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(value["name"].as_str(), Some("kitchen \"pi\""));
        assert_eq!(value["source"]["gain_db"].as_float(), Some(12.0));
        assert!(value["source"].get("name").is_none());
        assert_eq!(value["mqtt"]["password_file"].as_str(), Some("mqtt.password"));
        assert_eq!(
            (value["mqtt"]["home_assistant"].as_bool(), value["journal"]["keep_days"].as_integer()),
            (Some(true), Some(30))
        );
        assert_eq!(value["webhook"][0]["url"].as_str(), Some("https://ntfy.sh/topic"));
        assert!(value["webhook"][0].get("labels").is_none() && value["clips"].get("url").is_none());
        assert_eq!(text.lines().count(), EXAMPLE.lines().count());
        assert_eq!(text.lines().zip(EXAMPLE.lines()).filter(|(a, b)| a != b).count(), 12);
    }
}

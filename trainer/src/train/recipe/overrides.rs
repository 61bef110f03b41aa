//! Changes to a recipe from the command line, for trying variants without another file.
//!
//! Enters: a recipe's text, tables to leave out, and values to set. Leaves: the recipe as if it had
//! been written so.

use crate::error::{Error, Result};

/// What the command line changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Tables that are left out, such as `teacher`.
    pub without: Vec<String>,
    /// Assignments such as `augment.mixup=0.0` or, of the first stage, `stage.0.lr=1e-3`, the value
    /// as in TOML.
    pub set: Vec<String>,
}

impl Overrides {
    /// Whether the recipe stays as it is.
    pub fn is_empty(&self) -> bool {
        self.without.is_empty() && self.set.is_empty()
    }

    /// The text with the changes; comments are lost.
    ///
    /// # Errors
    ///
    /// If a table that is left out is not there, or an assignment has no key, no value, or leads
    /// through something that is no table.
    pub fn apply(&self, text: &str) -> Result<String> {
        let usage = |message: String| Error::Usage(message);
        let mut recipe: toml::Table = toml::from_str(text).map_err(|e| usage(e.message().to_owned()))?;
        for name in &self.without {
            recipe.remove(name).ok_or_else(|| usage(format!("--without {name}: the recipe has no such table")))?;
        }
        for assignment in &self.set {
            let wrong = |why: &str| usage(format!("--set {assignment}: {why}"));
            let (path, value) = assignment.split_once('=').ok_or_else(|| wrong("expected KEY=VALUE"))?;
            let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .ok_or_else(|| wrong("the value is not valid TOML"))?;
            let mut keys: Vec<&str> = path.trim().split('.').collect();
            let last = keys.pop().filter(|key| !key.is_empty()).ok_or_else(|| wrong("expected KEY=VALUE"))?;
            let mut table = &mut recipe;
            let mut keys = keys.into_iter().peekable();
            while let Some(key) = keys.next() {
                let entry = table.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                let is_index = |key: &&str| key.bytes().all(|b| b.is_ascii_digit());
                let index = if entry.is_array() { keys.next_if(is_index) } else { None };
                let entry = match (entry, index) {
                    (toml::Value::Array(elements), Some(index)) => {
                        index.parse().ok().and_then(|index: usize| elements.get_mut(index))
                    }
                    (entry, _) => Some(entry),
                };
                let named = index.map_or_else(|| key.to_owned(), |index| format!("{key}.{index}"));
                let entry = entry.ok_or_else(|| wrong(&format!("the recipe has no {named}")))?;
                table = entry.as_table_mut().ok_or_else(|| wrong(&format!("{named} is not a table")))?;
            }
            table.insert(last.to_owned(), value);
        }
        toml::to_string(&recipe).map_err(|e| usage(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(without: &[&str], set: &[&str]) -> Result<String> {
        let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        Overrides { without: owned(without), set: owned(set) }.apply("a = 1\n[b]\nc = 2\n[b.d]\ne = [1]\n[f]\n")
    }

    #[test]
    fn values_are_set_and_tables_left_out() {
        let text = apply(&["f"], &["a=2", "b.d.e = [3, 4]", "b.new=\"x\"", "g.h=true"]).unwrap();
        let expected = "a = 2\n[b]\nc = 2\nnew = \"x\"\n[b.d]\ne = [3, 4]\n[g]\nh = true\n";
        assert_eq!(toml::from_str::<toml::Table>(&text).unwrap(), toml::from_str::<toml::Table>(expected).unwrap());
    }

    #[test]
    fn an_element_of_an_array_is_named_by_its_index() {
        let apply =
            |set: &str| Overrides { set: vec![set.to_owned()], ..Overrides::default() }.apply("[[stage]]\nlr = 1\n");
        assert!(apply("stage.0.lr=2").unwrap().contains("lr = 2"));
        assert_eq!(apply("stage.1.lr=2").unwrap_err().to_string(), "--set stage.1.lr=2: the recipe has no stage.1");
        assert_eq!(apply("stage.lr=2").unwrap_err().to_string(), "--set stage.lr=2: stage is not a table");
    }

    #[test]
    fn mistakes_are_named() {
        let message = |without: &[&str], set: &[&str]| apply(without, set).unwrap_err().to_string();
        assert_eq!(message(&["g"], &[]), "--without g: the recipe has no such table");
        assert_eq!(message(&[], &["a"]), "--set a: expected KEY=VALUE");
        assert_eq!(message(&[], &["a=x y"]), "--set a=x y: the value is not valid TOML");
        assert_eq!(message(&[], &["a.c=1"]), "--set a.c=1: a is not a table");
    }
}

//! docs/configuration.md, the reference of all keys. It is written from the code: sentences and
//! types come from the sections' structs, ranges from the parser's own complaints, and defaults
//! from the example configuration, whose values are compared with the daemon's.
//!
//! `UPDATE=1 cargo test --release -p edge --lib reference` writes the page.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use super::tests::settings;
use super::{Config, Overrides};
use crate::wording::plain;

const SECTIONS: &str = include_str!("../mod.rs");
const EXAMPLE: &str = include_str!("../../../earwitness.example.toml");

const INTRODUCTION: &str = "\
# Configuration reference

<!-- Written by `UPDATE=1 cargo test --release -p edge --lib reference`; change edge/src/config/mod.rs instead. -->

The configuration is one TOML file, `earwitness run --config FILE`; the Debian package has it as
`/etc/earwitness/earwitness.toml`. Every key is optional, an empty file is valid, and options of the command line have
precedence. An unknown key is an error that names the line. Relative paths start at the folder of the file, and `~/` is the
home folder.

[earwitness.example.toml](../edge/earwitness.example.toml) has the same keys with longer comments, to start a configuration
from. `earwitness check --config FILE` validates a configuration and describes what it does.
";

/// A field of a section: a key of the configuration.
struct Field {
    key: String,
    rust: String,
    doc: String,
}

impl Field {
    /// The type without `Option`.
    fn inner(&self) -> &str {
        self.rust.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(&self.rust)
    }

    /// What the file has, in TOML's words.
    fn kind(&self) -> &'static str {
        match self.inner() {
            "bool" => "boolean",
            "u8" | "u16" | "u32" | "u64" => "integer",
            "f32" | "f64" => "number",
            "ChannelChoice" => "text, integer or list",
            kind if kind.starts_with("Vec<") => "list of texts",
            kind if kind.starts_with("BTreeMap<") => "table of texts",
            _ => "text",
        }
    }

    fn unit(&self) -> &'static str {
        let units = [("_dbfs", "dBFS"), ("_db", "dB"), ("_ms", "ms"), ("_s", "s"), ("_mb", "MB"), ("_days", "days")];
        let unit = units.iter().find(|(suffix, _)| self.key.ends_with(suffix)).map(|(_, unit)| *unit);
        unit.unwrap_or(if self.key == "rate" { "Hz" } else { "" })
    }

    /// Accepted because older configurations have it, and not for new ones.
    fn is_old(&self) -> bool {
        self.doc.contains("older configurations")
    }
}

/// The public fields of the struct `name` in mod.rs.
fn fields(name: &str) -> Vec<Field> {
    let head = format!("pub struct {name} {{");
    let at = SECTIONS.find(&head).unwrap_or_else(|| panic!("{name} is not in edge/src/config/mod.rs"));
    let mut doc = String::new();
    let mut fields = Vec::new();
    for line in SECTIONS[at..].lines().skip(1).map(str::trim).take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("///") {
            doc = format!("{doc} {}", text.trim()).trim().to_string();
        } else if let Some((key, rust)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            let rust = rust.trim_end_matches(',').to_string();
            fields.push(Field { key: key.to_string(), rust, doc: std::mem::take(&mut doc) });
        }
    }
    fields
}

/// The sentence of a field; "See [`DecideSection::window_ms`]" leads to another one's.
fn sentence(field: &Field) -> String {
    let other = field.doc.strip_prefix("See [`").and_then(|rest| rest.split_once("`]"));
    match other.and_then(|(other, _)| other.split_once("::")) {
        Some((section, key)) => {
            let other = fields(section).into_iter().find(|field| field.key == key);
            sentence(&other.unwrap_or_else(|| panic!("{section} has no {key}")))
        }
        None => field.doc.replace("[`", "`").replace("`]", "`"),
    }
}

/// A key of the example: its value as written there, and what its comment says of the default.
struct Given {
    table: String,
    key: String,
    value: String,
    default: Option<String>,
}

/// All keys of the example, which has them commented out.
fn example() -> Vec<Given> {
    let mut given = Vec::new();
    let (mut table, mut comment) = (String::new(), String::new());
    for line in EXAMPLE.lines() {
        let bare = line.trim_start_matches('#');
        if line.is_empty() {
            comment.clear();
        } else if bare.starts_with('[') {
            table = bare.trim_matches(['[', ']']).to_string();
            comment.clear();
        } else if let Some(text) = line.strip_prefix("# ") {
            comment = format!("{comment} {text}");
        } else if let Some((key, value)) = bare.split_once(" = ") {
            let (key, value) = (key.to_string(), value.split(" #").next().unwrap_or(value).trim().to_string());
            let default = comment.split("Default: ").nth(1).map(|rest| {
                let sentence = rest.split(". ").next().unwrap_or(rest);
                sentence.trim().trim_end_matches('.').to_string()
            });
            given.push(Given { table: table.clone(), key, value, default });
        }
    }
    given
}

/// The default of a key, from the example's comment or else its value.
fn default_of(table: &str, key: &str) -> String {
    let is_class = |given: &Given| given.table.starts_with("decide.classes.") && table == "decide.classes.LABEL";
    let found = example().into_iter().find(|given| (given.table == table || is_class(given)) && given.key == key);
    let given = found.unwrap_or_else(|| panic!("earwitness.example.toml does not have {table}.{key}"));
    given.default.unwrap_or_else(|| format!("`{}`", given.value))
}

/// What the parser expects of a key, from its complaints about values that are wrong.
fn range(header: &str, field: &Field) -> String {
    let wrong: &[&str] = match field.kind() {
        "boolean" | "table of texts" => &[],
        "integer" => &["0", "1000000000"],
        "number" => &["1e9", "-1e9"],
        "list of texts" => &["[\"x\"]"],
        _ => &["\"no such/#\\u0000\"", "\"\""],
    };
    let complaints = wrong.iter().filter_map(|value| {
        let text = format!("{header}\n{} = {value}\n", field.key);
        Some(plain(toml::from_str::<Config>(&text).err()?.message()))
    });
    let expected = complaints.filter_map(|message| {
        let (_, rest) = message.split_once("expected ")?;
        Some(rest.split(", actual").next().unwrap_or(rest).trim_start_matches("one of ").to_string())
    });
    expected.map(|text| text.replace(" of a header", "")).next().unwrap_or_default()
}

fn table(page: &mut String, title: &str, header: &str, table: &str, fields: &[Field]) {
    let _ = write!(page, "\n## `{title}`\n\n| key | type | default | range | meaning |\n|---|---|---|---|---|\n");
    for field in fields.iter().filter(|field| !field.is_old() && !field.rust.contains("Section")) {
        let kind = match field.unit() {
            "" => field.kind().to_string(),
            unit => format!("{}, {unit}", field.kind()),
        };
        let default = default_of(table, &field.key);
        let row = [kind, default, range(header, field), sentence(field)];
        let row = row.map(|cell| cell.replace('|', "\\|").replace("..", "…"));
        let _ = writeln!(page, "| `{}` | {} |", field.key, row.join(" | "));
    }
}

/// The whole page.
fn page() -> String {
    let mut page = INTRODUCTION.to_string();
    let top = fields("Config");
    let is_section = |field: &&Field| field.rust.contains("Section");
    let plain: Vec<_> = fields("Config").into_iter().filter(|field| !is_section(&field)).collect();
    page.push_str("\n## Top level\n\n| key | type | default | range | meaning |\n|---|---|---|---|---|\n");
    for field in &plain {
        let row = [field.kind().to_string(), default_of("", &field.key), range("", field), sentence(field)];
        let _ = writeln!(page, "| `{}` | {} |", field.key, row.join(" | "));
    }
    for field in top.iter().filter(is_section).filter(|field| field.key != "sources") {
        let key = &field.key;
        let repeated = field.rust.starts_with("Vec<");
        let header = if repeated { format!("[[{key}]]") } else { format!("[{key}]") };
        let title = if key == "source" { "[source]` and `[[sources]]".to_string() } else { header.clone() };
        let name = field.inner().trim_start_matches("Vec<").trim_end_matches('>');
        let keys = fields(name);
        table(&mut page, &title, &header, key, &keys);
        for nested in keys.iter().filter(|field| field.rust.starts_with("BTreeMap<String, ") && is_section(field)) {
            let name = nested.rust.trim_start_matches("BTreeMap<String, ").trim_end_matches('>');
            let path = format!("{key}.{}.LABEL", nested.key);
            table(&mut page, &format!("[{path}]"), &format!("[{path}]"), &path, &fields(name));
        }
    }
    page.push_str("\n## Keys of earlier versions\n\n");
    for field in top.iter().filter(is_section).flat_map(|field| {
        let name = field.inner().trim_start_matches("Vec<").trim_end_matches('>').to_string();
        let old = fields(&name).into_iter().filter(Field::is_old);
        old.map(|old| (field.key.clone(), old)).collect::<Vec<_>>()
    }) {
        let (table, old) = field;
        let _ = writeln!(page, "- `{table}.{}`: {}", old.key, old.doc);
    }
    page
}

#[test]
fn the_configuration_reference_is_the_codes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = page();
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    let differs = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(written == page, "UPDATE=1 cargo test --release -p edge --lib reference: {differs:#?}");
}

#[test]
fn the_examples_defaults_are_the_daemons() {
    // The options of raw samples are for such a source alone.
    let base = "name = \"ear\"\n[source]\ninput = \"stdin\"\n[mqtt]\nurl = \"mqtt://broker\"\n[clips]\nfolder = \"/clips\"\n\
                [metrics]\nport = 9464\n[web]\nlisten = \"127.0.0.1:8420\"\n[top]\nsocket = \"/top.sock\"\n";
    let mut full: toml::Table = toml::from_str(base).unwrap();
    let mut n_defaults = 0;
    for Given { table, key, value, default } in example() {
        let is_input = table == "source" && key == "input";
        if is_input || default.is_some() || table.contains('.') || ["", "sources", "webhook"].contains(&table.as_str())
        {
            continue;
        }
        let parsed: toml::Table = toml::from_str(&format!("value = {value}")).unwrap();
        let section = full.entry(table).or_insert(toml::Table::new().into());
        section.as_table_mut().unwrap().insert(key, parsed["value"].clone());
        n_defaults += 1;
    }
    assert!(n_defaults > 10, "{n_defaults}");
    let load = |text: &str| settings(text, &Overrides::default()).unwrap();
    let (mut plain, full) = (load(base), load(&full.to_string()));
    assert_eq!((plain.precision, &plain.log), (full.precision, &full.log));
    let changed = plain.take_over(full);
    // Of the model it is compared how the file is written, and its precision is compared above.
    assert_eq!(changed.iter().filter(|part| **part != "model").count(), 0, "{changed:?}");
}

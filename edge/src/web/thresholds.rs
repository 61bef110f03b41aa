//! Thresholds: what others would have reported in the last hour, and writing them to the
//! configuration file.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::answer::{Answer, error, json};
use super::site::{PageSite, Writable};
use crate::decide::Rules;
use crate::live::RecentOutputs;
use crate::show::{ShownSource, rounded};

/// Points of the curve of scores: four to five seconds each, represented by their highest score.
const N_POINTS: usize = 800;

/// Two browsers must not write at once.
static WRITING: Mutex<()> = Mutex::new(());

/// Thresholds of a label.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    label: String,
    on: f32,
    off: f32,
}

/// What the thresholds of `query` would have reported of one source, beside what the present ones
/// did.
pub(super) fn preview(query: &str, site: &PageSite) -> Answer {
    let (mut source, mut label, mut on, mut off) = (0, String::new(), None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "source" => source = value.parse().unwrap_or(usize::MAX),
            "label" => label = value.into_owned(),
            "on" => on = value.parse().ok(),
            "off" => off = value.parse().ok(),
            _ => {}
        }
    }
    let (Some(on), Some(off)) = (on, off) else {
        return error(StatusCode::BAD_REQUEST, "a preview needs the thresholds on and off");
    };
    let found = class_of(site, &Thresholds { label, on, off });
    match (found, site.shown.sources.get(source)) {
        (Err(reason), _) => error(StatusCode::BAD_REQUEST, reason),
        (Ok(_), None) => error(StatusCode::BAD_REQUEST, "there is no such source"),
        (Ok((class_id, rules, wanted)), Some(source)) => match source.shared.tap.recent_outputs() {
            None => error(StatusCode::SERVICE_UNAVAILABLE, "the source has not started yet"),
            Some(outputs) => json(&compared(class_id, &rules, &wanted, source, outputs)),
        },
    }
}

/// The class of the label, the rules that hold for it alone, and those that are asked for.
fn class_of(site: &PageSite, wanted: &Thresholds) -> Result<(usize, Rules, Rules), String> {
    let Thresholds { label, on, off } = wanted;
    let class_id = site.shown.manifest.class_of(label).ok_or_else(|| format!("the model has no label {label:?}"))?;
    let mut rules = site.shown.rules();
    let class = rules.classes[class_id].ok_or_else(|| format!("{label} is not reported"))?;
    if !(*on > 0.0 && *on <= 1.0 && *off > 0.0 && off <= on) {
        return Err("thresholds must be above 0 and at most 1, and the lower one must not exceed the upper one".into());
    }
    rules.classes.iter_mut().enumerate().for_each(|(other, class)| *class = class.filter(|_| other == class_id));
    let mut changed = rules.clone();
    let class = crate::decide::ClassRules { threshold_on: *on, threshold_off: *off, ..class };
    changed.classes[class_id] = Some(class);
    Ok((class_id, rules, changed))
}

/// Spans under both rules, and the curve of the scores.
fn compared(class_id: usize, rules: &Rules, wanted: &Rules, source: &ShownSource, outputs: &RecentOutputs) -> Value {
    let wall_ms = |t_s: f64| source.shared.clock.wall_time(t_s).as_millisecond();
    let mut scores = Vec::new();
    let now = outputs.replay(rules, |t_s, all| scores.push((t_s, all[class_id])));
    let then = outputs.replay(wanted, |_, _| {});
    let spans = |found: &[crate::live::Detection]| -> Vec<Value> {
        found.iter().map(|d| json!([wall_ms(d.t_onset_s), wall_ms(d.t_offset_s), rounded(d.peak_score)])).collect()
    };
    let piece = scores.len().div_ceil(N_POINTS).max(1);
    let curve = scores.chunks(piece).map(|points| {
        let highest = points.iter().map(|(_, score)| *score).fold(0.0, f32::max);
        json!([wall_ms(points[0].0), (f64::from(highest) * 1e3).round() / 1e3])
    });
    json!({ "curve": curve.collect::<Vec<_>>(), "now": spans(&now), "then": spans(&then) })
}

/// Writes thresholds to the configuration file and has the daemon read it again.
pub(super) fn write(request: &[u8], site: &PageSite) -> Answer {
    let Some(writable) = &site.writable else {
        let reason = "the page may not change the configuration: it was started without web.write or --web-write";
        return error(StatusCode::FORBIDDEN, reason);
    };
    let wanted: Thresholds = match serde_json::from_slice(request) {
        Ok(wanted) => wanted,
        Err(cause) => return error(StatusCode::BAD_REQUEST, format!("the request is not understood: {cause}")),
    };
    if let Err(reason) = class_of(site, &wanted) {
        return error(StatusCode::BAD_REQUEST, reason);
    }
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    match save(&wanted, writable, site) {
        Ok(()) => {
            let (label, on, off) = (&wanted.label, rounded(wanted.on), rounded(wanted.off));
            tracing::info!(label, on, off, "the page has set the thresholds of {label} to {on} and {off}");
            writable.ask_to_reload();
            json(&json!({}))
        }
        Err(reason) => {
            let path = writable.path.display();
            tracing::warn!(config = %path, "the page could not write to {path}: {reason}");
            error(StatusCode::INTERNAL_SERVER_ERROR, format!("{path} was not changed: {reason}"))
        }
    }
}

/// Puts a file with other thresholds in the place of the configuration: a complete one, no matter
/// what happens meanwhile, and only if it is valid.
fn save(wanted: &Thresholds, writable: &Writable, site: &PageSite) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    // What a link leads to, and not the link, is written.
    let path = fs::canonicalize(&writable.path).map_err(said)?;
    let text = fs::read_to_string(&path).map_err(said)?;
    let text = with_thresholds(&text, wanted, |label| site.shown.manifest.class_of(label))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let result = write_like(&path, &fresh, &text).map_err(said).and_then(|()| {
        writable.rules(&fresh, &site.shown.manifest).map_err(|error| error.to_string())?;
        fs::rename(&fresh, &path).map_err(said)
    });
    if result.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&fresh);
    }
    result
}

/// Writes `text` to `fresh`, with the owner and the rights of the file at `path`.
fn write_like(path: &Path, fresh: &Path, text: &str) -> std::io::Result<()> {
    let like = fs::metadata(path)?;
    // What an interrupted attempt has left.
    if let Err(error) = fs::remove_file(fresh)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    // There may be a password in it: no one else can read it at any time.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(text.as_bytes())?;
    // Only root can give a file away; another user's are its own.
    let _ = chown(fresh, Some(like.uid()), Some(like.gid()));
    file.set_permissions(like.permissions())?;
    file.sync_all()
}

/// The configuration `text` with the thresholds of a label, and all else as it was. `class_of` says
/// which labels are the same.
fn with_thresholds(
    text: &str,
    wanted: &Thresholds,
    class_of: impl Fn(&str) -> Option<usize>,
) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.message().to_string())?;
    let decide = section(document.as_table_mut(), "decide", true)?;
    let classes = section(decide, "classes", true)?;
    let class_id = class_of(&wanted.label);
    let written = classes.iter().map(|(key, _)| key.to_string()).find(|key| class_of(key) == class_id);
    let class = section(classes, written.as_deref().unwrap_or(&wanted.label), false)?;
    for (key, threshold) in [("threshold_on", wanted.on), ("threshold_off", wanted.off)] {
        let number = value(rounded(threshold));
        match class.get_mut(key).and_then(Item::as_value_mut) {
            // With what is written around it.
            Some(old) => {
                let decor = old.decor().clone();
                *old = toml_edit::Value::from(rounded(threshold));
                *old.decor_mut() = decor;
            }
            None => drop(class.insert(key, number)),
        }
    }
    Ok(document.to_string())
}

/// The section `key` of `table`, made if it is not there; one without keys of its own is not
/// written.
fn section<'a>(table: &'a mut dyn TableLike, key: &str, implicit: bool) -> Result<&'a mut dyn TableLike, String> {
    let mut fresh = Table::new();
    fresh.set_implicit(implicit);
    let item = table.entry(key).or_insert(Item::Table(fresh));
    item.as_table_like_mut().ok_or_else(|| format!("{key} is not a section"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> String {
        let wanted = Thresholds { label: "water-flowing".into(), on: 0.7, off: 0.35 };
        let labels = ["dog", "water-flowing"];
        with_thresholds(text, &wanted, |label| labels.iter().position(|known| *known == label)).unwrap()
    }

    #[test]
    fn an_empty_file_gets_a_section() {
        assert_eq!(changed(""), "[decide.classes.water-flowing]\nthreshold_on = 0.7\nthreshold_off = 0.35\n");
    }

    #[test]
    fn all_else_stays_as_it_is() {
        let text = "# my ear\nname = \"pi\"   # the name\n\n[decide] # how\nwindow_ms = 900\n\n[decide.classes.dog]\n\
                    threshold_on = 0.5\n\n[decide.classes.water-flowing]\nthreshold_on   =  0.9  # high\nmin_gap_ms = 5\n\n\
                    [mqtt]\n#url = \"x\"\n";
        let expected = text
            .replace("threshold_on   =  0.9  # high", "threshold_on   =  0.7  # high")
            .replace("min_gap_ms = 5\n", "min_gap_ms = 5\nthreshold_off = 0.35\n");
        assert_eq!(changed(text), expected);
        let inline = "[decide]\nclasses = { water-flowing = { threshold_on = 0.9 } }\n";
        assert_eq!(
            changed(inline),
            "[decide]\nclasses = { water-flowing = { threshold_on = 0.7 , threshold_off = 0.35 } }\n"
        );
    }

    #[test]
    fn what_is_no_configuration_is_left_alone() {
        let wanted = Thresholds { label: "dog".into(), on: 0.7, off: 0.35 };
        assert!(with_thresholds("decide = 3\n", &wanted, |_| None).unwrap_err().contains("decide is not a section"));
        assert!(with_thresholds("[decide\n", &wanted, |_| None).is_err());
    }
}

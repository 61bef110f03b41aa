use std::collections::BTreeMap;

use edge_frontend::{
    Activation, ClassDecision, DataNotes, Files, FrontendConfig, ModelFile, Network, NetworkKind, Smoothing,
};

use super::super::tests::settings;
use super::*;

fn manifest() -> Manifest {
    let frontend = FrontendConfig::student();
    let class = ClassDecision { threshold_on: Some(0.9), ..Default::default() };
    Manifest {
        manifest_version: 1,
        name: "test".into(),
        version: "1.0.0".into(),
        labels: vec!["background".into(), "bell".into(), "dog".into()],
        background: Some("background".into()),
        frontend_hash: frontend.hash(),
        frontend,
        network: Network {
            kind: NetworkKind::Stream,
            pulse_frames: 8,
            receptive_field_frames: 35,
            output_delay: 4,
            activation: Activation::Softmax,
            lookahead_ms: None,
        },
        files: Files { f32: ModelFile { path: "model.onnx".into(), sha256: "0".repeat(64) }, int8: None },
        decision: Decision {
            temperature: 1.0,
            smoothing: Smoothing::Mean,
            min_energy: None,
            max_duration_ms: 3_600_000,
            window_ms: 1000,
            threshold_on: 0.6,
            threshold_off: 0.3,
            min_duration_ms: 160,
            min_gap_ms: 400,
            cooldown_ms: 0,
            classes: BTreeMap::from([("dog".into(), class)]),
        },
        metrics: BTreeMap::new(),
        data: DataNotes { training: "none".into(), licence: "none".into() },
    }
}

#[test]
fn decisions_come_from_the_class_then_the_file_then_the_model() {
    let text = "[decide]\nthreshold_off = 0.2\nmin_gap_ms = 80\n[decide.classes.bell]\nthreshold_on = 0.7\n";
    let decision = settings(text, &Overrides::default()).unwrap().decision(&manifest()).unwrap();
    assert_eq!((decision.threshold_on, decision.threshold_off, decision.min_gap_ms), (0.6, 0.2, 80));
    assert_eq!(decision.classes["bell"].threshold_on, Some(0.7));
    assert_eq!(decision.classes["dog"].threshold_on, Some(0.9));

    let text = "[decide]\nthreshold_on = 0.5\n";
    let decision = settings(text, &Overrides::default()).unwrap().decision(&manifest()).unwrap();
    assert_eq!(decision.classes["dog"].threshold_on, None);
}

#[test]
fn decisions_that_the_model_cannot_make_are_refused() {
    let refusal =
        |text: &str| settings(text, &Overrides::default()).unwrap().decision(&manifest()).unwrap_err().to_string();
    let unknown = refusal("[decide.classes.cat]\nthreshold_on = 0.5\n");
    let expected = "c.toml:1: decide.classes.cat: the model test has no label \"cat\"; it has background, bell, dog";
    assert!(unknown.ends_with(expected), "{unknown}");
    let meant = refusal("[decide.classes.bel]\nthreshold_on = 0.5\n");
    assert!(meant.contains("no label \"bel\" (did you mean \"bell\"?); it has"), "{meant}");
    assert!(refusal("[decide.classes.background]\ncooldown_ms = 1\n").contains("background"));
    let crossed = refusal("\n[decide.classes.bell]\nthreshold_off = 0.8\n");
    assert!(crossed.contains("c.toml:3: decide.classes.bell.threshold_off: "), "{crossed}");
    let short = refusal("[decide]\nmax_duration_ms = 100\n");
    assert!(short.contains("c.toml:2: decide.max_duration_ms: ") && short.contains("min_duration_ms (160)"), "{short}");
}

#[test]
fn every_value_can_be_overridden_for_all_labels_and_for_one() {
    let values = |n: u32| {
        format!(
            "window_ms = {n}00\nthreshold_on = 0.{n}\nthreshold_off = 0.{n}\nmin_duration_ms = {n}01\nmin_gap_ms = {n}02\n\
             cooldown_ms = {n}03\nmax_duration_ms = {n}04\n"
        )
    };
    let text =
        format!("[decide]\nsmoothing = \"mean\"\nmin_energy = 3\n{}[decide.classes.bell]\n{}", values(2), values(4));
    let mut model = manifest();
    let class = model.decision.classes.get_mut("dog").unwrap();
    *class = ClassDecision {
        window_ms: Some(1),
        threshold_on: Some(0.9),
        threshold_off: Some(0.9),
        min_duration_ms: Some(1),
        min_gap_ms: Some(1),
        cooldown_ms: Some(1),
        max_duration_ms: Some(1),
        reported: None,
    };
    let decision = settings(&text, &Overrides::default()).unwrap().decision(&model).unwrap();
    assert_eq!((decision.min_energy, decision.temperature), (Some(3.0), 1.0));
    for (label, n) in [("dog", 2), ("bell", 4)] {
        let class = decision.of_class(label);
        assert_eq!((class.threshold_on, class.threshold_off), (n as f32 / 10.0, n as f32 / 10.0), "{label}");
        let times =
            [class.window_ms, class.min_duration_ms, class.min_gap_ms, class.cooldown_ms, class.max_duration_ms];
        assert_eq!(times, [0, 1, 2, 3, 4].map(|ms| n * 100 + ms), "{label}");
    }
}

/// The labels that are reported, or the message of the error.
fn reported(text: &str, overrides: &Overrides) -> std::result::Result<Vec<String>, String> {
    reported_of(&manifest(), text, overrides)
}

fn reported_of(manifest: &Manifest, text: &str, overrides: &Overrides) -> std::result::Result<Vec<String>, String> {
    let rules = settings(text, overrides).and_then(|settings| settings.rules(manifest)).map_err(|e| e.to_string())?;
    let classes = manifest.labels.iter().zip(&rules.classes);
    Ok(classes.filter(|(_, class)| class.is_some()).map(|(label, _)| label.clone()).collect())
}

#[test]
fn labels_are_reported_as_the_file_or_the_command_line_has_it() {
    let file = |text: &str| reported(text, &Overrides::default()).unwrap();
    assert_eq!(file(""), ["bell", "dog"]);
    assert_eq!(file("[decide]\nallow = [\"dog\"]\n"), ["dog"]);
    assert_eq!(file("[decide]\ndeny = [\"dog\"]\n"), ["bell"]);
    assert_eq!(file("[decide]\ndeny = []\n"), ["bell", "dog"]);
    // The option says all about labels, whatever the file says.
    let deny = Overrides { deny: Some(vec!["bell".into()]), ..Default::default() };
    assert_eq!(reported("[decide]\nallow = [\"bell\"]\n", &deny).unwrap(), ["dog"]);
    let allow = Overrides { allow: Some(vec!["bell".into(), "dog".into()]), ..Default::default() };
    assert_eq!(reported("[decide]\ndeny = [\"bell\"]\n", &allow).unwrap(), ["bell", "dog"]);
}

#[test]
fn a_label_that_the_model_keeps_to_itself_is_reported_where_it_is_named() {
    let mut model = manifest();
    model.decision.classes.entry("bell".to_owned()).or_default().reported = Some(false);
    let of = |text: &str| reported_of(&model, text, &Overrides::default()).unwrap();
    assert_eq!(of(""), ["dog"]);
    assert_eq!(of("[decide]\nallow = [\"bell\"]\n"), ["bell"]);
    assert_eq!(of("[decide]\ndeny = []\n"), ["dog"]);
}

#[test]
fn labels_that_cannot_be_reported_are_refused() {
    let refusal = |text: &str| reported(text, &Overrides::default()).unwrap_err();
    let typo = refusal("[decide]\nallow = [\"bell\",\n  \"Dogs\"]\n");
    assert!(typo.contains("c.toml:2: decide.allow: ") && typo.contains("did you mean \"dog\"?"), "{typo}");
    let background = refusal("[decide]\ndeny = [\"background\"]\n");
    assert!(background.contains("c.toml:2: decide.deny: \"background\" is the model's background"), "{background}");
    for text in ["[decide]\nallow = []\n", "[decide]\ndeny = [\"dog\", \"bell\"]\n"] {
        let nothing = refusal(text);
        assert!(
            nothing.contains("c.toml:2: decide.") && nothing.contains("no label of the model test is left"),
            "{nothing}"
        );
    }
    let typed = Overrides { deny: Some(vec!["cat".into()]), ..Default::default() };
    let typed = reported("", &typed).unwrap_err();
    assert!(typed.starts_with("--deny: the model test has no label \"cat\"; it has"), "{typed}");
}

#[test]
fn the_level_gate_reaches_the_rules() {
    let rules = |text: &str| settings(text, &Overrides::default()).unwrap().rules(&manifest()).unwrap();
    assert_eq!(rules("").level_gate_dbfs, None);
    assert_eq!(rules("[decide]\nlevel_gate_dbfs = -45\n").level_gate_dbfs, Some(-45.0));
}

#[test]
fn quiet_hours_are_the_labels_own_or_those_of_all() {
    let hours = |text: &str| {
        let text = format!("{text}\ntime_zone = \"Europe/Berlin\"\n");
        let hours = settings(&text, &Overrides::default()).unwrap().quiet_hours(&manifest()).unwrap();
        hours.iter().map(|hours| hours.as_ref().map(|hours| hours.ranges()[0].to_string())).collect::<Vec<_>>()
    };
    let night = Some("22:00-07:00".to_string());
    let noon = Some("12:00-14:00".to_string());
    assert_eq!(hours("[quiet_hours]"), [None, None, None]);
    let all = "[quiet_hours]\nranges = [\"22:00-07:00\"]\n";
    assert_eq!(hours(all), [night.clone(), night.clone(), night.clone()]);
    assert_eq!(hours(&format!("{all}labels = [\"dog\"]")), [None, None, night.clone()]);
    assert_eq!(hours(&format!("{all}except = [\"dog\"]")), [night.clone(), night.clone(), None]);
    let own = |ranges: &str| format!("[decide.classes.dog]\nquiet_hours = [{ranges}]\n");
    assert_eq!(hours(&format!("{}{all}", own("\"12:00-14:00\""))), [night.clone(), night.clone(), noon.clone()]);
    assert_eq!(hours(&format!("{}{all}", own(""))), [night.clone(), night, None]);
    assert_eq!(hours(&format!("{}[quiet_hours]", own("\"12:00-14:00\""))), [None, None, noon]);
}

#[test]
fn quiet_hours_are_in_the_time_zone_that_is_named() {
    let text = "[quiet_hours]\nranges = [\"22:00-07:00\"]\ntime_zone = \"Asia/Tokyo\"\n";
    let hours = settings(text, &Overrides::default()).unwrap().quiet_hours(&manifest()).unwrap();
    let hours = hours[1].as_ref().unwrap();
    assert_eq!(hours.zone_name(), "Asia/Tokyo");
    // Nine hours ahead of UTC.
    assert!(hours.is_quiet("2026-01-31T13:00:00Z".parse().unwrap()));
    assert!(!hours.is_quiet("2026-01-31T12:59:59Z".parse().unwrap()));
}

#[test]
fn quiet_hours_of_unknown_labels_are_refused() {
    for key in ["labels", "except"] {
        let text = format!("[quiet_hours]\nranges = [\"22:00-07:00\"]\n{key} = [\"smoke-alarm\"]\n");
        let error = settings(&text, &Overrides::default()).unwrap().quiet_hours(&manifest()).unwrap_err().to_string();
        let expected = format!("c.toml:3: quiet_hours.{key}: the model test has no label \"smoke-alarm\"; it has");
        assert!(error.contains(&expected), "{error}");
    }
}

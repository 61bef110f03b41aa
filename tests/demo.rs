//! Claim: on the demo scene, the shipped model reports what is in it.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use sounds::TruthEvent;
use tests::binary::{PATIENCE, Process, earwitness_bin, model_dir};
use tests::tiny::events;

/// Seeds of the scenes; `make demo` plays the first.
const SEEDS: [u64; 3] = [1, 2, 3];

/// Of the eight sounds of a scene, this many at least are found.
const N_FOUND: usize = 4;

/// An event counts if it overlaps a true one of its label.
fn is_found(truth: &TruthEvent, events: &[serde_json::Value]) -> bool {
    events.iter().filter(|event| event["phase"] == "offset" && event["label"] == truth.label.as_str()).any(|event| {
        let (onset_s, offset_s) = (event["t_onset_s"].as_f64().unwrap(), event["t_offset_s"].as_f64().unwrap());
        onset_s < truth.offset_s && offset_s > truth.onset_s
    })
}

#[test]
fn the_shipped_model_finds_the_sounds_of_the_demo_scene() {
    for seed in SEEDS {
        let dir = tempfile::tempdir().unwrap();
        let (wav, csv) = (dir.path().join("scene.wav"), dir.path().join("scene.csv"));
        let scene = sounds::demo_scene(seed);
        scene.write(&wav, &csv).unwrap();
        let mut command = Command::new(earwitness_bin());
        command.args(["run", "--fast", "--source", &format!("file:{}", wav.display()), "--model"]).arg(model_dir());
        let output = Process::start(&mut command).finish(PATIENCE);
        assert!(output.status.success(), "{output:#?}");
        let events = events(&output.stdout);
        let found: Vec<_> = scene.truth.iter().filter(|truth| is_found(truth, &events)).map(|t| &t.label).collect();
        println!("seed {seed}: {} of {} sounds found: {found:?}", found.len(), scene.truth.len());
        assert!(found.len() >= N_FOUND, "seed {seed}: only {found:?} of {:?}", scene.truth);
    }
}

//! Claims about composed scenes: the truth is where the sound is, at the level that was asked for;
//! only what was asked for is in it; and the same seed makes the same scene.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, bursts, write_wav};
use serde_json::Value;
use sounds::Sound;
use std::collections::BTreeSet;
use std::path::Path;
use trainer::data::folds::FoldMode;
use trainer::data::scenes::{
    Listing, MicrophoneSettings, Pool, PoolSettings, Scene, SceneSettings, Share, Span, Unknown, compose,
};
use trainer::data::world::Purpose;
use trainer::train::recipe::Recipe;

const RATE: u32 = 24_000;

fn pool(labels: &[&str]) -> Pool {
    let folder = tempfile::tempdir().unwrap();
    bursts(folder.path(), labels);
    Pool::of_folder(Some(folder.path()), PoolSettings::default()).unwrap()
}

fn held_out(recipe: &Recipe, root: &Path, folds: FoldMode, fold: u32) -> Pool {
    let share = Share { folds, fold: Some(fold), purpose: Purpose::Test };
    Pool::read(Listing::of_data(&recipe.name, &recipe.contents(), root, share).unwrap(), PoolSettings::default())
        .unwrap()
}

fn settings() -> SceneSettings {
    SceneSettings { seconds: 120.0, events_a_minute: Span::only(10.0), ..SceneSettings::default() }
}

/// The scene's sounds alone, and its background alone: the same seed without sounds.
fn stems(settings: &SceneSettings, pool: &Pool, seed: u64) -> (Scene, Vec<f32>, Vec<f32>) {
    let scene = compose(settings, pool, seed).unwrap();
    let without =
        SceneSettings { events_a_minute: Span::only(0.0), unknown_a_minute: Span::only(0.0), ..settings.clone() };
    let background = compose(&without, pool, seed).unwrap().samples;
    let sounds = scene.samples.iter().zip(&background).map(|(both, background)| both - background).collect();
    (scene, sounds, background)
}

fn db(samples: &[f32]) -> f64 {
    let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    10.0 * (energy / samples.len() as f64).max(1e-20).log10()
}

fn part(samples: &[f32], from_s: f64, to_s: f64) -> &[f32] {
    let at = |s: f64| ((s * f64::from(RATE)).round().max(0.0) as usize).min(samples.len());
    &samples[at(from_s)..at(to_s)]
}

#[test]
fn sounds_have_the_level_that_was_asked_for() {
    let pool = pool(&["a", "b", "c"]);
    for snr_db in [0.0, 10.0, 20.0] {
        let settings = SceneSettings { snr_db: Span::only(snr_db), ..settings() };
        let (scene, sounds, background) = stems(&settings, &pool, 3);
        assert_eq!(scene.truth.len(), 20);
        for event in &scene.truth {
            let level = |samples| db(part(samples, event.onset_s, event.offset_s));
            let found = level(&sounds) - level(&background);
            assert!((found - snr_db).abs() < 0.2, "{event:?}: {found} dB, asked for {snr_db}");
        }
    }
    let made: Value = serde_json::to_value(
        compose(&SceneSettings { snr_db: Span::new(5.0, 20.0), ..settings() }, &pool, 3).unwrap().made,
    )
    .unwrap();
    let snrs: Vec<f64> =
        made["events"].as_array().unwrap().iter().map(|event| event["snr_db"].as_f64().unwrap()).collect();
    assert!(snrs.iter().all(|snr| (5.0..=20.0).contains(snr)));
    assert!(snrs.iter().any(|snr| *snr < 10.0) && snrs.iter().any(|snr| *snr > 15.0), "{snrs:?}");
}

#[test]
fn the_truth_begins_and_ends_with_the_sound() {
    let pool = pool(&["a", "b", "c"]);
    let dry = SceneSettings { reverb_s: Span::only(0.0), snr_db: Span::only(20.0), ..settings() };
    let (scene, sounds, _) = stems(&dry, &pool, 5);
    for event in &scene.truth {
        let length = event.offset_s - event.onset_s;
        // 0.3, 0.6 or 0.9 s without the padding, and some milliseconds in which the microphone's
        // low cut rings.
        assert!([0.3, 0.6, 0.9].iter().any(|long| (-0.01..0.026).contains(&(length - long))), "{event:?}: {length} s");
        let inside = db(part(&sounds, event.onset_s, event.offset_s));
        for (from_s, to_s) in [(0.0, 0.02), (length - 0.04, length - 0.02)] {
            let end = db(part(&sounds, event.onset_s + from_s, event.onset_s + to_s));
            assert!(end > inside - 8.0, "{event:?}: {end} dB at {from_s} s, {inside} inside");
        }
        for (from_s, to_s) in [(-0.5, -0.01), (length + 0.015, length + 0.5)] {
            let outside = db(part(&sounds, event.onset_s + from_s, event.onset_s + to_s));
            assert!(outside < inside - 25.0, "{event:?}: {outside} dB from {from_s} s on, {inside} inside");
        }
    }

    // In a room the tail belongs to the sound as long as it is heard.
    let wet = SceneSettings { reverb_s: Span::only(0.8), snr_db: Span::only(20.0), ..settings() };
    let (scene, sounds, background) = stems(&wet, &pool, 5);
    let mut longer = 0.0;
    for event in &scene.truth {
        let length = event.offset_s - event.onset_s;
        let nominal = [0.3, 0.6, 0.9].into_iter().rfind(|long| length > long - 0.02).unwrap();
        longer += length - nominal;
        let floor = db(part(&background, event.onset_s, event.offset_s));
        let last = db(part(&sounds, event.offset_s - 0.03, event.offset_s));
        let behind = db(part(&sounds, event.offset_s + 0.01, event.offset_s + 0.1));
        assert!(last > floor - 13.0 && behind < floor - 8.0, "{event:?}: {last}, then {behind} dB over {floor}");
        let before = db(part(&sounds, event.onset_s - 0.5, event.onset_s - 0.01));
        assert!(before < floor - 20.0, "{event:?}: {before} dB before, {floor} below");
    }
    assert!(longer > 0.05 * scene.truth.len() as f64, "{longer}");
}

#[test]
fn rate_overlap_and_classes_are_as_asked() {
    let labels = ["a", "b", "c", "d", "e"];
    let pool = pool(&labels);
    for (overlap, expected) in [(0.0, 0), (0.3, 18), (1.0, 60)] {
        let settings = SceneSettings {
            seconds: 300.0,
            events_a_minute: Span::only(12.0),
            overlap: Span::only(overlap),
            ..settings()
        };
        let scene = compose(&settings, &pool, 8).unwrap();
        assert_eq!(scene.samples.len(), 300 * RATE as usize);
        assert_eq!(scene.truth.len(), 60);
        assert!(scene.truth.windows(2).all(|pair| pair[0].onset_s <= pair[1].onset_s));
        for label in labels {
            assert_eq!(scene.truth.iter().filter(|event| event.label == label).count(), 12, "{label}");
        }
        let mut n_overlapping = 0;
        for (i, a) in scene.truth.iter().enumerate() {
            let mut overlaps = false;
            for b in scene.truth.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, b)| b) {
                let common_s = a.offset_s.min(b.offset_s) - a.onset_s.max(b.onset_s);
                overlaps |= common_s > 0.0;
                assert!(a.label != b.label || common_s < -0.99, "{a:?} {b:?}");
            }
            n_overlapping += usize::from(overlaps);
        }
        assert_eq!(n_overlapping, expected);
    }
}

#[test]
fn a_scene_is_its_seed_s() {
    let pool = pool(&["a", "b"]);
    let settings = SceneSettings { seconds: 30.0, unknown_a_minute: Span::only(6.0), ..settings() };
    let scene = compose(&settings, &pool, 1).unwrap();
    assert!(compose(&settings, &pool, 1).unwrap() == scene);
    let other = compose(&settings, &pool, 2).unwrap();
    assert_ne!(other.samples, scene.samples);
    assert_ne!(other.truth, scene.truth);
}

#[test]
fn a_negative_scene_has_sounds_and_no_truth() {
    let pool = Pool::of_folder(None, PoolSettings::default()).unwrap();
    let kinds = |unknown: Unknown| {
        let settings = SceneSettings {
            seconds: 600.0,
            events_a_minute: Span::only(0.0),
            unknown_a_minute: Span::only(6.0),
            unknown,
            overlap: Span::only(0.2),
            ..SceneSettings::default()
        };
        let scene = compose(&settings, &pool, 4).unwrap();
        assert!(scene.truth.is_empty());
        let made = serde_json::to_value(&scene.made).unwrap();
        let sources = made["unknown"].as_array().unwrap().clone();
        assert_eq!(sources.len(), 60);
        let kind = |source: &Value| source["source"].as_str().unwrap().split(':').next().unwrap().parse().unwrap();
        // A muted microphone is silent, whatever sounds meanwhile, and nothing else is.
        let span = |heard: &Value| (heard["onset_s"].as_f64().unwrap(), heard["offset_s"].as_f64().unwrap());
        let (mutes, sounding): (Vec<_>, Vec<_>) = sources.iter().partition(|heard| kind(heard) == Sound::Silence);
        let silent = |from_s, to_s| part(&scene.samples, from_s, to_s).iter().all(|x| *x == 0.0);
        for (from_s, to_s) in mutes.iter().map(|mute| span(mute)) {
            assert!(silent(from_s + 0.01, to_s - 0.01), "{from_s} to {to_s} s");
        }
        for (from_s, to_s) in sounding.iter().map(|heard| span(heard)) {
            let hidden = mutes.iter().map(|mute| span(mute)).any(|mute| mute.0 < from_s && to_s < mute.1);
            assert!(hidden || !silent(from_s, to_s), "{from_s} to {to_s} s");
        }
        sources.iter().map(kind).map(|sound: Sound| sound.name()).collect::<BTreeSet<_>>()
    };
    let (seen, unseen, all) = (kinds(Unknown::Seen), kinds(Unknown::Unseen), kinds(Unknown::All));
    let names = |wanted: fn(&Sound) -> bool| {
        let sounds = Sound::all().iter().filter(|s| s.label().is_none() && **s != Sound::RoomNoise);
        sounds.filter(|sound| wanted(sound)).map(|sound| sound.name()).collect::<BTreeSet<_>>()
    };
    assert_eq!(seen, names(|sound| !sound.is_reserved()));
    assert_eq!(unseen, names(|sound| sound.is_reserved()));
    assert_eq!(all, names(|_| true));
}

#[test]
fn nothing_is_muted_where_there_are_events() {
    let pool = pool(&["a", "b"]);
    let settings = SceneSettings {
        seconds: 600.0,
        events_a_minute: Span::only(1.0),
        unknown_a_minute: Span::only(6.0),
        ..settings()
    };
    let scene = compose(&settings, &pool, 1).unwrap();
    let made = serde_json::to_value(&scene.made).unwrap();
    assert_eq!(made["unknown"].as_array().unwrap().len(), 60);
    assert!(!made["unknown"].to_string().contains("silence:"));
}

#[test]
fn microphones_clip_and_colour_as_asked() {
    let pool = pool(&["a", "b"]);
    let microphone = MicrophoneSettings { clip_dbfs: Span::only(-40.0), ..MicrophoneSettings::default() };
    let settings = SceneSettings {
        seconds: 30.0,
        snr_db: Span::only(20.0),
        background_dbfs: Span::only(-50.0),
        microphone,
        ..settings()
    };
    let scene = compose(&settings, &pool, 1).unwrap();
    let loudest = scene.samples.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
    assert!((loudest - 0.01).abs() < 1e-6, "{loudest}");
    assert!(serde_json::to_value(&scene.made).unwrap()["n_clipped"].as_u64().unwrap() > 100);
    let dull = MicrophoneSettings { high_cut_hz: Span::only(1000.0), eq_db: 0.0, ..MicrophoneSettings::default() };
    let crossings = |settings: &SceneSettings| {
        let (_, sounds, _) = stems(settings, &pool, 1);
        sounds.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count()
    };
    let bright = SceneSettings { microphone: MicrophoneSettings::default(), ..settings.clone() };
    assert!(crossings(&SceneSettings { microphone: dull, ..settings }) * 2 < crossings(&bright));
}

#[test]
fn a_background_that_is_an_event_is_left_out() {
    let fixture = Fixture::new();
    write_wav(&fixture.path().join("mixer.wav"), RATE, &sounds::render(Sound::Blender, RATE, 8.0, 3));
    std::fs::write(fixture.path().join("negatives.csv"), "file,label\nhum.wav,hum\nmixer.wav,blender\n").unwrap();
    let recipe = Recipe::load(&fixture.recipe_path).unwrap().0;
    let pool = held_out(&recipe, fixture.path(), FoldMode::Official, 1);
    assert_eq!(pool.labels(), ["blender", "chopping", "dog", "water-flowing"]);
    let long = SceneSettings { seconds: 1800.0, events_a_minute: Span::only(0.1), ..SceneSettings::default() };
    let made = serde_json::to_string(&compose(&long, &pool, 1).unwrap().made).unwrap();
    assert!(made.contains("\"hum.wav\"") && !made.contains("mixer.wav"));
}

/// Composes from the data sets beside the repository, which must be there in CI.
#[test]
fn the_shipped_recipe_s_folds_make_scenes() {
    let recipe_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/home-clips.toml");
    let (recipe, _) = Recipe::load(&recipe_path).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !root.join("kitchen20/kitchen20.csv").exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", root.display());
        eprintln!("{} is missing: not composed from the real clips", root.display());
        return;
    }
    let pool = held_out(&recipe, &root, FoldMode::Source, 2);
    assert_eq!(pool.labels().len(), 30);
    let settings = SceneSettings { overlap: Span::only(0.2), snr_db: Span::new(5.0, 20.0), ..SceneSettings::default() };
    let (scene, sounds, background) = stems(&settings, &pool, 1);
    assert_eq!(scene.truth.len(), 60);
    for label in pool.labels() {
        assert_eq!(scene.truth.iter().filter(|event| event.label == *label).count(), 2, "{label}");
    }
    let made = serde_json::to_value(&scene.made).unwrap();
    // A dishwasher is a class, so that the recordings of one are no background.
    assert!(!made["background"].to_string().contains("dishwasher"));
    for (event, heard) in scene.truth.iter().zip(made["events"].as_array().unwrap()) {
        let alone =
            scene.truth.iter().filter(|e| e.onset_s < event.offset_s && e.offset_s > event.onset_s).count() == 1;
        let level = |samples| db(part(samples, event.onset_s, event.offset_s));
        let found = level(&sounds) - level(&background);
        let asked = heard["snr_db"].as_f64().unwrap();
        assert!(!alone || (found - asked).abs() < 0.3, "{event:?}: {found} dB, asked for {asked}");
    }
}

//! Claims: a student is trained on scenes of clips and of recordings of the world, first on what
//! CED-tiny says of them, then on what sounds when; so is a head on CED-tiny; an interrupted
//! training continues bit for bit; all folds share the first stage; and what is reserved for tests
//! is never heard.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, options, write_wav};
use sounds::Sound;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use trainer::Error;
use trainer::chain::FitOptions;
use trainer::chain::fit::{fit, fit_stage};
use trainer::data::folds::FoldMode;
use trainer::data::scenes::{Listing, Pool, PoolSettings, Share, compose};
use trainer::data::world::Purpose;
use trainer::nets::teacher::ced;
use trainer::train::checkpoint::Checkpoint;
use trainer::train::recipe::Recipe;

const RATE: u32 = 24_000;

/// Whether CED-tiny is at hand, which it must be in CI.
fn tagger_is_there() -> bool {
    let there = ced::place().exists();
    assert!(there || std::env::var_os("CI").is_none(), "{} is missing: `make ced` brings it", ced::place().display());
    if !there {
        eprintln!("{} is missing: not trained on scenes; `make ced` brings it", ced::place().display());
    }
    there
}

/// A data set with recordings of the world, some of them reserved, and a recipe of a student with
/// two stages.
fn world() -> (Fixture, Recipe) {
    let (_, after) = common::RECIPE.split_once("[frontend]").unwrap();
    let (network, _) = after.split_once("[augment]").unwrap();
    let network =
        network.replace("kind = \"student\"", "kind = \"student\"\nactivation = \"sigmoid\"\nlookahead_ms = 160.0");
    world_of(&format!("[frontend]{network}{STAGES}"))
}

/// The same with a recipe that ends with `rest`, after its data.
fn world_of(rest: &str) -> (Fixture, Recipe) {
    let fixture = Fixture::new();
    let write = |file: &str, sound: Sound, seconds: f32, seed: u64| {
        let path = fixture.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_wav(&path, RATE, &sounds::render(sound, RATE, seconds, seed));
    };
    for (n, sound) in [Sound::Footsteps, Sound::Typing, Sound::Babble, Sound::Beep].into_iter().enumerate() {
        for i in 0..4 {
            write(&format!("foreign/{sound}-{i}-a.wav"), sound, 1.5, (10 * n + i) as u64);
        }
        write(&format!("foreign/reserved-{sound}.wav"), sound, 1.5, 99);
    }
    for i in 0..4 {
        write(&format!("ambience/room-{i}-a.wav"), Sound::RoomNoise, 12.0, i);
    }
    write("ambience/reserved-room.wav", Sound::RoomNoise, 12.0, 99);
    let response: Vec<f32> =
        (0..2400).map(|i| if i < 20 { 0.0 } else { 0.9 * (-(i as f32 - 20.0) / 300.0).exp() }).collect();
    for name in ["rooms/hall-a-1.wav", "rooms/hall-b-1.wav", "rooms/reserved-hall.wav"] {
        std::fs::create_dir_all(fixture.path().join("rooms")).unwrap();
        write_wav(&fixture.path().join(name), RATE, &response);
    }
    let (before, _) = common::RECIPE.split_once("[frontend]").unwrap();
    let sets = ["foreign", "ambience", "rooms"].map(|kind| {
        format!("[[data]]\nname = \"{kind}\"\nkind = \"{kind}\"\naudio = \"{kind}\"\ntest = [\"reserved-*\"]\n\n")
    });
    let text = format!("{before}{}{rest}", sets.concat());
    let recipe = Recipe::parse(&text, Path::new("world.toml")).unwrap();
    (fixture, recipe)
}

const STAGES: &str = r#"
[tagger]
embedding_weight = 5.0
tags_weight = 0.5
label = [
    { name = "dog", audioset = ["Dog", "Bark"] },
    { name = "speech", audioset = ["Speech"], sounds_from = 0.5 },
]

[train]
crop_frames = 400

[[stage]]
name = "world"
epochs = 2
batch = 4
method = "adamw"
lr = 5e-3
schedule = "cosine"
ema = 0.9

[stage.scenes]
hours = 0.016
shared = true
label_weight = 0.2
gain_db = 6.0

[stage.scenes.settings]
seconds = 19.2
events_a_minute = 0.0
unknown_a_minute = [10.0, 20.0]
unknown = "recorded"
as_many_as_fit = true

[[stage]]
name = "scenes"
init = "stage:world"
epochs = 2
batch = 4
method = "adamw"
lr = 5e-3
schedule = "cosine"
ema = 0.9
augment = { stretch = 0.15, mel_shift = 2.0, eq_db = 5.0 }

[stage.scenes]
hours = 0.016
rehearse = 0.3
silent_start = 0.2

[stage.scenes.settings]
seconds = 19.2
events_a_minute = [6.0, 12.0]
unknown_a_minute = [0.0, 6.0]
unknown = "seen"
overlap = [0.0, 0.5]
as_many_as_fit = true

[quantize]
calibration_batches = 1
steps = 2
"#;

const HEAD: &str = r#"
[network]
kind = "ced"
patch_steps = 12
lookahead_steps = 2
context_steps = 3
hidden = 16

[tagger]
embedding_weight = 0.0
tags_weight = 0.0
label = [{ name = "dog", audioset = ["Dog", "Bark"] }]

[[stage]]
name = "head"
epochs = 3
batch = 16
method = "adamw"
lr = 5e-3
schedule = "cosine"
ema = 0.9
dropout = 0.1

[stage.scenes]
hours = 0.016

[stage.scenes.settings]
seconds = 19.2
events_a_minute = [6.0, 12.0]
unknown_a_minute = [0.0, 6.0]
unknown = "seen"
as_many_as_fit = true
as_recorded = 0.5
"#;

/// What a checkpoint holds, without its header, whose recipe may name another place.
fn weights(path: &Path) -> Vec<(String, Vec<f32>)> {
    let checkpoint = Checkpoint::load(path).unwrap();
    let mut weights: Vec<(String, Vec<f32>)> = checkpoint
        .values()
        .iter()
        .filter(|(name, _)| name.starts_with("model/") || name.starts_with("ema/") || name.starts_with("optim/"))
        .map(|(name, value)| (name.clone(), value.view([-1]).try_into().unwrap()))
        .collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(weights.len() >= 16);
    weights
}

#[test]
fn a_student_learns_from_scenes_and_goes_on_where_it_was_interrupted() {
    if !tagger_is_there() {
        return;
    }
    let (fixture, recipe) = world();
    let whole = options(fixture.path(), recipe.clone(), "runs/fold-1");
    let result = fit(&whole).unwrap();
    assert_eq!(result.evaluation.unwrap().sets["clips"].n, 8);
    let manifest = std::fs::read_to_string(fixture.path().join("runs/fold-1/model/manifest.toml")).unwrap();
    for part in ["activation = \"sigmoid\"", "lookahead_ms = 160.0", "\"speech\""] {
        assert!(manifest.contains(part), "{part} is missing from\n{manifest}");
    }

    // Another fold takes the first stage as it is.
    let shared = fixture.path().join("runs/shared/world/checkpoint.safetensors");
    let made = std::fs::metadata(&shared).unwrap().modified().unwrap();
    let other = FitOptions { fold: Some(2), out: fixture.path().join("runs/fold-2"), ..whole.clone() };
    fit_stage(&other, "scenes").unwrap();
    assert_eq!(std::fs::metadata(&shared).unwrap().modified().unwrap(), made, "trained again");

    // The same in pieces, with scenes made again and recordings read from disk.
    let mut places = whole.places.clone();
    places.cache = fixture.path().join("another-cache");
    let mut recipe = recipe;
    recipe.train.memory_mb = 1;
    let pieces = FitOptions { recipe, places, out: fixture.path().join("again/fold-1"), ..whole.clone() };
    for (stage, stop_after) in [("world", 1), ("scenes", 1)] {
        let stopped = fit_stage(&FitOptions { stop_after: Some(stop_after), ..pieces.clone() }, stage);
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
        fit_stage(&FitOptions { resume: true, ..pieces.clone() }, stage).unwrap();
    }
    for (stage, of) in [("world", &whole), ("scenes", &whole)] {
        assert!(weights(&of.checkpoint(stage)) == weights(&pieces.checkpoint(stage)), "{stage} differs");
    }
}

#[test]
fn a_head_on_ced_learns_from_scenes_and_its_model_is_put_together_anywhere() {
    if !tagger_is_there() {
        return;
    }
    let (fixture, recipe) = world_of(HEAD);
    let whole = options(fixture.path(), recipe.clone(), "runs/fold-1");
    // The export compares the daemon's run of the model with libtorch's.
    let result = fit(&whole).unwrap();
    assert_eq!(result.evaluation.unwrap().sets["clips"].n, 8);
    let model = fixture.path().join("runs/fold-1/model");
    let made = std::fs::read(model.join("model.onnx")).unwrap();

    // The network is not in the repository: of the head and CED-tiny it becomes the same file.
    std::fs::remove_file(model.join("model.onnx")).unwrap();
    let missing = edge::model::Model::load(&model).unwrap_err().to_string();
    assert!(missing.contains("put together on your machine"), "{missing}");
    assemble::folder::assemble(&model, &ced::place()).unwrap();
    assert!(std::fs::read(model.join("model.onnx")).unwrap() == made);

    // In pieces, with another cache: the same head.
    let mut places = whole.places.clone();
    places.cache = fixture.path().join("another-cache");
    let pieces = FitOptions { places, out: fixture.path().join("again/fold-1"), ..whole.clone() };
    let stopped = fit(&FitOptions { stop_after: Some(2), ..pieces.clone() });
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    fit(&FitOptions { resume: true, ..pieces.clone() }).unwrap();
    assert!(weights(&whole.checkpoint("head")) == weights(&pieces.checkpoint("head")));

    // A head of another training does not fit the manifest.
    let mut head = assemble::Head::load(&model.join("head.safetensors")).unwrap();
    head.output.bias.values[0] += 1.0;
    head.write(&model.join("head.safetensors")).unwrap();
    let other = assemble::folder::assemble(&model, &ced::place()).unwrap_err().to_string();
    assert!(other.contains("of another training"), "{other}");
}

#[test]
fn what_is_reserved_is_neither_trained_on_nor_missing_from_the_tests() {
    let (fixture, recipe) = world();
    let sources = |purpose: Purpose| {
        let share = Share { folds: FoldMode::Official, fold: Some(1), purpose };
        let listing = Listing::of_data("tiny", &recipe.contents(), fixture.path(), share).unwrap();
        let pool = Pool::read(listing, PoolSettings::default()).unwrap();
        let settings = trainer::data::scenes::SceneSettings {
            seconds: 600.0,
            measured_rooms: 1.0,
            unknown: trainer::data::scenes::Unknown::Recorded,
            unknown_a_minute: trainer::data::scenes::Span::only(6.0),
            as_many_as_fit: true,
            ..recipe.stages[1].scenes.as_ref().unwrap().settings.clone()
        };
        (0..3)
            .map(|seed| serde_json::to_string(&compose(&settings, &pool, seed).unwrap().made).unwrap())
            .collect::<String>()
    };
    let (training, test) = (sources(Purpose::Training), sources(Purpose::Test));
    assert!(!training.contains("reserved"), "{training}");
    assert!(training.contains("foreign/") && training.contains("rooms/hall-"));
    for reserved in ["foreign/reserved-beep.wav", "ambience/reserved-room.wav", "rooms/reserved-hall.wav"] {
        assert!(test.contains(reserved), "{reserved} is missing");
    }
    assert!(!test.contains("foreign/beep") && !test.contains("rooms/hall-"));
}

/// The names are those that the data's description reserves for tests.
#[test]
fn the_shipped_recipes_train_on_nothing_that_is_reserved() {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = |name: &str| Recipe::load(&manifest_dir.join("recipes").join(name)).unwrap().0;
    let recipe = load("home.toml");
    // The same data, with the same reservations.
    assert_eq!(load("home-large.toml").data, recipe.data);
    let reserved = ["ccsounds", "urban-", "house-living-"];
    let names = ["audio/ccsounds-door.ogg", "audio/urban-road.ogg", "house-living-bedroom.flac"];
    for (kind, name) in ["foley", "ambience", "rooms"].into_iter().zip(names) {
        let world = recipe.data.iter().find(|set| set.name == kind).and_then(|set| set.world()).unwrap();
        assert_eq!(world.purpose(name), Purpose::Test, "{name}");
    }
    let table = std::fs::read_to_string(manifest_dir.join("../scripts/sounds.tsv")).unwrap();
    let of_use = |wanted: &str| -> BTreeSet<String> {
        let rows = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>());
        rows.filter(|row| row.contains(&wanted)).map(|row| row[0].to_owned()).collect()
    };
    let (train, test) = (of_use("train"), of_use("test"));
    assert!(train.len() >= 15 && test.len() >= 4, "{train:?} {test:?}");
    assert!(train.is_disjoint(&test));
    for package in [
        "fillets-ng-data-nl",
        "asterisk-core-sounds-en",
        "asterisk-moh-",
        "fretsonfire-songs-sectoid",
        "openclonk-data",
    ] {
        assert!(!train.iter().any(|name| name.starts_with(package)), "{package} is trained on");
    }

    let root: PathBuf = manifest_dir.join("../../shared/data");
    if !root.join("foley/foley.csv").exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", root.display());
        eprintln!("{} is missing: its recordings are not looked through", root.display());
        return;
    }
    let mut seen = 0;
    for set in recipe.data.iter().filter(|set| !set.audio.starts_with("debian")) {
        let Some(world) = set.world() else { continue };
        for purpose in [Purpose::Training, Purpose::Validation] {
            for recording in world.recordings(&root, &set.audio, purpose).unwrap() {
                assert!(!reserved.iter().any(|name| recording.name.contains(name)), "{}", recording.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 3000, "{seen} recordings");
}

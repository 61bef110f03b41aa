use super::*;
use crate::train::loss::LossKind;
use crate::train::schedule::learning_rate;

fn shipped(name: &str) -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name);
    Recipe::load(&path).unwrap().0
}

/// A recipe's text: its network, then its stages and whatever follows.
fn text(network: &str, rest: &str) -> String {
    format!("name = \"x\"\n[[data]]\nname = \"d\"\ncsv = \"c\"\naudio = \"a\"\n[network]\n{network}\n{rest}")
}

const SLOWFAST: &str = "kind = \"slowfast\"";
const STUDENT: &str = "kind = \"student\"\nlayers = [{ channels = 4, kernel_t = 8, kernel_f = 5, stride_t = 8 }]";
const STAGE: &str = "[[stage]]\nname = \"a\"\nepochs = 1\nlr = 0.1\n";

fn parse(network: &str, rest: &str) -> Recipe {
    Recipe::parse(&text(network, rest), Path::new("r.toml")).unwrap()
}

fn message(network: &str, rest: &str) -> String {
    Recipe::parse(&text(network, rest), Path::new("r.toml")).unwrap_err().to_string()
}

#[test]
fn the_published_recipe_is_the_table_of_the_report() {
    let recipe = shipped("epic-sounds.toml");
    assert_eq!(*recipe.slowfast().unwrap(), SlowFastConfig::default());
    assert_eq!(recipe.frontend, FrontendConfig::epic_sounds());
    assert_eq!(recipe.train.views, 5);
    let weights: Vec<f64> = recipe.fusion().iter().map(|f| f.1).collect();
    assert_eq!(weights, [0.1, 0.4, 0.25, 0.25]);
    let rates = |stage: usize, epochs: &[f64]| {
        let stage = &recipe.stages[stage];
        let rate = |&epoch: &f64| learning_rate(stage, (epoch * 10.0).round() as u64, stage.epochs * 10, 10);
        epochs.iter().map(rate).collect::<Vec<_>>()
    };
    assert_eq!(rates(0, &[0.0, 24.9, 25.0, 29.9]), [1e-3, 1e-3, 1e-4, 1e-4]);
    for stage in 1..4 {
        let expected = [1.0, 0.7, 0.5, 0.3, 0.1].map(|f| f * 1e-4);
        assert_eq!(rates(stage, &[0.0, 2.0, 5.9, 6.0, 9.5]), expected);
        assert_eq!(recipe.stages[stage].epochs, 10);
        assert_eq!(recipe.stages[stage].loss.smoothing, 0.06);
    }
    assert_eq!(recipe.stages.iter().map(|s| s.epochs).collect::<Vec<_>>(), [30, 10, 10, 10]);
    assert!(recipe.stages.iter().all(|s| s.batch == 128 && s.batch_norm == BatchNorm::Frozen));
    let frozen: Vec<bool> = recipe.stages.iter().map(|s| s.frozen == Frozen::Backbone).collect();
    assert_eq!(frozen, [false, false, true, true]);
    assert_eq!(recipe.stages[3].loss.gamma, 0.3);
    let augment = recipe.stages[0].augment();
    let masks = (augment.n_freq_masks, augment.freq_mask, augment.n_time_masks, augment.time_mask);
    assert_eq!((masks, augment.time_warp, augment.min_max), ((2, 27, 2, 25), 5, false));
}

#[test]
fn the_recipes_for_data_at_hand_have_the_same_four_stages() {
    for name in ["kitchen20-slowfast.toml", "esc10-slowfast.toml"] {
        let recipe = shipped(name);
        let weights: Vec<f64> = recipe.fusion().iter().map(|f| f.1).collect();
        assert_eq!(weights, [0.1, 0.4, 0.25, 0.25], "{name}");
        let frozen: Vec<bool> = recipe.stages.iter().map(|s| s.frozen == Frozen::Backbone).collect();
        assert_eq!(frozen, [false, false, true, true], "{name}");
    }
}

#[test]
fn the_recipes_of_students_have_one_stage_with_smoothed_labels_and_averaged_weights() {
    for (name, negatives) in [("home-clips.toml", 0.06), ("kitchen20.toml", 0.0), ("esc10.toml", 0.0)] {
        let recipe = shipped(name);
        assert_eq!(recipe.student().unwrap().pulse_frames(), 8, "{name}");
        let [stage] = &recipe.stages[..] else { panic!("{name}: one stage") };
        assert_eq!((stage.loss.kind, stage.loss.smoothing), (LossKind::Smoothed, 0.1), "{name}");
        assert_eq!((stage.method, stage.schedule), (Method::Adamw, Schedule::Cosine), "{name}");
        let decay = stage.weight_decay.unwrap_or(recipe.train.weight_decay);
        assert_eq!((decay, stage.ema, stage.warmup_steps, stage.final_lr), (0.02, 0.998, 100, 0.01), "{name}");
        let augment = stage.augment();
        assert_eq!((augment.gain_db, augment.mixup, augment.n_time_masks), (10.0, 0.7, 1), "{name}");
        assert_eq!(augment.negatives, negatives, "{name}");
    }
}

#[test]
fn a_shipped_recipe_survives_the_header_of_a_checkpoint() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut n = 0;
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // Some recipes have a table beside them.
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
        let recipe = Recipe::load(&file).unwrap().0;
        let header = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&header).unwrap(), recipe, "{}", recipe.name);
        n += 1;
    }
    assert!(n >= 6, "{n} recipes");
}

#[test]
fn a_stage_depends_on_itself_and_what_it_starts_from() {
    let recipe = shipped("kitchen20-slowfast.toml");
    let mut other = recipe.clone();
    other.stages[1].lr *= 2.0;
    other.stages[3].weight = 0.5;
    other.train.views = 3;
    for (name, same) in [("baseline", true), ("decay", false), ("frozen", true), ("focal", true)] {
        assert_eq!(recipe.lineage(name) == other.lineage(name), same, "{name}");
    }
    other.stages[0].lr *= 2.0;
    assert!(recipe.stages.iter().all(|s| recipe.lineage(&s.name) != other.lineage(&s.name)));
    other = recipe.clone();
    other.stages.remove(1);
    assert_ne!(recipe.lineage("focal"), other.lineage("focal"), "another seed");
    assert_eq!(recipe.lineage("baseline"), other.lineage("baseline"));
}

#[test]
fn what_follows_the_last_step_decides_no_training() {
    let recipe = shipped("home-clips.toml");
    let name = &recipe.stages[0].name;
    let mut other = recipe.clone();
    (other.quantize, other.export, other.train.evaluate_every) = (None, None, 1);
    other.teacher.iter_mut().for_each(|teacher| teacher.probe_share *= 2.0);
    other.data_root = "elsewhere".into();
    assert_eq!(recipe.lineage(name), other.lineage(name));
    other.stages[0].augment.as_mut().unwrap().mixup = 0.0;
    assert_ne!(recipe.lineage(name), other.lineage(name));
}

#[test]
fn mistakes_are_named_with_their_line() {
    let of = |stage: &str| message(SLOWFAST, stage);
    let zero = of("[[stage]]\nname = \"a\"\nepochs = 0\nlr = 0.1\n");
    assert!(zero.contains("r.toml:10: epochs"), "{zero}");
    assert!(of(&format!("{STAGE}colour = 1\n")).contains("r.toml:12: unknown field `colour`"));
    assert!(of(&format!("{STAGE}init = \"stage:b\"\n")).contains("r.toml:12: init: stage \"b\""));
    assert!(of(&format!("{STAGE}init = \"wonder\"\n")).contains("scratch"));
    assert!(of(&format!("{STAGE}steps = [0, 2]\nfactors = [1]\n")).contains("r.toml:13: factors"));
    assert!(of(&format!("{STAGE}{STAGE}")).contains("stage \"a\" is there twice"));
    assert!(of("stage = []\n").contains("stage"));
    let width = message(&format!("{SLOWFAST}\nwidth_per_group = 9"), STAGE);
    assert!(width.contains("r.toml:8: width_per_group"), "{width}");
    let kind = message("kind = \"slow\"", STAGE);
    assert!(kind.contains("r.toml:7") && kind.contains("slow"), "{kind}");
    let fused = of(&STAGE.replace("\"a\"", "\"fused\""));
    assert!(fused.contains("neither \"average\" nor \"fused\""), "{fused}");
}

#[test]
fn keys_of_the_other_network_are_refused() {
    for (network, keys, expected) in [
        (STUDENT, "drop_path = 0.1", "r.toml:13: drop_path: is for SlowFast"),
        (STUDENT, "weight = 1.0", "weight: is for SlowFast"),
        (STUDENT, "augment = { cutmix = 0.5 }", "cutmix: is for SlowFast"),
        (STUDENT, "augment = { mixup = 0.5 }\n[stage.scenes]\nhours = 1.0", "mixup: stage \"a\" is trained on scenes"),
        (SLOWFAST, "ema = 0.9", "r.toml:12: ema: is for a student"),
        (SLOWFAST, "augment = { noise = 0.5 }", "noise: is for a student"),
        (SLOWFAST, "schedule = \"cosine\"", "schedule: must be \"step\" for SlowFast"),
    ] {
        let message = message(network, &format!("{STAGE}{keys}\n"));
        assert!(message.contains(expected), "{keys}: {message}");
    }
    for (keys, expected) in [
        ("schedule = \"cosine\"\nwarmup_epochs = 1", "warmup_epochs: stage \"a\": needs schedule = \"step\""),
        ("augment = { active_db = -1.0 }", "active_db: stage \"a\": must not be negative"),
        ("[procedural]\nclips_per_class = 1\nseconds = 0.001", "seconds: must be at least one frame long"),
        ("[procedural]\nclips_per_class = 0", "clips_per_class: must be at least 1"),
    ] {
        let message = message(STUDENT, &format!("{STAGE}{keys}\n"));
        assert!(message.contains(expected), "{keys}: {message}");
    }
    let twice = STAGE.replace("\"a\"", "\"b\"");
    let second = message(SLOWFAST, &format!("{STAGE}{twice}batch = 1\n"));
    assert!(second.contains("batch: stage \"b\": must be at least 2"), "{second}");
    let padding = format!("{STAGE}[frontend]\n{}", toml::to_string(&FrontendConfig::student()).unwrap());
    let padding = message(&format!("{SLOWFAST}\nn_mels = 64"), &padding);
    assert!(padding.contains("centre_padding: must be true for views of segments"), "{padding}");
    let distill = message(SLOWFAST, &format!("{STAGE}[distill]\nsoft_weight = 0.0\n"));
    assert!(distill.contains("r.toml:12: distill: only a student"), "{distill}");
    let wrong = parse(STUDENT, STAGE).slowfast().unwrap_err().to_string();
    assert_eq!(wrong, "recipe \"x\": network.kind is \"student\", expected \"slowfast\"");
}

#[test]
fn what_a_recipe_does_not_say_follows_from_its_network_and_its_tables() {
    assert_eq!(parse(STUDENT, STAGE).frontend, FrontendConfig::student());
    assert_eq!(parse(SLOWFAST, STAGE).frontend, FrontendConfig::epic_sounds());
    let two = format!("{STAGE}[[stage]]\nname = \"b\"\nepochs = 1\nlr = 0.1\naugment = {{ mixup = 0.3 }}\n");
    let recipe = parse(STUDENT, &format!("{two}[augment]\ngain_db = 3.0\n"));
    let [a, b] = [0, 1].map(|i| recipe.stages[i].augment());
    assert_eq!((a.gain_db, a.mixup), (3.0, 0.0), "a stage without the key has that of the recipe");
    assert_eq!((b.gain_db, b.mixup), (0.0, 0.3), "a stage's own replaces it");
    assert_ne!(recipe.stage_seed(0), recipe.stage_seed(1));
    let unknown = recipe.stage("c").unwrap_err().to_string();
    assert_eq!(unknown, "stage \"c\" does not exist; the recipe has a, b");
}

#[test]
fn a_mistake_that_a_change_brought_names_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, text(STUDENT, STAGE)).unwrap();
    let with = |set: &str| Recipe::load_with(&path, &Overrides { set: vec![set.to_owned()], ..Overrides::default() });
    assert_eq!(with("train.memory_mb=3").unwrap().0.train.memory_mb, 3);
    let wrong = with("train.crop_frames=3").unwrap_err();
    assert!(matches!(wrong, Error::Usage(_)));
    let wrong = wrong.to_string();
    assert!(wrong.contains("r.toml, as changed by --set and --without: crop_frames"), "{wrong}");
}

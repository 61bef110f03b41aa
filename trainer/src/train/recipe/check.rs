//! Ranges and relations of a recipe that types cannot express.

use super::{Augment, Distill, Frozen, Hears, Init, Network, Recipe, Schedule, Stage, TaggerLabel};
use crate::data::scenes::Unknown;
use crate::nets::head::{HeadConfig, Patches};
use crate::nets::student::StudentConfig;
use crate::nets::teacher::audioset::class_index;
use crate::nets::teacher::mn04;
use assemble::ced;
use edge_frontend::{Activation, FrontendConfig, MelScale, Power};

/// The key that offends, and how.
type Checked = std::result::Result<(), (&'static str, String)>;

/// Time from one answer of a streaming network to the next: 8 frames at the default hop.
const PULSE_MS: f64 = 80.0;

pub(super) fn check(recipe: &Recipe) -> Checked {
    require(is_name(&recipe.name), "name", "must be letters, digits, - and _")?;
    recipe.frontend.validate().map_err(|e| ("frontend", e.to_string()))?;
    check_data(recipe)?;
    let train = &recipe.train;
    require(train.views >= 1, "views", "must be at least 1")?;
    require(train.train_views.is_none_or(|n| n >= 1), "train_views", "must be at least 1")?;
    require(train.save_every >= 1, "save_every", "must be at least 1")?;
    require((0.0..1.0).contains(&train.momentum), "momentum", "must be from 0 to below 1")?;
    require(train.weight_decay >= 0.0, "weight_decay", "must not be negative")?;
    require(train.memory_mb >= 1, "memory_mb", "must be at least 1")?;
    check_stages(recipe)?;
    match &recipe.network {
        Network::Student(config) => check_student(recipe, config),
        Network::Slowfast(_) => check_slowfast(recipe),
        Network::Ced(config) => check_head(recipe, config),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        && !["average", "fused"].contains(&name)
}

fn check_data(recipe: &Recipe) -> Checked {
    require(!recipe.data.is_empty() || recipe.procedural.is_some(), "data", "no data set and no procedural clips")?;
    for (i, set) in recipe.data.iter().enumerate() {
        let twice = format!("data set {:?} is listed twice", set.name);
        require(recipe.data[..i].iter().all(|s| s.name != set.name), "name", &twice)?;
        let named = set.has_labels() || set.world().is_some() || recipe.background.is_some();
        require(named, "kind", &format!("data set {:?} is background: `background` must name its label", set.name))?;
    }
    if let Some(procedural) = &recipe.procedural {
        require(procedural.clips_per_class >= 1, "clips_per_class", "must be at least 1")?;
        let n_samples = procedural.seconds * f64::from(recipe.frontend.sample_rate);
        let is_frame = recipe.frontend.n_frames(n_samples as usize) >= 1;
        require(is_frame && n_samples.is_finite(), "seconds", "must be at least one frame long")?;
    }
    for name in recipe.procedural.iter().flat_map(|p| &p.negatives).flatten() {
        let sound: std::result::Result<sounds::Sound, _> = name.parse();
        let sound = sound.map_err(|e| ("negatives", e.to_string()))?;
        require(sound.label().is_none(), "negatives", &format!("{name:?} is a sound with a label"))?;
        require(!sound.is_reserved(), "negatives", &format!("{name:?} is reserved for tests"))?;
    }
    Ok(())
}

fn check_stages(recipe: &Recipe) -> Checked {
    require(!recipe.stages.is_empty(), "stage", "a recipe needs at least one [[stage]]")?;
    for (i, stage) in recipe.stages.iter().enumerate() {
        let reserved = "must be letters, digits, - and _, and neither \"average\" nor \"fused\"";
        require(is_name(&stage.name), "name", reserved)?;
        let earlier = &recipe.stages[..i];
        let twice = format!("stage {:?} is there twice", stage.name);
        require(earlier.iter().all(|s| s.name != stage.name), "name", &twice)?;
        if let Init::Stage(name) = &stage.init {
            let known = earlier.iter().any(|s| s.name == *name);
            require(known, "init", &format!("stage {name:?} must come before stage {:?}", stage.name))?;
        }
        check_stage(stage).map_err(|(key, message)| (key, format!("stage {:?}: {message}", stage.name)))?;
    }
    for name in &recipe.average {
        let known = recipe.stages.iter().any(|s| s.name == *name);
        require(known, "average", &format!("stage {name:?} does not exist"))?;
    }
    Ok(())
}

fn check_stage(stage: &Stage) -> Checked {
    let loaded = stage.epochs == 0 && stage.init != Init::Scratch;
    require(stage.epochs >= 1 || loaded, "epochs", "must be at least 1, or 0 with an `init` to take as it is")?;
    require(stage.coarse_epochs <= stage.epochs, "coarse_epochs", "must not be more than epochs")?;
    require(stage.lr > 0.0 && stage.lr.is_finite(), "lr", "must be positive")?;
    require(stage.batch >= 2, "batch", "must be at least 2")?;
    require((0.0..1.0).contains(&stage.dropout), "dropout", "must be from 0 to below 1")?;
    require((0.0..1.0).contains(&stage.drop_path), "drop_path", "must be from 0 to below 1")?;
    require((0.0..1.0).contains(&stage.ema), "ema", "must be from 0 to below 1")?;
    require(stage.weight >= 0.0 && stage.weight.is_finite(), "weight", "must not be negative")?;
    require(stage.weight_decay.is_none_or(|d| d >= 0.0), "weight_decay", "must not be negative")?;
    require(stage.cycles >= 1, "cycles", "must be at least 1")?;
    require(stage.cycles == 1 || stage.schedule == Schedule::Cosine, "cycles", "need schedule = \"cosine\"")?;
    require(
        stage.warmup_epochs == 0.0 || stage.warmup_steps == 0,
        "warmup_epochs",
        "cannot be combined with warmup_steps",
    )?;
    let in_steps = stage.warmup_epochs == 0.0 || stage.schedule == Schedule::Step;
    require(in_steps, "warmup_epochs", "needs schedule = \"step\"; with \"cosine\", use warmup_steps")?;
    let ordered = stage.steps.first() == Some(&0.0) && stage.steps.is_sorted();
    require(ordered, "steps", "must begin with 0 and rise")?;
    require(stage.factors.len() == stage.steps.len(), "factors", "must be as many as steps")?;
    require(stage.factors.iter().all(|&f| f > 0.0), "factors", "must be positive")?;
    let loss = &stage.loss;
    require((0.0..1.0).contains(&loss.smoothing), "smoothing", "must be from 0 to below 1")?;
    require(loss.gamma >= 0.0 && loss.gamma.is_finite(), "gamma", "must not be negative")?;
    stage.augment.as_ref().map_or(Ok(()), check_augment)
}

fn check_augment(augment: &Augment) -> Checked {
    let shares = [
        ("surround", augment.surround),
        ("mixup", augment.mixup),
        ("noise", augment.noise),
        ("negatives", augment.negatives),
        ("cutmix", augment.cutmix),
        ("mixup", augment.mixup + augment.cutmix),
    ];
    for (key, share) in shares {
        require((0.0..=1.0).contains(&share), key, "must be from 0 to 1; mixup and cutmix together, too")?;
    }
    require(augment.mixup == 0.0 || augment.mixup_alpha > 0.0, "mixup_alpha", "must be positive")?;
    require(augment.cutmix == 0.0 || augment.cutmix_alpha > 0.0, "cutmix_alpha", "must be positive")?;
    require(augment.active_db >= 0.0, "active_db", "must not be negative")?;
    require(augment.noise_snr_db[0] <= augment.noise_snr_db[1], "noise_snr_db", "must be [lowest, highest]")
}

fn check_slowfast(recipe: &Recipe) -> Checked {
    let Network::Slowfast(config) = &recipe.network else { return Ok(()) };
    config.check()?;
    let labelled = recipe.data.iter().filter(|set| set.has_labels()).count();
    require(labelled == 1 && recipe.data.len() == 1, "data", "SlowFast takes one data set, which has labels")?;
    require(recipe.procedural.is_none(), "procedural", "SlowFast takes no generated clips")?;
    require(recipe.distill.is_none(), "distill", "only a student is distilled: network.kind must be \"student\"")?;
    require(recipe.quantize.is_none(), "quantize", "only a student is quantized: network.kind must be \"student\"")?;
    let (expected, actual) = (recipe.frontend.n_mels, config.n_mels);
    require(expected == actual, "n_mels", &format!("the front end has {expected}, the network {actual}"))?;
    require(recipe.frontend.centre_padding, "centre_padding", "must be true for views of segments")?;
    let n_samples = recipe.train.view_seconds * f64::from(recipe.frontend.sample_rate);
    require(n_samples >= 2.0 && n_samples.is_finite(), "view_seconds", "must be positive")?;
    let n_frames = recipe.frontend.n_frames(n_samples.round() as usize - 1);
    let message = format!("gives {n_frames} frames, network.n_frames is {}", config.n_frames);
    require(n_frames <= config.n_frames, "view_seconds", &message)?;
    for stage in &recipe.stages {
        let augment = stage.augment();
        if let Some(key) = augment.of_student_alone().or(stage.of_student_alone()) {
            return Err((key, "is for a student: SlowFast does not have it".to_owned()));
        }
        require(augment.mel_shift.fract() == 0.0, "mel_shift", "must be whole bands for SlowFast")?;
        require(stage.schedule == Schedule::Step, "schedule", "must be \"step\" for SlowFast")?;
        require(!stage.teacher || recipe.teacher.is_some(), "teacher", "needs a [teacher] table")?;
        let frozen = stage.frozen == Frozen::Backbone && stage.teacher;
        require(!frozen, "teacher", "a frozen backbone cannot learn from a teacher")?;
    }
    Ok(())
}

fn check_student(recipe: &Recipe, config: &StudentConfig) -> Checked {
    check_layers(recipe, config)?;
    check_outputs(recipe, config)?;
    require(recipe.average.is_empty(), "average", "is for SlowFast: a student has no fusion")?;
    for stage in &recipe.stages {
        let augment = stage.augment();
        if let Some(key) = stage.of_slowfast_alone().or(augment.of_slowfast_alone()) {
            return Err((key, "is for SlowFast: a student does not have it".to_owned()));
        }
        if let Some(key) = augment.of_clips_alone().filter(|_| stage.scenes.is_some()) {
            return Err((
                key,
                format!("stage {:?} is trained on scenes: use its [stage.scenes] table instead", stage.name),
            ));
        }
        require(augment.freq_mask <= recipe.frontend.n_mels, "freq_mask", "is wider than n_mels")?;
        require(augment.time_mask <= recipe.train.crop_frames, "time_mask", "is longer than crop_frames")?;
        require(augment.n_time_masks <= 1, "n_time_masks", "must be 0 or 1 for a student")?;
    }
    check_scenes(recipe, config.activation, recipe.train.crop_frames)?;
    if let Some(teacher) = &recipe.teacher {
        require((0.0..=1.0).contains(&teacher.online), "online", "must be from 0 to 1")?;
        let in_step = f64::from(mn04::SAMPLE_RATE) * recipe.frontend.hop_seconds() == mn04::HOP as f64;
        let message = "needs the front end in step with the teacher's: hop of 10 ms, mel_scale \"htk\", power 2";
        require(teacher.online == 0.0 || in_step && is_htk_power(recipe), "online", message)?;
    }
    if let Some(distill) = &recipe.distill {
        check_distill(recipe, distill)?;
    }
    let Some(quantize) = &recipe.quantize else { return Ok(()) };
    require((50.0..=100.0).contains(&quantize.percentile), "percentile", "must be from 50 to 100")?;
    require(quantize.calibration_batches >= 1, "calibration_batches", "must be at least 1")
}

fn check_head(recipe: &Recipe, config: &HeadConfig) -> Checked {
    config.shape().check().map_err(|message| ("network", message))?;
    require(config.hidden >= 1, "hidden", "must be at least 1")?;
    let patches = Patches::of(config);
    let message = format!("are too few: {} of them before the step of an output are trained on, too", Patches::HOP);
    require(patches.fits(), "patch_steps", &message)?;
    let own = ced::front_end();
    let like = FrontendConfig { mean: recipe.frontend.mean, std: recipe.frontend.std, ..own };
    require(recipe.frontend == like, "frontend", "must be CED-tiny's, mean and std aside: leave the table out")?;
    let hears = |stage: &Stage| stage.scenes.as_ref().is_some_and(|scenes| !scenes.shared);
    let one = recipe.stages.len() == 1 && recipe.stages.iter().all(hears);
    require(one, "stage", "a head on CED-tiny has one stage, which hears scenes of its own")?;
    require(recipe.teacher.is_none(), "teacher", "is for a student: CED-tiny needs none")?;
    require(recipe.distill.is_none(), "distill", "only a student is distilled: network.kind must be \"student\"")?;
    require(recipe.quantize.is_none(), "quantize", "only a student is quantized: network.kind must be \"student\"")?;
    check_scenes(recipe, Activation::Sigmoid, config.patch_steps * ced::PATCH)
}

fn check_scenes(recipe: &Recipe, activation: Activation, crop_frames: usize) -> Checked {
    if let Some(tagger) = &recipe.tagger {
        require(
            recipe.stages.iter().any(|stage| stage.scenes.is_some()),
            "tagger",
            "no stage has a [stage.scenes] table",
        )?;
        let weights = [tagger.embedding_weight, tagger.tags_weight];
        require(weights.iter().all(|w| *w >= 0.0 && w.is_finite()), "tagger", "weights must be 0 or more")?;
        for TaggerLabel { name, audioset, sounds_from, unsure_from } in &tagger.labels {
            require(!audioset.is_empty(), "label", &format!("{name:?}: `audioset` must name a class"))?;
            for class in audioset {
                let message = format!("{name:?}: AudioSet has no class {class:?}");
                require(class_index(class).is_some(), "label", &message)?;
            }
            let shares = sounds_from.iter().chain([unsure_from]);
            let message = format!("{name:?}: `sounds_from` and `unsure_from` must be from 0 to 1");
            require(shares.into_iter().all(|s| (0.0..=1.0).contains(s)), "label", &message)?;
        }
    }
    for (i, stage) in recipe.stages.iter().enumerate() {
        let Some(scenes) = &stage.scenes else { continue };
        let of = |message: &str| format!("stage {:?}: {message}", stage.name);
        require(recipe.tagger.is_some(), "scenes", &of("a stage on scenes needs a [tagger] table"))?;
        let message = of("network.activation must be \"sigmoid\": sounds overlap in scenes");
        require(activation == Activation::Sigmoid, "activation", &message)?;
        require(scenes.hours > 0.0 && scenes.hours.is_finite(), "hours", &of("must be positive"))?;
        let weighs = scenes.label_weight >= 0.0 && scenes.label_weight.is_finite();
        require(weighs, "label_weight", &of("must not be negative"))?;
        require(scenes.gain_db >= 0.0 && scenes.gain_db.is_finite(), "gain_db", &of("must not be negative"))?;
        require((0.0..=1.0).contains(&scenes.silent_start), "silent_start", &of("must be from 0 to 1"))?;
        require((0.0..=1.0).contains(&scenes.rehearse), "rehearse", &of("must be from 0 to 1"))?;
        let before = recipe.stages[..i].iter().find(|s| stage.init == Init::Stage(s.name.clone()));
        let has_scenes = before.is_some_and(|s| s.scenes.is_some());
        require(
            scenes.rehearse == 0.0 || has_scenes,
            "rehearse",
            &of("needs an `init` stage with a [stage.scenes] table"),
        )?;
        let alone = !scenes.shared || scenes.settings.events_a_minute.high == 0.0;
        require(alone, "shared", &of("events_a_minute must be 0: folds have other labelled clips"))?;
        let open = matches!(scenes.settings.unknown, Unknown::Seen | Unknown::Recorded);
        require(
            open,
            "unknown",
            &of("must be \"seen\" or \"recorded\": other generated sounds are reserved for tests"),
        )?;
        scenes.settings.check(recipe.frontend.sample_rate).map_err(|e| ("settings", of(&e.to_string())))?;
        let n_frames =
            recipe.frontend.n_frames((scenes.settings.seconds * f64::from(recipe.frontend.sample_rate)) as usize);
        let message = of(&format!("is {crop_frames}, a scene has {n_frames} frames"));
        require(crop_frames <= n_frames, "crop_frames", &message)?;
    }
    Ok(())
}

fn is_htk_power(recipe: &Recipe) -> bool {
    recipe.frontend.mel_scale == MelScale::Htk && recipe.frontend.power == Power::Power
}

fn check_distill(recipe: &Recipe, distill: &Distill) -> Checked {
    require((0.0..=1.0).contains(&distill.soft_weight), "soft_weight", "must be from 0 to 1")?;
    require(distill.temperature > 0.0, "temperature", "must be positive")?;
    let weights = distill.scores.iter().map(|s| s.weight).chain(distill.fused.iter().map(|f| f.weight));
    let mut weights = weights.chain(distill.fused.iter().map(|f| f.embedding_weight)).chain([distill.classifier]);
    require(weights.all(|w| w >= 0.0 && w.is_finite()), "distill", "weights must be 0 or more")?;
    require(distill.classifier == 0.0 || recipe.teacher.is_some(), "classifier", "needs a [teacher] table")?;
    let silent = distill.classifier == 0.0 && distill.scores.is_empty() && distill.fused.is_empty();
    require(!silent || distill.soft_weight == 0.0, "distill", "needs a classifier, `fused` models or `scores`")?;
    let labelled: Vec<&str> = recipe.data.iter().filter(|set| set.has_labels()).map(|set| set.name.as_str()).collect();
    let named = distill.scores.iter().map(|s| s.set.as_str());
    for set in named.chain(distill.fused.iter().filter_map(|f| f.set.as_deref())) {
        require(labelled.contains(&set), "set", &format!("{set:?} is no labelled data set of this recipe"))?;
    }
    for fused in &distill.fused {
        let clear = fused.set.is_some() || labelled.len() == 1;
        require(clear, "set", &format!("must be one of {labelled:?}: the recipe has several labelled data sets"))?;
        require((0.0..=1.0).contains(&fused.online), "online", "must be from 0 to 1")?;
        let crops = fused.hears == Hears::Crops;
        require(crops || fused.embedding_weight == 0.0, "embedding_weight", "needs hears = \"crops\"")?;
        require(
            !crops || is_htk_power(recipe),
            "hears",
            "\"crops\" needs a front end with mel_scale \"htk\" and power 2",
        )?;
    }
    let n_hearing = distill.fused.iter().filter(|f| f.hears == Hears::Crops).count();
    let mn04 = recipe.teacher.as_ref().is_some_and(|t| t.online > 0.0);
    require(
        n_hearing + usize::from(mn04) <= 1,
        "hears",
        "one teacher at most can hear the crops: \"segments\" is for others",
    )
}

fn check_outputs(recipe: &Recipe, config: &StudentConfig) -> Checked {
    let fits = config.activation != Activation::Posterior;
    require(fits, "activation", "must be \"softmax\" or \"sigmoid\" for a student")?;
    let energy = recipe.export.iter().any(|export| export.decision.min_energy.is_some());
    let fits = !energy || config.activation == Activation::Softmax;
    require(fits, "min_energy", "needs activation = \"softmax\"")?;
    let Some(ms) = config.lookahead_ms else { return Ok(()) };
    let n_field = config.described().field_samples(&recipe.frontend);
    let field_ms = n_field as f64 / f64::from(recipe.frontend.sample_rate) * 1e3;
    let within = (0.0..=field_ms).contains(&ms);
    require(within, "lookahead_ms", &format!("must be from 0 to {field_ms}, the receptive field"))
}

fn check_layers(recipe: &Recipe, config: &StudentConfig) -> Checked {
    let layers = &config.layers;
    require(!layers.is_empty(), "layers", "must not be empty")?;
    let mut n_f = recipe.frontend.n_mels;
    for (i, layer) in layers.iter().enumerate() {
        let sizes = [layer.channels, layer.kernel_t, layer.kernel_f, layer.dilation_t, layer.stride_t, layer.stride_f];
        require(sizes.iter().all(|&s| s >= 1), "layers", &format!("layer {}: sizes must be at least 1", i + 1))?;
        n_f = layer
            .out_f(n_f)
            .ok_or_else(|| ("layers", format!("layer {}: kernel_f does not fit {n_f} bands", i + 1)))?;
    }
    let hop_ms = recipe.frontend.hop_seconds() * 1e3;
    let pulse_frames = recipe.frontend.whole_frames(PULSE_MS).ok_or_else(|| {
        let message = format!("an answer is due every {PULSE_MS} ms: not a whole number of frames of {hop_ms} ms");
        ("hop_length", message)
    })?;
    let stride = config.pulse_frames();
    let message = format!(
        "product of stride_t is {stride}, must be {pulse_frames}: an answer every {PULSE_MS} ms at a hop of {hop_ms} ms"
    );
    require(stride == pulse_frames, "layers", &message)?;
    let field = config.receptive_field();
    let enough = recipe.train.crop_frames >= field;
    require(enough, "crop_frames", &format!("must be at least the receptive field of {field} frames"))
}

fn require(holds: bool, key: &'static str, message: &str) -> Checked {
    if holds { Ok(()) } else { Err((key, message.to_owned())) }
}

//! Ranges and relations of a recipe that types cannot express.

use super::{PULSE_MS, Recipe};
use crate::nets::teacher::mn04;
use edge_frontend::{MelScale, Power};

/// The key that offends, and how.
type Checked = std::result::Result<(), (&'static str, String)>;

/// Ranges and relations that types cannot express; names the offending key.
pub fn check(recipe: &Recipe) -> Checked {
    let ok_name = !recipe.name.is_empty() && recipe.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    require(ok_name, "name", "must be letters, digits, - and _")?;
    require(!recipe.data.is_empty() || recipe.procedural.is_some(), "data", "no data set and no procedural clips")?;
    for (i, set) in recipe.data.iter().enumerate() {
        require(
            recipe.data[..i].iter().all(|s| s.name != set.name),
            "name",
            &format!("data set {:?} is listed twice", set.name),
        )?;
        require(!set.negatives || recipe.background.is_some(), "negatives", "needs a `background` label")?;
    }
    recipe.frontend.validate().map_err(|e| ("frontend", e.to_string()))?;
    check_network(recipe)?;
    for name in recipe.procedural.iter().flat_map(|p| &p.negatives).flatten() {
        let sound: std::result::Result<sounds::Sound, _> = name.parse();
        let sound = sound.map_err(|e| ("negatives", e.to_string()))?;
        require(sound.label().is_none(), "negatives", &format!("{name:?} is a sound with a label"))?;
        require(!sound.is_reserved(), "negatives", &format!("{name:?} is reserved for tests"))?;
    }
    let augment = &recipe.augment;
    for (key, share) in [
        ("surround", augment.surround),
        ("mixup", augment.mixup),
        ("noise", augment.noise),
        ("negatives", augment.negatives),
    ] {
        require((0.0..=1.0).contains(&share), key, "must be from 0 to 1")?;
    }
    require(augment.mixup == 0.0 || augment.mixup_alpha > 0.0, "mixup_alpha", "must be positive")?;
    require(augment.noise_snr_db[0] <= augment.noise_snr_db[1], "noise_snr_db", "must be [lowest, highest]")?;
    require(augment.freq_mask <= recipe.frontend.n_mels, "freq_mask", "is wider than n_mels")?;
    require(augment.time_mask <= recipe.train.crop_frames, "time_mask", "is longer than crop_frames")?;
    check_teachers(recipe)?;
    let optim = &recipe.optim;
    require(optim.lr > 0.0 && optim.lr.is_finite(), "lr", "must be positive")?;
    require((0.0..1.0).contains(&optim.label_smoothing), "label_smoothing", "must be from 0 to below 1")?;
    require((0.0..1.0).contains(&optim.ema), "ema", "must be from 0 to below 1")?;
    require(optim.cycles >= 1, "cycles", "must be at least 1")?;
    require(recipe.train.batch >= 2, "batch", "must be at least 2")?;
    require(recipe.train.epochs >= 1, "epochs", "must be at least 1")?;
    require(recipe.train.save_every >= 1, "save_every", "must be at least 1")
}

fn check_teachers(recipe: &Recipe) -> Checked {
    if let Some(teacher) = &recipe.teacher {
        require((0.0..=1.0).contains(&teacher.online), "online", "must be from 0 to 1")?;
        let frontend = &recipe.frontend;
        let in_step = f64::from(mn04::SAMPLE_RATE) * frontend.hop_seconds() == mn04::HOP as f64;
        let alike = frontend.mel_scale == MelScale::Htk && frontend.power == Power::Power && in_step;
        let message = "needs the front end in step with the teacher's: hop of 10 ms, mel_scale \"htk\", power 2";
        require(teacher.online == 0.0 || alike, "online", message)?;
    }
    if let Some(distill) = &recipe.distill {
        require((0.0..=1.0).contains(&distill.soft_weight), "soft_weight", "must be from 0 to 1")?;
        require(distill.temperature > 0.0, "temperature", "must be positive")?;
        let mut weights = [distill.classifier].into_iter().chain(distill.scores.iter().map(|s| s.weight));
        require(weights.all(|w| w >= 0.0 && w.is_finite()), "distill", "weights must be 0 or more")?;
        let needs_teacher = distill.soft_weight > 0.0 && distill.scores.is_empty();
        require(!needs_teacher || recipe.teacher.is_some(), "distill", "needs a [teacher] table or `scores`")?;
        for file in &distill.scores {
            let known = recipe.data.iter().any(|set| set.name == file.set && !set.negatives);
            require(known, "set", &format!("{:?} is no labelled data set of this recipe", file.set))?;
        }
    }
    let Some(quantize) = &recipe.quantize else { return Ok(()) };
    require((50.0..=100.0).contains(&quantize.percentile), "percentile", "must be from 50 to 100")?;
    require(quantize.calibration_batches >= 1, "calibration_batches", "must be at least 1")
}

fn check_network(recipe: &Recipe) -> Checked {
    let layers = &recipe.network.layers;
    require(!layers.is_empty(), "layers", "must not be empty")?;
    require((0.0..1.0).contains(&recipe.network.dropout), "dropout", "must be from 0 to below 1")?;
    let mut n_f = recipe.frontend.n_mels;
    for (i, layer) in layers.iter().enumerate() {
        let sizes = [layer.channels, layer.kernel_t, layer.kernel_f, layer.stride_t, layer.stride_f];
        require(sizes.iter().all(|&s| s >= 1), "layers", &format!("layer {}: sizes must be at least 1", i + 1))?;
        n_f = layer
            .out_f(n_f)
            .ok_or_else(|| ("layers", format!("layer {}: kernel_f does not fit {n_f} bands", i + 1)))?;
    }
    let hop_ms = recipe.frontend.hop_seconds() * 1e3;
    let pulse_frames = recipe.frontend.whole_frames(PULSE_MS).ok_or_else(|| {
        (
            "hop_length",
            format!("an answer is due every {PULSE_MS} ms, which is no whole number of frames of {hop_ms} ms"),
        )
    })?;
    let stride = recipe.network.pulse_frames();
    let message = format!(
        "product of stride_t is {stride}, must be {pulse_frames}: an answer every {PULSE_MS} ms at a hop of {hop_ms} ms"
    );
    require(stride == pulse_frames, "layers", &message)?;
    let field = crate::nets::student::receptive_field(layers);
    let enough = recipe.train.crop_frames >= field;
    require(enough, "crop_frames", &format!("must be at least the receptive field of {field} frames"))
}

fn require(holds: bool, key: &'static str, message: &str) -> Checked {
    if holds { Ok(()) } else { Err((key, message.to_owned())) }
}

/// First line on which `key` is assigned or opens a table, counting from 1.
pub fn line_of(text: &str, key: &str) -> Option<usize> {
    let found = text.lines().position(|line| {
        let line = line.trim_start().trim_start_matches('[');
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
    });
    found.map(|i| i + 1)
}

//! Ranges and relations of a staged recipe that types cannot express.

use super::{Augment, Frozen, Init, Stage, StagedRecipe};

/// The key that offends, and how.
type Checked = std::result::Result<(), (&'static str, String)>;

pub(super) fn check(recipe: &StagedRecipe) -> Checked {
    let ok_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            && !["average", "fused"].contains(&name)
    };
    require(ok_name(&recipe.name), "name", "must be letters, digits, - and _")?;
    recipe.frontend.validate().map_err(|e| ("frontend", e.to_string()))?;
    recipe.network.check()?;
    let (expected, actual) = (recipe.frontend.n_mels, recipe.network.n_mels);
    require(expected == actual, "n_mels", &format!("the front end has {expected}, the network {actual}"))?;
    let train = &recipe.train;
    require(train.views >= 1, "views", "must be at least 1")?;
    require(train.train_views.is_none_or(|n| n >= 1), "train_views", "must be at least 1")?;
    require(train.save_every >= 1, "save_every", "must be at least 1")?;
    require((0.0..1.0).contains(&train.momentum), "momentum", "must be from 0 to below 1")?;
    require(train.weight_decay >= 0.0, "weight_decay", "must not be negative")?;
    let n_samples = train.view_seconds * f64::from(recipe.frontend.sample_rate);
    require(n_samples >= 2.0 && n_samples.is_finite(), "view_seconds", "must be positive")?;
    let n_frames = recipe.frontend.n_frames(n_samples.round() as usize - 1);
    let message = format!("gives {n_frames} frames, network.n_frames is {}", recipe.network.n_frames);
    require(n_frames <= recipe.network.n_frames, "view_seconds", &message)?;
    require(!recipe.stages.is_empty(), "stage", "there is none")?;
    for (i, stage) in recipe.stages.iter().enumerate() {
        require(
            ok_name(&stage.name),
            "name",
            "must be letters, digits, - and _, and neither \"average\" nor \"fused\"",
        )?;
        let earlier = &recipe.stages[..i];
        let twice = format!("stage {:?} is there twice", stage.name);
        require(earlier.iter().all(|s| s.name != stage.name), "name", &twice)?;
        if let Init::Stage(name) = &stage.init {
            let known = earlier.iter().any(|s| s.name == *name);
            require(known, "init", &format!("stage {name:?} is not in front of stage {:?}", stage.name))?;
        }
        check_stage(stage)?;
        require(!stage.teacher || recipe.teacher.is_some(), "teacher", "needs a [teacher] table")?;
        let frozen = stage.frozen == Frozen::Backbone && stage.teacher;
        require(!frozen, "teacher", "a frozen backbone cannot learn from a teacher")?;
    }
    for name in &recipe.average {
        let known = recipe.stages.iter().any(|s| s.name == *name);
        require(known, "average", &format!("stage {name:?} does not exist"))?;
    }
    Ok(())
}

fn check_stage(stage: &Stage) -> Checked {
    require(stage.epochs >= 1, "epochs", "must be at least 1")?;
    require(stage.coarse_epochs <= stage.epochs, "coarse_epochs", "are more than epochs")?;
    require(stage.lr > 0.0 && stage.lr.is_finite(), "lr", "must be positive")?;
    require(stage.batch >= 2, "batch", "must be at least 2")?;
    require((0.0..1.0).contains(&stage.dropout), "dropout", "must be from 0 to below 1")?;
    require((0.0..1.0).contains(&stage.drop_path), "drop_path", "must be from 0 to below 1")?;
    require(stage.weight >= 0.0 && stage.weight.is_finite(), "weight", "must not be negative")?;
    require(stage.weight_decay.is_none_or(|d| d >= 0.0), "weight_decay", "must not be negative")?;
    let ordered = stage.steps.first() == Some(&0.0) && stage.steps.is_sorted();
    require(ordered, "steps", "must begin with 0 and rise")?;
    require(stage.factors.len() == stage.steps.len(), "factors", "must be as many as steps")?;
    require(stage.factors.iter().all(|&f| f > 0.0), "factors", "must be positive")?;
    let loss = &stage.loss;
    require((0.0..1.0).contains(&loss.smoothing), "smoothing", "must be from 0 to below 1")?;
    require(loss.gamma >= 0.0 && loss.gamma.is_finite(), "gamma", "must not be negative")?;
    let Some(augment) = &stage.augment else { return Ok(()) };
    check_augment(augment)
}

fn check_augment(augment: &Augment) -> Checked {
    let Augment { mixup, mixup_alpha, cutmix, cutmix_alpha, .. } = *augment;
    for (key, share) in [("mixup", mixup), ("cutmix", cutmix), ("mixup", mixup + cutmix)] {
        require((0.0..=1.0).contains(&share), key, "must be from 0 to 1, with cutmix in all")?;
    }
    require(mixup == 0.0 || mixup_alpha > 0.0, "mixup_alpha", "must be positive")?;
    require(cutmix == 0.0 || cutmix_alpha > 0.0, "cutmix_alpha", "must be positive")
}

fn require(holds: bool, key: &'static str, message: &str) -> Checked {
    if holds { Ok(()) } else { Err((key, message.to_owned())) }
}

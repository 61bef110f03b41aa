//! What is done to training views, on the device.
//!
//! Enters: log-mel views `(B, T, n_mels)`, normalised, targets `(B, C)` and, with a teacher, its
//! embeddings. Leaves: the same, changed. What is random is drawn on the CPU from one generator, so
//! that a resumed training draws the same.

use crate::common::random::{Rng, beta, uniform};
use crate::error::Result;
use crate::train::recipe::Augment;
use edge_frontend::{FrontendConfig, Power};
use rand::Rng as _;
use rand::seq::SliceRandom;
use tch::{Kind, Tensor};

/// Points of the random equaliser's curve.
const N_EQ_POINTS: usize = 6;

/// A batch on the device.
#[derive(Debug)]
pub struct Batch {
    /// `(B, T, n_mels)`, normalised.
    pub views: Tensor,
    /// `(B, C)`, rows sum to 1.
    pub targets: Tensor,
    /// `(B, width)`, the teacher's embeddings.
    pub teacher: Option<Tensor>,
}

/// Changes a training batch as `settings` say: gain, mixing, then SpecAugment.
///
/// # Errors
///
/// If libtorch reports one.
pub fn augment(batch: Batch, settings: &Augment, frontend: &FrontendConfig, rng: &mut Rng) -> Result<Batch> {
    let mut batch = batch;
    if settings.gain_db > 0.0 || settings.eq_db > 0.0 {
        batch.views = gain(&batch.views, settings, frontend, rng)?;
    }
    if settings.mel_shift > 0.0 {
        batch.views = shift(&batch.views, settings.mel_shift as usize, rng)?;
    }
    let choice = rng.random::<f32>();
    if choice < settings.mixup {
        let weight = beta(rng, settings.mixup_alpha);
        let weight = f64::from(weight.max(1.0 - weight));
        let partners = partners(&batch.views, rng)?;
        let other = batch.views.f_index_select(0, &partners)?;
        batch.views = mix_sounds(&batch.views, &other, weight, frontend)?;
        batch = mix_targets(batch, &partners, weight)?;
    } else if choice < settings.mixup + settings.cutmix {
        let partners = partners(&batch.views, rng)?;
        let (views, weight) = cut_and_mix(&batch.views, &partners, beta(rng, settings.cutmix_alpha), rng)?;
        batch.views = views;
        batch = mix_targets(batch, &partners, weight)?;
    }
    if settings.time_warp > 0 {
        batch.views = warp(&batch.views, settings.time_warp, rng)?;
    }
    batch.views = mask(&batch.views, settings, rng)?;
    Ok(batch)
}

/// Log-mel values without the front end's normalisation.
fn raw(views: &Tensor, frontend: &FrontendConfig) -> Result<Tensor> {
    Ok(views.f_mul_scalar(f64::from(frontend.std))?.f_add_scalar(f64::from(frontend.mean))?)
}

fn normalised(raw: &Tensor, frontend: &FrontendConfig) -> Result<Tensor> {
    Ok(raw.f_sub_scalar(f64::from(frontend.mean))?.f_div_scalar(f64::from(frontend.std))?)
}

/// Louder or softer, and each band a little more or less so, view by view, as if the samples had
/// been. The curve over the bands is a broken line through random points.
fn gain(views: &Tensor, settings: &Augment, frontend: &FrontendConfig, rng: &mut Rng) -> Result<Tensor> {
    let per_decade = if frontend.power == Power::Magnitude { 20.0 } else { 10.0 };
    let (n_batch, n_mels) = (views.size()[0], views.size()[2]);
    let mut gains = Vec::with_capacity((n_batch * n_mels) as usize);
    for _ in 0..n_batch {
        let overall = uniform(rng, -settings.gain_db, settings.gain_db);
        let points: [f32; N_EQ_POINTS] = std::array::from_fn(|_| uniform(rng, -settings.eq_db, settings.eq_db));
        gains.extend((0..n_mels).map(|band| {
            let at = band as f32 / (n_mels - 1).max(1) as f32 * (N_EQ_POINTS - 1) as f32;
            let below = (at as usize).min(N_EQ_POINTS - 2);
            let share = at - below as f32;
            let db = overall + points[below] * (1.0 - share) + points[below + 1] * share;
            10f32.powf(db / per_decade)
        }));
    }
    let gains = Tensor::f_from_slice(&gains)?.f_view([n_batch, 1, n_mels])?.f_to_device(views.device())?;
    let offset = frontend.log_offset;
    let values = raw(views, frontend)?.f_exp()?.f_sub_scalar(offset)?.f_clamp_min(0.0)?;
    normalised(&values.f_mul(&gains)?.f_add_scalar(offset)?.f_log()?, frontend)
}

/// Moved up or down by whole bands, view by view; the outermost band is repeated.
fn shift(views: &Tensor, most: usize, rng: &mut Rng) -> Result<Tensor> {
    let (n_batch, n_mels) = (views.size()[0], views.size()[2]);
    let most = most as i64;
    let mut bands = Vec::with_capacity((n_batch * n_mels) as usize);
    for _ in 0..n_batch {
        let by = i64::from(rng.random_range(0..=2 * most as u32)) - most;
        bands.extend((0..n_mels).map(|band| (band + by).clamp(0, n_mels - 1)));
    }
    let bands = Tensor::f_from_slice(&bands)?.f_view([n_batch, 1, n_mels])?.f_to_device(views.device())?;
    Ok(views.f_gather(2, &bands.f_expand_as(views)?, false)?)
}

/// Another item for each of a batch.
fn partners(views: &Tensor, rng: &mut Rng) -> Result<Tensor> {
    let mut order: Vec<i64> = (0..views.size()[0]).collect();
    order.shuffle(rng);
    Ok(Tensor::f_from_slice(&order)?.f_to_device(views.device())?)
}

/// Mixup (Zhang et al. 2018), of mel magnitudes rather than their logarithms: so sounds add up in
/// the air.
fn mix_sounds(own: &Tensor, other: &Tensor, weight: f64, frontend: &FrontendConfig) -> Result<Tensor> {
    let own = raw(own, frontend)?.f_exp()?.f_mul_scalar(weight)?;
    let other = raw(other, frontend)?.f_exp()?.f_mul_scalar(1.0 - weight)?;
    normalised(&own.f_add(&other)?.f_log()?, frontend)
}

/// CutMix (Yun et al. 2019): a rectangle of another view. Leaves the views and the share that is
/// their own.
fn cut_and_mix(views: &Tensor, partners: &Tensor, share: f32, rng: &mut Rng) -> Result<(Tensor, f64)> {
    let size = views.size();
    let side = (1.0 - share).max(0.0).sqrt();
    let mut span = |n: i64| {
        let length = ((n as f32 * side) as i64).clamp(0, n);
        (rng.random_range(0..=(n - length) as u64) as i64, length)
    };
    let ((t, n_t), (f, n_f)) = (span(size[1]), span(size[2]));
    let mixed = views.f_detach_copy()?;
    let rectangle = |x: &Tensor| Ok::<_, crate::Error>(x.f_narrow(1, t, n_t)?.f_narrow(2, f, n_f)?);
    rectangle(&mixed)?.f_copy_(&rectangle(&views.f_index_select(0, partners)?)?)?;
    Ok((mixed, 1.0 - (n_t * n_f) as f64 / (size[1] * size[2]) as f64))
}

fn mix_targets(batch: Batch, partners: &Tensor, weight: f64) -> Result<Batch> {
    let mix = |x: &Tensor| {
        let other = x.f_index_select(0, partners)?.f_mul_scalar(1.0 - weight)?;
        Ok::<_, crate::Error>(x.f_mul_scalar(weight)?.f_add(&other)?)
    };
    let teacher = batch.teacher.as_ref().map(mix).transpose()?;
    Ok(Batch { targets: mix(&batch.targets)?, teacher, views: batch.views })
}

/// SpecAugment's time warp (Park et al. 2019, section 2): a point in time is moved by up to `most`
/// frames, and the frames on both sides are stretched or squeezed along with it, by linear
/// interpolation.
fn warp(views: &Tensor, most: usize, rng: &mut Rng) -> Result<Tensor> {
    let size = views.size();
    let (n_batch, n_frames) = (size[0] as usize, size[1] as usize);
    let most = most.min(n_frames.saturating_sub(3) / 2);
    if most == 0 {
        return Ok(views.shallow_clone());
    }
    let (mut lower, mut share) = (Vec::new(), Vec::new());
    for _ in 0..n_batch {
        let from = rng.random_range(most as u32 + 1..=(n_frames - 2 - most) as u32) as f32;
        let to = from + uniform(rng, -(most as f32), most as f32);
        for t in 0..n_frames {
            let at = warped(t as f32, from, to, (n_frames - 1) as f32);
            let whole = (at.floor() as i64).clamp(0, n_frames as i64 - 2);
            lower.push(whole);
            share.push((at - whole as f32).clamp(0.0, 1.0));
        }
    }
    let shape = [size[0], size[1], 1];
    let lower = Tensor::f_from_slice(&lower)?.f_view(shape)?.f_to_device(views.device())?.f_expand_as(views)?;
    let share = Tensor::f_from_slice(&share)?.f_view(shape)?.f_to_device(views.device())?;
    let (a, b) = (views.f_gather(1, &lower, false)?, views.f_gather(1, &lower.f_add_scalar(1)?, false)?);
    Ok(a.f_add(&b.f_sub(&a)?.f_mul(&share)?)?)
}

/// Where in the original the warped time `t` lies, if `from` was moved to `to` and the ends 0 and
/// `last` stay.
fn warped(t: f32, from: f32, to: f32, last: f32) -> f32 {
    if t <= to { t * from / to } else { from + (t - to) * (last - from) / (last - to) }
}

/// SpecAugment's masks, filled with the view's mean.
fn mask(views: &Tensor, settings: &Augment, rng: &mut Rng) -> Result<Tensor> {
    let size = views.size();
    let mut masks = |n: i64, n_masks: usize, longest: usize| {
        let mut keep = vec![1.0f32; (size[0] * n) as usize];
        for row in keep.chunks_exact_mut(n as usize) {
            for _ in 0..n_masks {
                let length = rng.random_range(0..=longest.min(n as usize) as u32) as usize;
                let start = rng.random_range(0..=(n as usize - length) as u32) as usize;
                row[start..start + length].fill(0.0);
            }
        }
        keep
    };
    let device = views.device();
    let time = masks(size[1], settings.n_time_masks, settings.time_mask);
    let frequency = masks(size[2], settings.n_freq_masks, settings.freq_mask);
    let time = Tensor::f_from_slice(&time)?.f_view([size[0], size[1], 1])?.f_to_device(device)?;
    let frequency = Tensor::f_from_slice(&frequency)?.f_view([size[0], 1, size[2]])?.f_to_device(device)?;
    let mean = views.f_mean_dim([1i64, 2].as_slice(), true, Kind::Float)?;
    Ok(views.f_sub(&mean)?.f_mul(&time)?.f_mul(&frequency)?.f_add(&mean)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::random::{Purpose, rng_for};
    use crate::nets::slowfast::fused::min_max;
    use tch::Device;

    fn off() -> Augment {
        Augment::default()
    }

    fn batch() -> Batch {
        tch::manual_seed(1);
        let targets = Tensor::eye(4, (Kind::Float, Device::Cpu));
        Batch { views: Tensor::randn([4, 40, 16], (Kind::Float, Device::Cpu)), targets, teacher: None }
    }

    fn run(settings: &Augment) -> Batch {
        augment(batch(), settings, &FrontendConfig::epic_sounds(), &mut rng_for(3, Purpose::Mix, 0)).unwrap()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn nothing_happens_when_all_is_off() {
        assert!(largest_difference(&run(&off()).views, &batch().views) < 1e-6);
    }

    #[test]
    fn masks_write_the_mean_over_whole_frames_and_bands() {
        let settings = Augment { n_freq_masks: 1, freq_mask: 6, n_time_masks: 1, time_mask: 20, ..off() };
        let (masked, plain) = (run(&settings).views, batch().views);
        let mut n_masked = 0;
        for item in 0..4 {
            let mean = plain.get(item).mean(Kind::Float).double_value(&[]);
            let is_mean = (masked.get(item) - mean).abs().lt(1e-5);
            let kept = (masked.get(item) - plain.get(item)).abs().lt(1e-5);
            assert_eq!(is_mean.logical_or(&kept).all().int64_value(&[]), 1, "item {item}");
            n_masked += is_mean.sum(Kind::Int64).int64_value(&[]);
            let rows: i64 = (0..40).map(|t| is_mean.get(t).all().int64_value(&[])).sum();
            assert!(rows <= 20);
        }
        assert!(n_masked > 0);
    }

    #[test]
    fn the_warp_moves_one_point_and_keeps_the_ends() {
        assert_eq!(warped(0.0, 10.0, 14.0, 39.0), 0.0);
        assert_eq!(warped(14.0, 10.0, 14.0, 39.0), 10.0);
        assert_eq!(warped(39.0, 10.0, 14.0, 39.0), 39.0);
        // A ramp in time becomes the warp function itself: monotonous, ends fixed.
        let ramp = Tensor::arange(40, (Kind::Float, Device::Cpu)).view([1, 40, 1]).expand([4, 40, 2], false);
        let warped = warp(&ramp, 5, &mut rng_for(3, Purpose::Mix, 1)).unwrap();
        for item in 0..4 {
            let row = Vec::<f32>::try_from(warped.get(item).select(1, 0).contiguous()).unwrap();
            assert!(row.is_sorted() && row[0] == 0.0 && (row[39] - 39.0).abs() < 1e-4, "{row:?}");
            assert!(row.iter().enumerate().all(|(t, v)| (v - t as f32).abs() <= 5.001));
            assert!(row.iter().enumerate().any(|(t, v)| (v - t as f32).abs() > 0.1));
        }
    }

    #[test]
    fn mixing_mixes_targets_by_the_share_of_sound() {
        let mixed = run(&Augment { mixup: 1.0, ..off() });
        let sums = mixed.targets.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        assert!(largest_difference(&sums, &Tensor::ones([4], (Kind::Float, Device::Cpu))) < 1e-6);
        assert!(largest_difference(&mixed.views, &batch().views) > 0.01);

        let cut = run(&Augment { cutmix: 1.0, ..off() });
        let same = (&cut.views - &batch().views).abs().lt(1e-6).to_kind(Kind::Float);
        for item in 0..4 {
            let own = cut.targets.double_value(&[item, item]);
            let share = same.get(item).mean(Kind::Float).double_value(&[]);
            assert!((own - share).abs() < 1e-5 || own > 0.999, "item {item}: target {own}, own {share}");
        }
    }

    #[test]
    fn gain_is_that_of_the_samples() {
        let frontend = FrontendConfig::epic_sounds();
        let tone: Vec<f32> = (0..24_000).map(|i| (i as f32 * 0.3).sin() * 0.1).collect();
        let louder: Vec<f32> = tone.iter().map(|s| s * 2.0).collect();
        let views = |samples: &[f32]| {
            let frames = edge_frontend::log_mel(&frontend, samples).unwrap();
            Tensor::from_slice(&frames).view([1, -1, 128])
        };
        let mut rng = rng_for(3, Purpose::Mix, 2);
        let drawn = uniform(&mut rng.clone(), -6.0, 6.0);
        let settings = Augment { gain_db: 6.0, ..off() };
        let actual = gain(&views(&tone), &settings, &frontend, &mut rng).unwrap();
        let scaled: Vec<f32> = louder.iter().map(|s| s / 2.0 * 10f32.powf(drawn / 20.0)).collect();
        // Where there is sound; elsewhere is the rounding of the Fourier transform.
        let expected = views(&scaled);
        let sound = expected.gt(-5.0).to_kind(Kind::Float);
        assert!(sound.sum(Kind::Float).double_value(&[]) > 500.0);
        assert!(largest_difference(&(actual * &sound), &(expected * &sound)) < 5e-3);
    }

    #[test]
    fn bands_are_moved_and_the_outermost_repeated() {
        let ramp = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 16]).expand([6, 3, 16], false);
        let moved = shift(&ramp, 4, &mut rng_for(3, Purpose::Mix, 3)).unwrap();
        let mut shifts = Vec::new();
        for item in 0..6 {
            let row = Vec::<f32>::try_from(moved.get(item).get(2).contiguous()).unwrap();
            let by = row[8] - 8.0;
            assert!(by.abs() <= 4.0);
            assert!(row.iter().enumerate().all(|(i, v)| *v == (i as f32 + by).clamp(0.0, 15.0)), "{row:?}");
            shifts.push(by as i32);
        }
        shifts.sort_unstable();
        shifts.dedup();
        assert!(shifts.len() > 1);
    }

    #[test]
    fn min_max_fills_the_unit_interval() {
        let scaled = min_max(&batch().views).unwrap();
        assert_eq!((scaled.min().double_value(&[]), scaled.max().double_value(&[])), (0.0, 1.0));
        let constant = Tensor::ones([1, 4, 4], (Kind::Float, Device::Cpu));
        assert_eq!(min_max(&constant).unwrap().max().double_value(&[]), 0.0);
    }
}

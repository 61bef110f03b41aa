//! What every generator and scene promises: the same sound for the same seed, within range, audible
//! where the truth says.
#![allow(clippy::unwrap_used)]

use std::fs;

use sounds::{Scene, Sound, demo_scene, demo_scene_at, render};

const RATE: u32 = 24_000;

/// FNV-1a over the bits of all samples.
fn hash(samples: &[f32]) -> u64 {
    samples
        .iter()
        .flat_map(|x| x.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn rms(samples: &[f32]) -> f64 {
    let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (energy / samples.len() as f64).sqrt()
}

/// Zero crossings: they tell dark from bright.
fn crossings_per_second(samples: &[f32]) -> usize {
    samples.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count() * RATE as usize / samples.len()
}

#[test]
fn a_seed_names_one_sound() {
    for &sound in Sound::all() {
        let first = hash(&render(sound, RATE, 1.5, 3));
        assert_eq!(first, hash(&render(sound, RATE, 1.5, 3)), "{sound}");
        assert_ne!(first, hash(&render(sound, RATE, 1.5, 4)), "{sound}");
    }
}

/// Taken on x86-64; a platform where this fails does not compute what the documentation promises. A
/// change to a generator changes these constants.
#[test]
fn a_seed_names_the_same_bits_on_every_platform() {
    let hashes =
        [Sound::Cutlery, Sound::WaterFlowing, Sound::CryingBaby].map(|sound| hash(&render(sound, RATE, 2.0, 1)));
    assert_eq!(hashes.map(|hash| format!("{hash:016x}")), ["e6abcdd4a2f89501", "3310d56613666db7", "14373acddfaea408"]);
}

#[test]
fn samples_are_finite_and_in_range_at_every_rate() {
    for &sound in Sound::all() {
        for (rate, seconds) in [(8000, 1.0), (16_000, 2.0), (RATE, 4.0), (48_000, 1.0), (44_100, 0.01)] {
            for seed in 0..3 {
                let samples = render(sound, rate, seconds, seed);
                assert_eq!(samples.len(), (seconds * rate as f32) as usize);
                assert!(samples.iter().all(|x| x.is_finite() && x.abs() <= 1.0), "{sound} at {rate} Hz, seed {seed}");
            }
        }
    }
    assert!(render(Sound::Rain, RATE, 0.0, 1).is_empty());
}

#[test]
fn every_sound_but_silence_is_audible() {
    for &sound in Sound::all() {
        for seed in 0..5 {
            let level_db = 20.0 * rms(&render(sound, RATE, 4.0, seed)).log10();
            let audible = (-75.0..-5.0).contains(&level_db);
            assert_eq!(audible, sound != Sound::Silence, "{sound}, seed {seed}: {level_db:.1} dBFS");
        }
    }
}

#[test]
fn the_training_labels_are_each_named_once() {
    let mut labels: Vec<&str> = Sound::all().iter().filter_map(|sound| sound.label()).collect();
    assert_eq!(labels.len(), 30);
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), 30);
    assert_eq!(Sound::CryingBaby.label(), Some("crying_baby"));
    assert_eq!(Sound::WaterFlowing.label(), Some("water-flowing"));
    assert_eq!(Sound::Footsteps.label(), None);
}

/// Median over seeds, so that one dull frying pan does not matter.
fn brightness(sound: Sound) -> usize {
    let mut counts: Vec<usize> = (0..9).map(|seed| crossings_per_second(&render(sound, RATE, 2.0, seed))).collect();
    counts.sort_unstable();
    counts[4]
}

#[test]
fn bright_sounds_are_brighter_than_dark_ones() {
    let bright = [Sound::FryingPan, Sound::WaterFlowing, Sound::CleanDishes].map(brightness);
    let dark =
        [Sound::Helicopter, Sound::Microwave, Sound::Dishwasher, Sound::BoilingWater, Sound::StoveFan].map(brightness);
    assert!(bright.iter().min() > dark.iter().max(), "{bright:?} {dark:?}");
}

/// Ratio of the loudest to the median 20 ms in dB: high for blows, low for steady sounds.
fn liveliness(sound: Sound) -> f64 {
    let mut ratios: Vec<f64> = (0..9)
        .map(|seed| {
            let mut levels: Vec<f64> = render(sound, RATE, 4.0, seed).chunks(480).map(rms).collect();
            levels.sort_by(f64::total_cmp);
            20.0 * (levels[levels.len() - 1] / levels[levels.len() / 2].max(1e-5)).log10()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[4]
}

#[test]
fn blows_stand_out_and_steady_sounds_do_not() {
    let kitchen = [Sound::Chopping, Sound::Cutlery, Sound::Plates, Sound::ClockTick, Sound::Footsteps, Sound::Cupboard];
    for sound in kitchen.into_iter().chain([Sound::Door, Sound::SlidingDoor, Sound::Knocking]) {
        assert!(liveliness(sound) > 15.0, "{sound}: {:.1} dB", liveliness(sound));
    }
    for sound in [Sound::StoveFan, Sound::Rain, Sound::FryingPan, Sound::Vacuum, Sound::Microwave, Sound::Dishwasher]
        .into_iter()
        .chain([Sound::Hum, Sound::Chords, Sound::Draught])
    {
        assert!(liveliness(sound) < 12.0, "{sound}: {:.1} dB", liveliness(sound));
    }
}

/// Ratio of the arithmetic to the geometric mean of the powers at a semitone's distance, in dB: 0
/// for a flat spectrum.
fn tonality(sound: Sound) -> f64 {
    let mut ratios: Vec<f64> = (0..5)
        .map(|seed| {
            let samples = render(sound, RATE, 1.0, seed);
            let powers: Vec<f64> = (0..60)
                .map(|semitone| {
                    let step = std::f64::consts::TAU * 200.0 * 2_f64.powf(f64::from(semitone) / 12.0) / f64::from(RATE);
                    let (re, im) = samples.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, &x)| {
                        let (sin, cos) = (step * i as f64).sin_cos();
                        (re + f64::from(x) * cos, im + f64::from(x) * sin)
                    });
                    re * re + im * im
                })
                .collect();
            let mean = powers.iter().sum::<f64>() / 60.0;
            let log_mean = powers.iter().map(|power| power.ln()).sum::<f64>() / 60.0;
            10.0 * (mean.ln() - log_mean) / std::f64::consts::LN_10
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[2]
}

#[test]
fn music_and_signals_are_tonal_and_rustles_are_not() {
    for sound in [Sound::Chords, Sound::Whistle, Sound::Alarm, Sound::RingTone] {
        assert!(tonality(sound) > 9.0, "{sound}: {:.1} dB", tonality(sound));
    }
    for sound in [Sound::Paper, Sound::CarPassing, Sound::SlidingDoor] {
        assert!(tonality(sound) < 9.0, "{sound}: {:.1} dB", tonality(sound));
    }
}

#[test]
fn the_truth_of_a_scene_holds_its_energy() {
    for seed in 0..6 {
        let scene = demo_scene(seed);
        let at = |t: f64| ((t * f64::from(RATE)) as usize).min(scene.samples.len());
        let seconds = scene.samples.len() as f64 / f64::from(RATE);
        assert!((40.0..65.0).contains(&seconds), "{seconds}");
        assert_eq!(scene.truth.len(), 8);
        let mut silent_from = 0.0;
        for event in &scene.truth {
            assert!(event.onset_s >= silent_from + 1.0, "{event:?} after {silent_from}");
            assert!(event.offset_s - event.onset_s > 1.5, "{event:?}");
            let inside = rms(&scene.samples[at(event.onset_s)..at(event.offset_s)]);
            let before = rms(&scene.samples[at(event.onset_s - 0.9)..at(event.onset_s - 0.1)]);
            assert!(inside > 4.0 * before, "{event:?}: {inside} over {before}, seed {seed}");
            silent_from = event.offset_s;
        }
    }
}

#[test]
fn a_scene_has_the_same_plan_at_another_rate() {
    let (low, high) = (demo_scene(5), demo_scene_at(5, 48_000));
    let order = |scene: &Scene| scene.truth.iter().map(|event| event.label.clone()).collect::<Vec<_>>();
    assert_eq!(order(&low), order(&high));
    assert!((high.samples.len() as f64 / low.samples.len() as f64 - 2.0).abs() < 0.001);
}

#[test]
fn files_are_16_bit_wav_and_csv() {
    let folder = std::env::temp_dir().join(format!("sounds-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (wav, csv) = (folder.join("scene.wav"), folder.join("scene.csv"));
    let scene = Scene::single(Sound::Dog, RATE, 1.0, 2);
    scene.write(&wav, &csv).unwrap();
    let mut reader = hound::WavReader::open(&wav).unwrap();
    assert_eq!(reader.spec().bits_per_sample, 16);
    let read: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(read.len(), scene.samples.len());
    assert!(read.iter().zip(&scene.samples).all(|(&a, &b)| (f32::from(a) / 32_767.0 - b).abs() < 1e-4));
    let text = fs::read_to_string(&csv).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("onset_s,offset_s,label"));
    assert!(lines.next().unwrap().ends_with(",dog"));
    let missing = folder.join("missing").join("x.wav");
    assert!(scene.write_wav(&missing).unwrap_err().to_string().contains("x.wav"));
    fs::remove_dir_all(&folder).unwrap();
}

use super::*;
use rand::{Rng as _, SeedableRng};

/// Posteriors of a model that is right where `right` says so and sure by `margin`.
fn model(truth: &[usize], right: impl Fn(usize) -> bool, margin: f32) -> Vec<f32> {
    let row = |(row, &class): (usize, &usize)| {
        let taken = if right(row) { class } else { 1 - class };
        let mut out = [0.5 - margin; 2];
        out[taken] = 0.5 + margin;
        out
    };
    truth.iter().enumerate().flat_map(row).collect()
}

#[test]
fn complementary_models_are_better_together() {
    let truth: Vec<usize> = (0..60).map(|row| row % 2).collect();
    // Sure where right, unsure where wrong: any weights not too far from equal are right
    // everywhere.
    let first = model(&truth, |row| row < 40, 0.1);
    let mut second = model(&truth, |row| row >= 30, 0.1);
    second[60..].iter_mut().for_each(|p| *p = 0.5 + 3.0 * (*p - 0.5));
    let ensemble = Ensemble { sets: &[&first, &second], n_classes: 2, truth: &truth };
    let folds: Vec<usize> = (0..60).map(|row| row / 2 % 3).collect();
    let found = search(&ensemble, &[1.0, 0.0], &folds, None).unwrap();
    assert!((found.given.measures.top1 - 40.0 / 60.0).abs() < 1e-12);
    assert_eq!(found.found.measures.top1, 1.0);
    assert!((found.found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let held_out = found.held_out.unwrap();
    assert_eq!(held_out.folds.iter().map(|f| f.n).collect::<Vec<_>>(), [20, 20, 20]);
    let mean = held_out.folds.iter().map(|f| f.top1).sum::<f64>() / 3.0;
    assert!((held_out.measures.top1 - mean).abs() < 1e-12);
    assert_eq!(held_out.measures.top1, 1.0);
}

#[test]
fn equal_accuracy_is_decided_by_likelihood() {
    let truth = [0, 1, 0, 1];
    let (sure, unsure) = (model(&truth, |_| true, 0.4), model(&truth, |_| true, 0.1));
    let ensemble = Ensemble { sets: &[&unsure, &sure, &unsure], n_classes: 2, truth: &truth };
    assert_eq!(search_on(&ensemble, None).unwrap(), [0.0, 1.0, 0.0]);
}

fn random(seed: u64, n_sets: usize, n: usize, n_classes: usize) -> (Vec<Vec<f32>>, Vec<usize>) {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let truth: Vec<usize> = (0..n).map(|_| rng.random_range(0..n_classes)).collect();
    let mut set = || {
        let mut values: Vec<f32> = (0..n * n_classes).map(|_| rng.random::<f32>().powi(3)).collect();
        for (row, &class) in truth.iter().enumerate() {
            values[row * n_classes + class] += 0.3 * rng.random::<f32>();
        }
        values
    };
    ((0..n_sets).map(|_| set()).collect(), truth)
}

#[test]
fn found_weights_beat_a_grid_of_ours_and_the_given_ones() {
    for n_sets in 1..=6 {
        let (sets, truth) = random(n_sets as u64, n_sets, 150, 5);
        let sets: Vec<&[f32]> = sets.iter().map(Vec::as_slice).collect();
        let ensemble = Ensemble { sets: &sets, n_classes: 5, truth: &truth };
        let top1 = |weights: &[f64]| measure(&weighted_sum(&sets, weights).unwrap(), 5, &truth, None).unwrap().top1;
        // Off every step of the search.
        let given: Vec<f64> = (0..n_sets).map(|i| 0.3 + 0.071 * i as f64).collect();
        let found = search_on(&ensemble, Some(&given)).unwrap();
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found.iter().all(|&w| w >= 0.0));
        assert!(top1(&found) >= top1(&given), "{n_sets} sets");
        for set in 0..n_sets {
            let alone: Vec<f64> = (0..n_sets).map(|i| f64::from(i == set)).collect();
            assert!(top1(&found) >= top1(&alone), "{n_sets} sets");
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| search_on(&ensemble, Some(&given)).unwrap()), found, "threads do not matter");
    }
}

#[test]
fn redacted_rows_do_not_count() {
    let (mut sets, mut truth) = random(9, 2, 80, 4);
    let (before, before_truth) = (sets.clone(), truth.clone());
    for set in &mut sets {
        set.extend([0.9, 0.05, 0.05, 0.0].repeat(20));
    }
    truth.extend([3; 20]);
    truth.iter_mut().take(80).filter(|class| **class == 3).for_each(|class| *class = 0);
    let before_truth: Vec<usize> = before_truth.iter().map(|&c| if c == 3 { 0 } else { c }).collect();
    let with = |sets: &[Vec<f32>], truth: &[usize], redact| {
        let sets: Vec<&[f32]> = sets.iter().map(Vec::as_slice).collect();
        let folds: Vec<usize> = (0..truth.len()).map(|row| row % 4).collect();
        search(&Ensemble { sets: &sets, n_classes: 4, truth }, &[0.5, 0.5], &folds, redact).unwrap()
    };
    let mut redacted = with(&sets, &truth, Some(3));
    assert_eq!(redacted.found.measures.n_redacted, 20);
    let plain = with(&before, &before_truth, None);
    assert_eq!(redacted.held_out.as_ref().unwrap().folds, plain.held_out.unwrap().folds);
    redacted.found.measures.n_redacted = 0;
    assert_eq!(redacted.found, plain.found);
}

#[test]
fn folds_depend_on_ids_alone_and_are_even() {
    let ids: Vec<String> = (0..5000).map(|i| format!("P01_11_{i}")).collect();
    let folds = folds_of(&ids);
    assert_eq!(folds_of(&ids[7..8])[0], folds[7]);
    // sha256("abc") begins with ba7816bf 8f01cfea; by hand (Python): int(..., 16) % 5 = 4.
    assert_eq!(folds_of(&["abc".to_owned()]), [4]);
    for fold in 0..N_FOLDS {
        let n = folds.iter().filter(|&&f| f == fold).count();
        assert!((900..1100).contains(&n), "fold {fold}: {n}");
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let message = |sets: &[&[f32]], truth: &[usize]| {
        search_on(&Ensemble { sets, n_classes: 2, truth }, None).unwrap_err().to_string()
    };
    assert!(message(&[], &[0]).contains("0 models"));
    assert!(message(&[&[]], &[]).contains("0 rows"));
    assert!(message(&[&[0.5, 0.5], &[0.5]], &[0]).contains("model 1: 1 scores"));
    assert!(message(&[&[0.5, -0.5]], &[0]).contains("model 0, row 0: score -0.5 of class 1 is not a posterior"));
    assert!(message(&[&[0.5, f32::NAN]], &[0]).contains("is not a posterior"));
    assert!(message(&[&[0.5, 0.5]], &[2]).contains("class 2 of 2"));
    let ensemble = Ensemble { sets: &[&[0.5, 0.5]], n_classes: 2, truth: &[0] };
    assert!(search_on(&ensemble, Some(&[0.5, 0.5])).is_err());
    assert!(search(&ensemble, &[1.0], &[], None).is_err());
    assert!(search(&ensemble, &[1.0], &[0], Some(0)).unwrap_err().to_string().contains("no rows"));
    assert_eq!(search(&ensemble, &[1.0], &[0], None).unwrap().held_out, None);
}

#[test]
fn right_comes_before_likely() {
    let outcome = |n_right, nll| Outcome { n_right, nll };
    assert!(outcome(2, 9.0).beats(&outcome(1, 1.0)));
    assert!(outcome(2, 1.0).beats(&outcome(2, 2.0)));
    assert!(!outcome(2, 1.0).beats(&outcome(2, 1.0)));
}

#[test]
fn many_weights_start_on_the_simplex() {
    for n in [5, 7, 50] {
        let points = starts(n);
        assert_eq!(points.len(), 1 + n * (n + 1) / 2);
        assert!(points.iter().all(|p| p.iter().sum::<u32>() == N_UNITS));
    }
}

/// A smooth hill at `peak`: nothing but likelihood.
fn hill(peak: &[f64]) -> impl Fn(&[f64]) -> Outcome {
    move |w| Outcome { n_right: 0, nll: w.iter().zip(peak).map(|(a, b)| (a - b).powi(2)).sum() }
}

#[test]
fn refinement_climbs_between_the_grid_points() {
    for peak in [vec![0.133, 0.4, 0.217, 0.25], vec![0.3, 0.7], vec![0.02, 0.31, 0.07, 0.4, 0.15, 0.05]] {
        let found = best(peak.len(), None, hill(&peak));
        assert!(found.iter().zip(&peak).all(|(a, b)| (a - b).abs() <= 1.0 / 640.0), "{found:?} {peak:?}");
    }
}

#[test]
fn given_weights_are_never_worse_than_found() {
    let peak = [0.123456, 0.876544];
    assert_eq!(best(2, Some(&peak), hill(&peak)), peak);
    let twice = [2.0 * peak[0], 2.0 * peak[1]];
    assert_eq!(best(2, Some(&twice), hill(&peak)), peak, "scaled to add up to 1");
}

//! The last frames of logits: frames enter one by one, posteriors of single frames and scores of
//! the whole window leave.

use edge_frontend::Activation;

use super::{Average, Rules};

/// A ring of the last `capacity` frames, addressed by their index since the start (or the last
/// [`clear`](Window::clear)).
#[derive(Debug)]
pub(super) struct Window {
    capacity: usize,
    n_classes: usize,
    activation: Activation,
    temperature: f32,
    /// Frames since the start; the newest one has the index `n_frames - 1`.
    n_frames: u64,
    /// `(capacity, n_classes)`, frame `i` in row `i % capacity`; so are the two below.
    logits: Vec<f32>,
    posteriors: Vec<f32>,
    t_slot_s: Vec<f64>,
}

impl Window {
    /// Holds `capacity` frames, at least 1.
    pub(super) fn new(rules: &Rules, capacity: usize) -> Self {
        Self::with(rules.activation, rules.temperature, rules.classes.len(), capacity)
    }

    fn with(activation: Activation, temperature: f32, n_classes: usize, capacity: usize) -> Self {
        Window {
            capacity,
            n_classes,
            activation,
            temperature,
            n_frames: 0,
            logits: vec![0.0; capacity * n_classes],
            posteriors: vec![0.0; capacity * n_classes],
            t_slot_s: vec![0.0; capacity],
        }
    }

    /// Takes a frame whose slot starts at `t_slot_s`; the oldest frame of a full window goes.
    pub(super) fn push(&mut self, t_slot_s: f64, logits: &[f32]) {
        assert_eq!(logits.len(), self.n_classes, "a frame of logits has one value a class");
        let row = self.row(self.n_frames);
        self.t_slot_s[row] = t_slot_s;
        let values = row * self.n_classes..(row + 1) * self.n_classes;
        let kept = &mut self.logits[values.clone()];
        kept.copy_from_slice(logits);
        if self.temperature != 1.0 {
            kept.iter_mut().for_each(|logit| *logit /= self.temperature);
        }
        let posteriors = &mut self.posteriors[values];
        posteriors.copy_from_slice(kept);
        activate(self.activation, posteriors);
        self.n_frames += 1;
    }

    /// Writes the mean of the last `n` frames, one value per class; of those that are there while
    /// there are fewer. There must be one.
    pub(super) fn mean(&self, average: Average, n: usize, means: &mut [f32]) {
        let frames = match average {
            Average::Logits => &self.logits,
            Average::Posteriors => &self.posteriors,
        };
        let newest = self.newest_frames(n);
        let n_averaged = (newest.end - newest.start) as f32;
        means.fill(0.0);
        for index in newest {
            let row = self.row(index) * self.n_classes;
            for (mean, value) in means.iter_mut().zip(&frames[row..row + self.n_classes]) {
                *mean += value;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= n_averaged);
    }

    /// Indices of the last `n` frames, or of those that are there.
    pub(super) fn newest_frames(&self, n: usize) -> std::ops::Range<u64> {
        self.n_frames.saturating_sub(n.min(self.capacity) as u64)..self.n_frames
    }

    /// Index of the newest frame. There must be one.
    pub(super) fn newest(&self) -> u64 {
        self.n_frames - 1
    }

    /// Posterior of a class in a single frame of the window.
    pub(super) fn posterior(&self, index: u64, class_id: usize) -> f32 {
        self.posteriors[self.row(index) * self.n_classes + class_id]
    }

    /// Stream time at which the slot of a frame of the window starts, seconds.
    pub(super) fn t_slot_s(&self, index: u64) -> f64 {
        self.t_slot_s[self.row(index)]
    }

    pub(super) fn clear(&mut self) {
        self.n_frames = 0;
    }

    fn row(&self, index: u64) -> usize {
        (index % self.capacity as u64) as usize
    }
}

/// Logits to posteriors, in place; the engine passes on the logarithm of what is a posterior
/// already. A NaN among the logits gives NaN, which reaches no threshold.
pub(super) fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Softmax | Activation::Posterior => {
            let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for value in values.iter_mut() {
                *value = (*value - max).exp();
                sum += *value;
            }
            values.iter_mut().for_each(|value| *value /= sum);
        }
        Activation::Sigmoid => values.iter_mut().for_each(|value| *value = 1.0 / (1.0 + (-*value).exp())),
    }
}

/// Posteriors of all `logits` together, `(n_frames, n_classes)` row-major: what the network outputs
/// for a clip as a whole.
///
/// Returns one value per class in [0, 1]; NaN where there is no frame.
pub fn clip_posteriors(
    activation: Activation,
    average: Average,
    temperature: f32,
    n_classes: usize,
    logits: &[f32],
) -> Vec<f32> {
    let n_frames = logits.len() / n_classes;
    let mut means = vec![f32::NAN; n_classes];
    if n_frames == 0 {
        return means;
    }
    let mut window = Window::with(activation, temperature, n_classes, n_frames);
    for frame in logits.chunks_exact(n_classes) {
        window.push(0.0, frame);
    }
    window.mean(average, n_frames, &mut means);
    if average == Average::Logits {
        activate(activation, &mut means);
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_and_sigmoid_match_their_formulas() {
        let mut values = [1000.0, 999.0, 0.0];
        activate(Activation::Softmax, &mut values);
        let e = std::f32::consts::E;
        assert!(
            (values[0] - e / (e + 1.0)).abs() < 1e-6 && (values[1] - 1.0 / (e + 1.0)).abs() < 1e-6 && values[2] == 0.0
        );
        let mut values = [0.0, 100.0, -100.0];
        activate(Activation::Sigmoid, &mut values);
        assert_eq!(values[0], 0.5);
        assert!(values[1] > 0.999_999 && values[2] < 1e-6);
    }

    #[test]
    fn the_window_forgets_what_left_it() {
        let mut window = Window::with(Activation::Sigmoid, 0.5, 1, 2);
        for (t, logit) in [(0.0, 50.0), (0.1, 1.0), (0.2, 3.0)] {
            window.push(t, &[logit]);
        }
        let mut means = [0.0];
        window.mean(Average::Logits, 3, &mut means);
        assert_eq!(means, [4.0], "the mean of 1 and 3 at half the temperature");
        assert!((window.posterior(1, 0) - 1.0 / (1.0 + (-2.0f32).exp())).abs() < 1e-6);
        assert_eq!((window.newest_frames(9), window.newest(), window.t_slot_s(1)), (1..3, 2, 0.1));
    }

    #[test]
    fn a_clip_is_the_mean_of_its_frames() {
        let posteriors = clip_posteriors(Activation::Softmax, Average::Logits, 1.0, 2, &[0.0, 1.0, 4.0, 1.0]);
        let e = 1f32.exp();
        assert!((posteriors[0] - e / (e + 1.0)).abs() < 1e-6);
    }

    #[test]
    fn posteriors_come_back_from_their_logarithms_and_are_averaged_themselves() {
        let frames = [0.75, 0.25, f32::MIN_POSITIVE, 0.25, 0.5, 0.25];
        let logits = frames.map(f32::ln);
        let first = clip_posteriors(Activation::Posterior, Average::Posteriors, 1.0, 3, &logits[..3]);
        assert!(first.iter().zip(&frames).all(|(a, b)| (a - b).abs() < 1e-7), "{first:?}");
        let both = clip_posteriors(Activation::Posterior, Average::Posteriors, 1.0, 3, &logits);
        assert!(both.iter().zip([0.5, 0.375, 0.125]).all(|(a, b)| (a - b).abs() < 1e-7), "{both:?}");
    }
}

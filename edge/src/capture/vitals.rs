//! Whether what comes from a source can be sound at all: samples enter on the worker thread, a
//! [`Condition`] leaves.
//!
//! | condition | in each of two seconds |
//! |---|---|
//! | dead | all samples have the same value, zero for example |
//! | garbage | one sample in twenty is not a number, or far beyond full scale |
//! | dc | the mean is at least a tenth of full scale, -20 dBFS |
//! | clipped | one sample in twenty is at full scale |
//!
//! A camera, a conference microphone or a noise suppression may deliver zeros whenever the room is
//! quiet. So after anything else has come since the source was opened, zeros are a hint, and they
//! make it dead after a minute. Zeros from the beginning do so at once.
//!
//! A dead source is opened again after ten seconds, then after twenty, and so on up to five
//! minutes: it may just be muted. The others are only reported: closing the device would not mend
//! them. A recording may well hold silence: of it, and of a pipe that is one, all this is a hint.

use std::time::Duration;

use super::hearing::Hint;
use super::hints::{Hints, Patience, SampleInfo};
use super::{Condition, Hearing};
use crate::fault::Fault;
use crate::mono::Balance;
use crate::status::CLIPPED;

/// Windows in a row that make a condition; each is a second long.
const N_WINDOWS: u32 = 2;

/// The same for zeros, where something else has come before.
const N_WINDOWS_OF_ZEROS: u32 = 60;

/// Windows in a row after which a hint is given for a recording.
const N_WINDOWS_OF_RECORDING: u32 = 10;

const MAX_MEAN: f64 = 0.1;
const MAX_CLIPPED: f64 = 0.05;
const MAX_GARBAGE: f64 = 0.05;

/// Nothing that is sound is so far beyond full scale: 18 dB.
const ABSURD: f32 = 8.0;

const FIRST_REOPEN: Duration = Duration::from_secs(10);
const LAST_REOPEN: Duration = Duration::from_secs(300);

/// Watches the samples of one source.
#[derive(Debug)]
pub(crate) struct Vitals {
    window: Window,
    /// What the last windows show, and how many of them agree.
    verdict: Condition,
    n_alike: u32,
    /// Whether anything but one value has come since the source was opened.
    has_sounded: bool,
    /// Zeros in a row of which something is said, where something else has come before.
    n_muted: u32,
    /// Seconds that the source has been dead, and after how many it is opened again.
    dead_s: u32,
    reopen_s: u32,
    hints: Hints,
}

#[derive(Debug, Default)]
struct Window {
    n_samples: u64,
    n_clipped: u64,
    n_garbage: u64,
    sum: f64,
    least: f32,
    most: f32,
}

impl Vitals {
    pub(crate) fn new() -> Self {
        Self::with(Patience::DAEMON)
    }

    /// For a person who makes sounds and waits for the verdict.
    pub(crate) fn of_trial() -> Self {
        Self::with(Patience::TRIAL)
    }

    fn with(patience: Patience) -> Self {
        Vitals {
            window: Window::default(),
            verdict: Condition::Listening,
            n_alike: 0,
            has_sounded: false,
            n_muted: patience.muted,
            dead_s: 0,
            reopen_s: FIRST_REOPEN.as_secs() as u32,
            hints: Hints::new(patience),
        }
    }

    /// The source was opened, perhaps not for the first time.
    pub(crate) fn opened(&mut self) {
        self.has_sounded = false;
    }

    /// Takes the next samples, which must be numbers, and reports to `hearing` what they and the
    /// `balance` of their channels show.
    pub(crate) fn push(&mut self, samples: &[f32], info: SampleInfo, balance: Option<&Balance>, hearing: &Hearing) {
        let window_len = u64::from(info.sample_rate).max(1);
        self.window.n_garbage += info.n_non_finite;
        let mut rest = samples;
        while !rest.is_empty() {
            let n = rest.len().min(window_len.saturating_sub(self.window.n_samples).max(1) as usize);
            self.window.add(&rest[..n]);
            self.hints.add(&rest[..n]);
            rest = &rest[n..];
            if self.window.n_samples >= window_len {
                self.end_window(info.is_live, hearing);
                self.hints.end_second(info, balance, hearing);
            }
        }
    }

    fn end_window(&mut self, is_live: bool, hearing: &Hearing) {
        let (verdict, fault) = self.window.verdict();
        let is_zeros = verdict == Condition::Dead && self.window.least == 0.0;
        self.window = Window::default();
        self.n_alike = if verdict == self.verdict { self.n_alike + 1 } else { 1 };
        self.verdict = verdict;
        self.has_sounded |= verdict != Condition::Dead;
        if !is_live {
            if self.n_alike >= N_WINDOWS_OF_RECORDING || verdict == Condition::Listening {
                hearing.hint(Hint::NoSound, fault);
            }
            return;
        }
        if is_zeros && self.has_sounded && self.n_alike < N_WINDOWS_OF_ZEROS {
            if self.n_alike >= N_WINDOWS {
                // Whatever was wrong before is over.
                hearing.judge(Condition::Listening, None);
            }
            hearing.hint(Hint::NoSound, fault.filter(|_| self.n_alike >= self.n_muted));
            return;
        }
        hearing.hint(Hint::NoSound, None);
        // A single second is not enough to report a fault, but a good one shows that the fault is
        // over.
        if self.n_alike >= N_WINDOWS || verdict == Condition::Listening {
            hearing.judge(verdict, fault);
        }
        if verdict != Condition::Dead {
            self.dead_s = 0;
            if self.n_alike > FIRST_REOPEN.as_secs() as u32 {
                self.reopen_s = FIRST_REOPEN.as_secs() as u32;
            }
            return;
        }
        self.dead_s += 1;
        if self.dead_s >= self.reopen_s {
            self.dead_s = 0;
            self.reopen_s = (self.reopen_s * 2).min(LAST_REOPEN.as_secs() as u32);
            hearing.ask_to_reopen();
        }
    }
}

impl Window {
    fn add(&mut self, samples: &[f32]) {
        if self.n_samples == 0 {
            (self.least, self.most) = (f32::INFINITY, f32::NEG_INFINITY);
        }
        for &x in samples {
            self.least = self.least.min(x);
            self.most = self.most.max(x);
            self.sum += f64::from(x);
            self.n_clipped += u64::from(x.abs() >= CLIPPED);
            self.n_garbage += u64::from(x.abs() >= ABSURD);
        }
        self.n_samples += samples.len() as u64;
    }

    fn verdict(&self) -> (Condition, Option<Fault>) {
        let n_samples = self.n_samples as f64;
        let mean = self.sum / n_samples;
        let share = |n: u64| n as f64 / n_samples;
        let (condition, kind, text) = if share(self.n_garbage) >= MAX_GARBAGE {
            let text = "the samples make no sense: many are not numbers, or far beyond full scale; is the format \
                        right?";
            (Condition::Garbage, "no-sound", text.to_string())
        } else if self.least == self.most {
            let what =
                if self.least == 0.0 { "zeros: is it muted?".into() } else { format!("the value {}", self.least) };
            (Condition::Dead, "nothing-but-one-value", format!("the source delivers nothing but {what}"))
        } else if share(self.n_clipped) >= MAX_CLIPPED {
            let text = "the source is too loud and clips: turn its gain down";
            (Condition::Clipped, "clipped", text.to_string())
        } else if mean.abs() >= MAX_MEAN {
            let text = "the source has a large DC offset: is it broken, wired wrongly, or read in the wrong format?";
            (Condition::Dc, "dc-offset", text.to_string())
        } else {
            return (Condition::Listening, None);
        };
        (condition, Some(Fault::new(kind, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1_000;

    fn listening() -> (Vitals, Hearing) {
        let hearing = Hearing::of("ear");
        hearing.listening();
        (Vitals::new(), hearing)
    }

    fn feed(vitals: &mut Vitals, hearing: &Hearing, seconds: f64, sample: impl Fn(usize) -> f32) -> Condition {
        let samples: Vec<f32> = (0..(seconds * f64::from(RATE)) as usize).map(sample).collect();
        let info = SampleInfo { n_non_finite: 0, sample_rate: RATE, gain: 1.0, is_live: true };
        // Blocks that do not divide a second.
        samples.chunks(77).for_each(|block| vitals.push(block, info, None, hearing));
        hearing.condition()
    }

    fn sine(n: usize) -> f32 {
        (n as f32).sin() * 0.3
    }

    #[test]
    fn what_cannot_be_sound_is_told_within_two_seconds_and_so_is_its_end() {
        // Gain and offset of a tone.
        let cases = [
            (0.0, -0.25, Condition::Dead),
            (0.1, 0.2, Condition::Dc),
            (4.0, 0.0, Condition::Clipped),
            (1000.0, 0.0, Condition::Garbage),
        ];
        for (gain, offset, condition) in cases {
            let most = if gain > 100.0 { 100.0 } else { 1.0 };
            let sample = |n: usize| (sine(n) * gain + offset).clamp(-most, most);
            let (mut vitals, hearing) = listening();
            assert_eq!(feed(&mut vitals, &hearing, 3.0, sine), Condition::Listening);
            assert_eq!(feed(&mut vitals, &hearing, 1.0, sample), Condition::Listening, "one second is not enough");
            assert_eq!(feed(&mut vitals, &hearing, 1.0, sample), condition);
            assert!(hearing.snapshot().capture_reason.is_some());
            assert_eq!(feed(&mut vitals, &hearing, 1.0, sine), Condition::Listening);
        }
    }

    #[test]
    fn zeros_are_a_hint_at_first_where_something_else_came_before() {
        let (mut vitals, hearing) = listening();
        assert_eq!(feed(&mut vitals, &hearing, 2.0, |_| 0.0), Condition::Dead, "from the beginning");
        feed(&mut vitals, &hearing, 3.0, sine);
        for second in 1..=80 {
            let condition = feed(&mut vitals, &hearing, 1.0, |_| 0.0);
            let expected = if second < 60 { Condition::Listening } else { Condition::Dead };
            assert_eq!(condition, expected, "{second}");
            let hints = hearing.snapshot().capture_hints;
            assert_eq!(hints.len(), usize::from((10..60).contains(&second)), "{second}: {hints:?}");
            assert_eq!(hearing.is_asked_to_reopen(), second == 69, "{second}");
        }
        // Opened again, it is dead from the beginning, until it is info.
        vitals.opened();
        assert_eq!(feed(&mut vitals, &hearing, 5.0, |_| 0.0), Condition::Dead);
        assert_eq!(feed(&mut vitals, &hearing, 1.0, sine), Condition::Listening);
        assert_eq!(feed(&mut vitals, &hearing, 20.0, |_| 0.0), Condition::Listening);
        assert_eq!(hearing.snapshot().capture_hints.len(), 1);
        feed(&mut vitals, &hearing, 1.0, sine);
        assert!(hearing.snapshot().capture_hints.is_empty());
    }

    #[test]
    fn zeros_end_what_was_wrong_before() {
        let (mut vitals, hearing) = listening();
        assert_eq!(feed(&mut vitals, &hearing, 2.0, |n| (sine(n) * 4.0).clamp(-1.0, 1.0)), Condition::Clipped);
        assert_eq!(feed(&mut vitals, &hearing, 2.0, |_| 0.0), Condition::Listening);
    }

    #[test]
    fn a_quiet_room_is_sound() {
        let (mut vitals, hearing) = listening();
        // The smallest 16-bit value, once in a while.
        let quiet = |n: usize| if n.is_multiple_of(400) { -1.0 / 32_768.0 } else { 0.0 };
        assert_eq!(feed(&mut vitals, &hearing, 60.0, quiet), Condition::Listening);
        assert!(!hearing.is_asked_to_reopen());
    }

    #[test]
    fn a_dead_source_is_opened_again_less_and_less_often() {
        let (mut vitals, hearing) = listening();
        let mut asked = Vec::new();
        for second in 1..=120 {
            feed(&mut vitals, &hearing, 1.0, |_| 0.0);
            if hearing.is_asked_to_reopen() {
                asked.push(second);
            }
        }
        assert_eq!(asked, [10, 30, 70]);
        feed(&mut vitals, &hearing, 15.0, sine);
        vitals.opened();
        feed(&mut vitals, &hearing, 10.0, |_| 0.0);
        assert!(hearing.is_asked_to_reopen(), "what was heard meanwhile counts as new");
    }

    #[test]
    fn samples_that_are_no_numbers_are_no_sound() {
        let (mut vitals, hearing) = listening();
        let info = SampleInfo { n_non_finite: 100, sample_rate: RATE, gain: 1.0, is_live: true };
        let second: Vec<f32> = (0..RATE as usize).map(sine).collect();
        (0..2).for_each(|_| vitals.push(&second, info, None, &hearing));
        assert_eq!(hearing.condition(), Condition::Garbage);
    }

    #[test]
    fn silence_in_a_recording_is_a_hint_after_a_while() {
        let (mut vitals, hearing) = listening();
        let info = SampleInfo { n_non_finite: 0, sample_rate: RATE, gain: 1.0, is_live: false };
        for second in 1..=12 {
            vitals.push(&[0.0; RATE as usize], info, None, &hearing);
            assert_eq!(hearing.condition(), Condition::Listening);
            assert_eq!(hearing.snapshot().capture_hints.len(), usize::from(second >= 10), "{second}");
        }
        vitals.push(&(0..RATE as usize).map(sine).collect::<Vec<_>>(), info, None, &hearing);
        assert!(hearing.snapshot().capture_hints.is_empty());
    }
}

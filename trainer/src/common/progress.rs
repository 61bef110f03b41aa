//! Progress on standard error: a bar on a terminal, a plain line every so often elsewhere.
//!
//! Standard output stays free for results.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tch::Device;

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Time until the first of them: it says how long the training will take.
const FIRST_LINE: Duration = Duration::from_secs(5);

/// A bar of `len` things; hidden if standard error is not a terminal.
pub fn bar(len: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(len), target());
    bar.with_style(style("{prefix:.bold} {bar:32} {pos}/{len} {msg} {eta} left")).with_prefix(what)
}

/// Things that are done one by one, on several threads.
#[derive(Debug)]
pub struct Counted {
    bar: ProgressBar,
    what: &'static str,
    started: Instant,
    /// Seconds after which the next plain line is due.
    next_line_s: AtomicU64,
}

impl Counted {
    /// None of `len` things is done.
    pub fn new(len: u64, what: &'static str) -> Self {
        Self { bar: bar(len, what), what, started: Instant::now(), next_line_s: AtomicU64::new(FIRST_LINE.as_secs()) }
    }

    /// One of them is done.
    pub fn one_more(&self) {
        self.bar.inc(1);
        let (due_s, is_s) = (self.next_line_s.load(Ordering::Relaxed), self.started.elapsed().as_secs());
        let next_s = is_s + LINE_EVERY.as_secs();
        let due = is_s >= due_s && !std::io::stderr().is_terminal();
        let ours = || self.next_line_s.compare_exchange(due_s, next_s, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if due && ours() {
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let left_s = self.started.elapsed().as_secs_f64() / done.max(1) as f64 * all.saturating_sub(done) as f64;
            eprintln!("{} {done}/{all}, {left_s:.0} s left", self.what);
        }
    }
}

/// Progress of a training, in steps.
#[derive(Debug)]
pub struct TrainingProgress {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    first_step: u64,
    n_steps: u64,
    next_line: Duration,
}

impl TrainingProgress {
    /// Progress from `step` to `n_steps`.
    pub fn new(step: u64, n_steps: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(n_steps), target());
        let bar = bar.with_style(style("{bar:32} {pos}/{len} steps {msg} {eta} left"));
        bar.set_position(step);
        bar.reset_eta();
        let (started, plain) = (Instant::now(), !std::io::stderr().is_terminal());
        Self { bar, plain, started, first_step: step, n_steps, next_line: FIRST_LINE }
    }

    /// Reports that `step` steps are done, with running loss and accuracy.
    pub fn update(&mut self, epoch: u64, step: u64, loss: f64, accuracy: f64) {
        let message = format!("epoch {epoch} loss {loss:.3} accuracy {:.1} %", accuracy * 100.0);
        self.bar.set_position(step);
        if self.plain && self.started.elapsed() >= self.next_line {
            self.next_line = self.started.elapsed() + LINE_EVERY;
            let a_step = self.started.elapsed().as_secs_f64() / (step - self.first_step).max(1) as f64;
            let left = a_step * (self.n_steps - step) as f64;
            eprintln!("step {step}/{} {message}, {:.0} s left", self.n_steps, left);
        }
        self.bar.set_message(message);
    }

    /// Prints a line that stays.
    pub fn say(&self, line: &str) {
        if self.plain { eprintln!("{line}") } else { self.bar.println(line) }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The device as a training names it when it starts.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        other => format!("{other:?}"),
    }
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr_with_hz(4) } else { ProgressDrawTarget::hidden() }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

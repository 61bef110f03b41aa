//! `earwitness bench`: measures the worker's path on this machine: samples at the model's rate
//! through log-mel front end, network and decisions, a pulse at a time, in one thread. For a
//! network that takes whole patches, a pulse is a hop.

use std::io::Write;
use std::time::{Duration, Instant};

use edge::Result;
use edge::decide::{Decider, Output, Rules};
use edge_frontend::LogMel;
use serde::Serialize;

use super::args::BenchArgs;
use super::stdout_error;

/// Outputs before the measurement, for caches and clock rates to settle: this many or for this
/// long. At least one.
const N_WARM_UP: usize = 200;
const WARM_UP_TIME: Duration = Duration::from_secs(1);

/// The measurement ends after this many pulses or this much time.
const N_PULSES: usize = 5_000;
const MAX_TIME: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Report {
    /// The machine, as its firmware or its processor calls itself.
    board: String,
    /// Name and version of the model.
    model: String,
    us_per_pulse_median: f64,
    us_per_pulse_p99: f64,
    /// The parts of a pulse's time; each is a median of its own.
    front_end_us_per_pulse_median: f64,
    network_us_per_pulse_median: f64,
    decide_us_per_pulse_median: f64,
    /// Sound that a pulse covers.
    pulse_ms: f64,
    /// Share of one core that a stream takes: time to compute over the time it covers.
    real_time_factor: f64,
    precision: &'static str,
    /// Largest resident memory of this process so far.
    peak_rss_mb: f64,
    /// From the start of the program to the first frame of logits.
    start_ms: f64,
}

pub(super) fn bench(args: &BenchArgs, start: Instant) -> Result<()> {
    edge::logging::start("warn")?;
    let (model, mut engine) = super::load(args.model.as_deref(), args.precision, super::with_hop(args.hop_ms))?;
    let frontend = &model.manifest.frontend;
    let mut log_mel = LogMel::new(frontend).map_err(|error| edge::Error::model_file(&model.dir, error))?;
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let pulse_ms = rules.frame_period_s * 1e3;
    let mut decider = Decider::new(rules);

    let n_mels = engine.n_mels();
    let mut pulse = vec![0.0; engine.pulse_frames() * n_mels];
    let mut logits = vec![0.0; engine.n_classes()];
    let mut noise = Noise(1);
    let mut samples = vec![0.0; engine.pulse_frames() * frontend.hop_length];
    // The first frame needs a whole window, so that from then on every block of a pulse's hops
    // gives a pulse of frames.
    let lead = vec![0.0; frontend.win_length - frontend.hop_length.min(frontend.win_length)];
    log_mel.process(&lead, |_| {});

    let mut start_ms = None;
    let mut times_us = Times::default();
    let mut warm_up_end = None;
    let mut end = None;
    for at in 0.. {
        noise.fill(&mut samples);
        let begin = Instant::now();
        let mut n = 0;
        log_mel.process(&samples, |frame| {
            if let Some(room) = pulse.get_mut(n..n + n_mels) {
                room.copy_from_slice(frame);
            }
            n += n_mels;
        });
        let network_begin = Instant::now();
        let there = engine.push(&pulse, &mut logits)?;
        let decide_begin = Instant::now();
        if there {
            let output = Output { t_start_s: at as f64 * pulse_ms / 1e3, level_dbfs: 0.0, logits: &logits };
            decider.push(&output, |_| {});
            start_ms.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1e3);
        }
        let now = Instant::now();
        match end {
            Some(end) => {
                times_us.push([begin, network_begin, decide_begin, now]);
                if times_us.whole.len() == N_PULSES || now >= end {
                    break;
                }
            }
            None if there && (at >= N_WARM_UP || now >= *warm_up_end.get_or_insert(now + WARM_UP_TIME)) => {
                end = Some(now + MAX_TIME);
            }
            None => {}
        }
    }
    let n_pulses = times_us.whole.len();
    let Times { mut whole, parts: [front_end, network, decide] } = times_us;
    let median_us = quantile(&mut whole, 50);
    let part = |mut times: Vec<f64>| round(quantile(&mut times, 50), 100.0);
    let report = Report {
        board: board(),
        model: format!("{} {}", model.manifest.name, model.manifest.version),
        us_per_pulse_median: round(median_us, 10.0),
        us_per_pulse_p99: round(quantile(&mut whole, 99), 10.0),
        front_end_us_per_pulse_median: part(front_end),
        network_us_per_pulse_median: part(network),
        decide_us_per_pulse_median: part(decide),
        pulse_ms,
        real_time_factor: round(median_us / 1e3 / pulse_ms, 1e6),
        precision: engine.precision().as_str(),
        peak_rss_mb: round(peak_rss_mb()?, 10.0),
        start_ms: round(start_ms.unwrap_or_default(), 10.0),
    };
    let text = if args.json { json(&report) } else { table(&report, n_pulses) };
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)
}

/// Times of single pulses in microseconds.
#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    /// Front end, network, decisions.
    parts: [Vec<f64>; 3],
}

impl Times {
    /// A pulse by the beginnings of its parts and its end.
    fn push(&mut self, [begin, network, decide, end]: [Instant; 4]) {
        let us = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e6;
        self.whole.push(us(begin, end));
        let parts = [us(begin, network), us(network, decide), us(decide, end)];
        self.parts.iter_mut().zip(parts).for_each(|(times, us)| times.push(us));
    }
}

/// The value below which `percent` percent of `values` lie. There must be at least one value.
fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * percent / 100]
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).unwrap_or_else(|error| unreachable!("a report has only string keys: {error}")) + "\n"
}

fn table(report: &Report, n_pulses: usize) -> String {
    format!(
        "time per pulse    {:.1} us median, {:.1} us at the 99th percentile ({n_pulses} pulses of {} ms)\n\
         front end         {:.1} us median\n\
         network alone     {:.1} us median\n\
         decisions         {:.2} us median\n\
         load              {:.3} % of one core\n\
         precision         {}\n\
         peak memory       {:.1} MB\n\
         start             {:.1} ms to the first output\n\
         \n\
         For the table of boards in the README:\n\
         | {} | {:.2} % of a core | {:.0} MB | measured by `earwitness bench`: {}, {} |\n",
        report.us_per_pulse_median,
        report.us_per_pulse_p99,
        report.pulse_ms,
        report.front_end_us_per_pulse_median,
        report.network_us_per_pulse_median,
        report.decide_us_per_pulse_median,
        report.real_time_factor * 100.0,
        report.precision,
        report.peak_rss_mb,
        report.start_ms,
        report.board,
        report.real_time_factor * 100.0,
        report.peak_rss_mb,
        report.model,
        report.precision,
    )
}

/// The name that the firmware of a board gives it, or else that of the processor, and the
/// architecture.
fn board() -> String {
    let of_firmware = std::fs::read_to_string("/proc/device-tree/model").ok();
    let of_processor = || {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.to_owned()))
    };
    let name = of_firmware.or_else(of_processor).unwrap_or_default();
    let words = name.trim_end_matches('\0').split_whitespace().chain([std::env::consts::ARCH]);
    words.collect::<Vec<_>>().join(" ").replace('|', "/")
}

/// The kernel's figure for the largest resident set.
fn peak_rss_mb() -> Result<f64> {
    let path = "/proc/self/status";
    let text = std::fs::read_to_string(path).map_err(edge::Error::io(path))?;
    let kb = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kb.map(|kb| kb * 1024.0 / 1e6).ok_or_else(|| edge::Error::io(path)(std::io::Error::other("no VmHWM in it")))
}

fn round(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

/// White noise: nothing in the path may be faster for being zero.
struct Noise(u32);

impl Noise {
    fn fill(&mut self, samples: &mut [f32]) {
        for sample in samples {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (self.0 >> 8) as f32 / 16_777_216.0 - 0.5;
        }
    }
}

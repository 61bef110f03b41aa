//! The network's time beside what the processor's arithmetic alone would take, and what longer
//! pulses would save. Enters: nothing. Leaves: two tables. All of it is measured in turns on one
//! thread, so whatever else the machine does slows all of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use benches::arithmetic::{self, Arithmetic};
use benches::{home, scene};
use edge::engine::{LongPulse, Precision};
use edge::model::Model;

/// Pulses that are measured, in multiples of the model's.
const LENGTHS: [usize; 3] = [1, 2, 3];

const N_ROUNDS: usize = 15;
/// How long each is measured in a round.
const TURN: Duration = Duration::from_millis(100);

/// One precision and what is measured of it: microseconds of each round.
struct Measured {
    precision: Precision,
    arithmetic: Option<Arithmetic>,
    /// The network's weights, as many bytes as its file has.
    weights: Vec<u64>,
    networks: Vec<Pulsed>,
    /// For a second of the network's multiply-adds.
    limit_us: Vec<f64>,
    /// For reading the weights once a pulse, for a second.
    weights_us: Vec<f64>,
}

struct Pulsed {
    network: LongPulse,
    pulses: Vec<f32>,
    /// For a second of sound.
    us: Vec<f64>,
}

fn main() {
    let model = home();
    let pulse_s = model.manifest.network.pulse_frames as f64 * model.manifest.frontend.hop_seconds();
    let mut all = [Precision::F32, Precision::Int8].map(|precision| Measured::new(&model, precision));
    let per_second = all[0].networks[0].network.multiply_adds() as f64 / pulse_s;
    for _ in 0..N_ROUNDS {
        for measured in &mut all {
            measured.round(&model, per_second, pulse_s);
        }
    }
    print_limit(&all, per_second);
    print_pulses(&all, pulse_s);
}

impl Measured {
    fn new(model: &Model, precision: Precision) -> Self {
        let config = &model.manifest.frontend;
        let frames = edge_frontend::log_mel(config, &scene(config.sample_rate)).expect("the model's own front end");
        let file = model.network_file(precision).expect("both precisions are shipped");
        let n_bytes = std::fs::metadata(&file).expect("the network's file").len();
        let networks = LENGTHS.map(|length| Pulsed {
            network: LongPulse::load(model, precision, length).expect("the model's own network"),
            pulses: frames.clone(),
            us: Vec::new(),
        });
        Measured {
            precision,
            arithmetic: match precision {
                Precision::F32 => arithmetic::f32(),
                Precision::Int8 => arithmetic::int8(),
            },
            weights: (0..n_bytes / 8).collect(),
            networks: networks.into(),
            limit_us: Vec::new(),
            weights_us: Vec::new(),
        }
    }

    fn round(&mut self, model: &Model, multiply_adds_per_second: f64, pulse_s: f64) {
        if let Some(arithmetic) = &self.arithmetic {
            let us = median_us(arithmetic.run);
            self.limit_us.push(us * multiply_adds_per_second / arithmetic.multiply_adds as f64);
        }
        let weights = &self.weights;
        let us = median_us(|| arithmetic::read(black_box(weights)));
        self.weights_us.push(us / pulse_s);
        for Pulsed { network, pulses, us } in &mut self.networks {
            let pulse_len = network.n_frames() * model.manifest.frontend.n_mels;
            let mut pulses = pulses.chunks_exact(pulse_len).cycle();
            let mut logits = Vec::new();
            let us_per_pulse = median_us(|| {
                logits.clear();
                network.push(pulses.next().expect("the scene has pulses"), &mut logits).expect("a pulse");
                black_box(&logits);
            });
            us.push(us_per_pulse / (network.n_frames() as f64 * model.manifest.frontend.hop_seconds()));
        }
    }
}

fn print_limit(all: &[Measured; 2], per_second: f64) {
    println!("the network at {:.1} million multiply-adds per second of sound, microseconds:", per_second / 1e6);
    println!("medians (smallest..largest) of {N_ROUNDS} rounds; ratios within a round");
    println!();
    println!("| | {} |", all.each_ref().map(|measured| measured.precision.as_str()).join(" | "));
    println!("|---|---|---|");
    let row = |name: &str, cell: &dyn Fn(&Measured) -> String| {
        println!("| {name} | {} |", all.each_ref().map(cell).join(" | "));
    };
    let unit = |measured: &Measured| measured.arithmetic.as_ref().map_or("none", |arithmetic| arithmetic.name);
    row("vector unit", &|measured| unit(measured).to_owned());
    row("multiply-adds per nanosecond", &|measured| {
        text(&measured.limit_us.iter().map(|us| per_second / us / 1e3).collect::<Vec<_>>(), 0)
    });
    row("arithmetic alone", &|measured| text(&measured.limit_us, 1));
    row("reading the weights once per pulse", &|measured| text(&measured.weights_us, 0));
    row("network", &|measured| text(&measured.networks[0].us, 0));
    row("network over arithmetic", &|measured| text(&ratios(&measured.networks[0].us, &measured.limit_us), 1));
    row("network over reading the weights", &|measured| {
        text(&ratios(&measured.networks[0].us, &measured.weights_us), 1)
    });
    println!();
}

fn print_pulses(all: &[Measured; 2], pulse_s: f64) {
    println!("longer pulses, microseconds per second of sound:");
    println!();
    println!("| pulse | f32 | f32, times the shortest | int8 | int8, times the shortest | longest further wait |");
    println!("|---|---|---|---|---|---|");
    for (at, length) in LENGTHS.iter().enumerate() {
        let cells = all.each_ref().map(|Measured { networks, .. }| {
            format!("{} | {}", text(&networks[at].us, 0), text(&ratios(&networks[at].us, &networks[0].us), 2))
        });
        let ms = |length: usize| length as f64 * pulse_s * 1e3;
        println!("| {:.0} ms | {} | {:.0} ms |", ms(*length), cells.join(" | "), ms(length - 1));
    }
}

fn ratios(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(this, that)| this / that).collect()
}

/// Median, smallest and largest.
fn text(values: &[f64], n_decimals: usize) -> String {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => "-".to_owned(),
        [smallest, .., largest] => {
            format!("{:.n_decimals$} ({smallest:.n_decimals$}..{largest:.n_decimals$})", values[values.len() / 2])
        }
        [only] => format!("{only:.n_decimals$}"),
    }
}

/// The median time of `work`, repeated for a turn, in microseconds.
fn median_us(mut work: impl FnMut()) -> f64 {
    let mut times = Vec::new();
    let end = Instant::now() + TURN;
    loop {
        let begin = Instant::now();
        work();
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        if Instant::now() >= end {
            break;
        }
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

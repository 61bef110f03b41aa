//! Training throughput: `make bench-training`.
//!
//! SlowFast beside plain PyTorch's: ours is the step that trains a stage; theirs is
//! `tests/reference/throughput.py`: the same network, batch, precision, optimiser and number of
//! threads, on the same libtorch. Both live through the whole run and take turns, a few steps each,
//! while the other waits at a pipe, so that whatever else the machine does slows both. Reading and
//! augmenting of data is in neither.
//!
//! The student of the shipped recipe `home-clips` by itself, without teachers: the time of a step,
//! and of making its batch, augmentation included, of noise in memory.
//!
//! Features of recordings in files, on all cores, as a training computes them at its start.

#![allow(clippy::unwrap_used)]

// As the trainer itself does.
#[path = "../src/allocator.rs"]
mod allocator;

#[path = "throughput/features.rs"]
mod features;

use clap::{Parser, ValueEnum};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tch::{Cuda, Device};
use tempfile::TempDir;
use trainer::data::folds::FoldMode;
use trainer::data::frames::Frames;
use trainer::data::segments::{LoadedBatch, Options, SegmentSet};
use trainer::data::{Audio, Clip, Division, Origin};
use trainer::nets::Precision;
use trainer::nets::slowfast::SlowFast;
use trainer::nets::student::Student;
use trainer::train::checkpoint::Header;
use trainer::train::learner::Learner as _;
use trainer::train::recipe::Recipe;
use trainer::train::slowfast::SlowFastLearner;
use trainer::train::student::StudentLearner;
use trainer::train::student::batcher::{Batcher, Settings};
use trainer::train::student::teach::Taught;
use trainer::train::student::teachers::Teachers;

#[derive(Debug, Parser)]
#[command(about = "Training throughput: SlowFast beside plain PyTorch's, the student and features by themselves")]
struct Arguments {
    /// What to measure; all unless given.
    #[arg(long, value_delimiter = ',')]
    networks: Vec<Network>,
    /// SlowFast: channels of the slow pathway's stem; 64 as published.
    #[arg(long, default_value_t = 16)]
    width: usize,
    /// SlowFast: layers, 50 or 101.
    #[arg(long, default_value_t = 50)]
    depth: usize,
    /// SlowFast: clips a step. The student's are those of its recipe.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Threads on a CPU.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Turns of each side.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Steps a turn.
    #[arg(long, default_value_t = 2)]
    steps: usize,
    /// Devices and precisions to measure; all that there are unless given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Setting>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Network {
    /// Training steps of SlowFast.
    Slowfast,
    /// Training steps of the student.
    Student,
    /// No network, but the features that one is trained on.
    Features,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    /// CPU, single precision.
    CpuF32,
    /// CPU, bfloat16.
    CpuBf16,
    /// GPU, single precision (TF32 off, as is PyTorch's default).
    CudaF32,
    /// GPU, bfloat16, channels last.
    CudaBf16,
}

impl Setting {
    fn parts(self) -> (&'static str, &'static str, Device) {
        match self {
            Setting::CpuF32 => ("cpu", "f32", Device::Cpu),
            Setting::CpuBf16 => ("cpu", "bf16", Device::Cpu),
            Setting::CudaF32 => ("cuda", "f32", Device::Cuda(0)),
            Setting::CudaBf16 => ("cuda", "bf16", Device::Cuda(0)),
        }
    }
}

const N_CLASSES: usize = 44;
const WARM_UP: usize = 2;
const WAV: hound::WavSpec =
    hound::WavSpec { channels: 1, sample_rate: 24_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };

fn main() {
    allocator::keep_freed_memory();
    let arguments = Arguments::parse();
    tch::set_num_threads(arguments.threads as i32);
    let Arguments { width, depth, batch, threads, rounds, steps, .. } = &arguments;
    let wanted = |network| arguments.networks.is_empty() || arguments.networks.contains(&network);
    if wanted(Network::Slowfast) {
        println!(
            "SlowFast R{depth}, width {width}, batch {batch}, {threads} threads; {rounds} turns of {steps} steps a side"
        );
        println!("clips a second: medians of the turns; ratio: median (smallest to largest) of the rounds");
        each_setting(&arguments, |setting| measure(&arguments, setting));
    }
    if wanted(Network::Student) {
        let batch = student_recipe().stages[0].batch;
        println!("student of home-clips, batch {batch}, {threads} threads; {rounds} turns of {steps} steps");
        println!("milliseconds a step: medians (smallest to largest) of the turns");
        each_setting(&arguments, |setting| measure_student(&arguments, setting));
    }
    if wanted(Network::Features) {
        features::measure(*rounds);
    }
}

fn each_setting(arguments: &Arguments, measure: impl Fn(Setting)) {
    for &setting in Setting::value_variants() {
        let wanted = arguments.only.is_empty() || arguments.only.contains(&setting);
        let there = !setting.parts().2.is_cuda() || Cuda::is_available();
        match (wanted, there) {
            (true, true) => measure(setting),
            (true, false) => println!("{:<10} no GPU here", name(setting)),
            (false, _) => {}
        }
    }
}

fn measure(arguments: &Arguments, setting: Setting) {
    let mut ours = Ours::new(arguments, setting);
    let mut theirs = Theirs::new(arguments, setting);
    assert_eq!(ours.n_params, theirs.n_params, "parameters: the networks differ");
    ours.seconds(WARM_UP);
    theirs.seconds(WARM_UP);
    let n_clips = (arguments.steps * arguments.batch) as f64;
    let (mut of_ours, mut of_theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        // Each side begins every other round.
        let (a, b) = if round % 2 == 0 {
            let a = ours.seconds(arguments.steps);
            (a, theirs.seconds(arguments.steps))
        } else {
            let b = theirs.seconds(arguments.steps);
            (ours.seconds(arguments.steps), b)
        };
        of_ours.push(n_clips / a);
        of_theirs.push(n_clips / b);
        ratios.push(b / a);
    }
    let (low, high) = range(&ratios);
    println!(
        "{:<10} ours {:>8.2}   PyTorch {:>8.2}   ratio {:.3} ({low:.3} to {high:.3})",
        name(setting),
        median(of_ours),
        median(of_theirs),
        median(ratios)
    );
}

fn name(setting: Setting) -> String {
    let (device, precision, _) = setting.parts();
    format!("{device} {precision}")
}

fn range(values: &[f64]) -> (f64, f64) {
    (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(0.0, f64::max))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

/// Our training, with a batch to do again and again.
struct Ours {
    learner: SlowFastLearner,
    loaded: LoadedBatch,
    n_params: usize,
    step: u64,
    device: Device,
    _folder: TempDir,
}

impl Ours {
    fn new(arguments: &Arguments, setting: Setting) -> Self {
        let (_, precision, device) = setting.parts();
        let (folder, set) = segments(arguments.batch);
        let text = format!(
            r#"
            name = "throughput"
            data = [{{ name = "clips", csv = "clips.csv", audio = "." }}]
            network = {{ kind = "slowfast", width_per_group = {}, depth = {} }}
            train = {{ precision = "{precision}" }}
            [[stage]]
            name = "baseline"
            epochs = 1000000
            lr = 0.001
            batch = {}
            dropout = 0.5
            "#,
            arguments.width, arguments.depth, arguments.batch
        );
        let recipe = Recipe::parse(&text, Path::new("throughput.toml")).unwrap();
        let network = SlowFast::new(recipe.slowfast().unwrap(), N_CLASSES, 1, device).unwrap();
        let n_params =
            network.tensors().iter().filter(|t| t.role.is_trainable()).map(|t| t.value.numel()).sum::<usize>();
        let n = arguments.batch * set.n_frames() * set.n_mels();
        let views = tch::Tensor::randn([n as i64], (tch::Kind::Float, Device::Cpu)) * 3.0 - 5.0;
        let segments = (0..arguments.batch).collect();
        let loaded = LoadedBatch { step: 0, segments, features: Vec::try_from(views).unwrap() };
        let learner = SlowFastLearner::new(&recipe, 0, Arc::new(set), network, None, device).unwrap();
        Self { learner, loaded, n_params, step: 0, device, _folder: folder }
    }

    fn seconds(&mut self, n_steps: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..n_steps {
            self.loaded.step = self.step;
            self.learner.step(self.loaded.clone(), self.step).unwrap();
            self.step += 1;
        }
        synchronise(self.device);
        start.elapsed().as_secs_f64()
    }
}

fn synchronise(device: Device) {
    if device.is_cuda() {
        Cuda::synchronize(0);
    }
}

/// The shipped recipe without what needs other files.
fn student_recipe() -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/home-clips.toml");
    Recipe { teacher: None, distill: None, procedural: None, ..Recipe::load(&path).unwrap().0 }
}

fn measure_student(arguments: &Arguments, setting: Setting) {
    let (_, precision, device) = setting.parts();
    let mut recipe = student_recipe();
    recipe.train.precision = if precision == "bf16" { Precision::Bf16 } else { Precision::F32 };
    let (frontend, stage, seed) = (&recipe.frontend, &recipe.stages[0], recipe.stage_seed(0));
    let noise = |label: usize| {
        let n = 500 * frontend.n_mels;
        let values = tch::Tensor::randn([n as i64], (tch::Kind::Float, Device::Cpu));
        Taught::of(Clip {
            origin: Origin::Generated,
            label,
            division: Division::Train,
            source: String::new(),
            id: String::new(),
            file: String::new(),
            frames: Frames::in_memory(Vec::try_from(values).unwrap(), frontend.n_mels),
            audio: Audio::Unknown,
        })
    };
    let clips = (0..4 * stage.batch).map(|i| noise(i % (N_CLASSES - 1))).collect();
    let background = Some(N_CLASSES - 1);
    let settings = Settings { n_classes: N_CLASSES, background, with_embeddings: false, hearing: None };
    let batcher = Batcher::new(&recipe, stage, seed, settings, clips, vec![noise(N_CLASSES - 1)]).unwrap();
    let student = Student::new(recipe.student().unwrap(), frontend.n_mels, N_CLASSES, 0, seed, device).unwrap();
    let header = Header {
        stage: stage.name.clone(),
        labels: (0..N_CLASSES).map(|class| format!("class{class:02}")).collect(),
        fold: None,
        folds: FoldMode::Official,
        step: 0,
        n_steps: 1_000_000,
        finished: false,
        recipe,
    };
    let mut learner =
        StudentLearner::new(&header, 0, student, batcher, Teachers::default(), Box::new(|_| Ok(None))).unwrap();
    let mut step = 0;
    // Seconds that batches and steps took.
    let mut turn = |n_steps: usize| {
        let mut seconds = (0.0, 0.0);
        for _ in 0..n_steps {
            let start = Instant::now();
            let batch = learner.batch(step).unwrap();
            seconds.0 += start.elapsed().as_secs_f64();
            let start = Instant::now();
            learner.step(batch, step).unwrap();
            synchronise(device);
            seconds.1 += start.elapsed().as_secs_f64();
            step += 1;
        }
        seconds
    };
    turn(WARM_UP);
    let (batches, steps): (Vec<f64>, Vec<f64>) = (0..arguments.rounds)
        .map(|_| turn(arguments.steps))
        .map(|(batch, step)| (batch * 1e3 / arguments.steps as f64, step * 1e3 / arguments.steps as f64))
        .unzip();
    let text = |values: Vec<f64>| {
        let (low, high) = range(&values);
        format!("{:>8.2} ({low:.2} to {high:.2})", median(values))
    };
    println!("{:<10} step {}   its batch {}", name(setting), text(steps), text(batches));
}

/// A folder of silent clips, one a view; the bench brings its own features.
fn segments(n: usize) -> (TempDir, SegmentSet) {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "file,label,fold,source_id\n".to_owned();
    for i in 0..n.max(N_CLASSES) {
        let mut writer = hound::WavWriter::create(folder.path().join(format!("{i}.wav")), WAV).unwrap();
        (0..2400).for_each(|_| writer.write_sample(0i16).unwrap());
        writer.finalize().unwrap();
        table += &format!("{i}.wav,class{:02},1,{i}\n", i % N_CLASSES);
    }
    let csv = folder.path().join("clips.csv");
    std::fs::write(&csv, table).unwrap();
    let frontend = edge_frontend::FrontendConfig::epic_sounds();
    let set = SegmentSet::clips(&csv, folder.path(), &frontend, &Options::default()).unwrap();
    (folder, set)
}

/// PyTorch's training, in a process of its own.
struct Theirs {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    n_params: usize,
}

impl Theirs {
    fn new(arguments: &Arguments, setting: Setting) -> Self {
        let (device, precision, _) = setting.parts();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/throughput.py");
        let numbers = [
            ("--width", arguments.width),
            ("--depth", arguments.depth),
            ("--classes", N_CLASSES),
            ("--batch", arguments.batch),
            ("--threads", arguments.threads),
        ];
        let mut process = Command::new("python3")
            .arg(script)
            .args(numbers.iter().flat_map(|(key, value)| [(*key).to_owned(), value.to_string()]))
            .args(["--precision", precision, "--device", device])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed, with the torch of scripts/requirements.txt");
        let questions = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut theirs = Self { process, questions, answers, n_params: 0 };
        theirs.n_params = theirs.answer().parse().unwrap();
        theirs
    }

    fn seconds(&mut self, n_steps: usize) -> f64 {
        writeln!(self.questions, "{n_steps}").unwrap();
        self.answer().parse().unwrap()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! A long life in a short time: the real daemon hears hours of made-up kitchens through a pipe, as
//! fast as it can, and reports to a real broker, while everything around it fails: sounds that are
//! none, torn and stalled pipes, brokers that stop, hang and are killed, configurations good and
//! bad. Beside it another daemon hears a whole [`house`] in real time.
//!
//! Afterwards every event that they reported must have reached the broker's subscriber, every onset
//! must have its offset, and their memory must not have grown.

mod house;

pub use house::HouseReport;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use house::House;

use crate::binary::{Process, earwitness_bin, model_dir};
use crate::broker::{Broker, Subscriber, free_port};

/// Samples a second through the pipe.
const SAMPLE_RATE: u32 = 24_000;

/// Different kitchens; each is heard again and again, at another level.
const N_SCENES: u64 = 12;

/// Faults an hour of sound.
const FAULTS_AN_HOUR: f64 = 12.0;

const EVENT: &str = "earwitness/ear/event";

/// What a life was like.
#[derive(Debug)]
pub struct Report {
    /// Hours of sound that were heard.
    pub hours: f64,
    /// Seconds that it took.
    pub wall_s: f64,
    /// Faults by what they were.
    pub faults: BTreeMap<&'static str, u32>,
    /// Lines of events that the daemon reported.
    pub n_reported: usize,
    /// Those of them that never reached the subscriber.
    pub n_lost: usize,
    /// Events of the subscriber that the daemon did not report.
    pub n_invented: usize,
    /// Onsets without an offset.
    pub n_open: usize,
    /// Resident memory, KiB, after each hour of sound.
    pub rss_kib: Vec<u64>,
    /// Largest resident memory, KiB.
    pub peak_rss_kib: u64,
    /// What happened in the house meanwhile.
    pub house: HouseReport,
}

impl Report {
    /// Growth of the memory: the last hours' mean less that of as many hours after the first, KiB.
    /// 0 for lives under five hours.
    pub fn growth_kib(&self) -> i64 {
        let n = (self.rss_kib.len().saturating_sub(1) / 2).min(4);
        if n < 2 {
            return 0;
        }
        let mean = |values: &[u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
        (mean(&self.rss_kib[self.rss_kib.len() - n..]) - mean(&self.rss_kib[1..=n])).round() as i64
    }

    /// As a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "hours": self.hours,
            "wall_s": self.wall_s,
            "faults": self.faults,
            "n_reported": self.n_reported,
            "n_lost": self.n_lost,
            "n_invented": self.n_invented,
            "n_open": self.n_open,
            "rss_kib": self.rss_kib,
            "growth_kib": self.growth_kib(),
            "peak_rss_kib": self.peak_rss_kib,
            "house": self.house.to_json(),
        })
    }

    /// Whether nothing was lost, invented or left open, and memory has not grown.
    pub fn is_sound(&self) -> bool {
        (self.n_lost, self.n_invented, self.n_open) == (0, 0, 0) && self.growth_kib() < 1024 && self.house.is_sound()
    }
}

/// Lives for `hours` of sound, and at least for `least_s` seconds of the house; `seed` decides what
/// happens when. `progress` receives the hours so far.
///
/// # Panics
///
/// When the daemon ends before its time, or panics.
pub fn live(hours: f64, least_s: f64, seed: u64, mut progress: impl FnMut(f64)) -> Report {
    let begun = Instant::now();
    let mut world = World::new(seed);
    let mut house = House::start(seed);
    let scenes: Vec<Vec<f32>> = (0..N_SCENES).map(|n| sounds::demo_scene_at(n, SAMPLE_RATE).samples).collect();
    let (mut heard_s, mut rss_kib, mut peak_rss_kib) = (0.0, Vec::new(), 0);
    while heard_s < hours * 3600.0 {
        house.live();
        let scene = &scenes[world.dice.below(N_SCENES) as usize];
        let gain = 10_f32.powf(world.dice.unit() as f32 * 2.0 - 1.5);
        heard_s += world.hear(scene.iter().map(|x| x * gain).collect());
        if world.dice.unit() < FAULTS_AN_HOUR * scene.len() as f64 / f64::from(SAMPLE_RATE) / 3600.0 {
            heard_s += world.fail();
        }
        let (rss, peak) = memory_kib(world.daemon.id());
        peak_rss_kib = peak;
        if heard_s >= 3600.0 * (rss_kib.len() + 1) as f64 {
            rss_kib.push(rss);
            progress(heard_s / 3600.0);
        }
    }
    let wall_s = begun.elapsed().as_secs_f64();
    let (reported, arrived, faults) = world.end();
    while begun.elapsed().as_secs_f64() < least_s {
        house.live();
        std::thread::sleep(Duration::from_millis(50));
    }
    let (reported_set, arrived_set): (HashSet<_>, HashSet<_>) = (reported.iter().collect(), arrived.iter().collect());
    Report {
        hours: heard_s / 3600.0,
        wall_s,
        faults,
        n_reported: reported.len(),
        n_lost: reported_set.difference(&arrived_set).count(),
        n_invented: arrived_set.difference(&reported_set).count(),
        n_open: open(&reported),
        rss_kib,
        peak_rss_kib,
        house: house.end(),
    }
}

/// The daemon and what is around it.
struct World {
    dir: tempfile::TempDir,
    port: u16,
    broker: Option<Broker>,
    subscriber: Option<Subscriber>,
    arrived: Vec<String>,
    daemon: Process,
    input: ChildStdin,
    dice: Dice,
    faults: BTreeMap<&'static str, u32>,
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        // The session is on the broker's disk from the start, so that one that was killed knows it,
        // too.
        let broker = start_broker(dir.path(), port);
        drop(Subscriber::start(port, Some("listener")));
        broker.stop();
        let broker = start_broker(dir.path(), port);
        let subscriber = Subscriber::start(port, Some("listener"));
        let config = configure(dir.path(), port, "");
        let mut command = Command::new(earwitness_bin());
        let (daemon, input) = Process::start_with_input(command.arg("run").arg("--config").arg(config));
        World {
            dir,
            port,
            broker: Some(broker),
            subscriber: Some(subscriber),
            arrived: Vec::new(),
            daemon,
            input,
            dice: Dice(seed),
            faults: BTreeMap::new(),
        }
    }

    /// Has the daemon hear `samples`, in pieces of any length, and returns how many seconds that
    /// were.
    fn hear(&mut self, samples: Vec<f32>) -> f64 {
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let n = rest.len().min(1 + self.dice.below(200_000) as usize);
            let written = self.input.write_all(&rest[..n]);
            assert!(written.is_ok(), "the daemon reads no more: {:#?}", self.daemon.stderr());
            rest = &rest[n..];
        }
        samples.len() as f64 / f64::from(SAMPLE_RATE)
    }

    /// Something goes wrong. Returns how many seconds were heard meanwhile.
    fn fail(&mut self) -> f64 {
        let n = SAMPLE_RATE as usize * (1 + self.dice.below(60) as usize);
        let (name, heard_s) = match self.dice.below(12) {
            0 => ("zeros", self.hear(vec![0.0; n])),
            1 => ("offset", self.hear(vec![0.5; n])),
            2 => ("clipping", self.hear((0..n).map(|k| (k as f32 * 0.3).sin().signum()).collect())),
            3 => ("no numbers", self.hear((0..n).map(|k| if k % 7 == 0 { f32::NAN } else { f32::INFINITY }).collect())),
            4 => ("absurd values", self.hear((0..n).map(|k| if k % 2 == 0 { 1e30 } else { -1e-40 }).collect())),
            5 => {
                let mut dice = Dice(self.dice.next());
                ("white noise", self.hear((0..n).map(|_| dice.unit() as f32 * 2.0 - 1.0).collect()))
            }
            6 => {
                std::thread::sleep(Duration::from_millis(self.dice.below(400)));
                ("stalled pipe", 0.0)
            }
            7 => {
                if let Some(broker) = &self.broker {
                    broker.signal("STOP");
                    std::thread::sleep(Duration::from_millis(300));
                    broker.signal("CONT");
                }
                ("broker hangs", 0.0)
            }
            8 => {
                self.lose_broker(Broker::stop);
                ("broker restarted", self.return_broker())
            }
            9 => {
                self.lose_broker(drop);
                ("broker killed", self.return_broker())
            }
            10 => {
                let change =
                    ["", "[decide]\nthreshold_on = 0.5\nthreshold_off = 0.2\n", "[decide]\ndeny = [\"blender\"]\n"];
                let change = change[self.dice.below(3) as usize];
                configure(self.dir.path(), self.port, change);
                self.daemon.signal("HUP");
                ("configuration changed", 0.0)
            }
            _ => {
                configure(self.dir.path(), self.port, "[decide]\nthreshold_on = 70\n");
                self.daemon.signal("HUP");
                std::thread::sleep(Duration::from_millis(200));
                configure(self.dir.path(), self.port, "");
                ("bad configuration", 0.0)
            }
        };
        *self.faults.entry(name).or_default() += 1;
        heard_s
    }

    /// The broker goes, in the way that `end` says. What it acknowledged it has passed on.
    fn lose_broker(&mut self, end: impl FnOnce(Broker)) {
        if let Some(broker) = self.broker.take() {
            end(broker);
        }
        std::thread::sleep(Duration::from_millis(100));
        self.arrived.extend(self.subscriber.take().into_iter().flat_map(|subscriber| subscriber.payloads(EVENT)));
    }

    /// The broker comes back, after a minute of silence.
    fn return_broker(&mut self) -> f64 {
        let heard_s = self.hear(vec![0.0; SAMPLE_RATE as usize * 60]);
        self.broker = Some(start_broker(self.dir.path(), self.port));
        self.subscriber = Some(Subscriber::start(self.port, Some("listener")));
        heard_s
    }

    /// Lets the daemon come to its end; returns what it reported, what has arrived, and what went
    /// wrong.
    fn end(self) -> (Vec<String>, Vec<String>, BTreeMap<&'static str, u32>) {
        drop(self.input);
        let output = self.daemon.finish(Duration::from_secs(120));
        assert!(output.status.success(), "{:#?}", output.stderr);
        assert!(output.stderr.iter().all(|line| !line.contains("panicked")), "{:#?}", output.stderr);
        // What its end did not leave time for waits in the spool, for the next daemon.
        let silence = self.dir.path().join("silence.raw");
        fs::write(&silence, vec![0_u8; 4 * SAMPLE_RATE as usize]).expect("the folder can be written");
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut reported = output.stdout;
        loop {
            let subscriber = self.subscriber.as_ref().map_or_else(Vec::new, |subscriber| subscriber.payloads(EVENT));
            let mut seen = HashSet::new();
            let all = self.arrived.iter().chain(&subscriber).filter(|event| seen.insert(*event));
            let arrived: Vec<String> = all.cloned().collect();
            if reported.iter().all(|event| arrived.contains(event)) || Instant::now() > deadline {
                return (reported, arrived, self.faults);
            }
            let config = configure(self.dir.path(), self.port, "");
            let (next, mut input) =
                Process::start_with_input(Command::new(earwitness_bin()).arg("run").arg("--config").arg(config));
            std::thread::sleep(Duration::from_secs(2));
            input.write_all(&fs::read(&silence).expect("it was written")).expect("the daemon reads");
            drop(input);
            reported.extend(next.finish(Duration::from_secs(60)).stdout);
        }
    }
}

fn start_broker(dir: &Path, port: u16) -> Broker {
    Broker::start(dir, port, "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
}

fn configure(dir: &Path, port: u16, change: &str) -> PathBuf {
    let path = dir.join("ear.toml");
    let text = format!(
        "name = \"ear\"\n[source]\ninput = \"stdin\"\nrate = {SAMPLE_RATE}\nformat = \"f32le\"\n[model]\ndir = \"{}\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nhealth_s = 0\nspool.file = \"spool\"\n{change}",
        model_dir().display()
    );
    fs::write(&path, text).expect("the folder can be written");
    path
}

/// Resident memory of a process and its peak, KiB.
fn memory_kib(id: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Onsets without an offset.
fn open(events: &[String]) -> usize {
    let mut open = HashSet::new();
    for line in events {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let id = event["id"].to_string();
        match event["phase"].as_str() {
            Some("onset") => assert!(open.insert(id), "an id was used twice: {line}"),
            _ => assert!(open.remove(&id), "an offset without an onset: {line}"),
        }
    }
    open.len()
}

/// Chance that repeats (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
